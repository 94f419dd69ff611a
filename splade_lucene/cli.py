"""The command line: the only place that prints or sets an exit code.

Exit codes: 0 done; 1 the work failed (one message on stderr; a trace with --debug); 2 wrong usage; 130 Ctrl-C.
Results go to stdout, progress and notes to stderr. Heavy imports stand inside the commands, so that --help is quick.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

import splade_lucene
from splade_lucene.cli_options import (
    DeviceOption,
    DocumentOptions,
    ModelOptions,
    QueryDtype,
    QueryDtypeOption,
    QueryOptions,
    SearchOptions,
    takes_options,
    wrong_usage,
)
from splade_lucene.errors import InputError, SpladeLuceneError
from splade_lucene.evaluation import DEFAULT_MEASURES
from splade_lucene.records import Query
from splade_lucene.run import DEFAULT_TAG

if TYPE_CHECKING:
    from splade_lucene.encoder import SpladeEncoder
    from splade_lucene.hits import Hits, SearchProfile
    from splade_lucene.journal import Shard
    from splade_lucene.loss_report import Losses
    from splade_lucene.manifest import Manifest
    from splade_lucene.quantizer import Quantizer
    from splade_lucene.records import Contribution


class _Commands(typer.core.TyperGroup):
    """Turns what went wrong in a command into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _note("interrupted: nothing is left half-written, and the same command goes on or starts anew")
            raise typer.Exit(130) from None
        except SpladeLuceneError as error:
            if _debug:
                raise
            _note(f"splade-lucene: {error}")
            raise typer.Exit(1) from None


_debug = False

app = typer.Typer(
    name="splade-lucene",
    cls=_Commands,
    help="SPLADE retrieval on plain Lucene impact indexes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Store(str, Enum):
    """What an index keeps of a document."""

    none = "none"
    text = "text"
    raw = "raw"


class Order(str, Enum):
    """How an index numbers its documents."""

    bp = "bp"
    input = "input"


class Engine(str, Enum):
    """What answers the queries."""

    auto = "auto"
    blockmax = "blockmax"
    maxscore = "maxscore"
    taat = "taat"
    pyserini = "pyserini"


class RunFormat(str, Enum):
    """Forms of a run file."""

    trec = "trec"
    msmarco = "msmarco"


CorpusOption = Annotated[
    str,
    typer.Option(
        "--corpus", metavar="SRC",
        help=".jsonl, .tsv or .parquet file, a folder of them, a BEIR folder, a folder of .txt/.md, irds:NAME, hf:NAME, "
        "or python-docs.",
    ),
]  # fmt: skip
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
IndexOption = Annotated[Path, typer.Option("--index", metavar="DIR", help="The Lucene index.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="Threads. Default: all cores.")]
StoreOption = Annotated[
    Store, typer.Option("--store", help="Keep nothing, the text, or the whole input (Anserini's -storeRaw).")
]
OrderOption = Annotated[
    Order, typer.Option("--order", help="bp: documents that share terms become neighbours, for speed. No hit changes.")
]
AcceleratorOption = Annotated[
    bool,
    typer.Option(
        "--accelerator/--no-accelerator",
        help="Keep the postings once more as searches want them, 3.5 bytes each. No hit changes.",
    ),
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out, count and name what cannot be read or indexed.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MinIdfOption = Annotated[
    float | None,
    typer.Option(
        "--min-idf", help="Drop query terms with an idf not above this; Pyserini's default is 0. Default: none."
    ),
]
EncodedOption = Annotated[bool, typer.Option("--encoded", help="The topics are encoded: term tokens, or vectors.")]


# ---- commands ----


@app.command()
def demo(
    directory: Annotated[Path | None, typer.Option("--dir", help="Where to work. Default: the user's cache.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Encode, index, search and evaluate Python's own documentation."""
    from splade_lucene.demo import run_demo
    from splade_lucene.files import cache_folder

    result = run_demo(directory or cache_folder() / "demo", _progress_bar)
    if as_json:
        print(json.dumps({"folder": str(result.folder), "questions": result.questions, "table": result.table}))
        return
    print(
        f"{result.manifest.documents:,} documentation strings of Python {sys.version.split()[0]}, in {result.folder}\n"
    )
    for answer in result.answers:
        print(f"{answer.question.text}?\n")
        for rank, (hit, contributions) in enumerate(answer.hits, 1):
            mark = "*" if hit.docid in answer.relevant else " "
            print(f"  {rank}.{mark}{hit.docid}  {hit.score:,.0f}")
            print(f"      {_contributions(contributions, 5)}")
        if not any(hit.docid in answer.relevant for hit, _ in answer.hits):
            print(f"  known answer: {_known_answer(answer.best_rank, answer.best)}")
        print()
    print("(* known answers; a term's share of the score = query impact x document impact)\n")
    print(f"{result.questions} questions with known answers; runs, topics and qrels in {result.folder}\n")
    _print_table({system: dict(means) for system, means in result.table.items()})
    print(
        f'\nAsk your own:\n  splade-lucene search --index {result.folder / "index"} --query "parse command line arguments"'
    )


@app.command()
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
    share, pruning = _shard(shard), documents.pruning
    encoder = options.open_encoder(**documents.encoder_settings())
    quantizer = options.open_quantizer(encoder)
    if report:
        from splade_lucene.loss_report import measure_loss

        with _progress_bar("measuring", 0) as advance:
            losses = measure_loss(
                corpus, encoder, quantizer, pruning=pruning, min_impact=documents.min_impact,
                sample=report_sample, topics=topics, qrels=qrels, skip_bad=skip_bad, on_problem=_ProblemNotes(),
                progress=advance,
            )  # fmt: skip
        _print_losses(losses, as_json)
    if output is not None:
        manifest = _encode(corpus, output, encoder, quantizer, documents, share, overwrite, skip_bad)
        _note_encoded(manifest, output)
        if as_json and not report:
            print(json.dumps({"output": str(output), "manifest": manifest.to_json()}, ensure_ascii=False))


@app.command("encode-queries")
@takes_options(options=ModelOptions)
def encode_queries(
    topics: Annotated[Path, typer.Option("--topics", metavar="FILE", help="TSV, or JSON lines as BEIR's.")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help=".jsonl, else Anserini's topic format.")],
    options: ModelOptions,
    device: DeviceOption = "auto",
    dtype: QueryDtypeOption = QueryDtype.auto,
    as_json: JsonOption = False,
) -> None:
    """Encode queries into a file that Anserini and 'search --encoded' read."""
    from splade_lucene.encoder import SpladeQueryEncoder
    from splade_lucene.topics import read_topics, write_encoded_topics

    queries = read_topics(topics)
    encoder = options.open_encoder(device=device, query_dtype=dtype.value)
    query_encoder = SpladeQueryEncoder(encoder, options.open_quantizer(encoder))
    encoder.load("query")
    encoded = []
    with _progress_bar("encoding", len(queries)) as advance:
        for start in range(0, len(queries), 64):
            part = queries[start : start + 64]
            vectors = query_encoder.encode_batch([query.turns or query.text for query in part])
            encoded += [Query(each.qid, each.text, vector) for each, vector in zip(part, vectors, strict=True)]
            advance(len(part))
    empty = [query.qid for query in encoded if not query.vector]
    if empty:
        _note(f"{len(empty)} queries encode to no term: {_some(empty)}")
    written = write_encoded_topics(output, encoded)
    _note(f"{written:,} encoded queries in {output}")
    if as_json:
        print(json.dumps({"output": str(output), "queries": written, "empty": empty}, ensure_ascii=False))


@app.command()
def index(
    source: Annotated[
        Path | None, typer.Option("--input", metavar="DIR", help="Pseudo-documents: a folder or a file.")
    ] = None,
    index_dir: Annotated[Path | None, typer.Option("--index", metavar="DIR", help="The Lucene index.")] = None,
    accelerate: Annotated[
        Path | None,
        typer.Option("--accelerate", metavar="DIR", help="Only make the accelerator of an index that exists, anew."),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            "--max-accelerator-bytes", min=0, help="With --accelerate: what it may take; the commonest terms come first."
        ),
    ] = None,
    threads: ThreadsOption = None,
    store: StoreOption = Store.text,
    order: OrderOption = Order.bp,
    accelerator: AcceleratorOption = True,
    append: Annotated[bool, typer.Option("--append", help="Add to an existing index.")] = False,
    overwrite: OverwriteOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build a Lucene impact index from pseudo-documents, or the accelerator of an index that exists."""
    if append and overwrite:
        raise typer.BadParameter("--append and --overwrite exclude each other")
    if accelerate is not None:
        if source is not None or index_dir is not None:
            raise typer.BadParameter("--accelerate stands without --input and --index")
        _accelerate(accelerate, max_bytes, as_json)
    elif max_bytes is not None:
        raise typer.BadParameter("--max-accelerator-bytes is for --accelerate")
    elif source is None or index_dir is None:
        raise typer.BadParameter("give --input and --index, or --accelerate")
    else:
        _index(source, index_dir, threads, store, order, accelerator, append, overwrite, skip_bad, as_json)


@app.command()
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
    import shutil

    from splade_lucene.files import work_folder
    from splade_lucene.indexer import prepare_target

    if output is not None and output.resolve() == index_dir.resolve():
        raise typer.BadParameter("--output and --index must be different folders")
    prepare_target(index_dir, append=False, overwrite=overwrite)
    work = output or work_folder(index_dir.resolve(), "encoded")
    encoder = options.open_encoder(**documents.encoder_settings())
    quantizer = options.open_quantizer(encoder)
    manifest = _encode(corpus, work, encoder, quantizer, documents, _shard("1/1"), overwrite or not output, skip_bad)
    _note_encoded(manifest, work)
    _index(work, index_dir, threads, store, order, accelerator, False, overwrite, False, as_json)
    if output is None:
        shutil.rmtree(work)


@app.command()
@takes_options(options=QueryOptions, ways=SearchOptions)
def search(
    index_dir: IndexOption,
    options: QueryOptions,
    ways: SearchOptions,
    query: Annotated[str | None, typer.Option("--query", help="One query; its hits are printed.")] = None,
    topics: Annotated[Path | None, typer.Option("--topics", metavar="FILE", help="Many queries.")] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="RUN", help="The run file, for --topics.")] = None,
    output_format: Annotated[RunFormat, typer.Option("--output-format")] = RunFormat.trec,
    hits: Annotated[
        int | None, typer.Option("--hits", min=1, help="Default: 10 for --query, 1000 for --topics.")
    ] = None,
    threads: ThreadsOption = None,
    encoded: EncodedOption = False,
    min_idf: MinIdfOption = None,
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine", help="The same hits from each: auto chooses; pyserini goes through Pyserini's own searcher."
        ),
    ] = Engine.auto,
    tag: Annotated[str, typer.Option("--tag", help="Last column of a TREC run.")] = DEFAULT_TAG,
    profile: Annotated[
        bool, typer.Option("--profile", help="Tell what the search did: engine, blocks, postings, times.")
    ] = False,
    recall: Annotated[
        bool, typer.Option("--recall", help="Tell what --mode approximate loses, by an exact search beside it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Search for one query, or write the run of many."""
    if (query is None) == (topics is None):
        raise typer.BadParameter("give either --query or --topics")
    if (topics is None) != (output is None):
        raise typer.BadParameter("--topics and --output go together")
    approximation = ways.approximation
    if engine is Engine.pyserini and (profile or recall or ways != SearchOptions()):
        raise typer.BadParameter("Pyserini's searcher knows no --mode, --only, --without, --profile or --recall")
    searcher: Any
    query_encoder = options.open_query_encoder(index_dir) if not encoded else None
    if engine is Engine.pyserini:
        from splade_lucene.pyserini_engine import PyseriniSearcher

        searcher = PyseriniSearcher(index_dir, query_encoder, min_idf)
    else:
        from splade_lucene.searcher import LuceneImpactSearcher

        searcher = LuceneImpactSearcher(
            index_dir, query_encoder, min_idf, engine=engine.value, approximation=approximation
        )
    report = _SearchReport(profile, recall)
    with searcher:
        how = {} if engine is Engine.pyserini else {"filter": ways.make_filter(searcher)}
        if topics is not None and output is not None:
            threads = threads or os.cpu_count() or 1
            _search_topics(
                searcher, topics, output, output_format.value, hits or 1000, threads, encoded, tag, how, report, as_json
            )
        elif query is not None:
            _search_one(searcher, query, hits or 10, encoded, how, report, as_json)


@app.command()
def evaluate(
    qrels: Annotated[Path, typer.Option("--qrels", metavar="FILE", help="Judgments, TREC or BEIR format.")],
    run: Annotated[list[Path], typer.Option("--run", metavar="RUN", help="A TREC run; may be given several times.")],
    measures: Annotated[str, typer.Option("--measures", help="As ir_measures spells them.")] = " ".join(
        DEFAULT_MEASURES
    ),
    as_json: JsonOption = False,
) -> None:
    """Evaluate runs against judgments."""
    from splade_lucene.evaluation import evaluate as evaluate_run
    from splade_lucene.evaluation import read_qrels
    from splade_lucene.run import Run

    judged = read_qrels(qrels)
    table = {}
    for path in run:
        ranked = Run.read(path)
        missing = len(set(judged) - set(ranked))
        if missing:
            _note(f"{path}: {missing} of {len(judged)} judged queries have no hits; each counts as 0")
        table[str(path)] = evaluate_run(judged, ranked, re.split(r"[,\s]+(?![^()]*\))", measures.strip()))
    if as_json:
        print(json.dumps(table))
    else:
        _print_table(table)


@app.command()
@takes_options(options=QueryOptions)
def explain(
    index_dir: IndexOption,
    options: QueryOptions,
    query: Annotated[str, typer.Option("--query", help="The query; with --encoded a JSON object of term: impact.")],
    docid: Annotated[str, typer.Option("--docid", help="The document.")],
    encoded: EncodedOption = False,
    min_idf: MinIdfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each shared term adds to a document's score."""
    from splade_lucene.searcher import LuceneImpactSearcher

    query_encoder = options.open_query_encoder(index_dir) if not encoded else None
    with LuceneImpactSearcher(index_dir, query_encoder, min_idf) as searcher:
        vector = searcher.encode(_json_query(query) if encoded else query)
        contributions = searcher.explain(vector, docid)
    score = sum(each.product for each in contributions)
    if as_json:
        rows = [
            {"term": each.term, "query_impact": each.query_impact, "document_impact": each.document_impact,
             "product": each.product}
            for each in contributions
        ]  # fmt: skip
        print(json.dumps({"docid": docid, "score": score, "terms": rows}, ensure_ascii=False))
        return
    print(f"{'term':24} {'query':>8} {'document':>9} {'product':>10} {'share':>7}")
    for each in contributions:
        share = each.product / score
        print(f"{each.term:24} {each.query_impact:>8,} {each.document_impact:>9,} {each.product:>10,} {share:>7.1%}")
    print(f"{'score of ' + docid:24} {'':>8} {'':>9} {score:>10,}")
    print(f"{len(contributions)} of the query's {len(vector)} terms are in the document")


@app.command()
def stats(index_dir: IndexOption, as_json: JsonOption = False) -> None:
    """Show what is in an index, and what made it."""
    from splade_lucene.accelerator import accelerator_bytes
    from splade_lucene.index_reader import LuceneImpactIndexReader, read_index_manifest

    with LuceneImpactIndexReader(index_dir) as reader:
        counts = reader.statistics()
        counts["accelerator_bytes"] = accelerator_bytes(reader)
    manifest = read_index_manifest(index_dir)
    if as_json:
        print(json.dumps({**counts, "manifest": manifest.to_json() if manifest else None}, ensure_ascii=False))
        return
    documents = max(1, counts["documents"])
    for name in ("documents", "deleted_documents", "segments", "terms", "postings", "total_impact", "bytes",
                 "accelerator_bytes"):  # fmt: skip
        print(f"{name:22} {counts[name]:>16,}")
    print(f"{'postings a document':22} {counts['postings'] / documents:>16.1f}")
    print(f"{'impact a posting':22} {counts['total_impact'] / max(1, counts['postings']):>16.1f}")
    print(f"{'bytes a document':22} {counts['bytes'] / documents:>16.1f}")
    print(f"{'lucene':22} {counts['lucene']:>16}")
    if manifest and manifest.model:
        rule = manifest.quantizer
        print(f"{'model':22} {manifest.model} ({manifest.pooling} pooling, at most {manifest.max_length} tokens)")
        if manifest.dtype:
            print(f"{'computed in':22} {manifest.dtype}")
        if rule:
            print(f"{'quantizer':22} {rule.name}: documents x{rule.document.scale:g}, queries x{rule.query.scale:g}")
        print(f"{'corpus':22} {manifest.corpus}")
        if manifest.empty:
            print(f"{'without a term':22} {len(manifest.empty)}: {_some(manifest.empty)}")


@app.command()
@takes_options(options=ModelOptions)
def models(
    options: ModelOptions,
    checkpoint: Annotated[
        str | None, typer.Argument(help="A folder or hub name to look at; without it, known models.")
    ] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """List known models, or load one and say what it is, and which of its files said so."""
    if checkpoint is None and options.model is None:
        _print_known_models(as_json)
        return
    from splade_lucene.encoder.layout import TableSide

    encoder = replace(options, model=checkpoint or options.model).open_encoder(device=device)
    layout = encoder.layout
    network = encoder.document_network
    if isinstance(layout.queries, TableSide) or layout.queries.location != layout.documents.location:
        encoder.load("query")  # which is then another one, and may be damaged on its own
    facts = {
        "name": layout.location.name,
        "family": layout.family,
        "documents": layout.documents.describe(),
        "queries": layout.queries.describe(),
        "quantizer": options.open_quantizer(encoder).name,
        "max_length": encoder.max_length,
        "query_max_length": encoder.query_max_length,
        "document_prefix": layout.documents.prefix,
        "query_prefix": layout.queries.prefix,
        "architecture": type(network.model).__name__,
        "parameters": network.parameters,
        "terms": len(encoder.terms),
        "max_tokens": layout.documents.max_tokens,
        "sha256": layout.documents.location.digest(),
        "found": list(layout.found),
    }
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        lines = value if isinstance(value, list) else [f"{value:,}" if isinstance(value, int) else str(value)]
        for line in lines or [""]:
            print(f"{name:16} {line}".rstrip())
            name = ""


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error; stands anywhere.")] = False,  # noqa: ARG001
) -> None:
    """SPLADE retrieval on plain Lucene impact indexes."""
    if version:
        print(splade_lucene.__version__)
        raise typer.Exit


# ---- what the commands share ----


def _encode(
    corpus: str, output: Path, encoder: SpladeEncoder, quantizer: Quantizer, documents: DocumentOptions,
    shard: Shard, overwrite: bool, skip_bad: bool,
) -> Manifest:  # fmt: skip
    from splade_lucene.corpus import count_documents
    from splade_lucene.encoding import encode_corpus

    total = (count_documents(corpus) or 0) // shard.count
    if len(documents.devices) == 1:
        encoder.load("document")
    with _progress_bar("encoding", total) as advance:
        return encode_corpus(
            corpus, output, encoder, quantizer, pruning=documents.pruning, min_impact=documents.min_impact, shard=shard,
            gzip=documents.gzip, overwrite=overwrite, skip_bad=skip_bad, devices=documents.devices,
            on_problem=_ProblemNotes(), progress=advance,
        )  # fmt: skip


def _shard(text: str) -> Shard:
    from splade_lucene.journal import Shard

    with wrong_usage():
        return Shard.parse(text)


class _ProblemNotes:
    """Names the first hundred documents that are left out."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, problem: InputError) -> None:
        self._count += 1
        if self._count <= 100:
            _note(f"left out: {problem}")
        elif self._count == 101:
            _note("left out: more, which are counted and not named")


def _note_encoded(manifest: Manifest, output: Path) -> None:
    _note(f"{manifest.documents:,} pseudo-documents in {output}, computed in {manifest.dtype}")
    if manifest.empty:
        _note(f"{len(manifest.empty)} documents encode to no term and were left out: {_some(manifest.empty)}")
    if manifest.skipped:
        _note(f"{manifest.skipped:,} documents cannot be read and were left out")


def _index(
    source: Path, index_dir: Path, threads: int | None, store: Store, order: Order, accelerator: bool, append: bool,
    overwrite: bool, skip_bad: bool, as_json: bool,
) -> None:  # fmt: skip
    from splade_lucene.indexer import index_pseudo_documents

    with _progress_bar("indexing", 0) as advance:
        shown = 0

        def progress(_stage: str, documents: int, _share: float) -> None:
            nonlocal shown
            advance(documents - shown)
            shown = documents

        summary = index_pseudo_documents(
            source, index_dir, threads=threads, store=store.value, order=order.value, append=append, overwrite=overwrite,
            skip_bad=skip_bad, accelerator=accelerator, progress=progress,
        )  # fmt: skip
        advance(summary.documents - shown)
    for problem in summary.skipped[:100]:
        _note(f"left out: {problem}")
    if summary.skipped:
        _note(f"{len(summary.skipped):,} documents were left out")
    _note(f"{summary.documents:,} documents, {summary.postings:,} postings and {summary.terms:,} terms in {index_dir}")
    if as_json:
        counts = {"documents": summary.documents, "postings": summary.postings, "terms": summary.terms}
        print(json.dumps({"index": str(index_dir), **counts, "skipped": len(summary.skipped)}))


def _accelerate(index_dir: Path, max_bytes: int | None, as_json: bool) -> None:
    from splade_lucene.accelerator import accelerate, accelerator_bytes
    from splade_lucene.index_reader import LuceneImpactIndexReader

    folder = accelerate(index_dir, max_bytes=max_bytes)
    with LuceneImpactIndexReader(index_dir) as reader:
        size, of_index = accelerator_bytes(reader), reader.statistics()["bytes"]
    _note(f"{size:,} bytes in {folder}, {size / max(1, of_index):.2f} times the index's own")
    if as_json:
        print(json.dumps({"index": str(index_dir), "accelerator": str(folder), "bytes": size}))


class _SearchReport:
    """What searches did, and what an approximation lost, as far as it was asked for."""

    def __init__(self, profile: bool, recall: bool) -> None:
        self._wants_profile, self._wants_recall = profile, recall
        self._profiles: list[SearchProfile] = []
        self._recalls: list[float] = []

    def add(self, searcher: Any, queries: Sequence[Any], found: Iterable[Hits], k: int, threads: int, how: Any) -> None:
        self._profiles += [hits.profile for hits in found if self._wants_profile and hits.profile]
        if self._wants_recall:
            self._recalls += searcher.recall(queries, k, threads, **how)

    def to_json(self) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if self._wants_profile:
            facts["profile"] = [{"engine": each.engine, **asdict(each)} for each in self._profiles]
        if self._wants_recall:
            facts["recall"] = self._recalls
        return facts

    def print(self, k: int) -> None:
        if self._wants_profile and self._profiles:
            engines = Counter(each.engine for each in self._profiles)
            _note(", ".join(f"{engine}: {count:,} queries" for engine, count in engines.most_common()))
            _note(f"{'':18} {'mean':>12} {'p50':>12} {'p95':>12} {'p99':>12}")
            for name in ("postings", "postings_scored", "blocks", "blocks_scored"):
                self._print_row(name, ",.0f")
            for name in ("lookup", "bounds", "probes", "scoring", "total"):
                self._print_row(name, ",.3f", " ms")
        if self._wants_recall and self._recalls:
            mean = sum(self._recalls) / len(self._recalls)
            whole = sum(recall == 1 for recall in self._recalls)
            _note(
                f"recall@{k} against exact search: {mean:.4f}; {whole:,} of {len(self._recalls):,} queries lose nothing"
            )

    def _print_row(self, name: str, form: str, unit: str = "") -> None:
        values = sorted(getattr(each, name) for each in self._profiles)
        shown = [sum(values) / len(values), *(values[int(share * (len(values) - 1))] for share in (0.5, 0.95, 0.99))]
        _note(f"{name + unit:18} " + " ".join(f"{value:>12{form}}" for value in shown))


def _search_one(
    searcher: Any, query: str, hits: int, encoded: bool, how: dict[str, Any], report: _SearchReport, as_json: bool
) -> None:
    vector = _json_query(query) if encoded else query
    found = searcher.search(vector, hits, **how)
    report.add(searcher, [vector], [found], hits, 1, how)
    rows = []
    for rank, hit in enumerate(found, 1):
        rows.append({"rank": rank, "docid": hit.docid, "score": int(hit.score), "text": hit.contents or ""})
    if as_json:
        facts = report.to_json()
        print(json.dumps({"hits": rows, **facts} if facts else rows, ensure_ascii=False))
        return
    for row in rows:
        text = " ".join(str(row["text"]).split())
        print(f"{row['rank']:>3} {row['score']:>8,}  {row['docid']}" + (f"  {text:.90}" if text else ""))
    if not rows:
        _note("no document shares a term with the query")
    report.print(hits)


def _search_topics(
    searcher: Any, topics: Path, output: Path, output_format: Any, hits: int, threads: int, encoded: bool, tag: str,
    how: dict[str, Any], report: _SearchReport, as_json: bool,
) -> None:  # fmt: skip
    from splade_lucene.run import open_run_writer
    from splade_lucene.topics import read_topics

    queries = read_topics(topics, encoded=encoded)
    without = []
    with (
        open_run_writer(output, format=output_format, tag=tag) as writer,
        _progress_bar("searching", len(queries)) as advance,
    ):
        for start in range(0, len(queries), 64):
            part = queries[start : start + 64]
            contents = [query.content for query in part]
            found = searcher.batch_search(contents, [each.qid for each in part], hits, threads, **how)
            report.add(searcher, contents, found.values(), hits, threads, how)
            for qid, ranking in found.items():
                writer.add(qid, ranking)
                if not len(ranking):
                    without.append(qid)
            advance(len(part))
    if without:
        _note(f"{len(without)} queries have no hit and so no line in the run: {_some(without)}")
    _note(f"{len(queries):,} queries in {output}")
    report.print(hits)
    if as_json:
        facts = {"run": str(output), "queries": len(queries), "without_hits": without, **report.to_json()}
        print(json.dumps(facts, ensure_ascii=False))


def _json_query(text: str) -> Any:
    try:
        vector = json.loads(text)
    except ValueError:
        vector = None
    if not isinstance(vector, dict):
        raise InputError(f"{text!r} is no encoded query", remedy='With --encoded write {"term": impact, …}')
    return vector


# ---- printing ----


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _contributions(contributions: Sequence[Contribution], count: int) -> str:
    shown = " + ".join(f"{each.term} {each.query_impact}x{each.document_impact}" for each in contributions[:count])
    rest = sum(each.product for each in contributions[count:])
    return shown + (f" + {len(contributions) - count} more: {rest:,}" if rest else "")


def _known_answer(rank: int | None, docid: str) -> str:
    return f"{docid}, not among the hits" if rank is None else f"{docid}, rank {rank}"


def _print_known_models(as_json: bool) -> None:
    from splade_lucene.models import known_models

    known = known_models()
    if as_json:
        print(json.dumps(known, ensure_ascii=False))
        return
    print(f"{'name':64} {'family':17} {'queries':8} {'quantizer':9} {'licence':16} {'gated':5} published effectiveness")
    for each in known:
        figures = [f"{e['measure']} {e['value']:g} ({e['data']})" for e in each["effectiveness"][:2]]
        gated = {True: "yes", False: "no", None: "?"}[each["gated"]]
        queries = "other" if each["query_model"] else each["queries"]
        print(
            f"{each['name']:64} {each['family']:17} {queries:8} {each['quantizer'] or '-':9} {each['licence'] or '?':16} "
            f"{gated:5} {', '.join(figures) or '-'}"
        )
    print("\nLengths, notes and the source of each figure: --json")


def _print_losses(losses: Losses, as_json: bool) -> None:
    if as_json:
        print(json.dumps(losses.to_json()))
        return
    measures = list(losses.rows[0].effectiveness)
    print(f"{losses.documents:,} documents, {losses.queries:,} queries; every row against the first\n")
    print(f"{'':34} {'relative L2':>11} {'terms lost':>10} {'terms':>7} {'changed impacts':>15}", end="")
    print("".join(f" {measure:>9}" for measure in measures))
    for row in losses.rows:
        changed = "" if row.changed_impacts is None else f"{row.changed_impacts:.3%}"
        print(f"{row.name:34} {row.relative_l2:>11.5f} {row.terms_lost:>10.2%} {row.terms:>7.1f} {changed:>15}", end="")
        print("".join(f" {row.effectiveness[measure]:>9.4f}" for measure in measures))


def _print_table(table: dict[str, dict[str, float]]) -> None:
    width = max(len(name) for name in table)
    measures = list(next(iter(table.values())))
    print(" " * width + "".join(f"  {measure:>8}" for measure in measures))
    for name, means in table.items():
        print(f"{name:{width}}" + "".join(f"  {means[measure]:>8.4f}" for measure in measures))


@contextmanager
def _progress_bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    from tqdm import tqdm

    unit = " queries" if title == "searching" else " docs"
    interval = 0.1 if sys.stderr.isatty() else 15  # a log file wants few lines
    with tqdm(total=total or None, desc=title, unit=unit, mininterval=interval, maxinterval=30) as bar:
        all_tokens = 0
        start = time.monotonic()

        def advance(count: int, tokens: int = 0, of_earlier_run: bool = False) -> None:
            nonlocal all_tokens
            if of_earlier_run:  # counts, and is no part of the rate
                bar.initial += count
                bar.n += count
                return
            all_tokens += tokens
            if tokens:
                rate = all_tokens / max(1e-3, time.monotonic() - start)
                bar.set_postfix_str(f"{all_tokens:,} tokens, {rate:,.0f}/s", refresh=False)
            bar.update(count)

        yield advance


def main() -> None:
    """Runs the program."""
    global _debug
    _debug = "--debug" in sys.argv
    logging.basicConfig(format="%(message)s", level=logging.DEBUG if _debug else logging.WARNING)
    try:
        app(args=[argument for argument in sys.argv[1:] if argument != "--debug"], prog_name="splade-lucene")
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
