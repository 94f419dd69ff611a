"""Shared by all routes: the indexes, the threads, and the checks of requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from splade_lucene.server.answers import vector_of
from splade_lucene.server.gate import check_token
from splade_lucene.server.problems import ApiError, too_long
from splade_lucene.server.registry import OpenIndex, Registry
from splade_lucene.server.schemas import LIST_LENGTH, ErrorAnswer, QueryPart, SearchSettings
from splade_lucene.server.settings import ServerSettings
from splade_lucene.server.work import Client, EncodeBatcher, Work

_OTHER_NAMES = 2 * LIST_LENGTH + 100  # names and texts in a request, other than terms
_DESCRIPTIONS = {
    400: "The query or a value is wrong",
    401: "The token is missing or wrong",
    403: "Not allowed",
    404: "There is no such index or document",
    405: "The method is not allowed",
    408: "The body was sent too slowly",
    413: "The body is too large",
    422: "The request does not fit its schema",
    429: "Too many requests",
    500: "The server failed",
    503: "The server or index is unavailable for the moment",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": description} for status, description in _DESCRIPTIONS.items()
}
"""The errors that any request can meet."""


@dataclass
class Context:
    """What the routes share."""

    settings: ServerSettings
    registry: Registry
    work: Work
    is_stopping: bool = False
    batchers: dict[str, EncodeBatcher] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index in self.registry:
            self.batchers[index.name] = EncodeBatcher(index, self.work)

    def check_query(self, query: QueryPart) -> None:
        """Checks the size of a query.

        Raises:
            ApiError: It is too long.
        """
        limits = self.settings.limits
        if query.query is not None and len(query.query) > limits.query_characters:
            raise too_long("the query", len(query.query), limits.query_characters, "characters")
        if query.vector is not None and len(query.vector) > limits.query_terms:
            raise too_long("the vector", len(query.vector), limits.query_terms, "terms")

    def check_terms(self, terms: int) -> None:
        """Checks the size of a query that is not parsed yet.

        Args:
            terms: How many terms it has at least, but for a few.

        Raises:
            ApiError: There are too many.
        """
        limit = self.settings.limits.query_terms
        if terms > limit + _OTHER_NAMES:
            raise too_long("the query", terms, limit, "terms")

    def check_hits(self, k: int) -> None:
        """Checks a number of hits.

        Raises:
            ApiError: It is too large.
        """
        if k > self.settings.limits.hits:
            raise ApiError(
                422,
                "too-many-hits",
                f"k is {k}, and the largest is {self.settings.limits.hits:,}",
                "Ask for fewer hits",
            )

    def check_settings(self, settings: SearchSettings) -> None:
        """Checks how much is to be searched for.

        Raises:
            ApiError: The number of hits is too large, or the filter too long.
        """
        self.check_hits(settings.k)
        self.check_filter(settings.filter)

    def check_filter(self, filter: str | None) -> None:
        """Checks the length of a condition on fields.

        Raises:
            ApiError: It is too long.
        """
        if filter is not None and len(filter) > self.settings.limits.query_characters:
            raise too_long("the filter", len(filter), self.settings.limits.query_characters, "characters")

    def check_batch(self, items: Sequence[Any], what: str) -> None:
        """Checks a number of queries or texts.

        Raises:
            ApiError: There are too many.
        """
        if len(items) > self.settings.limits.batch:
            raise too_long("the request", len(items), self.settings.limits.batch, what)

    async def encoded(
        self, client: Client, index: OpenIndex, query: QueryPart, engine: str = "impact"
    ) -> Mapping[str, int]:
        """The encoded form of a query; texts of concurrent requests are encoded together.

        Args:
            client: Who waits.
            index: The index whose model encodes.
            query: The query.
            engine: What searches; BM25 needs no encoded form.
        """
        self.check_query(query)
        if query.vector is None and query.query and not query.query.isspace() and engine != "bm25":
            return await self.batchers[index.name].encode(client, query.query)
        return vector_of(index, query, engine)

    def check_change(self, request: Request) -> None:
        """Checks that a request may change an index.

        Raises:
            ApiError: It may not.
        """
        if not self.settings.can_change:
            why = "is read-only" if self.settings.read_only else "has no token"
            raise ApiError(
                403,
                "read-only",
                f"this server {why}, so indexes cannot be changed",
                "Ask whoever runs it to allow changes",
            )
        check_token(request.headers.get("authorization", "").encode("latin-1"), self.settings.authorization)

    def close(self) -> None:
        """Closes everything."""
        for batcher in self.batchers.values():
            batcher.close()
        self.work.close()
        self.registry.close()
