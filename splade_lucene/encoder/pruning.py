"""Which of a text's terms are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

from splade_lucene.errors import InputError


@dataclass(frozen=True)
class Pruning:
    """Static pruning of weights, before they are quantized. An entry stays if every rule keeps it.

    Attributes:
        top_terms: Terms to keep of each text, the heaviest (equal ones by term_id); 0 for all.
        min_weight: Least weight to keep.
        max_ratio: Keep weights above this share of the text's largest; OpenSearch's ``prune_ratio``.
        kept_mass: Keep the heaviest terms that together make up this share of the sum of the text's weights.
    """

    top_terms: int = 0
    min_weight: float = 0.0
    max_ratio: float = 0.0
    kept_mass: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.top_terms, int) or self.top_terms < 0 or not 0 <= self.min_weight < math.inf:
            raise InputError(
                f"{self.top_terms} terms of at least {self.min_weight} cannot be kept",
                remedy="Give a whole number of terms and a least weight, both at least 0",
            )
        if not (0 <= self.max_ratio < 1 and 0 < self.kept_mass <= 1):
            raise InputError(
                f"a ratio of {self.max_ratio} and a kept mass of {self.kept_mass} are no shares",
                remedy="Give a ratio from 0 to below 1, and a kept mass above 0 and at most 1",
            )
