"""Copies pseudo-documents from a store to files, which Java can read, for the duration of a block.

The copies are next to the output. They are kept if the block fails, so that the next run need not copy them again,
and messages name files that exist.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from splade_lucene.errors import InputError, PseudoDocumentError, StorageError
from splade_lucene.files.files import file_digest, sole_writer, storage_error, work_folder
from splade_lucene.files.remote import Folder, RemoteFolder
from splade_lucene.manifest import MANIFEST_SUFFIX, Part, parse_manifest
from splade_lucene.progress import NO_PROGRESS, Progress

_AT_A_TIME = 8
"""Objects that are copied at the same time."""


@contextmanager
def local_collection(source: Folder, beside: Path, progress: Progress = NO_PROGRESS) -> Iterator[Path]:
    """A collection as files.

    Args:
        source: Its place.
        beside: What is made from it; copies are beside it.
        progress: Reports the progress of copying.

    Yields:
        The file or folder itself, or the folder of the copies.

    Raises:
        PseudoDocumentError: The store has no such folder.
        InputError: Its encoding is unfinished, or another process is copying it to the same place.
        StorageError: An object cannot be copied.
    """
    if isinstance(source, Path):
        yield source
        return
    sizes = {name: size for name, size in source.files().items() if not name.startswith(".")}
    unfinished = [name for name in sizes if name.startswith("splade-lucene") and name.endswith(".journal")]
    if unfinished:
        raise InputError(
            "the encoding is unfinished",
            path=f"{source.url}/{unfinished[0]}",
            remedy="Run the same encode command again",
        )
    if not sizes:
        raise PseudoDocumentError(
            "no such folder, or it is empty", path=source.url, remedy="Name the folder that was given to 'encode'"
        )
    digests: dict[str, str] = {}
    for name, content in source.read(name for name in sizes if name.endswith(MANIFEST_SUFFIX)).items():
        manifest = parse_manifest(content.decode(errors="replace"), f"{source.url}/{name}", remedy="Encode again")
        digests.update({part.name: part.sha256 for part in manifest.parts})
    with _copied(source, sizes, digests, beside, progress) as folder:
        yield folder


@contextmanager
def local_parts(source: Folder, parts: Sequence[Part], beside: Path) -> Iterator[list[Path]]:
    """Some parts of an encoding as files.

    Args:
        source: The place of the encoding.
        parts: The parts.
        beside: See :func:`local_collection`.

    Yields:
        Their files, in the same order.

    Raises:
        StorageError: An object is missing, or not the one that was written. Files are not checked.
    """
    if isinstance(source, Path):
        yield [source / part.name for part in parts]
        return
    sizes, digests = {part.name: part.size for part in parts}, {part.name: part.sha256 for part in parts}
    with _copied(source, sizes, digests, beside, NO_PROGRESS) as folder:
        yield [folder / part.name for part in parts]


@contextmanager
def _copied(
    source: RemoteFolder, sizes: Mapping[str, int], digests: Mapping[str, str], beside: Path, progress: Progress
) -> Iterator[Path]:
    """Copies objects. Those whose digests are known are checked, and not copied again if an earlier run has done so."""
    folder = work_folder(beside, "fetched")
    busy = InputError("another process is copying to this folder", path=folder, remedy="Wait for it")
    with sole_writer(folder, busy):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                if path.name not in sizes:
                    path.unlink()
        except OSError as error:
            raise storage_error(folder, error) from error
        with (
            progress.step("copying", sum(sizes.values()), "bytes") as advance,
            ThreadPoolExecutor(_AT_A_TIME) as pool,
        ):
            for name in pool.map(partial(_copy, source, folder, digests), sizes):
                advance(sizes[name])
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: RemoteFolder, folder: Path, digests: Mapping[str, str], name: str) -> str:
    path, unfinished = folder / name, folder / f"{name}.partial"
    expected = digests.get(name)
    if expected is not None and path.is_file() and file_digest(path) == expected:
        return name
    source.download(name, unfinished)
    if expected is not None and file_digest(unfinished) != expected:
        unfinished.unlink()
        raise StorageError(
            f"{source.url}/{name}: this part has changed since it was encoded. Delete the object, and run the same encode "
            "command again."
        )
    unfinished.replace(path)
    return name
