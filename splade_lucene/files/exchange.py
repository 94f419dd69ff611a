"""Replaces a folder by another one, atomically if possible, so that a reader finds either the old or the new one."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path

from splade_lucene.files.files import work_folder

_AT_FDCWD = -100  # paths are relative to the working folder
_EXCHANGE = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}


def exchange(first: Path, second: Path) -> bool:
    """Exchanges two files or folders of the same file system in one step.

    Returns:
        Whether they were exchanged; False if the operating system or the file system cannot do so.

    Raises:
        OSError: One of them does not exist, or may not be renamed.
    """
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    if sys.platform == "darwin":
        function, arguments = "renamex_np", (*names, ctypes.c_uint(_EXCHANGE))
    else:
        function, arguments = "renameat2", (_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_EXCHANGE))
    try:
        status = getattr(library, function)(*arguments)
    except AttributeError:  # the C library has no such function
        return False
    if status == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(second))


def replace_folder(built: Path, target: Path) -> None:
    """Gives a finished folder its name, and deletes what had it.

    Where two folders cannot be exchanged, the old one is moved aside for a moment (:func:`moved_aside`).

    Raises:
        OSError: A disk error.
    """
    old = moved_aside(target)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        if exchange(built, target):
            shutil.rmtree(built, ignore_errors=True)  # now the old folder; its readers keep its files open
            return
        target.replace(old)  # target does not exist until the next line; readers wait for it
    built.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def moved_aside(target: Path) -> Path:
    """Where the old folder of this name is between the last two steps of :func:`replace_folder`."""
    return work_folder(target, "replaced")
