"""Searches an index of OpenSearch or Elasticsearch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from splade_lucene.engines.client import KEEP_ALIVE, EngineClient, open_client, patiently
from splade_lucene.engines.index_metadata import IndexMetadata, mapping_metadata, read_metadata
from splade_lucene.engines.lucene_engine import LuceneEngine, engine_id
from splade_lucene.engines.names import ServedEngine
from splade_lucene.engines.registry import exporter
from splade_lucene.engines.searched import Row
from splade_lucene.errors import EngineError
from splade_lucene.fields.conditions import Condition

_LARGEST_PAGE = 10_000
_CONNECTIONS = 64
_NOT_FOUND, _SERVER_ERROR = 404, 500  # status codes for a point in time whose node has stopped


class LuceneIndex:
    """An index of OpenSearch or Elasticsearch; see :class:`splade_lucene.engines.searched.SearchedIndex`.

    Args:
        engine: The engine.
        url: Where the engine is, or where each of its nodes is.
        name: The index, or an alias of one.
        patience: The seconds for which a request is repeated while the engine is busy or cannot be reached.

    Raises:
        EngineError: The engine cannot be reached, has no such index, or it was not made from an export.
        MissingDependencyError: The engine's client is not installed.
    """

    def __init__(self, engine: ServedEngine, url: str | Iterable[str], name: str, patience: float) -> None:
        self._name, self._patience = name, patience
        self._client: EngineClient = open_client(engine, url, _CONNECTIONS)
        self._engine = cast("LuceneEngine", exporter(engine))
        self.title: str = self._client.title
        try:
            found = self._client.find(name)
            if found is None:
                raise EngineError(
                    f"{self.title} at {', '.join(self._client.urls)} has no index {name}. Load it with "
                    "'splade-lucene push', or name another one.",
                    404,
                )
            self.metadata: IndexMetadata = read_metadata(mapping_metadata(found), name, self.title)
        except BaseException:
            self._client.close()
            raise
        window = found.get("settings", {}).get("index", {}).get("max_result_window", _LARGEST_PAGE)
        self._page = min(int(window), _LARGEST_PAGE)

    def count(self) -> int:
        """The number of documents, after the engine's last refresh."""
        return self._client.count(self._name, patience=self._patience)

    def search(self, weights: Mapping[str, int], k: int, condition: Condition | None) -> list[Row]:
        """The k best hits. More than the engine returns at once are read in pages, from a point in time."""
        body, shift = self._engine.search_body(weights, min(k, self._page), condition)
        body["stored_fields"] = "_none_"  # docid and score are among the sort values
        if k <= self._page:
            orders = self._orders(body, patience=self._patience)
        else:
            orders = patiently(lambda: self._pages(body, k), self._patience)
        return [(math.ldexp(score, shift), docid) for score, docid, *_ in orders]

    def _orders(self, body: Mapping[str, Any], *, patience: float) -> list[list[Any]]:
        """The values by which the hits of a search are ordered: score, docid, and what the engine adds."""
        answer = self._client.search(self._name, body, patience=patience)
        with self._client.reading(answer):
            orders = [hit["sort"] for hit in answer["hits"]["hits"]]
            return [[float(score), str(docid), *others] for score, docid, *others in orders]

    def _pages(self, body: Mapping[str, Any], k: int) -> list[list[Any]]:
        """All pages of one state of the index.

        Raises:
            EngineError: Among others, with a status after which the same call may succeed: a node that held the state is gone.
        """
        found: list[list[Any]] = []
        with self._client.point_in_time(self._name) as pit:
            asked = {**body, "pit": {"id": pit, "keep_alive": KEEP_ALIVE}}
            while len(found) < k:
                asked["size"] = min(k - len(found), self._page)
                try:
                    page = self._orders(asked, patience=0)
                except EngineError as error:
                    if error.status is None or (error.status != _NOT_FOUND and error.status < _SERVER_ERROR):
                        raise
                    raise EngineError(f"{error} Its node may have stopped; try again.", 503) from error
                found += page
                if len(page) < asked["size"]:
                    break
                asked["search_after"] = page[-1]
        return found

    def sources(self, docids: Sequence[str]) -> list[dict[str, Any] | None]:
        """What the engine stores of documents; None for a document that is not there."""
        found: list[dict[str, Any] | None] = []
        for start in range(0, len(docids), _LARGEST_PAGE):
            ids = [engine_id(docid) for docid in docids[start : start + _LARGEST_PAGE]]
            answer = self._client.request(
                "POST", f"/{self._name}/_mget", {"ids": ids}, patience=self._patience,
                _source_excludes="impacts,part,instants",
            )  # fmt: skip
            with self._client.reading(answer):
                documents = [dict(each) for each in answer["docs"]]
            for each in documents:
                if "error" in each:
                    raise EngineError(f"{self.title} cannot read a document: {json.dumps(each['error'])[:500]}")
                found.append(each["_source"] if each.get("found") else None)
        return found

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
