"""JSON text from outside, parsed with a bound on how deeply it is nested.

Python's parser recurses in C. Python 3.13 lets it go further than a JVM in the same process leaves of the stack, and a
line of brackets then ends the process instead of raising an error. So every JSON text is parsed here, or checked here
where a library parses it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MAX_NESTING = 200
"""Levels of arrays and objects; records of documents, queries and runs have a handful."""


def parse_json(text: str | bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The value that a JSON text holds.

    Args:
        text: The text; bytes are UTF-8.
        object_pairs_hook: Makes an object of its pairs, as for ``json.loads``.

    Raises:
        ValueError: The text is not JSON, not UTF-8, or nested more than ``MAX_NESTING`` levels deep. It is a
            ``json.JSONDecodeError``, with the line, except for what is not UTF-8.
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
        raise ValueError(f"broken JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def check_nesting(text: str) -> None:
    """Refuses a JSON text that is nested too deeply. Takes time in proportion to its length, whatever it holds.

    Raises:
        json.JSONDecodeError: It is nested more than ``MAX_NESTING`` levels deep.
    """
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return
    import numpy as np

    # without escaped characters each quotation mark opens or closes a string
    plain = text.encode("utf-8", "surrogatepass").replace(b"\\\\", b"").replace(b'\\"', b"")
    characters = np.frombuffer(plain, np.uint8)
    is_outside = np.cumsum(characters == ord('"'), dtype=np.int32) % 2 == 0
    steps = np.isin(characters, (ord("["), ord("{"))).astype(np.int8) - np.isin(characters, (ord("]"), ord("}")))
    depths = np.cumsum(steps * is_outside, dtype=np.int32)
    if int(np.max(depths)) > MAX_NESTING:
        line = plain[: int(np.argmax(depths > MAX_NESTING))].count(b"\n")
        start = sum(len(each) + 1 for each in text.split("\n")[:line])
        raise json.JSONDecodeError(f"Nested more than {MAX_NESTING} levels deep", text, start)
