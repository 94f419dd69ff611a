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
from typing import TYPE_CHECKING, Any

from splade_lucene.adapters.retrieval import FoundDocument, Retrieval
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.notes import note
from splade_lucene.search.approximation import Approximation
from splade_lucene.search.hybrid import HybridFusion

with uninterrupted_imports(extra="langchain"):
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from pydantic import ConfigDict, PrivateAttr

if TYPE_CHECKING:
    from langchain_core.callbacks.manager import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun

_RESERVED = ("docid", "score")


class SpladeRetriever(BaseRetriever):
    """Retrieves documents of an impact index, with ``invoke``, ``ainvoke``, ``batch`` and what else a Runnable has.

    ``invoke(query, k=3, filter='year > 2019')`` changes the number of documents and restricts them further for one query.

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
        self._retrieval = Retrieval(
            self.index, k=self.k, filter=self.filter, hybrid=self.hybrid, approximation=self.approximation,
            query_encoder=self.query_encoder, with_text=self.with_text,
        )  # fmt: skip

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, filter: Any = None  # noqa: ARG002
    ) -> list[Document]:  # fmt: skip
        return [*map(_document, self._retrieval.search(query, k=k, filter=filter))]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None, filter: Any = None  # noqa: ARG002
    ) -> list[Document]:  # fmt: skip
        found = await asyncio.to_thread(self._retrieval.search, query, k=k, filter=filter)
        return [*map(_document, found)]


def _document(found: FoundDocument) -> Document:
    for name in _RESERVED:
        if name in found.fields:
            note(f"the index's field {name!r} is left out of the documents' metadata, where {name} is the hit's own")
    metadata = {**found.fields, "docid": found.docid, "score": found.score}
    return Document(id=found.docid, page_content=found.text or "", metadata=metadata)
