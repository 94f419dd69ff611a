"""Loads an export into OpenSearch or Elasticsearch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from splade_lucene.cli.engine_options import UrlOption, quiet_clients
from splade_lucene.cli.options import JsonOption, OverwriteOption
from splade_lucene.cli.output import ProgressBars, echo
from splade_lucene.counts import counted
from splade_lucene.engines.names import ServedEngine


def push(
    to: Annotated[ServedEngine, typer.Option("--to", help="The engine.")],
    source: Annotated[
        Path, typer.Option("--input", metavar="DIR", help="The folder that 'splade-lucene export' wrote.")
    ],
    url: UrlOption,
    name: Annotated[str | None, typer.Option("--name", help="The engine's index. Default: that of the export.")] = None,
    shards: Annotated[int | None, typer.Option("--shards", min=1, help="Shards of a new index. Default: 1.")] = None,
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=0, help="Copies of each shard. Default: none in a new index.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=1024, help="Requests at a time. Default: one per core.")
    ] = None,
    append: Annotated[bool, typer.Option("--append", help="Add to an index of another export.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Load an export into OpenSearch or Elasticsearch.

    Run it again to resume after an interruption. User and password, an API key and certificates come from the environment:
    OPENSEARCH_USERNAME, ELASTICSEARCH_API_KEY and so on.
    """
    from splade_lucene.engines.push import push_export

    if append and overwrite:
        raise typer.BadParameter("--append and --overwrite are mutually exclusive")
    quiet_clients()
    summary = push_export(
        source, url, to=to, name=name, shards=shards, replicas=replicas, threads=threads, append=append,
        overwrite=overwrite, progress=ProgressBars(),
    )  # fmt: skip
    resumed = summary.documents - summary.sent
    if resumed:
        echo(f"{counted(resumed, 'document', 'was', 'were')} there before")
    echo(f"{counted(summary.documents, 'document')} in {summary.name}, which has {summary.total:,}")
    if as_json:
        print(json.dumps(asdict(summary)))
