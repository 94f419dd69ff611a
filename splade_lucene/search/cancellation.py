"""Stops the searches of a thread from another thread."""

from __future__ import annotations

import threading
from contextvars import ContextVar, Token
from typing import Any

from splade_lucene import jvm
from splade_lucene.errors import SearchCancelledError

_of_thread: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)
_idle: list[Any] = []  # unused Java objects, kept because creating one takes longer than many searches
_IDLE = 256


class Cancellation:
    """Stops the searches that a thread makes in a ``with`` block.

    A search that is stopped raises a :class:`~splade_lucene.SearchCancelledError`, within about a millisecond. It never
    returns a part of its hits. A block can be entered once.

    Example:
        >>> from splade_lucene import LuceneImpactSearcher, PseudoDocument, index_pseudo_documents, write_pseudo_documents
        >>> folder = getfixture("tmp_path")
        >>> _ = write_pseudo_documents(folder / "docs.jsonl", [PseudoDocument("d1", "a cat", {"cat": 3})])
        >>> _ = index_pseudo_documents(folder / "docs.jsonl", folder / "index")
        >>> searcher, stop = LuceneImpactSearcher(folder / "index"), Cancellation()
        >>> with stop:
        ...     found = searcher.search({"cat": 2}).docids
        ...     stop.cancel()  # usually from another thread, while it is searched
        ...     searcher.search({"cat": 2})
        Traceback (most recent call last):
        splade_lucene.errors.SearchCancelledError: this search was cancelled
        >>> found
        ['d1']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._java: Any = None
        self._is_cancelled = False
        self._outer: Token[Cancellation | None] | None = None

    def __enter__(self) -> Cancellation:
        self._outer = _of_thread.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._outer is not None
        _of_thread.reset(self._outer)
        with self._lock:
            if self._java is not None and not self._is_cancelled and len(_idle) < _IDLE:
                _idle.append(self._java)
            self._java = None

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._is_cancelled

    def cancel(self) -> None:
        """Stops the running search in the block, and all later ones. Any thread may call this, at any time."""
        with self._lock:
            self._is_cancelled = True
            if self._java is not None:
                jvm.facade("Search").cancel(self._java)

    def check(self) -> None:
        """Does nothing unless it was cancelled.

        Raises:
            SearchCancelledError: It was.
        """
        if self._is_cancelled:
            raise SearchCancelledError("this search was cancelled")

    def to_java(self) -> Any:
        """Java's object, which stops Java's searches.

        Raises:
            SearchCancelledError: It was cancelled.
        """
        with self._lock:
            self.check()
            if self._java is None:
                try:
                    self._java = _idle.pop()
                except IndexError:
                    self._java = jvm.facade("Search").cancellation()
            return self._java


def check_cancelled() -> None:
    """Does nothing unless the searches of this thread were cancelled.

    Raises:
        SearchCancelledError: They were.
    """
    cancellation = _of_thread.get()
    if cancellation is not None:
        cancellation.check()


def java_cancellation() -> Any:
    """What stops Java's searches of this thread; None if nothing does.

    Raises:
        SearchCancelledError: They were cancelled.
    """
    cancellation = _of_thread.get()
    return None if cancellation is None else cancellation.to_java()
