"""Teachers: scores for any pair of query and passage, all scaled to about 0 … 1.

The sum of normalized BM25 and a dense encoder's cosine is a better teacher than either alone, as with the ensembles in
SPLADE++ (arXiv 2205.04733).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""Rows of queries or passages, in the order they were read."""

Rankings = Sequence[tuple[Rows, NDArray[np.float32]]]
"""For each query, the rows of passages and their scores."""

NO_RANKING: tuple[Rows, NDArray[np.float32]] = (np.zeros(0, np.int64), np.zeros(0, np.float32))

Scaling = Literal["best", "range", "none"]
_LOWEST = 0.05


class Scorer(Protocol):
    """Scores pairs."""

    def scores(self, queries: Rows, passages: Rows) -> NDArray[np.float32]:
        """Scores of all pairs; shape [queries, passages]. NaN where there is no score."""
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
    """Scores from ranked lists. Passages that are not in a query's list have no score, NaN.

    Args:
        rankings: Each query's list, without duplicate passages.
        scaling: ``best`` divides by each query's best score, for scores with a meaningful 0 such as BM25's, which passages that
            are not in the list have; ``range`` maps each query's scores linearly to 0.05 … 1; ``none`` leaves the scores
            unchanged.
    """

    def __init__(self, rankings: Rankings, scaling: Scaling) -> None:
        lengths = np.array([len(rows) for rows, _ in rankings], np.int64)
        self._starts = np.append(0, np.cumsum(lengths))
        rows = np.concatenate([NO_RANKING[0], *(rows for rows, _ in rankings)]).astype(np.int32)
        scores = np.concatenate([NO_RANKING[1], *(_scaled(scores, scaling) for _, scores in rankings)])
        order = np.lexsort((rows, np.repeat(np.arange(len(rankings)), lengths)))
        self._rows, self._scores = rows[order], scores[order]
        self._absent = 0.0 if scaling == "best" else np.nan

    def scores(self, queries: Rows, passages: Rows) -> NDArray[np.float32]:
        """Scores of all pairs; shape [queries, passages]. NaN where there is no score."""
        found = np.full((len(queries), len(passages)), self._absent, np.float32)
        for at, query in enumerate(queries.tolist()):
            listed = slice(self._starts[query], self._starts[query + 1])
            rows = self._rows[listed]
            if len(rows):
                places = np.minimum(np.searchsorted(rows, passages), len(rows) - 1)
                is_listed = rows[places] == passages
                found[at, is_listed] = self._scores[listed][places[is_listed]]
        return found


class Ensemble:
    """The weighted sum of several scorers. A pair that one of them does not score has no score.

    Args:
        parts: Weight and scorer of each part.
    """

    def __init__(self, parts: Sequence[tuple[float, Scorer]]) -> None:
        self._parts = parts

    def scores(self, queries: Rows, passages: Rows) -> NDArray[np.float32]:
        """Scores of all pairs; shape [queries, passages]. NaN where there is no score."""
        total = np.zeros((len(queries), len(passages)), np.float32)
        for weight, scorer in self._parts:
            if weight:
                total += np.float32(weight) * scorer.scores(queries, passages)
        return total


def rankings_by_row(
    run: Mapping[str, Sequence[tuple[str, float]]], qids: Sequence[str], passages: Mapping[str, int]
) -> Rankings:
    """A run's rankings in the order of ``qids``, with rows instead of docids; unknown passages are dropped."""
    rankings = []
    for qid in qids:
        known = [(passages[docid], score) for docid, score in run.get(qid, ()) if docid in passages]
        rows = np.array([row for row, _ in known], np.int64)
        rankings.append((rows, np.array([score for _, score in known], np.float32)))
    return rankings


def _scaled(scores: NDArray[np.float32], scaling: Scaling) -> NDArray[np.float32]:
    if not len(scores) or scaling == "none":
        return scores.astype(np.float32)
    best, worst = float(np.max(scores)), float(np.min(scores))
    if scaling == "best":
        return (scores / best if best > 0 else scores * 0).astype(np.float32)
    spread = (scores - worst) / (best - worst) if best > worst else np.ones_like(scores)
    return (_LOWEST + (1 - _LOWEST) * spread).astype(np.float32)
