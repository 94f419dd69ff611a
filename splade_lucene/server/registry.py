"""The indexes of a server: opened once, and switched to a new commit without failing a search."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from splade_lucene.encoder.encoder import SpladeEncoder
from splade_lucene.errors import InputError, SpladeLuceneError
from splade_lucene.index.model import open_document_encoder
from splade_lucene.manifest import Manifest
from splade_lucene.search.cancellation import check_cancelled
from splade_lucene.search.hits import Hits
from splade_lucene.search.query_encoder import SpladeQueryEncoder
from splade_lucene.search.searcher import LuceneImpactSearcher
from splade_lucene.server.problems import ApiError

T = TypeVar("T")
_PROFILES = 100
_log = logging.getLogger("splade_lucene.server")

OpenSearcher = Callable[[Path], Any]
"""Opens a folder as a :class:`splade_lucene.LuceneImpactSearcher`, or as something with its methods."""


class OpenIndex:
    """An index that is served.

    Args:
        name: Its name in the paths of requests.
        folder: Its folder.
        open_searcher: Opens what searches it.

    Attributes:
        searcher: Searches it.
        changing: Held while documents are added or deleted.
    """

    def __init__(self, name: str, folder: Path, open_searcher: OpenSearcher = LuceneImpactSearcher) -> None:
        self.name, self.folder = name, folder
        self.searcher: LuceneImpactSearcher = open_searcher(folder)
        self.changing = threading.Lock()
        self._profiles: deque[dict[str, Any]] = deque(maxlen=_PROFILES)
        self._computed: dict[str, tuple[str, Any]] = {}
        self._computing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # one lock per computed value
        self._encoding = threading.Lock()
        self._texts: tuple[str, bool] | None = None
        self._document_encoder: tuple[Manifest | None, SpladeEncoder] | None = None

    @property
    def encoder(self) -> SpladeQueryEncoder:
        """The encoder of text queries.

        Raises:
            QueryError: The index names no model.
        """
        encoder = self.searcher.query_encoder
        assert isinstance(encoder, SpladeQueryEncoder)
        return encoder

    @property
    def model(self) -> str | None:
        """The name of the model; None if the index has no manifest that names one."""
        manifest = self.searcher.reader.manifest()
        return (manifest.model or None) if manifest is not None else None

    @property
    def document_encoder(self) -> SpladeEncoder:
        """The encoder of documents: the index's model with its settings.

        Raises:
            InputError: The index names no model and quantizer.
        """
        with self._encoding:
            manifest = self.searcher.reader.manifest()
            if self._document_encoder is None or self._document_encoder[0] != manifest:
                self._document_encoder = manifest, open_document_encoder(manifest, self.folder)
            return self._document_encoder[1]

    def load(self) -> None:
        """Loads what the first query would have to wait for: the model, and classes of Java."""
        self.searcher.search("a first query" if self.model is not None else {"query": 1}, 1)

    def has_texts(self) -> bool:
        """Whether the index stores texts."""
        reader = self.searcher.reader
        commit = reader.commit()
        if self._texts is None or self._texts[0] != commit:
            found = [raw for raw in reader.raw(range(min(20, reader.max_doc))) if raw]
            self._texts = commit, bool(found)
        return self._texts[1]

    def refresh(self) -> bool:
        """Switches to the newest commit; returns whether there was one. Searches that have begun end on theirs."""
        return self.searcher.refresh()

    def record(self, query: str | None, terms: int, hits: Hits) -> None:
        """Keeps the profile of a search."""
        profile = hits.profile
        if profile is not None:
            self._profiles.append({
                "time": time.time(), "query": query and query[:200], "terms": terms, "hits": len(hits),
                "engine": profile.engine, "profile": profile,
            })  # fmt: skip

    def profiles(self) -> list[dict[str, Any]]:
        """The profiles of the last searches, newest first. Times of a profile are in milliseconds."""
        return [{**each, "profile": asdict(each["profile"])} for each in reversed(self._profiles.copy())]

    def once_per_commit(self, name: str, compute: Callable[[LuceneImpactSearcher], T]) -> T:
        """What a function computes of the index; computed again only after a change of the index.

        Args:
            name: The function's name.
            compute: The function.
        """
        with self._computing[name]:
            check_cancelled()
            commit = self.searcher.reader.commit()
            kept = self._computed.get(name)
            if kept is None or kept[0] != commit:
                kept = self._computed[name] = commit, compute(self.searcher)
            value: T = kept[1]
            return value

    def close(self) -> None:
        """Closes the index when its last search has ended."""
        self.searcher.close()


class Registry:
    """The indexes of a server by name.

    Args:
        folders: Name → folder.
        open_searcher: Opens what searches an index.

    Raises:
        SpladeLuceneError: An index cannot be opened.
    """

    def __init__(self, folders: Mapping[str, Path], open_searcher: OpenSearcher = LuceneImpactSearcher) -> None:
        self._indexes: dict[str, OpenIndex] = {}
        self._loading = threading.Lock()
        self._is_closed = False
        self._problems: dict[str, str] = {}  # name → why an index could not be refreshed the last time
        self.is_ready = False
        try:
            for name, folder in folders.items():
                self._indexes[name] = OpenIndex(name, folder, open_searcher)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Any:
        return iter(self._indexes.values())

    def __len__(self) -> int:
        return len(self._indexes)

    def __getitem__(self, name: str) -> OpenIndex:
        """An index.

        Raises:
            ApiError: There is none with this name.
        """
        found = self._indexes.get(name)
        if found is None:
            known = ", ".join(self._indexes)
            raise ApiError(404, "unknown-index", f"unknown index {name!r:.80}", f"Choose one of: {known}")
        return found

    @property
    def first(self) -> OpenIndex:
        """The index that was named first."""
        return next(iter(self._indexes.values()))

    @property
    def folders(self) -> dict[str, str]:
        """Folder → name, longest folders first."""
        pairs = {str(path): each.name for each in self for path in (each.folder, each.folder.resolve())}
        return dict(sorted(pairs.items(), key=lambda pair: -len(pair[0])))

    def load(self) -> None:
        """Loads the models, once; then requests can be answered without delay."""
        with self._loading:
            if self.is_ready:
                return
            for index in self:
                try:
                    index.load()
                except SpladeLuceneError as error:  # encoded queries can still be searched
                    if self._is_closed:
                        return
                    _log.warning("%s: text queries cannot be encoded: %s", index.name, error)
            self.is_ready = True

    def refresh(self) -> list[str]:
        """Switches all indexes to their newest commits; returns the names of those that changed."""
        changed = []
        for index in self:
            try:
                if index.refresh():
                    changed.append(index.name)
                self._problems.pop(index.name, None)
            except SpladeLuceneError as error:
                if self._problems.get(index.name) != str(error):  # once, not at each look
                    _log.warning("%s: still shows the earlier commit: %s", index.name, error)
                self._problems[index.name] = str(error)
        return changed

    def close(self) -> None:
        """Closes all indexes."""
        self._is_closed = True
        for index in self:
            index.close()


def open_meanwhile(folders: Mapping[str, Path]) -> Future[Registry]:
    """Opens indexes, and then loads their models, on a thread of its own.

    Args:
        folders: Name → folder.

    Returns:
        The open indexes, whose models are perhaps not loaded yet.
    """
    opened: Future[Registry] = Future()

    def work() -> None:
        try:
            registry = Registry(folders)
        except BaseException as error:  # raised again when the result is requested
            opened.set_exception(error)
            return
        opened.set_result(registry)
        registry.load()

    threading.Thread(target=work, name="open").start()
    return opened


def index_names(given: list[str]) -> dict[str, Path]:
    """The names and folders that arguments ``[NAME=]DIR`` give; the default name is that of the folder.

    Raises:
        InputError: A name is empty, has a character that does not fit into a path, or names two indexes.
    """
    found: dict[str, Path] = {}
    for each in given:
        name, has_name, folder = each.partition("=")
        path = Path(folder if has_name else each)
        if not has_name or "/" in name:  # not a name: the path of the folder contains an =
            path = Path(each)
            name = path.resolve().name if path.name in ("", "..") else path.name
        if (
            name in ("", ".", "..")
            or any(not (letter.isalnum() or letter in "._-") for letter in name)
            or not name.isascii()
        ):
            raise InputError(
                f"{name!r:.80} cannot be the name of an index in a URL",
                remedy="Use letters, digits, dots, hyphens and underscores: NAME=DIR",
            )
        if name in found:
            raise InputError(f"two indexes have the name {name!r}", remedy="Give them different names: NAME=DIR")
        found[name] = path
    return found
