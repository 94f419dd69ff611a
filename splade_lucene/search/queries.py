"""The forms of queries that searchers take, and their conversion to {term: impact}."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np

from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import QueryError
from splade_lucene.manifest import Manifest
from splade_lucene.records import Turn, Vector, well_formed
from splade_lucene.white_space import is_blank

Text = str | Sequence[Turn]
"""An unencoded query: a text, or the turns of a conversation, whose weights are added."""


class QueryEncoder(Protocol):
    """Any object that turns a text into {term: impact}, such as Pyserini's query encoders or ours."""

    def encode(self, text: Any) -> Mapping[str, int]:
        """Encodes one query."""
        ...


def encode_query(q: Text | Vector, encoder: Callable[[], QueryEncoder]) -> dict[str, int]:
    """The {term: impact} form of a query: encodes a text or the turns of a conversation, and validates a mapping.

    Args:
        q: The query.
        encoder: Returns the encoder; called only for a text that is not blank.

    Raises:
        QueryError: An impact is negative, too large, or not an integer.
    """
    vector = q if not _is_text(q) else {} if _is_blank(q) else encoder().encode(q)
    if not isinstance(vector, Mapping):
        raise QueryError(
            f"a query must be a text, a sequence of turns, or a mapping of terms to impacts, got {type(vector).__name__}"
        )
    if _is_plain(vector):
        return dict(vector)
    return {term: int(impact) for term, impact in vector.items() if _checked(term, impact)}


def encode_queries(queries: Sequence[Text | Vector], encoder: Callable[[], QueryEncoder]) -> list[dict[str, int]]:
    """The {term: impact} forms of several queries, of which the texts are encoded together if the encoder can do so.

    Args:
        queries: The queries.
        encoder: See :func:`encode_query`, which also says what is raised.
    """
    texts = [q for q in queries if _is_text(q) and not _is_blank(q)]
    encode_batch = getattr(encoder(), "encode_batch", None) if texts else None
    if encode_batch is None:
        return [encode_query(q, encoder) for q in queries]
    encoded = iter(encode_batch(texts))
    return [encode_query(next(encoded) if _is_text(q) and not _is_blank(q) else q, encoder) for q in queries]


def quantize_query(weights: Mapping[str, float], manifest: Manifest | None, index: object) -> dict[str, int]:
    """The impacts of a query's weights, by the rule with which an index was made.

    Args:
        weights: Term → weight; each finite and at least 0.
        manifest: The index's manifest; None if it has none.
        index: The index, for messages.

    Raises:
        QueryError: There is no manifest that records a rule.
        InputError: A weight is negative or not finite.
    """
    if manifest is None or manifest.quantizer is None:
        raise QueryError(
            f"{index}: no manifest records a quantizer",
            remedy='Name the rule: Quantizer.named("naver").quantize_vector(weights, "query")',
        )
    return manifest.quantizer.quantize_vector(weights, "query")


def queries_at_once(depth: int, hits: int = 1 << 22) -> int:
    """How many queries to search for before their hits are returned: few enough to bound memory and to notice Ctrl-C.

    Args:
        depth: The number of hits that a query can have.
        hits: The number of hits of all of them together.
    """
    return max(1, min(256, hits // max(1, depth)))


def check_encoder(query_encoder: object) -> None:
    """Checks the argument of a searcher for its encoder.

    Raises:
        QueryError: It is none.
    """
    if not (query_encoder is None or isinstance(query_encoder, str | Path) or hasattr(query_encoder, "encode")):
        raise QueryError(
            f"expected a query encoder, got {query_encoder!r:.60}",
            remedy="Pass an object with the method encode(text), the folder or name of a checkpoint, or None",
        )


def check_no_fields(fields: Mapping[str, float] | None) -> None:
    """Checks the argument ``fields`` of a search, which Pyserini has for other indexes.

    Raises:
        QueryError: It names fields.
    """
    if fields:
        raise QueryError(
            f"an impact index has a single field, so fields must be empty, got {fields!r:.80}",
            remedy="Pass a condition on the fields of documents as filter=…",
        )


def _is_text(q: object) -> TypeGuard[Text]:
    return isinstance(q, str) or (isinstance(q, Sequence) and len(q) > 0 and all(isinstance(turn, Turn) for turn in q))


def _is_blank(q: Text) -> bool:
    return is_blank(q) if isinstance(q, str) else all(is_blank(turn.text) for turn in q)


def _is_plain(vector: Mapping[str, int]) -> bool:
    """Whether a query needs no further checks, which can take longer than the search: ASCII terms, impacts of at least 1."""
    impacts = vector.values()
    return (
        {*map(type, vector)} == {str}
        and {*map(type, impacts)} == {int}
        and min(impacts) > 0
        and max(impacts) <= MAX_IMPACT
        and "".join(vector).isascii()
    )


def _checked(term: object, impact: object) -> bool:
    """Validates a query term; returns whether its impact is not 0."""
    if not isinstance(term, str):
        raise QueryError(f"query terms must be strings, got {term!r}")
    if well_formed(term) != term:
        raise QueryError(f"the query term {term!a} contains an unpaired surrogate", remedy="Fix the text of the query")
    if isinstance(impact, bool) or not isinstance(impact, int | np.integer):
        raise QueryError(
            f"query term {term!r} has impact {impact!r}, which is not an integer",
            remedy="Quantize the weights first: searcher.quantize({term: weight, …})",
        )
    if not 0 <= impact <= MAX_IMPACT:
        raise QueryError(f"query term {term!r} has impact {impact}", remedy=f"Use integers from 0 to {MAX_IMPACT}")
    return bool(impact > 0)
