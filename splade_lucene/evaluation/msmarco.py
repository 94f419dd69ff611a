"""MS MARCO's measure, as in the leaderboards' script: ``MSMARCO-RR@10`` for passages, ``MSMARCO-RR@100`` for documents.

Source: ``ms_marco_eval.py`` in github.com/microsoft/MSMARCO-Passage-Ranking. Differences from trec_eval's ``recip_rank``:

- relevant hits below the cutoff are ignored, whereas ``recip_rank`` considers the whole ranking;
- the rank of a hit is the one in the file, regardless of scores and the order of lines, whereas trec_eval uses only scores
  and breaks ties by descending docid; gaps in the ranks are kept;
- the mean is over all judged queries, including those missing from the run (trec_eval only with ``-c``).

The script treats every line of the judgments as relevant, which holds for MS MARCO. Here a relevance of 0 or less is not
relevant, so that the measure works with graded judgments. Duplicate ranks are an error, whereas the script keeps the later
line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

EXAMPLE = "MSMARCO-RR@10"
_NAME = re.compile(r"MSMARCO-RR@([1-9][0-9]{0,8})")


def find_cutoff(name: str) -> int | None:
    """The cutoff in the measure's name; None for any other name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def measure_reciprocal_rank(
    qrels: Mapping[str, Mapping[str, int]], ranks: Mapping[str, Mapping[str, int]], cutoff: int
) -> dict[str, float]:
    """Reciprocal rank of the first relevant document up to the cutoff, for all judged queries; 0 if there is none.

    Args:
        qrels: Judgments; documents judged 1 or more are relevant.
        ranks: qid → docid → rank, from 1.
        cutoff: The last rank that counts.

    Example:
        >>> measure_reciprocal_rank({"q": {"a": 1}, "r": {"a": 1}}, {"q": {"b": 1, "a": 2}, "r": {"a": 11}}, 10)
        {'q': 0.5, 'r': 0.0}
    """
    values = {}
    for qid, judged in qrels.items():
        ranked = ranks.get(qid, {})
        relevant = [ranked[docid] for docid, relevance in judged.items() if relevance > 0 and docid in ranked]
        first = min(relevant, default=cutoff + 1)
        values[qid] = 1 / first if first <= cutoff else 0.0
    return values
