"""Encodes query texts as {term: impact} to match an index. The encoder also works with Pyserini's searcher."""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from splade_lucene.arguments import to_ordered_list
from splade_lucene.defaults import QUERY_BATCH
from splade_lucene.encoder.encoder import SpladeEncoder
from splade_lucene.encoder.settings import QuerySettings, from_choices
from splade_lucene.encoder.sparse import SparseWeights
from splade_lucene.errors import ModelError, QueryError
from splade_lucene.fork_guard import ProcessBound
from splade_lucene.index.compatibility import leading_manifest
from splade_lucene.index.joined import IndexDirs, to_index_paths
from splade_lucene.index.model import recorded_choices
from splade_lucene.index.reader import read_index_manifest
from splade_lucene.manifest import Manifest
from splade_lucene.models import recommended_quantizer
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.quantizer import Quantizer
from splade_lucene.records import Query, Turn

_log = logging.getLogger(__name__)
_CACHED_QUERIES = 1024

Turns = tuple[Turn, ...]


class SpladeQueryEncoder(ProcessBound):
    """Encodes and quantizes queries.

    It has the ``encode`` method of Pyserini's ``QueryEncoder``, so it can be passed to Pyserini's
    ``LuceneImpactSearcher(index_dir, encoder)``. Recent queries are cached, and concurrent requests from several threads
    are encoded as one batch.

    Args:
        encoder: Computes the weights.
        quantizer: The quantizer; its query side applies.
        cached_queries: Number of queries to cache; 0 for none.
    """

    def __init__(self, encoder: SpladeEncoder, quantizer: Quantizer, *, cached_queries: int = _CACHED_QUERIES) -> None:
        self.encoder, self.quantizer = encoder, quantizer
        self._cached_queries = cached_queries
        self._cache: OrderedDict[Turns, dict[str, int]] = OrderedDict()
        self._waiting: list[_Request] = []
        self._state_lock, self._compute_lock = threading.Lock(), threading.Lock()

    def encode(self, text: str | Mapping[str, int] | Sequence[Turn], **_: Any) -> dict[str, int]:
        """The {term: impact} form of one query, largest impact first.

        Args:
            text: A text; or the turns of a conversation, whose weights are multiplied by their factors and added (arXiv
                2301.04413); or an encoded query, which is returned unchanged.
            _: Pyserini's other arguments, which are ignored.
        """
        return dict(text) if isinstance(text, Mapping) else self.encode_batch([text])[0]

    def encode_batch(self, texts: Iterable[str | Sequence[Turn]]) -> list[dict[str, int]]:
        """The {term: impact} forms of several texts or conversations; an iterator is read to its end.

        Raises:
            QueryError: It is a single text or has no order, or one of its elements is neither a text nor turns.
        """
        keys = [_turns(text) for text in to_ordered_list(texts, "queries", error=QueryError)]
        with self._state_lock:
            found = {key: self._cache[key] for key in keys if key in self._cache}
            for key in found:
                self._cache.move_to_end(key)
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing:
            found.update(zip(missing, self._compute_together(missing), strict=True))
            self._cache_vectors(missing, found)
        return [dict(found[key]) for key in keys]

    def _cache_vectors(self, keys: list[Turns], vectors: Mapping[Turns, dict[str, int]]) -> None:
        with self._state_lock:
            self._cache.update((key, vectors[key]) for key in keys)
            while len(self._cache) > self._cached_queries:
                self._cache.popitem(last=False)

    def _compute_together(self, queries: list[Turns]) -> list[dict[str, int]]:
        """Encodes queries together with those of other threads: the thread that gets the lock encodes all waiting queries."""
        request = _Request(queries)
        with self._state_lock:
            self._waiting.append(request)
        with self._compute_lock:
            if request.vectors is None and request.error is None:
                with self._state_lock:
                    requests, self._waiting = self._waiting, []
                _serve(requests, self._compute)
        if request.error is not None:
            raise request.error
        return request.vectors or []

    def _compute(self, queries: Sequence[Turns]) -> list[dict[str, int]]:
        weights = self.encoder.encode_queries([turn.text for query in queries for turn in query])
        return list(_add_turns(weights, queries).impacts(self.quantizer, "query"))


class TokFreqQueryEncoder:
    """Encodes queries that are written as terms: splits them at white space, and counts each term.

    This is Pyserini's encoder of the same name, the default of its searcher. Use it for queries in which
    each term is repeated impact times, and for indexes whose terms are words.

    Example:
        >>> TokFreqQueryEncoder().encode("heart blood heart")
        {'heart': 2, 'blood': 1}
    """

    def encode(self, text: str, **_: Any) -> dict[str, int]:
        """The {term: impact} form of one query, in the order of the terms."""
        if not isinstance(text, str):
            raise QueryError(f"a query must be a text, got {text!r:.60}")
        return dict(Counter(text.split()))


def _turns(text: str | Sequence[Turn]) -> Turns:
    if isinstance(text, str):
        return (Turn(text),)
    turns = tuple(turn for turn in text if isinstance(turn, Turn)) if isinstance(text, Sequence) else ()
    if turns and len(turns) == len(text):
        return turns
    raise QueryError(f"a query must be a text or a sequence of turns, got {text!r:.60}")


@dataclass
class _Request:
    queries: list[Turns]
    vectors: list[dict[str, int]] | None = None
    error: BaseException | None = None


def _serve(requests: list[_Request], compute: Any) -> None:
    try:
        vectors = compute([query for request in requests for query in request.queries])
    except BaseException as error:  # every waiting thread needs an answer
        if len(requests) == 1 or not isinstance(error, Exception):
            for request in requests:
                request.error = error
        else:  # one thread's bad query must not fail those of others
            for request in requests:
                _serve([request], compute)
        return
    start = 0
    for request in requests:
        request.vectors = vectors[start : start + len(request.queries)]
        start += len(request.queries)


def _add_turns(weights: SparseWeights, queries: Sequence[Turns]) -> SparseWeights:
    """Multiplies the rows of each query's turns by their factors and adds them."""
    if all(len(query) == 1 and query[0].factor == 1 for query in queries):
        return weights
    size = len(weights.terms)
    factors = [turn.factor for query in queries for turn in query]
    owners = [number for number, query in enumerate(queries) for _ in query]
    counts = np.diff(weights.starts)
    keys = np.repeat(np.array(owners, np.int64), counts) * size + weights.term_ids
    unique, positions = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(unique))
    np.add.at(sums, positions, weights.weights * np.repeat(np.array(factors), counts))
    starts = np.searchsorted(unique, np.arange(len(queries) + 1) * size)
    return SparseWeights(starts, (unique % size).astype(np.int32), sums.astype(np.float32), weights.terms)


def open_query_encoder(
    index_dir: IndexDirs, model: str | Path | None = None, queries: QuerySettings = QuerySettings(), *,
    quantizer: Quantizer | None = None, device: str = "auto", trust_remote_code: bool = False,
) -> SpladeQueryEncoder:  # fmt: skip
    """Opens the query encoder that matches an index.

    Args:
        index_dir: The index; its manifest specifies the model, pooling, lengths and quantizer. Of several indexes that are
            searched as one, the first whose manifest names a model; if that has no quantizer, the first that has one.
        model: Another folder or hub name of the same checkpoint, or of its query side; None for the manifest's model.
        queries: Overrides the manifest for queries.
        quantizer: Overrides the manifest's quantizer.
        device: See :class:`SpladeEncoder`.
        trust_remote_code: Likewise.

    Raises:
        QueryError: No model is given, and the index has no manifest that names one.
        ModelError: The manifest's model has changed since it encoded the index.
        InputError: The manifest records encoder settings that this version does not support.
    """
    paths = to_index_paths(index_dir)
    manifests = [(path, manifest) for path in paths if (manifest := read_index_manifest(path)) is not None]
    path, manifest = leading_manifest(manifests) if manifests else (paths[0], None)
    return matching_query_encoder(
        manifest, path, model, queries, quantizer=quantizer, device=device, trust_remote_code=trust_remote_code
    )


def matching_query_encoder(
    manifest: Manifest | None, index_dir: str | Path, model: str | Path | None = None,
    queries: QuerySettings = QuerySettings(), *, quantizer: Quantizer | None = None, device: str = "auto",
    trust_remote_code: bool = False,
) -> SpladeQueryEncoder:  # fmt: skip
    """Opens the query encoder that matches a commit of an index.

    Args:
        manifest: The manifest of the commit; None if it has none.
        index_dir: See :func:`open_query_encoder`, which also says what is raised.
        model: Likewise.
        queries: Likewise.
        quantizer: Likewise.
        device: Likewise.
        trust_remote_code: Likewise.
    """
    if model is None and (manifest is None or not manifest.model):
        raise QueryError(
            f"{index_dir} has no manifest that names its model",
            remedy="Name the model with model=…, or pass encoded queries or, for queries written as terms, a "
            "TokFreqQueryEncoder",
        )
    manifest = manifest or Manifest()
    rule = quantizer or manifest.quantizer or recommended_quantizer(str(model or manifest.model))
    documents, recorded = from_choices(recorded_choices(manifest, index_dir))
    if model is not None:
        recorded = replace(recorded, model=None)
    encoder = SpladeEncoder(
        model or manifest.model,
        documents,
        queries.with_defaults(recorded),
        device=device,
        trust_remote_code=trust_remote_code,
    )
    expected = manifest.query_digest or manifest.model_digest
    if expected and encoder.query_digest() != expected:
        if model is None:
            raise ModelError(
                f"{manifest.model} is no longer the model with which {index_dir} was encoded. "
                "Name the right one with model=…, or encode the corpus again."
            )
        _log.warning("%s was encoded with another model (%s) than the given one", index_dir, manifest.model)
    return SpladeQueryEncoder(encoder, rule)


def encode_topics(
    queries: Iterable[Query], query_encoder: SpladeQueryEncoder, progress: Progress = NO_PROGRESS
) -> list[Query]:
    """Encodes queries, for :func:`splade_lucene.write_encoded_topics`.

    Args:
        queries: Texts or conversations; an iterator is read to its end.
        query_encoder: The encoder.
        progress: Follows the work.

    Returns:
        The queries with their vectors, in the same order; a query that encodes to no terms has an empty one.
    """
    queries = to_ordered_list(queries, "queries", error=QueryError)
    for query in queries:
        if not isinstance(query, Query):
            raise QueryError(f"expected Query objects, got {query!r:.60}", remedy="Read them with read_topics(path)")
    encoded: list[Query] = []
    with progress.step("encoding", len(queries), "queries") as advance:
        for start in range(0, len(queries), QUERY_BATCH):
            batch = queries[start : start + QUERY_BATCH]
            vectors = query_encoder.encode_batch([query.turns or query.text for query in batch])
            encoded += [Query(each.qid, each.text, vector) for each, vector in zip(batch, vectors, strict=True)]
            advance(len(batch))
    return encoded
