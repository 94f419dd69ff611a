"""The progress protocol of long-running jobs: encoding, indexing, searching, downloading and measuring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

Unit = Literal["documents", "queries", "pairs", "files", "bytes"]
"""The unit in which a step is counted."""


class Advance(Protocol):
    """Reports progress within a step."""

    def __call__(self, count: int, *, tokens: int = 0, resumed: bool = False) -> None:
        """Reports what was done since the last call.

        Args:
            count: Number of units done.
            tokens: Number of tokens in them, if tokens are counted.
            resumed: Whether an earlier run did this work, so that it must not count towards the speed.
        """
        ...


class Progress(Protocol):
    """Reports the progress of a job step by step. The command line draws bars; any object with this method works."""

    def step(self, title: str, total: int | None, unit: Unit) -> AbstractContextManager[Advance]:
        """Begins a step, which ends with the ``with`` block.

        Args:
            title: Name of the step, such as ``encoding``.
            total: Total number of units; None if unknown.
            unit: The unit.
        """
        ...


class NoProgress:
    """Ignores all reports."""

    @contextmanager
    def step(self, title: str, total: int | None, unit: Unit) -> Iterator[Advance]:  # noqa: ARG002
        """Begins a step without reporting it."""

        def advance(count: int, *, tokens: int = 0, resumed: bool = False) -> None:
            pass

        yield advance


NO_PROGRESS = NoProgress()
