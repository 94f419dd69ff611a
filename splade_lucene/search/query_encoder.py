"""Text → {term: impact}, matched to an index. The object is also a query encoder for Pyserini's own searcher."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from splade_lucene.encoder.encoder import SpladeEncoder
from splade_lucene.encoder.layout import Choices
from splade_lucene.encoder.settings import QuerySettings, from_choices
from splade_lucene.encoder.sparse import SparseWeights
from splade_lucene.errors import ModelError, QueryError
from splade_lucene.index.reader import read_index_manifest
from splade_lucene.manifest import Manifest
from splade_lucene.models import recommended_rule
from splade_lucene.quantizer import Quantizer
from splade_lucene.records import Turn

_log = logging.getLogger(__name__)
_CACHED_QUERIES = 1024

Turns = tuple[Turn, ...]


class SpladeQueryEncoder:
    """Encodes and quantizes queries.

    It has the ``encode`` method of Pyserini's ``QueryEncoder``, so ``pyserini``'s ``LuceneImpactSearcher(index_dir,
    encoder)`` takes it as it is. Recent queries are remembered; what several threads ask for at once is computed as one
    batch.

    Args:
        encoder: What computes the weights.
        quantizer: The rule; its query half applies.
        cached_queries: Queries to remember; 0 for none.
    """

    def __init__(self, encoder: SpladeEncoder, quantizer: Quantizer, *, cached_queries: int = _CACHED_QUERIES) -> None:
        self.encoder, self.quantizer = encoder, quantizer
        self._cached_queries = cached_queries
        self._cache: OrderedDict[Turns, dict[str, int]] = OrderedDict()
        self._waiting: list[_Request] = []
        self._bookkeeping, self._computing = threading.Lock(), threading.Lock()

    def encode(self, text: str | Mapping[str, int] | Sequence[Turn], **_: Any) -> dict[str, int]:
        """The {term: impact} form of one query, largest impact first.

        Args:
            text: A text; or the turns of a conversation, whose weights are added, each times its factor (arXiv
                2301.04413); or a mapping, which passes through unchanged, for queries that come encoded.
            _: Pyserini's further arguments are ignored.
        """
        return dict(text) if isinstance(text, Mapping) else self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str | Sequence[Turn]]) -> list[dict[str, int]]:
        """The {term: impact} forms of several queries, texts or conversations."""
        keys = [_turns(text) for text in texts]
        with self._bookkeeping:
            found = {key: self._cache[key] for key in keys if key in self._cache}
            for key in found:
                self._cache.move_to_end(key)
        wanted = [key for key in dict.fromkeys(keys) if key not in found]
        if wanted:
            found.update(zip(wanted, self._compute_together(wanted), strict=True))
            self._remember(wanted, found)
        return [dict(found[key]) for key in keys]

    def _remember(self, keys: list[Turns], vectors: Mapping[Turns, dict[str, int]]) -> None:
        with self._bookkeeping:
            self._cache.update((key, vectors[key]) for key in keys)
            while len(self._cache) > self._cached_queries:
                self._cache.popitem(last=False)

    def _compute_together(self, queries: list[Turns]) -> list[dict[str, int]]:
        """Computes queries along with those of other threads: whoever comes to compute takes all that wait."""
        request = _Request(queries)
        with self._bookkeeping:
            self._waiting.append(request)
        with self._computing:
            if request.vectors is None and request.error is None:
                with self._bookkeeping:
                    requests, self._waiting = self._waiting, []
                _serve(requests, self._compute)
        if request.error is not None:
            raise request.error
        return request.vectors or []

    def _compute(self, queries: Sequence[Turns]) -> list[dict[str, int]]:
        weights = self.encoder.encode_queries([turn.text for query in queries for turn in query])
        return list(_add_turns(weights, queries).impacts(self.quantizer, "query"))


def _turns(text: str | Sequence[Turn]) -> Turns:
    if isinstance(text, str):
        return (Turn(text),)
    turns = tuple(turn for turn in text if isinstance(turn, Turn)) if isinstance(text, Sequence) else ()
    if turns and len(turns) == len(text):
        return turns
    raise QueryError(f"a query is a text or a sequence of turns, got {text!r:.60}")


@dataclass
class _Request:
    queries: list[Turns]
    vectors: list[dict[str, int]] | None = None
    error: BaseException | None = None


def _serve(requests: list[_Request], compute: Any) -> None:
    try:
        vectors = compute([query for request in requests for query in request.queries])
    except BaseException as error:  # each thread that waits is to have an answer
        if len(requests) == 1 or not isinstance(error, Exception):
            for request in requests:
                request.error = error
        else:  # the other threads' queries are not at fault
            for request in requests:
                _serve([request], compute)
        return
    start = 0
    for request in requests:
        request.vectors = vectors[start : start + len(request.queries)]
        start += len(request.queries)


def _add_turns(weights: SparseWeights, queries: Sequence[Turns]) -> SparseWeights:
    """Adds the rows of each query's turns, each times its factor."""
    if all(len(query) == 1 and query[0].factor == 1 for query in queries):
        return weights
    size = len(weights.terms)
    factors = [turn.factor for query in queries for turn in query]
    owners = [number for number, query in enumerate(queries) for _ in query]
    counts = np.diff(weights.starts)
    keys = np.repeat(np.array(owners, np.int64), counts) * size + weights.term_ids
    unique, places = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(unique))
    np.add.at(sums, places, weights.weights * np.repeat(np.array(factors), counts))
    starts = np.searchsorted(unique, np.arange(len(queries) + 1) * size)
    return SparseWeights(starts, (unique % size).astype(np.int32), sums.astype(np.float32), weights.terms)


def open_query_encoder(
    index_dir: str | Path, model: str | Path | None = None, queries: QuerySettings = QuerySettings(), *,
    quantizer: Quantizer | None = None, device: str = "auto", trust_remote_code: bool = False,
) -> SpladeQueryEncoder:  # fmt: skip
    """The query encoder that matches an index.

    Args:
        index_dir: The index; its manifest says model, pooling, lengths and quantizer.
        model: Another folder or hub name of the same checkpoint (or of its query half); None for the manifest's.
        queries: What overrides the manifest for queries.
        quantizer: Another rule than the manifest's.
        device: As for :class:`SpladeEncoder`.
        trust_remote_code: Likewise.

    Raises:
        QueryError: Neither the caller nor the index says which model to use.
        ModelError: The model of the manifest's name is not the one that encoded the index.
    """
    manifest = read_index_manifest(Path(index_dir))
    if model is None and (manifest is None or not manifest.model):
        raise QueryError(
            f"{index_dir} does not say which model encoded it",
            remedy="Name the model with model=…, or give encoded queries",
        )
    manifest = manifest or Manifest()
    rule = quantizer or manifest.quantizer or Quantizer.named(recommended_rule(str(model or manifest.model)))
    documents, recorded = from_choices(manifest_choices(manifest))
    if model is not None:
        recorded = replace(recorded, model=None)
    encoder = SpladeEncoder(
        model or manifest.model, documents, queries.over(recorded), device=device, trust_remote_code=trust_remote_code
    )
    expected = manifest.query_digest or manifest.model_digest
    if expected and encoder.query_digest() != expected:
        if model is None:
            raise ModelError(
                f"{index_dir} was encoded with another model than the one that is now at {manifest.model}. "
                "Name the right one with model=…, or encode again."
            )
        _log.warning("%s was encoded with another model (%s) than the one given", index_dir, manifest.model)
    return SpladeQueryEncoder(encoder, rule)


def manifest_choices(manifest: Manifest) -> Choices:
    """How the encoder that a manifest describes was set."""
    known = {each.name for each in fields(Choices)}
    choices = Choices(**{key: value for key, value in manifest.choices.items() if key in known})
    if not manifest.choices and manifest.pooling in ("max", "sum"):
        choices = Choices(pooling=manifest.pooling, queries="model", query_max_length=manifest.query_max_length or None)  # type: ignore[arg-type]
    return choices
