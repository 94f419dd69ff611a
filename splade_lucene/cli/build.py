"""Builds an index from a corpus, steps 1 to 5."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splade_lucene.cli.encode import echo_encoded
from splade_lucene.cli.index import echo_indexed
from splade_lucene.cli.option_groups import DocumentOptions, ModelOptions, takes_options
from splade_lucene.cli.options import (
    AcceleratorOption,
    Bm25Option,
    CorpusOption,
    FieldsOption,
    IdFieldOption,
    IndexOption,
    JsonOption,
    OrderOption,
    OverwriteOption,
    SkipBadOption,
    StoreOption,
    TextFieldOption,
    ThreadsOption,
)
from splade_lucene.cli.output import ProgressBars, Skipped


@takes_options(options=ModelOptions, documents=DocumentOptions)
def build(
    corpus: CorpusOption,
    index_dir: IndexOption,
    options: ModelOptions,
    documents: DocumentOptions,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Keep the pseudo-documents in this folder. Default: delete them."),
    ] = None,
    threads: ThreadsOption = None,
    store: StoreOption = "text",
    order: OrderOption = "bp",
    accelerator: AcceleratorOption = True,
    overwrite: OverwriteOption = False,
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    fields: FieldsOption = None,
    bm25: Bm25Option = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Encode and index a corpus.

    Combines 'encode' and 'index'. Run it again to resume after an interruption.
    """
    from splade_lucene.index.build import build_index
    from splade_lucene.index.publish import prepare_target

    prepare_target(index_dir, append=False, overwrite=overwrite)  # fail before loading a model
    encoder = options.open_encoder(documents)
    quantizer = options.open_quantizer(encoder)
    summary = build_index(
        corpus, index_dir, encoder, quantizer, pruning=documents.pruning, min_impact=documents.min_impact,
        pseudo_documents=output, gzip=documents.gzip, devices=documents.devices, threads=threads, store=store,
        order=order, accelerator=accelerator, overwrite=overwrite, id_field=id_field, text_field=text_field, fields=fields,
        bm25=bm25, skip_bad=skip_bad, on_problem=Skipped(), progress=ProgressBars(),
    )  # fmt: skip
    echo_encoded(summary.manifest, summary.pseudo_documents)
    echo_indexed(summary.index, index_dir, as_json=as_json)
