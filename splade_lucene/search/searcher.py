"""Searches an impact index, with the signatures of Pyserini's ``LuceneImpactSearcher``.

The score of a document is an integer: the sum over terms of query impact times document impact. Hits are sorted by score
descending, then by the bytes of the docid ascending, including ties at the k-th place.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from splade_lucene import jvm
from splade_lucene.arguments import to_list, to_ordered_list
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.errors import QueryError
from splade_lucene.fields.expression import Filter
from splade_lucene.fields.grammar import parse_filter
from splade_lucene.fork_guard import ProcessBound
from splade_lucene.index.accelerator import accelerator_folders, missing_accelerators
from splade_lucene.index.joined import Duplicates, IndexDirs, open_indexes
from splade_lucene.index.reader import LuceneImpactIndexReader, unpack_counts
from splade_lucene.jvm import wire
from splade_lucene.records import Contribution, Vector, shared_terms, well_formed
from splade_lucene.search.approximation import Approximation
from splade_lucene.search.cancellation import java_cancellation
from splade_lucene.search.checks import Engine, check_batch, check_k, check_settings
from splade_lucene.search.conditions import pack_filter
from splade_lucene.search.document_methods import DocumentMethods
from splade_lucene.search.hits import Hits, StoredDocument, find_document
from splade_lucene.search.hybrid_methods import HybridMethods
from splade_lucene.search.pyserini_methods import PyseriniMethods
from splade_lucene.search.queries import (
    QueryEncoder,
    Text,
    check_encoder,
    check_no_fields,
    encode_queries,
    encode_query,
    quantize_query,
    queries_at_once,
)

_CACHED_FILTERS = 16
_log = logging.getLogger(__name__)


class Snapshot(ProcessBound):
    """A commit of an index that is open for searches.

    Args:
        reader: The open index.
        cache_bytes: See :class:`LuceneImpactSearcher`; -1 for the default.
    """

    def __init__(self, reader: LuceneImpactIndexReader, cache_bytes: int) -> None:
        self.reader = reader
        self._filters: dict[bytes, Any] = {}  # filters of conditions, least recently used first
        self._conditions: dict[str, bytes] = {}  # packed conditions by their text
        self._lock = threading.Lock()
        try:
            with jvm.translated_exceptions(reader.index_dir):
                folders = wire.pack_paths(_accelerator_folders(reader))
                self.java: Any = jvm.facade("Search").openSearcher(reader.java, cache_bytes, folders)
                self._handle = jvm.JavaHandle(self, jvm.facade("Search").close, self.java, reader.index_dir)
        except BaseException:
            reader.close()
            raise

    def field_filter(self, filter: Filter | str) -> Any:
        """Java's object for the documents that fulfil a condition on their fields. Those of the last conditions are kept.

        Raises:
            QueryError: A text is not a filter, a field is unknown, or its type does not allow the comparison.
        """
        packed = self._packed_text(filter) if isinstance(filter, str) else pack_filter(filter, self.reader.fields)
        with self._lock:
            found = self._filters.pop(packed, None)
        if found is None:
            with jvm.translated_exceptions(self.reader.index_dir):
                found = jvm.facade("Search").fieldFilter(self.reader.java, packed, java_cancellation())
        with self._lock:
            self._filters[packed] = found  # most recently used
            while len(self._filters) > _CACHED_FILTERS:
                del self._filters[next(iter(self._filters))]
        return found

    def _packed_text(self, filter: str) -> bytes:
        packed = self._conditions.get(filter)
        if packed is None:
            packed = pack_filter(parse_filter(filter), self.reader.fields)
            with self._lock:
                if len(self._conditions) >= _CACHED_FILTERS:
                    self._conditions.clear()
                self._conditions[filter] = packed
        return packed

    def check_open(self) -> None:
        """Raises an :class:`IndexAccessError` if this is closed."""
        self._handle.check_open()

    def close(self) -> None:
        """Closes the index's files."""
        self._handle.close()
        self.reader.close()


class DocumentFilter(ProcessBound):
    """A set of documents to which searches can be restricted; see :meth:`LuceneImpactSearcher.make_filter`.

    ``one & other`` restricts searches to the documents of both.
    """

    __slots__ = ("java", "searcher", "snapshot")

    def __init__(self, searcher: LuceneImpactSearcher, snapshot: Any, java: Any) -> None:
        self.searcher, self.snapshot, self.java = searcher, snapshot, java

    def __len__(self) -> int:
        return int(jvm.facade("Search").filterSize(self.java))

    def __and__(self, other: DocumentFilter) -> DocumentFilter:
        if not isinstance(other, DocumentFilter):
            raise QueryError(
                f"expected another DocumentFilter, got {other!r:.80}",
                remedy="Make one from a condition with filter_by of the same searcher",
            )
        if other.snapshot is not self.snapshot:
            raise QueryError(
                "the filters were made by different searchers, or before and after one was refreshed",
                remedy="Make both again with one searcher",
            )
        with jvm.translated_exceptions(self.searcher.index_dir):
            both = jvm.facade("Search").bothFilters(self.snapshot.reader.java, self.java, other.java)
        return DocumentFilter(self.searcher, self.snapshot, both)


AnyFilter = DocumentFilter | Filter | str
"""How searches are restricted: to a set of documents, or by a condition on their fields, as text or made with ``where``."""


class LuceneImpactSearcher(DocumentMethods, HybridMethods, PyseriniMethods, ProcessBound):
    """Exact search over an impact index: ours, Anserini's or Pyserini's.

    Args:
        index_dir: The index, or several, which are searched as if they had been merged.
        query_encoder: Turns text into {term: impact}: an object with ``encode(text)``, the folder or hub name of a
            checkpoint (quantized as in the index's manifest), or None for the manifest's model. Loaded for the first
            text query.
        min_idf: Drop query terms unless ln(documents / document frequency) is above this value. Pyserini's default is 0,
            which drops terms that occur in every document. None keeps all terms, like Anserini's Java code.
        cache_bytes: Size of the cache of decoded postings, in bytes; a posting takes about 4. 0 disables the cache, which
            is slow. Default: a quarter of Java's heap.
        engine: ``auto`` chooses for each query. ``taat`` scores all postings, term at a time; ``blockmax`` skips blocks of
            documents that cannot reach the top k (arXiv 2405.01117); ``maxscore`` scores all postings of the most
            important terms, and those of other terms only in blocks that can still reach the top k. All return the same
            hits.
        approximation: Settings of approximate search; None for exact search.
        verify: Read every byte of the index first, and compare the checksums; see :func:`splade_lucene.check_index`.
        duplicates: Handling of docids that are in several indexes: ``refuse`` raises an error, ``last`` hides the
            documents of all but the last index.

    Attributes:
        index_dir: The index; the first of several.

    Raises:
        InputError: Several indexes were made with different models, settings or quantizers, have a field of the same name
            with different types, or, unless ``duplicates`` is ``last``, have a docid in common.
        NotAnIndexError: The folder is not an impact index.
        IndexVersionError: It was written by a newer Lucene.
        DamagedIndexError: With ``verify``: names the damaged files.
    """

    def __init__(
        self,
        index_dir: IndexDirs,
        query_encoder: QueryEncoder | str | Path | None = None,
        min_idf: float | None = None,
        *,
        cache_bytes: int | None = None,
        engine: Engine = "auto",
        approximation: Approximation | None = None,
        verify: bool = False,
        duplicates: Duplicates = "refuse",
    ) -> None:
        self.engine = engine
        self.approximation = Approximation() if approximation is None else approximation
        check_settings(engine, self.approximation, min_idf, cache_bytes)
        check_encoder(query_encoder)
        self.min_idf = min_idf
        self._query_encoder, self._given_encoder = query_encoder, query_encoder
        self._reported_problems: set[str] = set()
        self._cache_bytes = -1 if cache_bytes is None else cache_bytes
        self._lock = threading.RLock()
        self._shown = Snapshot(open_indexes(index_dir, duplicates, verify=verify), self._cache_bytes)
        self.index_dir = self.reader.index_dir
        with jvm.translated_exceptions(self.index_dir):
            self._settings = self._java_settings(self.approximation)
            self._exact_settings = self._java_settings(Approximation())
        self._report_problems()
        for index in self.reader.parts:
            if problem := missing_accelerators(index):
                _log.warning("%s: %s", index.index_dir, problem)

    @property
    def _snapshot(self) -> Snapshot:
        """What this searcher shows.

        Raises:
            IndexAccessError: It is closed; so do all public methods and properties.
        """
        self._shown.check_open()
        return self._shown

    @property
    def reader(self) -> LuceneImpactIndexReader:
        """The open index."""
        return self._snapshot.reader

    @property
    def num_docs(self) -> int:
        """The number of documents."""
        return self._snapshot.reader.num_docs

    def refresh(self) -> bool:
        """Switches to the newest commit of the index, if there is one.

        Without it, a searcher stays on the commit that was current when it was opened. It is cheap: segments in both commits
        stay open. Several indexes all switch to their newest commits; their docids are compared again, which takes as
        long as reading those of all but the largest index. Running searches of other threads finish on their commit,
        and hits keep theirs. Filters from :meth:`make_filter` must be created again.

        Returns:
            Whether there was a newer commit.

        Raises:
            IndexAccessError: The index is no longer there, or this searcher is closed.
            InputError: Several indexes can no longer be searched as one; the searcher stays on the old commits.
        """
        with self._lock:
            old = self._snapshot
            reader = old.reader.refreshed()
            if reader is None:
                return False
            snapshot = Snapshot(reader, self._cache_bytes)
            if self._given_encoder is None and self._query_encoder is not None:
                before, after = old.reader.manifest(), reader.manifest()
                if before is None or after is None or not before.is_compatible(after):
                    self._query_encoder = None  # a different index was published here
            self._shown = snapshot  # the old snapshot is closed when its last hits are gone
        self._report_problems()
        return True

    @property
    def accelerated_segments(self) -> int:
        """Number of segments whose postings are read from an accelerator; see :func:`splade_lucene.accelerate`."""
        return int(jvm.facade("Search").acceleratedSegments(self._snapshot.java))

    def _report_problems(self) -> None:
        """Warns once about each accelerator file that cannot be used."""
        for problem in {
            *str(jvm.facade("Search").problems(self._snapshot.java)).splitlines()
        } - self._reported_problems:
            self._reported_problems.add(problem)
            _log.warning("%s; it is not used. Run 'splade-lucene accelerate' to create it again", problem)

    def _java_settings(self, approximation: Approximation) -> Any:
        return jvm.facade("Search").settings(
            self.engine, -1.0 if self.min_idf is None else float(self.min_idf),
            approximation.alpha, approximation.blocks, approximation.beta, approximation.candidates,
        )  # fmt: skip

    @property
    def query_encoder(self) -> QueryEncoder:
        """The encoder of text queries, loaded on first use.

        Raises:
            QueryError: No encoder was given, and the index has no manifest that names its model.
        """
        self._shown.check_open()
        if self._query_encoder is None or isinstance(self._query_encoder, str | Path):
            from splade_lucene.search.query_encoder import matching_query_encoder

            with self._lock:
                if self._query_encoder is None or isinstance(self._query_encoder, str | Path):
                    manifest = self.reader.manifest()
                    self._query_encoder = matching_query_encoder(manifest, self.index_dir, self._query_encoder)
        return self._query_encoder

    def encode(self, q: Text | Vector) -> dict[str, int]:
        """The {term: impact} form of a query: encodes a text or the turns of a conversation, and validates a mapping.

        Raises:
            QueryError: An impact is negative, too large, or not an integer. Weights that are not integers must be quantized
                first; see :meth:`quantize`.
        """
        self._shown.check_open()
        return encode_query(q, lambda: self.query_encoder)

    def quantize(self, weights: Mapping[str, float]) -> dict[str, int]:
        """Quantizes the weights of a query with the index's rule.

        Args:
            weights: Term → weight; each finite and at least 0.

        Returns:
            Term → impact, without terms whose impact is 0.

        Raises:
            QueryError: The index has no manifest that records a rule.
            InputError: A weight is negative or not finite.
        """
        return quantize_query(weights, self.reader.manifest(), self.reader.folders)

    def make_filter(self, docids: Iterable[str], *, exclude: bool = False) -> DocumentFilter:
        """Creates a filter that restricts searches to some documents; it can be reused.

        Args:
            docids: Docids; unknown ones are ignored.
            exclude: Exclude these documents instead.

        Raises:
            QueryError: A docid is not a string.
        """
        docids = to_list(docids, "docids", error=QueryError)
        for docid in docids:
            if not isinstance(docid, str) or well_formed(docid) != docid:
                raise QueryError(f"docids must be well-formed strings, got {docid!a}")
        with jvm.translated_exceptions(self.index_dir):
            snapshot = self._snapshot
            java = jvm.facade("Search").filter(snapshot.reader.java, wire.pack_strings(docids), not exclude)
            return DocumentFilter(self, snapshot, java)

    def filter_by(self, filter: Filter | str) -> DocumentFilter:
        """The documents that match a condition on their fields.

        Searches also take the condition itself, and cache the last ones. Use this to count the documents, or to combine
        the condition with a docid filter.

        Args:
            filter: A text, see :func:`splade_lucene.parse_filter`, or a condition made with :class:`splade_lucene.where`.

        Raises:
            QueryError: The text is not a filter, a field is unknown, or its type does not allow the comparison.
        """
        snapshot = self._snapshot
        return DocumentFilter(self, snapshot, snapshot.field_filter(filter))

    def facets(self, field: str, filter: AnyFilter | None = None) -> dict[str, int]:
        """The number of documents with each keyword of a field, the most frequent first; :meth:`Hits.facets` counts hits.

        Args:
            field: The field.
            filter: Counts only these documents.

        Raises:
            QueryError: The index has no such field, its values are not keywords, or the filter is invalid.
        """
        snapshot = self._snapshot
        snapshot.reader.check_keyword(field)
        with jvm.translated_exceptions(self.index_dir):
            java = jvm.facade("Search")
            live = java.liveDocuments(snapshot.reader.java)
            documents = live if filter is None else self._java_filter(filter, snapshot)
            return unpack_counts(java.keywordCounts(snapshot.reader.java, documents, field))

    def _java_filter(self, filter: AnyFilter | None, snapshot: Snapshot) -> Any:
        """Java's object for a filter; None for none.

        Raises:
            QueryError: Another searcher made the filter, or this one before it was refreshed, or it is wrong.
        """
        if filter is None:
            return None
        if not isinstance(filter, DocumentFilter):
            return snapshot.field_filter(filter)
        if filter.searcher is not self:
            raise QueryError(
                "the filter was made by another searcher", remedy="Make it with make_filter of this searcher"
            )
        if filter.snapshot is not snapshot:
            raise QueryError("the filter was made before this searcher was refreshed", remedy="Make it again")
        return filter.java

    def search(
        self,
        q: Text | Vector,
        k: int = HITS_SHOWN,
        fields: Mapping[str, float] | None = None,
        *,
        filter: AnyFilter | None = None,
        approximation: Approximation | None = None,
    ) -> Hits:
        """Searches for one query.

        Args:
            q: A text; the turns of a conversation, whose weights are added; or {term: impact} with any number of terms, of
                which unknown ones have no effect. A blank text has no hits.
            k: Maximum number of hits, at least 1. There are fewer if fewer documents share a term with the query.
            fields: For compatibility with Pyserini; must be None or empty, because an impact index has a single field.
            filter: Restricts the hits: a condition on the fields of documents, such as ``'lang = "de" and year >= 2019'``, or
                a filter from :meth:`make_filter` or :meth:`filter_by`.
            approximation: Settings for this search instead of the searcher's.

        Returns:
            Hits, sorted by score descending, then by the bytes of the docid ascending.

        Raises:
            QueryError: The query is malformed, or the engine does not support the approximation.
        """
        check_no_fields(fields)
        vector, k, snapshot = self.encode(q), check_k(k), self._snapshot
        settings = self._settings_for(approximation)
        return self._search_encoded(snapshot, [vector], k, 1, settings, self._java_filter(filter, snapshot))[0]

    def _settings_for(self, approximation: Approximation | None) -> Any:
        if approximation is None or approximation == self.approximation:
            return self._settings
        check_settings(self.engine, approximation)
        return self._java_settings(approximation)

    def batch_search(
        self,
        queries: Iterable[Text | Vector],
        qids: Iterable[str],
        k: int = HITS_SHOWN,
        threads: int = 1,
        fields: Mapping[str, float] | None = None,
        *,
        filter: AnyFilter | None = None,
    ) -> dict[str, Hits]:
        """Searches for many queries with several threads.

        Args:
            queries: Texts, conversations or {term: impact} mappings.
            qids: Their unique ids.
            k: Maximum number of hits per query.
            threads: Number of search threads.
            fields: See :meth:`search`.
            filter: Likewise.

        Returns:
            qid → hits, in the order of ``qids``.

        Raises:
            QueryError: A query is malformed, or ``qids`` does not match ``queries``.
        """
        check_no_fields(fields)
        queries, qids = check_batch(queries, qids, threads)
        k, vectors = check_k(k), self.encode_batch(queries)
        snapshot = self._snapshot
        found = self._search_all(snapshot, vectors, k, threads, self._settings, self._java_filter(filter, snapshot))
        return dict(zip(qids, found, strict=True))

    def recall(
        self,
        queries: Iterable[Text | Vector],
        k: int = HITS_SHOWN,
        threads: int = 1,
        *,
        filter: AnyFilter | None = None,
    ) -> list[float]:
        """Measures the loss of the approximation: for each query, the share of the exact top k hits that it finds.

        A query without hits has recall 1.
        """
        vectors, k, snapshot = self.encode_batch(queries), check_k(k), self._snapshot
        java_filter = self._java_filter(filter, snapshot)
        exact = self._search_all(snapshot, vectors, k, threads, self._exact_settings, java_filter)
        found = self._search_all(snapshot, vectors, k, threads, self._settings, java_filter)
        return [
            len({*best.docids} & {*hits.docids}) / len(best) if len(best) else 1.0
            for best, hits in zip(exact, found, strict=True)
        ]

    def encode_batch(self, queries: Iterable[Text | Vector]) -> list[dict[str, int]]:
        """The {term: impact} forms of several queries; see :meth:`encode`."""
        self._shown.check_open()
        queries = to_ordered_list(queries, "queries", error=QueryError)
        return encode_queries(queries, lambda: self.query_encoder)

    def _search_all(
        self, snapshot: Snapshot, vectors: Sequence[Mapping[str, int]], k: int, threads: int, settings: Any,
        java_filter: Any,
    ) -> list[Hits]:  # fmt: skip
        found: list[Hits] = []
        step = queries_at_once(min(k, snapshot.reader.num_docs))
        for start in range(0, len(vectors), step):
            found += self._search_encoded(snapshot, vectors[start : start + step], k, threads, settings, java_filter)
        return found

    def _search_encoded(
        self, snapshot: Snapshot, vectors: Sequence[Mapping[str, int]], k: int, threads: int, settings: Any,
        java_filter: Any,
    ) -> list[Hits]:  # fmt: skip
        vectors = self._expand(snapshot, vectors, k, threads, settings, java_filter)
        return self._search_vectors(snapshot, vectors, k, threads, settings, java_filter)

    def _search_vectors(
        self, snapshot: Snapshot, vectors: Sequence[Mapping[str, int]], k: int, threads: int, settings: Any,
        java_filter: Any,
    ) -> list[Hits]:  # fmt: skip
        with jvm.translated_exceptions(self.index_dir):
            answer = jvm.facade("Search").search(
                snapshot.java, wire.pack_queries(vectors), k, threads, settings, java_filter, java_cancellation()
            )
            found = [
                Hits(each.docids, each.scores, each.lucene_docids, snapshot.reader, each.profile)
                for each in wire.unpack_impact_rankings(wire.to_bytes(answer), len(vectors))
            ]
        if any(hits.found_damage for hits in found):
            self._report_problems()
        return found

    def explain(
        self, q: Text | Vector, docid: str, *, k: int = HITS_SHOWN, filter: AnyFilter | None = None
    ) -> list[Contribution]:
        """The contribution of each shared term to a document's score, largest first; the products add up to the score exactly.

        Args:
            q: The query, as for :meth:`search`.
            docid: The document.
            k: With relevance feedback, the terms are those of the expanded query: the number of hits of the search that
                expands it; see :meth:`expand`.
            filter: Likewise the filter of that search.

        Raises:
            InputError: No document has this docid.
        """
        vector = self.expand(q, k, filter=filter)
        terms = list(vector)
        impacts = self.reader.impacts(docid, terms)
        dropped = set() if self.min_idf is None else self._common_terms(terms)
        return shared_terms(vector, {
            term: impact for term, impact in zip(terms, impacts, strict=True) if term not in dropped
        })  # fmt: skip

    def _common_terms(self, terms: Sequence[str]) -> set[str]:
        queries = [{term: 1} for term in terms]
        found = self._search_vectors(self._snapshot, queries, 1, 1, self._exact_settings, None)
        return {term for term, hits in zip(terms, found, strict=True) if not len(hits)}

    def doc(self, docid: str | int) -> StoredDocument | None:
        """The stored document with a docid (str) or lucene_docid (int); None if there is none, as in Pyserini.

        A deleted document has no docid any more, but Lucene keeps it under its lucene_docid until its segment is merged.
        """
        return find_document(self.reader, docid)

    def doc_by_field(self, field: str, q: str) -> StoredDocument | None:
        """The stored document whose ``field`` is ``q``, as in Pyserini; None if there is none.

        Raises:
            QueryError: The field is not ``id``, the only one by which an impact index can be looked up.
        """
        if field != "id":
            raise QueryError(
                f"documents of an impact index can be looked up by the field 'id', got {field!r}",
                remedy="Pass the docid to doc()",
            )
        return self.doc(q)

    def close(self) -> None:
        """Closes the index's files; so does dropping the last reference to the searcher and its hits.

        Waits for running searches of other threads; later ones raise an :class:`IndexAccessError`.
        """
        with self._lock:
            self._shown.close()

    def __enter__(self) -> LuceneImpactSearcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _accelerator_folders(reader: LuceneImpactIndexReader) -> list[Path]:
    return list(dict.fromkeys(folder for index in reader.parts for folder in accelerator_folders(index.index_dir)))
