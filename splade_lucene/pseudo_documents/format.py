"""Reads and writes Anserini's JsonVectorCollection: one object per line, ``{"id": …, "contents": …, "vector": {…}}``.

Documents are validated when they are read. Anserini itself silently truncates floats, turns strings into 0, drops
documents with empty vectors and splits terms at white space. Here, each of these is an error that names the file, the
line and the remedy; with ``skip_bad``, such documents are reported and skipped. :data:`PROBLEMS` lists all problems; the
Java side reports its keys.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import PseudoDocumentError
from splade_lucene.files import numbered_lines, written_whole
from splade_lucene.ids import MAX_ID_BYTES, has_space_or_control
from splade_lucene.json_text import parse_json
from splade_lucene.records import Document, PseudoDocument
from splade_lucene.white_space import has_white_space

if TYPE_CHECKING:
    from splade_lucene.encoder.sparse import SparseImpacts

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz")


MAX_TERM_CHARS = 255  # Anserini's WhitespaceTokenizer splits longer tokens

SKIP = "or pass skip_bad=True to skip such documents"

PROBLEMS: dict[str, tuple[str, str]] = {
    "broken-json": ("the line is not a single JSON object ({detail})", f"Write one document per line, {SKIP}"),
    "not-utf8": ("the text is not UTF-8 (near {detail!r})", f"Convert the file to UTF-8, {SKIP}"),
    "repeated-key": ("duplicate key {detail!r} in the object", f"Remove one of them, {SKIP}"),
    "no-id": ('the document has no "id"', f"Give each document a unique id, {SKIP}"),
    "bad-id": ("the id {detail!r} is not a string or integer without white space", f"Change it, {SKIP}"),
    "duplicate-id": ("duplicate id {detail!r}{first}", f"Make all ids unique, {SKIP}"),
    "no-vector": ('document {detail!r} has no "vector"', f"Encode it with 'splade-lucene encode', {SKIP}"),
    "dense-vector": ('"vector" is {detail}, not an object that maps terms to impacts', f"Use sparse vectors, {SKIP}"),
    "empty-vector": ("document {detail!r} has an empty vector, so no query can find it", f"Give it terms, {SKIP}"),
    "float-impact": ("impact {detail} is not an integer", f"Quantize first, for example round(100 * weight), {SKIP}"),
    "not-a-number": ("impact {detail} is not a number", f"Write integers of at least 1, {SKIP}"),
    "not-positive": ("impact {detail} is below 1", f"Remove terms without impact, {SKIP}"),
    "huge-impact": ("impact {detail} is above 2147483647", f"Quantize with a smaller scale, {SKIP}"),
    "huge-total": ("the document's impacts sum to over 2147483647", f"Quantize with a smaller scale, {SKIP}"),
    "white-space": ("the term {detail!r} contains white space, at which Anserini splits", f"Escape it, {SKIP}"),
    "empty-term": ("a term is the empty string", f"Remove it, {SKIP}"),
    "long-term": ("the term {detail!r} is longer than 255 characters, Anserini's limit", f"Shorten it, {SKIP}"),
    "not-a-term": ("{detail} is not a term, because it is not a string", "Use strings as terms"),
    "repeated-term": ("duplicate term {detail!r} in the vector", f"Add up its impacts, {SKIP}"),
}
"""Kind of problem → message and remedy. ``{detail}`` is the offending value, ``{first}`` is :attr:`Problem.first`."""


@dataclass(frozen=True)
class Problem:
    """A document that cannot be indexed, and why.

    Attributes:
        kind: A key of :data:`PROBLEMS`.
        detail: The offending value.
        path: Its file.
        line: Its line, from 1.
        first: For a duplicate id, where it was first used, as ``, first used at path:line``; else empty.
    """

    kind: str
    detail: str
    path: Path
    line: int
    first: str = ""

    @property
    def message(self) -> str:
        """The message, without place and remedy."""
        return PROBLEMS[self.kind][0].format(detail=self.detail, first=self.first)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"

    def error(self) -> PseudoDocumentError:
        """The problem as an error to raise."""
        return PseudoDocumentError(self.message, path=self.path, line=self.line, remedy=PROBLEMS[self.kind][1])


class _BadDocumentError(Exception):
    def __init__(self, kind: str, detail: object = "") -> None:
        self.kind, self.detail = kind, str(detail)


# ---- files ----


def find_files(source: Path, without: Path | None = None) -> list[Path]:
    """Lists the files of a collection: the given file, or all files below a folder, sorted by name.

    Args:
        source: File or folder.
        without: An absolute folder whose files are ignored; an index may be in the same folder as its input.

    Raises:
        PseudoDocumentError: There is no such file or folder, or the folder contains no such files.
    """
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())
        files = [path for path in files if without is None or not path.resolve().is_relative_to(without)]
        if not files:
            expected = ", ".join(SUFFIXES)
            raise PseudoDocumentError(
                f"no {expected} files in this folder",
                path=source,
                remedy="Use the output folder of 'splade-lucene encode'",
            )
        return files
    if not source.exists():
        raise PseudoDocumentError("no such file or folder", path=source, remedy="Check the path")
    return [source]


# ---- writing ----


def format_pseudo_document(document: PseudoDocument) -> str:
    """Formats a document as one line, without the line break."""
    vector = {term: int(impact) for term, impact in document.vector.items()}
    record = {"id": document.docid, "contents": document.contents, "vector": vector}
    return json.dumps(record, ensure_ascii=False, separators=(", ", ": "))


def write_pseudo_documents(path: str | Path, documents: Iterable[PseudoDocument]) -> int:
    """Writes one file, gzipped if its name ends in ``.gz``. The file gets its name only when it is complete.

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
    with written_whole(Path(path)) as file:
        for document in documents:
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
        except _BadDocumentError as bad:
            raise PseudoDocumentError(
                "the model's vocabulary: " + PROBLEMS[bad.kind][0].format(detail=bad.detail, first="")
            ) from None
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
        with written_whole(path) as file:
            for number, document in enumerate(documents):
                row = slice(starts[number], starts[number + 1])
                if row.start == row.stop:
                    continue
                if sum(values[row]) > MAX_IMPACT:
                    check_document(PseudoDocument(document.docid, document.text, impacts[number]))
                docid, text = (json.dumps(each, ensure_ascii=False) for each in (document.docid, document.text))
                vector = ", ".join([f"{keys[i]}{value}" for i, value in zip(term_ids[row], values[row], strict=True)])
                file.write(f'{{"id": {docid}, "contents": {text}, "vector": {{{vector}}}}}\n')


# ---- reading ----


def read_pseudo_documents(
    source: str | Path, *, skip_bad: bool = False, on_problem: Callable[[Problem], None] | None = None
) -> Iterator[PseudoDocument]:
    """Reads and validates a collection, file by file, sorted by name.

    Args:
        source: A file or a folder of ``.jsonl``, ``.jsonl.gz``, ``.json`` or ``.json.gz`` files.
        skip_bad: Skip documents that cannot be indexed instead of raising an error.
        on_problem: Called with the problem of each skipped document.

    Yields:
        The documents, in input order.

    Raises:
        PseudoDocumentError: A document cannot be indexed; names the file, the line and the remedy.
    """
    seen: dict[str, tuple[Path, int]] = {}
    for path in find_files(Path(source)):
        for number, line in _lines(path):
            try:
                document = _parse(line)
                first = seen.setdefault(document.docid, (path, number))
                if first != (path, number):
                    raise _DuplicateError(document.docid, f", first used at {first[0]}:{first[1]}")
            except _BadDocumentError as bad:
                problem = Problem(bad.kind, bad.detail, path, number, getattr(bad, "first", ""))
                if not skip_bad:
                    raise problem.error() from None
                if on_problem:
                    on_problem(problem)
            else:
                yield document


class _DuplicateError(_BadDocumentError):
    def __init__(self, docid: str, first: str) -> None:
        super().__init__("duplicate-id", docid)
        self.first = first


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield from numbered_lines(file)
    except (OSError, EOFError, zlib.error) as error:
        raise PseudoDocumentError(
            f"cannot read this file ({error})", path=path, remedy="Encode or download it again"
        ) from error


def _parse(line: bytes) -> PseudoDocument:
    try:
        record = parse_json(line.decode("utf-8"), object_pairs_hook=_Pairs)
    except UnicodeDecodeError as error:
        raise _BadDocumentError("not-utf8", line[error.start : error.start + 40]) from None
    except ValueError as error:
        raise _BadDocumentError("broken-json", error) from None
    if not isinstance(record, _Pairs):
        raise _BadDocumentError("broken-json", "not an object")
    keys = [key for key, _ in record]
    for key in keys:
        if keys.count(key) > 1:
            raise _BadDocumentError("repeated-key", key)
    values = dict(record)
    docid = _check_id(values.get("id"))
    if "vector" not in values:
        raise _BadDocumentError("no-vector", docid)
    vector = _check_vector(values["vector"], docid)
    contents = values.get("contents")
    text = contents if isinstance(contents, str) else ""
    encode_strictly(text)
    return PseudoDocument(docid, text, vector)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object that keeps duplicate keys, so that they can be detected."""


def _check_id(value: object) -> str:
    if value is None or value == "":
        raise _BadDocumentError("no-id")
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise _BadDocumentError("bad-id", value)
    docid = str(value)
    if has_space_or_control(docid):
        raise _BadDocumentError("bad-id", docid)
    if len(encode_strictly(docid)) > MAX_ID_BYTES:
        raise _BadDocumentError("bad-id", f"{docid[:40]}… (over {MAX_ID_BYTES:,} bytes)")
    return docid


def check_document(document: PseudoDocument) -> None:
    """Checks that a document created in memory can be indexed.

    Raises:
        PseudoDocumentError: It cannot; names the document and the problem.
    """
    try:
        _check_id(document.docid)
        for term, impact in document.vector.items():
            check_posting(term, impact)
        if not document.vector:
            raise _BadDocumentError("empty-vector", document.docid)
        if sum(map(int, document.vector.values())) > MAX_IMPACT:
            raise _BadDocumentError("huge-total")
        encode_strictly(document.contents)
    except _BadDocumentError as bad:
        message, remedy = PROBLEMS[bad.kind]
        raise PseudoDocumentError(
            f"document {document.docid!r}: {message.format(detail=bad.detail, first='')}",
            remedy=remedy.removesuffix(f", {SKIP}"),
        ) from None


def _check_vector(value: object, docid: str) -> dict[str, int]:
    if not isinstance(value, _Pairs):
        raise _BadDocumentError("dense-vector", "a list" if isinstance(value, list) else value)
    vector: dict[str, int] = {}
    for term, impact in value:
        check_posting(term, impact)
        if term in vector:
            raise _BadDocumentError("repeated-term", term)
        vector[term] = impact
    if not vector:
        raise _BadDocumentError("empty-vector", docid)
    if sum(vector.values()) > MAX_IMPACT:
        raise _BadDocumentError("huge-total")
    return vector


def check_posting(term: object, impact: object) -> None:
    """Checks that an Anserini impact index can store a term and its impact."""
    if not isinstance(term, str):
        raise _BadDocumentError("not-a-term", repr(term))
    if isinstance(impact, float):
        raise _BadDocumentError("float-impact", f"{term}: {impact}")
    if not isinstance(impact, Integral) or isinstance(impact, bool):
        raise _BadDocumentError("not-a-number", f"{term}: {impact}")
    impact = int(impact)
    if impact < 1:
        raise _BadDocumentError("not-positive", f"{term}: {impact}")
    if impact > MAX_IMPACT:
        raise _BadDocumentError("huge-impact", f"{term}: {impact}")
    if not term:
        raise _BadDocumentError("empty-term")
    if len(encode_strictly(term, "utf-16-le")) // 2 > MAX_TERM_CHARS:
        raise _BadDocumentError("long-term", term[:40] + "…")
    if has_white_space(term):
        raise _BadDocumentError("white-space", term)


def encode_strictly(text: str, encoding: str = "utf-8") -> bytes:
    """Encodes a text; rejects unpaired surrogates, which JSON can express but UTF-8 cannot encode."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        raise _BadDocumentError("not-utf8", ascii(text)[:40]) from None
