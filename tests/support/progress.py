"""A progress that keeps what was reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from splade_lucene.progress import Advance, Unit


class RecordedProgress:
    """Keeps steps and reports.

    Args:
        on_report: Called with the count of each report; for tests that interrupt a job.

    Attributes:
        steps: Title, total and unit of each step.
        reports: Count, tokens and resumed of each report.
    """

    def __init__(self, on_report: Callable[[int], object] | None = None) -> None:
        self._on_report = on_report
        self.steps: list[tuple[str, int | None, Unit]] = []
        self.reports: list[tuple[int, int, bool]] = []

    @contextmanager
    def step(self, title: str, total: int | None, unit: Unit) -> Iterator[Advance]:
        self.steps.append((title, total, unit))

        def advance(count: int, *, tokens: int = 0, resumed: bool = False) -> None:
            self.reports.append((count, tokens, resumed))
            if self._on_report:
                self._on_report(count)

        yield advance
