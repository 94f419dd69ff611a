"""Merges indexes into a new one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from splade_lucene.cli.options import (
    AcceleratorOption,
    DuplicatesOption,
    JsonOption,
    OrderOption,
    OverwriteOption,
    ThreadsOption,
)
from splade_lucene.cli.output import ProgressBars, echo
from splade_lucene.counts import counted


def merge(
    index_dirs: Annotated[
        list[Path], typer.Option("--index", metavar="DIR", help="An index to merge; repeat for each, in their order.")
    ],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The folder of the new index.")],
    duplicates: DuplicatesOption = "refuse",
    order: OrderOption = "bp",
    threads: ThreadsOption = None,
    accelerator: AcceleratorOption = True,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Merge indexes into a new one.

    The new index equals one that is built of all documents at once. The old ones stay as they are; their deleted documents
    are left out.
    """
    from splade_lucene.index.merging import merge_indexes

    summary = merge_indexes(
        index_dirs, output, duplicates=duplicates, threads=threads, order=order, accelerator=accelerator,
        overwrite=overwrite, progress=ProgressBars(),
    )  # fmt: skip
    if summary.replaced:
        echo(f"{counted(summary.replaced, 'document', 'was', 'were')} replaced by those of later indexes")
    echo(f"{counted(summary.documents, 'document')} in {output}")
    if as_json:
        sources = [
            {"index": str(index), "added": each.added, "replaced": each.deleted}
            for index, each in zip(index_dirs, summary.sources, strict=True)
        ]
        facts = {"documents": summary.documents, "replaced": summary.replaced, "sources": sources}
        print(json.dumps({"index": str(output), **facts}))
