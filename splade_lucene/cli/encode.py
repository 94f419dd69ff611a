"""Steps 2 to 4: texts to pseudo-documents, queries to topics of terms and impacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.option_groups import DocumentOptions, ModelOptions, takes_options
from splade_lucene.cli.options import (
    CorpusOption,
    DeviceOption,
    JsonOption,
    QueryDtype,
    QueryDtypeOption,
    SkipBadOption,
    wrong_usage,
)
from splade_lucene.cli.output import name_some, note, progress_bar
from splade_lucene.cli.topic_options import TopicFieldOption
from splade_lucene.errors import InputError
from splade_lucene.records import Query

if TYPE_CHECKING:
    from splade_lucene.encoder import SpladeEncoder
    from splade_lucene.evaluation.loss_report import Distortion
    from splade_lucene.manifest import Manifest
    from splade_lucene.pseudo_documents.journal import Shard
    from splade_lucene.quantizer import Quantizer


@takes_options(options=ModelOptions, documents=DocumentOptions)
def encode(
    corpus: CorpusOption,
    options: ModelOptions,
    documents: DocumentOptions,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Folder of pseudo-documents; needed but for --report."),
    ] = None,
    shard: Annotated[
        str, typer.Option("--shard", metavar="I/N", help="Encode one of N shares, counted from 1.")
    ] = "1/1",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an encoding with other settings. The same is gone on with.")
    ] = False,
    skip_bad: SkipBadOption = False,
    report: Annotated[
        bool, typer.Option("--report", help="Measure on a sample what precision, pruning and quantization lose.")
    ] = False,
    report_sample: Annotated[int, typer.Option("--report-sample", min=1, help="Documents of the sample.")] = 1000,
    topics: Annotated[
        Path | None, typer.Option("--topics", metavar="FILE", help="Queries, for the report's effectiveness.")
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option("--qrels", metavar="FILE", help="Judgments, for the report's effectiveness.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Encode a corpus into pseudo-documents. Goes on where an interrupted run stopped."""
    if output is None and not report:
        raise typer.BadParameter("give --output, or --report for the report alone")
    if (topics is None) != (qrels is None) or (topics is not None and not report):
        raise typer.BadParameter("--topics and --qrels go together, and with --report")
    share, pruning = _parse_shard(shard), documents.pruning
    encoder = options.open_encoder(**documents.encoder_settings())
    quantizer = options.open_quantizer(encoder)
    if report:
        from splade_lucene.evaluation.loss_report import measure_loss

        with progress_bar("measuring", 0) as advance:
            distortion = measure_loss(
                corpus, encoder, quantizer, pruning=pruning, min_impact=documents.min_impact,
                sample=report_sample, topics=topics, qrels=qrels, skip_bad=skip_bad, on_problem=_ProblemNotes(),
                progress=advance,
            )  # fmt: skip
        _print_distortion(distortion, as_json)
    if output is not None:
        manifest = encode_documents(corpus, output, encoder, quantizer, documents, share, overwrite, skip_bad)
        note_encoded(manifest, output)
        if as_json and not report:
            print(json.dumps({"output": str(output), "manifest": manifest.to_json()}, ensure_ascii=False))


@takes_options(options=ModelOptions)
def encode_queries(
    topics: Annotated[
        str,
        typer.Option("--topics", metavar="FILE", help="TSV, JSON lines as BEIR's, TREC topics, or Anserini's name."),
    ],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help=".jsonl, else Anserini's topic format.")],
    options: ModelOptions,
    topic_field: TopicFieldOption = "title",
    device: DeviceOption = "auto",
    dtype: QueryDtypeOption = QueryDtype.auto,
    as_json: JsonOption = False,
) -> None:
    """Encode queries into a file that Anserini and 'search --encoded' read."""
    from splade_lucene.search.query_encoder import SpladeQueryEncoder
    from splade_lucene.topics.reading import read_topics, write_encoded_topics

    queries = read_topics(topics, field=topic_field)
    encoder = options.open_encoder(device=device, query_dtype=dtype.value)
    query_encoder = SpladeQueryEncoder(encoder, options.open_quantizer(encoder))
    encoder.load("query")
    encoded = []
    with progress_bar("encoding", len(queries)) as advance:
        for start in range(0, len(queries), 64):
            part = queries[start : start + 64]
            vectors = query_encoder.encode_batch([query.turns or query.text for query in part])
            encoded += [Query(each.qid, each.text, vector) for each, vector in zip(part, vectors, strict=True)]
            advance(len(part))
    empty = [query.qid for query in encoded if not query.vector]
    if empty:
        note(f"{len(empty)} queries encode to no term: {name_some(empty)}")
    written = write_encoded_topics(output, encoded)
    note(f"{written:,} encoded queries in {output}")
    if as_json:
        print(json.dumps({"output": str(output), "queries": written, "empty": empty}, ensure_ascii=False))


def encode_documents(
    corpus: str, output: Path, encoder: SpladeEncoder, quantizer: Quantizer, documents: DocumentOptions,
    shard: Shard, overwrite: bool, skip_bad: bool,
) -> Manifest:  # fmt: skip
    """Encodes a corpus into a folder of pseudo-documents, with a progress bar."""
    from splade_lucene.corpus.reading import count_documents
    from splade_lucene.pseudo_documents.encoding import encode_corpus

    total = (count_documents(corpus) or 0) // shard.count
    if len(documents.devices) == 1:
        encoder.load("document")
    with progress_bar("encoding", total) as advance:
        return encode_corpus(
            corpus, output, encoder, quantizer, pruning=documents.pruning, min_impact=documents.min_impact, shard=shard,
            gzip=documents.gzip, overwrite=overwrite, skip_bad=skip_bad, devices=documents.devices,
            on_problem=_ProblemNotes(), progress=advance,
        )  # fmt: skip


def note_encoded(manifest: Manifest, output: Path) -> None:
    """Tells how many pseudo-documents there are, and what was left out."""
    note(f"{manifest.documents:,} pseudo-documents in {output}, computed in {manifest.dtype}")
    if manifest.empty:
        note(f"{len(manifest.empty)} documents encode to no term and were left out: {name_some(manifest.empty)}")
    if manifest.skipped:
        note(f"{manifest.skipped:,} documents cannot be read and were left out")


def _parse_shard(text: str) -> Shard:
    from splade_lucene.pseudo_documents.journal import Shard

    with wrong_usage():
        return Shard.parse(text)


class _ProblemNotes:
    """Names the first hundred documents that are left out."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, problem: InputError) -> None:
        self._count += 1
        if self._count <= 100:
            note(f"left out: {problem}")
        elif self._count == 101:
            note("left out: more, which are counted and not named")


def _print_distortion(distortion: Distortion, as_json: bool) -> None:
    if as_json:
        print(json.dumps(distortion.to_json()))
        return
    measures = list(distortion.rows[0].effectiveness)
    print(f"{distortion.documents:,} documents, {distortion.queries:,} queries; every row against the first\n")
    print(f"{'':34} {'relative L2':>11} {'terms lost':>10} {'terms':>7} {'changed impacts':>15}", end="")
    print("".join(f" {measure:>9}" for measure in measures))
    for row in distortion.rows:
        changed = "" if row.changed_impacts is None else f"{row.changed_impacts:.3%}"
        print(f"{row.name:34} {row.relative_l2:>11.5f} {row.terms_lost:>10.2%} {row.terms:>7.1f} {changed:>15}", end="")
        print("".join(f" {row.effectiveness[measure]:>9.4f}" for measure in measures))
