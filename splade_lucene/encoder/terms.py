"""Vocabulary entries ⇄ Lucene terms.

Anserini's whitespace analyzer splits encoded queries at white space, so an entry that contains white space (byte-level and
SentencePiece vocabularies have line breaks and runs of spaces) could be indexed but never found. Such entries, and those
with control characters, are written with a reversible escape. All other entries are their own terms, as in published
indexes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_MARK = "\u241b"  # SYMBOL FOR ESCAPE, rare in vocabularies
_ESCAPED = re.compile(rf"([\s\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff{_MARK}\ud800-\udfff])\1*")
_ESCAPE = re.compile(rf"{_MARK}([0-9a-f]+)(?:x([0-9]+))?;")
_EMPTY = f"{_MARK};"


def escape_term(entry: str) -> str:
    r"""The Lucene term of a vocabulary entry, without white space or control characters and never empty.

    Example:
        >>> escape_term("##ing"), escape_term("a\tb"), escape_term("    ")
        ('##ing', 'a␛9;b', '␛20x4;')
    """
    if not entry:
        return _EMPTY
    return _ESCAPED.sub(_escape, entry)


def unescape_term(term: str) -> str:
    """The vocabulary entry of a Lucene term; the inverse of :func:`escape_term`."""
    if term == _EMPTY:
        return ""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) * int(found[2] or 1), term)


def vocabulary_terms(entries: Mapping[str, int], size: int) -> list[str]:
    """The Lucene term of each term_id.

    Args:
        entries: Vocabulary entry → term_id.
        size: Number of terms. Those without an entry, such as the padding of a matrix, get names that no text produces.
    """
    terms = [f"[unnamed{term_id}]" for term_id in range(size)]
    for entry, term_id in entries.items():
        if term_id < size:
            terms[term_id] = escape_term(entry)
    return terms


def _escape(found: re.Match[str]) -> str:
    count = len(
        found[0]
    )  # runs are counted: code models have tokens of a hundred spaces, and Lucene limits term length
    return f"{_MARK}{ord(found[1]):x}{f'x{count}' if count > 1 else ''};"
