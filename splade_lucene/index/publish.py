"""Checks where an index may be written, and moves a finished index into place."""

from __future__ import annotations

import shutil
from pathlib import Path

from splade_lucene import jvm
from splade_lucene.errors import InputError
from splade_lucene.files import storage_error, work_folder
from splade_lucene.index.reader import is_index


def prepare_target(index_dir: Path, *, append: bool, overwrite: bool, can_append: bool = False) -> None:
    """Checks, before any work is done, that an index may be written here.

    Raises:
        InputError: The folder exists and must not be replaced, or append is set and it is not an index.
    """
    replaced = work_folder(index_dir.resolve(), "replaced")
    if is_index(replaced) and not index_dir.exists():
        replaced.replace(index_dir)  # an earlier build was interrupted between the last two steps of publish()
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
        with jvm.translated_exceptions(index_dir):
            jvm.facade("Index").checkUnlocked(jvm.java_path(index_dir))
        return
    raise InputError(
        "this exists and is not a Lucene index, so it is not replaced", path=index_dir, remedy="Use another folder"
    )


def publish(built: Path, index_dir: Path) -> None:
    """Moves a finished index into place, replacing an existing one."""
    old = work_folder(index_dir, "replaced")
    try:
        shutil.rmtree(old, ignore_errors=True)
        if index_dir.exists():
            index_dir.replace(old)
        built.replace(index_dir)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise storage_error(index_dir, error) from error
