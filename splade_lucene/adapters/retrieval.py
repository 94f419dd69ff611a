"""The common base of the retrievers: an index, opened at the first search, and its search settings."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.errors import InputError, QueryError
from splade_lucene.fields.grammar import parse_filter
from splade_lucene.index.joined import IndexDirs, to_index_paths
from splade_lucene.records import FieldValue
from splade_lucene.search.approximation import Approximation
from splade_lucene.search.checks import check_k
from splade_lucene.search.hits import Hits, StoredDocument
from splade_lucene.search.hybrid import HybridFusion, to_fusion
from splade_lucene.search.searcher import LuceneImpactSearcher


@dataclass(frozen=True)
class FoundDocument:
    """A document that was found.

    Attributes:
        docid: External id.
        score: Its score: a sum of products of impacts, or the fused score of a hybrid search.
        text: The stored text; None if it was not asked for.
        fields: The values of its fields.
    """

    docid: str
    score: float
    text: str | None
    fields: Mapping[str, FieldValue]


class OpenedIndex:
    """An open searcher, or an index that is opened when it is first searched, in each process.

    Args:
        index: The folder of an index, the folders of several, or an object with the searcher's methods.
        options: Arguments of :class:`splade_lucene.LuceneImpactSearcher` for an index that is opened.

    Raises:
        InputError: There are options for a searcher that is open already, or no index is named.
    """

    def __init__(self, index: Any, **options: Any) -> None:
        self._lock = threading.Lock()
        self._options = {name: value for name, value in options.items() if value is not None}
        self._given = index if hasattr(index, "search") else None
        self._opened: LuceneImpactSearcher | None = None
        if self._given is None:
            self.paths = [str(path) for path in to_index_paths(index)]
        elif self._options:
            named = ", ".join(self._options)
            raise InputError(
                f"the searcher is already open, so {named} cannot be set", remedy="Open it with these settings"
            )

    @property
    def searcher(self) -> Any:
        """The searcher."""
        if self._given is not None:
            return self._given
        with self._lock:
            if self._opened is None:
                paths: IndexDirs = self.paths[0] if len(self.paths) == 1 else self.paths
                self._opened = LuceneImpactSearcher(paths, **self._options)
            return self._opened

    @property
    def is_given(self) -> bool:
        """Whether the searcher was given, so that no folder is known that could be opened again."""
        return self._given is not None

    def close(self) -> None:
        """Closes a searcher that was opened here; the next search opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_opened": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


class Retrieval:
    """Searches an index for a pipeline.

    Args:
        index: See :class:`OpenedIndex`.
        k: Maximum number of documents.
        filter: Restricts the documents; see :meth:`splade_lucene.LuceneImpactSearcher.search`.
        hybrid: Searches with BM25, too, and fuses both rankings: True, or how.
        approximation: Settings of approximate search.
        query_encoder: See :class:`splade_lucene.LuceneImpactSearcher`.
        with_text: Whether the stored texts are read. False for an index without texts, or where only ids matter.

    Raises:
        QueryError: A setting is out of range, or contradicts another one.
        InputError: See :class:`OpenedIndex`.
    """

    def __init__(
        self, index: Any, *, k: int = HITS_SHOWN, filter: Any = None, hybrid: HybridFusion | bool = False,
        approximation: Approximation | None = None, query_encoder: Any = None, with_text: bool = True,
    ) -> None:  # fmt: skip
        is_open = hasattr(index, "search")
        self.k, self.filter, self.with_text = check_k(k), filter, with_text
        self.hybrid = to_fusion(hybrid)
        if is_open:
            _check_offered(index, hybrid=self.hybrid is not None, approximation=approximation is not None)
        if is_open and self.hybrid is not None and approximation is not None:
            raise QueryError(
                "hybrid search with an open searcher always uses the searcher's own approximation",
                remedy="Set it when the searcher is opened",
            )
        self._approximation = approximation if is_open else None
        opened_with = None if is_open else approximation
        self.index = OpenedIndex(index, query_encoder=query_encoder, approximation=opened_with)

    def search(self, query: Any, *, k: int | None = None, filter: Any = None) -> list[FoundDocument]:
        """The documents found for a query, best first.

        Args:
            query: A text, the turns of a conversation, or {term: impact}. A blank one finds nothing.
            k: Maximum number of documents; None for the retriever's.
            filter: Restricts the documents further than the retriever's own filter does.

        Raises:
            QueryError: The query or the filter is wrong, or the index has no texts for a hybrid search.
            InputError: The index does not store the text of a document.
        """
        hits = self._hits(query, self.k if k is None else check_k(k), intersection(self.filter, filter))
        texts = stored_texts(hits.documents()) if self.with_text else [None] * len(hits)
        rows = zip(hits.docids, hits.scores.tolist(), texts, self._fields(hits), strict=True)
        return [FoundDocument(docid, float(score), text, fields) for docid, score, text, fields in rows]

    def _hits(self, query: Any, k: int, filter: Any) -> Hits:
        options = {"filter": filter, "approximation": self._approximation}
        options = {name: value for name, value in options.items() if value is not None}
        searcher = self.index.searcher
        found: Hits
        if self.hybrid is None:
            found = searcher.search(query, k, **options)
        else:
            found = searcher.search_hybrid(query, k, self.hybrid, **options)
        return found

    def _fields(self, hits: Hits) -> list[dict[str, FieldValue]]:
        return hits.fields() if len(hits) else []


def _check_offered(searcher: Any, *, hybrid: bool, approximation: bool) -> None:
    """Refuses settings that an open searcher does not support, such as one over another engine.

    Raises:
        QueryError: Names what it lacks.
    """
    lacking = "hybrid search" if hybrid and not hasattr(searcher, "search_hybrid") else ""
    lacking = "approximate search" if approximation and not hasattr(searcher, "approximation") else lacking
    if lacking:
        raise QueryError(
            f"{type(searcher).__name__} has no {lacking}", remedy="Leave it out, or pass the folder of an index"
        )


def intersection(*filters: Any) -> Any:
    """The intersection of several filters; None for none. Texts and conditions can be combined, and so can sets of docids.

    Raises:
        QueryError: A set of docids has to be joined with a condition.
    """
    given = [each for each in filters if each is not None]
    if len(given) < 2:
        return given[0] if given else None
    return reduce(
        lambda one, other: one & other, [parse_filter(each) if isinstance(each, str) else each for each in given]
    )


def stored_texts(documents: Iterable[StoredDocument]) -> list[str]:
    """The texts of documents.

    Raises:
        InputError: The index does not store one.
    """
    texts = []
    for document in documents:
        text = document.contents()
        if text is None:
            raise InputError(
                f"the index stores no text of the document {document.docid()!r:.80}",
                remedy="Build it with store='text', or use ids only (with_text=False)",
            )
        texts.append(text)
    return texts
