"""Resources that belong to one process: they do not survive a fork, and cannot be pickled.

``fork`` copies only one thread of a process. A JVM or PyTorch's thread pool that was in use before then lacks its threads
in the child, and the first call blocks forever. A forked process therefore fails at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

from splade_lucene.errors import ForkedProcessError, ProcessBoundError


class ForkGuard:
    """Remembers whether a resource was in use when this process was forked.

    Args:
        usage: Clause that describes a process using the resource, such as "Java ran".
        is_in_use: Whether the resource is in use now.
    """

    def __init__(self, usage: str, is_in_use: Callable[[], bool]) -> None:
        self._usage, self._is_in_use = usage, is_in_use
        self._is_lost = False
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._is_lost = self._is_lost or self._is_in_use()

    @property
    def is_lost(self) -> bool:
        """Whether the resource was in use when this process was forked, so that it cannot be used."""
        return self._is_lost

    def check(self) -> None:
        """Raises an error if the resource was in use when the process was forked.

        Raises:
            ForkedProcessError: The resource was in use.
        """
        if self._is_lost:
            raise ForkedProcessError(
                f"this process was forked from one in which {self._usage}, and a fork does not copy its threads. Start "
                'processes with multiprocessing.get_context("spawn") or "forkserver" (for a DataLoader, '
                'multiprocessing_context="spawn"), or fork before the first use.'
            )


class ProcessBound:
    """Base class of objects that belong to one process, and refuse to be pickled and copied."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise ProcessBoundError(
            f"this {name} belongs to one process, so it cannot be pickled or copied. Pass the arguments of {name} to the "
            "worker process, and open it in the worker."
        )
