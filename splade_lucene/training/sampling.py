"""Which queries and passages each step sees."""

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
    """Rows of a query and its passages, for all queries of all steps.

    Examples are gone through in random orders, but no query comes twice in a step as long as there are others: an example
    of a query that is in the step already waits for the next one. Of a scored list the first passage is drawn from the
    best ``positives``, the others from the rest, divided at ranks that grow geometrically: one hard, one less so. Of a
    list without scores the first passage is taken, the others are drawn from the rest. What an example lacks is drawn from
    the passages that no other example of its query holds, or from all when these are used up.

    Args:
        examples: Lists, triples or pairs.
        settings: Steps, queries and passages of a step, and the seed.
        positives: See above.
        passages: How many passages there are.

    Returns:
        Rows of the query and of its passages; shape [steps · queries, 1 + passages].

    Raises:
        ConfigError: A query is to have more passages than there are.
    """
    require_passages(settings, passages)
    of_query: dict[int, list[Example]] = {}
    for example in examples:
        of_query.setdefault(example.query, []).append(example)
    source = np.random.default_rng(settings.seed)
    wanted = settings.steps * settings.queries
    rows = np.empty((wanted, 1 + settings.passages), np.int32)
    order = _in_turn([example.query for example in examples], settings.queries, source)
    for drawn, number in enumerate(islice(order, wanted)):
        example = examples[number]
        own = _draw(example, settings.passages, positives, source)
        if len(own) < settings.passages:
            others = (other for other in of_query[example.query] if other is not example)
            known = {row for other in others for row in other.passages.tolist()}
            _fill(own, settings.passages, known, passages, source)
        rows[drawn] = [example.query, *own]
    return rows


def require_passages(settings: Optimization, passages: int) -> None:
    """Refuses a collection that is too small.

    Raises:
        ConfigError: A query is to have more passages than there are.
    """
    if passages < settings.passages:
        raise ConfigError(
            f"each query is to have {settings.passages} passages, and there are {passages} in all",
            remedy="Lower optimization.passages, or add passages",
        )


def to_columns(rows: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    """The columns that sentence-transformers' trainer takes: rows in place of texts, and as label all rows of an example."""
    passages = {f"passage_{number}": rows[:, number] for number in range(1, rows.shape[1])}
    return {"query": rows[:, 0], **passages, "label": rows}


def _in_turn(queries: Sequence[int], size: int, source: np.random.Generator) -> Iterator[int]:
    """Numbers of examples without end; among each ``size`` of them a query comes again only after all others.

    Args:
        queries: The query of each example.
        size: Examples of a step.
        source: What is random; each order is drawn when the one before is used up.
    """
    distinct = len(set(queries))
    numbers = _shuffled(len(queries), source)
    waiting: OrderedDict[int, OrderedDict[int, None]] = OrderedDict()  # numbers of each query, longest first
    while True:
        seen: set[int] = set()
        for _ in range(size):
            if len(seen) == distinct:
                seen.clear()
            query = next((each for each in waiting if each not in seen), None)
            if query is None:
                number = next(numbers)
                while queries[number] in seen:
                    waiting.setdefault(queries[number], OrderedDict())[number] = None  # once, if it waits already
                    number = next(numbers)
            else:
                number, _ = waiting[query].popitem(last=False)
                waiting.move_to_end(query)
                if not waiting[query]:
                    del waiting[query]
            seen.add(queries[number])
            yield number


def _shuffled(count: int, source: np.random.Generator) -> Iterator[int]:
    while True:
        yield from source.permutation(count).tolist()


def _draw(example: Example, count: int, positives: int, source: np.random.Generator) -> list[int]:
    """Passages that the example holds, ``count`` or less."""
    listed = example.passages
    if example.scores is None:
        rest = listed[1:] if len(listed) <= count else source.choice(listed[1:], count - 1, replace=False)
        return [int(listed[0]), *rest.tolist()]
    best = min(positives, max(1, len(listed) - count + 1))
    drawn = [int(listed[source.integers(best)])]
    if len(listed) > best:
        bounds = np.unique(np.geomspace(best, len(listed), count).round().astype(int))
        drawn += [int(listed[source.integers(low, high)]) for low, high in pairwise(bounds.tolist())]
    return drawn


def _fill(drawn: list[int], count: int, known: set[int], passages: int, source: np.random.Generator) -> None:
    """Adds others to the passages of an example until there are ``count``: those that are not known first."""
    while len(drawn) < count:
        taken = known.union(drawn)
        if len(taken) == passages:
            taken = set(drawn)
        row = int(source.integers(passages))
        while row in taken:
            row = int(source.integers(passages))
        drawn.append(row)
