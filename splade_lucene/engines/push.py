"""Loads an export into OpenSearch or Elasticsearch.

Each document records its part of ten thousand documents, and its docid is its id, so that a document sent
twice is stored once. The engine is asked which parts are complete: a load that was interrupted sends only the others.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_lucene.arguments import to_count, to_flag, to_path
from splade_lucene.counts import counted
from splade_lucene.defaults import thread_count
from splade_lucene.engines.client import BUSY, EngineClient, is_temporary, open_client, pauses, reason_of
from splade_lucene.engines.export_manifest import ExportManifest, read_export
from splade_lucene.engines.index_metadata import META, mapping_metadata, read_metadata
from splade_lucene.engines.lucene_engine import INDEX_FILE, PART_DOCUMENTS, check_index_name
from splade_lucene.engines.names import ServedEngine
from splade_lucene.errors import EngineError, InputError, StorageError
from splade_lucene.files.json_text import parse_json
from splade_lucene.progress import NO_PROGRESS, Progress

_REQUEST_BYTES = 2 << 20
_PATIENCE = 300.0
_PARTS_AT_ONCE = 1000
_NOT_FOUND, _TOO_LARGE, _SERVER_ERROR = 404, 413, 500
_EXISTS = "resource_already_exists_exception"


@dataclass(frozen=True)
class PushSummary:
    """The result of a load.

    Attributes:
        engine: The engine.
        name: Its index.
        documents: Number of documents of the export, which are all in the index.
        sent: Number of documents that were sent; the others were already there.
        total: Number of documents in the index.
    """

    engine: str
    name: str
    documents: int
    sent: int
    total: int


def push_export(  # noqa: PLR0913 - all but the first two are keywords with defaults
    export: str | Path,
    url: str | Iterable[str],
    *,
    to: ServedEngine | None = None,
    name: str | None = None,
    shards: int | None = None,
    replicas: int | None = None,
    threads: int | None = None,
    append: bool = False,
    overwrite: bool = False,
    patience: float = _PATIENCE,
    progress: Progress = NO_PROGRESS,
) -> PushSummary:
    """Loads an export into OpenSearch or Elasticsearch, and compares the counts. The same call resumes after an interruption.

    Args:
        export: The folder that :func:`splade_lucene.export_collection` wrote.
        url: The URL of the engine, or of each of its nodes. Credentials come from the environment; see
            :mod:`splade_lucene.engines.client`.
        to: The engine; None for that of the export.
        name: The index; None for the name of the export.
        shards: The number of shards of a new index; None for one. It never changes.
        replicas: The number of copies of each shard; None for none in a new index.
        threads: The number of requests at a time; None for one per core.
        append: Add to an index of another export, whose documents with the same docids are replaced.
        overwrite: Delete the index, if there is one.
        patience: Seconds for which a request is retried while the engine is busy or cannot be reached.
        progress: Reports the progress.

    Raises:
        InputError: The folder is not an export, is damaged, is for another engine, or does not fit the index; or the index has
            another number of shards.
        EngineError: The engine cannot be reached, refuses a document, or the counts differ at the end.
        MissingDependencyError: The engine's client is not installed.
    """
    folder, threads = to_path(export), thread_count(threads)
    append, overwrite = to_flag(append, "append"), to_flag(overwrite, "overwrite")
    if append and overwrite:
        raise InputError("append=True and overwrite=True are mutually exclusive", remedy="Choose one")
    manifest = read_export(folder)
    engine = _engine(manifest, to, folder)
    target = manifest.name if name is None else name
    client = open_client(engine, url, threads)
    try:
        check_index_name(target, client.title)
        body = _body(folder, shards, replicas)
        is_appended = _prepare(client, target, body, manifest, patience, append=append, overwrite=overwrite)
        _apply(client, target, shards, replicas, patience)
        load = _Load(client, target, manifest, folder, patience)
        complete = load.complete_parts()
        with progress.step("loading", manifest.documents, "documents") as advance:
            advance(sum(load.size_of(part) for part in complete), resumed=True)
            sent = 0
            for count in load.send(complete, threads):
                sent += count
                advance(count)
        client.request("PUT", f"/{target}/_settings", {"index": {"refresh_interval": None}}, patience=patience)
        total = load.check_counts(is_appended=is_appended)
    finally:
        client.close()
    return PushSummary(engine, target, manifest.documents, sent, total)


def _engine(manifest: ExportManifest, to: str | None, folder: Path) -> ServedEngine:
    if manifest.engine not in ("opensearch", "elasticsearch") or to not in (None, manifest.engine):
        raise InputError(
            f"this export is for {manifest.engine}"
            + (f", not for {to}" if to else ", which is loaded as its README.md says"),
            path=folder, remedy="Export again for the engine to load",
        )  # fmt: skip
    return "opensearch" if manifest.engine == "opensearch" else "elasticsearch"


def _body(folder: Path, shards: int | None, replicas: int | None) -> dict[str, Any]:
    path = folder / INDEX_FILE
    try:
        body: dict[str, Any] = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read this file ({error})", path=path, remedy="Export again") from error
    settings = body.setdefault("settings", {}).setdefault("index", {})
    settings["refresh_interval"] = "-1"
    if shards is not None:
        settings["number_of_shards"] = to_count(shards, "shards")
    if replicas is not None:
        settings["number_of_replicas"] = to_count(replicas, "replicas", least=0)
    return body


def _prepare(
    client: EngineClient, name: str, body: dict[str, Any], manifest: ExportManifest, patience: float, *,
    append: bool, overwrite: bool,
) -> bool:  # fmt: skip
    """Creates the index, or checks that it can take the documents; returns whether it has those of other exports."""
    _check_version(client, body)
    found = client.find(name, patience=patience)
    if found is not None and overwrite:
        _delete(client, name, patience)
        found = None
    if found is None:
        if _create(client, name, body, patience):
            return False
        found = client.find(name, patience=patience) or {}
    existing = read_metadata(mapping_metadata(found), name, client.title)
    if existing.export == manifest.identity and not existing.is_joined:
        return False
    if not append:
        raise InputError(
            f"{client.title} has an index {name} of another export",
            remedy="Pass overwrite=True to replace it, append=True to add to it, or another name=…",
        )
    joined = existing.joined(read_metadata(mapping_metadata(body), name, client.title), name)
    client.request("PUT", f"/{name}/_mapping", {"_meta": {META: joined.to_json()}, **_fields(body)}, patience=patience)
    client.request("PUT", f"/{name}/_settings", {"index": {"refresh_interval": "-1"}}, patience=patience)
    return True


def _delete(client: EngineClient, name: str, patience: float) -> None:
    """Deletes an index. It may be gone already, if the answer to an earlier try got lost."""
    try:
        client.request("DELETE", f"/{name}", patience=patience)
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise


def _create(client: EngineClient, name: str, body: Mapping[str, Any], patience: float) -> bool:
    """Creates an index; returns whether it did. It may exist by now, such as if the answer to an earlier try got lost."""
    try:
        client.request("PUT", f"/{name}", body, patience=patience)
    except EngineError as error:
        if _EXISTS not in str(error):
            raise
        return False
    return True


def _apply(client: EngineClient, name: str, shards: int | None, replicas: int | None, patience: float) -> None:
    """Gives an index that was there the number of replicas, and refuses another number of shards, which cannot change."""
    if shards is None and replicas is None:
        return
    settings = (client.find(name, patience=patience) or {}).get("settings", {}).get("index", {})
    current = int(settings.get("number_of_shards", 1))
    if shards is not None and current != shards:
        raise InputError(
            f"the index {name} has {counted(current, 'shard')}, got shards={shards}: their number cannot be changed",
            remedy="Leave out shards=…, or pass overwrite=True to load the index anew",
        )
    if replicas is not None and int(settings.get("number_of_replicas", 0)) != replicas:
        changed = {"index": {"number_of_replicas": replicas}}
        client.request("PUT", f"/{name}/_settings", changed, patience=patience)


def _fields(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"properties": body["mappings"]["properties"]}


def _check_version(client: EngineClient, body: dict[str, Any]) -> None:
    """Refuses another engine than that of the export, and leaves out what an older one does not know."""
    version = client.request("GET", "/").get("version", {})
    is_opensearch = version.get("distribution") == "opensearch"
    if is_opensearch != (client.title == "OpenSearch"):
        raise InputError(
            f"{', '.join(client.urls)} is {'OpenSearch' if is_opensearch else 'not OpenSearch'}, and the export is for "
            f"{client.title}",
            remedy="Export for the engine that runs there",
        )
    numbers = [int(each) for each in str(version.get("number", "")).split(".")[:2] if each.isdecimal()]
    is_old = numbers < [8, 19] or [9, 0] <= numbers < [9, 1]
    if not is_opensearch and is_old:  # old versions prune only if a query requests it
        body["mappings"]["properties"]["impacts"].pop("index_options", None)


class _Gate:
    """Keeps all threads from sending while the engine is too busy."""

    def __init__(self) -> None:
        self._lock, self._until = threading.Lock(), 0.0
        self.is_closed = False

    def wait(self) -> None:
        """Waits until requests may be sent.

        Raises:
            EngineError: The load has failed in another thread.
        """
        while True:
            if self.is_closed:
                raise EngineError("the load has ended")
            with self._lock:
                left = self._until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.2))

    def hold(self, seconds: float) -> None:
        """Lets no request through for some seconds."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)


class _Load:
    def __init__(
        self, client: EngineClient, name: str, manifest: ExportManifest, folder: Path, patience: float
    ) -> None:
        self._client, self._name, self._manifest, self._folder = client, name, manifest, folder
        self._patience, self._gate = patience, _Gate()

    @property
    def _of_export(self) -> dict[str, Any]:
        return {"prefix": {"part": f"{self._manifest.identity}-"}}

    def size_of(self, part: int) -> int:
        """The number of documents of a part."""
        return max(0, min(PART_DOCUMENTS, self._manifest.documents - part * PART_DOCUMENTS))

    def complete_parts(self) -> set[int]:
        """The parts whose documents are all in the index."""
        self._refresh()
        found: set[int] = set()
        composite: dict[str, Any] = {"size": _PARTS_AT_ONCE, "sources": [{"part": {"terms": {"field": "part"}}}]}
        while True:
            body = {
                "size": 0,
                "track_total_hits": False,
                "query": self._of_export,
                "aggs": {"parts": {"composite": composite}},
            }
            answer = self._client.search(self._name, body, patience=self._patience)
            with self._client.reading(answer):
                parts = answer["aggregations"]["parts"]
                counts = {str(each["key"]["part"]): each["doc_count"] for each in parts["buckets"]}
            for part, count in counts.items():
                number = int(part.rpartition("-")[2])
                if count == self.size_of(number):
                    found.add(number)
            if "after_key" not in parts:
                return found
            composite["after"] = parts["after_key"]

    def send(self, complete: Set[int], threads: int) -> Iterator[int]:
        """Sends all documents except those of complete parts; yields the number of documents of each request that is done."""
        waiting: deque[Future[int]] = deque()
        pool = ThreadPoolExecutor(threads)
        try:
            for documents in self._requests(complete):
                waiting.append(pool.submit(self._send, documents))
                while len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            self._gate.is_closed = True
            pool.shutdown(cancel_futures=True)

    def _requests(self, complete: Set[int]) -> Iterator[list[bytes]]:
        """The documents to send, as many as fit in a request."""
        number = 0
        for piece in self._manifest.pieces:
            last = number + piece.documents
            if all(part in complete for part in range(number // PART_DOCUMENTS, (last - 1) // PART_DOCUMENTS + 1)):
                number = last
                continue
            request: list[bytes] = []
            size = 0
            for document in self._documents(piece.name, piece.sha256):
                if number // PART_DOCUMENTS not in complete:
                    request.append(document)
                    size += len(document)
                number += 1
                if size >= _REQUEST_BYTES:
                    yield request
                    request, size = [], 0
            if request:
                yield request

    def _documents(self, name: str, digest: str) -> Iterator[bytes]:
        path = self._folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StorageError(f"{path}: cannot read ({error.strerror}). Export again.") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise InputError("this file has changed since the export", path=path, remedy="Export again")
        lines = content.splitlines(keepends=True)
        return (lines[place] + lines[place + 1] for place in range(0, len(lines), 2))

    def _send(self, documents: list[bytes]) -> int:
        """Sends documents until the engine has all of them.

        Raises:
            EngineError: It refuses one, or has been too busy for too long.
        """
        left, waits = documents, pauses(self._patience)
        while True:
            self._gate.wait()
            try:
                left, refusal = self._refused(left)
            except EngineError as error:
                if error.status == _TOO_LARGE and len(left) > 1:  # of a proxy, which may accept less than the engine
                    half = len(left) // 2
                    self._send(left[:half])
                    self._send(left[half:])
                    return len(documents)
                if not is_temporary(error):
                    raise
                refusal = error
            if not left:
                return len(documents)
            pause = next(waits, None)
            if pause is None:
                assert refusal is not None
                raise refusal
            self._gate.hold(pause)

    def _refused(self, documents: list[bytes]) -> tuple[list[bytes], EngineError | None]:
        """Sends documents once; returns those for which the engine was too busy, and why."""
        items = self._client.bulk(self._name, b"".join(documents))
        if len(items) != len(documents):
            raise EngineError(
                f"{self._client.title} answered for {len(items)} of {len(documents)} documents. Try again."
            )
        busy: list[bytes] = []
        reason = None
        for document, item in zip(documents, items, strict=True):
            status = int(item.get("status", _SERVER_ERROR))
            if status in BUSY:
                busy.append(document)
                reason = EngineError(
                    f"{self._client.title} is still too busy: {reason_of(item)}. Try again later.", status
                )
            elif "error" in item or status >= _SERVER_ERROR:
                raise EngineError(
                    f"{self._client.title} refuses the document {str(item.get('_id'))!r:.200}: {reason_of(item)}. "
                    "Check that nothing else has changed the index's mapping.",
                    status,
                )
        return busy, reason

    def _refresh(self) -> None:
        self._client.request("POST", f"/{self._name}/_refresh", patience=self._patience)

    def check_counts(self, *, is_appended: bool) -> int:
        """Compares the number of documents in the index with that of the export; returns that of the whole index.

        Raises:
            EngineError: They differ.
        """
        self._refresh()
        found = self._client.count(self._name, self._of_export, patience=self._patience)
        total = self._client.count(self._name, patience=self._patience)
        expected = self._manifest.documents
        if found != expected:
            raise EngineError(
                f"{self._client.title} has {found:,} of the export's {counted(expected, 'document')} in {self._name}. Run the "
                "same command again."
            )
        if total != expected and not is_appended:
            raise EngineError(
                f"{self._client.title} has {total - found:,} other documents in {self._name}, so searches would find them, "
                "too. Pass overwrite=True to load it again, or another name."
            )
        return total
