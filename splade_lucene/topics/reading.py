"""Reads queries: TSV, TREC topics, BEIR's ``queries.jsonl``, topics by name, and encoded topics.

=========================  ===========================================================================================
source                     contents
=========================  ===========================================================================================
``.tsv``, ``.tsv.gz``      qid, tab, text
``.jsonl``, ``.jsonl.gz``  one object per line: the qid from ``id``, ``_id`` or ``qid``; the text from ``text``,
                           ``contents``, ``query`` or ``title``; or ``turns``, texts whose weights are added:
                           ``[{"text": …, "factor": 0.5}, …]``
``.parquet``               columns named like the JSON keys
others, ``.gz`` or not     TREC topics (:mod:`splade_lucene.topics.trec`) if the file begins with a tag, else TSV, such
                           as MS MARCO's
a name                     Anserini's or Pyserini's, such as ``dl19-passage`` (:mod:`splade_lucene.topics.named`)
``irds:NAME``              topics from ir_datasets
with ``encoded=True``      Anserini's format: qid, tab, each token repeated impact times; or JSON lines with ``vector``,
                           which maps terms to impacts
=========================  ===========================================================================================
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from splade_lucene.arguments import several
from splade_lucene.errors import QueryError, TopicsError
from splade_lucene.files import numbered_lines, open_text, written_whole
from splade_lucene.ids import is_id
from splade_lucene.irds import PREFIX
from splade_lucene.json_text import parse_object
from splade_lucene.records import Query, Turn, Vector, well_formed
from splade_lucene.topics.named import (
    TopicsFile,
    locate_topics,
    read_ir_datasets_topics,
    read_with_anserini,
)
from splade_lucene.topics.trec import check_field, choose_fields, is_trec, parse_trec
from splade_lucene.white_space import has_white_space, split_as_java

QID_KEYS = ("id", "_id", "qid")
TEXT_KEYS = ("text", "contents", "query", "title")
JSON_SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz")


def read_topics(path: str | Path, *, encoded: bool = False, field: str = "title") -> list[Query]:
    """Reads queries.

    Args:
        path: A file, a folder with ``queries.jsonl`` (BEIR), a name, or ``irds:NAME``.
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
    path = found.path / "queries.jsonl" if found.path.is_dir() else found.path
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
        yield number, Query(_qid(qid, path, number), well_formed(text))


def _read(path: Path, field: str, *, encoded: bool) -> Numbered:
    if path.suffix == ".parquet":
        if encoded:
            raise TopicsError(
                "encoded queries cannot be read from Parquet", path=path, remedy="Write them as JSON lines"
            )
        _check_no_field(field, path)
        yield from _read_parquet(path)
        return
    is_json = path.name.endswith(JSON_SUFFIXES)
    with open_text(path) as lines:
        numbered = numbered_lines(lines)
        first = next(numbered, None)
        if first and not is_json and not encoded and is_trec(first[1]):
            yield from _from_fields(parse_trec(first[1] + lines.read(), path, first[0]), path, field)
            return
        _check_no_field(field, path)
        for number, line in chain([first] if first else [], numbered):
            if is_json:
                yield number, _parse_json(line, path, number, encoded=encoded)
            else:
                yield number, _parse_tsv(line.rstrip("\r\n"), path, number, encoded=encoded)


def _check_no_field(field: str, path: Path) -> None:
    if field != "title":
        raise TopicsError(
            f"there is no field {field}: the topics in this file have no fields",
            path=path,
            remedy="Leave the field out",
        )


def _parse_tsv(line: str, path: Path, number: int, *, encoded: bool) -> Query:
    qid, tab, text = line.partition("\t")
    if not tab:
        raise TopicsError("no tab between qid and text", path=path, line=number, remedy="Write qid<TAB>text")
    if encoded:
        return Query(_qid(qid, path, number), "", dict(Counter(split_as_java(text))))
    return Query(_qid(qid, path, number), text)


def _read_parquet(path: Path) -> Iterator[tuple[int, Query]]:
    import pyarrow.parquet

    try:
        records = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise TopicsError(f"not a Parquet file ({error})", path=path, remedy="Check it or download it again") from None
    for number, record in enumerate(records, 1):
        given = {key: value for key, value in record.items() if value is not None}
        yield number, _parse_record(given, path, number, encoded=False)


def _parse_json(line: str, path: Path, number: int, *, encoded: bool) -> Query:
    try:
        record = parse_object(line)
    except ValueError as error:
        raise TopicsError(str(error), path=path, line=number, remedy="Fix the line") from None
    return _parse_record(record, path, number, encoded=encoded)


def _parse_record(record: dict[str, Any], path: Path, number: int, *, encoded: bool) -> Query:
    qid = next((record[key] for key in QID_KEYS if record.get(key) is not None), None)
    if qid is None:
        raise TopicsError(
            f"the query has none of the keys {', '.join(QID_KEYS)}", path=path, line=number, remedy="Give it an id"
        )
    if encoded:
        return Query(_qid(qid, path, number), "", _vector(record.get("vector"), path, number))
    if "turns" in record:
        turns = _turns(record["turns"], path, number)
        return Query(_qid(qid, path, number), " ".join(turn.text for turn in turns), turns=turns)
    text = next((record[key] for key in TEXT_KEYS if isinstance(record.get(key), str)), None)
    if text is None:
        hint = (
            "It is encoded already: search for it with encoded=True"
            if "vector" in record
            else f"Store the text as {' or '.join(TEXT_KEYS)}"
        )
        raise TopicsError("the query has no text", path=path, line=number, remedy=hint)
    return Query(_qid(qid, path, number), well_formed(text))


def _turns(value: Any, path: Path, number: int) -> tuple[Turn, ...]:
    try:
        if not isinstance(value, list):
            raise TypeError
        turns = [
            Turn(well_formed(each), 1.0)
            if isinstance(each, str)
            else Turn(well_formed(each["text"]), each.get("factor", 1.0))
            for each in value
        ]
        if turns:
            return tuple(turns)
    except (TypeError, KeyError, AttributeError, QueryError):
        pass
    raise TopicsError(
        f"the turns {value!r:.80} are not a list of texts", path=path, line=number,
        remedy='Write "turns": [{"text": "…", "factor": 0.5}, …], each factor above 0',
    )  # fmt: skip


def _vector(value: Any, path: Path, number: int) -> Vector:
    if not isinstance(value, dict):
        raise TopicsError(
            'the query has no "vector" that maps terms to impacts',
            path=path,
            line=number,
            remedy="Leave out encoded=True for texts",
        )
    for term, impact in value.items():
        if not isinstance(impact, int) or isinstance(impact, bool) or impact < 0:
            raise TopicsError(
                f"term {term!r} has impact {impact!r}", path=path, line=number,
                remedy="Quantize the query; impacts must be integers of at least 0",
            )  # fmt: skip
    return value


def _qid(value: object, path: Path, number: int) -> str:
    if not is_id(value):
        raise TopicsError(
            f"the qid {value!r:.200} is not valid; expected a string or integer without white space", path=path, line=number,
            remedy="Change the qid; run files are split at white space",
        )  # fmt: skip
    return str(value)


def write_encoded_topics(path: str | Path, queries: Iterable[Query]) -> int:
    """Writes encoded queries: JSON lines if the name ends in ``.jsonl`` or ``.json`` (``.gz``), else Anserini's format.

    Queries without terms are left out of Anserini's format, because Anserini's reader fails on them; as JSON they have an
    empty vector.

    Returns:
        The number of queries written.

    Raises:
        TopicsError: A term contains white space, which Anserini's format cannot represent.
        StorageError: The file cannot be written.
    """
    path = Path(path)
    count = 0
    with written_whole(path) as file:
        for query in several(queries, "queries", error=TopicsError):
            if not isinstance(query, Query):
                raise TopicsError(f"expected a Query, got {query!r:.80}", remedy="Pass Query(qid, text, vector)")
            vector = {term: impact for term, impact in (query.vector or {}).items() if impact > 0}
            unsafe = next((term for term in vector if has_white_space(term)), None)
            if unsafe is not None and not path.name.endswith(JSON_SUFFIXES):
                raise TopicsError(
                    f"the term {unsafe!r} of query {query.qid!r} contains white space, which separates terms in "
                    "Anserini's format",
                    remedy="Write a .jsonl file",
                )
            if path.name.endswith(JSON_SUFFIXES):
                record = {"id": query.qid, "text": query.text, "vector": vector}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            elif vector:
                tokens = " ".join(" ".join([term] * impact) for term, impact in vector.items())
                file.write(f"{query.qid}\t{tokens}\n")
            else:
                continue
            count += 1
    return count
