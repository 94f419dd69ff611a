"""The JSON of requests and responses. Responses are described here for OpenAPI, but built without these classes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from splade_lucene.defaults import HITS_SHOWN, MAX_IMPACT, QUICK_MEASURES
from splade_lucene.records import well_formed

Text = Annotated[str, BeforeValidator(lambda value: well_formed(value) if isinstance(value, str) else value)]
Impact = Annotated[int, Field(ge=0, le=MAX_IMPACT)]
QueryVector = dict[str, Impact]
Engine = Literal["impact", "bm25", "hybrid"]
LIST_LENGTH = 1000
"""Length of a list of fields."""

FieldNames = Annotated[list[Text], Field(max_length=LIST_LENGTH)]
K = Annotated[int, Field(ge=1, description="Maximum number of hits.")]


class Request(BaseModel):
    """What all bodies of requests have in common: nothing that is not declared."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class QueryPart(Request):
    """A query: a text or a vector."""

    query: Text | None = Field(default=None, description="The text of the query.")
    vector: QueryVector | None = Field(
        default=None,
        description="The encoded query: {term: impact}. Searched for instead of the text, which BM25 still uses.",
    )

    @model_validator(mode="after")
    def _has_one(self) -> QueryPart:
        if self.query is None and self.vector is None:
            raise ValueError("query or vector is required")
        return self


class SearchSettings(Request):
    """How to search."""

    k: K = HITS_SHOWN
    engine: Engine = Field(default="impact", description="Impacts, BM25, or both, fused by reciprocal ranks.")
    filter: Text | None = Field(default=None, description='A condition on fields: lang = "de" and year >= 2019.')
    exact: bool = Field(default=True, description="Whether the search is exact, so that no hits are missing.")
    alpha: float | None = Field(default=None, gt=0, le=1, description="Approximate search: the factor of block bounds.")
    fields: FieldNames | None = Field(default=None, description="The fields of hits to return. Default: all.")

    @model_validator(mode="after")
    def _approximates_impacts(self) -> SearchSettings:
        if self.engine != "impact" and (self.alpha is not None or not self.exact):
            raise ValueError(f"alpha and exact are for the engine impact, not {self.engine}")
        if self.alpha is not None and self.exact and "exact" in self.model_fields_set:
            raise ValueError("with alpha, a search is not exact: send only one of them")
        return self


class SearchBody(QueryPart, SearchSettings):
    """A search."""

    facets: FieldNames = Field(default=[], description="Fields of keywords to count over the 1,000 best hits.")
    explain: bool = Field(default=False, description="Whether to return each term's contribution to each score.")
    highlight: bool = Field(
        default=True, description="Whether to return a passage of each text with its matches marked."
    )


class BatchQuery(QueryPart):
    """One of several queries."""

    qid: Text = Field(min_length=1)


class BatchBody(SearchSettings):
    """Searches for several queries."""

    queries: list[BatchQuery] = Field(min_length=1)


class ExplainBody(QueryPart):
    """A document whose score and rank are explained."""

    docid: Text
    filter: Text | None = Field(default=None, description="Count the rank among the documents that match this filter.")


class EncodeBody(Request):
    """Texts to encode."""

    texts: list[Text] = Field(min_length=1)
    kind: Literal["query", "document"] = "query"


class AddBody(Request):
    """Documents to add; one replaces that with the same docid."""

    documents: list[dict[Text, Any]] = Field(
        min_length=1,
        description="id, contents and fields, as in a corpus; or id, contents, vector and an object of fields.",
    )


class ExportBody(QueryPart, SearchSettings):
    """A search whose result is exported."""

    format: Literal["trec", "json", "python"]
    qid: Text = "1"


class RunsBody(Request):
    """A run to inspect."""

    run: Text = Field(description="A run: lines of qid, Q0, docid, rank, score, tag.")
    qrels: Text | None = Field(default=None, description="Judgments: lines of qid, 0, docid, relevance.")
    topics: Text | None = Field(default=None, description="Queries: lines of qid, tab, text.")
    measure: str = Field(default=QUICK_MEASURES[0], description="The measure by which queries are sorted, worst first.")


# ---- answers ----


class Problem(BaseModel):
    """A problem, and what to do about it."""

    code: str
    message: str
    remedy: str


class ErrorAnswer(BaseModel):
    """The answer to a request that cannot be fulfilled."""

    error: Problem


class Term(BaseModel):
    """A term of a query. ``own``: it is a token of the text itself."""

    term: str
    weight: int
    own: bool


class FieldName(BaseModel):
    """A field and its type."""

    name: str
    type: str


class IndexAnswer(BaseModel):
    """An index."""

    name: str
    documents: int
    model: str | None
    quantizer: str | None
    fields: list[FieldName]
    has_bm25: bool
    has_texts: bool
    read_only: bool


class ExpandAnswer(BaseModel):
    """An encoded query, largest weight first."""

    query: str
    terms: list[Term]


class SnippetPart(BaseModel):
    """A piece of a text."""

    text: str
    marked: bool
    term: str | None = None


class ContributionAnswer(BaseModel):
    """A term's contribution to a score: ``query_weight`` times ``impact``."""

    term: str
    query_weight: int
    impact: int
    score: int


class HybridPart(BaseModel):
    """A hit's place in one of the rankings of a hybrid search, and its share of the fused score."""

    rank: int
    score: float
    share: float


class HybridParts(BaseModel):
    """A hit's places in the rankings of a hybrid search; null where it is not among the hits that are fused."""

    impact: HybridPart | None
    bm25: HybridPart | None


class HitAnswer(BaseModel):
    """A hit; its scores are integers for impacts."""

    rank: int
    docid: str
    score: float
    title: str | None = None
    snippet: list[SnippetPart] | None = None
    fields: dict[str, Any]
    contributions: list[ContributionAnswer] | None = None
    parts: HybridParts | None = None


class ValueCount(BaseModel):
    """A keyword and in how many documents it occurs."""

    value: str
    count: int


class SearchAnswer(BaseModel):
    """The hits of a query, best first."""

    query: str | None
    vector: list[Term]
    total_milliseconds: float
    hits: list[HitAnswer]
    facets: dict[str, list[ValueCount]]


class BatchLine(BaseModel):
    """A line of the answer to a batch: the hits of a query, or what is wrong with it."""

    qid: str
    hits: list[HitAnswer] | None = None
    error: Problem | None = None


class Missing(BaseModel):
    """A term of the query that a document lacks."""

    term: str
    query_weight: int


class ExplainAnswer(BaseModel):
    """A document's score; its rank is null if it is beyond the first 100,000."""

    docid: str
    score: int
    rank: int | None
    contributions: list[ContributionAnswer]
    missing: list[Missing]


class TermWeight(BaseModel):
    """A term and its weight."""

    term: str
    weight: int


class TermCount(BaseModel):
    """A term and in how many documents it occurs."""

    term: str
    documents: int


class DocumentAnswer(BaseModel):
    """A document; its vector has the largest impact first."""

    docid: str
    contents: str | None
    fields: dict[str, Any]
    vector: list[TermWeight]


class FieldAnswer(BaseModel):
    """A field: its keywords, the most frequent first, or the range of its values."""

    name: str
    type: str
    values: list[ValueCount] | None = None
    min: float | str | None = None
    max: float | str | None = None


class Bar(BaseModel):
    """A bar of a histogram: how often values from the first to the last one occur."""

    first: int = Field(alias="from")
    last: int = Field(alias="to")
    count: int


class Histogram(BaseModel):
    """A distribution."""

    bars: list[Bar]
    total: int
    mean: float
    median: int
    largest: int


class TermAnswer(BaseModel):
    """A term of an index; ``share`` is that of the documents."""

    term: str
    documents: int
    share: float
    total_impact: int
    mean_impact: float


class Summary(BaseModel):
    """Counts of an index."""

    documents: int
    deleted_documents: int
    segments: int
    terms: int
    postings: int
    bytes: int
    total_impact: int
    lucene: str
    commit: str
    terms_per_document: float


class Subwords(BaseModel):
    """The pieces within words."""

    count: int
    share_of_postings: float
    share_of_impact: float
    terms: list[TermAnswer]


class KindOfTerms(BaseModel):
    """The terms of a kind, and the share of the index that they make up."""

    kind: Literal["word", "subword", "stop word", "number or mark"]
    terms: int
    postings: int
    impact: int


class Part(BaseModel):
    """What a part of an index takes on disk."""

    part: str
    bytes: int


class StatisticsAnswer(BaseModel):
    """The statistics of an index, and the profiles of its last 100 searches, newest first."""

    summary: Summary
    impacts: Histogram
    lengths: Histogram
    frequent: list[TermAnswer]
    heaviest: list[TermAnswer]
    subwords: Subwords
    stop_words: list[TermAnswer]
    kinds: list[KindOfTerms]
    bytes: list[Part]
    profiles: list[dict[str, Any]]


class ChangeAnswer(BaseModel):
    """What was changed."""

    added: int
    deleted: int
    documents: int


class JudgedHit(BaseModel):
    """A hit of a run; its relevance is null if it is not judged."""

    rank: int
    docid: str
    score: float
    relevance: int | None


class MissedDocument(BaseModel):
    """A relevant document that is not among the first hits; its rank is null if it is none at all."""

    docid: str
    relevance: int
    rank: int | None


class RunQuery(BaseModel):
    """A query of a run: its first hits, and the relevant documents that are not among them."""

    qid: str
    query: str | None
    value: float | None
    hits: int
    relevant: int
    found: int
    best: list[JudgedHit]
    missed: list[MissedDocument]


class RunsAnswer(BaseModel):
    """The queries of a run, the worst first."""

    measure: str | None
    mean: float | None
    queries: list[RunQuery]


class HealthAnswer(BaseModel):
    """The server's state."""

    status: Literal["ok", "starting", "stopping"]
    version: str
