"""File locks between processes. The operating system releases them when a process ends for any reason."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Any


def lock(file: IO[Any] | int, *, wait: bool = False) -> bool:
    """Locks an open file for this process until the file is closed.

    Args:
        file: The file, or its descriptor.
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


def is_still_at(path: Path, descriptor: int) -> bool:
    """Whether a path still names an open file, which another process may have deleted before we locked it."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def lock_holder(path: Path) -> int | None:
    """The process that holds a lock of a file, as far as the operating system tells (Linux does); None if it is unknown.

    The file is not opened: that a process closes it would release a lock that this process holds.
    """
    try:
        status = path.stat()
        table = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    holders = []
    for line in table.splitlines():  # 1: POSIX  ADVISORY  WRITE 4711 08:01:131 0 EOF
        fields = line.split()
        if len(fields) < 8 or fields[1] == "->" or not fields[4].isdigit():
            continue  # a waiting process, or one of another system
        place, _, inode = fields[5].rpartition(":")
        if inode == str(status.st_ino):
            holders.append((place == device, int(fields[4])))
    sure = [process for is_sure, process in holders if is_sure]
    return sure[0] if sure else holders[0][1] if len(holders) == 1 else None


def process_text(process: int) -> str:
    """A process in words: its number, and how it was started."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        command = ""
    words = " ".join(command.split())  # on one line, even if an argument is a script
    return f"process {process}" + (f" ({words[:200]})" if words else "")


class LockFile:
    """A lock for one process and thread. Its file exists only while the lock is held.

    Args:
        path: The file. A symbolic link is not followed.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self._descriptor = -1

    def acquire(self, *, wait: bool = False) -> bool:
        """Takes the lock.

        Args:
            wait: Whether to wait until another holder releases it.

        Returns:
            Whether it was taken; False if it is held elsewhere.

        Raises:
            OSError: The file cannot be created.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                if not lock(descriptor, wait=wait):
                    return False
                if is_still_at(self.path, descriptor):
                    self._descriptor, descriptor = descriptor, -1
                    return True
            finally:
                if descriptor >= 0:
                    os.close(descriptor)

    def release(self) -> None:
        """Deletes the file and releases the lock."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
