"""A progress that keeps what was reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from splade_lucene.progress import Advance, Unit


class RecordedProgress:
    """Keeps steps and reports.

    Attributes:
        steps: Title, total and unit of each step.
        reports: Count, tokens and resumed of each report.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None, Unit]] = []
        self.reports: list[tuple[int, int, bool]] = []

    @contextmanager
    def step(self, title: str, total: int | None, unit: Unit) -> Iterator[Advance]:
        self.steps.append((title, total, unit))

        def advance(count: int, *, tokens: int = 0, resumed: bool = False) -> None:
            self.reports.append((count, tokens, resumed))
            self.on_report(count)

        yield advance

    def on_report(self, count: int) -> None:
        """Called with each report; for tests that interrupt a job."""
