"""Text files: reading, atomic writing and digests.

Compression is chosen by their suffix (:mod:`splade_lucene.files.compression`).
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, AnyStr, BinaryIO, TextIO

from splade_lucene.errors import SpladeLuceneError, StorageError, system_reason
from splade_lucene.files.compression import check_writable, compressing, open_bytes
from splade_lucene.files.locks import LockFile
from splade_lucene.files.outputs import output_file


def open_text(path: Path) -> TextIO:
    """Opens a text file for reading as UTF-8, with or without a byte order mark; line ends are kept."""
    return TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="\n")


@contextmanager
def atomic_text_writer(path: Path) -> Iterator[TextIO]:
    """Opens a text file for atomic writing: it appears under its name only if the block succeeds.

    It is compressed if its name says so. Pipes and devices are written to as they are; see
    :mod:`splade_lucene.files.outputs`.

    Raises:
        InputError: Its name is that of a compression that cannot be written.
        StorageError: The file cannot be written.
    """
    with (
        atomic_bytes_writer(path) as file,
        compressing(path, file) as compressed,
        TextIOWrapper(compressed, "utf-8", newline="\n") as text,
    ):
        yield text


@contextmanager
def atomic_bytes_writer(path: Path) -> Iterator[BinaryIO]:
    """The same for a binary file, which is not compressed.

    Raises:
        InputError: As for :func:`atomic_text_writer`.
        StorageError: The file cannot be written.
    """
    check_output(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with output_file(path) as file:
            yield file
    except BrokenPipeError:
        raise  # the reader, such as head, has exited
    except OSError as error:
        if error.filename is not None and not _concerns(path, Path(error.filename)):
            raise  # about another file, which the block uses
        raise storage_error(path, error) from error


def check_output(path: Path) -> None:
    """Refuses a path at which no file can be written; to be called before any work.

    Raises:
        InputError: Its name is that of a compression that cannot be written.
        MissingDependencyError: Its compression needs a package that is not installed.
        StorageError: It is empty, or a folder.
    """
    if not path.name:
        raise StorageError("a file needs a name, got an empty path")
    check_writable(path)
    if path.is_dir():
        raise StorageError(f"{path}: cannot write, because this is a folder. Name a file in it.")


def _concerns(path: Path, named: Path) -> bool:
    """Whether an error that names a file or folder arises from writing to a path."""
    target = Path(os.path.realpath(path))
    is_partial = named.parent == target.parent and named.name.startswith(f"{target.name}.")
    return is_partial or named in (path, target, *path.parents, *target.parents)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the SHA-256 of each file."""
    return digest_of_digests(bytes.fromhex(file_digest(path)) for path in paths)


def digest_of_digests(digests: Iterable[bytes]) -> str:
    """SHA-256 of several SHA-256 digests."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def work_folder(path: Path, purpose: str) -> Path:
    """A temporary sibling folder of a path. The name is reserved for this package, so the folder may be cleared."""
    return path.with_name(f".{path.name}.splade-lucene-{purpose}")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Creates a folder, empty whatever was there; it is deleted after the block, unless the block has moved it.

    Raises:
        StorageError: It cannot be created.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def sole_writer(path: Path, busy: SpladeLuceneError | Callable[[], SpladeLuceneError] | None = None) -> Iterator[None]:
    """Keeps other processes and threads from writing a file or folder while the block runs.

    Args:
        path: The file or folder, which need not exist.
        busy: What to raise if another one is writing it, or what makes it then; None to wait for it.

    Raises:
        StorageError: The lock file beside it cannot be created.
    """
    path = path.resolve()
    lock = LockFile(work_folder(path, "lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_acquired = lock.acquire(wait=busy is None)
    except OSError as error:
        raise storage_error(lock.path, error) from error
    if busy is not None and not is_acquired:
        raise busy() if callable(busy) else busy
    try:
        yield
    finally:
        lock.release()


def storage_error(path: Path, error: OSError) -> StorageError:
    """The error to raise when writing to the disk failed."""
    return StorageError(
        f"{path}: cannot write ({system_reason(error)}). Check the free disk space and the folder's permissions."
    )


def path_text(path: Path) -> str:
    """An absolute path as text that can be written to a file, whatever the encoding of the locale."""
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")


def cache_folder() -> Path:
    """The cache folder of this package: ``splade-lucene`` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "splade-lucene"


class HashingReader(io.RawIOBase):
    """A file that is hashed as it is read, so that its contents are read once.

    Args:
        path: The file. It has to be read to its end, in order.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads bytes, and hashes them."""
        count = self._file.readinto(buffer) or 0
        self._hash.update(memoryview(buffer)[:count])
        return count

    def digest(self) -> bytes:
        """SHA-256 of what was read."""
        return self._hash.digest()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()


def numbered_lines(lines: Iterable[AnyStr]) -> Iterator[tuple[int, AnyStr]]:
    """The lines that are not blank, each with its number, from 1."""
    return ((number, line) for number, line in enumerate(lines, 1) if line and not line.isspace())
