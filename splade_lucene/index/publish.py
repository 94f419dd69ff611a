"""Checks where an index may be written, and moves a finished index into place."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splade_lucene import jvm
from splade_lucene.errors import InputError
from splade_lucene.files.exchange import moved_aside, replace_folder
from splade_lucene.files.files import sole_writer, storage_error, work_folder
from splade_lucene.files.locks import lock_holder, process_text
from splade_lucene.index.reader import is_index

_UNCOMMITTED = re.compile(r"write\.lock|pending_segments_\w+|_[0-9a-z]+[._].*")
"""Files of Lucene that no commit refers to, where there is no commit."""


@contextmanager
def sole_builder(index_dir: Path) -> Iterator[None]:
    """Keeps other processes and threads from building the same index while the block runs.

    Also restores an index that an interrupted build had moved aside.

    Raises:
        InputError: Another process is building this index.
        StorageError: The lock file beside the index cannot be created.
    """
    index_dir = index_dir.resolve()
    jvm.java_path(index_dir)  # refuse a path that Java cannot open before any work
    with sole_writer(index_dir, lambda: _busy(index_dir)):
        if is_interrupted(index_dir):
            moved_aside(index_dir).replace(index_dir)
        yield


def _busy(index_dir: Path) -> InputError:
    holder = lock_holder(work_folder(index_dir, "lock"))
    who = "another thread of this process" if holder == os.getpid() else "another process"
    named = "" if holder in (None, os.getpid()) else f": {process_text(holder)}"
    return InputError(
        f"{who} is building this index{named}", path=index_dir, remedy="Wait for it, or use another folder"
    )


def is_interrupted(index_dir: Path) -> bool:
    """Whether an earlier build was interrupted between the last two steps of :func:`publish`."""
    return not index_dir.exists() and is_index(moved_aside(index_dir))


def prepare_target(index_dir: Path, *, append: bool, overwrite: bool, can_append: bool = False) -> None:
    """Checks, before any work is done, that an index may be written here.

    Raises:
        InputError: The folder exists and must not be replaced, or append is set and it is not an index.
    """
    if is_interrupted(index_dir.resolve()):
        with sole_builder(index_dir):
            pass
    if append:
        if not is_index(index_dir):
            raise InputError(
                "cannot append: this folder is not an index",
                path=index_dir,
                remedy="Build it without append=True first",
            )
        return
    if not index_dir.exists() or (index_dir.is_dir() and not any(index_dir.iterdir())):
        return
    if is_index(index_dir):
        if not overwrite:
            raise InputError(
                "an index exists here",
                path=index_dir,
                remedy="Pass overwrite=True to replace it" + (", or append=True to add to it" if can_append else ""),
            )
        _check_unlocked(index_dir)
        return
    if (index_dir / "write.lock").is_file():
        _check_unlocked(index_dir)  # Lucene may be writing a new index here, not recognizable before its first commit
        if all(_UNCOMMITTED.fullmatch(each.name) for each in index_dir.iterdir()):
            return  # what a process that ended before its first commit left behind
    raise InputError(
        "this exists and is not a Lucene index, so it is not replaced", path=index_dir, remedy="Use another folder"
    )


def _check_unlocked(index_dir: Path) -> None:
    with jvm.translated_exceptions(index_dir):
        jvm.facade("Index").checkUnlocked(jvm.java_path(index_dir))


def publish(built: Path, index_dir: Path, *, overwrite: bool) -> None:
    """Moves a finished index into place, replacing an existing one if ``overwrite`` is set.

    Raises:
        InputError: An index was created here meanwhile, and ``overwrite`` is not set.
        StorageError: Another process is writing to the existing index, or a disk error.
    """
    try:
        prepare_target(index_dir, append=False, overwrite=overwrite)
    except BaseException:
        shutil.rmtree(built, ignore_errors=True)
        raise
    try:
        with _locked(index_dir):
            replace_folder(built, index_dir)
    except OSError as error:
        raise storage_error(index_dir, error) from error


@contextmanager
def _locked(index_dir: Path) -> Iterator[None]:
    """Keeps other writers from an index that is replaced.

    Raises:
        StorageError: Another process is writing to it.
    """
    if not is_index(index_dir):
        yield
        return
    java = jvm.facade("Index")
    with jvm.translated_exceptions(index_dir):
        lock = java.lock(jvm.java_path(index_dir))
    try:
        yield
    finally:
        with jvm.translated_exceptions(index_dir):
            java.unlock(lock)
