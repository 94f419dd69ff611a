"""What a forked process cannot use any more, said at once.

``fork`` copies a process with one of its threads. A JVM or PyTorch's pool of threads that was in use before is then there
without the threads that do its work, and the first call waits for ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from splade_lucene.errors import ForkedProcessError


class ForkGuard:
    """Remembers whether something was in use when this process was forked off.

    Args:
        what: What is the case once it is in use, as a clause: "Java runs".
        is_in_use: Whether it is in use now.
    """

    def __init__(self, what: str, is_in_use: Callable[[], bool]) -> None:
        self._what, self._is_in_use = what, is_in_use
        self._is_lost = False
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._is_lost = self._is_lost or self._is_in_use()

    def check(self) -> None:
        """Refuses to go on if the process was forked while it was in use.

        Raises:
            ForkedProcessError: It was.
        """
        if self._is_lost:
            raise ForkedProcessError(
                f"this process was forked from one in which {self._what} already, and its threads were not copied. Start "
                'processes with multiprocessing.get_context("spawn") or "forkserver" (a DataLoader takes '
                'multiprocessing_context="spawn"), or fork before the first use.'
            )
