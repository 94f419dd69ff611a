"""A searcher's methods for the texts that an index has for BM25."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.search.checks import check_batch, check_k
from splade_lucene.search.feedback import FeedbackMethods
from splade_lucene.search.hits import Hits
from splade_lucene.search.hybrid import RRF, HybridFusion, HybridHits, check_fusion, search_parts, texts_for_bm25


class HybridMethods(FeedbackMethods):
    """Methods of the searcher that search for impacts and with BM25."""

    def search_hybrid(
        self, q: Any, k: int = HITS_SHOWN, fusion: HybridFusion = RRF, *, text: str | None = None,
        filter: Any = None,
    ) -> HybridHits:  # fmt: skip
        """Searches for impacts and with BM25, and fuses the two rankings; see :mod:`splade_lucene.search.hybrid`.

        Args:
            q: The query, as for :meth:`search`.
            k: Maximum number of hits, at least 1.
            fusion: How the rankings are made and fused.
            text: The text that BM25 searches for. Default: the query, which must then be a text. With a blank one, the
                ranking by impacts is the only one.
            filter: Restricts the hits of both rankings; see :meth:`search`.

        Returns:
            Hits, sorted by fused score descending, then by the bytes of the docid ascending.

        Raises:
            QueryError: The query is malformed, or the index was built without texts for BM25.

        Example:
            >>> from splade_lucene import LuceneImpactIndexer, LuceneImpactSearcher, PseudoDocument
            >>> index_dir = getfixture("tmp_path") / "index"
            >>> with LuceneImpactIndexer(index_dir, bm25=True) as indexer:
            ...     indexer.add([PseudoDocument("d1", "a cat", {"cat": 3}), PseudoDocument("d2", "dogs", {"cat": 1})])
            >>> with LuceneImpactSearcher(index_dir) as searcher:
            ...     for hit in searcher.search_hybrid({"cat": 2}, text="a dog"):
            ...         print(hit.docid, round(hit.score, 4), hit.impact, hit.bm25 and hit.bm25.rank)
            d2 0.0325 PartHit(rank=2, score=2.0) 1
            d1 0.0164 PartHit(rank=1, score=6.0) None
        """
        texts = None if text is None else [text]
        return self.batch_search_hybrid([q], ["query"], k, 1, fusion, texts=texts, filter=filter)["query"]

    def batch_search_hybrid(
        self, queries: Iterable[Any], qids: Iterable[str], k: int = HITS_SHOWN, threads: int = 1,
        fusion: HybridFusion = RRF, *, texts: Iterable[str] | None = None, filter: Any = None,
    ) -> dict[str, HybridHits]:  # fmt: skip
        """Searches for many queries with several threads; see :meth:`search_hybrid`.

        Args:
            queries: Texts, conversations or {term: impact} mappings.
            qids: Their unique ids.
            k: Maximum number of hits per query.
            threads: Number of search threads.
            fusion: See :meth:`search_hybrid`.
            texts: The texts that BM25 searches for, one per query. Default: the queries, which must then be texts.
            filter: See :meth:`search`.

        Returns:
            qid → hits, in the order of ``qids``.

        Raises:
            QueryError: A query is malformed, ``qids`` or ``texts`` do not match ``queries``, or the index was built
                without texts for BM25.
        """
        snapshot = self._snapshot
        check_fusion(fusion, snapshot.reader)
        queries, qids = check_batch(queries, qids, threads)
        of_bm25 = texts_for_bm25(queries, texts)
        vectors, k = self.encode_batch(queries), check_k(k)

        java_filter = self._java_filter(filter, snapshot)

        def search_impacts(some: slice) -> list[Hits]:
            expanded = self._expand(snapshot, vectors[some], fusion.depth, threads, self._settings, java_filter)
            return self._search_vectors(snapshot, expanded, fusion.depth, threads, self._settings, java_filter)

        return search_parts(snapshot.reader, of_bm25, qids, k, threads, fusion, search_impacts, java_filter)
