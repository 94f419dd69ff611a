"""Runs the application with uvicorn."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from splade_lucene.errors import InputError
from splade_lucene.server.settings import ServerSettings

_GRACE = 10  # seconds for requests that are being answered at the end
_BACKLOG = 2048


class Server(uvicorn.Server):
    """A server on a socket of its own.

    Args:
        app: The application.
        settings: The server's settings.

    Raises:
        InputError: The address cannot be used.
    """

    def __init__(self, app: FastAPI, settings: ServerSettings) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, date_header=False, lifespan="on",
            timeout_graceful_shutdown=_GRACE, timeout_keep_alive=30, backlog=_BACKLOG,
            limit_concurrency=settings.limits.connections, h11_max_incomplete_event_size=64 << 10,
        )  # fmt: skip
        super().__init__(config)
        self.socket = _listen(settings.host, settings.port)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def serve_until_stopped(self) -> None:
        """Serves until SIGINT or SIGTERM comes, or ``should_exit`` is set."""
        try:
            self.run(sockets=[self.socket])
        finally:
            self.socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)  # who connects before the start is answered after it
    except (OSError, OverflowError) as error:
        listening.close()
        raise InputError(f"cannot listen on {host}, port {port} ({error})", remedy="Choose another --port") from error
    listening.set_inheritable(True)
    return listening


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
