"""Locks between processes, on files. The system lets go of them when a process ends, however it ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Any


def lock(file: IO[Any], *, wait: bool = False) -> bool:
    """Locks an open file for this process until the file is closed.

    Args:
        file: The file.
        wait: Wait until another process lets go of it.

    Returns:
        Whether it is locked; False if another process has it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a process has locked a file. A process that was killed has not."""
    try:
        with path.open() as file:
            return not lock(file)
    except OSError:
        return False
