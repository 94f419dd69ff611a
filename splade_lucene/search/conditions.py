"""Turns filters into conditions for Java."""

from __future__ import annotations

from collections.abc import Mapping

from splade_lucene.fields.conditions import (
    Condition,
    DateRange,
    Every,
    FieldCondition,
    IntegerRange,
    KeywordPrefix,
    KeywordRange,
    Keywords,
    Negated,
    Nothing,
    NumberRange,
    Present,
    Some,
    Truth,
    to_condition,
)
from splade_lucene.fields.expression import Filter
from splade_lucene.fields.values import FieldType
from splade_lucene.jvm import wire


def pack_filter(part: Filter, types: Mapping[str, FieldType]) -> bytes:
    """The condition for Java.

    Args:
        part: The filter.
        types: The fields of the index and their types.

    Raises:
        QueryError: A field is unknown, or its type does not allow the comparison.
    """
    return _packed(to_condition(part, types))


def _packed(part: Condition) -> bytes:
    match part:
        case Every():
            return wire.pack_all([*map(_packed, part.parts)])
        case Some():
            return wire.pack_any([*map(_packed, part.parts)])
        case Negated():
            return wire.pack_not(_packed(part.part))
        case Nothing():
            return wire.pack_nothing()
        case _:
            return _packed_leaf(part)


def _packed_leaf(part: FieldCondition) -> bytes:
    match part:
        case Present():
            return wire.pack_exists(part.field, is_keyword=part.kind.startswith("keyword"))
        case Keywords():
            return wire.pack_keywords(part.field, part.keywords)
        case KeywordRange():
            bounds = [None if each is None else each.encode() for each in (part.first, part.end)]
            return wire.pack_keyword_range(part.field, *bounds)
        case KeywordPrefix():
            first = part.prefix.encode()
            end = first[:-1] + bytes([first[-1] + 1]) if first else None
            return wire.pack_keyword_range(part.field, first, end)
        case IntegerRange() | DateRange():
            return wire.pack_long_range(part.field, part.first, part.last)
        case NumberRange():
            return wire.pack_long_range(part.field, *map(wire.double_as_long, (part.first, part.last)))
        case Truth():
            return wire.pack_long_range(part.field, int(part.value), int(part.value))
