"""MS MARCO's own measure, after the leaderboards' script: ``MSMARCO-RR@10`` for passages, ``MSMARCO-RR@100`` for documents.

Source: ``ms_marco_eval.py`` of github.com/microsoft/MSMARCO-Passage-Ranking. What differs from trec_eval's ``recip_rank``:

- a relevant hit below the cut-off counts as nothing, while ``recip_rank`` looks through the whole ranking;
- a hit's place is the rank that the file gives, whatever its score and wherever its line, while trec_eval knows scores only and
  breaks ties by docid, descending; where ranks are left out, the places stay empty;
- the mean is over all queries that have a judgment, also those that the run lacks (trec_eval only with ``-c``).

The script takes each line of the judgments as relevant, as MS MARCO's are. Here a judgment of 0 or less is not, so that the
measure makes sense with graded judgments, too. A rank that stands twice is refused, where the script keeps the later line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

EXAMPLE = "MSMARCO-RR@10"
_NAME = re.compile(r"MSMARCO-RR@([1-9][0-9]{0,8})")


def find_cutoff(name: str) -> int | None:
    """The cut-off of such a measure; None of any other name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def measure_reciprocal_rank(
    qrels: Mapping[str, Mapping[str, int]], ranks: Mapping[str, Mapping[str, int]], cutoff: int
) -> dict[str, float]:
    """One over the first rank, up to the cut-off, of a relevant document, for all judged queries; 0 if there is none.

    Args:
        qrels: Judgments; relevant is what is judged 1 or more.
        ranks: qid → docid → rank, from 1.
        cutoff: The last rank that counts.

    Example:
        >>> measure_reciprocal_rank({"q": {"a": 1}, "r": {"a": 1}}, {"q": {"b": 1, "a": 2}, "r": {"a": 11}}, 10)
        {'q': 0.5, 'r': 0.0}
    """
    values = {}
    for qid, judged in qrels.items():
        of_query = ranks.get(qid, {})
        relevant = [of_query[docid] for docid, relevance in judged.items() if relevance > 0 and docid in of_query]
        first = min(relevant, default=cutoff + 1)
        values[qid] = 1 / first if first <= cutoff else 0.0
    return values
