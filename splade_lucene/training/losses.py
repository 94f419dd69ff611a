"""The ranking losses: those of sentence-transformers, with a teacher, a score scale, and masked pairs.

In the contrastive loss, known positives of a query are not its negatives. In the distilled losses, a pair without a
teacher's score is masked: MarginMSE is the mean over the other margins, and both divergences compare distributions over
the passages that the teacher scores, of queries with at least two of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from sentence_transformers.sparse_encoder import losses as st_losses
from torch import Tensor, nn

from splade_lucene.errors import TrainingError
from splade_lucene.training.example_scorer import scores_of_batch

if TYPE_CHECKING:
    from sentence_transformers import SparseEncoder

    from splade_lucene.training.config import Losses
    from splade_lucene.training.known_positives import KnownPositives
    from splade_lucene.training.network import ScoreScale
    from splade_lucene.training.teachers import Scorer


@dataclass
class Observed:
    """Statistics of the last batch.

    Attributes:
        query_terms: Mean number of active terms per query.
        document_terms: Mean number of active terms per passage.
        flops: Multiplications for an average query and an average passage: the sum over terms of the fraction of queries
            times the fraction of passages in which the term is active (arXiv 2004.05665).
    """

    query_terms: float = 0.0
    document_terms: float = 0.0
    flops: float = 0.0


class RankingLoss(nn.Module):
    """The ranking part of the loss; :class:`SpladeLoss` adds the regularization.

    Args:
        model: The student.
        weights: The weight of each loss.
        scale: The learnable scale of the student's scores.
        teacher: Scores pairs; needed by all losses except the contrastive one.
        temperature: Divisor of the teacher's scores.
        known: The known positives to mask in the contrastive loss; None to mask nothing.
    """

    def __init__(
        self, model: SparseEncoder, weights: Losses, scale: ScoreScale, teacher: Scorer | None, temperature: float,
        known: KnownPositives | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._known, self._masked = known, torch.zeros(0)
        self.weights, self.teacher, self.temperature = weights, teacher, temperature
        self._scale = [scale]  # in a list: its parameter belongs to the model and must not be registered twice
        self.contrastive = st_losses.SparseMultipleNegativesRankingLoss(
            model, scale=1.0, similarity_fct=self._unmasked_pairs
        )
        self.margin_mse = st_losses.SparseMarginMSELoss(model, similarity_fct=self._pairs)
        self.kl = st_losses.SparseDistillKLDivLoss(model, similarity_fct=self._pairs, temperature=1.0)
        self.observed = Observed()

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Computes :meth:`losses`, and first the statistics of the batch (:attr:`observed`)."""
        self._observe(embeddings)
        return self.losses(embeddings, labels)

    def losses(self, embeddings: list[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Computes the losses with a weight above 0, each multiplied by its weight.

        Args:
            embeddings: Weights of the queries, then of the first, second … passages; each of shape [queries, terms].
            labels: Rows of each query and its passages; shape [queries, 1 + passages].

        Raises:
            TrainingError: A loss is not finite.
        """
        found: dict[str, Tensor] = {}
        rows = labels.cpu().numpy()
        if self.weights.contrastive:
            if self._known is not None:
                self._masked = torch.from_numpy(self._known.mask(rows)).to(embeddings[0].device)
            found["contrastive"] = self.weights.contrastive * self.contrastive.compute_loss_from_embeddings(
                embeddings, None
            )
        if self.weights.is_distilled:
            assert self.teacher is not None
            # columns: the first passages of all queries, then the second ones …, in the same order as the student's
            scores = torch.from_numpy(scores_of_batch(self.teacher, rows))
            scores = (scores / self.temperature).to(embeddings[0].device)
            found |= self._distilled(embeddings, scores)
        for name, loss in found.items():
            if not bool(torch.isfinite(loss)):
                raise TrainingError(
                    f"the loss {name} is {loss.item()}. Lower optimization.learning_rate or head_learning_rate, or use "
                    "precision: float32, and pass overwrite=True to restart the training."
                )
        return found

    def _distilled(self, embeddings: list[Tensor], scores: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        count, passages = len(embeddings[0]), len(embeddings) - 1
        own = scores.view(count, passages, count).diagonal(dim1=0, dim2=2).T
        if self.weights.margin_mse:
            found["margin_mse"] = self.weights.margin_mse * self._margin_mse(embeddings, own)
        if self.weights.kl:
            found["kl"] = self.weights.kl * self._kl(embeddings, own)
        if self.weights.in_batch_kl:
            student = self._all_pairs(embeddings[0], torch.cat(embeddings[1:]))
            found["in_batch_kl"] = self.weights.in_batch_kl * divergence(student, scores)
        return found

    def _margin_mse(self, embeddings: list[Tensor], own: Tensor) -> Tensor:
        counts = ~torch.isnan(own)
        if bool(counts.all()):
            loss: Tensor = self.margin_mse.compute_loss_from_embeddings(embeddings, own)
            return loss
        student = self._own_pairs(embeddings)
        taught = own.nan_to_num()
        errors = (student[:, :1] - student[:, 1:]) - (taught[:, :1] - taught[:, 1:])
        is_margin = counts[:, :1] & counts[:, 1:]
        return errors.masked_fill(~is_margin, 0.0).pow(2).sum() / is_margin.sum().clamp(min=1)

    def _kl(self, embeddings: list[Tensor], own: Tensor) -> Tensor:
        if bool(torch.isnan(own).any()):
            return divergence(self._own_pairs(embeddings), own)
        loss: Tensor = self.kl.compute_loss_from_embeddings(embeddings, own)
        return loss

    def _own_pairs(self, embeddings: list[Tensor]) -> Tensor:
        """The student's scores of each query's own passages; shape [queries, passages]."""
        return torch.stack([self._pairs(embeddings[0], passages) for passages in embeddings[1:]], dim=1)

    def _unmasked_pairs(self, queries: Tensor, passages: Tensor) -> Tensor:
        logits = self._all_pairs(queries, passages)
        return logits if self._known is None else logits.masked_fill(self._masked, -torch.inf)

    def _all_pairs(self, queries: Tensor, passages: Tensor) -> Tensor:
        return self._scale[0].value * (queries @ passages.T)

    def _pairs(self, queries: Tensor, passages: Tensor) -> Tensor:
        return self._scale[0].value * (queries * passages).sum(dim=1)

    @torch.no_grad()
    def _observe(self, embeddings: list[Tensor]) -> None:
        queries = (embeddings[0] > 0).float()
        documents = (torch.cat(embeddings[1:]) > 0).float()
        self.observed = Observed(
            float(queries.sum(dim=1).mean()), float(documents.sum(dim=1).mean()),
            float(queries.mean(dim=0) @ documents.mean(dim=0)),
        )  # fmt: skip


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of the student's distribution from the teacher's, over the pairs with a teacher's score.

    Args:
        student: The student's scores; shape [queries, passages].
        teacher: The teacher's; NaN where there is none.

    Returns:
        The mean over the queries with at least two scores; 0 if no query has two.
    """
    is_scored = ~torch.isnan(teacher)
    is_scored &= (is_scored.sum(dim=1) > 1)[:, None]
    if bool(is_scored.all()):
        return nn.functional.kl_div(student.log_softmax(dim=1), teacher.softmax(dim=1), reduction="batchmean")
    counted = is_scored.any(dim=1)
    if not bool(counted.any()):
        return 0.0 * student.sum()
    student, teacher, is_scored = student[counted], teacher[counted], is_scored[counted]
    logarithms = student.masked_fill(~is_scored, -torch.inf).log_softmax(dim=1).masked_fill(~is_scored, 0.0)
    taught = teacher.masked_fill(~is_scored, -torch.inf).softmax(dim=1)
    return nn.functional.kl_div(logarithms, taught, reduction="batchmean")
