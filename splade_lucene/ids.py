"""Docids and qids: what may be one, and how documents with equal scores are ordered."""

from __future__ import annotations

from collections.abc import Mapping

from splade_lucene.records import well_formed

MAX_ID_BYTES = 32_766
"""Lucene's longest term."""


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


def docid_order(docid: str) -> bytes:
    """The key by which docids are sorted: their UTF-8 bytes, as Lucene sorts terms."""
    return docid.encode()


def best_first(scores: Mapping[str, float], k: int | None = None) -> list[tuple[str, float]]:
    """The best k hits in the order of our searchers: score descending, then docid ascending.

    Args:
        scores: Docid → score.
        k: Hits to keep; None: all.
    """
    return sorted(scores.items(), key=lambda hit: (-hit[1], docid_order(hit[0])))[:k]
