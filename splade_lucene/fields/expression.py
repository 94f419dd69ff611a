"""Filters as Python objects: conditions on the fields of documents, which can be combined.

>>> from splade_lucene import where
>>> str((where("lang") == "de") & (where("year") >= 2019) & ~where("tags").is_in(["draft"]))
'lang = "de" and year >= 2019 and not tags in ("draft")'
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from splade_lucene.arguments import to_list
from splade_lucene.errors import QueryError
from splade_lucene.records import well_formed

Operator = Literal["=", "<", "<=", ">", ">="]

FilterValue = str | int | float | bool | datetime.date
"""What a field is compared with. A datetime without a time zone is in UTC; dates can also be strings in ISO 8601.
Values of NumPy are taken as Python's."""


class Filter:
    """A condition on documents. It can be combined with others by ``&``, ``|`` and ``~``.

    Documents without a field match no comparison with it, so they match its negation.
    """

    def __and__(self, other: Filter) -> Filter:
        return All((*_parts(self, All), *_parts(_checked_filter(other), All)))

    def __or__(self, other: Filter) -> Filter:
        return Any((*_parts(self, Any), *_parts(_checked_filter(other), Any)))

    def __invert__(self) -> Filter:
        return Not(self)

    def __bool__(self) -> bool:
        raise QueryError(
            "a filter is neither true nor false", remedy="Combine filters by & | ~, each comparison in parentheses"
        )

    def __str__(self) -> str:
        return _formatted(self)


def _checked_filter(other: object) -> Filter:
    if not isinstance(other, Filter):
        raise QueryError(f"a filter can only be combined with a filter, not with {other!r:.80}")
    return other


def _parts(part: Filter, kind: type[All | Any]) -> tuple[Filter, ...]:
    return part.parts if isinstance(part, kind) else (part,)


@dataclass(frozen=True)
class Comparison(Filter):
    """Compares the values of a field with a given one; a date without a time stands for the whole day."""

    field: str
    operator: Operator
    value: FilterValue


@dataclass(frozen=True)
class In(Filter):
    """A value of the field is one of the given ones."""

    field: str
    values: tuple[FilterValue, ...]


@dataclass(frozen=True)
class Prefix(Filter):
    """A keyword of the field starts with the prefix."""

    field: str
    prefix: str


@dataclass(frozen=True)
class Exists(Filter):
    """The document has a value of the field."""

    field: str


@dataclass(frozen=True)
class Not(Filter):
    """The document does not fulfil the condition."""

    part: Filter


@dataclass(frozen=True)
class All(Filter):
    """The document fulfils all conditions, of which there are at least two."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Any(Filter):
    """The document fulfils at least one of the conditions, of which there are at least two."""

    parts: tuple[Filter, ...]


class where:  # noqa: N801 - reads as a word: where("year") >= 2019
    """A field, to be compared with a value; the result is a :class:`Filter`.

    Args:
        field: Its name.

    Example:
        >>> str(where("year").between(2019, 2021) & where("url").starts_with("https:") & where("lang").exists())
        'year >= 2019 and year <= 2021 and url prefix "https:" and lang exists'
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, field: str) -> None:
        if not isinstance(field, str) or not field or well_formed(field) != field:
            raise QueryError(f"a filter needs the name of a field, got {field!r:.80}")
        self._field = field

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        return Comparison(self._field, "=", _value(value))

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return Not(Comparison(self._field, "=", _value(value)))

    def __lt__(self, value: FilterValue) -> Filter:
        return Comparison(self._field, "<", _value(value))

    def __le__(self, value: FilterValue) -> Filter:
        return Comparison(self._field, "<=", _value(value))

    def __gt__(self, value: FilterValue) -> Filter:
        return Comparison(self._field, ">", _value(value))

    def __ge__(self, value: FilterValue) -> Filter:
        return Comparison(self._field, ">=", _value(value))

    def between(self, least: FilterValue, most: FilterValue) -> Filter:
        """A value is in a range, both ends included."""
        return All((self >= least, self <= most))

    def is_in(self, values: Iterable[FilterValue]) -> Filter:
        """A value is one of several."""
        return In(self._field, tuple(_value(each) for each in to_list(values, "values", error=QueryError)))

    def starts_with(self, prefix: str) -> Filter:
        """A keyword starts with a prefix."""
        if not isinstance(prefix, str) or well_formed(prefix) != prefix:
            raise QueryError(f"a prefix must be a string, got {prefix!a:.80}")
        return Prefix(self._field, prefix)

    def exists(self) -> Filter:
        """The document has a value."""
        return Exists(self._field)


def _value(value: object) -> FilterValue:
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        return aware.astimezone(datetime.UTC)
    if isinstance(value, str) and well_formed(value) != value:
        raise QueryError(f"the value {value!a:.80} contains an unpaired surrogate", remedy="Fix the text of the value")
    if isinstance(value, float) and not math.isfinite(value):
        raise QueryError(f"a field cannot be compared with {value}", remedy="Use a finite number")
    if isinstance(value, str | int | float | datetime.date):
        return value
    if isinstance(value, np.datetime64):
        return str(value)
    item = getattr(value, "item", None)  # a number of NumPy
    if item is not None and not isinstance(value, np.timedelta64) and isinstance(item(), int | float):
        return _value(item())
    raise QueryError(
        f"a field cannot be compared with {value!r:.80}", remedy="Use a string, a number, a date, True or False"
    )


# ---- as text ----

WORDS = frozenset({"and", "or", "not", "in", "prefix", "exists", "between", "true", "false"})
"""The words of the grammar, which are written in any case; a field of this name is quoted by backticks."""

PLAIN_NAME = re.compile(r"[^\W\d][\w.-]*")


def _formatted(part: Filter) -> str:
    match part:
        case Comparison():
            return f"{format_name(part.field)} {part.operator} {format_value(part.value)}"
        case In():
            return f"{format_name(part.field)} in ({', '.join(map(format_value, part.values))})"
        case Prefix():
            return f"{format_name(part.field)} prefix {format_value(part.prefix)}"
        case Exists():
            return f"{format_name(part.field)} exists"
        case Not():
            return "not " + _inner(part.part, (All, Any))
        case All():
            return " and ".join(_inner(each, (All, Any)) for each in part.parts)
        case Any():
            return " or ".join(_inner(each, (Any,)) for each in part.parts)
    raise TypeError(f"{type(part).__name__} is not a filter")


def _inner(part: Filter, in_parentheses: tuple[type[Filter], ...]) -> str:
    text = _formatted(part)
    return f"({text})" if isinstance(part, in_parentheses) else text


def format_name(name: str) -> str:
    """The name of a field as the grammar writes it."""
    if PLAIN_NAME.fullmatch(name) and name.lower() not in WORDS:
        return name
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def format_value(value: FilterValue) -> str:
    """A value as the grammar writes it."""
    if isinstance(value, datetime.datetime):
        return value.isoformat().removesuffix("+00:00") + "Z"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)
