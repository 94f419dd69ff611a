"""Stored documents as Anserini's servers show them (``io.anserini.cli.CliUtils.formatDocument``)."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from splade_lucene.files.json_text import parse_json

_IDS = ("id", "_id", "docid")


def format_document(raw: str | None, *, parse: bool) -> Any:
    """A stored document.

    Args:
        raw: What is stored; None for nothing.
        parse: Whether to parse it.

    Returns:
        What is stored, as it is, unless it is parsed. Of a JSON object all but the id; if only one member is left, that
        alone. Numbers and the like are texts, as Java writes them.
    """
    if raw is None or not parse:
        return raw
    try:
        value = parse_json(raw, object_pairs_hook=dict)
    except ValueError:
        return raw
    if not isinstance(value, dict):
        return value
    shown = {name: _text(each) for name, each in value.items() if name not in _IDS}
    return next(iter(shown.values())) if len(shown) == 1 else shown


def _text(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return java_double(value)
    return str(value) if isinstance(value, int) else value


def java_double(value: float) -> str:
    """A double as Java's ``Double.toString`` writes it.

    Example:
        >>> java_double(0.25), java_double(1e7), java_double(1.5e-4)
        ('0.25', '1.0E7', '1.5E-4')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, _ = Decimal(repr(value)).normalize().as_tuple()
    exponent = Decimal(repr(value)).adjusted()
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"{'-' if sign else ''}{digits[0]}.{fraction}E{exponent}"
