"""The paper's four systems (arXiv 2109.10086) as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_lucene.training.config import Losses

if TYPE_CHECKING:
    from splade_lucene.encoder.layout import Pooling
    from splade_lucene.training.config import RecipeName


@dataclass(frozen=True)
class Recipe:
    """One of the systems.

    Attributes:
        pooling: How logits are pooled into a weight: ``sum`` (eq. 1) or ``max`` (eq. 6).
        is_doc: Whether only documents are expanded, and a query is the bag of its tokens.
        losses: The default losses.
        positives: How many of a query's best passages count as relevant: one for a contrastive loss, which treats all
            positives as equally relevant; several with a teacher, whose scores distinguish them.
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

The paper distils with MarginMSE alone, over millions of triples. KL over all passages of a batch needs far fewer steps; for
the paper's setup, use ``losses: {margin_mse: 1.0}``.
"""
