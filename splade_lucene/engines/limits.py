"""Limits within which engines store impacts exactly, and the remedy for documents beyond them."""

from __future__ import annotations

import math

from splade_lucene.engines.collection import Collection
from splade_lucene.errors import InputError

EXACT_IN_FLOAT32 = 2**24
"""Integers up to this are exact in single precision."""

MAX_COUNTED = 65_536
"""The largest impact that :attr:`Collection.max_impact` tells from larger ones; see :class:`Collection`."""


def check_impacts(collection: Collection, limit: int, engine: str, reason: str) -> None:
    """Refuses documents with an impact that an engine does not hold exactly.

    Args:
        collection: The documents.
        limit: The largest impact that it holds exactly.
        engine: The engine's name, for messages.
        reason: Why, as a clause.

    Raises:
        InputError: Names the first document beyond the limit, and how to encode the corpus instead.
    """
    is_below = collection.max_impact <= limit and collection.max_impact < MAX_COUNTED
    if is_below or (place := collection.first_above(limit)) is None:
        return
    raise InputError(
        f"the document {place.docid!r:.200} has the impact {place.impact:,} of the term {place.term!r:.80}, and "
        f"{engine} holds at most {limit:,} exactly: {reason}",
        path=place.path, line=place.line, remedy=_remedy(collection, limit, max(place.impact, collection.max_impact)),
    )  # fmt: skip


def _remedy(collection: Collection, limit: int, largest: int) -> str:
    manifest = collection.manifest
    rule = manifest.quantizer if manifest is not None else None
    if rule is None:
        return f"Quantize the weights with a scale that gives impacts up to {limit:,}"
    scale = math.floor(rule.document.scale * limit / largest * 100) / 100
    return (
        f"Encode the corpus again with a smaller scale, such as quantizer={rule.name} and scale={scale:g} "
        f"(now {rule.document.scale:g}), or leave out the terms of the smallest weights instead of scaling"
    )
