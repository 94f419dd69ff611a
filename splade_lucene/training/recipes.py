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
        losses: The default losses.
        is_doc: Whether only documents are expanded, and a query is the bag of its tokens.
        positives: How many of a query's best passages count as relevant: one for a contrastive loss, which treats all
            positives as equally relevant; several with a teacher, whose scores distinguish them.
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

The paper distils with MarginMSE alone, over millions of triples. KL over all passages of a batch needs far fewer steps; for
the paper's setup, use ``losses: {margin_mse: 1.0}``.
"""
