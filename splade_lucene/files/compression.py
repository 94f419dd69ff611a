"""Compressed files, recognized by their suffix: ``.gz``, ``.bz2``, ``.xz``, ``.zst`` and ``.zip`` with one file inside.

Reading and writing use the same table (``_FORMATS``), so that each file can be read under the name it was written to.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from splade_lucene.errors import InputError, MissingDependencyError
from splade_lucene.imports import uninterrupted_imports

UNREADABLE = (".7z", ".br", ".lz", ".lz4", ".lzma", ".lzo", ".rar", ".snappy", ".tar", ".tgz", ".z")
"""Suffixes of compressed files and archives that are neither read nor written."""

_READ = 1 << 16


def compression(path: Path) -> str:
    """The suffix of a compression that is read and written, in lower case; empty if the name has none.

    Example:
        >>> compression(Path("RUN.TREC.GZ"))
        '.gz'
    """
    suffix = path.suffix.lower()
    return suffix if suffix in COMPRESSIONS else ""


def content_name(path: Path) -> str:
    """The name that a file has when it is decompressed: without its compression's suffix, or the name of a ``.zip``'s file.

    Raises:
        OSError: A ``.zip`` is damaged, or does not hold exactly one file.
    """
    if compression(path) == ".zip":
        with _archive(path) as archive:
            return Path(_only_member(archive).filename).name
    return decompressed_name(path)


def decompressed_name(path: Path) -> str:
    """The name of a file that is to be written, without its compression's suffix.

    Example:
        >>> decompressed_name(Path("run.trec.zst"))
        'run.trec'
    """
    return path.stem if compression(path) else path.name


def check_readable(path: Path, error: type[InputError]) -> None:
    """Refuses a name whose compression cannot be read.

    Raises:
        InputError: The suffix is that of a compression or archive that is not read; of the given class.
    """
    if path.suffix.lower() in UNREADABLE:
        raise error(f"cannot read {path.suffix} files", path=path, remedy=f"Decompress it, or compress it as {_KNOWN}")


def check_writable(path: Path) -> None:
    """Refuses a name whose compression cannot be written.

    Raises:
        InputError: The suffix is that of a compression or archive that is not written.
        MissingDependencyError: A ``.zst`` is to be written, but pyarrow is not installed.
    """
    if path.suffix.lower() in UNREADABLE:
        raise InputError(f"cannot write {path.suffix} files", path=path, remedy=f"Use {_KNOWN}, or no compression")
    if compression(path) == ".zst":
        _import_pyarrow(path)


@contextmanager
def compressing(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    """Compresses what is written as the name of the file says. Equal contents give equal files.

    Args:
        path: The name, for which :func:`check_writable` raises no error.
        file: Where the compressed bytes go.

    Raises:
        OSError: The file cannot be written.
    """
    suffix = compression(path)
    if not suffix:
        yield file
        return
    with _FORMATS[suffix].create(file, path) as compressed:
        yield compressed


def open_bytes(path: Path) -> BinaryIO:
    """Opens a file for reading its decompressed bytes.

    Raises:
        MissingDependencyError: A ``.zst`` is to be read, but pyarrow is not installed.
        OSError: The file cannot be read. While it is read, ``EOFError`` and ``zlib.error`` are raised as well.
    """
    if path.suffix.lower() in UNREADABLE:
        raise OSError(f"{path.suffix} files are not read: decompress it, or compress it as {_KNOWN}")
    suffix = compression(path)
    if not suffix:
        return path.open("rb")
    if path.is_file() and path.stat().st_size == 0:
        error = gzip.BadGzipFile if suffix == ".gz" else OSError
        raise error("the file is empty")  # gzip and zstd accept it as a complete file without content
    file = _FORMATS[suffix].open(path)
    return file if suffix == ".gz" else io.BufferedReader(_Decompressed(file), 1 << 20)


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


class _Streams:
    """The contents of one or more compressed streams in a file.

    Python's own readers of ``.bz2`` and ``.xz`` ignore what follows the last stream that they can read, and so all streams
    after a damaged one. Here only zeros may follow, with which some programs pad.

    Args:
        path: The file.
        decompressor: Makes a decompressor of a stream.
    """

    def __init__(self, path: Path, decompressor: Callable[[], Any]) -> None:
        self._make = decompressor
        self._current = decompressor()
        self._is_first = True
        self._file = path.open("rb")

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end.

        Raises:
            EOFError: The file ends within a stream.
            OSError: The data are damaged; also LZMAError.
        """
        while True:
            given = b""
            if self._current.eof:
                given = self._next_stream()
                if not given:
                    return b""
                self._current, self._is_first = self._make(), False
            elif self._current.needs_input:
                given = self._file.read(_READ)
                if not given:
                    raise EOFError("the compressed data end too early")
            if data := self._decompress(given, size):
                return data

    def _next_stream(self) -> bytes:
        """The bytes after the end of a stream, without zeros."""
        found: bytes = self._current.unused_data.lstrip(b"\0")
        while not found:
            more = self._file.read(_READ)
            if not more:
                return b""
            found = more.lstrip(b"\0")
        return found

    def _decompress(self, given: bytes, size: int) -> bytes:
        try:
            data: bytes = self._current.decompress(given, size)
        except (OSError, lzma.LZMAError) as error:
            what = "" if self._is_first else "the compressed data are followed by something else: "
            raise OSError(f"{what}{error}") from error
        return data

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _create_gz(file: BinaryIO, _: Path) -> Any:
    return gzip.GzipFile("", "wb", 5, file, mtime=0)  # no name or time, so that equal contents give equal files


def _create_xz(file: BinaryIO, _: Path) -> Any:
    return lzma.LZMAFile(file, "wb", preset=2)


def _import_pyarrow(path: Path) -> Any:
    try:
        with uninterrupted_imports():
            import pyarrow
    except MissingDependencyError:
        raise MissingDependencyError(
            f"{path}: .zst files are read and written with pyarrow. Install it with 'pip install pyarrow', or use another "
            "compression ('zstd -d' decompresses)."
        ) from None
    return pyarrow


def _open_zst(path: Path) -> Any:
    return _import_pyarrow(path).input_stream(str(path), compression="zstd")


def _create_zst(file: BinaryIO, path: Path) -> Any:
    pyarrow = _import_pyarrow(path)
    return pyarrow.CompressedOutputStream(pyarrow.PythonFile(file, "w"), "zstd")


def _open_zip(path: Path) -> Any:
    with _archive(path) as archive:  # the member keeps the file open
        try:
            return archive.open(_only_member(archive))
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown method
            raise OSError(str(error)) from error


@contextmanager
def _create_zip(file: BinaryIO, path: Path) -> Iterator[Any]:
    member = zipfile.ZipInfo(path.stem)  # its time defaults to the format's epoch
    member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    with zipfile.ZipFile(file, "w") as archive, archive.open(member, "w", force_zip64=True) as compressed:
        yield compressed


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


class _Format(NamedTuple):
    """How a compression is read, and how it is written into an open file."""

    open: Callable[[Path], Any]
    create: Callable[[BinaryIO, Path], Any]


_FORMATS = {
    ".gz": _Format(gzip.open, _create_gz),
    ".bz2": _Format(lambda path: _Streams(path, bz2.BZ2Decompressor), lambda file, _: bz2.BZ2File(file, "wb")),
    ".xz": _Format(lambda path: _Streams(path, lzma.LZMADecompressor), _create_xz),
    ".zst": _Format(_open_zst, _create_zst),
    ".zip": _Format(_open_zip, _create_zip),
}

COMPRESSIONS = tuple(_FORMATS)
"""Suffixes of compressed files that are read and written."""

_KNOWN = f"{', '.join(COMPRESSIONS[:-1])} or {COMPRESSIONS[-1]}"
