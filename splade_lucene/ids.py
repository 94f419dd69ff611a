"""Docids and qids: validity, and the order of documents with equal scores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path

from splade_lucene.errors import InputError
from splade_lucene.records import well_formed

MAX_ID_BYTES = 32_766
"""The maximum length of a Lucene term, in bytes."""

_SPACE_OR_CONTROL = re.compile(r"[\s\x00-\x1f\x7f]")


def is_id(value: object) -> bool:
    """Whether a value is a valid docid or qid: a string or integer that fits in an index and in a column of a run file."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    text = str(value)
    is_well_formed = bool(text) and not has_space_or_control(text) and well_formed(text) == text
    return is_well_formed and len(text.encode()) <= MAX_ID_BYTES


def check_id(
    value: object,
    *,
    noun: str = "id",
    error: type[InputError] = InputError,
    path: str | Path | None = None,
    line: int | None = None,
) -> str:
    """A valid docid or qid as a string; see :func:`is_id`.

    Args:
        value: The docid or qid.
        noun: What the message calls it.
        error: The class of the error.
        path: The file from which it comes.
        line: Its line.

    Raises:
        InputError: It is not valid; of the given class.
    """
    if not is_id(value):
        raise error(
            f"the {noun} {value!r:.200} is not valid; expected a string or integer of 1 to {MAX_ID_BYTES:,} bytes in UTF-8, "
            "without white space or control characters", path=path, line=line,
            remedy=f"Change the {noun}; run files are split at white space",
        )  # fmt: skip
    return str(value)


def check_qid(
    value: object,
    *,
    error: type[InputError] = InputError,
    path: str | Path | None = None,
    line: int | None = None,
) -> str:
    """A valid qid as a string. It may be the first word of a file, so it must not begin with a byte order mark.

    Args:
        value: The qid.
        error: The class of the error.
        path: The file from which it comes.
        line: Its line.

    Raises:
        InputError: It is not valid, or begins with a byte order mark; of the given class.
    """
    qid = check_id(value, noun="qid", error=error, path=path, line=line)
    if qid.startswith("\ufeff"):
        raise error(
            f"the qid {qid!r:.200} begins with a byte order mark", path=path, line=line,
            remedy="Remove the mark; readers skip it at the start of a file",
        )  # fmt: skip
    return qid


def id_text(value: object) -> str | None:
    """A docid or qid as a string: integers, NumPy's included, in decimal; None for anything but integers and valid strings.

    A string with an unpaired surrogate is not valid: no file can hold it.

    Example:
        >>> id_text("07"), id_text(7), id_text(7.0), id_text(True)
        ('07', '7', None, None)
    """
    if isinstance(value, str):
        return str(value) if value.isascii() or well_formed(value) == value else None
    return str(int(value)) if isinstance(value, Integral) and not isinstance(value, bool) else None


def has_space_or_control(text: str) -> bool:
    """Whether an id contains white space or control characters, which would break the columns of a run file."""
    return _SPACE_OR_CONTROL.search(text) is not None


def docid_order(docid: str) -> bytes:
    """The sort key of docids: their UTF-8 bytes, as Lucene sorts terms."""
    return docid.encode()


def hit_order(docid: str, score: float) -> tuple[float, bytes]:
    """The sort key of hits: score descending, then docid ascending."""
    return -score, docid_order(docid)


def best_first(scores: Mapping[str, float], k: int | None = None) -> list[tuple[str, float]]:
    """The top k hits in the order of our searchers: score descending, then docid ascending.

    Args:
        scores: Docid → score.
        k: Number of hits to keep; None for all.
    """
    return sorted(scores.items(), key=lambda hit: hit_order(*hit))[:k]
