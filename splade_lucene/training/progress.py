"""Progress of a training run: reported to the caller, and logged to a file as JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from splade_lucene.progress import Advance, Progress, Unit

if TYPE_CHECKING:
    from splade_lucene.training.losses import RankingLoss
    from splade_lucene.training.network import ScoreScale

Report = Callable[[str, int, int, Mapping[str, float]], None]
"""Called with the name of the current stage, the amount done, the total, and figures."""


def no_report(_stage: str, _done: int, _total: int, _figures: Mapping[str, float]) -> None:
    """Ignores progress."""


class TrainingProgress:
    """Reports progress and logs figures.

    Args:
        report: Receives progress.
        log: The log file; lines are appended.
    """

    def __init__(self, report: Report, log: Path) -> None:
        self._report, self._log = report, log

    def report(self, stage: str, done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
        """Reports the progress of a stage."""
        self._report(stage, done, total, figures or {})

    def follow(self, purpose: str) -> Progress:
        """The progress of a job of the library, reported like all else.

        Args:
            purpose: What the job is for, which is put behind the name of each step.
        """
        return _Followed(self, purpose)

    def write(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        """Appends figures to the log as a JSON line."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as file:
            entry = {"time": round(time.time()), "stage": stage, "step": step}
            file.write(json.dumps({**entry, **{key: float(f"{value:.6g}") for key, value in figures.items()}}) + "\n")

    def callback(
        self, stage: str, ranking: RankingLoss | None = None, scale: ScoreScale | None = None
    ) -> TrainerCallback:
        """A callback for transformers' trainer."""
        return _Callback(self, stage, ranking, scale)


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
    def __init__(
        self, progress: TrainingProgress, stage: str, ranking: RankingLoss | None, scale: ScoreScale | None
    ) -> None:
        self._progress, self._stage, self._ranking, self._scale = progress, stage, ranking, scale

    def on_log(self, _args: Any, state: Any, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
        figures = {key: float(value) for key, value in (logs or {}).items() if isinstance(value, int | float)}
        if self._ranking is not None and "loss" in figures:
            batch = self._ranking.observed
            figures |= {"query_terms": batch.query_terms, "document_terms": batch.document_terms, "flops": batch.flops}
        if self._scale is not None and "loss" in figures:
            figures["score_scale"] = float(self._scale.value.detach())
        self._progress.report(self._stage, state.global_step, state.max_steps, figures)
        self._progress.write(self._stage, state.global_step, figures)
