#!/usr/bin/env python3
"""Hybrid search in one call against two searches whose runs are fused, by this package and by Pyserini.

    python benchmarks/hybrid.py [--documents 200000] [--queries 1000] [--repeat 3] [--threads N]

The vectors come from the shared generator, the texts are real (see real_text.py), one for each vector. Each peer is measured
in turn with hybrid search on the same machine, warm, so each ratio comes from one run: above 1, one call is faster.

runs: our searches of this index and of an index of the same texts, fused by reciprocal_rank_fusion; the hits must be equal.
pyserini: LuceneImpactSearcher and LuceneSearcher(fields={"bm25": 1.0}) on this very index, fused likewise.
filter: hybrid searches with a filter, against those without one.
build: the index with texts for BM25, against the same index without them and a second one of texts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import real_text
from common import (
    ROOT,
    WORK,
    IdentityQueryEncoder,
    add_write_results,
    corpus,
    describe_machine,
    figure,
    queries,
    write_results,
)

sys.path.insert(0, str(ROOT))

from splade_lucene import (
    Bm25Searcher,
    Document,
    HybridFusion,
    LuceneImpactSearcher,
    Run,
    index_pseudo_documents,
    index_texts,
    read_pseudo_documents,
    reciprocal_rank_fusion,
)
from splade_lucene.jvm.pyserini_import import pyserini_importable

DEPTH = 1000
FILTERS = {"50 %": "part < 500", "5 %": "part < 50", "0.5 %": "part < 5"}


def collection(documents: int) -> Path:
    """Pseudo-documents with texts and a field, made once."""
    folder = WORK / f"hybrid-{documents}"
    path = folder / "part.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        texts = cycle(each["text"] for each in real_text.documents())
        with path.with_suffix(".partial").open("w", encoding="utf-8") as output:
            lines = (line for file in sorted(corpus(documents, 1).glob("*.jsonl")) for line in file.open())
            for number, (line, text) in enumerate(zip(lines, texts)):  # noqa: B905 - texts have no end
                record = json.loads(line)
                fields = {"part": number * 7919 % 1000}
                output.write(json.dumps({**record, "contents": text, "fields": fields}) + "\n")
        path.with_suffix(".partial").rename(path)
    return path


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def build(source: Path, documents: int) -> tuple[Path, Path, dict[str, Any]]:
    """Builds the index, and its two peers; returns the folders of the index and of that of texts, and a figure."""
    both, plain, texts = (WORK / f"index-hybrid-{documents}-{name}" for name in ("both", "plain", "texts"))
    for folder in (both, plain, texts):
        shutil.rmtree(folder, ignore_errors=True)
    options: dict[str, Any] = {"store": "none", "fields": {"part": "integer"}}
    index_pseudo_documents(source, plain, **options)  # warm up
    shutil.rmtree(plain)
    in_one = timed(lambda: index_pseudo_documents(source, both, bm25=True, **options))
    separately = timed(lambda: index_pseudo_documents(source, plain, **options))
    of_texts = timed(
        lambda: index_texts(
            (Document(each.docid, each.contents) for each in read_pseudo_documents(source)), texts, store="none"
        )
    )
    sizes = [size(folder) for folder in (both, plain, texts)]
    print(
        f"{'build':16} {in_one:8.1f} s {separately:8.1f} + {of_texts:.1f} s; {sizes[0]:,} bytes, {sizes[1]:,} + {sizes[2]:,}"
    )
    return both, texts, figure(
        f"build with texts for BM25, {documents:,} documents", in_one, "s", peer="an index of impacts and one of texts",
        peer_value=separately + of_texts, ratio=(separately + of_texts) / in_one, impacts_alone=separately,
        bytes=sizes[0], bytes_of_two=sizes[1] + sizes[2],
    )  # fmt: skip


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any], repeat: int) -> tuple[float, float]:
    """The median seconds of both."""
    ours(), theirs()  # warm up
    rounds = [(timed(ours), timed(theirs)) for _ in range(repeat)]
    first, second = (statistics.median(times) for times in zip(*rounds, strict=True))
    return first, second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    add_write_results(parser)
    args = parser.parse_args()
    print(
        f"{describe_machine()}, {time.strftime('%Y-%m-%d')}; {args.documents:,} documents, {args.queries} queries, "
        f"{args.threads} threads, depth {DEPTH}"
    )
    index, text_index, built = build(collection(args.documents), args.documents)
    figures = {f"build/{args.documents}": built}
    vectors = list(queries().values())[: args.queries]
    texts = [text for _, text in islice(cycle(real_text.queries()), len(vectors))]
    qids = [f"q{number}" for number in range(len(vectors))]
    with pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as PyserinisImpactSearcher
        from pyserini.search.lucene import LuceneSearcher
    impacts, bm25_of_pyserini = (
        PyserinisImpactSearcher(str(index), IdentityQueryEncoder(), -1),
        LuceneSearcher(str(index)),
    )
    with LuceneImpactSearcher(index) as searcher, Bm25Searcher(text_index) as bm25:

        def hybrid(k: int, text: str | None = None) -> Run:
            fusion = HybridFusion(depth=DEPTH)
            found = searcher.batch_search_hybrid(vectors, qids, k, args.threads, fusion, texts=texts, filter=text)
            return Run({qid: list(zip(hits.docids, hits.scores.tolist(), strict=True)) for qid, hits in found.items()})

        def runs(k: int) -> Run:
            one = searcher.batch_search(vectors, qids, DEPTH, args.threads)
            other = bm25.batch_search(texts, qids, DEPTH, args.threads)
            return reciprocal_rank_fusion([Run(one), Run(other)], k=k)

        def pyserini(k: int) -> Run:
            one = impacts.batch_search(vectors, qids, DEPTH, args.threads)
            other = bm25_of_pyserini.batch_search(texts, qids, DEPTH, args.threads, fields={"bm25": 1.0})
            pairs = [
                Run({qid: [(hit.docid, hit.score) for hit in found.get(qid, ())] for qid in qids})
                for found in (one, other)
            ]
            return reciprocal_rank_fusion(pairs, k=k)

        def report(name: str, k: int, ours: float, theirs: float, peer: str) -> None:
            ours, theirs = (each / len(vectors) * 1000 for each in (ours, theirs))
            print(f"{name:16} k = {k:<5} {ours:8.3f} ms {theirs:8.3f} ms {theirs / ours:6.2f}", flush=True)
            figures[f"{name}/{args.documents}/{k}"] = figure(
                f"hybrid search, {args.documents:,} documents, k = {k}, per query", ours, "ms", peer=peer,
                peer_value=theirs, ratio=theirs / ours,
            )  # fmt: skip

        for k in (10, DEPTH):
            assert dict(hybrid(k)) == dict(runs(k))
            report(
                "runs",
                k,
                *in_turns(lambda k=k: hybrid(k), lambda k=k: runs(k), args.repeat),
                "two searches, and fusion of the runs",
            )
            report(
                "pyserini",
                k,
                *in_turns(lambda k=k: hybrid(k), lambda k=k: pyserini(k), args.repeat),
                "Pyserini's two searches, and fusion",
            )
            for name, text in FILTERS.items():
                times = in_turns(lambda k=k, text=text: hybrid(k, text), lambda k=k: hybrid(k), args.repeat)
                report(f"filter {name}", k, *times, "the same search without a filter")
    if args.write_results:
        write_results("hybrid", figures)


if __name__ == "__main__":
    main()
