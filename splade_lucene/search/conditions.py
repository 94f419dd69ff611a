"""Turns filters into conditions for Java: checks them against the types of an index's fields."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping

from splade_lucene.errors import QueryError
from splade_lucene.fields.expression import (
    All,
    Any,
    Comparison,
    Exists,
    Filter,
    FilterValue,
    In,
    Not,
    Operator,
    Prefix,
    format_value,
)
from splade_lucene.fields.grammar import MAX_DEPTH
from splade_lucene.fields.values import DAY, FieldType, WrongValueError, date_micros, is_day
from splade_lucene.jvm import wire

_LEAST, _MOST = -(2**63), 2**63 - 1


def pack_filter(part: Filter, types: Mapping[str, FieldType], depth: int = 0) -> bytes:
    """The condition for Java.

    Args:
        part: The filter.
        types: The fields of the index and their types.
        depth: The level of this part in the whole filter.

    Raises:
        QueryError: A field is unknown, or cannot be compared so.
    """
    if depth > 2 * MAX_DEPTH:
        raise QueryError(f"the filter is nested more than {2 * MAX_DEPTH} levels deep")
    match part:
        case All():
            return wire.pack_all([pack_filter(each, types, depth + 1) for each in part.parts])
        case Any():
            return wire.pack_any([pack_filter(each, types, depth + 1) for each in part.parts])
        case Not():
            return wire.pack_not(pack_filter(part.part, types, depth + 1))
        case Exists():
            return wire.pack_exists(part.field, is_keyword=_type(part.field, types).startswith("keyword"))
        case Prefix():
            return _pack_prefix(part, types)
        case In():
            return _pack_in(part, types)
        case Comparison():
            return _pack_comparison(part, types)
    raise QueryError(f"{part!r:.80} is not a filter", remedy="Pass a string, or a filter made with where(…)")


def _type(field: str, types: Mapping[str, FieldType]) -> FieldType:
    if field not in types:
        known = ", ".join(f"{name} ({kind})" for name, kind in types.items())
        raise QueryError(
            f"the index has no field {field!r:.80}",
            remedy=f"Its fields are: {known}" if known else "It has no fields: build it with fields=…",
        )
    return types[field]


def _pack_prefix(part: Prefix, types: Mapping[str, FieldType]) -> bytes:
    kind = _type(part.field, types)
    if not kind.startswith("keyword"):
        raise QueryError(f"the field {part.field!r} is of the type {kind}, and only keywords have prefixes")
    first = part.prefix.encode()
    return wire.pack_keyword_range(part.field, first, first[:-1] + bytes([first[-1] + 1]) if first else None)


def _pack_in(part: In, types: Mapping[str, FieldType]) -> bytes:
    if _type(part.field, types).startswith("keyword"):
        return wire.pack_keywords(part.field, [_keyword(part.field, value, types) for value in part.values])
    return wire.pack_any([_pack_comparison(Comparison(part.field, "=", value), types) for value in part.values])


def _pack_comparison(part: Comparison, types: Mapping[str, FieldType]) -> bytes:
    field, operator, value = part.field, part.operator, part.value
    match kind := _type(field, types):
        case "keyword" | "keyword[]":
            keyword = _keyword(field, value, types)
            if operator == "=":
                return wire.pack_keywords(field, [keyword])
            bound = keyword.encode() + (b"\0" if operator in ("<=", ">") else b"")
            is_lower = operator in (">", ">=")
            return wire.pack_keyword_range(field, bound if is_lower else None, None if is_lower else bound)
        case "boolean":
            if not isinstance(value, bool) or operator != "=":
                raise _wrong(field, kind, operator, value, "= true or = false")
            return wire.pack_long_range(field, int(value), int(value))
        case "date":
            return _pack_range(field, _date_range(field, operator, value))
        case "integer":
            return _pack_range(field, _integer_range(operator, _number(field, kind, operator, value)))
        case "number":
            return _pack_range(field, _number_range(operator, _number(field, kind, operator, value)))


def _pack_range(field: str, bounds: tuple[int, int] | None) -> bytes:
    if bounds is None or bounds[0] > bounds[1] or bounds[0] > _MOST or bounds[1] < _LEAST:
        return wire.pack_nothing()
    return wire.pack_long_range(field, max(bounds[0], _LEAST), min(bounds[1], _MOST))


def _keyword(field: str, value: FilterValue, types: Mapping[str, FieldType]) -> str:
    if not isinstance(value, str):
        raise _wrong(field, types[field], "=", value, "a string in quotes")
    return value


def _number(field: str, kind: FieldType, operator: Operator, value: FilterValue) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(field, kind, operator, value, "a number without quotes")
    return value


def _integer_range(operator: Operator, value: int | float) -> tuple[int, int] | None:
    first, last = math.ceil(value), math.floor(value)
    return None if operator == "=" and first > last else _compared(operator, first, last)


def _compared(operator: Operator, first: int, last: int) -> tuple[int, int]:
    """The range of the integers that compare so with a value that stands for those from ``first`` to ``last``."""
    match operator:
        case "=":
            return first, last
        case "<":
            return _LEAST, first - 1
        case "<=":
            return _LEAST, last
        case ">":
            return last + 1, _MOST
        case ">=":
            return first, _MOST


def _number_range(operator: Operator, value: int | float) -> tuple[int, int] | None:
    """The range of the doubles that compare so, as the longs that stand for them."""
    try:
        near = float(value) + 0.0
    except OverflowError:
        near = math.inf if value > 0 else -math.inf
    infinity = wire.double_as_long(math.inf)
    match operator:
        case "=":
            return (wire.double_as_long(near), wire.double_as_long(near)) if near == value else None
        case "<" | "<=":
            fits = near < value or (near == value and operator == "<=")
            return wire.double_as_long(-math.inf), wire.double_as_long(
                near if fits else math.nextafter(near, -math.inf)
            )
        case _:
            fits = near > value or (near == value and operator == ">=")
            return wire.double_as_long(near if fits else math.nextafter(near, math.inf)), infinity


def _date_range(field: str, operator: Operator, value: FilterValue) -> tuple[int, int]:
    """The range of microseconds; a value without a time stands for the whole day."""
    if not isinstance(value, str | datetime.date):
        raise _wrong(field, "date", operator, value, "a date such as 2019-03-01 or 2019-03-01T12:30:00Z")
    try:
        start = date_micros(field, value)
    except WrongValueError:
        raise _wrong(field, "date", operator, value, "a date such as 2019-03-01 or 2019-03-01T12:30:00Z") from None
    is_whole_day = is_day(value) if isinstance(value, str) else not isinstance(value, datetime.datetime)
    return _compared(operator, start, start + (DAY if is_whole_day else 1) - 1)


def _wrong(field: str, kind: FieldType, operator: Operator, value: FilterValue, expected: str) -> QueryError:
    shown = f"{field} {operator} {format_value(value)}"
    return QueryError(
        f"the field {field!r} is of the type {kind}, so the filter {shown:.120} is not possible",
        remedy=f"Use {expected}",
    )
