"""Runs the application with uvicorn."""

from __future__ import annotations

import asyncio
import logging
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

_GRACE = 10  # seconds that running requests get at shutdown
_BACKLOG = 2048


_LARGEST_HEAD = 128 << 10
_TOO_LARGE_HEAD = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b'\r\n{"error":{"code":"too-large","message":"the URL and headers are too long","remedy":"Send a body"}}'
)

_HttpProtocol: Any = AutoHTTPProtocol


class PatientProtocol(_HttpProtocol):  # type: ignore[misc]
    """HTTP that closes a connection whose request does not arrive, or whose answer is not read; uvicorn would wait forever."""

    seconds = 30.0
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _head_bytes: int | None = None  # None: no request has begun

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begins to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Receives a part of a request; waits for the rest of its headers, unless they are too long."""
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _LARGEST_HEAD:
                self.transport.write(_TOO_LARGE_HEAD)
                self.transport.close()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:
            self._wait()

    def on_message_begin(self) -> None:
        """Begins to count the bytes of the headers, with httptools; h11 has a limit of its own."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Ends the count at the end of the headers, with httptools."""
        self._head_bytes = None
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the timers of the connection."""
        self._stop_waiting()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begins to wait for a client that does not read."""
        super().pause_writing()
        self._stop_waiting_for_reader()
        self._unread = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Resumes with a client that reads again."""
        self._stop_waiting_for_reader()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection without a further request; what its client still has not read is dropped some time later."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self.seconds, self.transport.abort)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.seconds, self.transport.close)

    def _stop_waiting_for_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

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
        """Begins to stop: connections are closed after their last answer, and ``/ready`` reports it."""
        self._context.is_stopping = True
        super().handle_exit(sig, frame)
        if self.force_exit:  # uvicorn would log a trace of each task that it cancels
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    def serve_until_stopped(self) -> None:
        """Serves until SIGINT or SIGTERM comes, or ``should_exit`` is set. A second signal ends it at once."""
        try:
            with _handled_signals():
                self.run(sockets=[self.socket])
        finally:
            self.socket.close()


@contextmanager
def _handled_signals() -> Iterator[None]:
    """Ignores the signals that uvicorn sends again after they have ended it: they are not errors."""
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
        listening.listen(_BACKLOG)  # connections made before the start are served after it
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
