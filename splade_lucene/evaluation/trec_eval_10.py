"""The figures in which version 10 of trec_eval differs from version 9, which pytrec_eval is a build of.

Source: github.com/usnistgov/trec_eval, tags v9.0.8 and v10.0 (2026). Version 10

- reads scores in double precision, where version 9 reads single precision, so that fewer scores are equal;
- rounds the number of relevant documents at a recall level to the nearest, where version 9 adds 0.9 and cuts off
  (``iprec_at_recall_*`` and ``11pt_avg``);
- adds ``rbp``, ``rbp_resid`` and ``unj_*`` to ``all_trec``, and ``dcg`` and ``ideal_dcg`` by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

_PERSISTENCE = 0.9  # the persistence of rank-biased precision
_RECALL = re.compile(r"iprec_at_recall_([0-9.]+)")
_UNJUDGED = re.compile(r"unj[_.]([1-9][0-9]{0,8})")

IN_ALL_TREC = ("unj_5", "unj_10", "unj_20", "rbp", "rbp_resid")
_ADDED = ("rbp", "rbp_resid", "dcg", "ideal_dcg")


def find_added_name(name: str) -> str | None:
    """The name, as printed by trec_eval 10, of a figure that version 9 does not have; None for any other."""
    if cutoff := _UNJUDGED.fullmatch(name):
        return f"unj_{cutoff[1]}"
    return name if name in _ADDED else None


def differs_from_version_9(name: str) -> bool:
    """Whether the values of a figure differ from version 9's, or version 9 does not have it."""
    return find_added_name(name) is not None or name == "11pt_avg" or _RECALL.fullmatch(name) is not None


def measure_query(name: str, judged: Mapping[str, int], ranked: Sequence[str]) -> float:
    """The value of one query.

    Args:
        name: A figure for which :func:`differs_from_version_9` is true.
        judged: docid → relevance.
        ranked: Docids, best first.

    Example:
        >>> judged, ranked = {"a": 1, "b": 0, "c": 2}, ["x", "a", "b"]
        >>> measure_query("unj_5", judged, ranked), round(measure_query("rbp", judged, ranked), 4)
        (0.2, 0.045)
    """
    grades = [judged.get(docid, -1) for docid in ranked]  # negative judgments count as unjudged
    if recall := _RECALL.fullmatch(name):
        return _interpolated(grades, judged, [float(recall[1])])[0]
    if name == "11pt_avg":
        points = _interpolated(grades, judged, [level / 10 for level in range(11)])
        return sum(points) / len(points)
    if cutoff := _UNJUDGED.fullmatch(name):
        return sum(grade < 0 for grade in grades[: int(cutoff[1])]) / int(cutoff[1])
    if name == "rbp":
        top = max(1, *judged.values())
        return (1 - _PERSISTENCE) * sum(max(grade, 0) / top * _PERSISTENCE**i for i, grade in enumerate(grades))
    if name == "rbp_resid":
        unjudged = sum(_PERSISTENCE**i for i, grade in enumerate(grades) if grade < 0)
        return _PERSISTENCE ** len(grades) + (1 - _PERSISTENCE) * unjudged if unjudged else 0.0
    return _gain(grades if name == "dcg" else sorted(judged.values(), reverse=True))


def _interpolated(grades: Sequence[int], judged: Mapping[str, int], levels: Sequence[float]) -> list[float]:
    """For each recall level, the best precision at or below the rank at which it is reached; 0 if it is not reached."""
    relevant = sum(grade > 0 for grade in judged.values())
    ranks = [rank for rank, grade in enumerate(grades, 1) if grade > 0]
    precisions = [found / rank for found, rank in enumerate(ranks, 1)]
    reached = [math.floor(level * relevant + 0.5) for level in levels]  # C's lround
    return [max(precisions[max(0, count - 1) :], default=0.0) for count in reached]


def _gain(grades: Sequence[int]) -> float:
    return sum(max(grade, 0) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
