"""Documents in: every form of corpus that people have, as one stream of :class:`Document`.

======================================  ==============================================================================
source                                  what is read
======================================  ==============================================================================
``x.jsonl``, ``.jsonl.gz``              one object a line: id from ``id``, ``_id`` or ``docid``; text from ``contents``
                                        or ``text``, after ``title`` where there is one
``x.json``, ``.json.gz``                the same; Anserini's collections spell it so
``x.tsv``, ``.tsv.gz``                  id, tab, text
``x.parquet``                           columns as the keys of JSON
a folder                                all such files in it; ``corpus.jsonl`` alone if it is there (BEIR); else all
                                        ``.txt`` and ``.md`` files, their paths as ids; else all ``.json`` files
``irds:NAME``                           a corpus of ir_datasets
``hf:NAME`` or ``hf:NAME:SPLIT``        a data set of Hugging Face
``python-docs``                         the documentation strings of the running Python's standard library
======================================  ==============================================================================
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from splade_lucene.corpus.python_docs import read_python_docs
from splade_lucene.errors import CorpusError, MissingDependencyError
from splade_lucene.files import files_digest, open_bytes
from splade_lucene.ids import MAX_ID_BYTES, is_id
from splade_lucene.json_text import parse_json
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
        source: One of the forms above.
        skip_bad: Leave out documents that cannot be read, instead of raising at the first.
        on_problem: Called with what is wrong with each document left out.

    Yields:
        Documents, in the order of the source. Halves of surrogate pairs, which no file can hold, become U+FFFD.

    Raises:
        CorpusError: The source or a document of it cannot be read, or an id stands twice; names file and line.
        MissingDependencyError: The source needs an optional package.
    """
    seen: dict[str, _Place] = {}
    for make, place in _read(str(source)):
        try:
            document = make()
            if document.docid in seen:
                raise CorpusError(
                    f"the id {document.docid!r} was used before ({seen[document.docid]})", path=place.path,
                    line=place.line, remedy="Make ids unique, for encoded documents cannot share one",
                )  # fmt: skip
        except CorpusError as error:
            if not skip_bad:
                raise
            if on_problem:
                on_problem(error)
            continue
        seen[document.docid] = place
        yield document


def count_documents(source: str | Path) -> int | None:
    """About how many documents a corpus has, where that can be told without reading them all; else None."""
    path = Path(source)
    if not path.exists():
        return None
    total = 0
    for file in _files_of(path) if path.is_dir() else [path]:
        if file.name.endswith((".jsonl", ".json", ".tsv")):
            with file.open("rb") as stream:
                total += sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 22), b""))
        elif file.suffix == ".parquet":
            import pyarrow.parquet

            try:
                total += pyarrow.parquet.read_metadata(file).num_rows
            except (OSError, pyarrow.ArrowInvalid):
                return None
        elif file.name.endswith(PLAIN_SUFFIXES):
            total += 1
        else:
            return None
    return total


def describe_corpus(source: str | Path) -> str:
    """What tells a corpus from another or from its later self: paths, sizes and times of files, or the name."""
    path = Path(source)
    if str(source) == PYTHON_DOCS:
        return f"{PYTHON_DOCS} of {sys.version}"
    if not path.exists():
        return str(source)
    files = _files_of(path) if path.is_dir() else [path]
    return "\n".join(f"{file.absolute()} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)


def corpus_digest(source: str | Path) -> str:
    """SHA-256 of a corpus' files, whatever their names and times; the name of a corpus that is no file."""
    path = Path(source)
    if not path.exists():
        return describe_corpus(source)
    return files_digest(_files_of(path) if path.is_dir() else [path])


class _Place(NamedTuple):
    """Where a document stands: a file, a data set or a name, and the line or row if there are some."""

    path: Path | str
    line: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}:{self.line}"


_Making = tuple[Callable[[], Document], _Place]
"""What makes a document, or raises CorpusError, and the place where it stands."""


def _read(source: str) -> Iterator[_Making]:
    if source == PYTHON_DOCS:
        yield from ((partial(_keep, document), _Place(document.docid)) for document in read_python_docs())
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
            "no such file or folder", path=path, remedy="Check the path, or use irds:NAME, hf:NAME or python-docs"
        )
    for file in _files_of(path) if path.is_dir() else [path]:
        yield from _read_file(file, path)


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


def _read_file(path: Path, root: Path) -> Iterator[_Making]:
    try:
        if path.name.endswith((*JSON_LINES_SUFFIXES, *JSON_SUFFIXES)):
            yield from _read_jsonl(path)
        elif path.name.endswith(TSV_SUFFIXES):
            yield from _read_tsv(path)
        elif path.suffix == ".parquet":
            yield from _read_parquet(path)
        elif path.name.endswith(PLAIN_SUFFIXES):
            name = path.name if path == root else path.relative_to(root).as_posix()
            yield partial(_plain_document, path, name), _Place(path)
        else:
            raise CorpusError(
                "the ending is not one of .jsonl, .jsonl.gz, .json, .json.gz, .tsv, .tsv.gz, .parquet, .txt, .md", path=path,
                remedy="Rename or convert the file",
            )  # fmt: skip
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"the file cannot be read ({error})", path=path, remedy="Check or fetch it again") from error


def _keep(document: Document) -> Document:
    return document


def _plain_document(path: Path, name: str) -> Document:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"the file cannot be read ({error})", path=path, remedy="Check or fetch it again") from error
    return Document(quote(name, safe="/-_.~"), _decoded(raw, path, None))


def _read_jsonl(path: Path) -> Iterator[_Making]:
    for number, line in _lines(path):
        yield partial(_json_document, line, path, number), _Place(path, number)


def _json_document(line: bytes, path: Path, number: int) -> Document:
    try:
        record = parse_json(_decoded(line, path, number))
    except ValueError as error:
        raise CorpusError(f"broken JSON ({error})", path=path, line=number, remedy="Mend the line") from None
    if not isinstance(record, dict):
        raise CorpusError("the line is not a JSON object", path=path, line=number, remedy="Mend the line")
    return _document(record, path, number)


def _read_tsv(path: Path) -> Iterator[_Making]:
    for number, line in _lines(path):
        yield partial(_tsv_document, line, path, number), _Place(path, number)


def _tsv_document(line: bytes, path: Path, number: int) -> Document:
    docid, tab, text = _decoded(line, path, number).rstrip("\r\n").partition("\t")
    if not tab:
        raise CorpusError("no tab between id and text", path=path, line=number, remedy="Write id<TAB>text")
    return Document(_docid(docid, path, number), text)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    with open_bytes(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, line


def _decoded(raw: bytes, path: Path, line: int | None) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"not UTF-8 ({error})", path=path, line=line, remedy="Convert the file to UTF-8") from error


def _read_parquet(path: Path) -> Iterator[_Making]:
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise CorpusError(f"no parquet file ({error})", path=path, remedy="Check or fetch it again") from None
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
            remedy="Name the text's key contents or text",
        )  # fmt: skip
    for value in (title, text or ""):
        if not isinstance(value, str):
            raise CorpusError(
                f"document {docid!r:.200} has a text that is no string ({value!r:.60})", path=path, line=number,
                remedy="Write texts as strings",
            )  # fmt: skip
    return Document(_docid(docid, path, number), well_formed(f"{title} {text or ''}".strip()))


def _docid(value: object, path: Path | str, number: int) -> str:
    if not is_id(value):
        raise CorpusError(
            f"the id {value!r:.200} is empty, over {MAX_ID_BYTES:,} bytes long, has white space, or is no string or integer",
            path=path, line=number, remedy="Use ids without white space, for run files are split at it",
        )  # fmt: skip
    return str(value)


def _read_ir_datasets(name: str) -> Iterator[_Making]:
    try:
        import ir_datasets
    except ImportError:
        raise MissingDependencyError("irds: needs ir_datasets: run 'pip install splade-lucene[irds]'.") from None
    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        raise CorpusError(f"ir_datasets knows no data set {name!r}", remedy="See https://ir-datasets.com") from None
    for number, each in enumerate(dataset.docs_iter(), 1):
        yield partial(_ir_document, each, name, number), _Place(f"irds:{name}", number)


def _ir_document(record: Any, name: str, number: int) -> Document:
    return Document(_docid(record.doc_id, f"irds:{name}", number), well_formed(record.default_text()))


def _read_hugging_face(name: str) -> Iterator[_Making]:
    import datasets

    path, _, split = name.partition(":")
    try:
        rows = datasets.load_dataset(path, split=split or "train", streaming=True)
        for number, record in enumerate(rows, 1):
            yield partial(_document, record, f"hf:{name}", number), _Place(f"hf:{name}", number)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(f"hf:{name} cannot be read ({error})", remedy="Check name, split and network") from error
