"""Where output goes: a new file that appears when it is complete, or a pipe, device or open descriptor.

Each process writes a file of its own, ``NAME.XXXXXXXX.partial``, which then replaces the file of that name. If several
processes write the same output, the last one to finish wins. Symbolic links are followed.
Anything but a regular file (``/dev/null``, a FIFO, ``/dev/stdout``, bash's ``>(…)``) is written to directly.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from splade_lucene.files.locks import is_still_at, lock

PARTIAL = r"\.[0-9a-f]{8}\.partial"
"""Regular expression for what follows the name of a file in that of its unfinished version."""

_DESCRIPTORS = re.compile(r"/dev/fd|/proc/(?P<process>[0-9]+)(?:/task/[0-9]+)?/fd")


@contextmanager
def output_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file, device or pipe for writing bytes. A regular file appears only if the block succeeds.

    Raises:
        OSError: The file cannot be written.
    """
    descriptor = _descriptor(path)
    if descriptor is not None:
        sys.stdout.flush()  # it may be our own standard output
        with open(os.dup(descriptor), "wb") as file:
            yield file
    elif _is_special(path):
        with open(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb") as file:
            yield file
    else:
        with _replacement(Path(os.path.realpath(path))) as file:
            yield file


def is_stream(path: Path) -> bool:
    """Whether a path names a pipe, a device or an open descriptor, which is written to as it is."""
    return _descriptor(path) is not None or _is_special(path)


def _descriptor(path: Path) -> int | None:
    """The descriptor of this process that a path such as ``/dev/stdout`` or ``/dev/fd/63`` names; else None."""
    for _ in range(40):  # the system's own limit of links
        folder = _DESCRIPTORS.fullmatch(os.path.realpath(path.parent))
        if folder and path.name.isdecimal() and folder["process"] in (None, str(os.getpid())):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _is_special(path: Path) -> bool:
    """Whether a path exists and is neither a regular file nor a folder."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def _replacement(target: Path) -> Iterator[BinaryIO]:
    delete_abandoned(target)
    partial = _Partial(target)
    try:
        with open(partial.create(), "wb", closefd=False) as file:
            yield file
        with suppress(FileNotFoundError):
            os.fchmod(partial.descriptor, stat.S_IMODE(target.stat().st_mode))
        partial.path.replace(target)
    except BaseException:
        partial.path.unlink(missing_ok=True)
        raise
    finally:
        partial.close()  # also releases the lock, without which another process would delete the file


class _Partial:
    """The file of this process. It is locked, if the file system can, so that only abandoned ones are deleted.

    Attributes:
        path: Its path, which is set before the file exists: an interrupt may come as soon as it does.
        descriptor: Its descriptor; -1 if it is not open.
    """

    def __init__(self, target: Path) -> None:
        self._target, self.descriptor = target, -1
        self._choose()

    def _choose(self) -> None:
        self.path = self._target.with_name(f"{self._target.name}.{secrets.token_hex(4)}.partial")

    def create(self) -> int:
        """Creates the file; returns its descriptor."""
        while True:
            self.descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            with suppress(OSError):
                lock(self.descriptor, wait=True)
            if is_still_at(self.path, self.descriptor):
                return self.descriptor
            self.close()
            self._choose()

    def close(self) -> None:
        """Closes the descriptor."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def delete_abandoned(target: Path) -> None:
    """Deletes the files of processes that were killed while they wrote the same file."""
    is_partial = re.compile(re.escape(target.name) + PARTIAL)
    with os.scandir(target.parent) as entries:
        found = [Path(entry.path) for entry in entries if is_partial.fullmatch(entry.name)]
    for path in found:
        with suppress(OSError):  # deleted meanwhile, or on a file system without locks
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if lock(descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)
