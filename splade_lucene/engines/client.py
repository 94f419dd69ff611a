"""Requests to OpenSearch and Elasticsearch with their official clients, which differ in names only.

The URL is that of the engine. Credentials come from the environment; ``ENGINE`` is ``OPENSEARCH`` or ``ELASTICSEARCH``:

=============================================  ===================================================================
``ENGINE_USERNAME`` and ``ENGINE_PASSWORD``    basic authentication
``ELASTICSEARCH_API_KEY``                      an API key instead
``ENGINE_CA_CERTS``                            a file of the authorities that sign the server's certificate
``ENGINE_CLIENT_CERT``, ``ENGINE_CLIENT_KEY``  a certificate of the client and its key
=============================================  ===================================================================

Certificates are always verified.
"""

from __future__ import annotations

import json
import os
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from splade_lucene.arguments import check_choice, to_list
from splade_lucene.engines.names import ServedEngine
from splade_lucene.errors import EngineError, InputError, SpladeLuceneError, first_line
from splade_lucene.imports import uninterrupted_imports

BUSY = frozenset((429, 502, 503, 504))
"""Statuses of an engine that is too busy, or starting: the same request may succeed later."""

KEEP_ALIVE = "2m"
"""How long a point in time lasts after it was last used."""

_PORTS = {"http": 9200, "https": 443}
_OK = 200
_NO_REASON = "no reason given"
_JSON, _LINES = "application/json", "application/x-ndjson"
_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0


class EngineClient(ABC):
    """An open client. Its methods are for any number of threads.

    Args:
        urls: Where the nodes of the engine are.
        settings: The credentials.
        threads: The number of threads that use it.
    """

    title: str
    _opening: tuple[str, Mapping[str, str]]
    _id: str
    _closing: str

    def __init__(self, urls: Sequence[str], settings: Mapping[str, str], threads: int) -> None:
        self.urls = urls
        self._client = self._open(urls, settings, threads)

    @abstractmethod
    def _open(self, urls: Sequence[str], settings: Mapping[str, str], threads: int) -> Any:
        """Opens the official client."""

    @abstractmethod
    def _perform(self, method: str, path: str, params: Mapping[str, str], content_type: str, body: bytes | None) -> Any:
        """The engine's answer.

        Raises:
            EngineError: It refuses the request, or cannot be reached.
        """

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, patience: float = 0.0, **params: str
    ) -> dict[str, Any]:
        """The engine's answer to a request.

        Args:
            method: The method of HTTP.
            path: The path, which starts with a slash.
            body: The JSON of the request.
            patience: Seconds for which a request is repeated while the engine is busy or cannot be reached.
            params: The parameters in the URL.

        Raises:
            EngineError: It refuses the request, or cannot be reached.
        """
        packed = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        answer: Any = patiently(lambda: self._perform(method, path, params, _JSON, packed), patience)
        with self.reading(answer):
            return {**answer}

    def bulk(self, name: str, lines: bytes) -> list[dict[str, Any]]:
        """Sends a bulk request; returns what happened to each of its documents.

        Raises:
            EngineError: The engine refuses the whole request, or cannot be reached.
        """
        params = {"filter_path": "errors,items.*.status,items.*.error,items.*._id"}
        answer = self._perform("POST", f"/{name}/_bulk", params, _LINES, lines)
        with self.reading(answer):
            return [{**next(iter(item.values()))} for item in answer["items"]]

    @contextmanager
    def reading(self, answer: object) -> Iterator[None]:
        """For a block that reads an answer.

        Args:
            answer: The answer.

        Raises:
            EngineError: It lacks what is read, so the engine did not write it.
        """
        try:
            yield
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise unreadable(self.title, self.urls, answer) from error

    def find(self, name: str, *, patience: float = 0.0) -> dict[str, Any] | None:
        """Mappings and settings of an index; None if there is none.

        Args:
            name: The index.
            patience: See :meth:`request`.

        Raises:
            EngineError: The engine cannot be reached, or the name is that of several indexes.
        """
        try:
            found = self.request("GET", f"/{name}", patience=patience)
        except EngineError as error:
            if error.status == 404:
                return None
            raise
        if len(found) != 1:
            raise EngineError(f"{self.title} has several indexes called {name}: {', '.join(found)}. Name one of them.")
        return dict(next(iter(found.values())))

    def count(self, name: str, query: Mapping[str, Any] | None = None, *, patience: float = 0.0) -> int:
        """The number of documents of an index, or of those that a query finds, after the last refresh.

        Args:
            name: The index.
            query: The query.
            patience: See :meth:`request`.

        Raises:
            EngineError: A part of the index cannot be reached.
        """
        body = None if query is None else {"query": query}
        answer = self.request("POST", f"/{name}/_count", body, patience=patience)
        self.check_complete(answer)
        with self.reading(answer):
            return int(answer["count"])

    def search(self, name: str, body: Mapping[str, Any], *, patience: float = 0.0) -> dict[str, Any]:
        """The answer to a search, of all shards.

        Args:
            name: The index.
            body: The search.
            patience: See :meth:`request`.

        Raises:
            EngineError: A part of the index cannot be reached, or the query is refused.
        """
        path = "/_search" if "pit" in body else f"/{name}/_search"
        answer = self.request("POST", path, body, patience=patience, allow_partial_search_results="false")
        self.check_complete(answer)
        return answer

    @contextmanager
    def point_in_time(self, name: str) -> Iterator[str]:
        """Keeps the index as it is now, for searches whose body has a ``pit`` with this id. It does not try again.

        Args:
            name: The index.

        Raises:
            EngineError: The engine has none, or a part of the index cannot be reached.
        """
        path, params = self._opening
        params = {"keep_alive": KEEP_ALIVE, **params}
        answer = self.request("POST", path.format(name=name), None, patience=0.0, **params)
        with self.reading(answer):
            pit = str(answer[self._id])
        try:
            yield pit
        finally:
            with suppress(EngineError):  # it expires anyway
                self.request("DELETE", self._closing, self._closed(pit))

    @abstractmethod
    def _closed(self, pit: str) -> dict[str, Any]:
        """The body of the request that ends a point in time."""

    def check_complete(self, answer: Mapping[str, Any]) -> None:
        """Refuses an answer from which something is missing.

        Raises:
            EngineError: A shard failed, or the request timed out.
        """
        shards = answer.get("_shards", {})
        if shards.get("failed") or answer.get("timed_out"):
            failures = json.dumps(shards.get("failures", "time is up"))[:1000]
            raise EngineError(
                f"{self.title} returned only partial results: {failures}. Try again when all shards are available."
            )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


class OpenSearchClient(EngineClient):
    """A client of OpenSearch."""

    title = "OpenSearch"
    _opening = ("/{name}/_search/point_in_time", {"allow_partial_pit_creation": "false"})
    _id, _closing = "pit_id", "/_search/point_in_time"

    def _closed(self, pit: str) -> dict[str, Any]:
        return {"pit_id": [pit]}

    @uninterrupted_imports()
    def _open(self, urls: Sequence[str], settings: Mapping[str, str], threads: int) -> Any:
        import opensearchpy

        self._library: Any = opensearchpy
        options: dict[str, Any] = {
            name.lower(): value for name, value in settings.items() if name.startswith("CLIENT_")
        }
        if "USERNAME" in settings:
            options["http_auth"] = (settings["USERNAME"], settings["PASSWORD"])
        if "CA_CERTS" in settings:
            options["ca_certs"] = settings["CA_CERTS"]
        if any(url.startswith("https:") for url in urls):
            options["verify_certs"] = True
        return opensearchpy.OpenSearch(
            [*urls], timeout=_SECONDS, max_retries=len(urls), retry_on_timeout=False, retry_on_status=(),
            pool_maxsize=threads, http_compress=False, **options,
        )  # fmt: skip

    def _perform(self, method: str, path: str, params: Mapping[str, str], content_type: str, body: bytes | None) -> Any:
        try:
            return self._client.transport.perform_request(
                method, path, params=dict(params), body=body, headers={"content-type": content_type}
            )
        except self._library.TransportError as error:
            status = error.status_code if isinstance(error.status_code, int) else None
            raise refused(self.title, self.urls, status, (error.info or error.error) if status else error) from error
        except (self._library.SerializationError, UnicodeDecodeError) as error:
            raise unreadable(self.title, self.urls, error) from error
        except self._library.OpenSearchException as error:
            raise refused(self.title, self.urls, None, error) from error


class ElasticsearchClient(EngineClient):
    """A client of Elasticsearch."""

    title = "Elasticsearch"
    _opening = ("/{name}/_pit", {})
    _id, _closing = "id", "/_pit"

    def _closed(self, pit: str) -> dict[str, Any]:
        return {"id": pit}

    @uninterrupted_imports()
    def _open(self, urls: Sequence[str], settings: Mapping[str, str], threads: int) -> Any:
        import elasticsearch

        self._library: Any = elasticsearch
        options: dict[str, Any] = {
            name.lower(): value for name, value in settings.items() if name.startswith("CLIENT_")
        }
        if "API_KEY" in settings:
            options["api_key"] = settings["API_KEY"]
        elif "USERNAME" in settings:
            options["basic_auth"] = (settings["USERNAME"], settings["PASSWORD"])
        if "CA_CERTS" in settings:
            options["ca_certs"] = settings["CA_CERTS"]
        return elasticsearch.Elasticsearch(
            [*urls], request_timeout=_SECONDS, max_retries=len(urls), retry_on_timeout=False, retry_on_status=(),
            connections_per_node=threads, **options,
        )  # fmt: skip

    def _perform(self, method: str, path: str, params: Mapping[str, str], content_type: str, body: bytes | None) -> Any:
        headers = {"accept": _JSON, **({"content-type": content_type} if body is not None else {})}
        try:
            return self._client.perform_request(method, path, params=params or None, headers=headers, body=body).body
        except self._library.UnsupportedProductError as error:
            raise EngineError(
                f"{', '.join(self.urls)} is not Elasticsearch, which its official client requires. Export for the engine "
                "that runs there."
            ) from error
        except self._library.SerializationError as error:
            raise unreadable(self.title, self.urls, error) from error
        except self._library.ApiError as error:
            raise refused(self.title, self.urls, error.status_code, error.body) from error
        except self._library.TransportError as error:
            raise refused(self.title, self.urls, None, error) from error


_CLIENTS: dict[str, type[EngineClient]] = {"opensearch": OpenSearchClient, "elasticsearch": ElasticsearchClient}


def open_client(engine: ServedEngine, url: str | Iterable[str], threads: int = 1) -> EngineClient:
    """Opens a client. It connects with the first request.

    Args:
        engine: The engine.
        url: Where it is, or where each of its nodes is: ``http://HOST:PORT`` or ``https://HOST:PORT``.
        threads: The number of threads that use it.

    Raises:
        InputError: A URL, or what the environment says, is wrong, or the engine is unknown.
        MissingDependencyError: The official client is not installed.
    """
    check_choice(engine, ServedEngine, "engine")
    user = f"Set {engine.upper()}_USERNAME and {engine.upper()}_PASSWORD in the environment"
    urls = [checked_url(each, _PORTS, user) for each in ([url] if isinstance(url, str) else to_list(url, "URLs"))]
    if not urls:
        raise InputError("no URL is given", remedy="Pass url=http://HOST:PORT")
    client = _CLIENTS[engine]
    try:
        return client(urls, _settings(engine), threads)
    except (SpladeLuceneError, KeyboardInterrupt):
        raise
    except Exception as error:  # the clients check certificates, keys and URLs, each with errors of its own
        raise InputError(
            f"{client.title}'s client cannot be opened ({first_line(error)})",
            remedy=f"Check the URL and the variables {engine.upper()}_…",
        ) from error


def checked_url(url: str, ports: Mapping[str, int], user: str) -> str:
    """The URL of an engine with its port.

    Args:
        url: The URL.
        ports: Scheme → the port of a URL without one.
        user: The remedy for a URL with a user.

    Raises:
        InputError: It is none, or has a user.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{url!r:.200} is not a URL ({error})", remedy="Write http://HOST:PORT") from error
    if parts.username or parts.password:
        raise InputError("a user or password in a URL would be visible in process lists", remedy=user)
    if parts.scheme not in ports or not parts.hostname or parts.query or parts.fragment:
        raise InputError(
            f"{url!r:.200} is not the URL of an engine", remedy="Write http://HOST:PORT or https://HOST:PORT"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or ports[parts.scheme]}{parts.path.rstrip('/')}"


def _settings(engine: ServedEngine) -> dict[str, str]:
    names = ["USERNAME", "PASSWORD", "CA_CERTS", "CLIENT_CERT", "CLIENT_KEY"]
    names += ["API_KEY"] if engine == "elasticsearch" else []
    found = {name: value for name in names if (value := os.environ.get(f"{engine.upper()}_{name}"))}
    for one, other in (("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME"), ("CLIENT_KEY", "CLIENT_CERT")):
        if one in found and other not in found:
            raise InputError(
                f"the environment has {engine.upper()}_{one} without {engine.upper()}_{other}",
                remedy="Set both, or neither",
            )
    for name in ("CA_CERTS", "CLIENT_CERT", "CLIENT_KEY"):
        if name in found and not Path(found[name]).is_file():
            raise InputError(
                "no such file", path=found[name], remedy=f"Correct {engine.upper()}_{name} in the environment"
            )
    return found


def refused(title: str, urls: Sequence[str], status: int | None, detail: object) -> EngineError:
    """The error to raise for a request that failed.

    Args:
        title: The engine.
        urls: Where it is.
        status: The status of its answer; None if there was none.
        detail: Its answer, or the client's error.
    """
    where, name = f"{title} at {', '.join(urls)}", title.upper()
    if status is None:
        reason = first_line(root_cause(detail)) if isinstance(detail, Exception) else str(detail)
        remedy = "Check the URL, and that it runs."
        if "certificate" in reason.lower():
            remedy = f"Set {name}_CA_CERTS to a file with the certificate of the authority that signed the server's."
        return EngineError(f"{where} cannot be reached ({reason:.500}). {remedy}")
    reason = reason_of(detail)
    if status in (401, 403):
        return EngineError(f"{where} denies access ({reason}). Set {name}_USERNAME and {name}_PASSWORD.", status)
    remedy = ""
    if "too_many_clauses" in reason or "maxClauseCount" in reason:
        remedy = (
            " Set indices.query.bool.max_clause_count of its nodes to more than the terms of a query and the values in its "
            "filter."
        )
    elif status == 413:
        remedy = " Raise the largest size of a request: http.max_content_length, and that of a proxy in front of it."
    elif 300 <= status < 400:
        remedy = " Pass the URL to which this one redirects."
    return EngineError(f"{where} refuses the request with status {status}: {reason}.{remedy}", status)


def root_cause(error: BaseException) -> Exception:
    """The error from which another one follows: that of the system, below those of a client and its libraries."""
    while (inner := error.__cause__ or error.__context__) is not None and str(inner):
        error = inner
    return error if isinstance(error, Exception) else Exception(str(error))


def unreadable(title: str, urls: Sequence[str], answer: object) -> EngineError:
    """The error to raise for an answer that the engine did not write, or only in part.

    Args:
        title: The engine.
        urls: Where it is.
        answer: The answer, or the client's error.
    """
    shown = first_line(answer) if isinstance(answer, Exception) else repr(answer)
    return EngineError(
        f"the answer of {title} at {', '.join(urls)} cannot be read ({shown:.200}). Check that nothing else answers there, "
        "such as a proxy that asks for a password.",
        _OK,
    )


def reason_of(detail: object) -> str:
    """The innermost reason that an engine's answer gives."""
    error = detail.get("error", detail) if isinstance(detail, Mapping) else detail
    while isinstance(error, Mapping):
        causes = error.get("root_cause") or []
        inner = error.get("caused_by") or (causes[0] if causes and causes[0] != error else None)
        if not inner or inner.get("reason") == error.get("reason"):
            named = [str(error[name]) for name in ("type", "reason") if error.get(name)]
            return ": ".join(named)[:1000].rstrip(".") or _NO_REASON
        error = inner
    return str(error)[:1000].strip().rstrip(".") if error else _NO_REASON


def patiently(call: Callable[[], Any], patience: float) -> Any:
    """Calls something again while the engine is busy or cannot be reached.

    Args:
        call: What is called.
        patience: The seconds after which the last error is raised.
    """
    waits = pauses(patience)
    while True:
        try:
            return call()
        except EngineError as error:
            pause = next(waits, None) if is_temporary(error) else None
            if pause is None:
                raise
            time.sleep(pause)


def is_temporary(error: EngineError) -> bool:
    """Whether the same request may succeed later."""
    return error.status is None or error.status in BUSY


def pauses(patience: float) -> Iterator[float]:
    """Seconds to wait between tries, longer each time, until they add up to a number of seconds."""
    pause, waited = _FIRST_PAUSE, 0.0
    while waited < patience:
        wait = min(pause * random.uniform(0.5, 1.5), patience - waited)  # noqa: S311 - spreads requests, not for security
        yield wait
        waited += wait
        pause = min(2 * pause, _LONGEST_PAUSE)
