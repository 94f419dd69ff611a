"""Checks of arguments: several values, numbers, flags, choices, paths."""

from __future__ import annotations

import os
from collections.abc import ItemsView, Iterable, KeysView, Mapping, Set
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar, get_args

from splade_lucene.errors import InputError

T = TypeVar("T")
_LONGEST_PATH, _LONGEST_NAME = 4095, 255  # bytes, on Linux


def several(values: Iterable[T], name: str, *, error: type[InputError] = InputError) -> Iterable[T]:
    """Checks an argument that takes several values, and returns it.

    Args:
        values: The argument, to be iterated over once.
        name: Its name, for the message.
        error: The class of the error.

    Raises:
        InputError: The argument is a single string, whose characters would be taken for the values, or a table, whose rows
            or column names would be, or it is not iterable.
    """
    if getattr(values, "ndim", 1) > 1:
        raise error(
            f"expected several {name}, got a {type(values).__name__}", remedy="Pass one of its columns, or a list"
        )
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise error(f"expected several {name}, got {values!r:.80}", remedy="Pass a list, even for a single value")
    return values


def to_list(values: Iterable[T], name: str, *, error: type[InputError] = InputError) -> list[T]:
    """The values of an argument, as a list: an iterator can be read only once, and has no length.

    Raises:
        InputError: As for :func:`several`.

    Example:
        >>> to_list(map(str, range(3)), "docids")
        ['0', '1', '2']
    """
    return list(several(values, name, error=error))


def to_ordered_list(values: Iterable[T], name: str, *, error: type[InputError] = InputError) -> list[T]:
    """As :func:`to_list`, for values that are matched with others by their position.

    Raises:
        InputError: As for :func:`several`; or the argument is a set, which has no order, or a mapping, whose keys would be
            taken for the values.
    """
    if isinstance(values, Set | Mapping) and not isinstance(values, KeysView | ItemsView):  # views have an order
        kind = "mapping" if isinstance(values, Mapping) else "set"
        raise error(f"expected a sequence of {name}, got a {kind}", remedy="Pass a list")
    return to_list(values, name, error=error)


def to_count(value: object, name: str, *, least: int = 1, error: type[InputError] = InputError) -> int:
    """Checks an integer argument, and returns it as an ``int``.

    Args:
        value: The argument.
        name: Its name, for the message.
        least: The smallest value that is allowed.
        error: The class of the error.

    Raises:
        InputError: It is not an integer, below ``least``, or beyond 31 bits.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) < 2**31:
        raise error(f"{name} must be an integer of at least {least}, got {value!r:.80}")
    return int(value)


def is_number(value: object) -> bool:
    """Whether an argument is a real number, Python's or NumPy's, and not a boolean."""
    return isinstance(value, Real) and not isinstance(value, bool)


def to_flag(value: object, name: str, *, error: type[InputError] = InputError) -> bool:
    """Checks a boolean argument, Python's or NumPy's, and returns it as a ``bool``.

    Args:
        value: The argument.
        name: Its name, for the message.
        error: The class of the error.

    Raises:
        InputError: It is something else, such as ``"no"``, which would count as true.
    """
    if not isinstance(value, bool) and (getattr(value, "dtype", None) != "bool" or getattr(value, "ndim", 0)):
        raise error(f"{name} must be True or False, got {value!r:.80}")
    return bool(value)


def check_choice(value: object, literal: Any, name: str, *, error: type[InputError] = InputError) -> None:
    """Checks that an argument is one of the values of a ``Literal``.

    Args:
        value: The argument.
        literal: The type.
        name: Its name, for the message.
        error: The class of the error.

    Raises:
        InputError: It is something else; lists the choices.
    """
    choices = get_args(literal)
    if value not in choices:
        raise error(f"unknown {name} {value!r:.60}", remedy=f"Choose one of: {', '.join(map(str, choices))}")


def to_path(value: str | os.PathLike[str], *, error: type[InputError] = InputError) -> Path:
    """Checks a path argument, and returns it as a ``Path``.

    Args:
        value: The argument.
        error: The class of the error.

    Raises:
        InputError: It is not a path, or one that no file can have: empty, too long, or with a null character.

    Example:
        >>> to_path("runs/splade.trec").name
        'splade.trec'
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(text, str) or not text:
        raise error(f"expected a path, got {value!r:.80}", remedy="Pass the name of a file or folder")
    names = os.fsencode(text)
    if "\0" in text or len(names) > _LONGEST_PATH or max(map(len, names.split(b"/"))) > _LONGEST_NAME:
        raise error(f"no file can have this name: {text!r:.80}", remedy="Pass the name of a file or folder")
    return Path(value)
