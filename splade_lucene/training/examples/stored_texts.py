"""Texts on disk, and a table that finds them again, so that collections and examples larger than the memory can be read."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, overload

from splade_lucene.files.files import storage_error

_BLOCK = 1 << 20  # bytes that iterating reads at once
_ENCODING = ("utf-8", "surrogatepass")


class StoredTexts(Sequence[str]):
    """Texts in a temporary file without a name; only 8 bytes a text stay in memory.

    Args:
        texts: The first texts.
        folder: Where the file is; None: the system's folder for temporary files.

    Raises:
        StorageError: The file cannot be created, or later, written.
    """

    def __init__(self, texts: Iterable[str] = (), folder: Path | None = None) -> None:
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        try:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed with this object
        except OSError as error:
            raise storage_error(self._folder, error) from error
        weakref.finalize(self, self._file.close)
        self._ends = array("q", [0])
        self._written, self._last = 0, bytearray()  # number of bytes in the file, and bytes not yet written
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Adds a text."""
        self._last += text.encode(*_ENCODING)
        self._ends.append(self._written + len(self._last))
        if len(self._last) >= _BLOCK:
            try:
                _write_all(self._file, self._last)
            except OSError as error:
                raise storage_error(self._folder, error) from error
            self._written, self._last = self._ends[-1], bytearray()

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> list[str]: ...

    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        at = row + len(self) if row < 0 else row
        if not 0 <= at < len(self):
            raise IndexError(f"row {row} of {len(self)} texts")
        return str(self._read(self._ends[at], self._ends[at + 1]), *_ENCODING)

    def __iter__(self) -> Iterator[str]:
        at, count = 0, len(self)
        while at < count:
            start, stop = self._ends[at], at + 1
            while stop < count and self._ends[stop + 1] - start <= _BLOCK:
                stop += 1
            block = self._read(start, self._ends[stop])
            for row in range(at, stop):
                yield str(block[self._ends[row] - start : self._ends[row + 1] - start], *_ENCODING)
            at = stop

    def _read(self, start: int, end: int) -> bytes:
        if start >= self._written:
            return bytes(self._last[start - self._written : end - self._written])
        in_file = min(end, self._written)
        data = os.pread(self._file.fileno(), in_file - start, start)
        while len(data) < in_file - start:  # a single call reads 2 GiB at most
            data += os.pread(self._file.fileno(), in_file - start - len(data), start + len(data))
        return data + self._last[: end - in_file]


def _write_all(file: IO[bytes], data: bytearray) -> None:
    written = 0
    while written < len(data):  # an unbuffered file may write less than all
        written += file.write(memoryview(data)[written:])


class RowTable:
    """Finds rows by the hash of what they hold; 24 bytes a row or less, where a dictionary of digests takes 150.

    What has the same hash is compared, so two different texts are never taken for one.
    """

    def __init__(self) -> None:
        self._count, self._size = 0, 1024
        self._hashes, self._rows = array("q", bytes(8 * self._size)), array("i", [-1]) * self._size

    def find(self, hashed: int, is_same: Callable[[int], bool]) -> int | None:
        """The row that holds something, if there is one.

        Args:
            hashed: Its hash, of 64 bits with a sign.
            is_same: Whether a row with this hash holds the same.
        """
        mask = self._size - 1
        at = hashed & mask
        while (row := self._rows[at]) >= 0:
            if self._hashes[at] == hashed and is_same(row):
                return row
            at = (at + 1) & mask
        return None

    def add(self, hashed: int, row: int) -> None:
        """Adds a row with a hash."""
        if 3 * self._count >= 2 * self._size:
            self._grow()
        self._insert(hashed, row)
        self._count += 1

    def _insert(self, hashed: int, row: int) -> None:
        mask = self._size - 1
        at = hashed & mask
        while self._rows[at] >= 0:
            at = (at + 1) & mask
        self._hashes[at], self._rows[at] = hashed, row

    def _grow(self) -> None:
        hashes, rows = self._hashes, self._rows
        self._size *= 2
        self._hashes, self._rows = array("q", bytes(8 * self._size)), array("i", [-1]) * self._size
        for hashed, row in zip(hashes, rows, strict=True):
            if row >= 0:
                self._insert(hashed, row)
