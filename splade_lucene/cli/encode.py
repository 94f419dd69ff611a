"""Steps 2 to 4: encodes texts as pseudo-documents, and queries as terms with impacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.option_groups import DocumentOptions, ModelOptions, takes_options
from splade_lucene.cli.options import (
    BackendOption,
    CorpusOption,
    DeviceOption,
    FieldsOption,
    IdFieldOption,
    JsonOption,
    QueryDtypeOption,
    SkipBadOption,
    TextFieldOption,
    wrong_usage,
)
from splade_lucene.cli.output import ProgressBars, Skipped, echo, echo_empty, echo_unreadable, name_some
from splade_lucene.cli.ray_options import RayOptions, workers_of
from splade_lucene.cli.topic_options import TopicFieldOption
from splade_lucene.counts import counted, part_of

if TYPE_CHECKING:
    from splade_lucene.manifest import Manifest


@takes_options(options=ModelOptions, documents=DocumentOptions, ray=RayOptions)
def encode(
    corpus: CorpusOption,
    options: ModelOptions,
    documents: DocumentOptions,
    ray: RayOptions,
    output: Annotated[
        str,
        typer.Option(
            "--output", metavar="DIR", help="The output folder for pseudo-documents, or a URL such as s3://…."
        ),
    ],
    shard: Annotated[str, typer.Option("--shard", metavar="I/N", help="Encode only shard I of N, from 1.")] = "1/1",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an encoding with other settings.")] = False,
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    fields: FieldsOption = None,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Encode a corpus into pseudo-documents.

    Run it again to resume after an interruption.
    """
    cluster = ray.cluster()
    from splade_lucene.pseudo_documents.encoding import encode_corpus
    from splade_lucene.pseudo_documents.journal import Shard

    with wrong_usage():
        share, pruning = Shard.parse(shard), documents.pruning
    encoder = options.open_encoder(documents if cluster is None else documents.for_workers())
    manifest = encode_corpus(
        corpus, output, encoder, options.open_quantizer(encoder), pruning=pruning, min_impact=documents.min_impact,
        shard=share, gzip=documents.gzip, overwrite=overwrite, id_field=id_field,
        text_field=text_field, fields=fields, skip_bad=skip_bad,
        devices=documents.devices if cluster is None else (), workers=workers_of(cluster), on_problem=Skipped(),
        progress=ProgressBars(),
    )  # fmt: skip
    echo_encoded(manifest, output)
    if as_json:
        print(json.dumps({"output": output, "manifest": manifest.to_json()}, ensure_ascii=False))


@takes_options(options=ModelOptions)
def encode_queries(
    topics: Annotated[
        str,
        typer.Option("--topics", metavar="FILE", help="TSV, JSON lines (BEIR), TREC topics, or a name from Anserini."),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="A .jsonl file; else Anserini's topic format.")
    ],
    options: ModelOptions,
    topic_field: TopicFieldOption = "title",
    device: DeviceOption = "auto",
    dtype: QueryDtypeOption = "auto",
    backend: BackendOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Encode queries into a file.

    Anserini and 'search --encoded' can read the file.
    """
    from splade_lucene.search.query_encoder import SpladeQueryEncoder, encode_topics
    from splade_lucene.topics.reading import read_topics, write_encoded_topics

    queries = read_topics(topics, field=topic_field)
    encoder = options.open_encoder(device=device, query_dtype=dtype, backend=backend)
    query_encoder = SpladeQueryEncoder(encoder, options.open_quantizer(encoder))
    encoder.load("query")
    encoded = encode_topics(queries, query_encoder, ProgressBars())
    empty = [query.qid for query in encoded if not query.vector]
    if empty:
        echo(f"{counted(len(empty), 'query', 'encodes', 'encode')} to no terms: {name_some(empty)}")
    written = write_encoded_topics(output, encoded)
    echo(f"{written:,} encoded queries in {output}")
    if as_json:
        print(json.dumps({"output": str(output), "queries": written, "empty": empty}, ensure_ascii=False))


def echo_encoded(manifest: Manifest, output: str | Path | None) -> None:
    """Reports the number of pseudo-documents, and of skipped documents.

    Args:
        manifest: The manifest of the encoding.
        output: The folder of the pseudo-documents; None if they were not kept.
    """
    where = "" if output is None else f" in {output}"
    by = " by ONNX Runtime" if manifest.backend == "onnx" else ""
    echo(f"{counted(manifest.documents, 'pseudo-document')}{where}, computed in {manifest.dtype}{by}")
    echo_empty(manifest.empty, manifest.documents + len(manifest.empty))
    if manifest.truncated:
        documents = counted(manifest.documents + len(manifest.empty), "document")
        echo(
            f"{part_of(manifest.truncated, documents, 'was', 'were')} longer than "
            f"{counted(manifest.max_length, 'token')}: --passage-tokens reads all of them"
        )
    echo_unreadable(manifest.skipped)
