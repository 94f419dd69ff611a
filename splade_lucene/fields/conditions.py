"""Filters as conditions on stored values, checked against the types of an index's fields, with all bounds resolved.

Each engine computes them in its own way: Lucene in Java, others with the queries of their own languages.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass

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
from splade_lucene.fields.grammar import FLATTEN, MAX_DEPTH
from splade_lucene.fields.values import DAY, FieldType, WrongValueError, date_micros, is_day

LEAST_LONG, MOST_LONG = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Nothing:
    """No document fulfils it."""


@dataclass(frozen=True)
class Keywords:
    """A keyword of the field is one of these."""

    field: str
    keywords: tuple[str, ...]


@dataclass(frozen=True)
class KeywordRange:
    """A keyword of the field is in a range of the order of bytes.

    Attributes:
        field: The field.
        first: The first keyword of the range; None for no bound.
        end: The first one after the range; None for no bound.
    """

    field: str
    first: str | None
    end: str | None


@dataclass(frozen=True)
class KeywordPrefix:
    """A keyword of the field starts with the prefix."""

    field: str
    prefix: str


@dataclass(frozen=True)
class IntegerRange:
    """The integer is in a range of 64 bits, both ends included."""

    field: str
    first: int
    last: int


@dataclass(frozen=True)
class NumberRange:
    """The number is in a range of doubles, both ends included, which may be infinite."""

    field: str
    first: float
    last: float


@dataclass(frozen=True)
class DateRange:
    """The date is in a range of microseconds since 1970 in UTC, both ends included."""

    field: str
    first: int
    last: int


@dataclass(frozen=True)
class Truth:
    """The boolean is this one."""

    field: str
    value: bool


@dataclass(frozen=True)
class Present:
    """There is a value."""

    field: str
    kind: FieldType


@dataclass(frozen=True)
class Negated:
    """The document does not fulfil the condition."""

    part: Condition


@dataclass(frozen=True)
class Every:
    """The document fulfils all conditions, of which there is at least one."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Some:
    """The document fulfils one of the conditions, of which there may be none."""

    parts: tuple[Condition, ...]


FieldCondition = Keywords | KeywordRange | KeywordPrefix | IntegerRange | NumberRange | DateRange | Truth | Present
"""A condition on a single field."""

Condition = Nothing | Negated | Every | Some | FieldCondition
"""A condition on a document."""


def to_condition(part: Filter, types: Mapping[str, FieldType], depth: int = 0) -> Condition:
    """The condition of a filter.

    Args:
        part: The filter.
        types: The fields of the index and their types.
        depth: The level of this part in the whole filter.

    Raises:
        QueryError: A field is unknown, or its type does not allow the comparison.
    """
    if depth > 2 * MAX_DEPTH:
        raise QueryError(f"the filter is nested more than {2 * MAX_DEPTH} levels deep", remedy=FLATTEN)
    match part:
        case All():
            return Every(tuple(to_condition(each, types, depth + 1) for each in part.parts))
        case Any():
            return Some(tuple(to_condition(each, types, depth + 1) for each in part.parts))
        case Not():
            return Negated(to_condition(part.part, types, depth + 1))
        case Exists():
            return Present(part.field, _type(part.field, types))
        case Prefix():
            return _prefix(part, types)
        case In():
            return _in(part, types)
        case Comparison():
            return _comparison(part, types)
    raise QueryError(f"{part!r:.80} is not a filter", remedy="Pass a string, or a filter made with where(…)")


def _type(field: str, types: Mapping[str, FieldType]) -> FieldType:
    if field not in types:
        known = ", ".join(f"{name} ({kind})" for name, kind in types.items())
        raise QueryError(
            f"the index has no field {field!r:.80}",
            remedy=f"Its fields are: {known}" if known else "It has no fields: build it with fields=…",
        )
    return types[field]


def _prefix(part: Prefix, types: Mapping[str, FieldType]) -> Condition:
    kind = _type(part.field, types)
    if not kind.startswith("keyword"):
        raise QueryError(
            f"the field {part.field!r} is of the type {kind}, and only keywords have prefixes",
            remedy="Compare it by a range",
        )
    return KeywordPrefix(part.field, part.prefix)


def _in(part: In, types: Mapping[str, FieldType]) -> Condition:
    if _type(part.field, types).startswith("keyword"):
        return Keywords(part.field, tuple(_keyword(part.field, value, types) for value in part.values))
    return Some(tuple(_comparison(Comparison(part.field, "=", value), types) for value in part.values))


def _comparison(part: Comparison, types: Mapping[str, FieldType]) -> Condition:
    field, operator, value = part.field, part.operator, part.value
    match kind := _type(field, types):
        case "keyword" | "keyword[]":
            return _keyword_comparison(field, operator, _keyword(field, value, types))
        case "boolean":
            if not isinstance(value, bool) or operator != "=":
                raise _wrong(field, kind, operator, value, "= true or = false")
            return Truth(field, value)
        case "date":
            first, last = _clipped(_date_range(field, operator, value))
            return DateRange(field, first, last) if first <= last else Nothing()
        case "integer":
            first, last = _clipped(_integer_range(operator, _number(field, kind, operator, value)))
            return IntegerRange(field, first, last) if first <= last else Nothing()
        case "number":
            bounds = _number_range(operator, _number(field, kind, operator, value))
            return NumberRange(field, *bounds) if bounds[0] <= bounds[1] else Nothing()


def _keyword_comparison(field: str, operator: Operator, keyword: str) -> Condition:
    if operator == "=":
        return Keywords(field, (keyword,))
    bound = keyword + ("\0" if operator in ("<=", ">") else "")
    return KeywordRange(field, bound, None) if operator in (">", ">=") else KeywordRange(field, None, bound)


def _clipped(bounds: tuple[int, int]) -> tuple[int, int]:
    """A range within 64 bits; one outside of them is empty."""
    return max(bounds[0], LEAST_LONG), min(bounds[1], MOST_LONG)


def _keyword(field: str, value: FilterValue, types: Mapping[str, FieldType]) -> str:
    if not isinstance(value, str):
        raise _wrong(field, types[field], "=", value, "a string in quotes")
    return value


def _number(field: str, kind: FieldType, operator: Operator, value: FilterValue) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(field, kind, operator, value, "a number without quotes")
    return value


def _integer_range(operator: Operator, value: int | float) -> tuple[int, int]:
    first, last = math.ceil(value), math.floor(value)  # for a fraction, first > last
    return _compared(operator, first, last)


def _compared(operator: Operator, first: int, last: int) -> tuple[int, int]:
    """The range of integers for which a comparison holds, with a value that stands for those from ``first`` to ``last``."""
    match operator:
        case "=":
            return first, last
        case "<":
            return LEAST_LONG, first - 1
        case "<=":
            return LEAST_LONG, last
        case ">":
            return last + 1, MOST_LONG
        case ">=":
            return first, MOST_LONG


def _number_range(operator: Operator, value: int | float) -> tuple[float, float]:
    """The range of doubles for which a comparison holds; the first is larger than the last if there are none."""
    try:
        near = float(value) + 0.0
    except OverflowError:
        near = math.inf if value > 0 else -math.inf
    match operator:
        case "=":
            return (near, near) if near == value else (math.inf, -math.inf)
        case "<" | "<=":
            fits = near < value or (near == value and operator == "<=")
            return -math.inf, near if fits else math.nextafter(near, -math.inf)
        case _:
            fits = near > value or (near == value and operator == ">=")
            return near if fits else math.nextafter(near, math.inf), math.inf


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
