"""Sampling of queries and passages for each training step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import ConfigError

if TYPE_CHECKING:
    from splade_lucene.training.config import Optimization
    from splade_lucene.training.examples import Example


def draw_rows(examples: Sequence[Example], settings: Optimization, positives: int, passages: int) -> NDArray[np.int32]:
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
    of_query: dict[int, list[Example]] = {}
    for example in examples:
        of_query.setdefault(example.query, []).append(example)
    rng = np.random.default_rng(settings.seed)
    count = settings.steps * settings.queries
    rows = np.empty((count, 1 + settings.passages), np.int32)
    order = _cycle([example.query for example in examples], settings.queries, rng)
    for position, number in enumerate(islice(order, count)):
        example = examples[number]
        drawn = _draw(example, settings.passages, positives, rng)
        if len(drawn) < settings.passages:
            others = (other for other in of_query[example.query] if other is not example)
            known = {row for other in others for row in other.passages.tolist()}
            known.update(example.passages[: example.positives].tolist())
            _fill(drawn, settings.passages, known, passages, rng)
        rows[position] = [example.query, *drawn]
    return rows


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


def _cycle(queries: Sequence[int], size: int, rng: np.random.Generator) -> Iterator[int]:
    """Endless example numbers; among each ``size`` of them, a query is repeated only after all others.

    Args:
        queries: The query of each example.
        size: Examples per step.
        rng: Random generator; a new order is drawn whenever the previous one is exhausted.
    """
    distinct = len(set(queries))
    numbers = _shuffled(len(queries), rng)
    waiting: OrderedDict[int, OrderedDict[int, None]] = OrderedDict()  # numbers by query, longest waiting first
    while True:
        seen: set[int] = set()
        for _ in range(size):
            if len(seen) == distinct:
                seen.clear()
            query = next((each for each in waiting if each not in seen), None)
            if query is None:
                number = next(numbers)
                while queries[number] in seen:
                    waiting.setdefault(queries[number], OrderedDict())[number] = None  # no duplicates
                    number = next(numbers)
            else:
                number, _ = waiting[query].popitem(last=False)
                waiting.move_to_end(query)
                if not waiting[query]:
                    del waiting[query]
            seen.add(queries[number])
            yield number


def _shuffled(count: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(count).tolist()


def count_firsts(example: Example, count: int, positives: int) -> int:
    """The number of an example's passages, from its beginning, one of which is drawn as the first: those that are relevant.

    Args:
        example: The example.
        count: Passages to draw.
        positives: Number of best passages that are taken for relevant if only the scores say which are.
    """
    if example.is_ranked:
        return min(positives, max(1, len(example.passages) - count + 1))
    return max(1, example.positives)


def _draw(example: Example, count: int, positives: int, rng: np.random.Generator) -> list[int]:
    """Up to ``count`` of the example's own passages."""
    listed, best = example.passages, count_firsts(example, count, positives)
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
