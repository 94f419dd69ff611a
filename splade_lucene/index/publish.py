"""Where an index may be put, and how a finished one gets its name, in place of an older one if need be."""

from __future__ import annotations

import shutil
from pathlib import Path

from splade_lucene import jvm
from splade_lucene.errors import InputError
from splade_lucene.files import storage_error, work_folder
from splade_lucene.index.reader import is_index


def prepare_target(index_dir: Path, *, append: bool, overwrite: bool) -> None:
    """Checks, before any work is done, that an index may be put at this place.

    Raises:
        InputError: Something is there that must not be replaced, or nothing to append to.
    """
    put_aside = work_folder(index_dir.resolve(), "replaced")
    if is_index(put_aside) and not index_dir.exists():
        put_aside.replace(index_dir)  # an earlier build was cut off between its last two steps
    if append:
        if not is_index(index_dir):
            raise InputError(
                "there is no index to append to", path=index_dir, remedy="Build it without append=True first"
            )
        return
    if not index_dir.exists() or (index_dir.is_dir() and not any(index_dir.iterdir())):
        return
    if is_index(index_dir):
        if not overwrite:
            raise InputError(
                "an index exists here",
                path=index_dir,
                remedy="Pass overwrite=True to replace it, or append=True to add to it",
            )
        with jvm.translated_exceptions(index_dir):
            jvm.facade("Index").checkUnlocked(jvm.java_path(index_dir))
        return
    raise InputError(
        "this exists and is not a Lucene index, so it is not replaced", path=index_dir, remedy="Name another folder"
    )


def publish(built: Path, index_dir: Path) -> None:
    """Moves a finished index to its name, in place of an older one."""
    old = work_folder(index_dir, "replaced")
    try:
        shutil.rmtree(old, ignore_errors=True)
        if index_dir.exists():
            index_dir.replace(old)
        built.replace(index_dir)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise storage_error(index_dir, error) from error
