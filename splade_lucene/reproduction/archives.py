"""Reads archives (tar and zip). Damage, encryption and unknown methods raise the same error.

Sizes in an archive's headers are not trusted: they are checked against the limit before a file is written, and so are the
unpacked bytes.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial as bound
from pathlib import Path
from typing import IO, TypeVar

from splade_lucene.errors import DownloadError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")

_BLOCK = 1 << 20
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    ValueError, OverflowError, IndexError, KeyError, MemoryError,
    RuntimeError,  # encrypted or, as NotImplementedError, compressed with a method that Python does not have
)  # fmt: skip

_T = TypeVar("_T")


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: Its path in the archive.
        size: Size in bytes, as the archive says.
        is_regular: Whether it is a file, rather than a link or a device.
        read: Reads the contents in blocks. Raises DownloadError if they are damaged.
    """

    name: str
    size: int
    is_regular: bool
    read: Callable[[], Iterator[bytes]]


def is_archive(path: str | Path) -> bool:
    """Whether a file is an archive, by its name."""
    return str(path).endswith(SUFFIXES)


@contextmanager
def open_archive(path: Path) -> Iterator[Iterator[Member]]:
    """Opens an archive.

    Args:
        path: A zip file, if its name ends in ``.zip``; else a tar file.

    Yields:
        The members that are not folders, in the order of the archive.

    Raises:
        DownloadError: The archive cannot be read; also while it is iterated over.
    """
    with ExitStack() as stack:
        with _reading(path):
            if path.suffix == ".zip":
                members = _zip_members(stack.enter_context(zipfile.ZipFile(path)), path)
            else:
                members = _tar_members(stack.enter_context(tarfile.open(path)), path)
        yield _guarded(members, path)


def write_file(blocks: Iterable[bytes], target: Path, limit: int | None, origin: str) -> int:
    """Writes a new file.

    Args:
        blocks: Its contents.
        target: The file, which must not exist.
        limit: The most bytes to write; None for any number.
        origin: Where the contents come from, for messages.

    Returns:
        Number of bytes.

    Raises:
        DownloadError: There are more bytes than allowed; no more than those were written.
        OSError: The file exists or cannot be written.
    """
    written = 0
    with target.open("xb") as file:
        for block in blocks:
            written += len(block)
            if limit is not None and written > limit:
                raise too_large(origin, limit)
            file.write(block)
    return written


def too_large(origin: str, limit: int, found: int | None = None) -> DownloadError:
    """The error for a file that is larger than it may be."""
    size = f"has {found:,} bytes" if found is not None else "does not end there"
    return DownloadError(f"{origin}: at most {limit:,} bytes were expected, but the file {size}. It was not stored.")


def _zip_members(archive: zipfile.ZipFile, path: Path) -> Iterator[Member]:
    for each in archive.infolist():
        if not each.is_dir():
            kind = stat.S_IFMT(each.external_attr >> 16)  # 0 if the archive was not made on Unix
            yield Member(
                each.filename, each.file_size, kind in (0, stat.S_IFREG), bound(_read, bound(archive.open, each), path)
            )


def _tar_members(archive: tarfile.TarFile, path: Path) -> Iterator[Member]:
    for each in archive:
        if not each.isdir():
            yield Member(each.name, each.size, each.isfile(), bound(_read, bound(_open_member, archive, each), path))
    _check_end(archive)


def _check_end(archive: tarfile.TarFile) -> None:
    """Raises an error unless a tar file was read to its end.

    Python takes a damaged header, or a file cut off between two members, for the end. The end is a block of zeros. In a
    compressed archive, it is followed by a checksum, which is only verified when it is read.
    """
    file = archive.fileobj
    assert file is not None
    file.seek(archive.offset)  # after the last member
    if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise tarfile.TarError("it is damaged or cut off after its first members")
    while file.read(_BLOCK):
        pass


def _open_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise tarfile.TarError(f"{member.name!r} is not a file")
    return file


def _read(opener: Callable[[], IO[bytes]], path: Path) -> Iterator[bytes]:
    def blocks() -> Iterator[bytes]:
        with opener() as source:
            while block := source.read(_BLOCK):
                yield block

    return _guarded(blocks(), path)


def _guarded(items: Iterator[_T], path: Path) -> Iterator[_T]:
    """The same items; errors of the archive, but not those of whoever uses the items, become DownloadErrors."""
    while True:
        with _reading(path):
            item = next(items, None)
        if item is None:
            return
        yield item


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise broken(path, str(error) or type(error).__name__) from error


def broken(path: Path, reason: object) -> DownloadError:
    """The error for an archive that cannot be used."""
    return DownloadError(
        f"{path}: the archive cannot be unpacked ({reason}). It must be a whole .zip or .tar of files, without a password. "
        "Download it again."
    )
