"""Static pruning: which of a text's terms are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import InputError


@dataclass(frozen=True)
class Pruning:
    """Static pruning of weights before quantization. A term is kept only if every rule keeps it.

    Attributes:
        top_terms: Number of terms to keep per text, heaviest first (ties by term_id); 0 for all.
        min_weight: Smallest weight to keep.
        max_ratio: Keep weights above this fraction of the text's largest weight; OpenSearch's ``prune_ratio``.
        kept_mass: Keep the heaviest terms that together make up this fraction of the sum of the text's weights.
    """

    top_terms: int = 0
    min_weight: float = 0.0
    max_ratio: float = 0.0
    kept_mass: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.top_terms, int) or self.top_terms < 0 or not 0 <= self.min_weight < math.inf:
            raise InputError(
                f"invalid pruning: top_terms {self.top_terms}, min_weight {self.min_weight}",
                remedy="Set top_terms to an integer and min_weight to a number, both at least 0",
            )
        if not (0 <= self.max_ratio < 1 and 0 < self.kept_mass <= 1):
            raise InputError(
                f"invalid pruning: max_ratio {self.max_ratio}, kept_mass {self.kept_mass}",
                remedy="Set max_ratio to at least 0 and below 1, and kept_mass to above 0 and at most 1",
            )

    def keeps(self, weights: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which weights are kept.

        Args:
            weights: Of one text after the other, in descending order within each; shape [entries].
            starts: Start of each text's weights, followed by the number of entries; shape [texts + 1].

        Returns:
            Shape [entries].
        """
        counts = np.diff(starts)
        first = np.repeat(starts[:-1], counts)
        kept = weights >= self.min_weight
        if self.max_ratio:
            kept &= weights > self.max_ratio * weights[first]
        if self.top_terms:
            kept &= np.arange(len(weights)) - first < self.top_terms
        if self.kept_mass < 1:
            before = weights.cumsum() - weights
            mass = np.repeat(np.add.reduceat(np.append(weights, 0.0), starts[:-1]), counts)
            kept &= before - before[first] < self.kept_mass * mass * (1 - 1e-12)
        return kept
