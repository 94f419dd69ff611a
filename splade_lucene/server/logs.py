"""Structured logs: a line of JSON for each request and each message."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, TextIO

REQUESTS = logging.getLogger("splade_lucene.server.requests")


def log_request(scope: Any, status: int, seconds: float, size: int) -> None:
    """Logs a request, without its query string and body, which may be private."""
    if REQUESTS.isEnabledFor(logging.INFO):
        client = scope.get("client")
        REQUESTS.info(
            "request", extra={"request": {
                "method": scope["method"], "path": scope["path"], "status": status, "milliseconds": round(1000 * seconds, 3),
                "bytes": size, "client": client[0] if client else None,
            }},
        )  # fmt: skip


class JsonLines(logging.Formatter):
    """Formats records as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as a line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "request", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to(stream: TextIO, *, requests: bool) -> None:
    """Makes the server write its logs as lines of JSON.

    Args:
        stream: Where to.
        requests: Whether each request is logged, too.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    for name, level in (("splade_lucene.server", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    REQUESTS.setLevel(logging.INFO if requests else logging.WARNING)
