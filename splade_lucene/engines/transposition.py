"""Turns postings into documents and documents into postings, in bounded memory.

Exchange formats keep a collection by term (CIFF, PISA, Lucene) or by document (all others). Entries are sorted in runs that
fit in memory. If there are several runs, they are written to disk and merged.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from splade_lucene.files.files import storage_error

Integers = NDArray[np.int32]

_LIMIT = 1 << 24
"""Entries of a run: 192 MiB, and as much again while they are sorted."""


class Rows(NamedTuple):
    """Some rows of a matrix, one after the other.

    Attributes:
        numbers: Their numbers, shape [rows].
        starts: Where each row begins in ``columns`` and ``values``, and where the last one ends, shape [rows + 1].
        columns: The columns of all entries, shape [entries]; within a row in the order in which they were added.
        values: Their values, shape [entries].
    """

    numbers: NDArray[np.int64]
    starts: NDArray[np.int64]
    columns: Integers
    values: Integers

    def __iter__(self) -> Iterator[Any]:
        """Yields the number, the columns and the values of each row."""
        starts = self.starts.tolist()
        for number, row in enumerate(self.numbers.tolist()):
            entries = slice(starts[number], starts[number + 1])
            yield row, self.columns[entries], self.values[entries]


class _Run(NamedTuple):
    """Entries that are sorted by row. In a run on disk, columns and values are mapped from a file."""

    starts: NDArray[np.int64]
    columns: Integers
    values: Integers


class Transposition:
    """Takes the entries of a matrix in any order, and gives them row by row.

    Args:
        folder: Where files may be created, which are deleted on leaving the ``with`` block.
        limit: Number of entries to keep in memory.

    Attributes:
        entries: Number of entries so far.
    """

    def __init__(self, folder: Path, limit: int = _LIMIT) -> None:
        self.entries = 0
        self._limit = limit
        self._files = tempfile.TemporaryDirectory(prefix=".splade-lucene-postings-", dir=folder)
        self._pending: list[tuple[Integers, Integers, Integers]] = []
        self._waiting = 0
        self._runs: list[_Run] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runs.clear()
        self._files.cleanup()

    def add(self, rows: NDArray[Any], columns: NDArray[Any], values: NDArray[Any]) -> None:
        """Adds entries.

        Args:
            rows: Their rows, at least 0 and below 2^31, shape [entries].
            columns: Their columns, likewise.
            values: Their values, likewise.

        Raises:
            StorageError: The disk is full.
        """
        self._pending.append(tuple(each.astype(np.int32) for each in (rows, columns, values)))  # type: ignore[arg-type]
        self.entries += rows.size
        self._waiting += rows.size
        if self._waiting >= self._limit:
            self._end_run(to_disk=True)

    def counts(self) -> NDArray[np.int64]:
        """The number of entries of each row, up to the last one that has any, shape [rows]."""
        self._end_run(to_disk=bool(self._runs))
        counts = np.zeros(max((run.starts.size - 1 for run in self._runs), default=0), np.int64)
        for run in self._runs:
            counts[: run.starts.size - 1] += np.diff(run.starts)
        return counts

    def rows(self, order: NDArray[np.int64] | None = None) -> Iterator[Rows]:
        """The rows, some at a time.

        Args:
            order: The numbers of the rows in the order in which they are wanted; None for all that have entries, and those
                between them, in the order of their numbers.
        """
        counts = self.counts()
        wanted = np.arange(counts.size) if order is None else order
        sizes = np.append(counts, 0)[np.minimum(wanted, counts.size)]
        ends = np.cumsum(sizes)
        start = 0
        while start < wanted.size:
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + self._limit, "right")))
            yield self._gathered(wanted[start:stop], sizes[start:stop])
            start = stop

    def _end_run(self, *, to_disk: bool) -> None:
        if not self._waiting:
            return
        rows, columns, values = (np.concatenate(each) for each in zip(*self._pending, strict=True))
        self._pending.clear()
        self._waiting = 0
        order = np.argsort(rows, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows))])
        columns, values = columns[order], values[order]
        if to_disk:
            columns, values = self._on_disk(columns, "columns"), self._on_disk(values, "values")
        self._runs.append(_Run(starts, columns, values))

    def _on_disk(self, numbers: Integers, name: str) -> Integers:
        path = Path(self._files.name) / f"{len(self._runs)}.{name}"
        try:
            numbers.tofile(path)
        except OSError as error:
            raise storage_error(path, error) from error
        return np.memmap(path, np.int32, "r")

    def _gathered(self, numbers: NDArray[np.int64], sizes: NDArray[np.int64]) -> Rows:
        row_numbers, columns, values = [], [], []
        for run in self._runs:
            known = np.flatnonzero(numbers < run.starts.size - 1)
            first = run.starts[numbers[known]]
            count = run.starts[numbers[known] + 1] - first
            at = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
            row_numbers.append(np.repeat(known, count))
            columns.append(run.columns[at])
            values.append(run.values[at])
        starts = np.concatenate([[0], np.cumsum(sizes)])
        if len(self._runs) == 1:
            return Rows(numbers, starts, columns[0], values[0])
        if not self._runs:
            return Rows(numbers, starts, np.zeros(0, np.int32), np.zeros(0, np.int32))
        order = np.argsort(np.concatenate(row_numbers), kind="stable")
        return Rows(numbers, starts, np.concatenate(columns)[order], np.concatenate(values)[order])
