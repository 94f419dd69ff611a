"""Reads corpora in all supported formats as a stream of :class:`Document`.

======================================  ==============================================================================
source                                  contents
======================================  ==============================================================================
``x.jsonl``, ``x.json``                 one object per line, an array of objects, or an object over several lines, as in
                                        Anserini's collections: the id from ``id``, ``_id``, ``docid`` or ``doc_id``;
                                        the text from ``contents`` or ``text``, preceded by ``title`` if present;
                                        ``null`` and ``NaN`` are missing values
``x.tsv``                               id, tab, text; or a header and columns (:mod:`splade_lucene.files.delimited`)
``x.csv``                               the same with commas, and fields quoted where necessary
``x.parquet``                           columns named like the JSON keys
``x.txt``, ``x.md``                     one document, with the path as id
one of these with ``.gz``, ``.bz2``,    the same, decompressed
``.xz``, ``.zst`` or ``.zip``
a folder                                its files of one format, if they can be one collection
                                        (:mod:`splade_lucene.files.folders`): JSONL, TSV, CSV or Parquet; else ``.txt`` and
                                        ``.md``, or ``.json``
``irds:NAME``                           a corpus from ir_datasets
``hf:NAME`` or ``hf:NAME:SPLIT``        a data set from Hugging Face
``python-docs``                         the docstrings of the running Python's standard library
======================================  ==============================================================================
"""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from splade_lucene.arguments import to_path
from splade_lucene.corpus.fields import CorpusFields, DocumentLocation, checked_docid
from splade_lucene.corpus.folders import corpus_files
from splade_lucene.corpus.formats import LazyDocument, Opener, read_file
from splade_lucene.corpus.python_docs import read_python_docs
from splade_lucene.counts import FirstProblems
from splade_lucene.errors import CorpusError, first_line
from splade_lucene.fields.schema import NO_FIELDS, FieldReader, FieldRequest, Fields, FieldSchema
from splade_lucene.fields.survey import FieldSurvey
from splade_lucene.files.compression import compression, open_bytes
from splade_lucene.files.files import HashingReader, digest_of_digests, files_digest, path_text
from splade_lucene.files.pipes import is_copy
from splade_lucene.files.remote import is_url
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.irds import open_ir_dataset, read_records
from splade_lucene.records import Document, FieldValue, well_formed

PYTHON_DOCS = "python-docs"


def read_corpus(
    source: str | Path,
    *,
    id_field: str | None = None,
    text_field: str | None = None,
    fields: Fields = None,
    skip_bad: bool = False,
    on_problem: Callable[[CorpusError], None] | None = None,
) -> Iterator[Document]:
    """Reads a corpus.

    Args:
        source: One of the sources above.
        id_field: The key or column of the id, instead of those above.
        text_field: Likewise of the text.
        fields: The keys or columns of the documents' fields with their types, such as ``"year:integer, lang:keyword"``; see
            :mod:`splade_lucene.fields`.
        skip_bad: Skip documents that cannot be read instead of raising an error.
        on_problem: Called with the error for each skipped document.

    Yields:
        Documents, in the order of the source. Unpaired surrogates, which cannot be encoded as UTF-8, become U+FFFD.

    Raises:
        CorpusError: The source or a document cannot be read, an id is a duplicate, or a value does not fit the type of its
            field; names the file and line.
        InputError: The type of a field is not declared; :func:`infer_fields` finds it.
        MissingDependencyError: The source needs an optional package.
    """
    to_path(source, error=CorpusError)  # also names such as irds:NAME could be paths
    schema = FieldRequest.of(fields).schema()
    columns = CorpusFields(id_field, text_field, schema or None)
    return _documents(str(source), columns, open_bytes, skip_bad=skip_bad, on_problem=on_problem)


def infer_fields(
    source: str | Path,
    fields: Fields = "all",
    *,
    id_field: str | None = None,
    text_field: str | None = None,
    skip_bad: bool = False,
) -> FieldSchema:
    r"""The fields of a corpus and their types; declared types are kept, the others are inferred from all values.

    Args:
        source: A corpus in files.
        fields: Which fields; see :func:`splade_lucene.encode_corpus`.
        id_field: See :func:`read_corpus`.
        text_field: Likewise.
        skip_bad: Skip documents that cannot be read instead of raising an error.

    Raises:
        CorpusError: A document cannot be read, or none has one of the fields.

    Example:
        >>> from splade_lucene import infer_fields
        >>> corpus = getfixture("tmp_path") / "corpus.tsv"
        >>> _ = corpus.write_text("id\ttext\tyear\tlang\nd1\thello\t2019\ten\nd2\thallo\t\tde\n")
        >>> infer_fields(corpus).types
        {'year': 'integer', 'lang': 'keyword'}
    """
    facts = examine_corpus(source, id_field=id_field, text_field=text_field, fields=fields, skip_bad=skip_bad)
    return facts.fields if facts is not None else FieldRequest.of(fields).schema()


class CorpusFacts(NamedTuple):
    """The size and digest of a corpus.

    Attributes:
        documents: Number of readable documents.
        digest: The digest that :func:`corpus_digest` returns.
        fields: The fields that were asked for, with their types.
    """

    documents: int
    digest: str
    fields: FieldSchema = NO_FIELDS


def examine_corpus(
    source: str | Path,
    *,
    id_field: str | None = None,
    text_field: str | None = None,
    fields: Fields = None,
    skip_bad: bool = False,
) -> CorpusFacts | None:
    """Checks, counts and hashes the documents of a corpus in a single pass over its files.

    Args:
        source: One of the sources above.
        id_field: See :func:`read_corpus`.
        text_field: Likewise.
        fields: The fields whose types are inferred, unless they are declared.
        skip_bad: Skip documents that cannot be read instead of raising an error.

    Returns:
        The facts; None for a source without files. Only the first document of such a source is read, because it may
        come over the network.

    Raises:
        CorpusError: A document cannot be read, or there is none, or none has one of the fields.
    """
    request, files = FieldRequest.of(fields), _HashedFiles()
    columns = CorpusFields(id_field, text_field)
    survey: FieldSurvey | None = None
    if request.requires_fields and str(source) == PYTHON_DOCS:
        raise CorpusError(f"the documents of {PYTHON_DOCS} have no fields", remedy="Leave out fields=…")
    if request and _has_files(source):
        survey = FieldSurvey(request, str(source), (*columns.id_keys, *columns.text_keys, "title"))
    columns = replace(columns, others=_both(survey, request))
    opener = files.open if _has_files(source) else open_bytes
    problems = FirstProblems()
    found = _documents(str(source), columns, opener, skip_bad=skip_bad, on_problem=problems)
    documents = sum(1 for _ in (found if _has_files(source) else islice(found, 1)))
    if not documents:
        reason = f"{source}: {problems.describe()}" if problems.count else f"no documents in {source}"
        raise CorpusError(reason, remedy="Check that it is the right corpus")
    if not _has_files(source):
        return None
    return CorpusFacts(documents, files.digest(), survey.schema() if survey else NO_FIELDS)


def _both(survey: FieldSurvey | None, request: FieldRequest) -> FieldReader | None:
    """Reads the declared fields, which checks their values, and looks at all."""
    declared = FieldSchema({name: kind for name, kind in request.types.items() if kind is not None})
    return survey if survey is None else _Surveyed(survey, declared)


class _Surveyed(NamedTuple):
    survey: FieldSurvey
    declared: FieldSchema

    def read(self, record: Mapping[str, object], place: object, *, is_text: bool = False) -> dict[str, FieldValue]:
        found = self.declared.read(record, place, is_text=is_text)
        self.survey.read(record, place, is_text=is_text)
        return found


class _HashedFiles:
    """Opens files and hashes them while they are read, in the order in which they are opened."""

    def __init__(self) -> None:
        self._opened: list[HashingReader] = []

    def open(self, path: Path) -> BinaryIO:
        reader = HashingReader(path)
        self._opened.append(reader)
        buffered = io.BufferedReader(reader, 1 << 20)
        if compression(path) == ".gz":
            return cast(BinaryIO, gzip.open(buffered))
        if not compression(path):
            return cast(BinaryIO, buffered)
        while buffered.read(1 << 20):  # the readers of other formats may not read every byte
            pass
        return open_bytes(path)

    def digest(self) -> str:
        for reader in self._opened:
            reader.close()
        return digest_of_digests(reader.digest() for reader in self._opened)


def _documents(
    source: str,
    fields: CorpusFields,
    opener: Opener,
    *,
    skip_bad: bool,
    on_problem: Callable[[CorpusError], None] | None,
) -> Iterator[Document]:
    seen: dict[str, DocumentLocation] = {}
    for load, place in _read(source, fields, opener):
        try:
            document = load()
            if document.docid in seen:
                raise CorpusError(
                    f"duplicate id {document.docid!r}, first used at {seen[document.docid]}", path=place.path,
                    line=place.line, remedy="Make all ids unique",
                )  # fmt: skip
        except CorpusError as error:
            if not skip_bad:
                raise
            if on_problem:
                on_problem(error)
            continue
        seen[document.docid] = place
        yield document


def describe_corpus(source: str | Path) -> str:
    """A description that changes when the corpus does: the paths, sizes and times of its files, or its name."""
    if str(source) == PYTHON_DOCS:
        return f"{PYTHON_DOCS} of {sys.version}"
    if not _has_files(source):
        return str(source)
    if is_copy(source):
        return "a pipe"  # its name may differ next time
    return "\n".join(f"{path_text(file)} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in _files(source))


def corpus_digest(source: str | Path) -> str:
    """SHA-256 of the contents of a corpus's files, regardless of names and times; for a source without files, its name."""
    if not _has_files(source):
        return describe_corpus(source)
    return files_digest(_files(source))


def _has_files(source: str | Path) -> bool:
    """Whether a source is a file or folder; names of corpora come first, as in :func:`read_corpus`."""
    name = str(source)
    return name != PYTHON_DOCS and not name.startswith(("irds:", "hf:")) and to_path(source, error=CorpusError).exists()


def _files(source: str | Path) -> list[Path]:
    path = Path(source)
    return corpus_files(path) if path.is_dir() else [path]


def _read(source: str, fields: CorpusFields, opener: Opener) -> Iterator[LazyDocument]:
    if source == PYTHON_DOCS:
        yield from ((partial(_identity, document), DocumentLocation(document.docid)) for document in read_python_docs())
        return
    if source.startswith("irds:"):
        yield from _read_ir_datasets(source.removeprefix("irds:"), fields)
        return
    if source.startswith("hf:"):
        yield from _read_hugging_face(source.removeprefix("hf:"), fields)
        return
    path = to_path(source, error=CorpusError)
    if not path.exists():
        if is_url(source):
            raise CorpusError(
                f"{source} is a URL, and a corpus is read from files, twice", remedy="Copy it to a file or folder first"
            )
        raise CorpusError(
            "no such file or folder", path=path, remedy="Check the path, or pass irds:NAME, hf:NAME or python-docs"
        )
    for file in _files(path):
        yield from read_file(file, path, fields, opener)


def _identity(document: Document) -> Document:
    return document


def _read_ir_datasets(name: str, fields: CorpusFields) -> Iterator[LazyDocument]:
    for number, each in enumerate(read_records(open_ir_dataset(name, CorpusError).docs_iter, name, CorpusError), 1):
        place = DocumentLocation(f"irds:{name}", number)
        yield partial(_ir_document, each, fields, place), place


def _ir_document(record: Any, fields: CorpusFields, place: DocumentLocation) -> Document:
    if fields.names_columns:
        return fields.document({"doc_id": record.doc_id, **record._asdict(), "title": None}, place)
    docid = checked_docid(record.doc_id, place)
    values = {} if fields.others is None else fields.values(record._asdict(), docid, place)
    return Document(docid, well_formed(record.default_text()), values)


def _read_hugging_face(name: str, fields: CorpusFields) -> Iterator[LazyDocument]:
    with uninterrupted_imports():
        import datasets

    path, _, split = name.partition(":")
    try:
        rows = datasets.load_dataset(path, split=split or "train", streaming=True)
        for number, record in enumerate(rows, 1):
            place = DocumentLocation(f"hf:{name}", number)
            yield partial(fields.document, record, place), place
    except Exception as error:  # datasets, the hub's client and the network raise all kinds of exceptions
        reason = first_line(error)
        raise CorpusError(
            f"cannot read hf:{name} ({reason})", remedy="Check the name, the split and the network"
        ) from error
