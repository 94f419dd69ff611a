"""Servers on a port of this machine, in this process, and a plain client."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")

from splade_lucene.server.app import create_app
from splade_lucene.server.run import Server
from splade_lucene.server.settings import ServerSettings

TOKEN = "0123456789abcdef-token"


class Answer(NamedTuple):
    """An answer of a server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, str]:
        """The error that the body describes."""
        error: dict[str, str] = self.json["error"]
        assert sorted(error) == ["code", "message", "remedy"]
        return error


class Client:
    """Sends requests, each on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def request(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:  # fmt: skip
        """Sends a request; a body other than bytes as JSON."""
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def get(self, path: str, **options: Any) -> Answer:
        """Sends a GET request."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        """Sends a POST request."""
        return self.request("POST", path, body, **options)

    def fetch(self, path: str, body: Any = None) -> Any:
        """The JSON of an answer that must be a success."""
        answer = self.get(path) if body is None else self.post(path, body)
        assert answer.status == 200, answer
        return answer.json


class RunningServer(Client):
    """A server of this process."""

    def __init__(self, settings: ServerSettings) -> None:
        self.app = create_app(settings)
        self.server = Server(self.app, settings)
        self.context = self.app.state.context
        super().__init__(self.server.socket.getsockname()[1])
        self.thread = threading.Thread(target=self.server.serve_until_stopped)
        self.thread.start()
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while self.get("/ready").status != 200:
            assert time.monotonic() < end
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the server."""
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive()


@contextlib.contextmanager
def restored_logging() -> Iterator[None]:
    """Puts the server's loggers back as they were."""
    loggers = [
        logging.getLogger(name) for name in ("splade_lucene.server", "splade_lucene.server.requests", "uvicorn.error")
    ]
    before = [(each, each.handlers[:], each.propagate, each.level) for each in loggers]
    try:
        yield
    finally:
        for each, handlers, propagate, level in before:
            each.handlers, each.propagate = handlers, propagate
            each.setLevel(level)


@contextlib.contextmanager
def running(indexes: Mapping[str, Path], **settings: Any) -> Iterator[RunningServer]:
    """A server of some indexes."""
    server = RunningServer(ServerSettings(indexes, port=0, **settings))
    try:
        yield server
    finally:
        server.stop()
