"""Step 5: indexes pseudo-documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.options import (
    AcceleratorOption,
    Bm25Option,
    FieldsOption,
    IndexOption,
    JsonOption,
    OrderOption,
    OverwriteOption,
    SkipBadOption,
    StoreOption,
    ThreadsOption,
)
from splade_lucene.cli.output import ProgressBars, Skipped, echo, echo_empty, name_some
from splade_lucene.counts import counted

if TYPE_CHECKING:
    from splade_lucene.index.indexer import IndexSummary


def index(
    source: Annotated[
        str, typer.Option("--input", metavar="DIR", help="Pseudo-documents: a folder, a file, or a URL.")
    ],
    index_dir: IndexOption,
    threads: ThreadsOption = None,
    store: StoreOption = "text",
    order: OrderOption = "bp",
    accelerator: AcceleratorOption = True,
    fields: FieldsOption = None,
    bm25: Bm25Option = False,
    append: Annotated[bool, typer.Option("--append", help="Add to an existing index.")] = False,
    overwrite: OverwriteOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Index pseudo-documents.

    The result is a Lucene impact index that Pyserini and Anserini can read.
    """
    from splade_lucene.index.indexer import index_pseudo_documents

    if append and overwrite:
        raise typer.BadParameter("--append and --overwrite are mutually exclusive")
    summary = index_pseudo_documents(
        source, index_dir, threads=threads, store=store, order=order, append=append, overwrite=overwrite,
        skip_bad=skip_bad, accelerator=accelerator, fields=fields, bm25=bm25, progress=ProgressBars(),
    )  # fmt: skip
    echo_indexed(summary, index_dir, as_json=as_json)


def echo_indexed(summary: IndexSummary, index_dir: Path, *, as_json: bool) -> None:
    """Reports the contents of a new index, and skipped documents."""
    skipped = _echo_skipped(summary)
    postings, terms = counted(summary.postings, "posting"), counted(summary.terms, "term")
    echo(f"{counted(summary.documents, 'document')}, {postings} and {terms} in {index_dir}")
    if as_json:
        counts = {"documents": summary.documents, "postings": summary.postings, "terms": summary.terms}
        print(json.dumps({"index": str(index_dir), **counts, "skipped": skipped}))


def echo_added(summary: IndexSummary, index_dir: Path, *, as_json: bool) -> None:
    """Reports what was added to an index, and what it replaced; skipped and empty documents."""
    skipped = _echo_skipped(summary)
    echo_empty(summary.empty, summary.documents + len(summary.empty))
    if summary.emptied:
        count = counted(len(summary.emptied), "document", "was", "were")
        echo(f"{count} in the index with an earlier text, and deleted: {name_some(summary.emptied)}")
    postings = counted(summary.postings, "posting")
    echo(
        f"{counted(summary.documents, 'document')} with {postings} added, {summary.replaced:,} replaced, "
        f"{summary.total:,} now in {index_dir}"
    )
    if as_json:
        counts = {
            "documents": summary.documents, "postings": summary.postings, "terms": summary.terms, "skipped": skipped,
            "replaced": summary.replaced, "empty": len(summary.empty), "emptied": len(summary.emptied),
            "total": summary.total,
        }  # fmt: skip
        print(json.dumps({"index": str(index_dir), **counts}))


def _echo_skipped(summary: IndexSummary) -> int:
    skipped = Skipped()
    for problem in summary.skipped:
        skipped(problem)
    if skipped.count:
        echo(f"{counted(skipped.count, 'document', 'was', 'were')} skipped")
    return skipped.count + summary.unreadable
