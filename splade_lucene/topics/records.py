"""Turns the records of JSON and Parquet files into queries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import QueryError, TopicsError
from splade_lucene.files.json_text import parse_object
from splade_lucene.ids import check_qid
from splade_lucene.notes import note
from splade_lucene.records import Query, Turn, Vector, well_formed
from splade_lucene.topics.trec import choose_fields
from splade_lucene.white_space import split_as_java

QID_KEYS = ("id", "_id", "qid", "query_id", "question_id")
TEXT_KEYS = ("text", "contents", "query", "title", "question", "query_txt")
_FIELD_KEYS = {"desc": ("desc", "description", "question"), "narr": ("narr", "narrative", "background")}


class QueryLocation(NamedTuple):
    """Where a query is: its file, its line or row from 1, and its position among the file's queries from 0."""

    path: Path
    line: int
    position: int


def parse_json(line: bytes, place: QueryLocation, field: str, *, encoded: bool) -> Query:
    """The query in a JSON text; see :func:`query_of_record`."""
    text = line.decode("utf-8-sig")
    try:
        record = parse_object(text)
    except ValueError as error:
        raise TopicsError(str(error), path=place.path, line=place.line, remedy="Fix the line") from None
    return query_of_record(record, place, field, encoded=encoded)


def query_of_record(record: Mapping[str, Any], place: QueryLocation, field: str, *, encoded: bool) -> Query:
    """The query of a record.

    Args:
        record: The record.
        place: Where it is. The position is the qid of DPR's questions, which have none.
        field: The fields to use as the query.
        encoded: Whether the query is encoded.

    Raises:
        TopicsError: The record has no qid or no text, or they are not valid.
    """
    path, number, position = place
    qid = next((record[key] for key in QID_KEYS if record.get(key) is not None), None)
    if qid is None and "question" in record and {"answer", "answers"} & record.keys():
        note_numbered(path)
        qid = position
    if qid is None:
        raise TopicsError(
            f"the query has none of the keys {', '.join(QID_KEYS)}", path=path, line=number, remedy="Give it an id"
        )
    if encoded:
        return Query(checked_qid(qid, path, number), "", _vector(record, path, number))
    if "turns" in record:
        turns = _turns(record["turns"], path, number)
        return Query(checked_qid(qid, path, number), " ".join(turn.text for turn in turns), turns=turns)
    fields = {"title": _text(record, TEXT_KEYS)} | {name: _text(record, keys) for name, keys in _FIELD_KEYS.items()}
    text = fields["title"] if field == "title" else choose_fields({k: v for k, v in fields.items() if v}, field)
    if text is None or record.get("query_img_path"):
        message, hint = _why_no_text(record, field)
        raise TopicsError(message, path=path, line=number, remedy=hint)
    return Query(checked_qid(qid, path, number), well_formed(text))


def note_numbered(path: Path) -> None:
    """Notes that queries without qids are numbered."""
    note(f"{path}: these questions have no qids, so they are numbered from 0, as in Anserini")


def checked_qid(value: object, path: Path, number: int) -> str:
    """A qid of a file as a string; see :func:`splade_lucene.ids.check_qid`.

    Raises:
        TopicsError: It is not valid.
    """
    return check_qid(value, error=TopicsError, path=path, line=number)


def _text(record: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((record[key] for key in keys if isinstance(record.get(key), str)), None)


def _why_no_text(record: Mapping[str, Any], field: str) -> tuple[str, str]:
    """The message and remedy for a query without a text."""
    if record.get("query_img_path"):
        return "the query has an image", "Use topics of texts"
    if isinstance(record.get("vector"), list):
        return "the query is a dense vector", "Use the topics with texts, or with sparse vectors"
    if "vector" in record:
        return "the query has no text", "It is encoded already: search for it with encoded=True"
    if field != "title":
        return f"the query has no {field}", "Choose another field, or leave it out"
    return "the query has no text", f"Store the text as {' or '.join(TEXT_KEYS)}"


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


def _vector(record: Mapping[str, Any], path: Path, number: int) -> Vector:
    value = record.get("vector")
    text = _text(record, TEXT_KEYS)
    if value is None and text is not None and names_encoded_topics(path.name):
        return count_terms(text)
    if not isinstance(value, dict):
        raise TopicsError(
            'the query has no "vector" that maps terms to impacts',
            path=path,
            line=number,
            remedy="Leave out encoded=True for texts",
        )
    return checked_vector(value, path, number)


def names_encoded_topics(file: str) -> bool:
    """Whether the name of a file is one that Anserini gives to topics of an encoder's terms."""
    return re.match(r"topics\..*(splade|unicoil|deepimpact)", file) is not None


def count_terms(text: str) -> dict[str, int]:
    """The impacts of a query that is written as its terms, each as often as its impact says."""
    return dict(Counter(split_as_java(text)))


def checked_vector(vector: Mapping[str, int], path: Path, number: int) -> dict[str, int]:
    """The terms and impacts of a query.

    Raises:
        TopicsError: An impact is not an integer from 0 to the largest, or a term is not valid.
    """
    for term, impact in vector.items():
        if not isinstance(impact, Integral) or isinstance(impact, bool) or not 0 <= impact <= MAX_IMPACT:
            raise TopicsError(
                f"term {term!r} has impact {impact!r:.80}", path=path, line=number,
                remedy=f"Quantize the query; impacts must be integers of at least 0 and at most {MAX_IMPACT}",
            )  # fmt: skip
        if not isinstance(term, str):
            raise TopicsError(
                f"the term {term!r:.80} is not a string", path=path, line=number, remedy="Write it as one"
            )
        if well_formed(term) != term:
            raise TopicsError(
                f"term {term!r:.80} contains an unpaired surrogate, which UTF-8 cannot encode", path=path, line=number,
                remedy="Remove it",
            )  # fmt: skip
    return {term: int(impact) for term, impact in vector.items()}
