"""The indexes of a server, and its limits."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from splade_lucene.defaults import thread_count
from splade_lucene.errors import InputError

PORT = 8080
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Limits:
    """Limits of requests; what exceeds one is refused with a message that names it.

    Attributes:
        query_characters: Length of a query, and of a filter.
        query_terms: Number of terms of an encoded query.
        hits: Number of hits of a query.
        batch: Number of queries or texts of a request.
        body_bytes: Size of a request's body.
        concurrent: Number of searches at a time. Default: one per core.
        waiting: Number of requests that wait for a search; further ones are told to come back.
        rate: Requests a second of one client; None for no limit.
        seconds: Time for a request: for its body to come, and then for the answer to begin.
        connections: Number of open connections.
    """

    query_characters: int = 10_000
    query_terms: int = 10_000
    hits: int = 1_000
    batch: int = 1_000
    body_bytes: int = 8 << 20
    concurrent: int = field(default_factory=thread_count)
    waiting: int = 256
    rate: float | None = None
    seconds: float = 30.0
    connections: int = 10_000

    def __post_init__(self) -> None:
        counts = ("query_characters", "query_terms", "hits", "batch", "body_bytes", "concurrent", "connections")
        for name in counts:
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)!r:.40}")
        if self.waiting < 0:
            raise InputError(f"waiting must be at least 0, got {self.waiting!r:.40}")
        for name in ("seconds", "rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:  # NaN is not
                raise InputError(f"{name} must be above 0, got {value!r:.40}")

    @property
    def query_bytes(self) -> int:
        """Size of a body that has a single query: a text whose characters are all escaped, and terms of usual lengths."""
        return min(self.body_bytes, 12 * self.query_characters + 64 * self.query_terms + (64 << 10))


@dataclass(frozen=True)
class ServerSettings:
    """What a server serves.

    Attributes:
        indexes: Name → folder of each index.
        host: Address on which it listens.
        port: Its port; 0 for any free one.
        token: What a request must have as ``Authorization: Bearer TOKEN`` to add or delete documents and, if other machines can
            connect, to read data. None for none.
        read_only: Whether nothing can be added or deleted.
        refresh_seconds: Seconds between two looks for new commits of the indexes; 0 for never.
        limits: Limits of requests.

    Raises:
        InputError: No index is given, the seconds are below 0, or there is no token although other machines can connect.
    """

    indexes: Mapping[str, Path]
    host: str = HOST
    port: int = PORT
    token: str | None = None
    read_only: bool = False
    refresh_seconds: float = 1.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.indexes:
            raise InputError("no index was given", remedy="Pass at least one index_dir=…")
        if not self.refresh_seconds >= 0:  # NaN is not
            raise InputError(f"refresh_seconds must be at least 0, got {self.refresh_seconds!r:.40}")
        if not self.is_local and self.token is None:
            raise InputError(
                f"{self.host} can be reached from other machines, so a token is required",
                remedy="Pass one with token=…, or listen on 127.0.0.1",
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def authorization(self) -> bytes | None:
        """The header ``Authorization`` that has the token; None if there is no token."""
        return None if self.token is None else b"Bearer " + self.token.encode()

    @property
    def can_change(self) -> bool:
        """Whether documents can be added and deleted."""
        return not self.read_only and self.token is not None


def is_loopback(host: str) -> bool:
    """Whether an address or a name is that of this machine for itself."""
    if host.lower().rstrip(".") in ("localhost", "localhost.localdomain"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> str:
    """Reads the token from its file.

    Raises:
        InputError: The file cannot be read, or holds no token.
    """
    try:
        token = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the token ({error})", path=path, remedy="Pass a UTF-8 file with one line"
        ) from error
    if len(token) < 16 or any(each.isspace() for each in token) or not token.isascii():
        raise InputError(
            "a token has at least 16 ASCII characters without white space",
            path=path,
            remedy="Make one with: openssl rand -hex 32",
        )
    return token
