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
        losses: What it is trained with, unless a configuration says otherwise.
        is_doc: Only documents are expanded; a query is the bag of its tokens.
        positives: How many of a query's best passages count as relevant: a contrastive loss believes what it is told, a
            teacher's scores tell them apart.
    """

    pooling: Pooling
    losses: Losses
    is_doc: bool = False
    positives: int = 1


RECIPES: dict[RecipeName, Recipe] = {
    "splade": Recipe("sum", losses=Losses(contrastive=1.0)),
    "splade-max": Recipe("max", losses=Losses(contrastive=1.0)),
    "splade-doc": Recipe("max", losses=Losses(contrastive=1.0), is_doc=True),
    "distilsplade-max": Recipe("max", losses=Losses(in_batch_kl=1.0, margin_mse=0.05), positives=5),
}
"""Name, as in the paper's tables → system.

The paper distils by MarginMSE alone, over millions of triples. KL over all passages of a batch learns from far fewer steps;
``losses: {margin_mse: 1.0}`` is the paper's.
"""
