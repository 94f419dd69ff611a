"""LangChain: a retriever over an index.

>>> from splade_lucene import LuceneImpactIndexer, PseudoDocument, TokFreqQueryEncoder
>>> index_dir = getfixture("tmp_path") / "index"
>>> with LuceneImpactIndexer(index_dir) as indexer:
...     indexer.add([PseudoDocument("d1", "a cat", {"cat": 3}), PseudoDocument("d2", "dogs", {"cat": 1})])
>>> retriever = SpladeRetriever(index=index_dir, query_encoder=TokFreqQueryEncoder())
>>> for document in retriever.invoke("cat cat"):
...     print(document.id, document.page_content, document.metadata["score"])
d1 a cat 6.0
d2 dogs 2.0
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from splade_lucene.adapters.retrieval import FoundDocument, Retrieval, intersection
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.notes import note
from splade_lucene.search.approximation import Approximation
from splade_lucene.search.checks import check_k
from splade_lucene.search.hybrid import HybridFusion

with uninterrupted_imports(extra="langchain"):
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from pydantic import ConfigDict, PrivateAttr

if TYPE_CHECKING:
    from langchain_core.callbacks.manager import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun

_RESERVED = ("docid", "score")
_OPENED_WITH = ("index", "hybrid", "approximation", "query_encoder", "with_text")


class SpladeRetriever(BaseRetriever):
    """Retrieves documents of an impact index, with ``invoke``, ``ainvoke``, ``batch`` and what else a Runnable has.

    ``invoke(query, k=3, filter='year > 2019')`` changes the number of documents and restricts them further for one query.
    The attributes can be changed later, too: ``retriever.k = 3``.

    Each document has the stored text as ``page_content``, the docid as ``id``, and as metadata ``docid``, ``score`` and the
    values of its fields. A text without a term of the index, and a blank one, find nothing.

    Attributes:
        index: The folder of an index, the folders of several, or an open searcher.
        k: Maximum number of documents.
        filter: Restricts the documents; see :meth:`splade_lucene.LuceneImpactSearcher.search`.
        hybrid: Searches with BM25, too: True, or how both rankings are fused.
        approximation: Settings of approximate search.
        query_encoder: See :class:`splade_lucene.LuceneImpactSearcher`.
        with_text: Whether the stored texts are read; without, ``page_content`` is empty.

    Raises:
        InputError: When searched: the index stores no texts.
        QueryError: A setting or a filter is wrong.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    index: Any
    k: int = HITS_SHOWN
    filter: Any = None
    hybrid: HybridFusion | bool = False
    approximation: Approximation | None = None
    query_encoder: Any = None
    with_text: bool = True

    _retrieval: Retrieval = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Checks the settings. The index is opened for the first query."""
        super().model_post_init(context)
        check_k(self.k)
        self._retrieval = self._create_retrieval()

    def _create_retrieval(self) -> Retrieval:
        return Retrieval(**{name: getattr(self, name) for name in _OPENED_WITH})

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _OPENED_WITH:
            self._retrieval = self._create_retrieval()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with other attributes where ``update`` has them."""
        copied: Self = super().model_copy(update=update, deep=deep)
        if update and not update.keys().isdisjoint(_OPENED_WITH):
            copied._retrieval = copied._create_retrieval()
        return copied

    def _search(self, query: str, k: int | None, filter: Any) -> list[Document]:
        found = self._retrieval.search(query, k=self.k if k is None else k, filter=intersection(self.filter, filter))
        return [*map(_document, found)]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, filter: Any = None  # noqa: ARG002
    ) -> list[Document]:  # fmt: skip
        return self._search(query, k, filter)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None, filter: Any = None  # noqa: ARG002
    ) -> list[Document]:  # fmt: skip
        return await asyncio.to_thread(self._search, query, k, filter)


def _document(found: FoundDocument) -> Document:
    for name in _RESERVED:
        if name in found.fields:
            note(f"the index's field {name!r} is left out of the documents' metadata, where {name} is the hit's own")
    metadata = {**found.fields, "docid": found.docid, "score": found.score}
    return Document(id=found.docid, page_content=found.text or "", metadata=metadata)
