"""File locks between processes. The operating system releases them when a process ends for any reason."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Any


def lock(file: IO[Any], *, wait: bool = False) -> bool:
    """Locks an open file for this process until the file is closed.

    Args:
        file: The file.
        wait: Whether to wait until other processes release it.

    Returns:
        Whether the file was locked; False if another process holds the lock.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a living process has locked a file."""
    try:
        with path.open() as file:
            return not lock(file)
    except OSError:
        return False
