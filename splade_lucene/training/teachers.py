"""What tells good passages from bad ones: scores of any query with any passage, all scaled to about 0 … 1.

Normalized BM25 added to a dense encoder's cosine is a better teacher than either alone, as ensembles are in SPLADE++
(arXiv 2205.04733).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Rows = NDArray[np.int64]
"""Positions of queries, or of passages, in what was read."""

Rankings = Sequence[tuple[Rows, NDArray[np.float32]]]
"""For each query, passages and their scores."""

NO_RANKING: tuple[Rows, NDArray[np.float32]] = (np.zeros(0, np.int64), np.zeros(0, np.float32))

Scaling = Literal["best", "range", "lowest", "none"]
_LOWEST = 0.05


class Scorer(Protocol):
    """Scores pairs."""

    def scores(self, queries: Rows, passages: Rows) -> NDArray[np.float32]:
        """Scores of all pairs; shape [queries, passages]."""
        ...


class DenseScorer:
    """Cosines of a dense encoder's vectors.

    Args:
        query_vectors: Unit vectors, shape [all queries, dimensions].
        passage_vectors: Unit vectors, shape [all passages, dimensions].
    """

    def __init__(self, query_vectors: NDArray[np.float16], passage_vectors: NDArray[np.float16]) -> None:
        self.query_vectors, self.passage_vectors = query_vectors, passage_vectors

    def scores(self, queries: Rows, passages: Rows) -> NDArray[np.float32]:
        """Scores of all pairs; shape [queries, passages]."""
        rows, columns = self.query_vectors[queries], self.passage_vectors[passages]
        cosines: NDArray[np.float32] = rows.astype(np.float32) @ columns.astype(np.float32).T
        return cosines


class RankedScorer:
    """The scores of ranked lists; a passage that a query's list lacks has 0, the lowest.

    Args:
        rankings: Each query's list, no passage twice.
        passages: How many passages there are.
        scaling: ``best`` divides by each query's best score, for scores whose 0 has a meaning, as BM25's; ``range`` shifts
            and divides each query's so that they go from a twentieth to 1; ``lowest`` shifts all by the lowest of all, so that
            differences stay; ``none`` leaves them.
    """

    def __init__(self, rankings: Rankings, passages: int, scaling: Scaling) -> None:
        starts = np.zeros(len(rankings) + 1, np.int64)
        np.cumsum([len(rows) for rows, _ in rankings], out=starts[1:])
        columns = np.concatenate([NO_RANKING[0], *(rows for rows, _ in rankings)]).astype(np.int32)
        values = np.concatenate([NO_RANKING[1], *(_scaled(scores, scaling) for _, scores in rankings)])
        if scaling == "lowest" and len(values):
            values -= values.min()
        self._matrix = csr_matrix((values, columns, starts), shape=(len(rankings), passages))

    def scores(self, queries: Rows, passages: Rows) -> NDArray[np.float32]:
        """Scores of all pairs; shape [queries, passages]."""
        found: NDArray[np.float32] = self._matrix[queries][:, passages].toarray()
        return found


class Ensemble:
    """The weighted sum of several scorers.

    Args:
        parts: Each scorer with its weight.
    """

    def __init__(self, parts: Sequence[tuple[float, Scorer]]) -> None:
        self._parts = parts

    def scores(self, queries: Rows, passages: Rows) -> NDArray[np.float32]:
        """Scores of all pairs; shape [queries, passages]."""
        total = np.zeros((len(queries), len(passages)), np.float32)
        for weight, scorer in self._parts:
            total += np.float32(weight) * scorer.scores(queries, passages)
        return total


def rankings_by_row(
    run: Mapping[str, Sequence[tuple[str, float]]], qids: Sequence[str], passages: Mapping[str, int]
) -> Rankings:
    """A run's rankings in the order of some queries, by rows of passages; those of unknown passages are left out."""
    rankings = []
    for qid in qids:
        known = [(passages[docid], score) for docid, score in run.get(qid, ()) if docid in passages]
        rows = np.array([row for row, _ in known], np.int64)
        rankings.append((rows, np.array([score for _, score in known], np.float32)))
    return rankings


def _scaled(scores: NDArray[np.float32], scaling: Scaling) -> NDArray[np.float32]:
    if not len(scores) or scaling in ("lowest", "none"):
        return scores.astype(np.float32)
    best, worst = float(np.max(scores)), float(np.min(scores))
    if scaling == "best":
        return (scores / best if best > 0 else scores * 0).astype(np.float32)
    spread = (scores - worst) / (best - worst) if best > worst else np.ones_like(scores)
    return (_LOWEST + (1 - _LOWEST) * spread).astype(np.float32)
