"""Reads the documents of one file, in each format."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from splade_lucene.corpus.fields import ID_KEYS, TEXT_KEYS, CorpusFields, DocumentLocation, checked_docid
from splade_lucene.corpus.folders import ALL_SUFFIXES, CSV, JSON, JSON_LINES, PARQUET, TEXTS, TSV
from splade_lucene.errors import CorpusError
from splade_lucene.files.compression import COMPRESSIONS, check_readable, content_name, open_bytes
from splade_lucene.files.delimited import INDEX_NAMES, Header, Names, Row, note_header, read_rows
from splade_lucene.files.json_text import numbered_records, parse_object
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.records import Document

LazyDocument = tuple[Callable[[], Document], DocumentLocation]
"""A function that returns a document or raises CorpusError, and the document's place."""

Opener = Callable[[Path], BinaryIO]
"""Opens a file for reading its decompressed bytes."""

_ID_COLUMNS = (*ID_KEYS, "docno", "pid", "passage_id", "document_id", "corpus_id", *INDEX_NAMES)
_TEXT_COLUMNS = (*TEXT_KEYS, "passage", "passage_text", "body", "content", "document", "abstract", "title")


def read_file(path: Path, root: Path, fields: CorpusFields, opener: Opener) -> Iterator[LazyDocument]:
    """Reads a file.

    Args:
        path: The file.
        root: The corpus: this file, or the folder that contains it.
        fields: The keys or columns to read.
        opener: Opens the file.

    Raises:
        CorpusError: The file cannot be read, or has an unknown suffix.
    """
    try:
        check_readable(path, CorpusError)
        name = content_name(path).lower()
        if name.endswith((*JSON_LINES, *JSON)):
            yield from _read_json(path, fields, opener)
        elif name.endswith((*TSV, *CSV)):
            yield from _read_delimited(path, fields, opener, is_csv=name.endswith(CSV))
        elif name.endswith(PARQUET):
            yield from _read_parquet(path, fields, opener)
        elif name.endswith(TEXTS):
            shown = path.name if path == root else path.relative_to(root).as_posix()
            yield partial(_plain_document, path, shown, opener), DocumentLocation(path)
        else:
            raise CorpusError(
                f"unknown suffix; expected one of {', '.join(ALL_SUFFIXES)}, compressed ({', '.join(COMPRESSIONS)}) or not",
                path=path, remedy="Rename or convert the file",
            )  # fmt: skip
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(
            f"cannot read this file ({error})", path=path, remedy="Check it or download it again"
        ) from error


def _plain_document(path: Path, name: str, opener: Opener) -> Document:
    try:
        with opener(path) as file:
            raw = file.read()
    except OSError as error:
        raise CorpusError(
            f"cannot read this file ({error})", path=path, remedy="Check it or download it again"
        ) from error
    return Document(quote(os.fsencode(name), safe="/-_.~"), _decoded(raw, DocumentLocation(path)))


def _read_json(path: Path, fields: CorpusFields, opener: Opener) -> Iterator[LazyDocument]:
    with opener(path) as lines:
        try:
            for number, record in numbered_records(lines):
                yield (
                    partial(_json_document, record, DocumentLocation(path, number), fields),
                    DocumentLocation(path, number),
                )
        except ValueError as error:
            raise CorpusError(
                f"invalid JSON ({error})", path=path, line=getattr(error, "lineno", None),
                remedy="Write one object per line, or an array of objects",
            ) from error  # fmt: skip


def _json_document(line: bytes, place: DocumentLocation, fields: CorpusFields) -> Document:
    text = _decoded(line, place)
    try:
        record = parse_object(text)
    except ValueError as error:
        raise CorpusError(str(error), path=place.path, line=place.line, remedy="Fix the line") from None
    return fields.document(record, place)


def _read_delimited(path: Path, fields: CorpusFields, opener: Opener, *, is_csv: bool) -> Iterator[LazyDocument]:
    names = Names(
        _ID_COLUMNS if fields.id is None else (fields.id.lower(),),
        _TEXT_COLUMNS if fields.text is None else (fields.text.lower(),),
    )
    with opener(path) as lines:
        header, rows = read_rows(enumerate(_escaped(lines), 1), names, is_csv=is_csv)
        if header:
            note_header(path, header, "document")
        elif fields.names_columns:
            raise CorpusError(
                f"the file has no header with a column {names.ids[0]} and a column {names.texts[0]}", path=path, line=1,
                remedy="Add a header, or leave out id_field and text_field",
            )  # fmt: skip
        for number, row in rows:
            yield (
                partial(_row_document, row, header, DocumentLocation(path, number), fields),
                DocumentLocation(path, number),
            )


def _escaped(lines: Iterable[bytes]) -> Iterator[str]:
    """Decodes lines; a byte that is not UTF-8 becomes a surrogate, so that only its own row is refused."""
    return (line.decode("utf-8", "surrogateescape") for line in lines)


def _row_document(row: Row, header: Header | None, place: DocumentLocation, fields: CorpusFields) -> Document:
    try:
        cells = row()
    except ValueError as error:
        raise CorpusError(str(error), path=place.path, line=place.line, remedy=_remedy(header)) from None
    columns = [header.id, header.title, header.text] if header else [0, None, 1]
    docid, title, text = ("" if column is None else _checked_text(cells, column, place) for column in columns)
    values = {}
    if header and fields.others is not None:
        own = (header.id, header.title, header.text)
        record = {
            name: _checked_text(cells, column, place)
            for column, name in enumerate(header.names)
            if name and column not in own
        }
        values = fields.values(record, docid, place, is_text=True)
    return Document(checked_docid(docid, place), f"{title} {text}" if title else text, values)


def _remedy(header: Header | None) -> str:
    return "Write id<TAB>text" if header is None else f"Write the columns {', '.join(header.names)}"


def _checked_text(cells: Sequence[str], column: int, place: DocumentLocation) -> str:
    text = cells[column]
    if not text.isascii():
        _decoded(text.encode("utf-8", "surrogateescape"), place)
    return text


def _decoded(raw: bytes, place: DocumentLocation) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"not UTF-8 ({error})", path=place.path, line=place.line, remedy="Convert the file to UTF-8"
        ) from error


def _read_parquet(path: Path, fields: CorpusFields, opener: Opener) -> Iterator[LazyDocument]:
    with uninterrupted_imports():
        import pyarrow.parquet

    if opener is not open_bytes:  # pyarrow does not read sequentially, so hash the file in a pass of its own
        with opener(path) as whole:
            while whole.read(1 << 20):
                pass
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise CorpusError(f"not a Parquet file ({error})", path=path, remedy="Check it or download it again") from None
    number = 0
    for batch in file.iter_batches(batch_size=4096):
        for record in batch.to_pylist():
            number += 1
            yield partial(fields.document, record, DocumentLocation(path, number)), DocumentLocation(path, number)
