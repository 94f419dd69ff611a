"""Reads and writes Anserini's JsonVectorCollection: one object per line, ``{"id": …, "contents": …, "vector": {…}}``.

Documents are validated when they are read. Anserini itself silently truncates floats, turns strings into 0, drops
documents with empty vectors and splits terms at white space. Here, each of these is an error that names the file, the
line and the remedy; with ``skip_bad``, such documents are reported and skipped.
:data:`~splade_lucene.pseudo_documents.problems.PROBLEMS` lists all problems.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from splade_lucene.arguments import several, to_path
from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import PseudoDocumentError, shortened
from splade_lucene.fields.schema import FieldRequest, Fields, FieldSchema
from splade_lucene.fields.values import date_micros, date_text
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.pseudo_documents.files import find_files, read_lines
from splade_lucene.pseudo_documents.problems import BadDocumentError, Problem, message
from splade_lucene.pseudo_documents.validation import check_document, check_posting, parse_line
from splade_lucene.records import Document, FieldValue, PseudoDocument

if TYPE_CHECKING:
    from splade_lucene.encoder.sparse import SparseImpacts

# ---- writing ----


def format_pseudo_document(document: PseudoDocument) -> str:
    """Formats a document as one line, without the line break."""
    vector = {term: int(impact) for term, impact in document.vector.items()}
    record: dict[str, object] = {"id": document.docid}
    if document.contents is not None:
        record["contents"] = document.contents
    if document.fields:
        record["fields"] = {name: _json_value(name, value) for name, value in document.fields.items()}
    return json.dumps({**record, "vector": vector}, ensure_ascii=False, separators=(", ", ": "))


def _json_value(name: str, value: object) -> object:
    """The value of a field as JSON has it: dates in ISO 8601."""
    if isinstance(value, datetime.date):
        return date_text(date_micros(name, value))
    return sorted(value) if isinstance(value, set | frozenset) else value


def _format_fields(fields: Mapping[str, FieldValue]) -> str:
    return f'"fields": {json.dumps(fields, ensure_ascii=False)}, ' if fields else ""


def write_pseudo_documents(path: str | Path, documents: Iterable[PseudoDocument]) -> int:
    """Writes one file, compressed if its name says so (``.gz``, ``.zst`` …). The file gets its name only when it is complete.

    Args:
        path: The file; its folder is created if necessary.
        documents: The documents.

    Returns:
        The number of documents written.

    Raises:
        PseudoDocumentError: A document cannot be indexed.
        StorageError: The file cannot be written.
    """
    count = 0
    with atomic_text_writer(to_path(path)) as file:
        for document in several(documents, "documents", error=PseudoDocumentError):
            check_document(document)
            file.write(format_pseudo_document(document) + "\n")
            count += 1
    return count


class ImpactWriter:
    """Writes encoded texts from compressed sparse rows, several times faster than :func:`write_pseudo_documents`, same bytes.

    Args:
        terms: The vocabulary's terms by term_id.

    Raises:
        PseudoDocumentError: A term cannot be indexed.
    """

    def __init__(self, terms: Sequence[str]) -> None:
        try:
            for term in terms:
                check_posting(term, 1)
        except BadDocumentError as bad:
            raise PseudoDocumentError("the model's vocabulary: " + message(bad.kind, bad.detail)) from None
        self._keys = [json.dumps(term, ensure_ascii=False) + ": " for term in terms]

    def write(self, path: Path, documents: Sequence[Document], impacts: SparseImpacts) -> None:
        """Writes one file without the documents that have no terms.

        Args:
            path: The file; it gets its name only when it is complete.
            documents: The documents.
            impacts: Their impacts, in the same order.

        Raises:
            PseudoDocumentError: The impacts of a document sum to more than Lucene can store.
            StorageError: The file cannot be written.
        """
        keys, starts = self._keys, impacts.starts.tolist()
        term_ids, values = impacts.term_ids.tolist(), impacts.values.tolist()
        with atomic_text_writer(path) as file:
            for number, document in enumerate(documents):
                row = slice(starts[number], starts[number + 1])
                if row.start == row.stop:
                    continue
                if sum(values[row]) > MAX_IMPACT:
                    check_document(PseudoDocument(document.docid, document.text, impacts[number]))
                docid, text = (json.dumps(each, ensure_ascii=False) for each in (document.docid, document.text))
                vector = ", ".join([f"{keys[i]}{value}" for i, value in zip(term_ids[row], values[row], strict=True)])
                fields = _format_fields(document.fields)
                file.write(f'{{"id": {docid}, "contents": {text}, {fields}"vector": {{{vector}}}}}\n')


# ---- reading ----


def read_pseudo_documents(
    source: str | Path,
    *,
    fields: Fields = None,
    skip_bad: bool = False,
    on_problem: Callable[[Problem], None] | None = None,
) -> Iterator[PseudoDocument]:
    """Reads and validates a collection, file by file, sorted by name.

    Args:
        source: A file or folder; see :mod:`splade_lucene.pseudo_documents.files`.
        fields: The fields to read, with their types; see :mod:`splade_lucene.fields`.
        skip_bad: Skip documents that cannot be indexed instead of raising an error.
        on_problem: Called with the problem of each skipped document.

    Yields:
        The documents, in input order.

    Raises:
        PseudoDocumentError: A document cannot be indexed; names the file, the line and the remedy.
    """
    schema = FieldRequest.of(fields).schema()
    for _, _, document in numbered_pseudo_documents(source, schema, skip_bad=skip_bad, on_problem=on_problem):
        yield document


def numbered_pseudo_documents(
    source: str | Path,
    schema: FieldSchema,
    *,
    skip_bad: bool = False,
    on_problem: Callable[[Problem], None] | None = None,
) -> Iterator[tuple[Path, int, PseudoDocument]]:
    """As :func:`read_pseudo_documents`, each document with its file and its line."""
    seen: dict[str, tuple[Path, int]] = {}
    for path in find_files(to_path(source, error=PseudoDocumentError)):
        for number, line in read_lines(path):
            try:
                document = parse_line(line.removesuffix(b"\n"), schema)
                first = seen.setdefault(document.docid, (path, number))
                if first != (path, number):
                    raise _DuplicateError(document.docid, f", first used at {first[0]}:{first[1]}")
            except BadDocumentError as bad:
                problem = Problem(bad.kind, bad.detail, path, number, getattr(bad, "first", ""))
                if not skip_bad:
                    raise problem.error() from None
                if on_problem:
                    on_problem(problem)
            else:
                yield path, number, document


class _DuplicateError(BadDocumentError):
    def __init__(self, docid: str, first: str) -> None:
        super().__init__("duplicate-id", shortened(docid))
        self.first = first
