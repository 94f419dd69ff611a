"""Which queries and passages each step sees."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from splade_lucene.training.config import Optimization
    from splade_lucene.training.examples import Example, Texts


def draw_rows(examples: Sequence[Example], settings: Optimization, positives: int, passages: int) -> list[list[int]]:
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
        ``steps · queries`` lists of ``1 + passages`` rows.
    """
    source = np.random.default_rng(settings.seed)
    wanted = settings.steps * settings.queries
    rows: list[list[int]] = []
    while len(rows) < wanted:
        for number in source.permutation(len(examples))[: wanted - len(rows)]:
            rows.append(_draw(examples[number], settings.passages, positives, passages, source))
    return rows


def to_columns(rows: Sequence[Sequence[int]], texts: Texts) -> dict[str, list[Any]]:
    """The columns that sentence-transformers' trainer takes: texts, and as label the rows themselves."""
    columns: dict[str, list[Any]] = {"query": [texts.queries[row[0]] for row in rows]}
    for number in range(1, len(rows[0])):
        columns[f"passage_{number}"] = [texts.passages[row[number]] for row in rows]
    columns["label"] = [list(row) for row in rows]
    return columns


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
