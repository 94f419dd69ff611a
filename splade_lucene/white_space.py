"""White space as defined by Java and used by Anserini's whitespace analyzer, whose definition differs from Python's."""

from __future__ import annotations

import unicodedata

_NOT_JAVA_SPACE = frozenset("\u00a0\u2007\u202f\u0085")  # for str.isspace, but not for java.lang.Character.isWhitespace


def _is_java_space(character: str) -> bool:
    return character.isspace() and character not in _NOT_JAVA_SPACE


def has_white_space(text: str) -> bool:
    """Whether Anserini's whitespace analyzer would split a text, by Java's Character.isWhitespace."""
    return any(_is_java_space(character) for character in text)


def split_as_java(text: str) -> list[str]:
    """Splits a text like Anserini's whitespace analyzer; unlike str.split, not at no-break spaces."""
    spaced = "".join(" " if _is_java_space(character) else character for character in text)
    return [token for token in spaced.split(" ") if token]


def is_blank(text: str) -> bool:
    """Whether a text has nothing to read: only white space, control characters and invisible ones such as U+200B.

    A blank document has no terms and is left out of each index; a blank query has no hits.
    """
    return all(character.isspace() or unicodedata.category(character) in ("Cc", "Cf") for character in text)
