"""Progress of a training run: reported to the caller, logged to a file as JSON lines, and drawn as curves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from splade_lucene.progress import Advance, Progress, Unit
from splade_lucene.training.curves import draw_curves

if TYPE_CHECKING:
    from splade_lucene.training.losses import RankingLoss
    from splade_lucene.training.network import ScoreScale
    from splade_lucene.training.probe import StopAtCollapse

Report = Callable[[str, int, int, Mapping[str, float]], None]
"""Called with the name of the current stage, the amount done, the total, and figures.

Figures of a step have ``seconds_left`` and, after a validation, its first measure, such as ``last nDCG@10``, and its step,
``last_validation``.
"""

VALIDATION = "validation"
FINAL = "final"


def no_report(_stage: str, _done: int, _total: int, _figures: Mapping[str, float]) -> None:
    """Ignores progress."""


class TrainingProgress:
    """Reports progress and logs figures.

    Args:
        report: Receives progress.
        log: The log file; lines are appended.

    Attributes:
        rounds: Number of rounds.
        round: The current round, from 1.
    """

    def __init__(self, report: Report, log: Path) -> None:
        self._report, self._log = report, log
        self._last_validation: dict[str, float] = {}
        self.round = self.rounds = 1

    def begin_round(self, number: int) -> None:
        """Begins a round, which has no validation yet."""
        self.round, self._last_validation = number, {}

    def report(self, stage: str, done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
        """Reports the progress of a stage."""
        self._report(stage, done, total, figures or {})

    def follow(self, purpose: str) -> Progress:
        """The progress of a job of the library, reported like all else.

        Args:
            purpose: What the job is for, which follows the name of each step.
        """
        return _Followed(self, purpose)

    def write(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        """Appends figures to the log as a JSON line."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as file:
            entry = {"time": round(time.time()), "stage": stage, "round": self.round, "step": step}
            file.write(json.dumps({**entry, **{key: float(f"{value:.6g}") for key, value in figures.items()}}) + "\n")

    def validated(self, step: int, figures: Mapping[str, float]) -> None:
        """Reports and logs a validation, and draws the curves so far."""
        measure = next(iter(figures))
        self._last_validation = {f"last {measure}": figures[measure], "last_validation": step}
        self.report(VALIDATION, step, step, figures)
        self.write(VALIDATION, step, figures)
        self.draw()

    def draw(self) -> None:
        """Draws the curves so far beside the log."""
        if self._log.is_file():
            draw_curves(self._log)

    def trained(self, stage: str, step: int, total: int, figures: Mapping[str, float], seconds_left: float) -> None:
        """Reports and logs the figures of a step."""
        title = stage if self.rounds == 1 else f"{stage}, round {self.round} of {self.rounds}"
        self.report(title, step, total, {**figures, **self._last_validation, "seconds_left": seconds_left})
        self.write(stage, step, figures)

    def callback(
        self, stage: str, ranking: RankingLoss | None = None, scale: ScoreScale | None = None,
        guard: StopAtCollapse | None = None,
    ) -> _Callback:  # fmt: skip
        """A callback for transformers' trainer."""
        return _Callback(self, stage, ranking, scale, guard)


class _Followed:
    def __init__(self, progress: TrainingProgress, purpose: str) -> None:
        self._progress, self._purpose = progress, purpose

    @contextmanager
    def step(self, title: str, total: int | None, unit: Unit) -> Iterator[Advance]:  # noqa: ARG002
        done = 0

        def advance(count: int, *, tokens: int = 0, resumed: bool = False) -> None:  # noqa: ARG001
            nonlocal done
            done += count
            self._progress.report(f"{title} {self._purpose}", done, total or done)

        yield advance


class _Callback(TrainerCallback):  # type: ignore[misc]
    """Reports and logs what transformers' trainer logs.

    Args:
        progress: Receives it.
        stage: Name of the stage.
        ranking: The loss, which has seen the last batch.
        scale: The scale of the student's scores.
        guard: Has measured the probe.
    """

    def __init__(
        self, progress: TrainingProgress, stage: str, ranking: RankingLoss | None, scale: ScoreScale | None,
        guard: StopAtCollapse | None,
    ) -> None:  # fmt: skip
        self._progress, self._stage, self._ranking, self._scale, self._guard = progress, stage, ranking, scale, guard
        self._began = (time.monotonic(), 0)

    def more_figures(self) -> dict[str, float]:
        """The figures of the last step that the trainer does not know."""
        figures: dict[str, float] = {}
        if self._ranking is not None:
            batch = self._ranking.observed
            figures |= {"query_terms": batch.query_terms, "document_terms": batch.document_terms, "flops": batch.flops}
        if self._guard is not None and self._guard.active is not None:
            active = self._guard.active
            figures |= {} if active.queries is None else {"probe_query_terms": active.queries}
            figures["probe_document_terms"] = active.documents
        if self._scale is not None:
            figures["score_scale"] = float(self._scale.value.detach())
        return figures

    def on_train_begin(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Starts the clock."""
        self._began = (time.monotonic(), state.global_step)

    def on_log(self, _args: Any, state: Any, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
        """Runs whenever the trainer logs figures."""
        figures = {key: float(value) for key, value in (logs or {}).items() if isinstance(value, int | float)}
        if "loss" not in figures:
            return  # a summary, or a validation, which is reported elsewhere
        began, first = self._began
        seconds = (time.monotonic() - began) / max(1, state.global_step - first)
        left = seconds * (state.max_steps - state.global_step)
        self._progress.trained(self._stage, state.global_step, state.max_steps, figures, left)
