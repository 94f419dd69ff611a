"""The accelerator of an index: its postings once more, in the form in which the searcher holds them.

A searcher that finds it reads a term's postings where it would decode Lucene's, and finds the same hits.
It is one file a segment, in the folder ``splade_lucene/accelerator`` of the index, where Lucene and Pyserini pass it
over; or, of an index that cannot be written to, in the user's cache. Each file names its segment by Lucene's id, and carries
checksums: one that is damaged, or of another version, is not used.
"""

from __future__ import annotations

import os
from pathlib import Path

from splade_lucene import jvm
from splade_lucene.errors import InputError, StorageError
from splade_lucene.files import cache_folder, storage_error
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.manifest import INDEX_FOLDER

FOLDER = f"{INDEX_FOLDER}/accelerator"
LIMIT_FILE = "max_bytes"
_NO_LIMIT = 2**63 - 1


def accelerator_folders(index_dir: Path) -> list[Path]:
    """Where the files of an index's accelerator may be, first those beside the index."""
    return [index_dir / FOLDER, cache_folder() / "accelerators"]


def accelerate(index_dir: str | Path, folder: str | Path | None = None, *, max_bytes: int | None = None) -> Path:
    """Makes the accelerator of an index, ours or any other impact index, in place of an older one.

    It takes nearly twice the space of the index itself, 3.5 bytes a posting, and some seconds a million documents.
    Our indexers keep it up to date; what other software adds is searched without one until this is called again.

    Args:
        index_dir: The index.
        folder: Where to write. Default: in the index, or the user's cache if that cannot be written to.
        max_bytes: What it may take on disk, at least 0, but for its list of terms: it then has the postings of the commonest
            terms, and those of the others are decoded from Lucene's. None: room for all.

    Returns:
        The folder.

    Raises:
        InputError: ``max_bytes`` is negative or beyond all disks.
        NotAnIndexError: No impact index there.
        StorageError: The disk refused.
    """
    if max_bytes is not None and not 0 <= max_bytes < _NO_LIMIT:
        raise InputError(f"max_bytes must be at least 0, got {max_bytes}")
    index_dir = Path(index_dir)
    with LuceneImpactIndexReader(index_dir) as reader:
        target = Path(folder) if folder else _writable_folder(index_dir)
        return accelerate_segments(reader, target, rebuild=True, max_bytes=max_bytes)


def accelerate_segments(
    reader: LuceneImpactIndexReader, folder: Path, *, rebuild: bool, max_bytes: int | None = None
) -> Path:
    """Makes the files of all segments, or of those that have none, within the size limit that was set before.

    Clears the files of segments that are gone; but not in a folder other than the index's own, for other indexes' files may be
    there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    is_own = folder.resolve() == (reader.index_dir / FOLDER).resolve()
    if is_own and rebuild:
        _write_limit(folder / LIMIT_FILE, max_bytes)
    elif is_own:
        max_bytes = _read_limit(folder / LIMIT_FILE)
    with jvm.translated_exceptions(folder):
        limit = _NO_LIMIT if max_bytes is None else max_bytes
        jvm.facade("Index").accelerate(reader.java, str(folder), rebuild, is_own, limit)
    return folder


def has_accelerator(index_dir: Path) -> bool:
    """Whether there is one in the index, be it of older segments."""
    return any((index_dir / FOLDER).glob("*.postings"))


def accelerator_bytes(reader: LuceneImpactIndexReader) -> int:
    """The size of the files that a searcher would use; 0 if there are none."""
    with jvm.translated_exceptions(reader.index_dir):
        names = str(jvm.facade("Index").acceleratorNames(reader.java)).split()
    total = 0
    for name in names:
        found = (folder / name for folder in accelerator_folders(reader.index_dir))
        total += next((path.stat().st_size for path in found if path.exists()), 0)
    return total


def _writable_folder(index_dir: Path) -> Path:
    own, cache = accelerator_folders(index_dir)
    nearest = next(folder for folder in (own, own.parent, index_dir) if folder.exists())
    return own if os.access(nearest, os.W_OK) else cache


def _write_limit(file: Path, max_bytes: int | None) -> None:
    try:
        if max_bytes is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(f"{max_bytes}\n", encoding="ascii")
    except OSError as error:
        raise storage_error(file, error) from error


def _read_limit(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError(f"{file}: cannot be read ({error}). Remove it, or accelerate the index again.") from error
