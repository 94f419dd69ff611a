"""Searches with Pyserini's own ``LuceneImpactSearcher``, for comparison."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from splade_lucene import jvm
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.errors import InputError
from splade_lucene.fork_guard import ProcessBound
from splade_lucene.jvm.pyserini_import import pyserini_importable
from splade_lucene.search.checks import check_batch, check_k
from splade_lucene.search.hits import Hits, StoredDocument
from splade_lucene.search.queries import QueryEncoder
from splade_lucene.search.searcher import LuceneImpactSearcher

_NO_LIMIT = 1 << 24
_pyserini_lock = threading.RLock()


class PyseriniSearcher(ProcessBound):
    """Searches with Pyserini's class. Slower than :class:`LuceneImpactSearcher`, with the same results.

    Pyserini calls Java instance methods through pyjnius, which is not thread-safe: one searcher's call can reach another
    searcher's index. All searchers of this class therefore share a lock, and searches run one at a time. Your own calls
    to Pyserini are not protected by this lock.

    Args:
        index_dir: The index.
        query_encoder: See :class:`LuceneImpactSearcher`.
        min_idf: Likewise.

    Raises:
        InputError: Several indexes are given; it opens one.
    """

    def __init__(
        self,
        index_dir: str | Path,
        query_encoder: QueryEncoder | str | Path | None = None,
        min_idf: float | None = None,
    ) -> None:
        if not isinstance(index_dir, str | os.PathLike):
            raise InputError(
                f"Pyserini's searcher opens one index, got {index_dir!r:.200}",
                remedy="Merge them first, with 'splade-lucene merge' or merge_indexes",
            )
        self._ours = LuceneImpactSearcher(index_dir, query_encoder)
        with pyserini_importable():
            from pyserini.search.lucene import LuceneImpactSearcher as PyserinisSearcher
        self.num_docs: int = self._ours.num_docs
        with _pyserini_lock, jvm.translated_exceptions(self._ours.index_dir):
            # a document used as a query has more clauses than Lucene's default of 1,024
            jvm.facade("Runtime").allowClauses(_NO_LIMIT)
            limit = -1.0 if min_idf is None else min_idf
            # Pyserini's class fails on an index without terms
            searcher = (
                PyserinisSearcher(jvm.java_path(index_dir), _PassThroughEncoder(), limit) if self.num_docs else None
            )
            self._theirs: Any = searcher
            self._finalizer = weakref.finalize(self, _close, searcher)
            self._finalizer.atexit = False

    def search(self, q: str | Mapping[str, int], k: int = HITS_SHOWN) -> Hits:
        """Hits of one query, best first."""
        return self.batch_search([q], ["q"], k)["q"]

    def batch_search(
        self, queries: Iterable[str | Mapping[str, int]], qids: Iterable[str], k: int = HITS_SHOWN, threads: int = 1
    ) -> dict[str, Hits]:
        """Hits of each query, in the order of ``qids``."""
        queries, qids = check_batch(queries, qids, threads)
        depth = check_k(k)
        encoded = self._ours.encode_batch(queries)
        with _pyserini_lock, jvm.translated_exceptions(self._ours.index_dir):
            found = self._theirs.batch_search(encoded, qids, depth, threads) if self._theirs else {}
            return {qid: self._hits(found.get(qid, ())) for qid in qids}

    def _hits(self, hits: Any) -> Hits:
        # Anserini lowers tied scores by millionths, which is visible only in small scores; the true score is an integer
        rows = [(str(hit.docid), round(hit.score), int(hit.lucene_docid)) for hit in hits]
        return Hits(
            [docid for docid, _, _ in rows],
            np.array([score for _, score, _ in rows], dtype=np.int64),
            np.array([number for _, _, number in rows], dtype=np.int32),
            self._ours.reader,
        )

    def doc(self, docid: str | int) -> StoredDocument | None:
        """The stored document; see :meth:`LuceneImpactSearcher.doc`."""
        return self._ours.doc(docid)

    def close(self) -> None:
        """Closes the index's files."""
        self._finalizer()
        self._ours.close()

    def __enter__(self) -> PyseriniSearcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _close(searcher: Any) -> None:
    if searcher:
        with _pyserini_lock:
            searcher.close()


class _PassThroughEncoder:
    """A query encoder for Pyserini that returns encoded queries unchanged."""

    def encode(self, vector: Mapping[str, int]) -> dict[str, int]:
        return dict(vector)
