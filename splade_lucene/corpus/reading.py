"""Reads corpora in all supported formats as a stream of :class:`Document`.

======================================  ==============================================================================
source                                  contents
======================================  ==============================================================================
``x.jsonl``, ``.jsonl.gz``              one object per line: the id from ``id``, ``_id``, ``docid`` or ``doc_id``; the
                                        text from ``contents`` or ``text``, preceded by ``title`` if present
``x.json``, ``.json.gz``                the same, with the suffix of Anserini's collections
``x.tsv``, ``.tsv.gz``                  id, tab, text
``x.parquet``                           columns named like the JSON keys
a folder                                only ``corpus.jsonl`` if present (BEIR); else all JSONL, TSV and Parquet files;
                                        else all ``.txt`` and ``.md`` files, with their paths as ids; else all
                                        ``.json`` files
``irds:NAME``                           a corpus from ir_datasets
``hf:NAME`` or ``hf:NAME:SPLIT``        a data set from Hugging Face
``python-docs``                         the docstrings of the running Python's standard library
======================================  ==============================================================================
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import quote

from splade_lucene.corpus.python_docs import read_python_docs
from splade_lucene.errors import CorpusError
from splade_lucene.files import HashingReader, digest_of_digests, files_digest, numbered_lines, open_bytes
from splade_lucene.ids import MAX_ID_BYTES, is_id
from splade_lucene.irds import open_ir_dataset
from splade_lucene.json_text import parse_object
from splade_lucene.records import Document, well_formed

ID_KEYS = ("id", "_id", "docid", "doc_id")
TEXT_KEYS = ("contents", "text")
JSON_LINES_SUFFIXES = (".jsonl", ".jsonl.gz")
JSON_SUFFIXES = (".json", ".json.gz")
TSV_SUFFIXES = (".tsv", ".tsv.gz")
PLAIN_SUFFIXES = (".txt", ".md")
PYTHON_DOCS = "python-docs"


def read_corpus(
    source: str | Path, *, skip_bad: bool = False, on_problem: Callable[[CorpusError], None] | None = None
) -> Iterator[Document]:
    """Reads a corpus.

    Args:
        source: One of the sources above.
        skip_bad: Skip documents that cannot be read instead of raising an error.
        on_problem: Called with the error for each skipped document.

    Yields:
        Documents, in the order of the source. Unpaired surrogates, which cannot be encoded as UTF-8, become U+FFFD.

    Raises:
        CorpusError: The source or a document cannot be read, or an id is a duplicate; names the file and line.
        MissingDependencyError: The source needs an optional package.
    """
    return _documents(str(source), open_bytes, skip_bad=skip_bad, on_problem=on_problem)


class CorpusFacts(NamedTuple):
    """The size and digest of a corpus.

    Attributes:
        documents: Number of readable documents.
        digest: The digest that :func:`corpus_digest` returns.
    """

    documents: int
    digest: str


def examine_corpus(source: str | Path, *, skip_bad: bool = False) -> CorpusFacts | None:
    """Checks, counts and hashes the documents of a corpus in a single pass over its files.

    Args:
        source: One of the sources above.
        skip_bad: Skip documents that cannot be read instead of raising an error.

    Returns:
        The facts; None for a source without files. Only the first document of such a source is read, because it may
        come over the network.

    Raises:
        CorpusError: A document cannot be read, or there is none.
    """
    if not _has_files(source):
        documents = int(next(read_corpus(source, skip_bad=skip_bad), None) is not None)
    else:
        files = _HashedFiles()
        documents = sum(1 for _ in _documents(str(source), files.open, skip_bad=skip_bad, on_problem=None))
    if not documents:
        raise CorpusError(f"no documents in {source}", remedy="Check that it is the right corpus")
    return CorpusFacts(documents, files.digest()) if _has_files(source) else None


class _HashedFiles:
    """Opens files and hashes them while they are read, in the order in which they are opened."""

    def __init__(self) -> None:
        self._opened: list[HashingReader] = []

    def open(self, path: Path) -> BinaryIO:
        reader = HashingReader(path)
        self._opened.append(reader)
        buffered = io.BufferedReader(reader, 1 << 20)
        return cast(BinaryIO, gzip.open(buffered) if path.suffix == ".gz" else buffered)

    def digest(self) -> str:
        for reader in self._opened:
            reader.close()
        return digest_of_digests(reader.digest() for reader in self._opened)


def _documents(
    source: str, opener: _Opener, *, skip_bad: bool, on_problem: Callable[[CorpusError], None] | None
) -> Iterator[Document]:
    seen: dict[str, _Place] = {}
    for load, place in _read(source, opener):
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
    path = Path(source)
    files = _files_of(path) if path.is_dir() else [path]
    return "\n".join(f"{file.absolute()} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)


def corpus_digest(source: str | Path) -> str:
    """SHA-256 of the contents of a corpus's files, regardless of names and times; for a source without files, its name."""
    if not _has_files(source):
        return describe_corpus(source)
    path = Path(source)
    return files_digest(_files_of(path) if path.is_dir() else [path])


def _has_files(source: str | Path) -> bool:
    """Whether a source is a file or folder; names of corpora come first, as in :func:`read_corpus`."""
    name = str(source)
    return name != PYTHON_DOCS and not name.startswith(("irds:", "hf:")) and Path(source).exists()


class _Place(NamedTuple):
    """Where a document is: a file, data set or name, and the line or row if any."""

    path: Path | str
    line: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}:{self.line}"


_LazyDocument = tuple[Callable[[], Document], _Place]
"""A function that returns a document or raises CorpusError, and the document's place."""

_Opener = Callable[[Path], BinaryIO]
"""Opens a file for reading its decompressed bytes."""


def _read(source: str, opener: _Opener) -> Iterator[_LazyDocument]:
    if source == PYTHON_DOCS:
        yield from ((partial(_identity, document), _Place(document.docid)) for document in read_python_docs())
        return
    if source.startswith("irds:"):
        yield from _read_ir_datasets(source.removeprefix("irds:"))
        return
    if source.startswith("hf:"):
        yield from _read_hugging_face(source.removeprefix("hf:"))
        return
    path = Path(source)
    if not path.exists():
        raise CorpusError(
            "no such file or folder", path=path, remedy="Check the path, or pass irds:NAME, hf:NAME or python-docs"
        )
    for file in _files_of(path) if path.is_dir() else [path]:
        yield from _read_file(file, path, opener)


def _files_of(folder: Path) -> list[Path]:
    for beir in ("corpus.jsonl", "corpus.jsonl.gz"):
        if (folder / beir).is_file():
            return [folder / beir]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    structured = [path for path in files if path.name.endswith((*JSON_LINES_SUFFIXES, *TSV_SUFFIXES, ".parquet"))]
    chosen = structured or next(
        (
            found
            for ending in (PLAIN_SUFFIXES, JSON_SUFFIXES)
            if (found := [p for p in files if p.name.endswith(ending)])
        ),
        [],
    )
    if not chosen:
        raise CorpusError(
            "no .jsonl, .tsv, .parquet, .txt, .md or .json file in this folder", path=folder, remedy="Check the path"
        )
    return chosen


def _read_file(path: Path, root: Path, opener: _Opener) -> Iterator[_LazyDocument]:
    try:
        if path.name.endswith((*JSON_LINES_SUFFIXES, *JSON_SUFFIXES)):
            yield from _read_lines(path, opener, _json_document)
        elif path.name.endswith(TSV_SUFFIXES):
            yield from _read_lines(path, opener, _tsv_document)
        elif path.suffix == ".parquet":
            yield from _read_parquet(path, opener)
        elif path.name.endswith(PLAIN_SUFFIXES):
            name = path.name if path == root else path.relative_to(root).as_posix()
            yield partial(_plain_document, path, name, opener), _Place(path)
        else:
            raise CorpusError(
                "unknown suffix; expected one of .jsonl, .jsonl.gz, .json, .json.gz, .tsv, .tsv.gz, .parquet, .txt, .md",
                path=path, remedy="Rename or convert the file",
            )  # fmt: skip
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(
            f"cannot read this file ({error})", path=path, remedy="Check it or download it again"
        ) from error


def _identity(document: Document) -> Document:
    return document


def _plain_document(path: Path, name: str, opener: _Opener) -> Document:
    try:
        with opener(path) as file:
            raw = file.read()
    except OSError as error:
        raise CorpusError(
            f"cannot read this file ({error})", path=path, remedy="Check it or download it again"
        ) from error
    return Document(quote(name, safe="/-_.~"), _decoded(raw, path, None))


def _read_lines(
    path: Path, opener: _Opener, document: Callable[[bytes, Path, int], Document]
) -> Iterator[_LazyDocument]:
    with opener(path) as lines:
        for number, line in numbered_lines(lines):
            yield partial(document, line, path, number), _Place(path, number)


def _json_document(line: bytes, path: Path, number: int) -> Document:
    text = _decoded(line, path, number)
    try:
        record = parse_object(text)
    except ValueError as error:
        raise CorpusError(str(error), path=path, line=number, remedy="Fix the line") from None
    return _document(record, path, number)


def _tsv_document(line: bytes, path: Path, number: int) -> Document:
    docid, tab, text = _decoded(line, path, number).rstrip("\r\n").partition("\t")
    if not tab:
        raise CorpusError("no tab between id and text", path=path, line=number, remedy="Write id<TAB>text")
    return Document(_docid(docid, path, number), text)


def _decoded(raw: bytes, path: Path, line: int | None) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"not UTF-8 ({error})", path=path, line=line, remedy="Convert the file to UTF-8") from error


def _read_parquet(path: Path, opener: _Opener) -> Iterator[_LazyDocument]:
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
            yield partial(_document, record, path, number), _Place(path, number)


def _document(record: Mapping[str, Any], path: Path | str, number: int) -> Document:
    docid = next((record[key] for key in ID_KEYS if record.get(key) is not None), None)
    if docid is None:
        raise CorpusError(
            f"the document has none of the keys {', '.join(ID_KEYS)}", path=path, line=number,
            remedy="Give each document an id",
        )  # fmt: skip
    text = next((record[key] for key in TEXT_KEYS if record.get(key) is not None), None)
    title = record.get("title") or ""
    if text is None and not title:
        raise CorpusError(
            f"document {docid!r:.200} has none of the keys {', '.join(TEXT_KEYS)}", path=path, line=number,
            remedy="Store the text as contents or text",
        )  # fmt: skip
    for value in (title, text or ""):
        if not isinstance(value, str):
            raise CorpusError(
                f"the text of document {docid!r:.200} is not a string ({value!r:.60})", path=path, line=number,
                remedy="Write texts as strings",
            )  # fmt: skip
    return Document(_docid(docid, path, number), well_formed(f"{title} {text or ''}".strip()))


def _docid(value: object, path: Path | str, number: int) -> str:
    if not is_id(value):
        raise CorpusError(
            f"the id {value!r:.200} is not valid; expected a string or integer of 1 to {MAX_ID_BYTES:,} bytes without white "
            "space", path=path, line=number, remedy="Change the id; run files are split at white space",
        )  # fmt: skip
    return str(value)


def _read_ir_datasets(name: str) -> Iterator[_LazyDocument]:
    for number, each in enumerate(open_ir_dataset(name, CorpusError).docs_iter(), 1):
        yield partial(_ir_document, each, name, number), _Place(f"irds:{name}", number)


def _ir_document(record: Any, name: str, number: int) -> Document:
    return Document(_docid(record.doc_id, f"irds:{name}", number), well_formed(record.default_text()))


def _read_hugging_face(name: str) -> Iterator[_LazyDocument]:
    import datasets

    path, _, split = name.partition(":")
    try:
        rows = datasets.load_dataset(path, split=split or "train", streaming=True)
        for number, record in enumerate(rows, 1):
            yield partial(_document, record, f"hf:{name}", number), _Place(f"hf:{name}", number)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(
            f"cannot read hf:{name} ({error})", remedy="Check the name, the split and the network"
        ) from error
