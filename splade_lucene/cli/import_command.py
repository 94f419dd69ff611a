"""Makes pseudo-documents of another system's documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from splade_lucene.cli.options import (
    IdFieldOption,
    JsonOption,
    OverwriteOption,
    ScaleOption,
    SkipBadOption,
    TextFieldOption,
    check_required,
    wrong_usage,
)
from splade_lucene.cli.output import ProgressBars, Skipped, echo, echo_empty, echo_unreadable
from splade_lucene.counts import counted
from splade_lucene.engines.names import Origin
from splade_lucene.quantizer import RuleName


def import_command(
    origin: Annotated[Origin, typer.Option("--from", help="The system or format.")],
    source: Annotated[
        str,
        typer.Option(
            "--input", metavar="SRC",
            help="A file or a folder of files; anserini, pyserini: an impact index; pyserini: also a prebuilt one's name.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The output folder for pseudo-documents.")],
    quantizer: Annotated[
        RuleName | None,
        typer.Option("--quantizer", help="How weights become impacts. Default: they are impacts already."),
    ] = None,
    scale: ScaleOption = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            "--vocabulary", metavar="NAME",
            help="Where terms are ids: the model, a file with its terms, or the export that numbered them.",
        ),
    ] = None,
    vector_field: Annotated[
        str | None, typer.Option("--vector-field", metavar="NAME", help="Key or column of the weights. Default: detected.")
    ] = None,
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    corpus: Annotated[
        str | None,
        typer.Option("--corpus", metavar="SRC", help="sentence-transformers: the corpus, for ids and texts."),
    ] = None,
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress the pseudo-documents.")] = False,
    overwrite: OverwriteOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Import documents of another system.

    The result is a folder of pseudo-documents.
    """
    from splade_lucene.engines.importing.importer import import_collection
    from splade_lucene.quantizer import Quantizer

    if quantizer is None:
        check_required("--quantizer", scale=scale is not None)
    with wrong_usage():
        rule = Quantizer.named(quantizer, scale) if quantizer is not None else None
    manifest = import_collection(
        origin, source, output, quantizer=rule, vocabulary=vocabulary, vector_field=vector_field, id_field=id_field,
        text_field=text_field, corpus=corpus, gzip=gzip, overwrite=overwrite, skip_bad=skip_bad, on_problem=Skipped(),
        progress=ProgressBars(),
    )  # fmt: skip
    by = f", quantized by {rule.name} (x{rule.document.scale:g})" if rule is not None else ""
    echo(f"{counted(manifest.documents, 'pseudo-document')} in {output}{by}")
    echo_empty(manifest.empty, manifest.documents + len(manifest.empty))
    echo_unreadable(manifest.skipped)
    if as_json:
        print(json.dumps({"output": str(output), "manifest": manifest.to_json()}, ensure_ascii=False))
