"""Changes an index: adds and deletes documents, and optimizes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.index import echo_added
from splade_lucene.cli.options import (
    DeviceOption,
    FieldsOption,
    IdFieldOption,
    IndexOption,
    JsonOption,
    SkipBadOption,
    StoreOption,
    TextFieldOption,
    ThreadsOption,
    TrustOption,
    check_required,
    read_docids,
)
from splade_lucene.cli.output import ProgressBars, Skipped, echo, echo_unreadable
from splade_lucene.counts import counted, part_of

if TYPE_CHECKING:
    from splade_lucene.manifest import Change


def add(
    index_dir: IndexOption,
    corpus: Annotated[
        str | None,
        typer.Option("--corpus", metavar="SRC", help="Texts, as for 'build'; encoded with the index's model."),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--input", metavar="DIR", help="Pseudo-documents instead: a folder or a file.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Another folder or hub name of the index's model.")
    ] = None,
    device: DeviceOption = "auto",
    trust_remote_code: TrustOption = False,
    threads: ThreadsOption = None,
    store: StoreOption = "text",
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    fields: FieldsOption = None,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add documents to an index, or replace them.

    A document replaces one with the same docid. All documents appear at once when they are indexed. With --fields, they
    may have fields that the index lacks so far.
    """
    from splade_lucene.index.changes import add_corpus, add_pseudo_documents

    if (corpus is None) == (source is None):
        raise typer.BadParameter("pass either --corpus or --input")
    if corpus is None:
        check_required(
            "--corpus", model=model is not None, device=device != "auto", trust_remote_code=trust_remote_code,
            id_field=id_field is not None, text_field=text_field is not None,
        )  # fmt: skip
    if corpus is not None:
        summary = add_corpus(
            corpus, index_dir, model=model, device=device, trust_remote_code=trust_remote_code, threads=threads,
            store=store, id_field=id_field, text_field=text_field, fields=fields, skip_bad=skip_bad,
            on_problem=Skipped(), progress=ProgressBars(),
        )  # fmt: skip
    else:
        assert source is not None
        summary = add_pseudo_documents(
            source, index_dir, threads=threads, store=store, skip_bad=skip_bad, fields=fields, progress=ProgressBars()
        )
    echo_unreadable(summary.unreadable)
    echo_added(summary, index_dir, as_json=as_json)


def delete(
    index_dir: IndexOption,
    docids: Annotated[list[str] | None, typer.Option("--docid", help="A docid; may be repeated.")] = None,
    only: Annotated[
        Path | None, typer.Option("--docids", metavar="FILE", help="Docids, one per line; - for standard input.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Delete documents from an index.

    All documents disappear at once. Docids that are not in the index are counted.
    """
    from splade_lucene.index.changes import delete_documents

    wanted = {*(docids or ()), *(read_docids(only) if only else ())}
    if not wanted:
        raise typer.BadParameter("pass --docid or --docids")
    change = delete_documents(index_dir, wanted)
    found = change.deleted + change.deleted_empty
    if found < len(wanted):
        echo(f"{part_of(len(wanted) - found, counted(len(wanted), 'docid'), 'is', 'are')} not in the index")
    _echo_change(change, index_dir, as_json=as_json)


def optimize(index_dir: IndexOption, threads: ThreadsOption = None, as_json: JsonOption = False) -> None:
    """Merge an index into one segment, in the fastest order.

    Deleted documents are removed for good, documents are numbered as by 'build', and the accelerator is renewed. The
    hits stay the same.
    """
    from splade_lucene.index.changes import optimize_index

    _echo_change(optimize_index(index_dir, threads=threads), index_dir, as_json=as_json)


def _echo_change(change: Change, index_dir: Path, *, as_json: bool) -> None:
    if change.operation == "delete":
        empty = f" and {counted(change.deleted_empty, 'document')} without terms" if change.deleted_empty else ""
        echo(f"{counted(change.deleted, 'document')}{empty} deleted, {change.documents:,} left in {index_dir}")
    else:
        echo(f"{counted(change.documents, 'document')} in {index_dir}")
    if as_json:
        counts = {"deleted": change.deleted, "deleted_empty": change.deleted_empty, "documents": change.documents}
        print(json.dumps({"index": str(index_dir), **counts}))
