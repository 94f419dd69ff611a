"""BM25 with the same Lucene and Anserini's English analyzer: the baseline for SPLADE.

The index equals the one that Anserini's IndexCollection builds from a JsonCollection: Pyserini's ``LuceneSearcher`` can open
it, and :class:`Bm25Searcher` can open Anserini's. Expanded texts (doc2query) need no special treatment.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from splade_lucene import jvm
from splade_lucene.arguments import is_number, to_list, to_ordered_list, to_path
from splade_lucene.defaults import HITS_SHOWN, K1, B, thread_count
from splade_lucene.errors import NotAnIndexError, QueryError
from splade_lucene.fork_guard import ProcessBound
from splade_lucene.index.reader import LuceneImpactIndexReader, TermStatistics
from splade_lucene.jvm import wire
from splade_lucene.records import FieldValue, Query, well_formed
from splade_lucene.search.checks import check_batch, check_k
from splade_lucene.search.hits import Hits, StoredDocument
from splade_lucene.search.queries import queries_at_once

_HITS_AT_ONCE = 1 << 20

Ranking = list[tuple[str, float]]
"""(docid, score) of each hit, best first."""


class Bm25Searcher(ProcessBound):
    """Searches a text index with BM25: ours, Anserini's or Pyserini's.

    Args:
        index_dir: The index.
        k1: Term frequency saturation, at least 0.
        b: Strength of length normalization, 0 to 1.

    Raises:
        NotAnIndexError: The folder is not an index of texts.
        IndexVersionError: It was written by a newer Lucene.
        QueryError: k1 or b is out of range.

    Example:
        >>> from splade_lucene import Bm25Searcher, Document, index_texts
        >>> index_dir = getfixture("tmp_path") / "index"
        >>> index_texts([Document("d1", "the cat sat"), Document("d2", "dogs and a cat"), Document("d3", "fish")], index_dir)
        3
        >>> with Bm25Searcher(index_dir) as searcher:
        ...     [hit.docid for hit in searcher.search("dog or cats?")]
        ['d2', 'd1']
    """

    def __init__(self, index_dir: str | Path, *, k1: float = K1, b: float = B) -> None:
        check_parameters(k1, b)
        self.index_dir, self.k1, self.b = to_path(index_dir), float(k1), float(b)
        if not self.index_dir.is_dir():
            raise NotAnIndexError(f"{index_dir} is not a folder. Pass the index written by 'splade-lucene bm25 index'.")
        with jvm.translated_exceptions(self.index_dir):
            self._opened: Any = jvm.facade("Bm25").openIndex(jvm.java_path(self.index_dir), self.k1, self.b)
            self._handle = jvm.JavaHandle(self, jvm.facade("Bm25").close, self._opened, self.index_dir)
            if not jvm.facade("Bm25").holdsTexts(self._java):
                self._handle.close()
                raise NotAnIndexError(
                    f"{index_dir}: this is an impact index, not a text index. Search it with 'splade-lucene search', or "
                    "build a text index with 'splade-lucene bm25 index'."
                )

    @property
    def _java(self) -> Any:
        self._handle.check_open()
        return self._opened

    @property
    def num_docs(self) -> int:
        """The number of documents."""
        return int(jvm.facade("Bm25").numDocs(self._java))

    def search(self, q: str, k: int = HITS_SHOWN) -> Hits:
        """Searches for one query; see :meth:`batch_search`."""
        return self._search([q], check_k(k), 1)[0]

    def batch_search(
        self, queries: Iterable[str], qids: Iterable[str], k: int = HITS_SHOWN, threads: int = 1
    ) -> dict[str, Hits]:
        """Searches for many queries with several threads.

        Returns:
            qid → hits, in the order of ``qids``. Hits are sorted by score descending, then by the bytes of the docid
            ascending. Scores are in single precision.

        Raises:
            QueryError: A query is not a text, or ``qids`` does not match ``queries``.
        """
        queries, qids = check_batch(queries, qids, threads)
        k = check_k(k)
        found: list[Hits] = []
        step = queries_at_once(min(k, self.num_docs), _HITS_AT_ONCE)
        for start in range(0, len(queries), step):
            found += self._search(queries[start : start + step], k, threads)
        return dict(zip(qids, found, strict=True))

    def _search(self, queries: Sequence[str], k: int, threads: int) -> list[Hits]:
        for query in queries:
            if not isinstance(query, str):
                raise QueryError(f"queries must be texts, got {query!r:.60}")
        with jvm.translated_exceptions(self.index_dir):
            texts = wire.pack_strings(map(well_formed, queries))
            packed = wire.to_bytes(jvm.facade("Bm25").search(self._java, texts, k, threads))
            return [Hits(*each, self) for each in wire.unpack_text_rankings(packed, len(queries))]

    def analyze(self, text: str) -> dict[str, int]:
        """Analyzes a text with the index's analyzer: term → number of occurrences."""
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Bm25").analyze(self._java, wire.pack_strings([well_formed(text)])))
            return dict(Counter(wire.unpack_strings(packed)))

    def raw(self, lucene_docids: Iterable[int]) -> list[str | None]:
        """The stored field ``raw`` of documents; None for documents without it."""
        wanted = to_ordered_list(lucene_docids, "lucene_docids")
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Bm25").raw(self._java, wire.pack_integers(wanted)))
            return wire.unpack_optional_strings(packed, len(wanted))

    def field_values(
        self, lucene_docids: Iterable[int], names: Iterable[str] | None = None
    ) -> list[dict[str, FieldValue]]:
        """No values: an index of texts has no fields.

        Raises:
            QueryError: Fields are named.
        """
        if names is not None:
            raise QueryError("an index of texts has no fields", remedy="Build an impact index with fields=…")
        return [{} for _ in to_ordered_list(lucene_docids, "lucene_docids")]

    def keyword_counts(self, lucene_docids: Iterable[int], name: str) -> dict[str, int]:  # noqa: ARG002 - as of all indexes
        """Raises an error: an index of texts has no fields.

        Raises:
            QueryError: Always.
        """
        raise QueryError("an index of texts has no fields", remedy="Build an impact index with fields=…")

    def doc(self, docid: str) -> StoredDocument | None:
        """The stored document with a docid; None if there is none, as in Pyserini."""
        with jvm.translated_exceptions(self.index_dir):
            lucene_docid = int(jvm.facade("Bm25").luceneDocid(self._java, well_formed(docid)))
        return None if lucene_docid < 0 else StoredDocument(docid, lucene_docid, self.raw([lucene_docid])[0])

    def text(self, docid: str) -> str | None:
        """The stored text of a document; None if the index does not store texts or lacks the document."""
        document = self.doc(docid)
        return None if document is None else document.contents()

    def statistics(self) -> dict[str, Any]:
        """Counts like :meth:`LuceneImpactIndexReader.statistics`; ``total_impact`` is the number of tokens of all texts."""
        with jvm.translated_exceptions(self.index_dir):
            counts: dict[str, Any] = json.loads(jvm.facade("Bm25").statistics(self._java))
        counts["bytes"] = sum(path.stat().st_size for path in self.index_dir.iterdir() if path.is_file())
        return counts

    def terms(self) -> list[TermStatistics]:
        """All terms in byte order, with document frequency and number of occurrences."""
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Bm25").terms(self._java))
            return [TermStatistics(*each) for each in wire.unpack_terms(packed)]

    def close(self) -> None:
        """Closes the index's files; so does dropping the last reference to the searcher and its hits."""
        self._handle.close()

    def __enter__(self) -> Bm25Searcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_index(index_dir: str | Path) -> LuceneImpactIndexReader | Bm25Searcher:
    """Opens an impact index or a text index.

    Raises:
        NotAnIndexError: The folder is not an index.
        IndexVersionError: It was written by a newer Lucene.
    """
    try:
        return LuceneImpactIndexReader(index_dir)
    except NotAnIndexError as error:
        try:
            return Bm25Searcher(index_dir)
        except NotAnIndexError:
            raise error from None


def search_texts(
    index_dir: str | Path, queries: Iterable[Query], k: int, *, k1: float = K1, b: float = B, threads: int | None = None
) -> dict[str, Ranking]:
    """Opens a text index, searches it and closes it; see :meth:`Bm25Searcher.batch_search`.

    Args:
        index_dir: The index.
        queries: The queries, as texts.
        k: Number of hits per query.
        k1: See :class:`Bm25Searcher`.
        b: Likewise.
        threads: Number of search threads. Default: one per core.

    Returns:
        qid → (docid, score) of the hits, which need no open index.
    """
    queries = to_list(queries, "queries", error=QueryError)
    with Bm25Searcher(index_dir, k1=k1, b=b) as searcher:
        texts, qids = [query.text for query in queries], [query.qid for query in queries]
        found = searcher.batch_search(texts, qids, k, thread_count(threads))
        return {qid: list(zip(hits.docids, hits.scores.tolist(), strict=True)) for qid, hits in found.items()}


def check_parameters(k1: Any, b: Any) -> None:
    """Checks BM25's parameters.

    Raises:
        QueryError: A parameter is out of range.
    """
    if not (is_number(k1) and math.isfinite(k1) and k1 >= 0):
        raise QueryError(f"k1 must be a number of at least 0, got {k1!r}", remedy=f"Anserini's default is {K1}")
    if not (is_number(b) and 0 <= b <= 1):
        raise QueryError(f"b must be between 0 and 1, got {b!r}", remedy=f"Anserini's default is {B}")
