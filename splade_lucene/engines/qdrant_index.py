"""Searches a collection of Qdrant: a server's, or that of the client's local mode.

Credentials come from the environment: ``QDRANT_API_KEY``, and ``QDRANT_CA_CERTS``, a file of CA certificates for the
server's certificate, which is always verified.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from splade_lucene.arguments import to_list
from splade_lucene.engines.client import checked_url, patiently, refused, unreadable
from splade_lucene.engines.index_metadata import META, IndexMetadata, read_metadata
from splade_lucene.engines.qdrant import VECTOR
from splade_lucene.engines.qdrant_filters import FilterMaker
from splade_lucene.engines.searched import Row
from splade_lucene.errors import EngineError, InputError, first_line
from splade_lucene.fields.conditions import Condition
from splade_lucene.ids import docid_order
from splade_lucene.imports import uninterrupted_imports

_PORTS = {"http": 6333, "https": 6333}
_SECONDS = 60
_META_FILE = "meta.json"
_SOURCES_AT_ONCE = 100
_UNCOUNTED_HITS = 10_000  # requested without first counting the documents
_NOT_FOUND, _BUSY, _FORBIDDEN = 404, 429, (401, 403)


class QdrantIndex:
    """A collection of Qdrant; see :class:`splade_lucene.engines.searched.SearchedIndex`.

    Args:
        url: Where Qdrant is; or the folder of its client's local mode.
        name: The collection, or an alias of one.
        patience: The seconds for which a request is repeated while the server is busy or cannot be reached.

    Raises:
        InputError: It is neither a URL nor such a folder.
        EngineError: Qdrant cannot be reached, has no such collection, or it was not made from an export.
        MissingDependencyError: Qdrant's client is not installed.
    """

    title = "Qdrant"

    @uninterrupted_imports()
    def __init__(self, url: str | Iterable[str], name: str, patience: float) -> None:
        from qdrant_client import models
        from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
        from qdrant_client.http import exceptions

        self._models: Any = models
        self._errors: Any = exceptions
        self._busy: Any = ResourceExhaustedResponse
        urls = [url] if isinstance(url, str) else to_list(url, "URLs")
        if len(urls) != 1:
            raise InputError(f"Qdrant is searched at one URL, got {len(urls)}", remedy="Pass url=http://HOST:PORT")
        self._name, self._patience = name, patience
        self._where, self._client = _opened(urls[0])
        is_local = "://" not in urls[0]
        self._options = (
            {} if is_local else {"search_params": models.SearchParams(exact=True)}
        )  # always true in local mode
        self._filter = FilterMaker(models)
        try:
            self.metadata: IndexMetadata = self._metadata()
        except BaseException:
            self.close()
            raise

    def _ask(self, call: Callable[[], Any], patience: float | None = None) -> Any:
        """The answer to a request, which is repeated while the server is busy or cannot be reached."""

        def asked() -> Any:
            try:
                return call()
            except self._busy as error:
                raise self._refused(_BUSY, error) from error
            except self._errors.UnexpectedResponse as error:
                raise self._refused(error.status_code, error) from error
            except self._errors.ResponseHandlingException as error:
                if isinstance(error.source, ValueError):
                    raise unreadable(self.title, [self._where], error.source) from error
                raise refused(self.title, [self._where], None, error.source) from error
            except OSError as error:
                raise refused(self.title, [self._where], None, error) from error
            except json.JSONDecodeError as error:
                raise unreadable(self.title, [self._where], error) from error

        return patiently(asked, self._patience if patience is None else patience)

    def _refused(self, status: int | None, error: Exception) -> EngineError:
        if status in _FORBIDDEN:
            return EngineError(f"Qdrant at {self._where} denies access. Set QDRANT_API_KEY.", status)
        told = " ".join(str(error).split())
        return EngineError(f"Qdrant at {self._where} refuses the request: {told:.500}", status)

    def _metadata(self) -> IndexMetadata:
        if not self._ask(lambda: self._client.collection_exists(self._name), 0):
            raise EngineError(
                f"Qdrant at {self._where} has no collection {self._name}. Load it as the README.md of the export says, or name "
                "another one.",
                _NOT_FOUND,
            )
        found = self._ask(lambda: self._client.get_collection(self._name), 0).config
        metadata = getattr(found, "metadata", None)
        if not metadata:
            raise EngineError(
                f"Qdrant's collection {self._name} has no metadata: it was not loaded as the README.md of the export says, or "
                "this Qdrant is older than 1.16, which does not store metadata. Load it again, or name another one."
            )
        return read_metadata(metadata.get(META), self._name, self.title)

    def count(self) -> int:
        """The number of documents."""
        return int(self._ask(lambda: self._client.count(self._name, exact=True)).count)

    def search(self, weights: Mapping[str, int], k: int, condition: Condition | None) -> list[Row]:
        """The k best hits.

        Which of several hits with equal scores Qdrant returns is arbitrary. So one more hit is requested, and then more until
        the last one has a smaller score than the k-th: all hits with the score of the k-th are then among them.
        """
        vector = self._models.SparseVector(indices=[*map(int, weights)], values=[*map(float, weights.values())])
        accepted = None if condition is None else self._filter(condition)
        limit = (k if k <= _UNCOUNTED_HITS else min(k, self.count())) + 1
        while True:
            points = self._ask(lambda: self._client.query_points(
                self._name, query=vector, using=VECTOR, limit=limit, query_filter=accepted, with_payload=["docid"],  # noqa: B023
                **self._options,
            )).points  # fmt: skip
            if len(points) < limit or points[-1].score < points[k - 1].score:
                break
            limit *= 2
        rows = [(float(point.score), str(point.payload["docid"])) for point in points]
        return sorted(rows, key=lambda row: (-row[0], docid_order(row[1])))[:k]

    def sources(self, docids: Sequence[str]) -> list[dict[str, Any] | None]:
        """What is stored of documents; None for a document that is not there."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(docids), _SOURCES_AT_ONCE):
            wanted = [*docids[start : start + _SOURCES_AT_ONCE]]
            match = self._models.FieldCondition(key="docid", match=self._models.MatchAny(any=wanted))
            points, _ = self._ask(lambda: self._client.scroll(
                self._name, scroll_filter=self._models.Filter(must=[match]), limit=len(wanted), with_payload=True,  # noqa: B023
            ))  # fmt: skip
            found |= {str(point.payload["docid"]): dict(point.payload) for point in points}
        return [found.get(docid) for docid in docids]

    def close(self) -> None:
        """Closes the connections, or the folder."""
        self._client.close()


@uninterrupted_imports()
def _opened(place: str) -> tuple[str, Any]:
    """Where Qdrant is, and its client."""
    import qdrant_client

    if "://" not in place:
        if not (Path(place) / _META_FILE).is_file():
            raise InputError(
                "this is neither the URL of Qdrant nor the folder of its client's local mode", path=place,
                remedy="Write http://HOST:PORT, or name the folder",
            )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it is not recommended for many points
            try:
                return place, qdrant_client.QdrantClient(path=place, force_disable_check_same_thread=True)
            except RuntimeError as error:
                raise InputError(
                    f"Qdrant's client cannot open this folder ({first_line(error)})", path=place,
                    remedy="Close the program that has it open, or run a server",
                ) from error  # fmt: skip
    url = checked_url(place, _PORTS, "Set QDRANT_API_KEY in the environment")
    options: dict[str, Any] = {"api_key": os.environ.get("QDRANT_API_KEY") or None}
    if authorities := os.environ.get("QDRANT_CA_CERTS"):
        if not Path(authorities).is_file():
            raise InputError("no such file", path=authorities, remedy="Correct QDRANT_CA_CERTS in the environment")
        options["verify"] = authorities
    return url, qdrant_client.QdrantClient(url=url, timeout=_SECONDS, check_compatibility=False, **options)
