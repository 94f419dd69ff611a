"""A searcher's methods for given documents: scoring them, reading their vectors, and searching with them as queries."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene import jvm
from splade_lucene.arguments import to_ordered_list
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.errors import InputError, QueryError
from splade_lucene.jvm import wire
from splade_lucene.records import well_formed
from splade_lucene.search.cancellation import java_cancellation
from splade_lucene.search.checks import check_k, check_threads
from splade_lucene.search.feedback import FeedbackMethods
from splade_lucene.search.hits import Hits

_NAMED = 5  # unknown docids in a message


class DocumentMethods(FeedbackMethods):
    """Methods of the searcher that take docids."""

    def score(self, q: Any, docids: Iterable[str], *, k: int = HITS_SHOWN, filter: Any = None) -> NDArray[np.int64]:
        """The scores of given documents for one query; see :meth:`batch_score`."""
        return self.batch_score([q], [to_ordered_list(docids, "docids")], k=k, filter=filter)[0]

    def batch_score(
        self, queries: Iterable[Any], docids: Iterable[Iterable[str]], threads: int = 1, *, k: int = HITS_SHOWN,
        filter: Any = None,
    ) -> list[NDArray[np.int64]]:  # fmt: skip
        """The scores of given documents for many queries, such as those that another system found.

        They equal the scores of an exact search, and are 0 for documents that share no term with the query.

        Args:
            queries: Texts, conversations or {term: impact} mappings.
            docids: For each query the docids of its documents, in any order.
            threads: Number of threads.
            k: With relevance feedback: the number of hits of the search that expands the query; see :meth:`expand`.
            filter: Likewise the filter of that search; documents that it does not accept have a score, too.

        Returns:
            For each query the scores of its documents, in their order; shape [documents], int64.

        Raises:
            QueryError: A query is malformed, or ``docids`` does not match ``queries``.
            InputError: No document has one of the docids; names the first ones.
        """
        wanted, found = self._score(queries, docids, threads, k, filter)
        unknown = {
            docid: None
            for each, scores in zip(wanted, found, strict=True)
            for docid, score in zip(each, scores.tolist(), strict=True)
            if score < 0
        }
        if unknown:
            named = ", ".join(map(repr, [*unknown][:_NAMED])) + (", …" if len(unknown) > _NAMED else "")
            raise InputError(
                f"{self._snapshot.reader.folders}: {counted(len(unknown), 'docid', 'is', 'are')} not in the index: {named}",
                remedy="Leave them out",
            )
        return found

    def score_known(
        self, queries: Iterable[Any], docids: Iterable[Iterable[str]], threads: int = 1, *, k: int = HITS_SHOWN,
        filter: Any = None,
    ) -> list[dict[str, int]]:  # fmt: skip
        """As :meth:`batch_score`, but docids that no document has are left out.

        Returns:
            For each query {docid: score}, in the order of its docids.
        """
        wanted, found = self._score(queries, docids, threads, k, filter)
        return [
            {docid: score for docid, score in zip(each, scores.tolist(), strict=True) if score >= 0}
            for each, scores in zip(wanted, found, strict=True)
        ]

    def _score(
        self, queries: Iterable[Any], docids: Iterable[Iterable[str]], threads: int, k: int, filter: Any
    ) -> tuple[list[list[str]], list[NDArray[np.int64]]]:
        """The docids as lists, and their scores; -1 if no document has the docid."""
        queries = to_ordered_list(queries, "queries", error=QueryError)
        wanted = [_checked(each) for each in to_ordered_list(docids, "lists of docids")]
        check_threads(threads)
        if len(queries) != len(wanted):
            raise QueryError(
                f"got {counted(len(queries), 'query')} but {counted(len(wanted), 'list')} of docids",
                remedy="Pass one list per query",
            )
        k, snapshot = check_k(k), self._snapshot
        java_filter = self._java_filter(filter, snapshot)
        vectors = self._expand(snapshot, self.encode_batch(queries), k, threads, self._exact_settings, java_filter)
        counts = [*map(len, wanted)]
        with jvm.translated_exceptions(self.index_dir):
            answer = jvm.facade("Search").scores(
                snapshot.reader.java, snapshot.java, wire.pack_queries(vectors),
                wire.pack_strings(chain.from_iterable(wanted)), wire.pack_integers(counts), threads,
                self._exact_settings, java_cancellation(),
            )  # fmt: skip
            scores = wire.unpack_scores(wire.to_bytes(answer))
        ends = np.cumsum(counts)
        return wanted, [scores[end - count : end] for count, end in zip(counts, ends, strict=True)]

    def vector(self, docid: str) -> dict[str, int]:
        """The vector of a document: its terms, in byte order, and their impacts.

        It is collected from the postings of all terms, so the first vectors of a large index take some time; later ones
        come from memory, if ``cache_bytes`` allows it.

        Raises:
            InputError: No document has this docid.
        """
        snapshot = self._snapshot
        return self._vector(snapshot, snapshot.reader.lucene_docid(docid))

    def _vector(self, snapshot: Any, lucene_docid: int) -> dict[str, int]:
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Search").vector(snapshot.java, lucene_docid))
        return next(wire.unpack_queries(packed))

    def more_like_this(
        self, docid: str, k: int = HITS_SHOWN, *, max_terms: int | None = None, filter: Any = None
    ) -> Hits:
        """Searches with a document as the query: its impacts are those of the query. Relevance feedback does not apply.

        Args:
            docid: The document; it is not among the hits.
            k: Maximum number of hits.
            max_terms: Search with the terms of the largest impacts only, which is faster; among equal ones those that are
                first in byte order. None for all.
            filter: Restricts the hits, as in ``search``.

        Raises:
            InputError: No document has this docid.
            QueryError: ``max_terms`` is below 1, or the filter is wrong.
        """
        k, snapshot = check_k(k), self._snapshot
        count = None if max_terms is None else check_k(max_terms, "max_terms")
        lucene_docid = snapshot.reader.lucene_docid(docid)
        java_filter = self._java_filter(filter, snapshot)
        vector = self._vector(snapshot, lucene_docid)
        largest = dict(sorted(vector.items(), key=lambda pair: -pair[1])[:count])
        hits = self._search_vectors(
            snapshot, [largest], min(k, snapshot.reader.max_doc) + 1, 1, self._settings, java_filter
        )
        return hits[0].without(lucene_docid)[:k]


def _checked(docids: Iterable[str]) -> list[str]:
    wanted = to_ordered_list(docids, "docids")
    for docid in wanted:
        if not isinstance(docid, str) or well_formed(docid) != docid:
            raise InputError(f"docids must be well-formed strings, got {docid!a:.80}", remedy="Pass them as strings")
    return wanted
