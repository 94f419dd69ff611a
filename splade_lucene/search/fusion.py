"""The formulas for fusing rankings of a query, for runs (:mod:`splade_lucene.run.fusion`) and hybrid search."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import RunError

FusionMethod = Literal["rrf", "sum"]
"""How rankings are fused: by reciprocal ranks, or by a weighted sum of normalized scores."""

Normalization = Literal["min-max", "max", "none"]
"""How the scores of a ranking are normalized; see :func:`splade_lucene.weighted_sum`."""

RRF_CONSTANT = 60


def reciprocal_ranks(ranks: NDArray[np.int64], constant: float) -> NDArray[np.float64]:
    """1 / (constant + rank) of each hit.

    Args:
        ranks: Ranks, shape [hits].
        constant: At least 0.

    Raises:
        RunError: A rank and the constant are both 0.
    """
    if constant == 0 and not ranks.all():
        raise RunError(
            "the ranks of a run begin at 0, so the constant must be above 0", remedy="Number the hits from 1"
        )
    return np.asarray(1.0 / (constant + ranks), dtype=np.float64)


def check_constant(constant: object) -> None:
    """Checks the constant of reciprocal rank fusion.

    Raises:
        RunError: It is not a number of at least 0.
    """
    if not (isinstance(constant, Real) and math.isfinite(constant) and float(constant) >= 0):
        raise RunError(f"the constant of reciprocal rank fusion must be a number of at least 0, got {constant!r}")


def normalized_scores(qid: str, scores: NDArray[Any], normalization: Normalization) -> NDArray[np.float64]:
    """The scores of a ranking, normalized.

    Args:
        qid: The query, for the message.
        scores: Scores, shape [hits].
        normalization: See :func:`splade_lucene.weighted_sum`.

    Raises:
        RunError: With ``max``, the best score is not above 0.
    """
    values: NDArray[np.float64] = scores.astype(np.float64)
    if not len(values) or normalization == "none":
        return values
    best, worst = values.max(), values.min()
    if normalization == "max":
        if best <= 0:
            raise RunError(
                f"the best score of query {qid!r} is {best:g}, but max normalization requires a score above 0",
                remedy="Use min-max for scores that may be negative",
            )
        return np.asarray(values / best)
    spread = best - worst
    return (values - worst) / spread if spread else np.ones_like(values)
