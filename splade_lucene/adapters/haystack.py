"""Haystack: a retriever component over an index, and Haystack's filters as filters of ours.

>>> print(to_filter({"field": "meta.year", "operator": ">=", "value": 2019}))
year >= 2019
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import reduce
from typing import Any

from splade_lucene.adapters.retrieval import FoundDocument, Retrieval
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.errors import InputError, QueryError
from splade_lucene.fields.expression import Filter, where
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.search.approximation import Approximation
from splade_lucene.search.checks import check_k
from splade_lucene.search.hybrid import HybridFusion
from splade_lucene.search.searcher import DocumentFilter

with uninterrupted_imports(extra="haystack"):
    from haystack import Document, component, default_from_dict, default_to_dict

_META = "meta."
_OF_DOCUMENTS = ("id", "content", "blob", "score", "embedding", "sparse_embedding")


@component
class SpladeRetriever:
    """Retrieves documents of an impact index; a component with ``run`` and ``run_async``.

    Each document has the docid as its id, the stored text as content, the values of its fields as ``meta``, and the score. A
    text without a term of the index, and a blank one, find nothing.

    Args:
        index: The folder of an index, the folders of several, or an open searcher.
        filters: Restricts the documents: Haystack's filters, see :func:`to_filter`, or a text or condition as
            :meth:`splade_lucene.LuceneImpactSearcher.search` takes.
        top_k: Maximum number of documents.
        hybrid: Searches with BM25, too: True, or how both rankings are fused.
        approximation: Settings of approximate search.
        query_encoder: See :class:`splade_lucene.LuceneImpactSearcher`.
        with_text: Whether the stored texts are read; without, the content is None.

    Raises:
        InputError: When searched: the index stores no texts.
        QueryError: A setting or a filter is wrong.
    """

    def __init__(
        self, index: Any, filters: Any = None, top_k: int = HITS_SHOWN, *, hybrid: HybridFusion | bool = False,
        approximation: Approximation | None = None, query_encoder: Any = None, with_text: bool = True,
    ) -> None:  # fmt: skip
        self._filters, self.hybrid, self.approximation = filters, hybrid, approximation
        self.query_encoder = query_encoder
        self._retrieval = Retrieval(
            index, k=check_k(top_k, "top_k"), filter=_filter_of(filters), hybrid=hybrid, approximation=approximation,
            query_encoder=query_encoder, with_text=with_text,
        )  # fmt: skip

    @property
    def top_k(self) -> int:
        """Maximum number of documents."""
        return self._retrieval.k

    @top_k.setter
    def top_k(self, top_k: int) -> None:
        self._retrieval.k = check_k(top_k, "top_k")

    @property
    def filters(self) -> Any:
        """What restricts the documents."""
        return self._filters

    @filters.setter
    def filters(self, filters: Any) -> None:
        self._retrieval.filter, self._filters = _filter_of(filters), filters

    def warm_up(self) -> None:
        """Opens the index, as pipelines do before their first run."""
        self._retrieval.index.searcher  # noqa: B018

    @component.output_types(documents=list[Document])
    def run(self, query: str, filters: Any = None, top_k: int | None = None) -> dict[str, list[Document]]:
        """Retrieves documents.

        Args:
            query: The text; or {term: impact}.
            filters: Restricts the documents further than the component's own filters do.
            top_k: Maximum number of documents; None for the component's.

        Returns:
            ``documents``: the documents, best first.

        Raises:
            InputError: The index stores no texts.
            QueryError: The query or the filters are wrong.
        """
        return {"documents": self._documents(query, filters, top_k)}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, filters: Any = None, top_k: int | None = None) -> dict[str, list[Document]]:
        """As :meth:`run`, in a thread of its own."""
        return {"documents": await asyncio.to_thread(self._documents, query, filters, top_k)}

    def _documents(self, query: Any, filters: Any, top_k: int | None) -> list[Document]:
        return [*map(_document, self._retrieval.search(query, k=top_k, filter=_filter_of(filters)))]

    def to_dict(self) -> dict[str, Any]:
        """The component as a dictionary, for the YAML of a pipeline.

        Raises:
            InputError: The index is an open searcher, or a filter or encoder is an object, so that no file can name it.
        """
        index = self._retrieval.index
        if index.is_given or (self.query_encoder is not None and not isinstance(self.query_encoder, str)):
            raise InputError(
                "a component with an open searcher or query encoder cannot be written to a file",
                remedy="Pass the folder of the index, and the name of the checkpoint",
            )
        if isinstance(self.filters, DocumentFilter):
            raise InputError(
                "a component with a filter of docids cannot be written to a file",
                remedy="Pass a condition on the fields of documents",
            )
        return default_to_dict(  # type: ignore[no-any-return]
            self,
            index=index.paths,
            filters=str(self.filters) if isinstance(self.filters, Filter) else self.filters,
            top_k=self.top_k,
            hybrid=asdict(self.hybrid) if isinstance(self.hybrid, HybridFusion) else self.hybrid,
            approximation=asdict(self.approximation) if self.approximation else None,
            query_encoder=self.query_encoder,
            with_text=self._retrieval.with_text,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SpladeRetriever:
        """The component of a dictionary that :meth:`to_dict` made."""
        given = dict(data.get("init_parameters", {}))
        if isinstance(given.get("hybrid"), Mapping):
            given["hybrid"] = HybridFusion(**given["hybrid"])
        if given.get("approximation"):
            given["approximation"] = Approximation(**given["approximation"])
        return default_from_dict(cls, {**data, "init_parameters": given})  # type: ignore[no-any-return]


def _document(found: FoundDocument) -> Document:
    return Document(id=found.docid, content=found.text, meta=dict(found.fields), score=found.score)


# ---- filters ----


def _filter_of(filters: Any) -> Any:
    return to_filter(filters) if isinstance(filters, Mapping) else filters


def to_filter(filters: Mapping[str, Any]) -> Filter | None:
    """The filter that accepts the same documents as Haystack's filters; None for an empty dictionary.

    ``meta.year`` and ``year`` are the field ``year`` of the index. A field of several keywords fulfils a comparison if one
    of them does. A document without the field fulfils ``!=``, ``not in`` and ``== None`` only.

    Raises:
        QueryError: The filters are malformed, or one has no equivalent, such as a comparison with the content.
    """
    if not filters:
        return None
    return _comparison(filters) if "field" in filters else _logic(filters)


def _logic(given: Mapping[str, Any]) -> Filter:
    operator, conditions = given.get("operator"), given.get("conditions")
    if operator not in ("AND", "OR", "NOT") or not isinstance(conditions, list | tuple):
        raise QueryError(
            f"this is neither a comparison nor a combination of conditions: {given!r:.120}",
            remedy='Write {"field", "operator", "value"}, or {"operator": "AND", "OR" or "NOT", "conditions": [...]}',
        )
    parts: list[Filter] = []
    for each in conditions:
        if not isinstance(each, Mapping) or (part := to_filter(each)) is None:
            raise QueryError(f"a condition must be a dictionary that is not empty, got {each!r:.80}")
        parts.append(part)
    if not parts:
        raise QueryError(f"{operator} needs conditions: {given!r:.120}", remedy="Leave it out")
    if operator == "OR":
        return reduce(Filter.__or__, parts)
    both = reduce(Filter.__and__, parts)
    return ~both if operator == "NOT" else both  # Haystack's NOT: not all of them


def _comparison(given: Mapping[str, Any]) -> Filter:
    if "operator" not in given or "value" not in given:
        raise QueryError(f"a comparison needs 'field', 'operator' and 'value', got {given!r:.120}")
    name, operator, value = given["field"], given["operator"], given["value"]
    if name in _OF_DOCUMENTS:
        raise _refused(given, f"{name} is not a field of the index", "Compare fields: meta.NAME")
    field = where(name.removeprefix(_META) if isinstance(name, str) else name)
    if operator in ("in", "not in"):
        if not isinstance(value, list | tuple):
            raise _refused(given, "its value must be a list", "Pass a list")
        return field.is_in(value) if operator == "in" else ~field.is_in(value)
    if operator not in _COMPARED:
        known = ", ".join([*_COMPARED, "in", "not in"])
        raise _refused(given, "the operator is unknown", f"Use one of {known}")
    if value is None and operator in ("==", "!="):
        return field.exists() if operator == "!=" else ~field.exists()
    if value is None or isinstance(value, list | tuple | Mapping):
        raise _refused(given, "a field is compared with a single value", "Use 'in', or one comparison for each value")
    return _COMPARED[operator](field, value)


_COMPARED: dict[str, Callable[[where, Any], Filter]] = {
    "==": where.__eq__,
    "!=": where.__ne__,
    ">": where.__gt__,
    ">=": where.__ge__,
    "<": where.__lt__,
    "<=": where.__le__,
}


def _refused(given: Mapping[str, Any], reason: str, remedy: str) -> QueryError:
    shown = f"{given['field']} {given['operator']} {given['value']!r}"
    return QueryError(f"the filter {shown:.120} has no equivalent: {reason}", remedy=remedy)
