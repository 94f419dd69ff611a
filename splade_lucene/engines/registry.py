"""The engines by name, each in the module of its name. Importing this module is fast."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, cast, get_args

from splade_lucene.errors import InputError

if TYPE_CHECKING:
    from splade_lucene.engines.exporter import Exporter

EngineName = Literal["opensearch", "elasticsearch", "vespa"]
"""The engines to which a collection can be exported."""

Keys = Literal["ids", "terms"]
"""What an engine knows a term by: its id as a decimal number, or the term itself."""


def exporter(name: str) -> Exporter:
    """The exporter of an engine.

    Raises:
        InputError: The engine is unknown; lists the others.
    """
    if name not in get_args(EngineName):
        raise InputError(f"unknown engine {name!r:.60}", remedy=f"Choose one of: {', '.join(get_args(EngineName))}")
    return cast("Exporter", import_module(f"splade_lucene.engines.{name}").EXPORTER)
