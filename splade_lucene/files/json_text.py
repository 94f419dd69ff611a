"""JSON text: parsed with a limit on nesting depth, and written in a few styles.

Python's parser recurses in C. With a JVM in the same process, less stack is left than Python 3.13 assumes, so a line of
brackets crashes the process instead of raising an error. All JSON text is therefore parsed here, or checked here before a
library parses it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from splade_lucene.imports import uninterrupted_imports

MAX_NESTING = 200
"""Maximum levels of arrays and objects; records of documents, queries and runs have only a few."""

_LONG_NUMBER = re.compile(r"[0-9](?<![0-9][0-9])[0-9]{640}")  # Python's smallest limit


def parse_json(text: str | bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parses a JSON text.

    Args:
        text: The text; bytes are UTF-8.
        object_pairs_hook: Builds an object from its pairs, as for ``json.loads``; ``dict`` keeps the last of equal keys.
            Default: a dict without duplicate keys.

    Raises:
        ValueError: The text is not JSON, not UTF-8, nested more than ``MAX_NESTING`` levels deep, or an object has
            duplicate keys. Except for text that is not UTF-8 and for duplicate keys, it is a
            ``json.JSONDecodeError`` with the line.
    """
    if isinstance(text, bytes):
        text = text.decode()
    check_nesting(text)
    try:
        return json.loads(text, object_pairs_hook=object_pairs_hook or _distinct)
    except (json.JSONDecodeError, _DuplicateKeyError):
        raise
    except ValueError:
        long = _LONG_NUMBER.search(text)
        raise json.JSONDecodeError("Number with too many digits", text, long.start() if long else 0) from None


class _DuplicateKeyError(ValueError):
    pass


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _DuplicateKeyError(f"duplicate key {key!r:.80}")
    return values


def parse_object(text: str | bytes) -> dict[str, Any]:
    """The object that a JSON text holds, such as a line of a JSON-lines file.

    Raises:
        ValueError: The text is not JSON, or not an object; says which.
    """
    try:
        value = parse_json(text)
    except ValueError as error:
        raise ValueError(f"invalid JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def numbered_records(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The records of a JSON file in any of Anserini's three forms, as bytes to parse, each with its line number.

    The forms are one object per line; one array of objects; and one object, or several in a row, each over several lines.
    The first two lines that are not blank tell which it is. Lines are passed on as they are, so that each can be wrong on
    its own; the other forms are read as a whole.

    Args:
        lines: The lines of the file.

    Raises:
        ValueError: A file that is not in lines is not JSON, nested too deeply or not UTF-8. A ``json.JSONDecodeError`` has
            the line.
    """
    lines = iter(lines)
    head, in_lines = _begin(lines)
    if in_lines:
        return ((number, line) for number, line in enumerate(chain(head, lines), 1) if line.strip())
    return _split_values(b"".join(chain(head, lines)).decode("utf-8-sig"))


def has_record_lines(lines: Iterable[bytes]) -> bool:
    """Whether a JSON file is in lines, see :func:`numbered_records`; reads only its beginning."""
    return _begin(iter(lines))[1]


def _begin(lines: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """The first lines, up to the second one that is not blank, and whether a file that begins so is in lines."""
    head: list[bytes] = []
    shown: list[bytes] = []
    while len(shown) < 2 and (line := next(lines, None)) is not None:
        head.append(line)
        if line.strip():
            shown.append(line.removeprefix(b"\xef\xbb\xbf").strip())
    return head, _are_lines(*shown)


def _are_lines(first: bytes = b"", second: bytes = b"") -> bool:
    """Whether a JSON file that begins with these two lines has one record per line."""
    if not first.startswith((b"[", b"{")):
        return True
    is_array = first.startswith(b"[")
    try:
        parse_json(first)
    except ValueError:
        return not (is_array or second.startswith((b'"', b"}")))  # otherwise this line itself is invalid
    return bool(second) or not is_array


def _split_values(text: str) -> Iterator[tuple[int, bytes]]:
    """The elements of the arrays in a JSON text, and its values that are not arrays, with the lines where they begin."""
    check_nesting(text)
    decode = json.JSONDecoder().raw_decode
    at, line, counted, is_inside = 0, 1, 0, False
    while (at := _after_space(text, at)) < len(text):
        if not is_inside and text[at] == "[":
            at = _after_space(text, at + 1)
            is_inside = not text.startswith("]", at)
            at += not is_inside
            continue
        end = decode(text, at)[1]
        line, counted = line + text.count("\n", counted, at), at
        yield line, text[at:end].replace("\r", " ").replace("\n", " ").encode()
        at = end
        if is_inside:
            at = _after_space(text, at)
            if text[at : at + 1] not in (",", "]"):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
            is_inside = text[at] == ","
            at += 1
    if is_inside:
        raise json.JSONDecodeError("Expecting value", text, at)


_NO_SPACE = re.compile(r"[^ \t\r\n]")


def _after_space(text: str, at: int) -> int:
    found = _NO_SPACE.search(text, at)
    return len(text) if found is None else found.start()


def check_nesting(text: str) -> None:
    """Rejects a JSON text that is nested too deeply, in time linear in its length.

    Raises:
        json.JSONDecodeError: The text is nested more than ``MAX_NESTING`` levels deep.
    """
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return
    with uninterrupted_imports():
        import numpy as np

    # once escaped characters are removed, every quotation mark opens or closes a string
    plain = text.encode("utf-8", "surrogatepass").replace(b"\\\\", b"").replace(b'\\"', b"")
    characters = np.frombuffer(plain, np.uint8)
    is_outside = np.cumsum(characters == ord('"'), dtype=np.int32) % 2 == 0
    steps = np.isin(characters, (ord("["), ord("{"))).astype(np.int8) - np.isin(characters, (ord("]"), ord("}")))
    depths = np.cumsum(steps * is_outside, dtype=np.int32)
    if int(np.max(depths)) > MAX_NESTING:
        line = plain[: int(np.argmax(depths > MAX_NESTING))].count(b"\n")
        start = sum(len(each) + 1 for each in text.split("\n")[:line])
        raise json.JSONDecodeError(f"Nested more than {MAX_NESTING} levels deep", text, start)


def indented_json(value: object) -> str:
    """A value as JSON for people to read: indented, with a line break at its end."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def compact_json(value: object) -> str:
    """A value as JSON in one line without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_digest(value: object) -> str:
    """SHA-256 of a value as JSON; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
