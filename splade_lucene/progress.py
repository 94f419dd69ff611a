"""How a long job reports its progress: one protocol for encoding, indexing, searching, fetching and measuring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

Unit = Literal["documents", "queries", "pairs", "bytes"]
"""What a step counts."""


class Advance(Protocol):
    """Reports that more of a step is done."""

    def __call__(self, count: int, *, tokens: int = 0, resumed: bool = False) -> None:
        """Reports what was done since the last call.

        Args:
            count: How many of the step's units.
            tokens: The tokens in them, where they are counted.
            resumed: Whether an earlier run did this, so that it says nothing about speed.
        """
        ...


class Progress(Protocol):
    """Follows a job from step to step. The command line draws bars; anything with this method will do."""

    def step(self, title: str, total: int | None, unit: Unit) -> AbstractContextManager[Advance]:
        """Begins a step, which ends with the block.

        Args:
            title: What is done, such as ``encoding``.
            total: How many units there are; None if that is not known.
            unit: What is counted.
        """
        ...


class NoProgress:
    """Ignores all reports."""

    @contextmanager
    def step(self, title: str, total: int | None, unit: Unit) -> Iterator[Advance]:  # noqa: ARG002
        """Begins a step that nobody follows."""

        def advance(count: int, *, tokens: int = 0, resumed: bool = False) -> None:
            pass

        yield advance


NO_PROGRESS = NoProgress()
