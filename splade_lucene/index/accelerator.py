"""The accelerator of an index: a second copy of its postings, in the searcher's in-memory format.

With it, a searcher reads a term's postings directly instead of decoding Lucene's; the hits are the same. The accelerator
consists of one file per segment in the folder ``splade_lucene/accelerator`` of the index, which Lucene and Pyserini
ignore; if the index is read-only, the files are in the user's cache. Each file contains Lucene's id of its segment and
checksums. Files that are damaged or have another version are not used.
"""

from __future__ import annotations

import os
from pathlib import Path

from splade_lucene import jvm
from splade_lucene.arguments import to_path
from splade_lucene.counts import counted
from splade_lucene.errors import InputError, StorageError
from splade_lucene.files.files import atomic_text_writer, cache_folder, sole_writer, storage_error
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.manifest import INDEX_FOLDER

FOLDER = f"{INDEX_FOLDER}/accelerator"
LIMIT_FILE = "max_bytes"
_NO_LIMIT = 2**63 - 1


def accelerator_folders(index_dir: Path) -> list[Path]:
    """The folders that may contain the accelerator of an index: in the index, then in the user's cache."""
    return [index_dir / FOLDER, cache_folder() / "accelerators"]


def accelerate(index_dir: str | Path, folder: str | Path | None = None, *, max_bytes: int | None = None) -> Path:
    """Creates the accelerator of any impact index; replaces an existing one.

    It takes nearly twice the space of the index itself, 3.5 bytes per posting, and a few seconds per million documents
    to create. Our indexers keep it up to date. Segments added by other software are searched without it until this
    function is called again.

    Args:
        index_dir: The index.
        folder: The output folder. Default: a folder in the index, or in the user's cache if the index is read-only.
        max_bytes: Limit of its size on disk in bytes, at least 0, not counting the list of terms. It then contains only the
            postings of the most frequent terms; those of other terms are decoded from Lucene's. None for no limit.

    Returns:
        The folder.

    Raises:
        InputError: ``max_bytes`` is out of range.
        NotAnIndexError: The folder is not an impact index.
        StorageError: A disk error.
    """
    if max_bytes is not None and not 0 <= max_bytes < _NO_LIMIT:
        raise InputError(f"max_bytes must be at least 0, got {max_bytes}")
    index_dir = to_path(index_dir)
    with LuceneImpactIndexReader(index_dir) as reader:
        target = Path(folder) if folder else _writable_folder(index_dir)
        return accelerate_segments(reader, target, rebuild=True, max_bytes=max_bytes)


def accelerate_segments(
    reader: LuceneImpactIndexReader, folder: Path, *, rebuild: bool, max_bytes: int | None = None
) -> Path:
    """Creates the files of all segments (``rebuild``), or only the missing ones, within the size limit set by the last rebuild.

    Deletes the files of segments that no longer exist, but only in the index's own folder; other folders may contain the
    files of other indexes.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    is_own = folder.resolve() == (reader.index_dir / FOLDER).resolve()
    with sole_writer(folder):  # several indexes share the folder in the user's cache
        if is_own and rebuild:
            _write_limit(folder / LIMIT_FILE, max_bytes)
        elif is_own:
            max_bytes = _read_limit(folder / LIMIT_FILE)
        with jvm.translated_exceptions(folder):
            limit = _NO_LIMIT if max_bytes is None else max_bytes
            jvm.facade("Index").accelerate(reader.java, jvm.java_path(folder), rebuild, is_own, limit)
    return folder


def has_accelerator(index_dir: Path) -> bool:
    """Whether the index has an accelerator, possibly for some segments only, or one whose files were deleted."""
    return (index_dir / FOLDER).is_dir()


def missing_accelerators(reader: LuceneImpactIndexReader) -> str:
    """Says that some segments of an index with an accelerator have no file: they are newer, or the file was deleted.

    Returns:
        The message; empty if all segments have one, or the index has no accelerator.
    """
    files = _files(reader) if has_accelerator(reader.index_dir) else []
    missing, segments = files.count(None), len(files)
    if not missing:
        return ""
    return (
        f"the accelerator is incomplete: it covers {segments - missing:,} of {counted(segments, 'segment')}. "
        "Run 'splade-lucene accelerate' to complete it"
    )


def accelerator_bytes(reader: LuceneImpactIndexReader) -> int:
    """The total size in bytes of the files that a searcher would use; 0 if there are none."""
    return sum(path.stat().st_size for index in reader.parts for path in _files(index) if path is not None)


def _files(reader: LuceneImpactIndexReader) -> list[Path | None]:
    """The file of each segment; None if there is none."""
    with jvm.translated_exceptions(reader.index_dir):
        names = str(jvm.facade("Index").acceleratorNames(reader.java)).split()
    folders = accelerator_folders(reader.index_dir)
    return [next((folder / name for folder in folders if (folder / name).exists()), None) for name in names]


def _writable_folder(index_dir: Path) -> Path:
    own, cache = accelerator_folders(index_dir)
    nearest = next(folder for folder in (own, own.parent, index_dir) if folder.exists())
    return own if os.access(nearest, os.W_OK) else cache


def _write_limit(file: Path, max_bytes: int | None) -> None:
    try:
        if max_bytes is None:
            file.unlink(missing_ok=True)
        else:
            with atomic_text_writer(file) as text:
                text.write(f"{max_bytes}\n")
    except OSError as error:
        raise storage_error(file, error) from error


def _read_limit(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{file}: cannot read the size limit ({error}). Delete the file, or run 'splade-lucene accelerate'."
        ) from error
