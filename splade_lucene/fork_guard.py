"""Detects resources that do not survive a fork, so that a forked process fails at once instead of hanging.

``fork`` copies only one thread of a process. A JVM or PyTorch's thread pool that was in use before then lacks its threads
in the child, and the first call blocks forever.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from splade_lucene.errors import ForkedProcessError


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
