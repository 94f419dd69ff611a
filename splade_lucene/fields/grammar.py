r"""Filters as text, as on the command line: ``lang = "de" and year >= 2019 and not tags in ("draft")``.

    filter     = and-filter or and-filter …
    and-filter = condition and condition …
    condition  = NAME = VALUE      also == != <> < <= > >=
               | NAME in (VALUE, …)             | NAME not in (VALUE, …)
               | NAME between VALUE and VALUE
               | NAME prefix STRING
               | NAME exists
               | not condition                  | (filter)
    VALUE      = STRING | number | date | true | false
    STRING     = in double or single quotes, with the escapes of JSON
    date       = 2019-03-01 | 2019-03-01T12:30:00Z, also in quotes
    NAME       = letters, digits and _ . - after a letter or _; any other name in backticks, with
                 the escapes of JSON and \` for a backtick

Words are written in any case.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import NamedTuple

from splade_lucene.errors import QueryError
from splade_lucene.fields.expression import WORDS, Exists, Filter, FilterValue, In, Prefix, format_name, where
from splade_lucene.fields.values import NUMBER, WrongValueError, date_micros, is_day
from splade_lucene.records import well_formed

MAX_DEPTH = 100
"""Maximum levels of parentheses and negations."""

FLATTEN = "Use fewer parentheses: name in (…) takes many values"
"""What to do about a filter that is nested too deeply."""

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt][0-9:.]+(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?(?![\w.]))
    |(?P<number>-?[0-9][0-9.]*(?:[eE][+-]?[0-9]+)?(?![\w.]))
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<quoted>`(?:[^`\\]|\\.)*`)
    |(?P<word>[^\W\d][\w.-]*)
    |(?P<sign>==|!=|<>|<=|>=|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", **{each: each for each in "\"'`\\/"}}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def parse_filter(text: str) -> Filter:
    r"""Reads a filter.

    Raises:
        QueryError: The text is not a filter; the message says where and why.

    Example:
        >>> parse_filter("year >= 2019 and not url exists")
        All(parts=(Comparison(field='year', operator='>=', value=2019), Not(part=Exists(field='url'))))
    """
    if not isinstance(text, str):
        raise QueryError(f"a filter must be a string or made with where(…), got {text!r:.80}")
    if well_formed(text) != text:
        raise QueryError("the filter contains an unpaired surrogate", remedy="Fix the text of the filter")
    return _Parser(text).parse()


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._token = self._read()

    def parse(self) -> Filter:
        found = self._any()
        if self._token.kind != "end":
            raise self._wrong("and, or, or the end")
        return found

    def _any(self) -> Filter:
        found = self._all()
        while self._skip("or"):
            found = found | self._all()
        return found

    def _all(self) -> Filter:
        found = self._one()
        while self._skip("and"):
            found = found & self._one()
        return found

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError(f"the filter is nested more than {MAX_DEPTH} levels deep", remedy=FLATTEN)
        if self._skip("not"):
            found = ~self._one()
        elif self._skip("("):
            found = self._any()
            self._expect(")")
        else:
            found = self._condition()
        self._depth -= 1
        return found

    def _condition(self) -> Filter:
        name = self._name()
        field = where(name)
        if self._skip("exists"):
            return Exists(name)
        if self._skip("prefix"):
            if self._token.kind != "string":
                raise self._wrong("a string in quotes")
            return Prefix(name, self._unescaped(self._next()))
        if self._skip("between"):
            least = self._value()
            self._expect("and")
            return field.between(least, self._value())
        if self._skip("not"):
            self._expect("in")
            return ~In(name, self._values())
        if self._skip("in"):
            return In(name, self._values())
        return self._comparison(field)

    def _comparison(self, field: where) -> Filter:
        sign = self._token.text if self._token.kind == "sign" else ""
        if sign not in ("=", "==", "!=", "<>", "<", "<=", ">", ">="):
            raise self._wrong("one of = != < <= > >= in, not in, between, prefix, exists")
        self._next()
        value = self._value()
        match sign:
            case "<":
                return field < value
            case "<=":
                return field <= value
            case ">":
                return field > value
            case ">=":
                return field >= value
            case "!=" | "<>":
                return field != value
            case _:
                return field == value

    def _name(self) -> str:
        token = self._token
        if token.kind == "quoted" and len(token.text) > 2:
            return self._unescaped(self._next())
        if token.kind == "word" and token.text.lower() in WORDS:
            raise self._wrong(f"the name of a field ({format_name(token.text)} if that is one)")
        if token.kind != "word":
            raise self._wrong("the name of a field")
        return self._next().text

    def _values(self) -> tuple[FilterValue, ...]:
        self._expect("(")
        values: list[FilterValue] = []
        while not self._skip(")"):
            if values:
                self._expect(",")
            values.append(self._value())
        return tuple(values)

    def _value(self) -> FilterValue:
        token = self._token
        if token.kind == "string":
            return self._unescaped(self._next())
        if token.kind == "number" and NUMBER.fullmatch(token.text) and len(token.text) <= 1000:
            number = json.loads(self._next().text)
            if number in (float("inf"), float("-inf")):
                raise self._wrong("a number that double precision holds", token)
            return number  # type: ignore[no-any-return]
        if token.kind == "date":
            return self._date()
        if token.kind == "word" and token.text.lower() in ("true", "false"):
            return self._next().text.lower() == "true"
        if token.kind == "wrong" and token.text[0] in "\"'":
            raise self._wrong(f"a string that ends with {token.text[0]}")
        raise self._wrong("a string in quotes, a number, a date, true or false")

    def _date(self) -> datetime.date:
        token = self._next()
        try:
            micros = date_micros("", token.text)
        except WrongValueError:
            raise self._wrong("a date such as 2019-03-01 or 2019-03-01T12:30:00Z", token) from None
        found = _EPOCH + datetime.timedelta(microseconds=micros)
        return found.date() if is_day(token.text) else found

    def _unescaped(self, token: _Token) -> str:
        def one(match: re.Match[str]) -> str:
            if match[1]:
                return chr(int(match[1], 16))
            if match[2] not in _ESCAPED:
                raise self._wrong("one of the escapes \\\" \\' \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX", token)
            return _ESCAPED[match[2]]

        text = _ESCAPE.sub(one, token.text[1:-1])
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if "\ufffd" in joined and "\ufffd" not in text:
            raise self._wrong("whole characters, not an unpaired surrogate", token)
        return joined

    # ---- tokens ----

    def _read(self) -> _Token:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            rest = self._text[self._at :].lstrip()
            start = len(self._text) - len(rest)
            return _Token("wrong" if rest else "end", rest[:20], start)
        self._at = found.end()
        kind = str(found.lastgroup)
        return _Token(kind, found[kind], found.start(kind))

    def _next(self) -> _Token:
        token = self._token
        self._token = self._read()
        return token

    def _skip(self, what: str) -> bool:
        is_there = self._token.kind in ("word", "sign") and self._token.text.lower() == what
        if is_there:
            self._next()
        return is_there

    def _expect(self, what: str) -> None:
        if not self._skip(what):
            raise self._wrong(what)

    def _wrong(self, expected: str, token: _Token | None = None) -> QueryError:
        at = token or self._token
        found = f"{at.text:.40}" if at.kind != "end" else "the end"
        return QueryError(
            f"the filter {self._text!r:.200} is wrong at column {at.start + 1}: expected {expected}, found {found}",
            remedy='Write for example: lang = "de" and year >= 2019 and not tags in ("draft")',
        )
