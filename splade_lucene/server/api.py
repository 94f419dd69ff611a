"""The routes under ``/api/v1``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.server import answers, changes, exports
from splade_lucene.server.context import ERRORS, Context
from splade_lucene.server.json_answers import SafeRoute, json_answer, to_json_bytes
from splade_lucene.server.problems import ApiError
from splade_lucene.server.runs import inspect_run
from splade_lucene.server.schemas import (
    AddBody,
    BatchBody,
    BatchLine,
    ChangeAnswer,
    DocumentAnswer,
    EncodeBody,
    ExpandAnswer,
    ExplainAnswer,
    ExplainBody,
    ExportBody,
    FieldAnswer,
    IndexAnswer,
    K,
    QueryPart,
    RunsAnswer,
    RunsBody,
    SearchAnswer,
    SearchBody,
    StatisticsAnswer,
    TermCount,
    Text,
)
from splade_lucene.server.statistics import statistics

QueryText = Annotated[Text, Query(description="The text of the query.")]
Docid = Annotated[Text, Query(min_length=1, description="The docid, whatever characters it has.")]
Prefix = Annotated[Text, Query(min_length=1, max_length=200, description="What the terms begin with.")]


def documented(model: Any, description: str) -> dict[int | str, dict[str, Any]]:
    """The answers of a route for OpenAPI."""
    return {**ERRORS, 200: {"model": model, "description": description}}


def api_routes(context: Context) -> APIRouter:
    """The routes for indexes, searches and documents."""
    router = APIRouter(
        prefix="/api/v1", route_class=SafeRoute, tags=["splade-lucene"], dependencies=[Depends(_check_parameters)]
    )
    _add_search_routes(router, context)
    _add_run_routes(router, context)
    _add_query_routes(router, context)
    _add_document_routes(router, context)
    _add_index_routes(router, context)
    return router


async def _check_parameters(request: Request) -> None:
    """Refuses parameters in the URL that would be ignored.

    Raises:
        ApiError: A route has no parameter of this name, or it is there twice.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if not names:
        return
    known = [each.alias for each in request.scope["route"].dependant.query_params]
    for name in names:
        if name not in known:
            has = f"it has {' and '.join(known)}" if known else "it has none"
            remedy = "Send all other settings in the body of a POST request"
            raise ApiError(422, "invalid-request", f"this route has no parameter {name!r:.200}; {has}", remedy)
        if names.count(name) > 1:
            raise ApiError(422, "invalid-request", f"the parameter {name} is given twice", "Give it once")


def _add_search_routes(router: APIRouter, context: Context) -> None:
    registry, work = context.registry, context.work

    @router.post("/{index}/search", responses=documented(SearchAnswer, "The hits, best first"))
    async def search(request: Request, index: str, body: SearchBody) -> Response:
        """Searches for a text or a vector."""
        started, opened = time.perf_counter(), registry[index]
        context.check_settings(body)
        vector = await context.encoded(request, opened, body, body.engine)
        return Response(
            await work.run(request, lambda: to_json_bytes(answers.search(opened, body, vector, started))),
            media_type="application/json",
        )

    @router.get("/{index}/search", responses=documented(SearchAnswer, "The hits, best first"))
    async def search_text(request: Request, index: str, query: QueryText, k: K = HITS_SHOWN) -> Response:
        """Searches for a text."""
        return await search(request, index, SearchBody(query=query, k=k))

    @router.post(
        "/{index}/batch",
        responses={**ERRORS, 200: {
            "content": {"application/x-ndjson": {"schema": BatchLine.model_json_schema()}},
            "description": "A line of JSON for each query, in their order",
        }},
    )  # fmt: skip
    async def batch(request: Request, index: str, body: BatchBody) -> Response:
        """Searches for several queries, and sends the hits of each as soon as they are found."""
        opened = registry[index]
        context.check_settings(body)
        context.check_batch(body.queries, "queries")
        for query in body.queries:
            context.check_query(query)
        if len({query.qid for query in body.queries}) < len(body.queries):
            raise ApiError(400, "bad-query", "two queries have the same qid", "Make all qids unique")
        vectors = await work.run(request, answers.batch_vectors, opened, body)
        items = answers.batch(opened, [(each.qid, each) for each in body.queries], vectors, body)

        async def lines() -> AsyncIterator[bytes]:
            async for item in work.stream(request, items):
                yield to_json_bytes(item) + b"\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")


def _add_run_routes(router: APIRouter, context: Context) -> None:
    registry, work = context.registry, context.work

    @router.post(
        "/{index}/export",
        responses={**ERRORS, 200: {
            "content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The hits, or the code that finds them"
        }},
    )  # fmt: skip
    async def export(request: Request, index: str, body: ExportBody) -> Response:
        """Searches, and answers with a TREC run, JSON, or the lines of Python that find the same hits."""
        opened = registry[index]
        context.check_settings(body)
        vector = await context.encoded(request, opened, body, body.engine)
        return Response(await work.run(request, exports.export, opened, body, vector), media_type="text/plain")

    @router.post("/{index}/runs", responses=documented(RunsAnswer, "The queries, worst first"))
    async def runs(request: Request, index: str, body: RunsBody) -> Response:
        """The queries of a run with the values of a measure, the worst first. Nothing is kept."""
        registry[index]
        return json_answer(await work.run(request, inspect_run, body))


def _add_query_routes(router: APIRouter, context: Context) -> None:
    registry, work = context.registry, context.work

    @router.get("/{index}/expand", responses=documented(ExpandAnswer, "The terms, largest weight first"))
    async def expand(request: Request, index: str, query: QueryText) -> Response:
        """The terms that the model makes of a query."""
        opened, part = registry[index], QueryPart(query=query)
        vector = await context.encoded(request, opened, part)
        terms = await work.run(request, answers.listed_terms, opened.searcher, query, vector)
        return json_answer({"query": query, "terms": terms})

    @router.post("/{index}/explain", responses=documented(ExplainAnswer, "The score and what it is made of"))
    async def explain(request: Request, index: str, body: ExplainBody) -> Response:
        """A document's score and rank for a query, and the terms that it lacks."""
        opened = registry[index]
        context.check_filter(body.filter)
        vector = await context.encoded(request, opened, body)
        return json_answer(await work.run(request, answers.explain, opened, vector, body.docid, body.filter))

    @router.post("/{index}/encode", responses=documented(list[dict[str, int]], "A vector for each text"))
    async def encode(request: Request, index: str, body: EncodeBody) -> Response:
        """Encodes texts with the index's model as queries or documents, quantized by its rule."""
        opened = registry[index]
        context.check_batch(body.texts, "texts")
        for text in body.texts:
            context.check_query(QueryPart(query=text))
        encode = answers.encode_documents if body.kind == "document" else answers.encode_queries
        return json_answer(await work.run(request, encode, opened, body.texts))


def _add_document_routes(router: APIRouter, context: Context) -> None:
    registry, work = context.registry, context.work

    @router.get("/{index}/similar", responses=documented(SearchAnswer, "The hits, best first"))
    async def similar_to(request: Request, index: str, docid: Docid, k: K = HITS_SHOWN) -> Response:
        """The documents most similar to a given one, also if its docid does not fit into a path."""
        return await similar(request, index, docid, k)

    @router.get("/{index}/documents/{docid:path}/similar", responses=documented(SearchAnswer, "The hits, best first"))
    async def similar(request: Request, index: str, docid: str, k: K = HITS_SHOWN) -> Response:
        """The documents most similar to a given one."""
        context.check_hits(k)
        return json_answer(await work.run(request, answers.similar, registry[index], docid, k))

    @router.get("/{index}/documents", responses=documented(DocumentAnswer, "The document"))
    async def document_named(request: Request, index: str, docid: Docid) -> Response:
        """A document with its text, fields and vector, also if its docid does not fit into a path."""
        return await document(request, index, docid)

    @router.get("/{index}/documents/{docid:path}", responses=documented(DocumentAnswer, "The document"))
    async def document(request: Request, index: str, docid: str) -> Response:
        """A document with its text, fields and vector."""
        return json_answer(await work.run(request, answers.document, registry[index], docid))

    @router.post("/{index}/documents", responses=documented(ChangeAnswer, "What was changed"))
    async def add(request: Request, index: str, body: AddBody) -> Response:
        """Adds documents with the index's own model, or pseudo-documents; all at once. Needs the token."""
        context.check_change(request)
        context.check_batch(body.documents, "documents")
        return json_answer(await work.change(request, changes.add, registry[index], body.documents))

    @router.delete("/{index}/documents", responses=documented(ChangeAnswer, "What was changed"))
    async def delete_named(request: Request, index: str, docid: Docid) -> Response:
        """Deletes a document, also if its docid does not fit into a path. Needs the token."""
        return await delete(request, index, docid)

    @router.delete("/{index}/documents/{docid:path}", responses=documented(ChangeAnswer, "What was changed"))
    async def delete(request: Request, index: str, docid: str) -> Response:
        """Deletes a document. Needs the token."""
        context.check_change(request)
        return json_answer(await work.change(request, changes.delete, registry[index], docid))


def _add_index_routes(router: APIRouter, context: Context) -> None:
    registry, work, read_only = context.registry, context.work, not context.settings.can_change

    @router.get("/indexes", responses=documented(list[IndexAnswer], "The indexes"))
    async def indexes(request: Request) -> Response:
        """The indexes of this server."""
        found = [
            await work.run(request, lambda each=each: answers.describe(each, read_only=read_only)) for each in registry
        ]
        return json_answer(found)

    @router.get("/{index}/fields", responses=documented(list[FieldAnswer], "The fields"))
    async def fields(request: Request, index: str) -> Response:
        """The fields of documents, with their keywords or ranges."""
        return json_answer(await work.run(request, answers.fields, registry[index]))

    @router.get("/{index}/terms", responses=documented(list[TermCount], "The terms, most frequent first"))
    async def terms(request: Request, index: str, prefix: Prefix, k: K = HITS_SHOWN) -> Response:
        """The terms of the index that begin with a text."""
        context.check_hits(k)
        return json_answer(await work.run(request, answers.terms, registry[index], prefix, k))

    @router.get("/{index}/stats", responses=documented(StatisticsAnswer, "The statistics"))
    async def stats(request: Request, index: str) -> Response:
        """Distributions, frequent and heavy terms, bytes by part, and the profiles of the last searches."""
        return json_answer(await work.change(request, statistics, registry[index]))
