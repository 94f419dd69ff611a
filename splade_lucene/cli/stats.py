"""Shows the contents and origin of an index, and the cost of queries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_lucene.cli.option_groups import QueryOptions, takes_options
from splade_lucene.cli.options import DuplicatesOption, IndexesOption, JsonOption, check_required
from splade_lucene.cli.output import name_some
from splade_lucene.cli.search_options import EncodedOption
from splade_lucene.cli.topic_options import TopicFieldOption
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_IN_RUN

if TYPE_CHECKING:
    from splade_lucene.manifest import Manifest
    from splade_lucene.records import Query
    from splade_lucene.search.bm25 import Bm25Searcher
    from splade_lucene.search.searcher import LuceneImpactSearcher


@takes_options(options=QueryOptions)
def stats(
    index_dirs: IndexesOption,
    options: QueryOptions,
    topics: Annotated[
        Path | None, typer.Option("--topics", metavar="FILE", help="Queries for measuring the cost.")
    ] = None,
    topic_field: TopicFieldOption = "title",
    encoded: EncodedOption = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="Measure search times of --topics, on one thread, without encoding.")
    ] = False,
    hits: Annotated[int, typer.Option("--hits", min=1, help="With --latency: hits per query.")] = HITS_IN_RUN,
    duplicates: DuplicatesOption = "refuse",
    as_json: JsonOption = False,
) -> None:
    """Show the contents and origin of an index.

    With --topics, also show the cost of queries: FLOPS, terms, postings and, with --latency, times.
    """
    from splade_lucene.index.accelerator import accelerator_bytes
    from splade_lucene.index.joined import open_indexes
    from splade_lucene.index.reader import read_index_manifest
    from splade_lucene.search.bm25 import Bm25Searcher, open_index
    from splade_lucene.search.searcher import LuceneImpactSearcher
    from splade_lucene.topics.reading import read_topics

    options.check(encoded=encoded, missing="--topics" if topics is None else None)
    if topics is None:
        check_required("--topics", encoded=encoded, latency=latency, topic_field=topic_field != "title")
    if not latency:
        check_required("--latency", hits=hits != HITS_IN_RUN)
    queries = [] if topics is None else read_topics(topics, encoded=encoded, field=topic_field)
    costs: dict[str, Any] = {}
    with open_index(index_dirs[0]) if len(index_dirs) == 1 else open_indexes(index_dirs, duplicates) as reader:
        counts = reader.statistics()
        holds_texts = isinstance(reader, Bm25Searcher)
        counts["accelerator_bytes"] = 0 if isinstance(reader, Bm25Searcher) else accelerator_bytes(reader)
        if holds_texts:
            needed = "an impact index; this is a text index"
            options.check(encoded=False, missing=needed)
            check_required(needed, encoded=encoded)
        if isinstance(reader, Bm25Searcher) and queries:
            costs = _measure_bm25_costs(reader, queries, hits if latency else None)
        fields = {} if isinstance(reader, Bm25Searcher) else reader.fields
        if fields:
            counts["fields"] = fields
        manifest = read_index_manifest(index_dirs[0]) if isinstance(reader, Bm25Searcher) else reader.manifest()
    if queries and not holds_texts:
        query_encoder = None if encoded else options.open_query_encoder(index_dirs)
        with LuceneImpactSearcher(index_dirs, query_encoder, duplicates=duplicates) as searcher:
            costs = _measure_costs(searcher, queries, hits if latency else None)
    if as_json:
        print(json.dumps({**counts, "manifest": manifest.to_json() if manifest else None, **costs}, ensure_ascii=False))
        return
    _print_counts(counts)
    if manifest and manifest.model:
        _print_origin(manifest)
    if manifest and manifest.history:
        last = manifest.history[-1]
        print(f"{'changes':24} {len(manifest.history):,}, the last one at {last.time}: {last.operation}")
    _print_costs(costs, hits)


def _measure_costs(searcher: LuceneImpactSearcher, queries: Sequence[Query], hits: int | None) -> dict[str, Any]:
    """The ``efficiency`` of the queries and, if ``hits`` is given, the ``latency`` of searches for that many hits, as JSON."""
    from splade_lucene.evaluation.efficiency import measure_efficiency, measure_search

    vectors = searcher.encode_batch([query.content for query in queries])
    costs = {"efficiency": measure_efficiency(searcher.reader, vectors).to_json()}
    if hits is not None:
        costs["latency"] = measure_search(lambda vector: searcher.search(vector, hits), vectors).to_json()
    return costs


def _measure_bm25_costs(searcher: Bm25Searcher, queries: Sequence[Query], hits: int | None) -> dict[str, Any]:
    """The same for BM25."""
    from splade_lucene.evaluation.efficiency import measure_efficiency, measure_search

    texts = [query.text for query in queries]
    costs = {"efficiency": measure_efficiency(searcher, [searcher.analyze(text) for text in texts]).to_json()}
    if hits is not None:
        costs["latency"] = measure_search(lambda text: searcher.search(text, hits), texts).to_json()
    return costs


def _print_counts(counts: Mapping[str, Any]) -> None:
    documents = max(1, counts["documents"])
    for name in ("documents", "deleted_documents", "segments", "terms", "postings", "total_impact", "bytes",
                 "accelerator_bytes"):  # fmt: skip
        print(f"{name:24} {counts[name]:>16,}")
    print(f"{'postings per document':24} {counts['postings'] / documents:>16.1f}")
    print(f"{'impact per posting':24} {counts['total_impact'] / max(1, counts['postings']):>16.1f}")
    print(f"{'bytes per document':24} {counts['bytes'] / documents:>16.1f}")
    print(f"{'accelerator per document':24} {counts['accelerator_bytes'] / documents:>16.1f}")
    print(f"{'lucene':24} {counts['lucene']:>16}")
    if "bm25" in counts:
        of_texts = ", ".join(f"{count:,} {name}" for name, count in counts["bm25"].items())
        print(f"{'texts for BM25':24} {of_texts}")
    if "fields" in counts:
        print(f"{'fields':24} " + ", ".join(f"{name} ({kind})" for name, kind in counts["fields"].items()))


def _print_costs(costs: Mapping[str, Any], hits: int) -> None:
    if efficiency := costs.get("efficiency"):
        print(f"{'queries':24} {efficiency['queries']:>16,}")
        print(f"{'terms per query':24} {efficiency['query_terms']:>16.1f}")
        print(f"{'postings per query':24} {efficiency['query_postings']:>16,.1f}")
        print(f"{'FLOPS':24} {efficiency['flops']:>16.4f}")
    if latency := costs.get("latency"):
        if latency["postings_scored"] is not None:
            print(f"{'postings added up':24} {latency['postings_scored']:>16,.1f}")
        for name in ("mean", "median", "p99"):
            print(f"{f'ms per query, {name}':24} {latency[name]:>16.3f}")
        print(f"{'measured with':24} {counted(hits, 'hit')}, one thread, {latency['machine']}")


def _print_origin(manifest: Manifest) -> None:
    rule = manifest.quantizer
    print(
        f"{'model':24} {manifest.model} ({manifest.pooling} pooling, at most {counted(manifest.max_length, 'token')})"
    )
    if manifest.family:
        print(f"{'model family':24} {manifest.family}")
    if manifest.model_revision:
        print(f"{'model revision':24} {manifest.model_revision}")
    if manifest.model_digest:
        print(f"{'model weights':24} sha256 {manifest.model_digest}")
    if manifest.dtype:
        by = " by ONNX Runtime" if manifest.backend == "onnx" else ""
        print(f"{'computed in':24} {manifest.dtype}{by}")
    if rule:
        print(f"{'quantizer':24} {rule.name}: documents x{rule.document.scale:g}, queries x{rule.query.scale:g}")
    print(f"{'corpus':24} {manifest.corpus}")
    if manifest.truncated:
        were = counted(manifest.truncated, "document", "was", "were")
        lengths = " or ".join(f"{length:,}" for length in manifest.max_lengths[:-1])
        longest = counted(manifest.max_lengths[-1] if manifest.max_lengths else 0, "token")
        print(f"{'truncated':24} {were} longer than {f'{lengths} or ' if lengths else ''}{longest}")
    if manifest.empty:
        print(f"{'without a term':24} {len(manifest.empty)}: {name_some(manifest.empty)}")
