"""A fast path for searches: the most common requests are handled without the framework, in half the time.

Paths, schemas and responses are those of the route ``POST /api/v1/{index}/search``, which the documentation describes.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from splade_lucene.errors import SpladeLuceneError
from splade_lucene.server import answers
from splade_lucene.server.context import Context
from splade_lucene.server.json_answers import least_terms, parse_body, schema_problem, to_json_bytes
from splade_lucene.server.problems import as_api_error
from splade_lucene.server.schemas import SearchBody

_ROUTE = SimpleNamespace(path="/api/v1/{index}/search")
_START, _END = "/api/v1/", "/search"


class FastSearch:
    """Answers searches; passes all other requests on.

    Args:
        app: The application for all other requests.
        context: The open indexes and the threads.
    """

    def __init__(self, app: Any, context: Context) -> None:
        self._app, self._context = app, context

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request."""
        path = scope.get("path", "")
        name = path[len(_START) : -len(_END)]
        if (
            scope.get("query_string")
            or scope.get("method") != "POST"
            or path != f"{_START}{name}{_END}"
            or "/" in name
            or not name
        ):
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTE
        try:
            body = await self._answer(name, scope, receive)
        except SpladeLuceneError as error:
            raise as_api_error(error, self._context.registry.folders) from error
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, name: str, scope: Any, receive: Any) -> bytes:
        started, context, client = time.perf_counter(), self._context, Request(scope, receive)
        data = await _read(receive)
        context.check_terms(least_terms(data))
        body = _parsed(data)
        index = context.registry[name]
        context.check_settings(body)
        vector = await context.encoded(client, index, body, body.engine)

        def search() -> bytes:
            return to_json_bytes(answers.search(index, body, vector, started))

        return await context.work.run(client, search)


async def _read(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _parsed(body: bytes) -> SearchBody:
    try:
        value = from_json(body, allow_inf_nan=False)
        is_plain = isinstance(value, dict) and body.count(b":") == len(value) + len(value.get("vector") or ())
    except (ValueError, TypeError):
        is_plain = False
    if not is_plain:  # duplicate keys or invalid JSON: the other parser reports where
        value = parse_body(body)
    try:
        return SearchBody.model_validate(value)
    except ValidationError as error:
        raise schema_problem(
            [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
        ) from None
