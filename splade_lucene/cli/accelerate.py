"""Creates the accelerator of an existing index."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from splade_lucene.cli.options import IndexOption, JsonOption
from splade_lucene.cli.output import echo


def accelerate(
    index_dir: IndexOption,
    max_bytes: Annotated[
        int | None,
        typer.Option("--max-bytes", min=0, max=2**62, help="Size limit; the most frequent terms come first."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create the accelerator of an index.

    'index' and 'build' already do this. Use it for an index built by Anserini or Pyserini, or after other software has
    changed an index.
    """
    from splade_lucene.index.accelerator import accelerate as accelerate_index
    from splade_lucene.index.accelerator import accelerator_bytes
    from splade_lucene.index.reader import LuceneImpactIndexReader

    folder = accelerate_index(index_dir, max_bytes=max_bytes)
    with LuceneImpactIndexReader(index_dir) as reader:
        size, index_bytes = accelerator_bytes(reader), reader.statistics()["bytes"]
    echo(f"{size:,} bytes in {folder}, {size / max(1, index_bytes):.2f} times the size of the index")
    if as_json:
        print(json.dumps({"index": str(index_dir), "accelerator": str(folder), "bytes": size}))
