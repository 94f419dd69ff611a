"""A small server that answers as OpenSearch or Elasticsearch would, with an exact count, and misbehaves on request."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


class Engine:
    """An engine in memory.

    Attributes:
        indexes: Its indexes by name.
        requests: Method and path of each request.
        before_bulk: Called with the number of a bulk request, from 1; returns a status instead of an answer, or None.
        item_status: Called with the number of a bulk request and the _id of a document; returns a status, or None.
        bodies: The bodies of searches.
        disturb: Called with method, path without parameters, and how often both were requested, from 1; returns a status and
            a body of its own, ``None`` to answer as usual, or ``"lost"`` to do as asked and close the connection.
        before_search: Called with the number of a search, from 1.
        kept: Points in time: the documents of each; None after it has ended.
        credentials: What the Authorization header has to be; None for anything.
    """

    def __init__(self, product: str, version: str) -> None:
        self.product, self.version = product, version
        self.indexes: dict[str, Json] = {}
        self.requests: list[str] = []
        self.bodies: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.before_bulk: Callable[[int], int | None] = lambda _: None
        self.item_status: Callable[[int, str], int | None] = lambda _, __: None
        self.before_search: Callable[[int], None] = lambda _: None
        self.disturb: Callable[[str, str, int], tuple[int, bytes, str] | str | None] = lambda *_: None
        self.kept: dict[str, Json | None] = {}
        self.credentials: str | None = None
        self.bulks = 0
        self.lock = threading.Lock()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Json]:
        """The answer to a request."""
        url = urlsplit(path)
        name, _, action = url.path.strip("/").partition("/")
        self.requests.append(f"{method} {url.path}")
        if name in ("_search", "_pit"):  # of a point in time, which names its index
            return self.of_point_in_time(method, url.path, body, parse_qs(url.query))
        if not name:
            distribution = {"distribution": "opensearch"} if self.product == "opensearch" else {}
            return 200, {"version": {"number": self.version, **distribution}, "tagline": "You Know, for Search"}
        if method == "PUT" and not action:
            if name in self.indexes:
                return 400, {"error": {"type": "resource_already_exists_exception", "reason": f"[{name}] exists"}}
            self.indexes[name] = {**json.loads(body), "documents": {}, "visible": {}}
            return 200, {"acknowledged": True}
        if name not in self.indexes:
            return 404, {"error": {"type": "index_not_found_exception", "reason": f"no such index [{name}]"}}
        found: Callable[[str, Json, bytes, dict[str, list[str]]], tuple[int, Json]] = getattr(
            self, f"{method.lower()}{action.replace('/', '_') or '_index'}"
        )
        return found(name, self.indexes[name], body, parse_qs(url.query))

    def get_index(self, name: str, index: Json, *_: Any) -> tuple[int, Json]:
        return 200, {name: {"mappings": index["mappings"], "settings": index["settings"]}}

    def delete_index(self, name: str, *_: Any) -> tuple[int, Json]:
        del self.indexes[name]
        return 200, {"acknowledged": True}

    def put_settings(self, _: str, index: Json, body: bytes, __: Any) -> tuple[int, Json]:
        index["settings"]["index"].update(json.loads(body)["index"])
        return 200, {"acknowledged": True}

    def put_mapping(self, _: str, index: Json, body: bytes, __: Any) -> tuple[int, Json]:
        index["mappings"].update(json.loads(body))
        return 200, {"acknowledged": True}

    def post_refresh(self, _: str, index: Json, *__: Any) -> tuple[int, Json]:
        index["visible"] = dict(index["documents"])
        return 200, {"_shards": {"failed": 0}}

    def post_count(self, _: str, index: Json, body: bytes, __: Any) -> tuple[int, Json]:
        query = json.loads(body or b"{}").get("query")
        return 200, {"count": len(list(self.matching(index, query))), "_shards": {"failed": 0}}

    def post_mget(self, _: str, index: Json, body: bytes, query: dict[str, list[str]]) -> tuple[int, Json]:
        left_out = query.get("_source_excludes", [""])[0].split(",")
        documents = []
        for each in json.loads(body)["ids"]:
            source = index["documents"].get(each)
            kept = {key: value for key, value in source.items() if key not in left_out} if source else {}
            documents.append({"_id": each, "found": source is not None, **({"_source": kept} if source else {})})
        return 200, {"docs": documents}

    def post_bulk(self, _: str, index: Json, body: bytes, __: Any) -> tuple[int, Json]:
        with self.lock:
            self.bulks += 1
            number = self.bulks
        status = self.before_bulk(number)
        if status is not None:
            return status, {"error": {"type": "rejected_execution_exception", "reason": "too busy"}, "status": status}
        lines = [json.loads(line) for line in body.split(b"\n") if line]
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            identity = action["index"]["_id"]
            status = self.item_status(number, identity)
            if status is None:
                index["documents"][identity] = source
                items.append({"index": {"_id": identity, "status": 201}})
            else:
                error = {"type": "rejected_execution_exception", "reason": "queue is full"}
                items.append({"index": {"_id": identity, "status": status, "error": error}})
        return 200, {"errors": any("error" in item["index"] for item in items), "items": items}

    def post_search(self, _: str, index: Json, body: bytes, query: dict[str, list[str]]) -> tuple[int, Json]:
        assert query["allow_partial_search_results"] == ["false"]
        asked = json.loads(body)
        self.bodies.append(asked)
        self.before_search(len(self.bodies))
        if "aggs" in asked:
            return 200, self.parts(index, asked)
        return self.ranking(index["visible"], asked)

    def ranking(self, documents: Json, asked: Json) -> tuple[int, Json]:
        query = asked["query"]
        if "must" in (parts := query.get("bool", {})):
            (query,), filters = parts["must"], parts["filter"]
            documents = {name: each for name, each in documents.items() if all(fulfils(one, each) for one in filters)}
        weights = self.weights({**asked, "query": query})
        rows = [
            (
                float(sum(weights[key] * impact for key, impact in source["impacts"].items() if key in weights)),
                source["docid"],
            )
            for source in documents.values()
            if not weights.keys().isdisjoint(source["impacts"])
        ]
        rows.sort(key=lambda row: (-row[0], row[1].encode()))
        if "search_after" in asked:
            score, docid = asked["search_after"][:2]
            rows = [row for row in rows if (-row[0], row[1].encode()) > (-score, docid.encode())]
        tie = [7] if "pit" in asked and self.product == "elasticsearch" else []  # which sorts by _shard_doc, too
        hits = [{"_score": score, "sort": [score, docid, *tie]} for score, docid in rows[: asked["size"]]]
        return 200, {"_shards": {"failed": 0}, "timed_out": False, "hits": {"hits": hits}}

    def post_search_point_in_time(
        self, name: str, index: Json, _: bytes, query: dict[str, list[str]]
    ) -> tuple[int, Json]:
        assert self.product == "opensearch"
        assert query["allow_partial_pit_creation"] == ["false"]
        return 200, {"pit_id": self.keep(index)}

    def post_pit(self, _: str, index: Json, *__: Any) -> tuple[int, Json]:
        assert self.product == "elasticsearch"
        return 200, {"id": self.keep(index)}

    def keep(self, index: Json) -> str:
        name = f"pit-{len(self.kept)}"
        self.kept[name] = dict(index["visible"])
        return name

    def of_point_in_time(self, method: str, path: str, body: bytes, query: dict[str, list[str]]) -> tuple[int, Json]:
        asked = json.loads(body)
        if method == "DELETE":
            is_pit = path == "/_pit" if self.product == "elasticsearch" else path == "/_search/point_in_time"
            assert is_pit
            ended = [asked["id"]] if self.product == "elasticsearch" else asked["pit_id"]
            for name in ended:
                self.kept[name] = None
            return 200, {"succeeded": True}
        assert query["allow_partial_search_results"] == ["false"]
        self.bodies.append(asked)
        self.before_search(len(self.bodies))
        documents = self.kept[asked["pit"]["id"]]
        if documents is None:
            return 404, {"error": {"type": "search_context_missing_exception", "reason": "No search context found"}}
        return self.ranking(documents, asked)

    def parts(self, index: Json, asked: Json) -> Json:
        counts = Counter(source["part"] for source in self.matching(index, asked["query"]))
        composite = asked["aggs"]["parts"]["composite"]
        after = composite.get("after", {}).get("part", "")
        names = [name for name in sorted(counts) if name > after][: composite["size"]]
        buckets = [{"key": {"part": name}, "doc_count": counts[name]} for name in names]
        more = {"after_key": {"part": names[-1]}} if names else {}
        return {"_shards": {"failed": 0}, "aggregations": {"parts": {"buckets": buckets, **more}}}

    @staticmethod
    def matching(index: Json, query: Json | None) -> Iterator[Json]:
        prefix = query["prefix"]["part"] if query else ""
        return (source for source in index["visible"].values() if source["part"].startswith(prefix))

    def weights(self, asked: Json) -> dict[str, float]:
        """The weights of a query in the form of this engine."""
        assert asked["sort"] == [{"_score": "desc"}, {"docid": "asc"}]
        assert asked["track_total_hits"] is False
        if self.product == "elasticsearch":
            query = asked["query"]["sparse_vector"]
            assert query["prune"] is False
            weights: dict[str, float] = query["query_vector"]
            assert max(weights.values()) <= 64
        else:
            clauses = [clause["rank_feature"] for clause in asked["query"]["bool"]["should"]]
            assert all(clause["linear"] == {} for clause in clauses)
            weights = {clause["field"].removeprefix("impacts."): clause["boost"] for clause in clauses}
        return weights


def fulfils(query: Json, source: Json) -> bool:
    """Whether a document matches a filter query, by the engines' documentation."""
    ((kind, asked),) = query.items()
    match kind:
        case "match_none":
            return False
        case "bool":
            assert set(asked) in ({"filter"}, {"must_not"}, {"should", "minimum_should_match"})
            if "filter" in asked:
                return all(fulfils(each, source) for each in asked["filter"])
            if "must_not" in asked:
                return not any(fulfils(each, source) for each in asked["must_not"])
            return any(fulfils(each, source) for each in asked["should"])
        case "exists":
            return bool(values_of(asked["field"], source))
    ((field, given),) = asked.items()
    found = values_of(field, source)
    match kind:
        case "term":
            return given in found
        case "terms":
            assert len(given) <= 65_536
            return any(each in found for each in given)
        case "prefix":
            return any(each.startswith(given["value"]) for each in found)
        case "range":
            assert set(given) <= {"gte", "lt", "lte"}
            ends = {name: comparable(end) for name, end in given.items()}
            return any(
                ("gte" not in ends or each >= ends["gte"])
                and ("lt" not in ends or each < ends["lt"])
                and ("lte" not in ends or each <= ends["lte"])
                for each in map(comparable, found)
            )
    raise AssertionError(query)


def values_of(field: str, source: Json) -> list[Any]:
    """The values of a field of a document, as they are indexed."""
    group, name = field.split(".", 1)
    value = source.get(group, {}).get(name)
    return [] if value is None else value if isinstance(value, list) else [value]


def comparable(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


class _Handler(BaseHTTPRequestHandler):
    engine: Engine
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.engine.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.engine.credentials not in (None, self.headers.get("Authorization")):
            status, answer = (
                401,
                {"error": {"type": "security_exception", "reason": "missing credentials"}, "status": 401},
            )
        else:
            status, answer = self.engine.answer(self.command, self.path, body)
        packed, kind = json.dumps(answer).encode(), "application/json"
        path = self.path.partition("?")[0]
        disturbed = self.engine.disturb(self.command, path, self.engine.requests.count(f"{self.command} {path}"))
        if isinstance(disturbed, str):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if disturbed is not None:
            status, packed, kind = disturbed
        self.send_response(status)
        if self.engine.product == "elasticsearch":
            self.send_header("X-Elastic-Product", "Elasticsearch")
            wanted = self.headers.get("Accept", "")
            kind = wanted if "vnd.elasticsearch" in wanted and disturbed is None else kind
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(packed)))
        self.end_headers()
        self.wfile.write(packed)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815 - names of http.server

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def serving(engine: Engine, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Serves an engine on a port of this machine; yields its URL.

    Args:
        engine: The engine.
        certificate: A certificate and its key, for TLS.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"engine": engine}))
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def basic(user: str, password: str) -> str:
    """The header of basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
