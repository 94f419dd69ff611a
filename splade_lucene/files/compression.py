"""Compressed files, told by their suffix: ``.gz``, ``.bz2``, ``.xz``, ``.zst`` and ``.zip`` with one file inside."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from splade_lucene.errors import MissingDependencyError
from splade_lucene.imports import whole_imports

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""Suffixes of compressed files that can be read."""

UNREADABLE = (".7z", ".br", ".lz", ".lz4", ".lzma", ".lzo", ".rar", ".snappy", ".tar", ".tgz", ".Z")
"""Suffixes of compressed files and archives that cannot be read."""


def content_name(path: Path) -> str:
    """The name that a file has when it is decompressed: without its compression's suffix, or the name of a ``.zip``'s file.

    Raises:
        OSError: A ``.zip`` is damaged, or does not hold exactly one file.
    """
    if path.suffix == ".zip":
        with _archive(path) as archive:
            return Path(_only_member(archive).filename).name
    return path.name.removesuffix(path.suffix) if path.suffix in COMPRESSIONS else path.name


def open_bytes(path: Path) -> BinaryIO:
    """Opens a file for reading its decompressed bytes.

    Raises:
        MissingDependencyError: A ``.zst`` is to be read, but pyarrow is not installed.
        OSError: The file cannot be read. While it is read, ``EOFError`` and ``zlib.error`` are raised as well.
    """
    if path.suffix == ".gz":
        if path.is_file() and path.stat().st_size == 0:
            raise gzip.BadGzipFile("the file is empty")  # which Python takes for a whole file without content
        return cast(BinaryIO, gzip.open(path, "rb"))
    opener = _OPENERS.get(path.suffix)
    return path.open("rb") if opener is None else io.BufferedReader(_Decompressed(opener(path)), 1 << 20)


class _Decompressed(io.RawIOBase):
    """A decompressing stream that raises an OSError for damaged data, whatever its library raises."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (lzma.LZMAError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise OSError(str(error)) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _open_zst(path: Path) -> Any:
    try:
        with whole_imports():
            import pyarrow
    except MissingDependencyError:
        raise MissingDependencyError(
            f"{path}: .zst files are read with pyarrow. Install it with 'pip install pyarrow', or decompress the file with "
            "'zstd -d'."
        ) from None
    return pyarrow.input_stream(str(path), compression="zstd")


def _open_zip(path: Path) -> Any:
    with _archive(path) as archive:  # the member keeps the file open
        try:
            return archive.open(_only_member(archive))
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown method
            raise OSError(str(error)) from error


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise OSError(str(error)) from error


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [
        each
        for each in archive.infolist()
        if not each.is_dir() and not any(part.startswith((".", "__MACOSX")) for part in Path(each.filename).parts)
    ]
    if len(members) != 1:
        raise OSError(f"the .zip holds {len(members)} files, and only one with a single file can be read: unpack it")
    return members[0]


_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".bz2": bz2.open, ".xz": lzma.open, ".zst": _open_zst, ".zip": _open_zip,
}  # fmt: skip
