"""Which queries and passages each step sees."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from splade_lucene.training.config import Optimization
    from splade_lucene.training.examples import Example


def draw_rows(examples: Sequence[Example], settings: Optimization, positives: int, passages: int) -> NDArray[np.int32]:
    """Rows of a query and its passages, for all queries of all steps.

    Queries are gone through in random orders. Of a scored list the first passage is drawn from the best ``positives``, the
    others from the rest, divided at ranks that grow geometrically: one hard, one less so. What an example lacks is drawn
    from all passages.

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
    drawn = 0
    while drawn < wanted:
        for number in source.permutation(len(examples))[: wanted - drawn]:
            rows[drawn] = _draw(examples[number], settings.passages, positives, passages, source)
            drawn += 1
    return rows


def to_columns(rows: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    """The columns that sentence-transformers' trainer takes: rows in place of texts, and as label all rows of an example."""
    passages = {f"passage_{number}": rows[:, number] for number in range(1, rows.shape[1])}
    return {"query": rows[:, 0], **passages, "label": rows}


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
