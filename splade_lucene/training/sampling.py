"""Sampling of queries and passages for each training step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import ConfigError
from splade_lucene.training.examples import Example, Examples, relevant_counts

if TYPE_CHECKING:
    from splade_lucene.training.config import Optimization

_AT_ONCE = 1 << 16


def draw_rows(examples: Iterable[Example], settings: Optimization, positives: int, passages: int) -> NDArray[np.int32]:
    """Draws a query and its passages for every example of every step.

    Examples are visited in random order, but no query is repeated within a step while there are others: an example whose
    query is already in the step waits for the next one. From a scored list, the first passage is drawn from the best
    ``positives``; the others are drawn from the remaining ranks, split into geometrically growing intervals, so that they
    range from hard to easy. Where it is said which passages are relevant, the first is drawn from these and the others from
    the rest; from a list without scores, the first passage is taken and the others are drawn from the rest.
    If an example has too few passages, more are drawn from those that are not relevant and in no other example of its query,
    or from all passages if these run out.

    Args:
        examples: Lists, triples or pairs.
        settings: Steps, queries and passages per step, and the seed.
        positives: Number of best passages from which the first is drawn.
        passages: Total number of passages.

    Returns:
        Rows of the query and its passages; shape [steps · queries, 1 + passages].

    Raises:
        ConfigError: There are fewer passages than each query needs.
    """
    require_passages(settings, passages)
    columns = Examples.of(examples)
    siblings = _Siblings(columns.queries)
    rng = np.random.default_rng(settings.seed)
    count = settings.steps * settings.queries
    rows = np.empty((count, 1 + settings.passages), np.int32)
    order = _cycle(columns.queries, settings.queries, rng)
    for position, number in enumerate(islice(order, count)):
        example = columns[number]
        drawn = _draw(example, settings.passages, positives, rng)
        if len(drawn) < settings.passages:
            others = (other for other in siblings.of(example.query) if other != number)
            known = {row for other in others for row in columns[other].passages.tolist()}
            known.update(example.passages[: example.positives].tolist())
            _fill(drawn, settings.passages, known, passages, rng)
        rows[position] = [example.query, *drawn]
    return rows


def queries_to_mine(settings: Optimization, queries: int) -> NDArray[np.int64]:
    """The rows of the queries that a run mines examples for: as many as its steps can use.

    Args:
        settings: Steps, queries per step, and the seed.
        queries: Total number of queries.
    """
    order = np.random.default_rng(settings.seed).permutation(queries)
    return np.sort(order[: settings.steps * settings.queries])


def require_passages(settings: Optimization, passages: int) -> None:
    """Rejects a collection that is too small.

    Raises:
        ConfigError: There are fewer passages than each query needs.
    """
    if passages < settings.passages:
        raise ConfigError(
            f"each query needs {settings.passages} passages, but the collection has only {passages}",
            remedy="Lower optimization.passages, or add passages",
        )


def to_columns(rows: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    """Columns for sentence-transformers' trainer: rows instead of texts, and all rows of an example as its label."""
    passages = {f"passage_{number}": rows[:, number] for number in range(1, rows.shape[1])}
    return {"query": rows[:, 0], **passages, "label": rows}


class _Siblings:
    """The numbers of the examples of a query, sorted when they are first asked for.

    Args:
        queries: The query of each example.
    """

    def __init__(self, queries: NDArray[np.int32]) -> None:
        self._queries = queries

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self._queries, kind="stable")

    @cached_property
    def _sorted(self) -> NDArray[np.int32]:
        return self._queries[self._order]

    def of(self, query: int) -> list[int]:
        """The numbers of a query's examples."""
        start, stop = np.searchsorted(self._sorted, (query, query + 1))
        numbers: list[int] = self._order[start:stop].tolist()
        return numbers


def _cycle(queries: NDArray[np.int32], size: int, rng: np.random.Generator) -> Iterator[int]:
    """Endless example numbers; among each ``size`` of them, a query is repeated only after all others.

    Args:
        queries: The query of each example.
        size: Examples per step.
        rng: Random generator; a new order is drawn whenever the previous one is exhausted.
    """
    distinct = len(np.unique(queries))
    numbers = _shuffled(len(queries), rng)
    waiting: OrderedDict[int, OrderedDict[int, None]] = OrderedDict()  # numbers by query, longest waiting first
    while True:
        seen: set[int] = set()
        for _ in range(size):
            if len(seen) == distinct:
                seen.clear()
            longest = next((each for each in waiting if each not in seen), None)
            if longest is None:
                number = next(numbers)
                while int(queries[number]) in seen:
                    waiting.setdefault(int(queries[number]), OrderedDict())[number] = None  # no duplicates
                    number = next(numbers)
            else:
                number, _ = waiting[longest].popitem(last=False)
                waiting.move_to_end(longest)
                if not waiting[longest]:
                    del waiting[longest]
            seen.add(int(queries[number]))
            yield number


def _shuffled(count: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        order = rng.permutation(count)
        for start in range(0, count, _AT_ONCE):
            yield from order[start : start + _AT_ONCE].tolist()


def _draw(example: Example, count: int, positives: int, rng: np.random.Generator) -> list[int]:
    """Up to ``count`` of the example's own passages."""
    listed = example.passages
    best = int(relevant_counts(example.positives, len(listed), count, positives, is_ranked=example.is_ranked))
    if not example.is_ranked:
        first = listed[rng.integers(best)] if best > 1 else listed[0]
        others = listed[best:]
        rest = others if len(others) < count else rng.choice(others, count - 1, replace=False)
        return [int(first), *rest.tolist()]
    drawn = [int(listed[rng.integers(best)])]
    if len(listed) > best:
        bounds = np.unique(np.geomspace(best, len(listed), count).round().astype(int))
        drawn += [int(listed[rng.integers(low, high)]) for low, high in pairwise(bounds.tolist())]
    return drawn


def _fill(drawn: list[int], count: int, known: set[int], passages: int, rng: np.random.Generator) -> None:
    """Adds passages until there are ``count``, preferring those that are not known."""
    while len(drawn) < count:
        taken = known.union(drawn)
        if len(taken) == passages:
            taken = set(drawn)
        row = int(rng.integers(passages))
        while row in taken:
            row = int(rng.integers(passages))
        drawn.append(row)
