"""Verifies an index."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from splade_lucene.cli.options import IndexOption, JsonOption, check_required
from splade_lucene.cli.output import echo
from splade_lucene.counts import counted


def check(
    index_dir: IndexOption,
    sample: Annotated[
        int, typer.Option("--sample", min=0, help="Documents whose stored texts are encoded again; 0 for none.")
    ] = 8,
    model: Annotated[
        str | None, typer.Option("--model", help="Another folder or hub name of the index's model.")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Print the report of Lucene's CheckIndex.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Verify an index: every byte, and a sample of its texts.

    Verifies the checksums of all files, the manifest and the accelerator, and the counts; then encodes some texts again, if
    the model is available. Exit code 1 if anything is wrong.
    """
    from splade_lucene.index.checking import check_index

    if not sample:
        check_required("a --sample", model=model is not None)
    result = check_index(index_dir, sample=sample, model=model)
    for note in result.notes:
        echo(f"note: {note}")
    for each in result.damage:
        echo(f"damaged: {each}")
    if report:
        print(result.report)
    if as_json:
        damage = [{"file": each.file, "problem": each.problem, "remedy": each.remedy} for each in result.damage]
        facts = {"files": result.files, "documents": result.documents, "encoded_again": result.encoded_again}
        print(
            json.dumps(
                {"index": str(index_dir), "sound": result.is_sound, **facts, "damage": damage, "notes": result.notes}
            )
        )
    if not result.is_sound:
        echo(f"the index is damaged: {result.remedy}")
        raise typer.Exit(1)
    encoded = f", {result.encoded_again:,} encoded again" if result.encoded_again else ""
    echo(f"{index_dir} is sound: {counted(result.files, 'file')}, {counted(result.documents, 'document')}{encoded}")
