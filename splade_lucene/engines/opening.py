"""Opens an index of another engine for searches."""

from __future__ import annotations

from collections.abc import Iterable

from splade_lucene.arguments import check_choice
from splade_lucene.engines.names import SearchedEngine
from splade_lucene.engines.searched import SearchedIndex


def open_searched(engine: SearchedEngine, url: str | Iterable[str], name: str, patience: float) -> SearchedIndex:
    """Opens an index.

    Args:
        engine: The engine.
        url: Where it is, or where each of its nodes is.
        name: The index.
        patience: The seconds for which a request is repeated while the engine is busy or cannot be reached.

    Raises:
        InputError: The engine is unknown, or a URL is wrong.
        EngineError: The engine cannot be reached, has no such index, or it was not made from an export.
        MissingDependencyError: The engine's client is not installed.
    """
    check_choice(engine, SearchedEngine, "engine")
    if engine == "qdrant":
        from splade_lucene.engines.qdrant_index import QdrantIndex

        return QdrantIndex(url, name, patience)
    from splade_lucene.engines.lucene_index import LuceneIndex

    return LuceneIndex(engine, url, name, patience)
