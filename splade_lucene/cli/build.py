"""Builds an index from a corpus, steps 1 to 5."""

from __future__ import annotations

from typing import Annotated, Any

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
    check_required,
    check_supported,
)
from splade_lucene.cli.output import ProgressBars, Skipped
from splade_lucene.cli.ray_options import RayOptions, workers_of


@takes_options(options=ModelOptions, documents=DocumentOptions, ray=RayOptions)
def build(
    corpus: CorpusOption,
    index_dir: IndexOption,
    options: ModelOptions,
    documents: DocumentOptions,
    ray: RayOptions,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", metavar="DIR", help="Keep the pseudo-documents in this folder or URL. Default: delete them."
        ),
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
    shards: Annotated[
        int | None,
        typer.Option("--shards", min=1, help="With --ray: index this many shards in parallel, searched as one index."),
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Merge the shards into a single index.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Encode and index a corpus.

    Combines 'encode' and 'index'. Run it again to resume after an interruption.
    """
    cluster = ray.cluster()
    if cluster is None:
        check_required("--ray", shards=shards is not None)
    if shards is None:
        check_required("--shards", merge=merge)
    else:
        check_supported("--shards", threads=threads is not None)
    from splade_lucene.index.publish import prepare_target

    if shards is None:
        prepare_target(index_dir, append=False, overwrite=overwrite)  # fail before loading a model
    encoder = options.open_encoder(documents if cluster is None else documents.for_workers())
    quantizer = options.open_quantizer(encoder)
    settings: dict[str, Any] = {
        "pruning": documents.pruning, "min_impact": documents.min_impact, "pseudo_documents": output,
        "gzip": documents.gzip, "store": store, "order": order, "accelerator": accelerator, "overwrite": overwrite,
        "id_field": id_field, "text_field": text_field, "fields": fields, "bm25": bm25, "skip_bad": skip_bad,
        "on_problem": Skipped(), "progress": ProgressBars(),
    }  # fmt: skip
    if cluster is not None and shards is not None:
        from splade_lucene.distributed.building import build_sharded_index

        summary = build_sharded_index(
            corpus, index_dir, cluster, encoder, quantizer, shards=shards, merge=merge, **settings
        )
    else:
        from splade_lucene.index.build import build_index

        devices = documents.devices if cluster is None else ()
        summary = build_index(
            corpus,
            index_dir,
            encoder,
            quantizer,
            devices=devices,
            workers=workers_of(cluster),
            threads=threads,
            **settings,
        )
    echo_encoded(summary.manifest, summary.pseudo_documents)
    echo_indexed(summary.index, index_dir, as_json=as_json)
