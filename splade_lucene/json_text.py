"""Parsing of external JSON text with a limit on nesting depth.

Python's parser recurses in C. With a JVM in the same process, less stack is left than Python 3.13 assumes, so a line of
brackets crashes the process instead of raising an error. All JSON text is therefore parsed here, or checked here before a
library parses it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MAX_NESTING = 200
"""Maximum levels of arrays and objects; records of documents, queries and runs have only a few."""


def parse_json(text: str | bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parses a JSON text.

    Args:
        text: The text; bytes are UTF-8.
        object_pairs_hook: Builds an object from its pairs, as for ``json.loads``.

    Raises:
        ValueError: The text is not JSON, not UTF-8, or nested more than ``MAX_NESTING`` levels deep. Except for text that
            is not UTF-8, it is a ``json.JSONDecodeError`` with the line.
    """
    if isinstance(text, bytes):
        text = text.decode()
    check_nesting(text)
    return json.loads(text, object_pairs_hook=object_pairs_hook)


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


def check_nesting(text: str) -> None:
    """Rejects a JSON text that is nested too deeply, in time linear in its length.

    Raises:
        json.JSONDecodeError: The text is nested more than ``MAX_NESTING`` levels deep.
    """
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return
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
