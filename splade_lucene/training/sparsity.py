"""Schedule of the regularizer's weights: a quadratic ramp and, optionally, a slow controller."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentence_transformers.sparse_encoder.callbacks import SpladeRegularizerWeightSchedulerCallback

from splade_lucene.errors import StorageError
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.typed_data import make

if TYPE_CHECKING:
    from sentence_transformers.sparse_encoder.losses import SpladeLoss

    from splade_lucene.training.config import Sparsity
    from splade_lucene.training.losses import RankingLoss

_MEMORY = 0.95  # decay per step of the running means of active terms
_MOST, _LEAST = 1e3, 1e-3  # bounds of λ relative to its setting


@dataclass(frozen=True)
class _State:
    """The controller's state in a checkpoint, for queries and documents."""

    means: tuple[float, ...]
    factors: tuple[float, ...]


class SparsityController(SpladeRegularizerWeightSchedulerCallback):  # type: ignore[misc]
    """Raises λ quadratically (arXiv 2109.10086), and adapts it to a target number of active terms if one is set.

    In each step λ is multiplied by ``(terms / target) ** gain``, with a running mean of the terms. During the ramp it is only
    lowered: a model that is too sparse should not be regularized further, and one that is too dense is handled by the ramp
    itself. (Raised from the dense first steps on, λ overshoots, and terms that become inactive hardly ever return.) The state
    is saved in checkpoints.

    Args:
        loss: The complete loss, whose weights are adapted.
        ranking: The ranking part of the loss, which observes the batches.
        settings: Weights, ramp and targets.
    """

    def __init__(self, loss: SpladeLoss, ranking: RankingLoss, settings: Sparsity) -> None:
        super().__init__(loss, "quadratic", settings.ramp)
        self._ranking, self._settings = ranking, settings
        self._first: tuple[float | None, float] = (loss.query_regularizer_weight, loss.document_regularizer_weight)
        self._means: list[float] = []
        self._factors = [1.0, 1.0]

    @property
    def adapted(self) -> dict[str, float]:
        """The settings that are adapted to a number of terms, with the present λ at the end of the ramp."""
        sides = [
            ("query_weight", self._settings.query_terms, self.max_query_regularizer_weight),
            ("document_weight", self._settings.document_terms, self.max_document_regularizer_weight),
        ]
        return {name: weight for name, terms, weight in sides if terms and weight}

    def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Saves the state in each checkpoint."""
        with atomic_text_writer(_state_file(args, state)) as file:
            json.dump({"means": self._means, "factors": self._factors}, file)

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Starts, or resumes from the state in a checkpoint."""
        super().on_train_begin(args, state, control, **others)
        if state.global_step:
            self._resume(_state_file(args, state))
            self._apply()

    def _resume(self, path: Path) -> None:
        try:
            saved = make(_State, parse_json(path.read_text(encoding="utf-8")))
            if len(saved.means) not in (0, 2) or len(saved.factors) != 2:
                raise ValueError("expected two means and two factors")
        except (OSError, ValueError) as error:
            raise StorageError(
                f"{path}: damaged ({error}). Delete this checkpoint's folder and train again."
            ) from error
        self._means, self._factors = list(saved.means), list(saved.factors)

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        """Adapts λ after each step."""
        current = [self._ranking.observed.query_terms, self._ranking.observed.document_terms]
        means = self._means or current
        self._means = [_MEMORY * mean + (1 - _MEMORY) * terms for mean, terms in zip(means, current, strict=True)]
        targets = (self._settings.query_terms, self._settings.document_terms)
        highest = 0.0 if state.global_step < self._settings.ramp * state.max_steps else math.inf
        for side, target in enumerate(targets):
            if target is not None:
                change = min(highest, self._settings.gain * math.log(max(self._means[side], 1.0) / target))
                self._factors[side] = min(_MOST, max(_LEAST, self._factors[side] * math.exp(change)))
        self._apply()

    def _apply(self) -> None:
        queries, documents = self._first
        self.max_query_regularizer_weight = None if queries is None else queries * self._factors[0]
        self.max_document_regularizer_weight = documents * self._factors[1]


def _state_file(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / "sparsity.json"
