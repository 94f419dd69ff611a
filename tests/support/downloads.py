"""A loopback server of files, and archives to serve."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Serves bytes with ranges, and breaks connections as it is told."""

    files: ClassVar[dict[str, bytes]] = {}
    breaks: ClassVar[dict[str, list[int]]] = {}
    lengths: ClassVar[dict[str, str | None]] = {}
    stalls: ClassVar[set[str]] = set()
    asked: ClassVar[list[tuple[str, str | None]]] = []

    @classmethod
    def reset(cls, files: dict[str, bytes]) -> None:
        cls.files, cls.breaks, cls.lengths = files, {}, {}
        cls.stalls.clear()
        cls.asked.clear()

    def do_GET(self) -> None:
        name, wanted = self.path.strip("/"), self.headers.get("Range")
        self.asked.append((name, wanted))
        if name not in self.files:
            self.send_error(404)
            return
        data = self.files[name]
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.headers.get("If-Range", tag) != tag:
            start = 0
        if start and start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        if (length := self.lengths.get(name, str(len(data) - start))) is not None:
            self.send_header("Content-Length", length)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        rest = data[start:]
        if self.breaks.get(name):
            rest = rest[: self.breaks[name].pop(0)]
        with suppress(ConnectionError):  # whoever asked does not want all of it
            self.wfile.write(rest)
            self.wfile.flush()
        while name in self.stalls:
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server, which serves what the handler has."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Handler.stalls.clear()
    server.shutdown()
    server.server_close()
