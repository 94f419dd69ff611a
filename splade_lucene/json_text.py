"""JSON text from outside, parsed with a bound on how deeply it is nested.

Python's parser recurses in C. Python 3.13 lets it go further than a JVM in the same process leaves of the stack, and a
line of brackets then ends the process instead of raising an error. So every JSON text is parsed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

MAX_NESTING = 200
"""Levels of arrays and objects; records of documents, queries and runs have a handful."""

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def parse_json(text: str | bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The value that a JSON text holds.

    Args:
        text: The text; bytes are UTF-8.
        object_pairs_hook: Makes an object of its pairs, as for ``json.loads``.

    Raises:
        ValueError: The text is not JSON, not UTF-8, or nested more than ``MAX_NESTING`` levels deep. It is a
            ``json.JSONDecodeError``, with the line and column, but for what is not UTF-8.
    """
    if isinstance(text, bytes):
        text = text.decode()
    if text.count("[") + text.count("{") > MAX_NESTING:
        _check_nesting(text)
    return json.loads(text, object_pairs_hook=object_pairs_hook)


def _check_nesting(text: str) -> None:
    depth = 0
    for token in _TOKENS.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > MAX_NESTING:
                raise json.JSONDecodeError(f"Nested more than {MAX_NESTING} levels deep", text, token.start())
        elif token[0] in "]}":
            depth -= 1
