"""Reads and writes CIFF, the common index file format, which Anserini, PISA, BMP, Terrier and others exchange.

A file is a sequence of protobuf messages, each after its length as a varint: a header, the postings lists, and the
documents. Lin et al., "Supporting Interoperability Between Open-Source Search Engines with the Common Index File Format",
SIGIR 2020; the messages are those of ``common-index-format-v1.proto``:

=============  =========================================================================================================
``Header``     1 version, 2 number of postings lists, 3 of documents, 4 and 5 the same of the whole index, 6 terms in the
               collection (int64), 7 average document length (double), 8 description
``PostingsList``  1 term, 2 df, 3 cf (int64), 4 postings: 1 docid, as the difference from the one before, 2 tf
``DocRecord``  1 docid, 2 the collection's docid, 3 length
=============  =========================================================================================================

Postings are decoded and encoded by NumPy in whole lists; a protobuf library would make an object of each posting.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import PseudoDocumentError, system_reason
from splade_lucene.files.compression import open_bytes
from splade_lucene.records import well_formed

VERSION = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10
_MAX_INT32 = 2**31 - 1
_POSTING = 4 << 3 | _BYTES
_DOCID, _TF = 1 << 3, 2 << 3

_Integers = NDArray[np.int64]


@dataclass(frozen=True)
class CiffHeader:
    """The header of a file.

    Attributes:
        lists: Number of postings lists in the file.
        documents: Number of documents in the file.
        terms: Sum of all documents' lengths.
        description: What made the file.
    """

    lists: int
    documents: int
    terms: int
    description: str


class CiffPostings(NamedTuple):
    """The postings of a term.

    Attributes:
        term: The term.
        documents: Numbers of the documents, ascending, shape [postings].
        impacts: The impact of the term in each, shape [postings].
    """

    term: str
    documents: NDArray[Any]
    impacts: NDArray[Any]


# ---- reading ----


class CiffFile:
    """A file that is read once, in its order: first all postings, then all documents.

    Args:
        file: The open file.
        path: Its path, for messages.

    Attributes:
        header: Its header.

    Raises:
        PseudoDocumentError: It is no CIFF file.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self.header = self._read_header()

    def postings(self) -> Iterator[CiffPostings]:
        """All postings lists.

        Raises:
            PseudoDocumentError: The file is damaged, or a document number is not one of its documents.
        """
        for number in range(self.header.lists):
            where = f"postings list {number + 1}"
            yield self._postings_of(self._message(where), where)

    def documents(self) -> Iterator[str]:
        """The docids of all documents, in the order of their numbers; to be read after the postings.

        Raises:
            PseudoDocumentError: The file is damaged, or its documents are not numbered from 0.
        """
        for number in range(self.header.documents):
            where = f"document {number + 1}"
            fields = self._fields(self._message(where), where)
            given = _integer(fields, 1)
            if given != number:
                raise self.damaged(f"{where} has the number {given}, expected {number}")
            yield self._text(fields.get(2, b""), where)
        if self._file.read(1):
            raise self.damaged(f"more data after the {self.header.documents:,} documents that the header announces")

    def _read_header(self) -> CiffHeader:
        fields = self._fields(self._message("the header"), "the header")
        version = _integer(fields, 1)
        if version != VERSION:
            raise PseudoDocumentError(
                f"not a CIFF file of version {VERSION}: the header's version is {version}", path=self._path,
                remedy="Check the path",
            )  # fmt: skip
        lists, documents = _integer(fields, 2), _integer(fields, 3)
        if min(lists, documents) < 0:
            raise self.damaged(f"the header announces {lists:,} postings lists and {documents:,} documents")
        return CiffHeader(lists, documents, _integer(fields, 6), self._text(fields.get(8, b""), "the header"))

    def _postings_of(self, data: bytes, where: str) -> CiffPostings:
        at, fields = 0, {}
        while at < len(data) and data[at] != _POSTING:  # the term and its counts, before the postings
            key, value, at = self._field(data, at, where)
            fields[key] = value
        found = _fast_postings(data[at:])
        if found is None:  # the term and its counts may also follow
            found = self._slow_postings(data, at, fields, where)
        term = self._text(fields.get(1, b""), where)
        where = f"{where} ({term!r:.80})"
        gaps, impacts = found
        documents = np.cumsum(gaps)
        if documents.size and (gaps.min() < 0 or (gaps[1:] < 1).any() or documents[-1] >= self.header.documents):
            raise self.damaged(
                f"{where} has document numbers that do not ascend, or are not below {self.header.documents:,}"
            )
        if _integer(fields, 2) != documents.size:
            raise self.damaged(f"{where} has {documents.size:,} postings, expected {_integer(fields, 2):,}")
        return CiffPostings(term, documents, impacts)

    def _slow_postings(
        self, data: bytes, at: int, fields: dict[int, int | bytes], where: str
    ) -> tuple[_Integers, _Integers]:
        """Postings in any form that protobuf allows: fields in another order, unknown ones, longer varints."""
        gaps, impacts = [], []
        while at < len(data):
            key, value, at = self._field(data, at, where)
            if key != 4 or not isinstance(value, bytes):
                fields[key] = value
                continue
            posting = self._fields(value, where)
            gaps.append(_integer(posting, 1))
            impacts.append(_integer(posting, 2))
        return np.array(gaps, np.int64), np.array(impacts, np.int64)

    def _message(self, where: str) -> bytes:
        size, shift = 0, 0
        while True:
            byte = self._file.read(1)
            if not byte or shift > 7 * _MAX_VARINT:
                raise self.damaged(f"it ends before {where}")
            size |= (byte[0] & 127) << shift
            shift += 7
            if byte[0] < 128:
                break
        data = self._file.read(size) if size <= _MAX_INT32 else b""
        if len(data) != size:
            raise self.damaged(f"it ends within {where}")
        return data

    def _fields(self, data: bytes, where: str) -> dict[int, int | bytes]:
        """The fields of a message; of several values of a field the last."""
        at, fields = 0, {}
        while at < len(data):
            key, value, at = self._field(data, at, where)
            fields[key] = value
        return fields

    def _field(self, data: bytes, at: int, where: str) -> tuple[int, int | bytes, int]:
        """A field's number, its value, and where the next one begins."""
        try:
            tag, at = _varint(data, at)
            kind = tag & 7
            if kind == _VARINT:
                value, at = _varint(data, at)
                return tag >> 3, _signed(value), at
            if kind not in (_FIXED64, _BYTES, _FIXED32):
                raise ValueError
            size, at = (8, at) if kind == _FIXED64 else (4, at) if kind == _FIXED32 else _varint(data, at)
            if at + size > len(data):
                raise ValueError
            return tag >> 3, data[at : at + size], at + size
        except (IndexError, ValueError):
            raise self.damaged(f"{where} is not a protobuf message") from None

    def _text(self, value: int | bytes, where: str) -> str:
        try:
            return value.decode() if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError:
            raise self.damaged(f"{where} has text that is not UTF-8") from None

    def damaged(self, what: str) -> PseudoDocumentError:
        """The error to raise for this file."""
        return PseudoDocumentError(f"this CIFF file is damaged: {what}", path=self._path, remedy="Export it again")


@contextmanager
def open_ciff(path: Path) -> Iterator[CiffFile]:
    """Opens a file, compressed or not.

    Raises:
        PseudoDocumentError: It cannot be read, or is no CIFF file.
    """
    try:
        with open_bytes(path) as file:
            yield CiffFile(file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise PseudoDocumentError(
            f"cannot read this file ({system_reason(error)})", path=path, remedy="Check the path"
        ) from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift >= 7 * _MAX_VARINT:
            raise ValueError


def _signed(value: int) -> int:
    """A varint as int32 and int64 have it: negative numbers are written in 64 bits."""
    return value - 2**64 if value >= 2**63 else value


def _integer(fields: dict[int, int | bytes], key: int) -> int:
    value = fields.get(key, 0)
    return value if isinstance(value, int) else -1


def _fast_postings(data: bytes) -> tuple[_Integers, _Integers] | None:
    """The differences of document numbers, and the impacts, of postings in their usual form; None for other forms.

    Each is 0x22, its size, 0x08, the difference, 0x10, the impact. The first difference is left out where it is 0.
    """
    first: list[int] = []
    if len(data) >= 3 and data[0] == _POSTING and data[2] == _TF:  # the first document has the number 0
        try:
            impact, end = _varint(data, 3)
        except (IndexError, ValueError):
            return None
        if end != 2 + data[1]:
            return None
        first, data = [impact], data[end:]
    varints = _all_varints(data)
    if varints is None or varints[0].size % 6:
        return None
    numbers, sizes = varints
    columns, widths = numbers.reshape(-1, 6), sizes.reshape(-1, 6)
    is_usual = (
        (columns[:, 0] == _POSTING) & (columns[:, 2] == _DOCID) & (columns[:, 4] == _TF)
        & (columns[:, 1] == widths[:, 2:].sum(axis=1)) & (widths[:, [0, 1, 2, 4]] == 1).all(axis=1)
    )  # fmt: skip
    if not is_usual.all():
        return None
    gaps, impacts = columns[:, 3], columns[:, 5]
    if first:
        return np.concatenate([[0], gaps]), np.concatenate([first, impacts])
    return gaps, impacts


def _all_varints(data: bytes) -> tuple[_Integers, _Integers] | None:
    """All varints of some bytes, and how many bytes each takes; None if they are something else, or beyond 63 bits."""
    characters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(characters < 128)
    if ends.size == 0 or ends[-1] != characters.size - 1:
        empty = np.zeros(0, np.int64)
        return None if characters.size else (empty, empty)
    sizes = np.diff(ends, prepend=-1)
    longest = int(sizes.max())
    if longest > 9:
        return None
    numbers = (characters[ends] & 127).astype(np.int64)
    for back in range(1, longest):
        longer = sizes > back
        numbers[longer] = numbers[longer] << 7 | characters[ends[longer] - back] & 127
    return numbers, sizes


# ---- writing ----


def write_ciff(
    file: BinaryIO, header: CiffHeader, lists: Iterable[CiffPostings], documents: Iterable[tuple[str, int]]
) -> None:
    """Writes a file.

    Args:
        file: Where to write.
        header: The header; its counts must be those of the lists and documents.
        lists: The postings lists, in byte order of their terms.
        documents: Docid and length (the sum of its impacts) of each document, in the order of their numbers.

    Raises:
        OSError: A disk error.
    """
    average = header.terms / header.documents if header.documents else 0.0
    head = b"".join([
        _number(1, VERSION), _number(2, header.lists), _number(3, header.documents), _number(4, header.lists),
        _number(5, header.documents), _number(6, header.terms),
        bytes([7 << 3 | _FIXED64]) + np.array(average, "<f8").tobytes(), _string(8, header.description),
    ])  # fmt: skip
    file.write(_encoded(len(head)) + head)
    for term, numbers, impacts in lists:
        start = _string(1, term) + _number(2, numbers.size) + _number(3, int(impacts.sum()))
        postings = _packed_postings(_gaps(numbers), impacts.astype(np.int64))
        file.write(_encoded(len(start) + len(postings)) + start)
        file.write(postings)
    for number, (docid, length) in enumerate(documents):
        record = _number(1, number) + _string(2, docid) + _number(3, length)
        file.write(_encoded(len(record)) + record)


def _gaps(numbers: NDArray[Any]) -> _Integers:
    """Differences between numbers; the first one as it is."""
    gaps: _Integers = numbers.astype(np.int64)
    gaps[1:] -= numbers[:-1]
    return gaps


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _number(key: int, value: int) -> bytes:
    """A field with a number of at least 0; nothing for 0, which proto3 leaves out."""
    return bytes([key << 3]) + _encoded(value) if value else b""


def _string(key: int, text: str) -> bytes:
    data = well_formed(text).encode()
    return bytes([key << 3 | _BYTES]) + _encoded(len(data)) + data if data else b""


def _packed_postings(gaps: _Integers, impacts: _Integers) -> bytes:
    """Postings, each with the difference of its document number (only the first may be 0) and its impact of at least 1."""
    if gaps.size and gaps[0] == 0:
        first = bytes([_TF]) + _encoded(int(impacts[0]))
        return bytes([_POSTING, len(first)]) + first + _packed_postings(gaps[1:], impacts[1:])
    gap_sizes, impact_sizes = _varint_sizes(gaps), _varint_sizes(impacts)
    sizes = gap_sizes + impact_sizes + 4
    starts = np.cumsum(sizes) - sizes
    packed = np.empty(int(sizes.sum()), np.uint8)
    packed[starts] = _POSTING
    packed[starts + 1] = sizes - 2
    packed[starts + 2] = _DOCID
    _put_varints(packed, starts + 3, gaps, gap_sizes)
    packed[starts + 3 + gap_sizes] = _TF
    _put_varints(packed, starts + 4 + gap_sizes, impacts, impact_sizes)
    return packed.tobytes()


def _varint_sizes(values: _Integers) -> _Integers:
    sizes = np.ones(values.size, np.int64)
    for bits in (7, 14, 21, 28):
        sizes += values >= 1 << bits
    return sizes


def _put_varints(packed: NDArray[np.uint8], at: _Integers, values: _Integers, sizes: _Integers) -> None:
    for place in range(int(sizes.max(initial=0))):
        has = sizes > place
        more = np.where(sizes[has] > place + 1, 128, 0)
        packed[at[has] + place] = (values[has] >> 7 * place) & 127 | more
