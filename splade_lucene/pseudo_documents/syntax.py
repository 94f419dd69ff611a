"""Checks that a line is one JSON object (RFC 8259) within this package's limits, and locates the first error.

Python's json module and Java's Jackson accept different input and have different messages, so both sides have this check: the
other one is ``java_bridge/src/io/spladelucene/index/JsonSyntax.java``.
"""

from __future__ import annotations

import re
from typing import Literal

from splade_lucene.files.json_text import MAX_NESTING

MAX_DIGITS = 1000
"""The most digits in a row in a number."""

_LONG_RUN = re.compile(r"[0-9](?<![0-9][0-9])[0-9]{1000}")  # each run is tried once, so the time is linear
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|([1-9][0-9]*+))(?:\.([0-9]++))?(?:[eE][+-]?([0-9]++))?")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+')
_LITERAL = re.compile("true|false|null")
_CONSTANT = re.compile("NaN|-?Infinity")

_Expected = Literal["value", "value or close", "key", "key or close", "colon", "comma or close", "end"]


def problem_of(line: str) -> str | None:
    """What is wrong with a line; None if nothing is."""
    try:
        _Syntax(line).check()
    except _WrongError as wrong:
        return str(wrong)
    return None


def has_long_number(line: str) -> bool:
    """Whether a line may have a number that :func:`problem_of` refuses and Python's parser takes."""
    return _LONG_RUN.search(line) is not None


class _WrongError(Exception):
    pass


class _Syntax:
    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0
        self._expected: _Expected = "value"
        self._closings: list[str] = []

    def check(self) -> None:
        self._skip(_SPACE)
        is_object = self._line.startswith("{", self._at)
        while self._at < len(self._line):
            self._step(self._line[self._at])
            self._skip(_SPACE)
        if self._expected != "end":
            raise _WrongError("the line ends too early")
        if not is_object:
            raise _WrongError("not an object")

    def _step(self, character: str) -> None:
        match self._expected:
            case "colon" if character == ":":
                self._advance("value")
            case "comma or close" if character == ",":
                self._advance("key" if self._closings[-1] == "}" else "value")
            case "key" | "key or close" if character == '"':
                self._string("colon")
            case "comma or close" | "key or close":
                self._close(character)
            case "value or close" if character == "]":
                self._close(character)
            case "value" | "value or close":
                self._value(character)
            case "end":
                raise self._wrong("more text after the object,")
            case _:
                raise self._wrong()

    def _value(self, character: str) -> None:
        if character == "{":
            self._open("}", "key or close")
        elif character == "[":
            self._open("]", "value or close")
        elif character == '"':
            self._string(self._after_value())
        elif number := _NUMBER.match(self._line, self._at):
            if any(len(digits or "") > MAX_DIGITS for digits in number.groups()):
                raise self._wrong(f"a number of more than {MAX_DIGITS:,} digits")
            self._at, self._expected = number.end(), self._after_value()
        elif _CONSTANT.match(self._line, self._at):
            raise self._wrong("NaN or Infinity")
        elif self._skip(_LITERAL):
            self._expected = self._after_value()
        else:
            raise self._wrong()

    def _string(self, following: _Expected) -> None:
        self._skip(_STRING)
        if self._at == len(self._line):
            raise _WrongError("the line ends too early")
        if self._line[self._at] != '"':
            raise self._wrong()
        self._advance(following)

    def _open(self, closing: str, following: _Expected) -> None:
        if len(self._closings) == MAX_NESTING:
            raise self._wrong(f"nested more than {MAX_NESTING} levels deep")
        self._closings.append(closing)
        self._advance(following)

    def _close(self, character: str) -> None:
        if character != self._closings[-1]:
            raise self._wrong()
        self._closings.pop()
        self._advance(self._after_value())

    def _after_value(self) -> _Expected:
        return "comma or close" if self._closings else "end"

    def _advance(self, following: _Expected) -> None:
        self._at += 1
        self._expected = following

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        if found := pattern.match(self._line, self._at):
            self._at = found.end()
        return found is not None

    def _wrong(self, what: str = "invalid JSON") -> _WrongError:
        return _WrongError(f"{what} at column {self._at + 1}")
