"""The binary formats exchanged between Python and Java.

Pyjnius copies byte arrays as a whole but converts any other array element by element, so calls take and return batches of
bytes. Integers are little-endian; an ``int`` has 4 bytes, a ``long`` 8. A string is its length in bytes as an ``int``,
followed by its UTF-8 bytes. The Java counterpart is the package ``io.spladelucene.wire``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splade_lucene.arguments import to_path
from splade_lucene.errors import InputError

_INT = struct.Struct("<i")
_TERM_COUNTS = struct.Struct("<iq")
_POSTING = struct.Struct("<ii")
_LONG = struct.Struct("<q")
_DOUBLE = struct.Struct("<d")
_COUNT = struct.Struct("<iq")
_PROFILE = struct.Struct("<13q")
_ABSENT = _INT.pack(-1)


class UnreadableError(ValueError):
    """Java has read something from an index that cannot have been written to it."""


def to_bytes(array: Any) -> bytes:
    """Converts a ``byte[]`` returned by Java. Pyjnius returns a wrapper, or an empty list for an empty array."""
    return bytes(array.tostring()) if hasattr(array, "tostring") else bytes(array)


# ---- strings, numbers and paths ----


def _pack_string(encoded: bytes) -> bytes:
    return _INT.pack(len(encoded)) + encoded


def _unpack_string(packed: bytes, at: int) -> tuple[str | None, int]:
    """Reads the string at an offset, None if absent; also returns the offset after it."""
    (length,) = _INT.unpack_from(packed, at)
    start = at + 4
    return (None, start) if length < 0 else (_text(packed[start : start + length]), start + length)


def _text(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it has a name or a text that is not UTF-8 ({encoded!r:.60})") from error


def pack_strings(strings: Iterable[str]) -> bytes:
    """Int count; the strings.

    Raises:
        InputError: A string contains an unpaired surrogate.
    """
    parts = [_pack_string(_utf8(string)) for string in strings]
    return _INT.pack(len(parts)) + b"".join(parts)


def _utf8(string: str) -> bytes:
    try:
        return string.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{string!a:.200} contains an unpaired surrogate, which UTF-8 cannot encode", remedy="Remove it"
        ) from None


def unpack_strings(packed: bytes) -> list[str]:
    """Int count; the strings."""
    return [row[0] for row in unpack_rows(packed, 1)]


def unpack_rows(packed: bytes, columns: int) -> Iterator[list[str]]:
    """Int count; for each row, its columns as strings."""
    (count,) = _INT.unpack_from(packed)
    at = 4
    for _ in range(count):
        row = []
        for _ in range(columns):
            value, at = _unpack_string(packed, at)
            row.append(value or "")
        yield row


def unpack_optional_strings(packed: bytes, count: int) -> list[str | None]:
    """Strings; an absent one has length -1.

    Args:
        packed: The bytes.
        count: Number of strings.

    Raises:
        UnreadableError: One is not UTF-8; so do all functions that unpack strings of an index.
    """
    found = []
    at = 0
    for _ in range(count):
        value, at = _unpack_string(packed, at)
        found.append(value)
    return found


def pack_integers(values: Sequence[int]) -> bytes:
    """Int count; the integers."""
    return struct.pack(f"<{len(values) + 1}i", len(values), *values)


def unpack_integers(packed: bytes) -> NDArray[np.int32]:
    """The integers; shape [integers], int32."""
    return np.frombuffer(packed, dtype="<i4")


def pack_paths(paths: Iterable[Path]) -> bytes:
    """The absolute paths, each followed by a zero byte.

    Raises:
        InputError: A path is not UTF-8.
    """
    return b"".join(path_bytes(path) + b"\0" for path in paths)


def path_bytes(path: str | Path) -> bytes:
    """An absolute path as UTF-8, whatever the encoding of Python's locale.

    Raises:
        InputError: The path is not UTF-8.
    """
    raw = os.fsencode(to_path(path).absolute())
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise InputError(
            "this path is not UTF-8, so Java cannot open it", path=path, remedy="Rename the file or folder"
        ) from None
    return raw


def unpack_docids(packed: bytes, count: int) -> list[str]:
    """Docids, each followed by a zero byte.

    Args:
        packed: The bytes.
        count: Number of docids.
    """
    return _split(_text(packed)[:-1], count)


def _split(joined: str, count: int) -> list[str]:
    """Splits joined docids."""
    docids = joined.split("\0") if count else []
    if len(docids) != count:
        raise UnreadableError("it has a docid with a zero byte")
    return docids


# ---- an index's contents ----


def unpack_terms(packed: bytes) -> Iterator[tuple[str, int, int]]:
    """Terms with their document frequencies and the sums of their impacts.

    Long number of terms; for each: the string, int document frequency, long sum.
    """
    at = 8
    while at < len(packed):
        term, at = _unpack_string(packed, at)
        doc_freq, total = _TERM_COUNTS.unpack_from(packed, at)
        at += _TERM_COUNTS.size
        yield term or "", doc_freq, total


def unpack_postings(packed: bytes) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """A term's lucene_docids and impacts, both of shape [postings], int32.

    Int number of postings; the lucene_docids; the impacts.
    """
    values = np.frombuffer(packed, dtype="<i4")
    return values[1 : 1 + values[0]], values[1 + values[0] :]


def unpack_vectors(packed: bytes, count: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The vectors of documents in a row: the number of terms of each, -1 if it is deleted, the terms, and the impacts.

    Shapes [count], [postings] and [postings], int32.
    """
    values = np.frombuffer(packed, dtype="<i4")
    middle = count + (len(values) - count) // 2
    return values[:count], values[count:middle], values[middle:]


class Commit(NamedTuple):
    """A commit of an index.

    Attributes:
        name: The name of its segments file.
        id: Its unique id, in hexadecimal.
        manifest: The JSON of its manifest; None if it has none.
    """

    name: str
    id: str
    manifest: str | None


def unpack_commit(packed: bytes) -> Commit:
    """A commit: its name, its id, its manifest with length -1 if absent."""
    name, identity, manifest = unpack_optional_strings(packed, 3)
    return Commit(name or "", identity or "", manifest)


def unpack_before(packed: bytes) -> tuple[int, Commit | None]:
    """What a writer changes: int number of documents; the last commit, if any."""
    return _INT.unpack_from(packed)[0], unpack_commit(packed[4:]) if len(packed) > 4 else None


class Prepared(NamedTuple):
    """What a commit would contain.

    Attributes:
        documents: Number of documents.
        commit: Its name.
        has_changes: Whether there are changes since the last commit.
    """

    documents: int
    commit: str
    has_changes: bool


def unpack_prepared(packed: bytes) -> Prepared:
    """Int number of documents; the name of the next commit; int 1 if there are changes."""
    name, at = _unpack_string(packed, 4)
    return Prepared(_INT.unpack_from(packed)[0], name or "", bool(_INT.unpack_from(packed, at)[0]))


def unpack_verification(packed: bytes) -> tuple[int, list[tuple[str, str]]]:
    """Int number of verified files; then as rows: the name of each damaged one, and what is wrong with it."""
    return _INT.unpack_from(packed)[0], [(file, reason) for file, reason in unpack_rows(packed[4:], 2)]


def unpack_counts(packed: bytes, at: int = 0) -> tuple[dict[int, int], int]:
    """Int number of values; for each: the value as an int, and a long: how often it occurs. Also the offset after them."""
    (size,) = _INT.unpack_from(packed, at)
    stop = at + 4 + size * _COUNT.size
    return dict(_COUNT.iter_unpack(packed[at + 4 : stop])), stop


def unpack_range(packed: bytes, *, is_float: bool) -> tuple[int | float, int | float] | None:
    """The smallest and the largest value of a field, as longs; None if there is none."""
    if not packed:
        return None
    smallest, largest = (value for (value,) in _LONG.iter_unpack(packed))
    return (_long_as_double(smallest), _long_as_double(largest)) if is_float else (smallest, largest)


# ---- documents ----


def pack_pseudo_document(
    docid: str, raw: str | None, text: str | None, vector: Mapping[str, int], values: bytes
) -> bytes:
    """The docid; the stored JSON and the text for BM25; int number of terms; for each: int impact, the string; the values.

    The values are those that :func:`pack_values` packed. What is absent has the length -1.
    """
    parts = [_pack_string(docid.encode()), _pack_optional(raw), _pack_optional(text), _INT.pack(len(vector))]
    for term, impact in vector.items():
        encoded = term.encode()
        parts += [_POSTING.pack(impact, len(encoded)), encoded]
    parts.append(_pack_string(values) if values else _ABSENT)
    return b"".join(parts)


def pack_text(docid: str, raw: str | None, text: str) -> bytes:
    """The docid; the stored JSON, with length -1 if absent; the text to analyze."""
    return _pack_string(docid.encode()) + _pack_optional(raw) + _pack_string(text.encode())


def _pack_optional(text: str | None) -> bytes:
    return _ABSENT if text is None else _pack_string(text.encode())


def pack_batch(documents: Sequence[bytes]) -> bytes:
    """Int count; the documents, packed by :func:`pack_pseudo_document` or :func:`pack_text`."""
    return _INT.pack(len(documents)) + b"".join(documents)


# ---- fields ----


def double_as_long(value: float) -> int:
    """The long that stands for a double: they have the same order (Lucene's ``NumericUtils.doubleToSortableLong``)."""
    (bits,) = _LONG.unpack(_DOUBLE.pack(value))
    return int(bits ^ (bits >> 63) & 0x7FFF_FFFF_FFFF_FFFF)


def _long_as_double(value: int) -> float:
    (double,) = _DOUBLE.unpack(_LONG.pack(value ^ (value >> 63) & 0x7FFF_FFFF_FFFF_FFFF))
    return float(double)


def pack_values(values: Iterable[tuple[int, str | int | float]]) -> bytes:
    """For each value: int number of its field; a string, or a long for an integer or a float.

    Args:
        values: The numbers of fields, from 0, and the values.
    """
    parts = []
    for number, value in values:
        parts.append(_INT.pack(number))
        if isinstance(value, str):
            parts.append(_pack_string(value.encode()))
        else:
            parts.append(_LONG.pack(double_as_long(value) if isinstance(value, float) else value))
    return b"".join(parts)


def unpack_values(packed: bytes, count: int, kinds: Sequence[type[str | int | float]]) -> Iterator[list[list[Any]]]:
    """The values of documents: for each document, for each field: int count, the values.

    Args:
        packed: The bytes.
        count: Number of documents.
        kinds: For each field, what its values are.
    """
    at = 0
    for _ in range(count):
        document = []
        for kind in kinds:
            values: list[Any] = []
            (left,) = _INT.unpack_from(packed, at)
            at += 4
            for _ in range(left):
                if kind is str:
                    value, at = _unpack_string(packed, at)
                    values.append(value)
                else:
                    (number,) = _LONG.unpack_from(packed, at)
                    values.append(_long_as_double(number) if kind is float else number)
                    at += 8
            document.append(values)
        yield document


def pack_nothing() -> bytes:
    """The condition that no document fulfils: int 0."""
    return _INT.pack(0)


def pack_all(conditions: Sequence[bytes]) -> bytes:
    """All of some conditions, at least one: int 1, int count, the conditions."""
    return struct.pack("<ii", 1, len(conditions)) + b"".join(conditions)


def pack_any(conditions: Sequence[bytes]) -> bytes:
    """One of some conditions: int 2, int count, the conditions."""
    return struct.pack("<ii", 2, len(conditions)) + b"".join(conditions)


def pack_not(condition: bytes) -> bytes:
    """The negation of a condition: int 3, the condition."""
    return _INT.pack(3) + condition


def pack_keywords(field: str, keywords: Sequence[str]) -> bytes:
    """A field has one of some keywords: int 4, the field, int count, the keywords."""
    return _INT.pack(4) + _pack_string(field.encode()) + pack_strings(keywords)


def pack_keyword_range(field: str, first: bytes | None, end: bytes | None) -> bytes:
    """A field has a keyword in a range: int 5, the field, the first one, the first after the range; absent: no bound."""
    bounds = [_ABSENT if each is None else _pack_string(each) for each in (first, end)]
    return _INT.pack(5) + _pack_string(field.encode()) + b"".join(bounds)


def pack_long_range(field: str, first: int, last: int) -> bytes:
    """A field has a value in a range: int 6, the field, long first, long last."""
    return _INT.pack(6) + _pack_string(field.encode()) + struct.pack("<qq", first, last)


def pack_exists(field: str, *, is_keyword: bool) -> bytes:
    """A field has a value: int 7 for keywords or 8 for longs, the field."""
    return _INT.pack(7 if is_keyword else 8) + _pack_string(field.encode())


# ---- queries and rankings ----


def pack_queries(vectors: Sequence[Mapping[str, int]]) -> bytes:
    """Int count; for each query: int number of terms, the impacts, the lengths of the terms, the terms."""
    parts = [_INT.pack(len(vectors))]
    for vector in vectors:
        terms = [*map(str.encode, vector)]
        parts.append(struct.pack(f"<{1 + 2 * len(terms)}i", len(terms), *vector.values(), *map(len, terms)))
        parts += terms
    return b"".join(parts)


def unpack_queries(packed: bytes, at: int = 0) -> Iterator[dict[str, int]]:
    """The queries that :func:`pack_queries` packs, from an offset on: {term: impact}."""
    (count,) = _INT.unpack_from(packed, at)
    at += 4
    for _ in range(count):
        (size,) = _INT.unpack_from(packed, at)
        numbers = struct.unpack_from(f"<{2 * size}i", packed, at + 4)
        at += 4 + 8 * size
        vector = {}
        for impact, length in zip(numbers[:size], numbers[size:], strict=True):
            vector[packed[at : at + length].decode()] = impact
            at += length
        yield vector


def unpack_expanded(packed: bytes) -> tuple[int, list[dict[str, int]]]:
    """Int number of queries whose hits have no term that counts; the expanded queries."""
    return int(_INT.unpack_from(packed)[0]), [*unpack_queries(packed, 4)]


def unpack_scores(packed: bytes) -> NDArray[np.int64]:
    """The scores, as longs; shape [scores], int64."""
    return np.frombuffer(packed, dtype="<i8")


class ImpactRanking(NamedTuple):
    """The result of an impact query.

    Attributes:
        docids: Best first.
        scores: Shape [hits], int64.
        lucene_docids: Shape [hits], int32.
        profile: The profile of the search: eight counts, four times in nanoseconds, and 1 if an accelerator was damaged.
    """

    docids: list[str]
    scores: NDArray[np.int64]
    lucene_docids: NDArray[np.int32]
    profile: tuple[int, ...]


def unpack_impact_rankings(packed: bytes, count: int) -> Iterator[ImpactRanking]:
    """The results of impact queries.

    For each: int number of hits, the scores as longs, the lucene_docids, the docids joined by zero bytes into one string,
    and the profile, 13 longs.
    """
    at = 0
    for _ in range(count):
        (size,) = _INT.unpack_from(packed, at)
        scores = np.frombuffer(packed, dtype="<i8", count=size, offset=at + 4)
        lucene_docids = np.frombuffer(packed, dtype="<i4", count=size, offset=at + 4 + 8 * size)
        at += 4 + 12 * size
        docids, at = _unpack_joined(packed, at, size)
        yield ImpactRanking(docids, scores, lucene_docids, _PROFILE.unpack_from(packed, at))
        at += _PROFILE.size


class TextRanking(NamedTuple):
    """The result of a BM25 query.

    Attributes:
        docids: Best first.
        scores: Shape [hits], float32.
        lucene_docids: Shape [hits], int32.
    """

    docids: list[str]
    scores: NDArray[np.float32]
    lucene_docids: NDArray[np.int32]


def unpack_text_rankings(packed: bytes, count: int) -> Iterator[TextRanking]:
    """The results of BM25 queries.

    For each: int number of hits, the scores in single precision, the lucene_docids, the docids joined by zero bytes into
    one string.
    """
    at = 0
    for _ in range(count):
        (size,) = _INT.unpack_from(packed, at)
        scores = np.frombuffer(packed, dtype="<f4", count=size, offset=at + 4)
        lucene_docids = np.frombuffer(packed, dtype="<i4", count=size, offset=at + 4 + 4 * size)
        docids, at = _unpack_joined(packed, at + 4 + 8 * size, size)
        yield TextRanking(docids, scores, lucene_docids)


def _unpack_joined(packed: bytes, at: int, count: int) -> tuple[list[str], int]:
    joined, at = _unpack_string(packed, at)
    return _split(joined or "", count), at
