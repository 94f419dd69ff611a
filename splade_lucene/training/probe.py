"""Watches a few fixed texts during training, so that a model that has lost all its terms is noticed while it can be saved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import TrainerCallback

from splade_lucene.errors import TrainingError

if TYPE_CHECKING:
    from splade_lucene.training.config import TrainingConfig
    from splade_lucene.training.examples import Texts
    from splade_lucene.training.losses import RankingLoss
    from splade_lucene.training.network import Student

_TEXTS = 4  # per side
_SAME = 1e-5
"""Up to this share of the greatest weight, differences are those of rounding."""


@dataclass(frozen=True)
class Active:
    """Mean numbers of active terms; NaN if a weight is not finite.

    Attributes:
        queries: Of a query; None for SPLADE-doc, whose queries are not trained.
        documents: Of a passage.
        is_constant: Whether all passages have the same weights.
    """

    queries: float | None
    documents: float
    is_constant: bool = False

    @property
    def fault(self) -> str | None:
        """What is wrong; None if both sides have terms."""
        sides = [("queries", self.queries), ("passages", self.documents)]
        bad = [name for name, terms in sides if terms is not None and math.isnan(terms)]
        if bad:
            return f"weights of {' and '.join(bad)} are not finite"
        empty = [name for name, terms in sides if terms == 0]
        if empty:
            return f"{' and '.join(empty)} have no active terms"
        return "all passages have the same weights" if self.is_constant else None


class Probe:
    """A few queries and passages of the training data.

    Args:
        student: The model being trained.
        texts: All texts.
        rows: Rows of queries and passages in the order of training; shape [examples, 1 + passages].
        seed: The random seed.
    """

    def __init__(self, student: Student, texts: Texts, rows: NDArray[np.int32], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._student = student
        self._queries = [texts.queries[row] for row in _drawn(rows[:, 0], rng)]
        self._passages = [texts.passages[row] for row in _drawn(rows[:, 1:], rng)]

    @torch.no_grad()
    def measure(self) -> Active:
        """The active terms at this moment. Draws no random numbers and leaves the model in training."""
        encoder = self._student.encoder
        try:
            documents = _encode(encoder.encode_document, self._passages)
            is_constant = len(documents) > 1 and _spread(documents) <= _SAME * float(documents.max())
            queries = None if self._student.is_doc else _active(_encode(encoder.encode_query, self._queries))
            return Active(queries, _active(documents), is_constant)
        finally:
            encoder.train()


class StopAtCollapse(TrainerCallback):  # type: ignore[misc]
    """Stops the training before a model without active terms is logged, validated or saved.

    Args:
        probe: The texts that are watched.
        ranking: The loss, which sees each batch.
        config: The training run, whose settings the error names.
    """

    def __init__(self, probe: Probe, ranking: RankingLoss, config: TrainingConfig) -> None:
        self._probe, self._ranking, self._config = probe, ranking, config
        self._since: int | None = None
        self.active: Active | None = None

    def on_train_begin(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Rejects a base without active terms, which no gradient could change."""
        self.active = self._probe.measure()
        if self.active.fault and not state.global_step:
            raise TrainingError(
                f"before the first step, {self.active.fault}. Set head.initial_terms, or use another base."
            )

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Runs after each step."""
        batch = self._ranking.observed
        is_empty = batch.document_terms == 0 or batch.query_terms == 0
        self._since = (self._since or state.global_step) if is_empty else None
        if not (control.should_log or control.should_save or control.should_evaluate):
            return
        self.active = self._probe.measure()
        if self.active.fault:
            since = self._since or state.global_step
            raise TrainingError(f"{self.active.fault} since step {since} (of {state.max_steps}). {self._remedy()}")

    def _remedy(self) -> str:
        sparsity, rates = self._config.sparsity, self._config.optimization
        return (
            f"Lower sparsity.query_weight ({sparsity.query_weight:g}) and document_weight ({sparsity.document_weight:g}), or "
            f"optimization.learning_rate ({rates.learning_rate:g}) and head_learning_rate ({rates.head_learning_rate:g}), "
            "and restart with overwrite=True."
        )


def _drawn(rows: NDArray[np.int32], rng: np.random.Generator) -> list[int]:
    distinct = np.unique(rows)
    drawn: list[int] = rng.choice(distinct, min(_TEXTS, len(distinct)), replace=False).tolist()
    return drawn


def _encode(encode: Any, texts: list[str]) -> Tensor:
    weights: Tensor = encode(texts, convert_to_sparse_tensor=False, show_progress_bar=False)
    return weights


def _active(weights: Tensor) -> float:
    return float((weights > 0).sum(dim=1).float().mean()) if bool(weights.isfinite().all()) else math.nan


def _spread(weights: Tensor) -> float:
    """The largest difference between two texts' weights of a term."""
    return float((weights.amax(dim=0) - weights.amin(dim=0)).max())
