"""Checks of every request: its host, token, size and rate; also the headers of its response."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect

from splade_lucene.server.json_answers import to_json_bytes
from splade_lucene.server.page import SECURITY_HEADERS
from splade_lucene.server.problems import ApiError, stopping, too_long
from splade_lucene.server.settings import Limits, ServerSettings, is_loopback
from splade_lucene.server.work import ClientGoneError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Observe = Callable[[Scope, int, float, int], None]

_log = logging.getLogger("splade_lucene.server")
_OPEN = ("/health", "/ready", "/", "/docs", "/openapi.json", "/favicon.ico")
_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_ONE_QUERY = ("/search", "/explain", "/export")  # path endings of requests with a single query
_CLIENTS = 10_000  # number of clients whose rates are remembered


class Gate:
    """The outermost layer of the application.

    Args:
        app: The application.
        settings: The server's settings.
        observes: Called after each request with its scope, status, seconds and number of bytes.
    """

    def __init__(self, app: App, settings: ServerSettings, observes: Sequence[Observe]) -> None:
        self._app, self._settings, self._observes = app, settings, observes
        self._rates = RateLimit(settings.limits.rate)
        self._body_bytes = settings.limits.body_bytes
        self._is_local = settings.is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        started = time.perf_counter()
        try:
            self._check(scope)
            await self._app(scope, _LimitedBody(receive, self._settings.limits, scope["path"]).receive, answer.send)
        except ApiError as error:
            await answer.fail(error, scope["path"])
        except (ClientGoneError, ClientDisconnect):
            answer.status = 499
        except asyncio.CancelledError:  # the time for running requests at the end of the server is over
            if answer.status:
                raise
            await answer.fail(stopping(), scope["path"])
        except Exception:  # a bug: answer the client, and log the traceback
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if not answer.is_complete:
                await answer.fail(server_fault(), scope["path"])
        finally:
            seconds = time.perf_counter() - started
            for observe in self._observes:
                observe(scope, answer.status, seconds, answer.bytes)

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if self._is_local:
            _check_local_host(headers.get(b"host", b""))
        if int_header(headers, b"content-length") > self._body_bytes:
            raise too_large(self._body_bytes)
        if self._needs_token(scope):
            check_token(headers.get(b"authorization", b""), self._settings.authorization)
        client = scope.get("client")
        self._rates.check(client[0] if client else "")

    def _needs_token(self, scope: Scope) -> bool:
        if self._is_local:
            return False  # routes that change an index check the token themselves
        path = scope["path"]
        return path not in _OPEN and not path.startswith("/static/")


def server_fault() -> ApiError:
    """A fault of the server, without its reason."""
    return ApiError(500, "failed", "the server failed; its log says why")


def check_token(given: bytes, expected: bytes | None) -> None:
    """Checks a header ``Authorization``.

    Args:
        given: The header.
        expected: ``Bearer`` and the token; None if there is none, so that nothing is allowed.

    Raises:
        ApiError: It is missing or wrong.
    """
    scheme, _, token = given.partition(b" ")
    given = b"Bearer " + token.strip() if scheme.lower() == b"bearer" else b""  # RFC 9110: in any case of letters
    if expected is None or not hmac.compare_digest(given, expected):
        raise ApiError(
            401,
            "wrong-token",
            "this request requires the server's token",
            "Send the header Authorization: Bearer TOKEN",
        )


@lru_cache(maxsize=64)
def _check_local_host(host: bytes) -> None:
    """Refuses other names for this machine: a page of another site may have its name point here (DNS rebinding)."""
    name = urlsplit(f"//{host.decode('latin-1')}").hostname if host else "localhost"
    if name is None or not is_loopback(name):
        raise ApiError(403, "wrong-host", "this server answers only requests to localhost", "Use http://127.0.0.1")


def int_header(headers: dict[bytes, bytes], name: bytes) -> int:
    """A header that is a number; 0 if there is none."""
    value = headers.get(name, b"0")
    return int(value) if value.isdigit() and len(value) < 20 else 0


def too_large(limit: int) -> ApiError:
    """A body is too large."""
    return ApiError(413, "too-large", f"the body has more than {limit:,} bytes", "Split it into several requests")


class _LimitedBody:
    """Receives a body that is neither too large nor too slow."""

    def __init__(self, receive: Receive, limits: Limits, path: str) -> None:
        self._receive, self._limits = receive, limits
        self._bytes, self._is_complete = 0, False
        self._kept_bytes = limits.query_bytes if path.endswith(_ONE_QUERY) else limits.body_bytes
        self._deadline: float | None = None

    async def receive(self) -> Message:
        if self._is_complete:
            return await self._receive()
        message = await self._next()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._is_complete = not message.get("more_body", False)
            if self._bytes > self._limits.body_bytes:
                raise too_large(self._limits.body_bytes)
            if self._bytes > self._kept_bytes:
                message["body"] = b""  # read and discard the rest, so that the client reads the answer
                if self._is_complete:
                    raise too_long("the query", self._bytes, self._kept_bytes, "bytes")
        return message

    async def _next(self) -> Message:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._limits.seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError:
            raise ApiError(
                408, "too-slow", f"the body did not arrive within {self._limits.seconds:g} seconds"
            ) from None


class _Answer:
    """Sends an answer with the headers that all have; knows its status and size, and whether it is complete."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = self.bytes = 0
        self.is_complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            names = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in _HEADERS if pair[0] not in names)]
        else:
            self.bytes += len(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
        await self._send(message)

    async def fail(self, error: ApiError, path: str) -> None:
        if self.status:  # too late for an error answer: the connection is closed instead
            raise ConnectionAbortedError(error.message)
        body = to_json_bytes(error.to_json(path))
        headers = {"content-type": "application/json", "content-length": str(len(body)), **(error.headers or {})}
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": error.status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})


class RateLimit:
    """Limits the rate of each client's requests; twice the rate may come at once.

    Args:
        rate: Requests a second; None for no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, client: str) -> None:
        """Counts a request.

        Args:
            client: The client's address.

        Raises:
            ApiError: It comes too early; says when to come again.
        """
        if self._rate is None:
            return
        now = time.monotonic()
        largest = max(1.0, 2 * self._rate)
        left, at = self._spent.pop(client, (largest, now))
        left = min(largest, left + (now - at) * self._rate)
        allowed = left >= 1
        self._spent[client] = (left - allowed, now)
        while len(self._spent) > _CLIENTS:
            self._spent.popitem(last=False)
        if not allowed:
            wait = max(1, round((1 - left) / self._rate + 0.5))
            raise ApiError(
                429,
                "too-many",
                f"more than {self._rate:g} requests a second",
                "Send them more slowly",
                retry_after=wait,
            )
