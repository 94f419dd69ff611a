"""Vocabulary entries ⇄ Lucene terms.

Anserini's whitespace analyzer splits encoded queries at white space, so an entry that holds some (byte-level and
SentencePiece vocabularies have line breaks and runs of spaces) could be indexed but never found. Such an entry, and one
with a control character, is written with an escape that can be undone. Every other entry is its own term, as in the
indexes that others publish.
"""

from __future__ import annotations

import re

_MARK = "\u241b"  # SYMBOL FOR ESCAPE, in hardly any vocabulary
_ESCAPED = re.compile(rf"([\s\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff{_MARK}\ud800-\udfff])\1*")
_ESCAPE = re.compile(rf"{_MARK}([0-9a-f]+)(?:x([0-9]+))?;")
_EMPTY = f"{_MARK};"


def escape_term(entry: str) -> str:
    r"""The Lucene term of a vocabulary entry: free of white space and control characters, and never empty.

    Example:
        >>> escape_term("##ing"), escape_term("a\tb"), escape_term("    ")
        ('##ing', 'a␛9;b', '␛20x4;')
    """
    if not entry:
        return _EMPTY
    return _ESCAPED.sub(_escape, entry)


def unescape_term(term: str) -> str:
    """The vocabulary entry of a Lucene term; undoes :func:`escape_term`."""
    if term == _EMPTY:
        return ""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) * int(found[2] or 1), term)


def _escape(found: re.Match[str]) -> str:
    count = len(
        found[0]
    )  # of the same character: code has tokens of a hundred spaces, and terms have a greatest length
    return f"{_MARK}{ord(found[1]):x}{f'x{count}' if count > 1 else ''};"
