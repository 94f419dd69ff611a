"""Steps 1 to 5 in one: a corpus to an index."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from splade_lucene.cli.encode import encode_documents, note_encoded
from splade_lucene.cli.index import write_index
from splade_lucene.cli.option_groups import DocumentOptions, ModelOptions, takes_options
from splade_lucene.cli.options import (
    AcceleratorOption,
    CorpusOption,
    IndexOption,
    JsonOption,
    Order,
    OrderOption,
    OverwriteOption,
    SkipBadOption,
    Store,
    StoreOption,
    ThreadsOption,
)


@takes_options(options=ModelOptions, documents=DocumentOptions)
def build(
    corpus: CorpusOption,
    index_dir: IndexOption,
    options: ModelOptions,
    documents: DocumentOptions,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Keep the pseudo-documents here. Default: do not keep."),
    ] = None,
    threads: ThreadsOption = None,
    store: StoreOption = Store.text,
    order: OrderOption = Order.bp,
    accelerator: AcceleratorOption = True,
    overwrite: OverwriteOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Encode a corpus and index it: 'encode' and 'index' in one."""
    from splade_lucene.files import work_folder
    from splade_lucene.index.publish import prepare_target
    from splade_lucene.pseudo_documents.journal import WHOLE

    if output is not None and output.resolve() == index_dir.resolve():
        raise typer.BadParameter("--output and --index must be different folders")
    prepare_target(index_dir, append=False, overwrite=overwrite)
    work = output or work_folder(index_dir.resolve(), "encoded")
    encoder = options.open_encoder(**documents.encoder_settings())
    quantizer = options.open_quantizer(encoder)
    manifest = encode_documents(corpus, work, encoder, quantizer, documents, WHOLE, overwrite or not output, skip_bad)
    note_encoded(manifest, work)
    write_index(work, index_dir, threads, store, order, accelerator, False, overwrite, False, as_json)
    if output is None:
        shutil.rmtree(work)
