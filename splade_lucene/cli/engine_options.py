"""Options for OpenSearch and Elasticsearch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeGuard, get_args

import typer

from splade_lucene.cli.options import check_supported
from splade_lucene.engines.names import DEFAULT_NAME, ServedEngine

if TYPE_CHECKING:
    from splade_lucene.cli.option_groups import QueryOptions
    from splade_lucene.engines.searcher import EngineSearcher

UrlOption = Annotated[
    list[str], typer.Option("--url", metavar="URL", help="Where the engine is; repeat for several nodes.")
]


def quiet_clients() -> None:
    """Keeps the official clients from logging each request that fails: it is tried again, or becomes an error of ours."""
    for name in ("opensearch", "elastic_transport", "elasticsearch"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def is_served(engine: str) -> TypeGuard[ServedEngine]:
    """Whether an engine is searched over HTTP."""
    return engine in get_args(ServedEngine)


@dataclass(frozen=True)
class EngineOptions:
    """Where to search with ``--engine opensearch`` or ``elasticsearch``."""

    url: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="URL", help="Where OpenSearch or Elasticsearch is; repeat for several nodes."),
    ] = None
    name: Annotated[
        str | None, typer.Option("--name", help=f"Its index, as loaded with push. Default: {DEFAULT_NAME}.")
    ] = None

    def check(self, engine: str, index_dirs: Sequence[Path], **others: bool) -> None:
        """Checks that there is either an index or a URL, and refuses options that the engine does not support.

        Args:
            engine: The engine.
            index_dirs: The indexes that are given.
            others: Argument of an option that only our own engines support → whether it is given.
        """
        if not is_served(engine):
            if not index_dirs:
                raise typer.BadParameter("pass --index, or --engine opensearch or elasticsearch with --url")
            if self != EngineOptions():
                raise typer.BadParameter("--url and --name require --engine opensearch or elasticsearch")
            return
        check_supported(f"--engine {engine}", index=bool(index_dirs), **others)
        if not self.url:
            raise typer.BadParameter(f"--engine {engine} requires --url")

    def open(self, engine: ServedEngine, queries: QueryOptions | None) -> EngineSearcher:
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
