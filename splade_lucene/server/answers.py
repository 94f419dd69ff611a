"""The server's responses as plain data: searches, explanations, documents, fields."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, TypeVar

from pydantic_core import from_json

from splade_lucene.defaults import QUERY_BATCH
from splade_lucene.errors import SearchCancelledError, SpladeLuceneError
from splade_lucene.fields.grammar import parse_filter
from splade_lucene.index.model import encode_texts
from splade_lucene.index.reader import TermStatistics
from splade_lucene.search.approximation import DEFAULT_APPROXIMATION, Approximation
from splade_lucene.search.cancellation import check_cancelled
from splade_lucene.search.conditions import pack_filter
from splade_lucene.search.fusion import reciprocal_ranks
from splade_lucene.search.hits import Hits, StoredDocument
from splade_lucene.search.hybrid import RRF, HybridFusion, HybridHits
from splade_lucene.search.searcher import LuceneImpactSearcher
from splade_lucene.search.snippets import find_terms, make_snippets
from splade_lucene.server.problems import ApiError, as_api_error
from splade_lucene.server.registry import OpenIndex
from splade_lucene.server.schemas import BatchBody, QueryPart, SearchBody, SearchSettings

T = TypeVar("T")
FACET_HITS = 1000
"""Hits over which facets are counted."""

DEEPEST_RANK = 100_000
"""The last rank that an explanation looks at."""

_KEYWORDS = 100


def describe(index: OpenIndex, *, read_only: bool) -> dict[str, Any]:
    """An index: what it has, and how it was made."""
    reader = index.searcher.reader
    manifest = reader.manifest()
    rule = manifest.quantizer if manifest is not None else None
    return {
        "name": index.name,
        "documents": reader.num_docs,
        "model": index.model,
        "quantizer": rule.name if rule is not None else None,
        "fields": [{"name": name, "type": kind} for name, kind in reader.fields.items()],
        "has_bm25": reader.has_bm25,
        "has_texts": index.has_texts(),
        "read_only": read_only,
    }


# ---- queries ----


def own_terms(searcher: LuceneImpactSearcher, text: str) -> set[str]:
    """The terms that are tokens of a text itself."""
    return {span.term for span in find_terms(searcher, [text])[0]}


def listed_terms(searcher: LuceneImpactSearcher, query: str | None, vector: Mapping[str, int]) -> list[dict[str, Any]]:
    """The terms of a query, largest weight first; without a text, all are its own."""
    own = vector.keys() if query is None else own_terms(searcher, query)
    terms = sorted(vector.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"term": term, "weight": weight, "own": term in own} for term, weight in terms]


def vector_of(index: OpenIndex, query: QueryPart, engine: str = "impact") -> dict[str, int]:
    """The encoded form of a query; BM25 needs none."""
    if query.vector is not None:
        return index.searcher.encode(query.vector)
    return {} if engine == "bm25" else index.searcher.encode(query.query or "")


def vectors_of(index: OpenIndex, queries: Sequence[QueryPart], engine: str) -> list[dict[str, int]]:
    """The encoded forms of several queries, whose texts are encoded together."""
    given: list[str | dict[str, int]] = []
    for each in queries:
        text: str | dict[str, int] = {} if engine == "bm25" else each.query or ""
        given.append(text if each.vector is None else each.vector)
    return encode_queries(index, given)


def batch_vectors(index: OpenIndex, body: BatchBody) -> list[dict[str, int]]:
    """The encoded forms of the queries of a batch.

    Args:
        index: The index.
        body: The request.

    Raises:
        QueryError: Its filter is wrong, or a text cannot be encoded.
    """
    if body.filter:
        pack_filter(parse_filter(body.filter), index.searcher.reader.fields)
    return vectors_of(index, body.queries, body.engine)


# ---- searches ----


def find(index: OpenIndex, query: QueryPart, vector: Mapping[str, int], k: int, settings: SearchSettings) -> Hits:
    """The hits of a query.

    Args:
        index: The index.
        query: The query; its text is for BM25.
        vector: Its encoded form.
        k: Number of hits.
        settings: How to search.
    """
    searcher, filter = index.searcher, settings.filter or None
    if settings.engine == "impact":
        hits = searcher.search(vector, k, filter=filter, approximation=approximation_of(settings))
        index.record(query.query, len(vector), hits)
        return hits
    if query.query is None:
        raise ApiError(400, "bad-query", "BM25 searches for texts", "Also send the text of the query, as query")
    impacts = vector if settings.engine == "hybrid" else {}
    return searcher.search_hybrid(impacts, k, fusion_of(settings, k), text=query.query, filter=filter)


def fusion_of(settings: SearchSettings, k: int) -> HybridFusion:
    """How the two rankings of a search are fused. With BM25 alone there is only one, whose scores stay as they are."""
    if settings.engine == "hybrid":
        return HybridFusion(depth=max(k, RRF.depth))
    return HybridFusion("sum", (0.0, 1.0), depth=k, normalization="none")


def approximation_of(settings: SearchSettings) -> Approximation:
    """The approximation of a search for impacts."""
    if settings.alpha is not None:
        return Approximation(alpha=settings.alpha)
    return Approximation() if settings.exact else DEFAULT_APPROXIMATION


def search(index: OpenIndex, body: SearchBody, vector: Mapping[str, int], started: float) -> dict[str, Any]:
    """The answer to a search.

    Args:
        index: The index.
        body: The request.
        vector: Its query, encoded.
        started: When it came, by :func:`time.perf_counter`.
    """
    found = find(index, body, vector, max(body.k, FACET_HITS) if body.facets else body.k, body)
    facets = {name: counted_values(found.facets(name)) for name in dict.fromkeys(body.facets)}
    hits = found[: body.k]
    shown = vector
    if body.engine == "bm25" and body.highlight and body.query:
        shown = dict.fromkeys(own_terms(index.searcher, body.query), 1)
    rows = list_hits(hits, body.fields)
    if isinstance(hits, HybridHits) and body.engine == "hybrid":
        _add_parts(hits, rows)
    if body.highlight:
        _add_snippets(index.searcher, hits, rows, shown)
    if body.explain and body.engine != "bm25":
        _add_contributions(index.searcher, rows, vector)
    terms = listed_terms(index.searcher, body.query, vector)
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    return {"query": body.query, "vector": terms, "total_milliseconds": milliseconds, "hits": rows, "facets": facets}


def list_hits(hits: Hits, fields: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Hits as plain data, without their texts.

    Args:
        hits: The hits.
        fields: The fields to read; None for all.
    """
    values = hits.fields() if fields is None else hits.fields(*fields) if fields else [{}] * len(hits)
    rows = []
    for rank, (docid, score, of_hit) in enumerate(zip(hits.docids, hits.scores.tolist(), values, strict=True), 1):
        rows.append({"rank": rank, "docid": docid, "score": score, "fields": of_hit})
    return rows


def _add_snippets(
    searcher: LuceneImpactSearcher, hits: Hits, rows: Sequence[dict[str, Any]], vector: Mapping[str, int]
) -> None:
    stored = [_text_and_title(document) for document in hits.documents()]
    texts = [text or "" for text, _ in stored]
    if not any(texts):
        return
    for row, (_, title) in zip(rows, stored, strict=True):
        if title is not None:
            row["title"] = title
    for row, snippet in zip(rows, make_snippets(searcher, texts, vector), strict=True):
        row["snippet"] = [{"text": text, "marked": marked, "term": term} for text, marked, term in snippet]


def _add_parts(hits: HybridHits, rows: Sequence[dict[str, Any]]) -> None:
    """Adds a hit's place in each of the two rankings, and its share of the fused score."""
    for name in ("impact", "bm25"):
        ranks = hits.parts[f"{name}_rank"]
        shares = reciprocal_ranks(ranks, RRF.constant).tolist()
        for row, rank, score, share in zip(
            rows, ranks.tolist(), hits.parts[f"{name}_score"].tolist(), shares, strict=True
        ):
            place = {"rank": rank, "score": score, "share": share} if rank else None  # 0: beyond the ranking's depth
            row.setdefault("parts", {})[name] = place


def _text_and_title(document: StoredDocument) -> tuple[str | None, str | None]:
    """The text; and the title, if the whole input is stored and has one."""
    try:
        record = from_json(document.raw() or "null")  # keeps the last of equal keys, as does StoredDocument
        text, title = record.get("contents"), record.get("title")
    except (ValueError, AttributeError):  # not all indexes store JSON, or it has an unpaired surrogate
        return document.contents(), None
    return text if isinstance(text, str) else None, title if isinstance(title, str) else None


def _add_contributions(
    searcher: LuceneImpactSearcher, rows: Sequence[dict[str, Any]], vector: Mapping[str, int]
) -> None:
    for row in rows:
        check_cancelled()
        row["contributions"] = contributions(searcher, vector, row["docid"])


def contributions(searcher: LuceneImpactSearcher, vector: Mapping[str, int], docid: str) -> list[dict[str, Any]]:
    """The contributions of a query's terms to a document's score, largest first."""
    return [
        {"term": each.term, "query_weight": each.query_impact, "impact": each.document_impact, "score": each.product}
        for each in searcher.explain(vector, docid)
    ]


def counted_values(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Keywords and their counts as a list."""
    return [{"value": value, "count": count} for value, count in counts.items()]


# ---- documents ----


def check_docid(index: OpenIndex, docid: str) -> None:
    """Checks that a document is in an index.

    Raises:
        ApiError: No document has this docid.
    """
    if index.searcher.doc(docid) is None:
        raise ApiError(
            404, "unknown-document", f"no document of {index.name} has the id {docid!r:.200}", "Check the spelling"
        )


def explain(index: OpenIndex, vector: Mapping[str, int], docid: str, filter: str | None = None) -> dict[str, Any]:
    """A document's score and rank for a query, and the terms that it lacks; with a filter, the rank among what it leaves."""
    check_docid(index, docid)
    shared = contributions(index.searcher, vector, docid)
    has = {each["term"] for each in shared}
    lacks = sorted(((term, weight) for term, weight in vector.items() if term not in has), key=lambda pair: -pair[1])
    score = sum(each["score"] for each in shared)
    return {
        "docid": docid,
        "score": score,
        "rank": _rank(index.searcher, vector, docid, filter or None) if score else None,
        "contributions": shared,
        "missing": [{"term": term, "query_weight": weight} for term, weight in lacks],
    }


def _rank(searcher: LuceneImpactSearcher, vector: Mapping[str, int], docid: str, filter: str | None) -> int | None:
    """The rank of a document in the exact ranking; None if it is filtered out or beyond :data:`DEEPEST_RANK`."""
    for k in (100, 10_000, DEEPEST_RANK):
        docids = searcher.search(vector, k, filter=filter, approximation=Approximation()).docids
        if docid in docids:
            return docids.index(docid) + 1
        if len(docids) < k:
            break
    return None


def document(index: OpenIndex, docid: str) -> dict[str, Any]:
    """A document with its text, fields and vector."""
    check_docid(index, docid)
    searcher = index.searcher
    stored = searcher.doc(docid)
    assert stored is not None
    fields = searcher.reader.field_values([stored.lucene_docid()])[0]
    terms = sorted(searcher.vector(docid).items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "docid": docid,
        "contents": stored.contents(),
        "fields": fields,
        "vector": [{"term": term, "weight": impact} for term, impact in terms],
    }


def similar(index: OpenIndex, docid: str, k: int) -> dict[str, Any]:
    """The documents most similar to a given one."""
    check_docid(index, docid)
    started = time.perf_counter()
    searcher = index.searcher
    hits = searcher.more_like_this(docid, k)
    vector = searcher.vector(docid)
    rows = list_hits(hits)
    _add_snippets(searcher, hits, rows, vector)
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    terms = listed_terms(searcher, None, vector)
    return {"query": None, "vector": terms, "total_milliseconds": milliseconds, "hits": rows, "facets": {}}


def batch(
    index: OpenIndex,
    queries: Sequence[tuple[str, QueryPart]],
    vectors: Sequence[Mapping[str, int]],
    settings: SearchSettings,
) -> Iterator[dict[str, Any]]:
    """The hits of several queries, one after the other, in their order; for one that is wrong, what is wrong with it."""
    for (qid, query), vector in zip(queries, vectors, strict=True):
        try:
            yield {"qid": qid, "hits": list_hits(find(index, query, vector, settings.k, settings), settings.fields)}
        except SearchCancelledError:
            raise  # nobody is waiting for the rest
        except (ApiError, SpladeLuceneError) as error:
            yield {"qid": qid, **as_api_error(error, {str(index.folder): index.name}).to_json("")}


def fields(index: OpenIndex) -> list[dict[str, Any]]:
    """The fields of an index: the 100 most frequent keywords of each, or the range of its values."""
    return index.once_per_commit("fields", _fields)


def _fields(searcher: LuceneImpactSearcher) -> list[dict[str, Any]]:
    found = []
    for name, kind in searcher.reader.fields.items():
        check_cancelled()
        row: dict[str, Any] = {"name": name, "type": kind}
        if kind.startswith("keyword"):
            row["values"] = counted_values(dict([*searcher.facets(name).items()][:_KEYWORDS]))
        elif (values := searcher.reader.value_range(name)) is not None:
            row["min"], row["max"] = values
        found.append(row)
    return found


def terms(index: OpenIndex, prefix: str, k: int) -> list[dict[str, Any]]:
    """The terms of an index that begin with a text, those of most documents first.

    Args:
        index: The index.
        prefix: The text.
        k: Maximum number of terms.
    """
    known: list[TermStatistics] = index.once_per_commit("terms", lambda searcher: searcher.reader.terms())
    first = bisect_left(known, prefix, key=lambda each: each.term)  # they are in byte order, which is that of strings
    found = takewhile(lambda each: each.term.startswith(prefix), known[first:])
    best = sorted(found, key=lambda each: (-each.doc_freq, each.term))[:k]
    return [{"term": each.term, "documents": each.doc_freq} for each in best]


# ---- encoding ----


def query_batches(queries: Sequence[T]) -> Iterator[Sequence[T]]:
    """Queries in batches, as long as somebody waits. Between them, other threads can encode theirs."""
    for start in range(0, len(queries), QUERY_BATCH):
        check_cancelled()
        yield queries[start : start + QUERY_BATCH]


def encode_queries(index: OpenIndex, queries: Sequence[str | dict[str, int]]) -> list[dict[str, int]]:
    """The vectors of texts as queries; those of vectors are the same."""
    return [vector for batch in query_batches(queries) for vector in index.searcher.encode_batch(batch)]


def encode_documents(index: OpenIndex, texts: Sequence[str]) -> list[dict[str, int]]:
    """The vectors of texts as documents of an index: by its model, pruning and quantizer."""
    encoder = index.document_encoder
    manifest = index.searcher.reader.manifest()
    assert manifest is not None  # the encoder was opened with it
    return [dict(row) for row in encode_texts(encoder, manifest, texts, lambda *_: check_cancelled())]
