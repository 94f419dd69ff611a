"""The types of fields, and which values fit them.

The indexer reads the same values in Java, by the same rules and with the same messages:
``java_bridge/src/io/spladelucene/fields/JsonValues.java``.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, cast, get_args

import numpy as np

from splade_lucene.errors import shortened
from splade_lucene.ids import MAX_ID_BYTES as MAX_KEYWORD_BYTES  # both are limits of Lucene's terms
from splade_lucene.records import FieldValue

FieldType = Literal["keyword", "keyword[]", "integer", "number", "date", "boolean"]
"""The type of a field: one string, any number of strings, 64 bits, double precision, an instant, true or false."""

TYPES: tuple[FieldType, ...] = get_args(FieldType)

INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6})0*)?)?"
    r"(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))?)?"
)
DAY = 86_400_000_000
"""A day in microseconds."""

EPOCH = datetime.date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = datetime.date.min.toordinal() - EPOCH, datetime.date.max.toordinal() - EPOCH
EXACT = 2**53
"""Integers below this are exact in double precision, and no other number is rounded to them."""

_EXPECTED: dict[FieldType, str] = {
    "keyword": "a string",
    "keyword[]": "a list of strings",
    "integer": "an integer of 64 bits",
    "number": "a number",
    "date": "a date such as 2019-03-01 or 2019-03-01T12:30:00Z",
    "boolean": "true or false",
}


@dataclass(frozen=True)
class WrittenNumber:
    """A number with a fraction or an exponent, as a JSON text has it."""

    literal: str


class WrongValueError(ValueError):
    """A value does not fit the type of its field. The message says which value, and what would fit."""


def fitting(name: str, value: object, kind: FieldType) -> FieldValue | None:
    """The value as it is stored and returned: a string, a list of strings, an integer, a float, or a boolean.

    Dates are strings: ``2019-03-01``, or ``2019-03-01T12:30:00Z`` if they are not the start of a day in UTC.

    Args:
        name: The field, for the message.
        value: The value. Numbers, dates and booleans may be spelled as strings.
        kind: The type.

    Returns:
        The value; None for an empty list.

    Raises:
        WrongValueError: The value does not fit.

    Example:
        >>> fitting("year", "2019", "integer"), fitting("on", "2019-03-01T00:30+01:00", "date")
        (2019, '2019-02-28T23:30:00Z')
    """
    match kind:
        case "keyword":
            return _keyword(name, value)
        case "keyword[]":
            if isinstance(value, list | tuple | set | frozenset) and not _is_object(value):
                listed = [*cast("Iterable[object]", value)]
                return (
                    sorted({_keyword(name, each, place) for place, each in enumerate(listed)}, key=str.encode) or None
                )
            return [_keyword(name, value, expected=_EXPECTED[kind])]
        case "integer":
            return _integer(name, value)
        case "number":
            return plain_number(_number(name, value))
        case "date":
            return date_text(date_micros(name, value))
        case "boolean":
            return _boolean(name, value)


def plain_number(value: float) -> int | float:
    """A number without a fraction as an integer, as JSON writes it."""
    return int(value) if value.is_integer() and abs(value) <= EXACT else value


def stored_form(value: FieldValue, kind: FieldType) -> list[str | int | float]:
    """What Lucene stores of a value that fits: strings, a float for a number, and otherwise an integer.

    A date is the number of microseconds since 1970 in UTC.
    """
    match kind:
        case "keyword" | "keyword[]":
            return [*value] if isinstance(value, list) else [str(value)]
        case "number":
            return [float(cast("float", value))]
        case "date":
            return [date_micros("", value)]
        case _:
            return [int(cast("int", value))]


def loaded_form(stored: Sequence[str | int | float], kind: FieldType) -> FieldValue | None:
    """The value that :func:`stored_form` had; None if nothing is stored."""
    if not stored:
        return None
    match kind:
        case "keyword[]":
            return [str(each) for each in stored]
        case "keyword":
            return str(stored[0])
        case "number":
            return plain_number(float(stored[0]))
        case "date":
            return date_text(int(stored[0]))
        case "boolean":
            return bool(stored[0])
        case "integer":
            return int(stored[0])


def date_micros(name: str, value: object) -> int:
    """Microseconds since 1970 in UTC of a date: ISO 8601, Python's, or NumPy's.

    Raises:
        WrongValueError: It is no date, or not in the years 1 to 9999.
    """
    text = value
    if isinstance(value, datetime.date):  # datetimes are dates, too
        if getattr(value, "nanosecond", 0):  # of pandas
            raise WrongValueError(f"{shortened(name)} has fractions of microseconds")
        text = value.isoformat()
    elif isinstance(value, np.datetime64):
        text = str(value)
    if isinstance(text, str) and (parts := DATE.fullmatch(text)):
        year, month, day, hour, minute, second = (int(each or 0) for each in parts.groups()[:6])
        try:
            days = datetime.date(year, month, day).toordinal() - EPOCH
            datetime.time(hour, minute, second)
            seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - _offset(parts)
        except ValueError:
            pass
        else:
            micros = seconds * 1_000_000 + int(((parts[7] or "") + "000000")[:6])
            if FIRST_DAY * DAY <= micros < (LAST_DAY + 1) * DAY:
                return micros
    raise _wrong(name, value, _EXPECTED["date"])


def is_day(text: str) -> bool:
    """Whether a date is written without a time."""
    return len(text) == len("2019-03-01")


def _offset(parts: re.Match[str]) -> int:
    if parts[8] is None:
        return 0
    hours, minutes = int(parts[9]), int(parts[10])
    datetime.time(hours, minutes)  # raises ValueError
    return (hours * 60 + minutes) * (60 if parts[8] == "+" else -60)


def date_text(micros: int) -> str:
    """A date in ISO 8601: the day, or the instant in UTC if it is not the start of a day."""
    days, rest = divmod(micros, DAY)
    day = datetime.date.fromordinal(days + EPOCH).isoformat()
    if not rest:
        return day
    seconds, fraction = divmod(rest, 1_000_000)
    minutes, second = divmod(seconds, 60)
    digits = f".{fraction:06d}".rstrip("0") if fraction else ""
    return f"{day}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{digits}Z"


def _keyword(name: str, value: object, place: int | None = None, expected: str = _EXPECTED["keyword"]) -> str:
    """A keyword; the place is that in the list that has it."""
    if isinstance(value, bool | np.bool_):
        value = str(value).lower()
    elif isinstance(value, Integral):
        value = str(int(value))
    if not isinstance(value, str):
        raise _wrong(_placed(name, place), value, expected)
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise WrongValueError(f"{shortened(_placed(name, place))} has half of a surrogate pair") from None
    if size > MAX_KEYWORD_BYTES:
        raise WrongValueError(f"{shortened(_placed(name, place))} is longer than {MAX_KEYWORD_BYTES:,} bytes")
    return str(value)


def _placed(name: str, place: int | None) -> str:
    return name if place is None else f"{name}[{place}]"


def _integer(name: str, value: object) -> int:
    if isinstance(value, str) and INTEGER.fullmatch(value) and len(value) <= 20:
        found: int | None = int(value)
    elif isinstance(value, Integral) and not isinstance(value, bool):
        found = int(value)
    else:
        number = _real(value) if not isinstance(value, str) else None
        found = int(number) if number is not None and number.is_integer() and abs(number) < EXACT else None
    if found is None or not -(2**63) <= found < 2**63:
        raise _wrong(name, value, _EXPECTED["integer"])
    return found


def _number(name: str, value: object) -> float:
    if isinstance(value, str) and INTEGER.fullmatch(value):
        whole: int | None = int(value) if len(value) <= 400 else 10**400  # any number that does not fit
    else:
        whole = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    try:
        number = float(whole) if whole is not None else _real(value)
    except OverflowError:
        number = math.inf
    if number is None:
        raise _wrong(name, value, _EXPECTED["number"])
    if not math.isfinite(number) or (whole is not None and int(number) != whole):
        raise _wrong(name, value, "a number that double precision holds")
    return number + 0.0  # without the sign of -0.0


def _real(value: object) -> float | None:
    """A number that is not written as an integer; None if the value is none."""
    if isinstance(value, WrittenNumber):
        return float(value.literal)
    if isinstance(value, str):
        return float(value) if NUMBER.fullmatch(value) else None
    return float(value) if isinstance(value, Real) and not isinstance(value, Integral) else None


def _boolean(name: str, value: object) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str) and value.isascii() and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _wrong(name, value, _EXPECTED["boolean"])


def _wrong(name: str, value: object, expected: str) -> WrongValueError:
    return WrongValueError(f"{shortened(name)} is {described(value)}, not {expected}")


def described(value: object) -> str:
    """A value as a message shows it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{shortened(value)}"'
    if _is_object(value):
        return "an object"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    return shortened(value.literal if isinstance(value, WrittenNumber) else str(value))


def _is_object(value: object) -> bool:
    """Whether a value is a JSON object: a mapping, or the list of its pairs, which a reader of JSON keeps."""
    return isinstance(value, Mapping) or getattr(value, "is_object", False)


def most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of keywords, the largest first, equal ones by the bytes of the keyword."""
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0].encode())))
