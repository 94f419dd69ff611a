"""Serves indexes over HTTP."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli import interrupts
from splade_lucene.cli.option_groups import takes_options
from splade_lucene.cli.options import ThreadsOption, check_required, check_supported, wrong_usage
from splade_lucene.cli.output import echo
from splade_lucene.cli.ray_options import RayOptions
from splade_lucene.defaults import thread_count
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.server.settings import HOST, PORT, Limits, ServerSettings, read_token

if TYPE_CHECKING:
    from splade_lucene.distributed.cluster import RayCluster


@takes_options(ray=RayOptions)
def serve(
    indexes: Annotated[
        list[str],
        typer.Option("--index", metavar="[NAME=]DIR", help="An index and its name in URLs; repeat for several."),
    ],
    ray: RayOptions,
    host: Annotated[
        str,
        typer.Option(
            "--host", help="The address to listen on. One that other machines can reach requires --token-file."
        ),
    ] = HOST,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The port; 0 for any free one.")] = PORT,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="The token for adding and deleting, and for all requests from elsewhere.",
        ),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse to add and delete documents.")] = False,
    refresh: Annotated[
        float, typer.Option("--refresh", min=0, metavar="SECONDS", help="How often to look for new commits; 0: never.")
    ] = ServerSettings.refresh_seconds,
    rate: Annotated[
        float | None,
        typer.Option("--rate", help="Requests per second and client; bursts of twice as many are allowed."),
    ] = None,
    threads: ThreadsOption = None,
    waiting: Annotated[
        int, typer.Option("--waiting", min=0, help="Requests that may wait for a thread; further ones get status 429.")
    ] = Limits.waiting,
    max_hits: Annotated[int, typer.Option("--max-hits", min=1, help="Maximum number of hits per query.")] = Limits.hits,
    max_batch: Annotated[
        int, typer.Option("--max-batch", min=1, help="Maximum number of queries per batch.")
    ] = Limits.batch,
    max_body: Annotated[
        int, typer.Option("--max-body", min=1, metavar="MIB", help="Maximum size of a request body, in MiB.")
    ] = Limits.body_bytes >> 20,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Time for a request.")
    ] = Limits.seconds,
    mcp_stdio: Annotated[
        bool, typer.Option("--mcp-stdio", help="Serve MCP on standard input and output instead of HTTP.")
    ] = False,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="Log each request on stderr, as a line of JSON, without its query.")
    ] = False,
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=1, help="With --ray: processes of each shard. Default: 1.")
    ] = None,
) -> None:
    """Serve indexes over HTTP: a page, REST, and MCP.

    The page is at http://127.0.0.1:8080, and /docs describes the interface. After Ctrl-C or SIGTERM, the server answers the
    requests that have begun, and ends.
    """
    cluster = ray.cluster()
    if cluster is None:
        check_required("--ray", replicas=replicas is not None)
    else:
        check_supported(
            "--ray", refresh=refresh != ServerSettings.refresh_seconds, mcp_stdio=mcp_stdio, log_requests=log_requests,
            ray_workers=cluster.workers is not None, ray_gpus=cluster.gpus > 0,
        )  # fmt: skip
    with uninterrupted_imports("serve"):
        from splade_lucene.server.logs import log_to
        from splade_lucene.server.registry import index_names, open_meanwhile

    with wrong_usage():
        settings = ServerSettings(
            index_names(indexes), host, port, None if token_file is None else read_token(token_file), read_only,
            refresh, Limits(
                hits=max_hits, batch=max_batch, body_bytes=max_body << 20, concurrent=thread_count(threads), waiting=waiting,
                rate=rate, seconds=timeout,
            ),
        )  # fmt: skip
    log_to(sys.stderr, requests=log_requests)
    if cluster is not None:
        _serve_on(cluster, settings, replicas or 1)
        return
    opened = None if mcp_stdio else open_meanwhile(settings.indexes)  # in parallel with the slow imports below
    with uninterrupted_imports("serve"):
        from splade_lucene.server.app import create_app
        from splade_lucene.server.run import run_mcp, run_server

    if opened is None:
        try:
            run_mcp(settings)
        except KeyboardInterrupt:
            echo(interrupts.MESSAGE)
            sys.stderr.flush()
            os._exit(130)  # a thread still reads standard input, and Python would wait for it
        return
    app = create_app(settings, registry=opened.result())
    run_server(app, settings, on_start=lambda url: echo(f"serving {', '.join(settings.indexes)} at {url}"))


def _serve_on(cluster: RayCluster, settings: ServerSettings, replicas: int) -> None:
    from splade_lucene.distributed.serving import ServedIndexes

    with ServedIndexes(settings, cluster, replicas) as served:
        echo(f"serving {', '.join(settings.indexes)} at {served.url}")
        served.serve_until_stopped()
