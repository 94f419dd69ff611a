"""White space as Java, and so Anserini's whitespace analyzer, sees it; Python's idea of it differs."""

from __future__ import annotations

_NOT_JAVA_SPACE = frozenset("\u00a0\u2007\u202f\u0085")  # str.isspace, but not java.lang.Character.isWhitespace


def _is_java_space(character: str) -> bool:
    return character.isspace() and character not in _NOT_JAVA_SPACE


def has_white_space(text: str) -> bool:
    """Whether Java's Character.isWhitespace, and so Anserini's whitespace analyzer, finds a place to split."""
    return any(_is_java_space(character) for character in text)


def split_as_java(text: str) -> list[str]:
    """Splits as Anserini's whitespace analyzer does; str.split also splits at no-break spaces."""
    spaced = "".join(" " if _is_java_space(character) else character for character in text)
    return [token for token in spaced.split(" ") if token]
