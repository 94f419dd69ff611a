"""Queries in: TSV, TREC topics, BEIR's ``queries.jsonl``, topics by name, and topics that come encoded.

=========================  ===========================================================================================
file                       what is read
=========================  ===========================================================================================
``.tsv``, ``.tsv.gz``      qid, tab, text
``.jsonl``, ``.jsonl.gz``  one object a line: qid from ``id``, ``_id`` or ``qid``; ``text``, ``contents``, ``query`` or
                           ``title``; or ``vector``, a mapping of term to impact; or ``turns``, texts whose weights are
                           added: ``[{"text": …, "factor": 0.5}, …]``
``.parquet``               columns as the keys of JSON
others, ``.gz`` or not     TREC topics (:mod:`splade_lucene.topics.trec`) where the file begins with a tag, else TSV, such
                           as MS MARCO's
a name                     Anserini's or Pyserini's, such as ``dl19-passage`` (:mod:`splade_lucene.topics.named`)
``irds:NAME``              those of ir_datasets
with ``encoded``           Anserini's form: qid, tab, tokens, each repeated impact times; or JSON lines with ``vector``
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
        path: The file; for a folder, the ``queries.jsonl`` in it (BEIR); or a name, or ``irds:NAME``.
        encoded: The queries come encoded.
        field: Of topics that have fields, the one that is the query: title, desc, narr, or several as ``title+desc``.

    Returns:
        The queries in the order of the file.

    Raises:
        TopicsError: The file or a query cannot be read, or a qid is a duplicate; names file and line.
        MissingDependencyError: ``irds:`` without ir_datasets.
    """
    check_field(field)
    path, numbered = _open(path, field, encoded=encoded)
    queries: list[Query] = []
    lines: dict[str, int] = {}
    try:
        for number, query in numbered:
            if query.qid in lines:
                raise TopicsError(
                    f"the qid {query.qid!r} was used before (line {lines[query.qid]})", path=path, line=number,
                    remedy="Make qids unique, for a run holds one ranking a qid",
                )  # fmt: skip
            lines[query.qid] = number
            queries.append(query)
    except UnicodeDecodeError as error:
        raise TopicsError(f"not UTF-8 ({error})", path=path, remedy="Convert the file to UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise TopicsError(f"the file cannot be read ({error})", path=path, remedy="Check or fetch it again") from error
    if not queries:
        raise TopicsError("no query in this file", path=path, remedy="Check that it is the right one")
    return queries


Numbered = Iterator[tuple[int, Query]]
"""Queries with their lines, or their numbers where there are no lines."""


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
        what, hint = ("encoded", "Pass") if found.is_encoded else ("texts", "Leave out")
        raise TopicsError(f"{source} are {what}", path=path, remedy=f"{hint} encoded=True")
    if found.reader not in _OUR_FORMS:
        return path, _read_own(found, path, field)
    return path, _read(path, field, encoded=encoded)


_OUR_FORMS = (
    "",
    "TrecTopicReader",
    "TsvIntTopicReader",
    "TsvStringTopicReader",
    "WebxmlTopicReader",
    "CovidTopicReader",
)


def _read_own(found: TopicsFile, path: Path, field: str) -> Numbered:
    if "Vector" in found.reader:
        raise TopicsError(
            "these topics are dense vectors", path=path, remedy="Name the topics themselves, without the encoder's name"
        )
    topics = read_with_anserini(path, found.reader)
    return _from_fields(((number, *each) for number, each in enumerate(topics, 1)), path, field)


def _from_fields(topics: Iterable[tuple[int, str, Mapping[str, str]]], path: Path, field: str) -> Numbered:
    for number, qid, fields in topics:
        text = choose_fields(fields, field)
        if text is None:
            has = ", ".join(name for name, each in fields.items() if each) or "none"
            raise TopicsError(
                f"topic {qid!r} has no {field} (its fields: {has})",
                path=path,
                line=number,
                remedy="Choose another field",
            )
        yield number, Query(_qid(qid, path, number), well_formed(text))


def _read(path: Path, field: str, *, encoded: bool) -> Numbered:
    if path.suffix == ".parquet":
        if encoded:
            raise TopicsError("encoded queries are not read from parquet", path=path, remedy="Write them as JSON lines")
        _refuse_field(field, path)
        yield from _read_parquet(path)
        return
    is_json = path.name.endswith(JSON_SUFFIXES)
    with open_text(path) as lines:
        numbered = numbered_lines(lines)
        first = next(numbered, None)
        if first and not is_json and not encoded and is_trec(first[1]):
            yield from _from_fields(parse_trec(first[1] + lines.read(), path, first[0]), path, field)
            return
        _refuse_field(field, path)
        for number, line in chain([first] if first else [], numbered):
            if is_json:
                yield number, _parse_json(line, path, number, encoded=encoded)
            else:
                yield number, _parse_tsv(line.rstrip("\r\n"), path, number, encoded=encoded)


def _refuse_field(field: str, path: Path) -> None:
    if field != "title":
        raise TopicsError(
            f"the topics in this file have no fields, and so no {field}", path=path, remedy="Leave the field out"
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
        raise TopicsError(f"not a Parquet file ({error})", path=path, remedy="Check it, or fetch it again") from None
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
        hint = "It has a vector: pass encoded=True" if "vector" in record else f"Name the text {' or '.join(TEXT_KEYS)}"
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
            'the query has no "vector" of term: impact',
            path=path,
            line=number,
            remedy="Leave out encoded=True for texts",
        )
    for term, impact in value.items():
        if not isinstance(impact, int) or isinstance(impact, bool) or impact < 0:
            raise TopicsError(
                f"term {term!r} has impact {impact!r}", path=path, line=number,
                remedy="Quantize the query: impacts are integers of at least 0",
            )  # fmt: skip
    return value


def _qid(value: object, path: Path, number: int) -> str:
    if not is_id(value):
        raise TopicsError(
            f"the qid {value!r} is empty, has white space, or is not a string or integer", path=path, line=number,
            remedy="Use qids without white space, for run files are split at it",
        )  # fmt: skip
    return str(value)


def write_encoded_topics(path: str | Path, queries: Iterable[Query]) -> int:
    """Writes encoded queries: JSON lines if the name ends in ``.jsonl`` or ``.json`` (``.gz``), else Anserini's form.

    A query without a term has no line in Anserini's form, whose reader fails on it; in JSON it keeps an empty vector.

    Returns:
        The number of queries written.

    Raises:
        StorageError: The place cannot be written.
    """
    path = Path(path)
    count = 0
    with written_whole(path) as file:
        for query in queries:
            vector = {term: impact for term, impact in (query.vector or {}).items() if impact > 0}
            split = next((term for term in vector if has_white_space(term)), None)
            if split is not None and not path.name.endswith(JSON_SUFFIXES):
                raise TopicsError(
                    f"the term {split!r} of query {query.qid!r} has white space, at which Anserini's form is split",
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
