"""Finds the exporter of an engine, in the module of its name."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from splade_lucene.arguments import check_choice
from splade_lucene.engines.exporter import Exporter
from splade_lucene.engines.names import EngineName


def exporter(name: str) -> Exporter:
    """The exporter of an engine.

    Raises:
        InputError: The engine is unknown; lists the others.
    """
    check_choice(name, EngineName, "engine")
    return cast("Exporter", import_module(f"splade_lucene.engines.{name}").EXPORTER)
