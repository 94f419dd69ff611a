"""The paper's four systems (arXiv 2109.10086) as data: what tells one from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_lucene.training.config import Losses

if TYPE_CHECKING:
    from splade_lucene.encoder.layout import Pooling
    from splade_lucene.training.config import RecipeName


@dataclass(frozen=True)
class Recipe:
    """One system.

    Attributes:
        pooling: How logits become a weight: ``sum`` (eq. 1) or ``max`` (eq. 6).
        is_doc: Only documents are expanded; a query is the bag of its tokens (section 3.3).
        losses: What it is trained with, unless a configuration says otherwise.
    """

    pooling: Pooling
    is_doc: bool
    losses: Losses


RECIPES: dict[RecipeName, Recipe] = {
    "splade": Recipe("sum", False, Losses(contrastive=1.0)),
    "splade-max": Recipe("max", False, Losses(contrastive=1.0)),
    "splade-doc": Recipe("max", True, Losses(contrastive=1.0)),
    "distilsplade-max": Recipe("max", False, Losses(margin_mse=1.0)),
}
"""Name, as in the paper's tables → system."""
