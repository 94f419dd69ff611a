"""Filters as queries of OpenSearch and Elasticsearch, which accept the same documents as in a Lucene index of this package.

Fields are under ``fields``. Dates there are for display, because these engines round them to milliseconds; filters compare
``instants``, which has the microseconds since 1970 as an integer.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from splade_lucene.fields.conditions import (
    Condition,
    DateRange,
    Every,
    FieldCondition,
    IntegerRange,
    KeywordPrefix,
    KeywordRange,
    Keywords,
    Negated,
    Nothing,
    NumberRange,
    Present,
    Some,
    Truth,
)
from splade_lucene.fields.values import FieldType, date_micros
from splade_lucene.records import FieldValue

FIELDS, INSTANTS = "fields", "instants"

_TYPES: Mapping[FieldType, str] = {
    "keyword": "keyword", "keyword[]": "keyword", "integer": "long", "number": "double", "date": "date",
    "boolean": "boolean",
}  # fmt: skip
_MAX_TERMS = 65_536  # index.max_terms_count
_NOTHING: dict[str, Any] = {"match_none": {}}


def field_mappings(types: Mapping[str, FieldType]) -> dict[str, Any]:
    """The mappings of the fields of documents.

    Args:
        types: The fields and their types.
    """
    found: dict[str, Any] = {}
    if types:
        found[FIELDS] = {"properties": {name: {"type": _TYPES[kind]} for name, kind in types.items()}}
    if dates := [name for name, kind in types.items() if kind == "date"]:
        found[INSTANTS] = {"properties": {name: {"type": "long"} for name in dates}}
    return found


def field_members(values: Mapping[str, FieldValue], types: Mapping[str, FieldType]) -> dict[str, Any]:
    """The members of a document that have the values of its fields.

    Args:
        values: The values by name.
        types: The fields and their types.
    """
    found: dict[str, Any] = {}
    if values:
        found[FIELDS] = dict(values)
    if dates := {name: date_micros(name, value) for name, value in values.items() if types[name] == "date"}:
        found[INSTANTS] = dates
    return found


def filter_query(condition: Condition) -> dict[str, Any]:
    """The query that finds the documents that fulfil a condition."""
    match condition:
        case Every():
            return {"bool": {"filter": [*map(filter_query, condition.parts)]}}
        case Some():
            return _some(condition.parts)
        case Negated(part=Negated(part=inner)):
            return filter_query(inner)
        case Negated():
            return {"bool": {"must_not": [filter_query(condition.part)]}}
        case Nothing():
            return _NOTHING
        case _:
            return _field_query(condition)


def _some(parts: Sequence[Condition]) -> dict[str, Any]:
    integers = [part for part in parts if isinstance(part, IntegerRange) and part.first == part.last]
    if integers and len(integers) == len(parts) and len({part.field for part in integers}) == 1:
        return _terms(f"{FIELDS}.{integers[0].field}", [part.first for part in integers])
    return _any([*map(filter_query, parts)])


def _field_query(part: FieldCondition) -> dict[str, Any]:
    field = f"{FIELDS}.{part.field}"
    match part:
        case Keywords():
            return _terms(field, part.keywords)
        case KeywordPrefix() if part.prefix:
            return {"prefix": {field: {"value": part.prefix}}}
        case KeywordPrefix() | Present():
            return {"exists": {"field": field}}
        case KeywordRange():
            bounds = {"gte": part.first, "lt": part.end}
            return {"range": {field: {name: bound for name, bound in bounds.items() if bound is not None}}}
        case IntegerRange():
            return _range(field, part.first, part.last)
        case DateRange():
            return _range(f"{INSTANTS}.{part.field}", part.first, part.last)
        case NumberRange():
            largest = sys.float_info.max  # JSON has no infinity, so no document has it
            first, last = max(part.first, -largest), min(part.last, largest)
            return _range(field, first, last) if first <= last else _NOTHING
        case Truth():
            return {"term": {field: part.value}}


def _range(field: str, first: float, last: float) -> dict[str, Any]:
    return {"range": {field: {"gte": first, "lte": last}}}


def _terms(field: str, values: Sequence[str | int]) -> dict[str, Any]:
    pieces = [values[start : start + _MAX_TERMS] for start in range(0, len(values), _MAX_TERMS)]
    return _any([{"terms": {field: [*piece]}} for piece in pieces])


def _any(queries: list[dict[str, Any]]) -> dict[str, Any]:
    if len(queries) < 2:
        return queries[0] if queries else _NOTHING
    return {"bool": {"should": queries, "minimum_should_match": 1}}
