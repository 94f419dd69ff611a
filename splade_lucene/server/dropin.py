"""The paths of other servers, so that their clients work unchanged.

=====================================  ==========================================================================
``/v1/{index}/search``, ``…/doc/…``    Anserini's ``io.anserini.api.RestServer``
``/v1/indexes/…``                      Pyserini's ``pyserini.server.rest``
``/embed_sparse``                      Text Embeddings Inference
=====================================  ==========================================================================

Responses and errors have the format of those servers. The hits are impact scores; Anserini's server would use BM25.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.encoder.sparse import SparseWeights
from splade_lucene.files.json_text import parse_json
from splade_lucene.search.cancellation import check_cancelled
from splade_lucene.search.searcher import LuceneImpactSearcher
from splade_lucene.server.answers import query_batches
from splade_lucene.server.context import Context
from splade_lucene.server.json_answers import SafeRoute, json_answer, to_json_bytes
from splade_lucene.server.problems import ApiError
from splade_lucene.server.registry import OpenIndex, Registry
from splade_lucene.server.schemas import QueryPart, Text
from splade_lucene.server.stored_json import format_document

_PROMPTS = ("query", "document")
_TYPES = ("tf", "lucene_flat", "lucene_hnsw", "impact", "faiss")


class AnseriniError(BaseModel):
    """An error as Anserini's server answers it."""

    error: str


class PyseriniError(BaseModel):
    """An error as Pyserini's server answers it."""

    detail: str


class TeiError(BaseModel):
    """An error as Text Embeddings Inference answers it."""

    error: str
    error_type: str


def dropin_routes(context: Context) -> APIRouter:
    """All these routes."""
    router = APIRouter(route_class=SafeRoute)
    _add_pyserini(router, context)
    _add_pyserini_settings(router, context.registry)
    _add_anserini(router, context)
    _add_tei(router, context)
    return router


def _answers(model: Any, error: Any, *statuses: int) -> dict[int | str, dict[str, Any]]:
    common = (401, 403, 405, 408, 413, 422, 429, 500, 503)
    return {
        200: {"model": model},
        **{status: {"model": error, "description": "An error"} for status in (*statuses, *common)},
    }


# ---- Anserini ----


class Candidate(BaseModel):
    """A hit of Anserini's server."""

    docid: str
    score: float
    rank: int
    doc: Any


class AnseriniQuery(BaseModel):
    """The query."""

    text: str


class AnseriniHits(BaseModel):
    """The hits of Anserini's server."""

    api: Literal["v1"]
    index: str
    query: AnseriniQuery
    candidates: list[Candidate]


class AnseriniDocument(BaseModel):
    """A document of Anserini's server."""

    api: Literal["v1"]
    index: str
    docid: str
    doc: Any


Hits = Annotated[str, Query(description="Number of hits.")]
Parse = Annotated[str, Query(description="true or false: whether to parse what is stored.")]


def _add_anserini(router: APIRouter, context: Context) -> None:
    work = context.work

    @router.get("/v1/{index}/search", responses=_answers(AnseriniHits, AnseriniError, 400, 404), tags=["Anserini"])
    async def search(
        request: Request, index: str, query: Text = "", hits: Hits = str(HITS_SHOWN), parse: Parse = "true"
    ) -> Response:
        """Searches, as Anserini's RestServer does."""
        if not query.strip():
            raise ApiError(400, "bad-query", "Parameter 'query' is required")
        k, is_parsed = _positive(hits), _flag(parse)
        context.check_hits(k)
        opened = _opened(context, index)
        vector = await context.encoded(request, opened, QueryPart(query=query))

        def find() -> bytes:
            found = opened.searcher.search(vector, k)
            opened.record(query, len(vector), found)
            rows = zip(found.docids, found.scores.tolist(), found.documents(), strict=True)
            candidates = [
                {
                    "docid": docid,
                    "score": float(score),
                    "rank": rank,
                    "doc": format_document(stored.raw(), parse=is_parsed),
                }
                for rank, (docid, score, stored) in enumerate(rows, 1)
            ]
            return to_json_bytes({"api": "v1", "index": index, "query": {"text": query}, "candidates": candidates})

        return Response(await work.run(request, find), media_type="application/json")

    @router.get(
        "/v1/{index}/doc/{docid:path}", responses=_answers(AnseriniDocument, AnseriniError, 400, 404), tags=["Anserini"]
    )
    async def document(request: Request, index: str, docid: str, parse: Parse = "true") -> Response:
        """A stored document, as Anserini's RestServer shows it."""
        is_parsed = _flag(parse)
        stored = await work.run(request, _opened(context, index).searcher.doc, docid)
        if stored is None:
            raise ApiError(404, "unknown-document", f"Document not found: {docid}")
        doc = format_document(stored.raw(), parse=is_parsed)
        return json_answer({"api": "v1", "index": index, "docid": docid, "doc": doc})


def _opened(context: Context, name: str) -> OpenIndex:
    try:
        return context.registry[name]
    except ApiError:
        raise ApiError(400, "unknown-index", f"Unable to open index: {name}") from None


def _positive(text: str) -> int:
    if not text.lstrip("+-").isdecimal() or not text.isascii() or len(text) > 10:
        raise ApiError(400, "bad-input", "Parameter 'hits' must be an integer")
    if int(text) < 1:
        raise ApiError(400, "bad-input", "Parameter 'hits' must be positive")
    return int(text)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ApiError(400, "bad-input", "Parameter 'parse' must be 'true' or 'false'")
    return text.lower() == "true"


# ---- Pyserini ----


class PyseriniSearch(BaseModel):
    """The body of a search of Pyserini's server."""

    query: Text | dict[str, Any]
    hits: int = Field(default=HITS_SHOWN, ge=1)
    qid: Text = ""
    ef_search: int | None = None
    encoder: str | None = None
    query_generator: str | None = None
    instruction_config: str | None = None


class PyseriniQuery(BaseModel):
    """The query of a search of Pyserini's server."""

    qid: str
    query_txt: str
    query_img_path: str | None = None
    query_modality: str | None = "text"
    fp16: bool | None = False


class PyseriniCandidate(BaseModel):
    """A hit of Pyserini's server."""

    docid: str
    score: float
    document_txt: str
    document_img_path: str | None = None
    encoded_img: str | None = None


class PyseriniHits(BaseModel):
    """The hits of Pyserini's server."""

    query: PyseriniQuery
    candidates: list[PyseriniCandidate]


class PyseriniStatus(BaseModel):
    """The status of an index of Pyserini's server."""

    downloaded: bool
    size_bytes: str


class PyseriniSettings(BaseModel):
    """The settings of an index of Pyserini's server."""

    efSearch: str | None = None  # noqa: N815 - its name there
    encoder: str | None = None
    queryGenerator: str | None = None  # noqa: N815


class PyseriniDone(BaseModel):
    """What Pyserini's server answers to new settings."""

    status: Literal["success"]


def _add_pyserini(router: APIRouter, context: Context) -> None:
    registry, work = context.registry, context.work

    @router.post(
        "/v1/indexes/{index}/search", responses=_answers(PyseriniHits, PyseriniError, 400, 404), tags=["Pyserini"]
    )
    async def search(request: Request, index: str, body: PyseriniSearch) -> Response:
        """Searches, as Pyserini's REST server does."""
        opened = registry[index]
        context.check_hits(body.hits)
        text, qid = _pyserini_query(body)
        vector = await context.encoded(request, opened, QueryPart(query=text))

        def find() -> bytes:
            found = opened.searcher.search(vector, body.hits)
            opened.record(text, len(vector), found)
            rows = zip(found.docids, found.scores.tolist(), found.documents(), strict=True)
            candidates = [
                {"docid": docid, "score": float(score), "document_txt": _pyserini_text(stored.raw()),
                 "document_img_path": None, "encoded_img": None}
                for docid, score, stored in rows
            ]  # fmt: skip
            query = {"qid": qid, "query_txt": text, "query_img_path": None, "query_modality": "text", "fp16": False}
            return to_json_bytes({"query": query, "candidates": candidates})

        return Response(await work.run(request, find), media_type="application/json")

    @router.get(
        "/v1/indexes/{index}/documents/{docid:path}", responses=_answers(dict[str, str], PyseriniError, 400, 404),
        tags=["Pyserini"],
    )  # fmt: skip
    async def document(request: Request, index: str, docid: str) -> Response:
        """A stored document, as Pyserini's REST server shows it: all members of its JSON that are texts."""
        stored = await work.run(request, registry[index].searcher.doc, docid)
        if stored is None:
            raise ApiError(404, "unknown-document", f"Document {docid} not found in index {index}")
        record = _record(stored.raw())
        return json_answer({"id": docid, **{name: value for name, value in record.items() if isinstance(value, str)}})

    @router.get(
        "/v1/indexes/{index}/status", responses=_answers(PyseriniStatus, PyseriniError, 400, 404), tags=["Pyserini"]
    )
    async def status(request: Request, index: str) -> Response:
        """Whether an index is there, and its size."""
        size = await work.change(request, _size, registry[index].searcher)
        return json_answer({"downloaded": True, "size_bytes": str(size)})

    @router.get("/v1/indexes/", responses=_answers(list[str], PyseriniError, 400), tags=["Pyserini"])
    async def indexes(index_type: str) -> Response:
        """The names of the indexes of a type; ours are impact indexes."""
        return json_answer(names_of_type(registry, index_type))


def names_of_type(registry: Registry, index_type: str) -> list[str]:
    """The names of the indexes of one of Pyserini's types; ours are impact indexes.

    Raises:
        ApiError: There is no such type.
    """
    if index_type not in _TYPES:
        raise ApiError(400, "bad-input", f"Index type must be one of {list(_TYPES)}")
    return [index.name for index in registry] if index_type == "impact" else []


def _add_pyserini_settings(router: APIRouter, registry: Registry) -> None:
    @router.get(
        "/v1/indexes/{index}/settings", responses=_answers(PyseriniSettings, PyseriniError, 400, 404), tags=["Pyserini"]
    )
    async def settings(index: str) -> Response:
        """The settings of an index: its encoder, which cannot be changed."""
        return json_answer({"efSearch": None, "encoder": registry[index].model, "queryGenerator": None})

    @router.post(
        "/v1/indexes/{index}/settings", responses=_answers(PyseriniDone, PyseriniError, 400, 404), tags=["Pyserini"]
    )
    async def change_settings(index: str, body: PyseriniSettings) -> Response:
        """Takes settings that an impact index has no use for, as Pyserini's REST server does; its encoder is its own."""
        model = registry[index].model
        if body.encoder not in (None, "", model):
            raise ApiError(400, "bad-input", f"The encoder of index {index} is {model}", "Leave encoder out")
        return json_answer({"status": "success"})


def _pyserini_query(body: PyseriniSearch) -> tuple[str, str]:
    """The text and the qid of a query, which may be a text or {"query_txt": …, "qid": …}."""
    if isinstance(body.query, str):
        text, qid = body.query, body.qid
    else:
        text, qid = body.query.get("query_txt") or "", body.query.get("qid") or body.qid
    if not isinstance(text, str) or not isinstance(qid, str) or not text:
        raise ApiError(
            404, "bad-query",
            "Missing query text for single modality dataset! Please provide a query text for this index!",
        )  # fmt: skip
    return text, qid


def _record(raw: str | None) -> Mapping[str, Any]:
    try:
        record = parse_json(raw or "{}", object_pairs_hook=dict)
    except ValueError:
        return {"contents": raw}
    return record if isinstance(record, dict) else {"contents": raw}


def _pyserini_text(raw: str | None) -> str:
    record = _record(raw)
    text = record.get("contents") or record.get("text") or record.get("segment") or ""
    return text if isinstance(text, str) else ""


def _size(searcher: LuceneImpactSearcher) -> int:
    size: int = searcher.reader.statistics()["bytes"]
    return size


# ---- Text Embeddings Inference ----


class EmbedBody(BaseModel):
    """Texts to encode."""

    inputs: Text | list[Text]
    truncate: bool | None = None
    truncation_direction: Literal["Right", "right"] = "Right"
    prompt_name: str | None = Field(default=None, description="query or document: encode as queries or documents.")
    model: str | None = Field(default=None, description="If given, it must be the model of the first index.")


class SparseValue(BaseModel):
    """A term_id of the vocabulary and its weight."""

    index: int
    value: float


def _add_tei(router: APIRouter, context: Context) -> None:
    @router.post(
        "/embed_sparse",
        responses=_answers(list[list[SparseValue]], TeiError, 400, 424),
        tags=["Text Embeddings Inference"],
    )
    async def embed_sparse(request: Request, body: EmbedBody) -> Response:
        """Encodes texts with the model of the first index: the weights of terms, as floats, not quantized."""
        texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        first = context.registry.first
        if not texts:
            raise ApiError(422, "invalid-request", "`inputs` cannot be empty")
        if body.prompt_name not in (None, *_PROMPTS):
            known = " and ".join(_PROMPTS)
            raise ApiError(422, "invalid-request", f"unknown `prompt_name` {body.prompt_name!r:.80}; there are {known}")
        if body.model not in (None, first.model):
            raise ApiError(422, "invalid-request", f"the model is {first.model}, not {body.model!r:.200}")
        context.check_batch(texts, "texts")
        for text in texts:
            context.check_query(QueryPart(query=text))
        as_query = body.prompt_name == "query"
        weights = await context.work.run(request, _encode, first, texts, as_query, body.truncate is False)
        return json_answer(weights)


def _encode(
    index: OpenIndex, texts: Sequence[str], as_query: bool, is_whole: bool  # noqa: FBT001 - called by position
) -> list[list[dict[str, Any]]]:  # fmt: skip
    if as_query:
        encode = index.encoder.encoder.encode_queries
        return [row for batch in query_batches(texts) for row in _listed(encode(batch))]
    encoder = index.document_encoder
    if is_whole and (longest := encoder.tokenize_documents(texts)).truncated:
        raise ApiError(
            413, "too-large", f"`inputs` must have less than {encoder.max_length} tokens. {longest.truncated} have more"
        )
    return _listed(encoder.encode_documents(texts, progress=lambda *_: check_cancelled()))


def _listed(weights: SparseWeights) -> list[list[dict[str, Any]]]:
    starts, term_ids, values = weights.starts.tolist(), weights.term_ids.tolist(), weights.weights.tolist()
    return [
        [{"index": term_ids[at], "value": values[at]} for at in range(start, stop)] for start, stop in pairwise(starts)
    ]
