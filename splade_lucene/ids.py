"""Docids and qids: what may be one, and the order of documents whose scores are equal."""

from __future__ import annotations

from splade_lucene.records import well_formed

MAX_ID_BYTES = 32_766  # Lucene's longest term


def is_id(value: object) -> bool:
    """Whether a value serves as docid or qid: a string or integer that fits a column of a run file, and an index."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    text = str(value)
    is_well_formed = bool(text) and not has_space_or_control(text) and well_formed(text) == text
    return is_well_formed and len(text.encode()) <= MAX_ID_BYTES


def has_space_or_control(text: str) -> bool:
    """Whether an id would break the columns of a run file: white space of any kind, or a control character."""
    return any(character.isspace() or character < " " or character == "\x7f" for character in text)
