"""The literal path: the same encoded queries through Pyserini's own ``LuceneImpactSearcher``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from splade_lucene import jvm
from splade_lucene.index_reader import LuceneImpactIndexReader
from splade_lucene.searcher import LuceneImpactSearcher, QueryEncoder

_NO_LIMIT = 1 << 24


class PyseriniSearcher:
    """Searches through Pyserini's class. Slower than :class:`LuceneImpactSearcher`, and the same run.

    Args:
        index_dir: The index.
        query_encoder: As for :class:`LuceneImpactSearcher`.
        min_idf: As there; None keeps every term.
    """

    def __init__(
        self,
        index_dir: str | Path,
        query_encoder: QueryEncoder | str | Path | None = None,
        min_idf: float | None = None,
    ) -> None:
        with LuceneImpactIndexReader(index_dir):  # says what is wrong with an index better than Pyserini does
            pass
        self._ours = LuceneImpactSearcher(index_dir, query_encoder)
        with jvm.pyserini_importable():
            from pyserini.search.lucene import LuceneImpactSearcher as PyserinisSearcher
        # a document used as a query has more clauses than Lucene's default of 1,024
        jvm.java_class("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(_NO_LIMIT)
        self._theirs: Any = PyserinisSearcher(str(index_dir), _AsIs(), -1.0 if min_idf is None else min_idf)
        self.num_docs: int = self._ours.num_docs

    def search(self, q: str | Mapping[str, int], k: int = 10) -> list[tuple[str, int]]:
        """(docid, score) of the hits of one query, best first."""
        with jvm.translated_exceptions(self._ours.index_dir):
            return _pairs(self._theirs.search(self._ours.encode(q), k))

    def batch_search(
        self, queries: Sequence[str | Mapping[str, int]], qids: Sequence[str], k: int = 10, threads: int = 1
    ) -> dict[str, list[tuple[str, int]]]:
        """(docid, score) of the hits of each query, in the order of ``qids``."""
        encoded = self._ours.encode_batch(queries)
        with jvm.translated_exceptions(self._ours.index_dir):
            found = self._theirs.batch_search(encoded, list(qids), k, threads)
            return {qid: _pairs(found[qid]) for qid in qids}

    def close(self) -> None:
        """Closes the index's files."""
        self._theirs.close()
        self._ours.close()

    def __enter__(self) -> PyseriniSearcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _AsIs:
    """A query encoder for Pyserini that takes queries which are encoded already."""

    def encode(self, vector: Mapping[str, int]) -> dict[str, int]:
        return dict(vector)


def _pairs(hits: Any) -> list[tuple[str, int]]:
    # Anserini lowers tied scores by millionths, which only shows in small ones; the score itself is an integer
    return [(str(hit.docid), round(hit.score)) for hit in hits]
