"""Examples in columns: some 30 bytes for a triple, so that forty million fit into the memory of a small machine."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from splade_lucene.training.examples.example import Example, relevant_counts
from splade_lucene.training.teachers import NO_RANKING, Rankings

ROW = (1 << 32) - 1
"""The bits of the passage in the number of a pair."""
_AT_ONCE = 1 << 20


class Examples(Sequence[Example]):
    """Examples in columns; each is put together when it is asked for.

    Args:
        examples: The examples.

    Attributes:
        queries: The row of each example's query.
        starts: Where the passages of each example begin, and where the last one's end; shape [examples + 1].
        passages: The rows of all passages.
        scores: Their scores; NaN where there is none. None if no example has scores.
        positives: How many passages are said to be relevant (:class:`Example`).
        lines: The line of each example; 0 if there is none.
        is_scored: Whether each example has scores.
    """

    def __init__(self, examples: Iterable[Example] = ()) -> None:
        queries, passages, positives, lines, starts = array("i"), array("i"), array("i"), array("I"), array("q", [0])
        scores, is_scored = array("f"), bytearray()
        for each in examples:
            queries.append(each.query)
            passages.frombytes(each.passages.astype(np.int32).tobytes())
            starts.append(len(passages))
            positives.append(each.positives)
            lines.append(each.line or 0)
            is_scored.append(each.scores is not None)
            if each.scores is not None:
                _pad(scores, starts[-2])
                scores.frombytes(each.scores.astype(np.float32).tobytes())
        if scores:
            _pad(scores, len(passages))
        self.queries, self.passages = np.asarray(queries, np.int32), np.asarray(passages, np.int32)
        self.positives, self.lines = np.asarray(positives, np.int32), np.asarray(lines, np.uint32)
        self.starts, self.is_scored = np.asarray(starts, np.int64), np.frombuffer(is_scored, bool)
        self.scores = np.asarray(scores, np.float32) if self.is_scored.any() else None

    @classmethod
    def of(cls, examples: Iterable[Example]) -> Examples:
        """Examples in columns, if they are not already."""
        return examples if isinstance(examples, cls) else cls(examples)

    def __len__(self) -> int:
        return len(self.queries)

    @overload
    def __getitem__(self, number: int) -> Example: ...

    @overload
    def __getitem__(self, number: slice) -> list[Example]: ...

    def __getitem__(self, number: int | slice) -> Example | list[Example]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        at = range(len(self))[number]
        part = slice(int(self.starts[at]), int(self.starts[at + 1]))
        scores = None
        if self.is_scored[at]:
            assert self.scores is not None
            scores = self.scores[part]
        return Example(
            int(self.queries[at]), self.passages[part].astype(np.int64), scores, int(self.positives[at]),
            int(self.lines[at]) or None,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Example]:
        return (self[number] for number in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many passages each has."""
        return np.diff(self.starts)

    def relevant_counts(self, count: int, positives: int) -> NDArray[np.int64]:
        """Number of leading passages of each example that count as relevant; see :func:`relevant_counts`."""
        is_ranked = self.is_scored & (self.positives == 0)
        return relevant_counts(self.positives, self.lengths, count, positives, is_ranked=is_ranked)

    def without_scores(self) -> Examples:
        """The same without scores."""
        other = Examples()
        other.__dict__.update(self.__dict__, scores=None, is_scored=np.zeros(len(self), bool))
        return other

    def ranges(self) -> NDArray[np.float64]:
        """The greatest less the least score of each example with scores."""
        found = np.zeros(len(self))
        if self.scores is None or not len(self):
            return found[:0]
        is_whole = self.is_scored & (self.lengths > 0)
        starts = self.starts[:-1][self.lengths > 0]
        spread = np.maximum.reduceat(self.scores, starts) - np.minimum.reduceat(self.scores, starts)
        found[self.lengths > 0] = spread
        return found[is_whole]

    def pairs(self, count: int, positives: int, *, is_first: bool) -> Iterator[NDArray[np.int64]]:
        """The pairs of query and passage, each as a number (:func:`pair_number`), a million examples at a time.

        Args:
            count: See :meth:`relevant_counts`.
            positives: See :meth:`relevant_counts`.
            is_first: Whether to give those of which one is drawn as the first, or the others.
        """
        bounds = self.relevant_counts(count, positives)
        for start in range(0, len(self), _AT_ONCE):
            stop = min(len(self), start + _AT_ONCE)
            lengths = self.lengths[start:stop]
            begin, end = int(self.starts[start]), int(self.starts[stop])
            position = np.arange(begin, end) - np.repeat(self.starts[start:stop], lengths)
            taken = (position < np.repeat(bounds[start:stop], lengths)) == is_first
            queries = np.repeat(self.queries[start:stop].astype(np.int64), lengths)
            yield pair_number(queries[taken], self.passages[begin:end][taken].astype(np.int64))


class KnownScores(NamedTuple):
    """What examples say of each query's passages.

    Attributes:
        rankings: For each query, all passages scored by any example; of several scores for a passage, the highest.
        disputed: The rows of the queries with a passage that has several scores.
    """

    rankings: Rankings
    disputed: NDArray[np.int64]


def known_scores(examples: Iterable[Example], queries: int) -> KnownScores:
    """Puts the scores of all examples together.

    Args:
        examples: Examples, all with scores.
        queries: Number of queries.
    """
    columns = Examples.of(examples)
    assert columns.scores is not None
    numbers = pair_number(
        np.repeat(columns.queries.astype(np.int64), columns.lengths), columns.passages.astype(np.int64)
    )
    order = np.lexsort((-columns.scores, numbers))  # NaN is last
    numbers, scores = numbers[order], columns.scores[order]
    is_other = np.append(True, numbers[1:] != numbers[:-1])
    disputed = np.unique(numbers[1:][~is_other[1:] & (scores[1:] < scores[:-1])] >> 32)
    kept = is_other & ~np.isnan(scores)
    numbers, scores = numbers[kept], scores[kept]
    bounds = np.searchsorted(numbers, np.arange(queries + 1, dtype=np.int64) << 32)
    rows = numbers & ROW
    rankings = [
        (rows[start:stop], scores[start:stop]) if start < stop else NO_RANKING
        for start, stop in pairwise(bounds.tolist())
    ]
    return KnownScores(rankings, disputed)


def pair_number(queries: NDArray[np.int64], passages: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each pair of query and passage; those of a query follow each other in the order of the passages."""
    numbers: NDArray[np.int64] = queries << 32 | passages
    return numbers


def _pad(scores: array[float], length: int) -> None:
    missing = length - len(scores)
    if missing > 0:
        scores.frombytes(np.full(missing, np.nan, np.float32).tobytes())
