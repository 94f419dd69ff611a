"""Searches other engines with the signatures of our searcher, and gives the same hits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from splade_lucene.arguments import to_list, to_ordered_list
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.engines.index_metadata import IndexMetadata
from splade_lucene.engines.limits import EXACT_IN_FLOAT32
from splade_lucene.engines.names import DEFAULT_NAME, SearchedEngine
from splade_lucene.engines.opening import open_searched
from splade_lucene.errors import EngineError, QueryError
from splade_lucene.fields.conditions import Condition, to_condition
from splade_lucene.fields.expression import Filter
from splade_lucene.fields.grammar import parse_filter
from splade_lucene.fields.values import most_frequent_first
from splade_lucene.index.texts import stored_json
from splade_lucene.manifest import Manifest
from splade_lucene.records import FieldValue, Vector
from splade_lucene.search.checks import check_batch, check_k
from splade_lucene.search.hits import Hits, StoredDocument
from splade_lucene.search.queries import (
    QueryEncoder,
    Text,
    check_encoder,
    check_no_fields,
    encode_queries,
    quantize_query,
)
from splade_lucene.search.query_encoder import matching_query_encoder


class EngineSearcher:
    """Exact search over an index of another engine that was loaded from an export.

    The hits are those of :class:`splade_lucene.LuceneImpactSearcher` on the exported index: the same documents, scores and
    order, with and without a filter. The ``lucene_docid`` of a hit is only its place in the ranking, from 0, because the
    engine does not return its own. Its text and fields are read from the engine when they are asked for. Each ranking reads one
    state of the index; later writes are visible to the next search. It is thread-safe.

    Args:
        url: The URL of the engine, or of each of its nodes. Credentials come from the environment; see
            :mod:`splade_lucene.engines.client`. For Qdrant, also the folder of its client's local mode.
        name: The engine's index, or an alias of one; for Qdrant its collection.
        query_encoder: Turns text into {term: impact}, as for :class:`splade_lucene.LuceneImpactSearcher`. Default: the model
            with which the documents were encoded.
        engine: The engine.
        patience: Seconds for which a search is retried while the engine is busy or cannot be reached.

    Attributes:
        name: The engine's index.
        metadata: The metadata of the index: its terms, fields and encoding.

    Raises:
        EngineError: The engine cannot be reached, has no such index, or it was not made from an export.
        MissingDependencyError: The engine's client is not installed.
    """

    def __init__(
        self, url: str | Iterable[str], name: str = DEFAULT_NAME, query_encoder: QueryEncoder | str | Path | None = None, *,
        engine: SearchedEngine = "opensearch", patience: float = 60.0,
    ) -> None:  # fmt: skip
        check_encoder(query_encoder)
        self.name, self._given_encoder = name, query_encoder
        self._index = open_searched(engine, url, name, patience)
        self.metadata: IndexMetadata = self._index.metadata
        self._keys = {term: str(term_id) for term_id, term in enumerate(self.metadata.terms)}

    @property
    def manifest(self) -> Manifest | None:
        """How the documents were encoded; None if it is unknown."""
        return self.metadata.encoding

    @property
    def num_docs(self) -> int:
        """The number of documents, after the engine's last refresh."""
        return self._index.count()

    @property
    def query_encoder(self) -> QueryEncoder:
        """The encoder of text queries, loaded on first use.

        Raises:
            QueryError: No encoder was given, and the index does not name its model.
        """
        if self._given_encoder is None or isinstance(self._given_encoder, str | Path):
            self._given_encoder = matching_query_encoder(self.manifest, self.name, self._given_encoder)
        return self._given_encoder

    @query_encoder.setter
    def query_encoder(self, encoder: QueryEncoder) -> None:
        self._given_encoder = encoder

    def encode(self, q: Text | Vector) -> dict[str, int]:
        """The {term: impact} form of a query; see :meth:`splade_lucene.LuceneImpactSearcher.encode`."""
        return self.encode_batch([q])[0]

    def encode_batch(self, queries: Iterable[Text | Vector]) -> list[dict[str, int]]:
        """The {term: impact} forms of several queries."""
        return encode_queries(to_ordered_list(queries, "queries", error=QueryError), lambda: self.query_encoder)

    def quantize(self, weights: Mapping[str, float]) -> dict[str, int]:
        """The impacts of a query's weights; see :meth:`splade_lucene.LuceneImpactSearcher.quantize`."""
        return quantize_query(weights, self.manifest, self.name)

    def search(
        self, q: Text | Vector, k: int = HITS_SHOWN, fields: Mapping[str, float] | None = None, *,
        filter: Filter | str | None = None,
    ) -> Hits:  # fmt: skip
        """Searches for one query.

        Args:
            q: A text, the turns of a conversation, or {term: impact}; unknown terms have no effect.
            k: Maximum number of hits, at least 1.
            fields: For compatibility with Pyserini; must be None or empty.
            filter: Restricts the hits: a condition on the fields of documents, such as ``'lang = "de" and year >= 2019'``, or
                one made with :class:`splade_lucene.where`.

        Returns:
            Hits, sorted by score descending, then by the bytes of the docid ascending.

        Raises:
            QueryError: The query or the filter is wrong, the engine cannot compute the filter, or the scores are too large for
                it to be exact.
            EngineError: The engine cannot be reached, or a part of the index is missing.
        """
        return self.batch_search([q], ["q"], k, 1, fields, filter=filter)["q"]

    def batch_search(
        self, queries: Iterable[Text | Vector], qids: Iterable[str], k: int = HITS_SHOWN, threads: int = 1,
        fields: Mapping[str, float] | None = None, *, filter: Filter | str | None = None,
    ) -> dict[str, Hits]:  # fmt: skip
        """Searches for many queries, several at a time.

        Args:
            queries: Texts, conversations or {term: impact} mappings.
            qids: Their unique ids.
            k: Maximum number of hits per query.
            threads: Number of searches at a time.
            fields: See :meth:`search`, which also says what is raised.
            filter: Likewise.

        Returns:
            qid → hits, in the order of ``qids``.
        """
        check_no_fields(fields)
        queries, qids = check_batch(queries, qids, threads)
        k, condition, vectors = check_k(k), self._condition(filter), self.encode_batch(queries)
        if threads == 1 or len(vectors) < 2:
            found = [self._search(vector, k, condition) for vector in vectors]
        else:
            with ThreadPoolExecutor(min(threads, len(vectors))) as pool:
                found = list(pool.map(lambda vector: self._search(vector, k, condition), vectors))
        return dict(zip(qids, found, strict=True))

    def _condition(self, filter: Filter | str | None) -> Condition | None:
        if filter is None:
            return None
        if not isinstance(filter, Filter | str):
            raise QueryError(
                f"{self._index.title} supports only filters on fields, got {type(filter).__name__}",
                remedy="Pass a condition on the fields of documents, such as 'year >= 2019'",
            )
        return to_condition(parse_filter(filter) if isinstance(filter, str) else filter, self.metadata.fields)

    def _search(self, vector: Mapping[str, int], k: int, condition: Condition | None) -> Hits:
        weights = {name: weight for term, weight in vector.items() if (name := self._key(term)) is not None}
        rows = self._index.search(weights, k, condition) if weights else []
        scores = np.array([score for score, _ in rows], dtype=np.float64)
        self._check_scores(scores)
        docids = [docid for _, docid in rows]
        return Hits(docids, scores.astype(np.int64), np.arange(len(docids), dtype=np.int32), _Documents(self, docids))

    def _key(self, term: str) -> str | None:
        return term if self.metadata.keys == "terms" else self._keys.get(term)

    def _check_scores(self, scores: Any) -> None:
        """Refuses scores that the engine may have rounded.

        Raises:
            QueryError: The largest is not exact in single precision.
            EngineError: One is not an integer.
        """
        if len(scores) and scores[0] >= EXACT_IN_FLOAT32:
            raise QueryError(
                f"a hit has the score {scores[0]:,.0f}, but {self._index.title} rounds scores from {EXACT_IN_FLOAT32:,} on",
                remedy="Quantize the query with a smaller scale, or search the index itself",
            )
        if (scores != np.floor(scores)).any():
            raise EngineError(
                f"{self._index.title} returns scores that are not integers: something else has written to the index "
                f"{self.name}. Load it again."
            )

    def doc(self, docid: str) -> StoredDocument | None:
        """The stored document with a docid; None if there is none."""
        if not isinstance(docid, str):
            raise QueryError(f"expected a docid (a string), got {docid!r:.80}")
        found = self.sources([docid])[0]
        return None if found is None else StoredDocument(docid, 0, _raw(docid, found))

    def sources(self, docids: Iterable[str]) -> list[dict[str, Any] | None]:
        """The stored ``docid``, ``text`` and ``fields`` of documents; None for unknown documents."""
        return self._index.sources(to_ordered_list(docids, "docids"))

    def close(self) -> None:
        """Closes the connections."""
        self._index.close()

    def __enter__(self) -> EngineSearcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _raw(docid: str, source: Mapping[str, Any]) -> str | None:
    return stored_json(docid, source["text"]) if "text" in source else None


class _Documents:
    """What the engine stores of the hits of one search; see :class:`splade_lucene.search.hits.StoredFields`."""

    def __init__(self, searcher: EngineSearcher, docids: Sequence[str]) -> None:
        self._searcher, self._docids = searcher, docids

    def _sources(self, positions: Iterable[int]) -> list[tuple[str, dict[str, Any]]]:
        docids = [self._docids[each] for each in to_list(positions, "lucene_docids")]
        sources = self._searcher.sources(docids)
        return [(docid, source or {}) for docid, source in zip(docids, sources, strict=True)]

    def raw(self, lucene_docids: Iterable[int]) -> list[str | None]:
        """The text of each hit as JSON; None for a hit without one."""
        return [_raw(docid, source) for docid, source in self._sources(lucene_docids)]

    def field_values(
        self, lucene_docids: Iterable[int], names: Iterable[str] | None = None
    ) -> list[dict[str, FieldValue]]:
        """The values of each hit's fields, by name; those of some fields, or of all."""
        types = self._searcher.metadata.fields
        wanted = [*types] if names is None else to_list(names, "names")
        for name in wanted:
            self._check(name)
        return [
            {name: source["fields"][name] for name in wanted if name in source.get("fields", {})}
            for _, source in self._sources(lucene_docids)
        ]

    def keyword_counts(self, lucene_docids: Iterable[int], name: str) -> dict[str, int]:
        """In how many of the hits each keyword of a field occurs, the most frequent first."""
        self._check(name)
        kind = self._searcher.metadata.fields[name]
        if not kind.startswith("keyword"):
            raise QueryError(
                f"the field {name!r} is of the type {kind}, and only keywords are counted",
                remedy="Name a field of keywords",
            )
        counts: Counter[str] = Counter()
        for values in self.field_values(lucene_docids, [name]):
            value = values.get(name, [])
            counts.update({str(each) for each in value} if isinstance(value, list) else {str(value)})
        return most_frequent_first(counts)

    def _check(self, name: str) -> None:
        if name not in self._searcher.metadata.fields:
            known = ", ".join(self._searcher.metadata.fields) or "none"
            raise QueryError(f"the index has no field {name!r:.80}", remedy=f"Its fields are: {known}")
