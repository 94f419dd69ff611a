"""Reads queries: TSV, TREC topics, BEIR's ``queries.jsonl``, topics by name, and encoded topics.

==========================  ==========================================================================================
source                      contents
==========================  ==========================================================================================
``.jsonl``, ``.json``       one object per line, an array, or an object over several lines: the qid from ``id``, ``_id``,
                            ``qid``, ``query_id`` or ``question_id``; the text from ``text``, ``contents``, ``query``,
                            ``title`` or ``question``; or ``turns``, texts whose weights are added:
                            ``[{"text": …, "factor": 0.5}, …]``
``.parquet``                columns named like the JSON keys
others                      TREC topics (:mod:`splade_lucene.topics.trec`) if the file begins with a tag; JSON if it
                            begins with a bracket; else one query per line: TSV such as MS MARCO's, ``.csv``, or the
                            format of a track (:mod:`splade_lucene.topics.lines`)
one of these with ``.gz``,  the same, decompressed
``.bz2``, ``.xz``,
``.zst`` or ``.zip``
a folder                    its only file of queries; ``queries.jsonl`` if there are several (BEIR)
a name                      Anserini's or Pyserini's, such as ``dl19-passage`` (:mod:`splade_lucene.topics.named`)
``irds:NAME``               topics from ir_datasets
with ``encoded=True``       Anserini's format: qid, tab, each token repeated impact times; or JSON with ``vector``, which
                            maps terms to impacts
==========================  ==========================================================================================
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from splade_lucene.arguments import several, to_path
from splade_lucene.errors import TopicsError
from splade_lucene.files.compression import content_name, decompressed_name, open_bytes
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.files.folders import select_only_file
from splade_lucene.files.json_text import numbered_records
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.irds import PREFIX
from splade_lucene.records import Query, well_formed
from splade_lucene.topics.lines import decoded, read_pairs
from splade_lucene.topics.named import (
    TopicsFile,
    locate_topics,
    read_ir_datasets_topics,
    read_with_anserini,
)
from splade_lucene.topics.records import (
    QueryLocation,
    checked_qid,
    checked_vector,
    count_terms,
    parse_json,
    query_of_record,
)
from splade_lucene.topics.trec import check_field, choose_fields, is_trec, parse_trec
from splade_lucene.white_space import has_white_space

JSON_SUFFIXES = (".jsonl", ".json")


def read_topics(path: str | Path, *, encoded: bool = False, field: str = "title") -> list[Query]:
    """Reads queries.

    Args:
        path: One of the sources above.
        encoded: Whether the queries are encoded.
        field: For topics with fields, the one to use as the query: title, desc, narr, or several, as in ``title+desc``.

    Returns:
        The queries in the order of the file.

    Raises:
        TopicsError: The file or a query cannot be read, or a qid is a duplicate; names the file and line.
        MissingDependencyError: ``irds:NAME`` was given, but ir_datasets is not installed.
    """
    check_field(field)
    path, numbered = _open(path, field, encoded=encoded)
    queries: list[Query] = []
    lines: dict[str, int] = {}
    try:
        for number, query in numbered:
            if query.qid in lines:
                raise TopicsError(
                    f"duplicate qid {query.qid!r}, first used on line {lines[query.qid]}", path=path, line=number,
                    remedy="Make all qids unique",
                )  # fmt: skip
            lines[query.qid] = number
            queries.append(query)
    except UnicodeDecodeError as error:
        raise TopicsError(f"not UTF-8 ({error})", path=path, remedy="Convert the file to UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise TopicsError(
            f"cannot read this file ({error})", path=path, remedy="Check it or download it again"
        ) from error
    if not queries:
        raise TopicsError("no queries in this file", path=path, remedy="Check that it is the right file")
    return queries


Numbered = Iterator[tuple[int, Query]]
"""Queries with their line numbers, or running numbers if the source has no lines."""


def _open(source: str | Path, field: str, *, encoded: bool) -> tuple[Path, Numbered]:
    if str(source).startswith(PREFIX):
        if encoded:
            raise TopicsError("ir_datasets has no encoded queries", path=source, remedy="Leave out encoded=True")
        topics = read_ir_datasets_topics(str(source).removeprefix(PREFIX))
        return Path(source), _from_fields(
            ((number, *each) for number, each in enumerate(topics, 1)), Path(source), field
        )
    found = locate_topics(source)
    path = select_only_file(found.path, "queries", TopicsError) if found.path.is_dir() else found.path
    if not path.is_file():
        raise TopicsError("no such file", path=path, remedy="Check the path")
    if found.is_encoded is not None and found.is_encoded != encoded:
        kind, hint = ("encoded queries", "Pass") if found.is_encoded else ("texts", "Leave out")
        raise TopicsError(f"{source} contains {kind}", path=path, remedy=f"{hint} encoded=True")
    if found.reader not in _OUR_FORMATS:
        return path, _read_with_anserini(found, path, field)
    return path, _read(path, field, encoded=encoded)


_OUR_FORMATS = (
    "",
    "TrecTopicReader",
    "TsvIntTopicReader",
    "TsvStringTopicReader",
    "WebxmlTopicReader",
    "CovidTopicReader",
)


def _read_with_anserini(found: TopicsFile, path: Path, field: str) -> Numbered:
    if "Vector" in found.reader:
        raise TopicsError(
            "these topics are dense vectors", path=path, remedy="Use the text topics: the name without the encoder"
        )
    topics = read_with_anserini(path, found.reader)
    return _from_fields(((number, *each) for number, each in enumerate(topics, 1)), path, field)


def _from_fields(topics: Iterable[tuple[int, str, Mapping[str, str]]], path: Path, field: str) -> Numbered:
    for number, qid, fields in topics:
        text = choose_fields(fields, field)
        if text is None:
            available = ", ".join(name for name, each in fields.items() if each) or "none"
            raise TopicsError(
                f"topic {qid!r} has no {field} (its fields: {available})",
                path=path,
                line=number,
                remedy="Choose another field",
            )
        yield number, Query(checked_qid(qid, path, number), well_formed(text))


def _read(path: Path, field: str, *, encoded: bool) -> Numbered:
    name = content_name(path).lower()
    if name.endswith(".parquet"):
        return _read_parquet(path, field, encoded=encoded)
    return _read_text(path, field, is_json=name.endswith(JSON_SUFFIXES), is_csv=name.endswith(".csv"), encoded=encoded)


def _read_text(path: Path, field: str, *, is_json: bool, is_csv: bool, encoded: bool) -> Numbered:
    with open_bytes(path) as file:
        head: list[bytes] = []
        while not (head and head[-1].strip()) and (line := file.readline()):
            head.append(line)
        first, lines = b"".join(head).decode("utf-8-sig").lstrip(), chain(head, file)
        if is_json or (first.startswith(("{", "[")) and "\t" not in first):
            yield from _read_json(lines, path, field, encoded=encoded)
        elif not encoded and is_trec(first):
            text = b"".join(lines).decode("utf-8-sig")
            yield from _from_fields(parse_trec(text, path), path, field)
        else:
            _check_no_field(field, path)
            numbered = enumerate((decoded(line, first, path) for line in lines), 1)
            yield from _read_encoded(numbered, path) if encoded else _read_lines(numbered, path, is_csv=is_csv)


def _read_json(lines: Iterable[bytes], path: Path, field: str, *, encoded: bool) -> Numbered:
    try:
        for position, (number, record) in enumerate(numbered_records(lines)):
            yield number, parse_json(record, QueryLocation(path, number, position), field, encoded=encoded)
    except json.JSONDecodeError as error:
        raise TopicsError(
            f"invalid JSON ({error})", path=path, line=error.lineno,
            remedy="Write one object per line, or an array of objects",
        ) from error  # fmt: skip


def _read_lines(numbered: Iterator[tuple[int, str]], path: Path, *, is_csv: bool) -> Numbered:
    for number, pair in read_pairs(numbered, path, is_csv=is_csv):
        try:
            qid, text = pair()
        except ValueError as error:
            raise TopicsError(str(error), path=path, line=number, remedy="Write qid<TAB>text") from None
        yield number, Query(checked_qid(qid, path, number), text)


def _read_encoded(numbered: Iterator[tuple[int, str]], path: Path) -> Numbered:
    for number, query in _read_lines(numbered, path, is_csv=False):
        yield number, Query(query.qid, "", count_terms(query.text))


def _check_no_field(field: str, path: Path) -> None:
    if field != "title":
        raise TopicsError(
            f"field {field} was not found: the topics in this file have no fields",
            path=path,
            remedy="Leave the field out",
        )


def _read_parquet(path: Path, field: str, *, encoded: bool) -> Numbered:
    with uninterrupted_imports():
        import pyarrow.parquet

    if encoded:
        raise TopicsError("encoded queries cannot be read from Parquet", path=path, remedy="Write them as JSON lines")
    try:
        records = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise TopicsError(f"not a Parquet file ({error})", path=path, remedy="Check it or download it again") from None
    for position, record in enumerate(records):
        place = QueryLocation(path, position + 1, position)
        yield place.line, query_of_record(record, place, field, encoded=False)


def write_encoded_topics(path: str | Path, queries: Iterable[Query]) -> int:
    """Writes encoded queries: JSON lines if the name ends in ``.jsonl`` or ``.json`` (``.gz`` …), else Anserini's format.

    Queries without terms are left out of Anserini's format, because Anserini's reader fails on them; as JSON they have an
    empty vector.

    Returns:
        The number of queries written.

    Raises:
        TopicsError: A qid or an impact is not valid, a qid is a duplicate, or a term contains white space, which Anserini's
            format cannot represent.
        StorageError: The file cannot be written.
    """
    path = to_path(path, error=TopicsError)
    is_json = decompressed_name(path).lower().endswith(JSON_SUFFIXES)
    count = 0
    qids: set[str] = set()
    with atomic_text_writer(path) as file:
        for number, query in enumerate(several(queries, "queries", error=TopicsError), 1):
            if not isinstance(query, Query):
                raise TopicsError(f"expected a Query, got {query!r:.80}", remedy="Pass Query(qid, text, vector)")
            qid = checked_qid(query.qid, path, number)
            if qid in qids:
                raise TopicsError(f"duplicate qid {qid!r}", path=path, line=number, remedy="Make all qids unique")
            qids.add(qid)
            checked = checked_vector(query.vector or {}, path, number)
            vector = {term: impact for term, impact in checked.items() if impact > 0}
            unsafe = next((term for term in vector if has_white_space(term)), None)
            if unsafe is not None and not is_json:
                raise TopicsError(
                    f"the term {unsafe!r} of query {qid!r} contains white space, which separates terms in "
                    "Anserini's format",
                    remedy="Write a .jsonl file",
                )
            if is_json:
                record = {"id": qid, "text": query.text, "vector": vector}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            elif vector:
                tokens = " ".join(" ".join([term] * impact) for term, impact in vector.items())
                file.write(f"{qid}\t{tokens}\n")
            else:
                continue
            count += 1
    return count
