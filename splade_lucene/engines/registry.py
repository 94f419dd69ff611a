"""Finds the exporter of an engine, in the module of its name."""

from __future__ import annotations

from importlib import import_module
from typing import cast, get_args

from splade_lucene.engines.exporter import Exporter
from splade_lucene.engines.names import EngineName
from splade_lucene.errors import InputError


def exporter(name: str) -> Exporter:
    """The exporter of an engine.

    Raises:
        InputError: The engine is unknown; lists the others.
    """
    if name not in get_args(EngineName):
        raise InputError(f"unknown engine {name!r:.60}", remedy=f"Choose one of: {', '.join(get_args(EngineName))}")
    return cast("Exporter", import_module(f"splade_lucene.engines.{name}").EXPORTER)
