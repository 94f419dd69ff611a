"""Importing Pyserini's searcher, 1.6 and 2.x, with neither a key nor a network, on the JVM that we start.

While it is imported, Pyserini 1.6 makes an OpenAI client, which openai 2.34 and newer refuse without a key, and Pyserini
2.x fetches lists of its prebuilt indexes. Neither is needed to search an index in a folder.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from splade_lucene.jvm.process import start

_CATALOGUE = "pyserini.prebuilt_index_info"


@contextmanager
def pyserini_importable() -> Iterator[None]:
    """Lets ``import pyserini.search.lucene`` and the like work inside. Starts the JVM.

    Raises:
        JavaRuntimeError: No Java is found, or one that is too old runs.
    """
    start()
    with _with_openai_key(), _with_deferred_catalogue():
        yield


@contextmanager
def _with_openai_key() -> Iterator[None]:
    missing = "OPENAI_API_KEY" not in os.environ
    if missing:
        os.environ["OPENAI_API_KEY"] = "placeholder-for-the-import-of-pyserini"
    try:
        yield
    finally:
        if missing:
            os.environ.pop("OPENAI_API_KEY", None)


@contextmanager
def _with_deferred_catalogue() -> Iterator[None]:
    """Lets Pyserini's modules take their tables of prebuilt indexes unread: each is read when it is first asked."""
    if _CATALOGUE in sys.modules:
        yield
        return
    stand_in = ModuleType(_CATALOGUE)
    stand_in.__getattr__ = _deferred_table  # type: ignore[method-assign]
    sys.modules[_CATALOGUE] = stand_in
    try:
        yield
    finally:
        del sys.modules[_CATALOGUE]


def _deferred_table(name: str) -> _DeferredTable:
    if name.startswith("__"):
        raise AttributeError(name)
    return _DeferredTable(name)


class _DeferredTable(Mapping[str, Any]):
    """A table of Pyserini's module of prebuilt indexes, which is imported when the table is first asked."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _read(self) -> Mapping[str, Any]:
        table: Mapping[str, Any] = getattr(importlib.import_module(_CATALOGUE), self._name)
        return table

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __contains__(self, key: object) -> bool:
        return key in self._read()
