"""Runs the application with uvicorn."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from splade_lucene.errors import InputError
from splade_lucene.server.context import Context
from splade_lucene.server.mcp import create_mcp
from splade_lucene.server.registry import Registry
from splade_lucene.server.settings import ServerSettings
from splade_lucene.server.work import Work

_GRACE = 10  # seconds for requests that are being answered at the end
_BACKLOG = 2048


_HttpProtocol: Any = AutoHTTPProtocol


class PatientProtocol(_HttpProtocol):  # type: ignore[misc]
    """HTTP that closes a connection whose request has not come within the time for one; uvicorn would wait for ever."""

    seconds = 30.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begins to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Takes a part of a request; waits for the rest of its headers."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """A server on a socket of its own.

    Args:
        app: The application.
        settings: The server's settings.

    Raises:
        InputError: The address cannot be used.
    """

    def __init__(self, app: FastAPI, settings: ServerSettings) -> None:
        protocol = type("Protocol", (PatientProtocol,), {"seconds": settings.limits.seconds})
        config = uvicorn.Config(
            app, http=protocol, log_config=None, access_log=False, server_header=False, date_header=False, lifespan="on",
            timeout_graceful_shutdown=_GRACE, timeout_keep_alive=math.ceil(min(30, settings.limits.seconds)), backlog=_BACKLOG,
            limit_concurrency=settings.limits.connections, h11_max_incomplete_event_size=64 << 10,
        )  # fmt: skip
        super().__init__(config)
        self._context = app.state.context
        self.socket = _listen(settings.host, settings.port)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to stop: connections are closed when what they asked for is answered, and ``/ready`` says so."""
        self._context.is_stopping = True
        super().handle_exit(sig, frame)

    def serve_until_stopped(self) -> None:
        """Serves until SIGINT or SIGTERM comes, or ``should_exit`` is set. A second signal ends it at once."""
        try:
            with _handled_signals():
                self.run(sockets=[self.socket])
        finally:
            self.socket.close()


@contextmanager
def _handled_signals() -> Iterator[None]:
    """Ignores the signals that uvicorn sends once more when they have ended it: they are no errors."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)  # who connects before the start is answered after it
    except (OSError, OverflowError) as error:
        listening.close()
        raise InputError(
            f"cannot listen on {host}, port {port} ({error})", remedy="Choose another one with port=…"
        ) from error
    listening.set_inheritable(True)
    return listening


def run_mcp(settings: ServerSettings) -> None:
    """Serves MCP on standard input and output until the input ends.

    Args:
        settings: The indexes and limits.

    Raises:
        SpladeLuceneError: An index cannot be opened, or fastmcp is not installed.
    """
    context = Context(settings, Registry(settings.indexes), Work(settings.limits))
    try:
        create_mcp(context).run(transport="stdio", show_banner=False)
    finally:
        context.close()


def run_server(app: FastAPI, settings: ServerSettings, on_start: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM comes.

    Args:
        app: The application.
        settings: The server's settings.
        on_start: Called with the URL.

    Raises:
        InputError: The address cannot be used.
    """
    server = Server(app, settings)
    on_start(server.url)
    server.serve_until_stopped()
