"""JSON of requests and responses: bodies are parsed with a limit on nesting, responses are written without further checks."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import PydanticSerializationError, to_json
from starlette.exceptions import HTTPException

from splade_lucene.files.json_text import parse_json
from splade_lucene.server.problems import ApiError

_TYPE = re.compile(r"(function-\w+|list|dict)\[")  # Pydantic's name for an alternative of a union
_LARGE_BODY = 64 << 10  # bytes; parsing so many takes a millisecond
_parser = ThreadPoolExecutor(1, thread_name_prefix="parse")  # more threads would only wait for the GIL
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json_bytes(value: Any) -> bytes:
    """A value as JSON in UTF-8; an unpaired surrogate, which an index of other software may hold, becomes ``?``."""
    try:
        return to_json(value)  # four times as fast
    except PydanticSerializationError:
        return _encode(value).encode("utf-8", "replace")


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(to_json_bytes(value), status, headers, "application/json")


def error_answer(error: ApiError, path: str) -> Response:
    """An error as an answer, in the shape that belongs to the path that was asked for."""
    return json_answer(error.to_json(path), error.status, dict(error.headers or {}))


class SafeRequest(Request):
    """A request whose JSON is parsed with limits; see :mod:`splade_lucene.files.json_text`."""

    async def json(self) -> Any:
        """The body as JSON. A large one is parsed on a thread of its own, so that it delays no other request."""
        body = await self.body()
        if len(body) <= _LARGE_BODY:
            return parse_body(body)
        return await asyncio.get_running_loop().run_in_executor(_parser, parse_body, body)


def parse_body(body: bytes) -> Any:
    """The body of a request as JSON.

    Raises:
        ApiError: It is not JSON, nested too deeply, not UTF-8, or has duplicate keys.
    """
    try:
        return parse_json(body)
    except json.JSONDecodeError as error:
        raise ApiError(422, "invalid-request", f"the body is not JSON: {error}") from None
    except ValueError as error:  # duplicate keys, or not UTF-8
        raise ApiError(422, "invalid-request", f"the body cannot be read: {error}") from None


def least_terms(body: bytes) -> int:
    """A number of terms that a query in JSON has at least, but for a few; found in a tenth of the time of parsing it.

    Quotation marks before colons are counted: that after a term, and one before a term that begins with a colon. Those within
    a text are escaped.

    Example:
        >>> least_terms(b'{"vector": {"a": 1, "b": 2, "c": 1}}')
        2
    """
    return sum(body.count(mark) - body.count(b"\\" + mark) for mark in (b'":', b'" :')) // 2


class SafeRoute(APIRoute):
    """A route with such requests."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of a request."""
        handle = super().get_route_handler()

        async def safe(request: Request) -> Response:
            return await handle(SafeRequest(request.scope, request.receive))

        return safe


def invalid_request(error: RequestValidationError) -> ApiError:
    """What is wrong with a request that does not fit its schema."""
    return schema_problem(error.errors())


def schema_problem(errors: Sequence[Any]) -> ApiError:
    """What is wrong with a request that does not fit its schema.

    Args:
        errors: Pydantic's errors.
    """
    found = [
        f"{'.'.join(str(part) for part in each['loc'] if not _TYPE.match(str(part)))}: "
        f"{each['msg'].removeprefix('Value error, ')}"
        for each in errors[:5]
    ]
    return ApiError(422, "invalid-request", "; ".join(found), "See /docs")


def http_problem(error: HTTPException) -> ApiError:
    """An error of the framework, such as an unknown path."""
    codes = {404: "not-found", 405: "method-not-allowed", 422: "invalid-request"}
    return ApiError(error.status_code, codes.get(error.status_code, "bad-request"), str(error.detail), "See /docs")
