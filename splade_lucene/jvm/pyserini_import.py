"""Imports Pyserini's searcher, 1.6 or 2.x, without an OpenAI key or network access, on our JVM.

On import, Pyserini 1.6 creates an OpenAI client, which fails without a key since openai 2.34, and Pyserini 2.x downloads
lists of its prebuilt indexes. Neither is needed for searching a local index. Its ONNX Runtime would send telemetry.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from splade_lucene.imports import turn_off_telemetry, uninterrupted_imports
from splade_lucene.jvm.process import start

_CATALOGUE = "pyserini.prebuilt_index_info"


@contextmanager
def pyserini_importable() -> Iterator[None]:
    """Makes ``import pyserini.search.lucene`` and similar imports work in the ``with`` block. Starts the JVM if necessary.

    Raises:
        JavaRuntimeError: No Java was found, or the running JVM is too old.
    """
    start()
    turn_off_telemetry()
    with _with_openai_key(), _with_deferred_catalogue(), uninterrupted_imports(required_by="pyserini"):
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
    """Defers the download of Pyserini's tables of prebuilt indexes until they are first used."""
    if _CATALOGUE in sys.modules:
        yield
        return
    placeholder = ModuleType(_CATALOGUE)
    placeholder.__getattr__ = _deferred_table  # type: ignore[method-assign]
    sys.modules[_CATALOGUE] = placeholder
    try:
        yield
    finally:
        del sys.modules[_CATALOGUE]


def _deferred_table(name: str) -> _DeferredTable:
    if name.startswith("__"):
        raise AttributeError(name)
    return _DeferredTable(name)


class _DeferredTable(Mapping[str, Any]):
    """A table from Pyserini's module of prebuilt indexes, which is imported when the table is first used."""

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
