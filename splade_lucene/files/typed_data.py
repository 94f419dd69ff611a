"""Plain data from JSON and TOML, checked against the types of a dataclass."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from splade_lucene.records import well_formed

_T = TypeVar("_T")
_types = cache(get_type_hints)  # evaluating the annotations takes longer than the rest of reading a manifest


class WrongDataError(ValueError):
    """A key or a value does not fit; the message names its place.

    Args:
        message: What is wrong.
        remedy: What to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def make(kind: type[_T], data: object, where: str = "", *, ignore_unknown: bool = False) -> _T:
    """Makes a dataclass from a mapping whose keys are its fields.

    Args:
        kind: The dataclass. Its fields are strings, numbers, booleans, Literals, other dataclasses, tuples, mappings, and
            Any, or one of these and None. A number is finite; a string has no unpaired surrogate.
        data: The mapping.
        where: The place of the mapping in its file, for messages; empty for the whole file.
        ignore_unknown: Ignore unknown keys instead of refusing them.

    Raises:
        WrongDataError: A key is missing or unknown, or a value has another type.
    """
    if not isinstance(data, dict):
        raise WrongDataError(f"{where or 'the file'} is not a mapping", "Write its keys and values")
    types, prefix = _types(kind), f"{where}." if where else ""  # type: ignore[arg-type] # a class has a hash
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    if not ignore_unknown:
        _refuse_unknown(data, known, prefix)
    values = {}
    for key, each in known.items():
        if key in data:
            values[key] = _value(types[key], data[key], prefix + key, ignore_unknown=ignore_unknown)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise WrongDataError(f"the key {prefix}{key} is missing", "Add it")
    return kind(**values)


def _refuse_unknown(data: Iterable[str], known: Iterable[str], prefix: str) -> None:
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(known)}"
            raise WrongDataError(f"unknown key {prefix}{key:.80}", hint)


def _value(hint: Any, value: Any, where: str, *, ignore_unknown: bool) -> Any:
    arguments = [each for each in get_args(hint) if each is not type(None)]
    if type(None) in get_args(hint):
        return None if value is None else _value(arguments[0], value, where, ignore_unknown=ignore_unknown)
    if hasattr(hint, "__dataclass_fields__"):
        return make(hint, value, where, ignore_unknown=ignore_unknown)
    if get_origin(hint) is tuple:
        return tuple(
            _value(arguments[0], each, f"{where}[{number}]", ignore_unknown=ignore_unknown)
            for number, each in enumerate(_checked(list, value, where, "a list"))
        )
    if get_origin(hint) is Literal:
        if not (isinstance(value, str | int) and value in arguments):
            raise _wrong(value, where, f"Choose one of: {', '.join(map(str, arguments))}")
        return value
    if get_origin(hint) is not None:  # a mapping
        return {
            key: _value(arguments[1], each, f"{where}.{key:.80}", ignore_unknown=ignore_unknown)
            for key, each in _checked(dict, value, where, "a mapping").items()
        }
    return value if hint is Any else _scalar(hint, value, where)


def _checked(kind: type[_T], value: object, where: str, name: str) -> _T:
    if not isinstance(value, kind):
        raise WrongDataError(f"{where} is not {name}", f"Write {name}")
    return value


def _scalar(hint: type[Any], value: Any, where: str) -> Any:
    fits = isinstance(value, hint) or (hint is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and hint is not bool):
        raise _wrong(value, where, f"Write a value of type {hint.__name__}")
    if isinstance(value, str) and well_formed(value) != value:
        raise _wrong(value, where, "Write it without unpaired surrogates")
    if hint is not float:
        return value
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong(value, where, "Write a finite number")
    return number


def _wrong(value: object, where: str, remedy: str) -> WrongDataError:
    return WrongDataError(f"invalid value {value!r:.60} for {where}", remedy)
