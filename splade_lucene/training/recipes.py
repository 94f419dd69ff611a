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
        is_doc: Only documents are expanded; a query is the bag of its tokens.
        losses: What it is trained with, unless a configuration says otherwise.
        positives: How many of a query's best passages count as relevant: a contrastive loss believes what it is told, a
            teacher's scores tell them apart.
    """

    pooling: Pooling
    is_doc: bool
    losses: Losses
    positives: int


RECIPES: dict[RecipeName, Recipe] = {
    "splade": Recipe("sum", False, Losses(contrastive=1.0), 1),
    "splade-max": Recipe("max", False, Losses(contrastive=1.0), 1),
    "splade-doc": Recipe("max", True, Losses(contrastive=1.0), 1),
    "distilsplade-max": Recipe("max", False, Losses(in_batch_kl=1.0, margin_mse=0.05), 5),
}
"""Name, as in the paper's tables → system.

The paper distils by MarginMSE alone, over millions of triples. KL over all passages of a batch learns from far fewer steps;
``losses: {margin_mse: 1.0}`` is the paper's.
"""
