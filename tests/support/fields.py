"""Documents with fields, filters on them, and what a filter means, in plain Python."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from splade_lucene import Filter, PseudoDocument, where
from splade_lucene.fields import expression

TYPES = {
    "lang": "keyword",
    "tags": "keyword[]",
    "year": "integer",
    "price": "number",
    "on": "date",
    "open": "boolean",
    "odd name `!": "keyword",
}
WORDS = ["de", "en", "", "draft", "naïve", "漢字", "😀", 'a"b', "it's", "a\\b", "de-AT", "de ", "z" * 300]
INTEGERS = [0, 1, -1, 1999, 2019, 2020, 2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1, -(2**63), -(2**53) - 1]
NUMBERS = [0.0, -0.0, 0.1, 0.5, 1.0, -1.5, 1e-300, 5e-324, 1.7976931348623157e308, -1e300, float(2**53), float(2**60)]
DAYS = [date(1, 1, 1), date(1969, 12, 31), date(1970, 1, 1), date(2019, 3, 1), date(2019, 3, 2), date(9999, 12, 31)]
TIMES = [timedelta(0), timedelta(microseconds=1), timedelta(hours=12, minutes=30), timedelta(days=1, microseconds=-1)]


def instants() -> list[datetime]:
    return [datetime(day.year, day.month, day.day, tzinfo=UTC) + time for day in DAYS for time in TIMES]


def random_fields(source: random.Random) -> dict[str, Any]:
    """Values of some of the fields."""
    drawn = {
        "lang": source.choice(WORDS),
        "tags": source.sample(WORDS, source.randint(0, 4)),
        "year": source.choice(INTEGERS),
        "price": source.choice(NUMBERS),
        "on": source.choice([*DAYS, *instants()]),
        "open": source.random() < 0.5,
        "odd name `!": source.choice(WORDS),
    }
    return {name: value for name, value in drawn.items() if source.random() < 0.7}


def documents_with_fields(count: int, seed: int, terms: int = 40) -> list[PseudoDocument]:
    source = random.Random(seed)
    return [
        PseudoDocument(
            f"d{number}",
            "",
            {f"t{i}": source.randint(1, 300) for i in source.sample(range(terms), source.randint(1, 12))},
            random_fields(source),
        )
        for number in source.sample(range(count), count)
    ]


def random_filter(source: random.Random, depth: int = 3) -> Filter:
    """A filter of comparisons that the types allow."""
    kind = source.choice(["and", "or", "not", *["leaf"] * 3]) if depth else "leaf"
    if kind == "and":
        return random_filter(source, depth - 1) & random_filter(source, depth - 1)
    if kind == "or":
        return random_filter(source, depth - 1) | random_filter(source, depth - 1)
    if kind == "not":
        return ~random_filter(source, depth - 1)
    name = source.choice([*TYPES])
    values: dict[str, list[Any]] = {
        "year": [*INTEGERS, *NUMBERS, 2**70, -(2**70), 2018.5],
        "price": [*NUMBERS, *INTEGERS, 2**2000, -(2**2000), 1],
        "on": [*DAYS, *instants(), "2019-03-01", "2019-03-01T12:30:00Z", "2019-03-02T00:30:00+01:00"],
        "open": [True, False],
    }
    choices = values.get(name, [*WORDS, "d", "e", "zz"])
    field, value = where(name), source.choice(choices)
    forms = {
        "=": field == value,
        "!=": field != value,
        "in": field.is_in(source.sample(choices, min(len(choices), source.randint(0, 3)))),
        "exists": field.exists(),
    }
    if name != "open":
        forms |= {"<": field < value, "<=": field <= value, ">": field > value, ">=": field >= value}
    if name not in values:
        forms["prefix"] = field.starts_with(source.choice(["", "d", "de", "漢", "a", "no"]))
    return forms[source.choice([*forms])]


# ---- what a filter means ----


def accepts(part: Filter, fields: dict[str, Any]) -> bool:
    """Whether a document with these values matches a filter, by definition."""
    match part:
        case expression.All():
            return all(accepts(each, fields) for each in part.parts)
        case expression.Any():
            return any(accepts(each, fields) for each in part.parts)
        case expression.Not():
            return not accepts(part.part, fields)
        case expression.Exists():
            return bool(_values(fields, part.field))
        case expression.Prefix():
            return any(value.startswith(part.prefix) for value in _values(fields, part.field))
        case expression.In():
            return any(_compares(value, "=", each) for value in _values(fields, part.field) for each in part.values)
        case expression.Comparison():
            return any(_compares(value, part.operator, part.value) for value in _values(fields, part.field))
    raise TypeError(part)


def _values(fields: dict[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    return [] if value is None else value if isinstance(value, list) else [value]


def _compares(value: Any, operator: str, other: Any) -> bool:
    if isinstance(value, date):
        value, (first, last) = _instant(value), _span(other)
        is_equal, is_less, is_greater = first <= value <= last, value < first, value > last
    else:
        if isinstance(value, str):
            value, other = value.encode(), other.encode()
        is_equal, is_less, is_greater = value == other, value < other, value > other
    return {"=": is_equal, "<": is_less, "<=": is_less or is_equal, ">": is_greater, ">=": is_greater or is_equal}[
        operator
    ]


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def _span(value: Any) -> tuple[datetime, datetime]:
    """The instants that a value of a filter stands for: a day, or one."""
    if isinstance(value, str):
        value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
    first = _instant(value)
    return first, first if isinstance(value, datetime) else first + timedelta(days=1, microseconds=-1)
