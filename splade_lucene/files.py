"""Text files, gzipped if their names end in ``.gz``: opened in one place, and written whole or not at all."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from splade_lucene.errors import StorageError


def open_text(path: Path) -> TextIO:
    """Opens a text file for reading, as UTF-8, without changing line ends."""
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8", newline="\n"))
    return path.open(encoding="utf-8", newline="\n")


@contextmanager
def written_whole(path: Path) -> Iterator[TextIO]:
    """Opens a text file for writing. It appears under its name when the block ends well, and else not at all.

    Raises:
        StorageError: The place cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _open_for_writing(partial, compress=path.suffix == ".gz") as file:
                yield file
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error(path, error) from error


def _open_for_writing(path: Path, *, compress: bool) -> TextIO:
    if compress:
        return cast(TextIO, gzip.open(path, "wt", 5, encoding="utf-8"))
    return path.open("w", encoding="utf-8")


def storage_error(path: Path, error: OSError) -> StorageError:
    """The error to raise where the disk refused to write."""
    reason = error.strerror or str(error)
    return StorageError(f"{path}: cannot write ({reason}). Check the disk's space and the folder's permissions.")
