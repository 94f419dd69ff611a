"""Which queries and passages each step sees."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from splade_lucene.training.config import Optimization
    from splade_lucene.training.examples import Example


def draw_rows(examples: Sequence[Example], settings: Optimization, positives: int, passages: int) -> NDArray[np.int32]:
    """Rows of a query and its passages, for all queries of all steps.

    Examples are gone through in random orders, but no query comes twice in a step as long as there are others: an example
    of a query that is in the step already waits for the next one. Of a scored list the first passage is drawn from the
    best ``positives``, the others from the rest, divided at ranks that grow geometrically: one hard, one less so.

    Args:
        examples: Lists, triples or pairs.
        settings: Steps, queries and passages of a step, and the seed.
        positives: See above.
        passages: How many passages there are.

    Returns:
        Rows of the query and of its passages; shape [steps · queries, 1 + passages].
    """
    source = np.random.default_rng(settings.seed)
    wanted = settings.steps * settings.queries
    rows = np.empty((wanted, 1 + settings.passages), np.int32)
    order = _in_turn([example.query for example in examples], settings.queries, source)
    for drawn, number in enumerate(islice(order, wanted)):
        rows[drawn] = _draw(examples[number], settings.passages, positives, passages, source)
    return rows


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


def _draw(example: Example, count: int, positives: int, passages: int, source: np.random.Generator) -> list[int]:
    listed = example.passages
    if example.scores is None:
        drawn = [int(row) for row in listed[:count]]
    else:
        best = min(positives, max(1, len(listed) - count + 1))
        drawn = [int(listed[source.integers(best)])]
        if len(listed) > best:
            bounds = np.unique(np.geomspace(best, len(listed), count).round().astype(int))
            drawn += [int(listed[source.integers(low, high)]) for low, high in pairwise(bounds.tolist())]
    while len(drawn) < count:
        row = int(source.integers(passages))
        if row not in drawn or passages < count:
            drawn.append(row)
    return [example.query, *drawn]
