"""LlamaIndex: a retriever over an index, and its metadata filters as filters of ours.

>>> from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
>>> print(to_filter(MetadataFilters(filters=[MetadataFilter(key="year", value=2019, operator=">=")])))
year >= 2019
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

from splade_lucene.adapters.retrieval import FoundDocument, Retrieval
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.errors import QueryError
from splade_lucene.fields.expression import Filter, where
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.search.approximation import Approximation
from splade_lucene.search.checks import check_k
from splade_lucene.search.hybrid import HybridFusion

with uninterrupted_imports(extra="llamaindex"):
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

if TYPE_CHECKING:
    from llama_index.core.callbacks.base import CallbackManager
    from llama_index.core.schema import QueryBundle


class SpladeRetriever(BaseRetriever):
    """Retrieves documents of an impact index, with ``retrieve`` and ``aretrieve``.

    Each node has the docid as its id, the stored text, the values of the document's fields as metadata, and the score. A text
    without a term of the index, and a blank one, find nothing.

    Args:
        index: The folder of an index, the folders of several, or an open searcher.
        similarity_top_k: Maximum number of nodes.
        filters: Restricts the nodes: LlamaIndex's filters, see :func:`to_filter`, or what
            :meth:`splade_lucene.LuceneImpactSearcher.search` takes.
        hybrid: Searches with BM25, too: True, or how both rankings are fused.
        approximation: Settings of approximate search.
        query_encoder: See :class:`splade_lucene.LuceneImpactSearcher`.
        with_text: Whether the stored texts are read; without, the nodes' texts are empty.
        callback_manager: LlamaIndex's.

    Raises:
        InputError: When searched: the index stores no texts.
        QueryError: A setting or a filter is wrong.
    """

    def __init__(
        self, index: Any, similarity_top_k: int = HITS_SHOWN, filters: Any = None, *, hybrid: HybridFusion | bool = False,
        approximation: Approximation | None = None, query_encoder: Any = None, with_text: bool = True,
        callback_manager: CallbackManager | None = None,
    ) -> None:  # fmt: skip
        self._retrieval = Retrieval(
            index, k=check_k(similarity_top_k, "similarity_top_k"),
            filter=to_filter(filters) if isinstance(filters, MetadataFilters) else filters, hybrid=hybrid,
            approximation=approximation, query_encoder=query_encoder, with_text=with_text,
        )  # fmt: skip
        super().__init__(callback_manager=callback_manager)

    @property
    def similarity_top_k(self) -> int:
        """Maximum number of nodes."""
        return self._retrieval.k

    @similarity_top_k.setter
    def similarity_top_k(self, similarity_top_k: int) -> None:
        self._retrieval.k = check_k(similarity_top_k, "similarity_top_k")

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [*map(_node, self._retrieval.search(query_bundle.query_str))]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [*map(_node, await asyncio.to_thread(self._retrieval.search, query_bundle.query_str))]


def _node(found: FoundDocument) -> NodeWithScore:
    node = TextNode(id_=found.docid, text=found.text or "", metadata=dict(found.fields))
    return NodeWithScore(node=node, score=found.score)


def to_filter(filters: MetadataFilters) -> Filter | None:
    """The filter that accepts the same documents as LlamaIndex's filters; None if there are none.

    The keys are fields of the index. A field of several keywords fulfils a comparison if one of them does. A document
    without the field fulfils ``!=``, ``nin`` and ``is_empty`` only.

    Raises:
        QueryError: A filter has no equivalent, such as ``text_match``.
    """
    parts = [part for each in filters.filters if (part := _translated(each)) is not None]
    if not parts:
        return None
    if filters.condition not in ("or", "not"):  # as strings, because older versions have no NOT
        return reduce(Filter.__and__, parts)
    either = reduce(Filter.__or__, parts)
    return ~either if filters.condition == "not" else either  # LlamaIndex's NOT: none of them


def _translated(each: MetadataFilter | MetadataFilters) -> Filter | None:
    if isinstance(each, MetadataFilters):
        return to_filter(each)
    field, operator, value = where(each.key), each.operator, each.value
    if operator == FilterOperator.IS_EMPTY:
        return ~field.exists()
    if operator in _OF_LISTS:
        if not isinstance(value, list):
            raise _refused(each, "its value must be a list")
        return _OF_LISTS[operator](field, value)
    if operator not in _OF_VALUES:
        raise _refused(each, "fields are compared as a whole, not by a part of their text")
    if value is None or isinstance(value, list):
        raise _refused(each, "its value must be a string or a number")
    return _OF_VALUES[operator](field, value)


def _all_in(field: where, values: list[Any]) -> Filter:
    if not values:
        raise QueryError("a filter 'all' needs values", remedy="Leave it out")
    every: list[Filter] = [field == value for value in values]
    return reduce(Filter.__and__, every)


_OF_VALUES: dict[FilterOperator, Callable[[where, Any], Filter]] = {
    FilterOperator.EQ: where.__eq__,
    FilterOperator.CONTAINS: where.__eq__,
    FilterOperator.NE: where.__ne__,
    FilterOperator.GT: where.__gt__,
    FilterOperator.GTE: where.__ge__,
    FilterOperator.LT: where.__lt__,
    FilterOperator.LTE: where.__le__,
}
_OF_LISTS: dict[FilterOperator, Callable[[where, list[Any]], Filter]] = {
    FilterOperator.IN: where.is_in,
    FilterOperator.ANY: where.is_in,
    FilterOperator.NIN: lambda field, values: ~field.is_in(values),
    FilterOperator.ALL: _all_in,
}


def _refused(each: MetadataFilter, reason: str) -> QueryError:
    shown = f"{each.key} {each.operator.value} {each.value!r}"
    return QueryError(
        f"the filter {shown:.120} has no equivalent: {reason}",
        remedy="Pass one of our filters: 'lang = \"de\" and year >= 2019'",
    )
