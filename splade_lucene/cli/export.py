"""Writes the files with which another engine loads an index or pseudo-documents."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from splade_lucene.cli.options import (
    DuplicatesOption,
    FieldsOption,
    JsonOption,
    OptionalIndexesOption,
    OverwriteOption,
    SkipBadOption,
)
from splade_lucene.cli.output import ProgressBars, Skipped, echo
from splade_lucene.counts import counted
from splade_lucene.engines.names import DEFAULT_NAME, PIECE_BYTES, EngineName, Keys


def export(
    to: Annotated[EngineName, typer.Option("--to", help="The engine.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The folder of the export.")],
    index_dirs: OptionalIndexesOption = None,
    source: Annotated[
        Path | None, typer.Option("--input", metavar="DIR", help="Pseudo-documents instead: a folder or a file.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="The name of the collection in the engine.")] = DEFAULT_NAME,
    keys: Annotated[
        Keys | None,
        typer.Option("--keys", help="ids: export terms as numbers; terms: as they are. Default: the engine's."),
    ] = None,
    texts: Annotated[bool, typer.Option("--texts/--no-texts", help="Export the stored texts.")] = True,
    piece_size: Annotated[
        int, typer.Option("--piece-size", min=1, max=2000, help="Start another file of documents after this many MiB.")
    ] = PIECE_BYTES >> 20,
    numbering: Annotated[
        Path | None,
        typer.Option("--numbering", metavar="DIR", help="An earlier export, whose terms keep their ids."),
    ] = None,
    fields: FieldsOption = None,
    duplicates: DuplicatesOption = "refuse",
    skip_bad: SkipBadOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Export to another engine.

    The folder has all that the engine needs, and a README with the commands that load and search it.
    """
    from splade_lucene.engines.export import export_collection

    if (source is None) == (not index_dirs):
        raise typer.BadParameter("pass either --index or --input")
    skipped = Skipped()
    summary = export_collection(
        to, output, index_dir=index_dirs or None, pseudo_documents=source, keys=keys, texts=texts, name=name,
        piece_bytes=piece_size << 20, numbering=numbering, fields=fields, duplicates=duplicates, skip_bad=skip_bad,
        on_problem=skipped, overwrite=overwrite, progress=ProgressBars(),
    )  # fmt: skip
    if skipped.count:
        echo(f"{counted(skipped.count, 'document', 'was', 'were')} skipped")
    echo(f"{counted(summary.documents, 'document')} for {to} in {output}: see {output / 'README.md'}")
    if as_json:
        print(json.dumps({**asdict(summary), "output": str(output), "skipped": skipped.count}))
