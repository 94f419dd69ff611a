"""Options for OpenSearch, Elasticsearch and Qdrant."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeGuard, get_args

import typer

from splade_lucene.cli.options import check_supported
from splade_lucene.engines.names import DEFAULT_NAME, SearchedEngine

if TYPE_CHECKING:
    from splade_lucene.cli.option_groups import QueryOptions
    from splade_lucene.engines.searcher import EngineSearcher

UrlOption = Annotated[
    list[str], typer.Option("--url", metavar="URL", help="URL of the engine; repeat for several nodes.")
]


def quiet_clients() -> None:
    """Keeps the official clients from logging each request that fails: it is tried again, or becomes an error of ours."""
    for name in ("opensearch", "elastic_transport", "elasticsearch"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def is_foreign(engine: str) -> TypeGuard[SearchedEngine]:
    """Whether an engine is one at a URL, not one of ours or Pyserini's."""
    return engine in get_args(SearchedEngine)


@dataclass(frozen=True)
class EngineOptions:
    """Where to search with ``--engine opensearch``, ``elasticsearch`` or ``qdrant``."""

    url: Annotated[
        list[str] | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Where OpenSearch, Elasticsearch (repeat for several nodes) or Qdrant is; for Qdrant also the folder of its "
            "client's local mode.",
        ),
    ] = None
    name: Annotated[
        str | None, typer.Option("--name", help=f"Its index or collection, as it was loaded. Default: {DEFAULT_NAME}.")
    ] = None

    def check(self, engine: str, index_dirs: Sequence[Path], **others: bool) -> None:
        """Checks that there is either an index or a URL, and refuses options that the engine does not support.

        Args:
            engine: The engine.
            index_dirs: The indexes that are given.
            others: Argument of an option that only our own engines support → whether it is given.
        """
        if not is_foreign(engine):
            if not index_dirs:
                raise typer.BadParameter("pass --index, or --engine opensearch, elasticsearch or qdrant with --url")
            if self != EngineOptions():
                raise typer.BadParameter("--url and --name require --engine opensearch, elasticsearch or qdrant")
            return
        check_supported(f"--engine {engine}", index=bool(index_dirs), **others)
        if not self.url:
            raise typer.BadParameter(f"--engine {engine} requires --url")

    def open(self, engine: SearchedEngine, queries: QueryOptions | None) -> EngineSearcher:
        """Opens the searcher.

        Args:
            engine: The engine.
            queries: How queries are encoded; None if they are.
        """
        from splade_lucene.engines.searcher import EngineSearcher

        quiet_clients()
        searcher = EngineSearcher(self.url or [], self.name or DEFAULT_NAME, engine=engine)
        try:
            if queries is not None:
                searcher.query_encoder = queries.match(searcher.manifest, searcher.name)
        except BaseException:
            searcher.close()
            raise
        return searcher
