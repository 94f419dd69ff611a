"""Errors as responses: a status, a stable code, a message and a remedy."""

from __future__ import annotations

import re
from typing import Any

from starlette.exceptions import HTTPException

from splade_lucene.errors import (
    IndexAccessError,
    InputError,
    MissingDependencyError,
    ModelError,
    QueryError,
    SpladeLuceneError,
    StorageError,
)

_TEI_KINDS = {429: "Overloaded", 500: "Backend", 503: "Unhealthy"}


def _headers(status: int, retry_after: int | None) -> dict[str, str]:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (408, 413):
        headers["Connection"] = "close"  # the rest of the body is not read
    return headers


class ApiError(HTTPException):
    """A request cannot be answered. FastAPI passes on errors of this class that are raised while it reads a body.

    Args:
        status: The HTTP status.
        code: A name of the kind of error.
        message: What is wrong.
        remedy: What to do about it.
        retry_after: Seconds after which the same request may succeed.
    """

    def __init__(
        self, status: int, code: str, message: str, remedy: str = "", *, retry_after: int | None = None
    ) -> None:
        super().__init__(status, message, _headers(status, retry_after))
        self.status, self.code, self.message, self.remedy, self.retry_after = status, code, message, remedy, retry_after

    @property
    def text(self) -> str:
        """The message and the remedy."""
        return f"{self.message}. {self.remedy}" if self.remedy else self.message

    def to_json(self, path: str) -> dict[str, Any]:
        """The body of the answer.

        Args:
            path: The path that was asked for; those of other servers have errors in their shapes.
        """
        message = self.text
        if path.startswith("/v1/indexes"):
            return {"detail": message}
        if path.startswith("/v1/"):
            return {"error": message}
        if path == "/embed_sparse":
            return {"error": message, "error_type": _TEI_KINDS.get(self.status, "Validation")}
        return {"error": {"code": self.code, "message": self.message, "remedy": self.remedy}}


def busy(message: str, seconds: int = 1) -> ApiError:
    """The server is busy."""
    return ApiError(429, "busy", message, "Send the request again later", retry_after=seconds)


def stopping() -> ApiError:
    """The server ends before the request is answered."""
    return ApiError(503, "stopping", "the server is stopping", "Try another server", retry_after=5)


def too_long(what: str, size: int, limit: int, unit: str) -> ApiError:
    """A part of a request is too long."""
    return ApiError(422, "too-long", f"{what} has {size:,} {unit}, and at most {limit:,} are allowed", "Shorten it")


def timed_out(seconds: float) -> ApiError:
    """A request took too long."""
    return ApiError(
        503, "timed-out", f"the request took more than {seconds:g} seconds", "Ask for fewer hits or send smaller batches",
        retry_after=1,
    )  # fmt: skip


_STATUSES: tuple[tuple[type[SpladeLuceneError], int, str], ...] = (
    (QueryError, 400, "bad-query"),
    (InputError, 400, "bad-input"),
    (IndexAccessError, 503, "index-unavailable"),
    (StorageError, 503, "storage"),
    (ModelError, 503, "model-unavailable"),
    (MissingDependencyError, 503, "not-installed"),
)


_ARGUMENT = re.compile(r"\b([a-z]\w*)=(?:…|True|False)")
_CLIENT_REMEDIES = {
    "model": "Send the encoded query to POST /api/v1/{index}/search, as vector",
    "bm25": "Use the engine impact",
    "fields": "The index has no fields",
}
"""Arguments that a remedy of the library names → what a client of the server can do instead."""


def client_remedy(remedy: str) -> str:
    """What a client of the server can do where the library's remedy names an argument of a function.

    Example:
        >>> client_remedy("Remove terms without impact, or pass skip_bad=True to skip such documents")
        'Remove terms without impact'
        >>> client_remedy("Build it with bm25=True")
        'Use the engine impact'
    """
    named = _ARGUMENT.findall(remedy)
    known = [_CLIENT_REMEDIES[name] for name in named if name in _CLIENT_REMEDIES]
    if known or not named:
        return known[0] if known else remedy
    others = [part for part in remedy.split(", or ") if not _ARGUMENT.search(part)]
    return ", or ".join(others) or "Ask whoever runs the server"


def as_api_error(error: ApiError | SpladeLuceneError, names: dict[str, str]) -> ApiError:
    """The answer to an error.

    Args:
        error: The error; one that is an answer stays as it is.
        names: Folders that its message may name → the names of their indexes, which are shown instead.
    """
    if isinstance(error, ApiError):
        return error
    status, code = next(
        ((status, code) for kind, status, code in _STATUSES if isinstance(error, kind)), (500, "failed")
    )
    message, remedy = str(error), getattr(error, "remedy", "")
    if remedy:
        message = message.removesuffix(remedy).removesuffix(". ")
    for folder, name in names.items():
        message, remedy = message.replace(folder, name), remedy.replace(folder, name)
    return ApiError(status, code, message, client_remedy(remedy), retry_after=5 if status == 503 else None)


def hide_folder(error: Exception, folder: str) -> None:
    """Takes a temporary folder, in which the files of a request were, out of a message."""
    error.args = tuple(each.replace(f"{folder}/", "") if isinstance(each, str) else each for each in error.args)
