#!/usr/bin/env python3
"""Milliseconds a query: our searcher against Pyserini's LuceneImpactSearcher, on the same index, in the same process.

    python benchmarks/searching.py [--documents 200000] [--queries 1000] [--repeat 3]

Queries are encoded already, all hits are read (docid and score), and both must give the same hits and scores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from common import ROOT, WORK, corpus, describe_machine, queries

sys.path.insert(0, str(ROOT))

from splade_lucene import LuceneImpactSearcher, index_pseudo_documents, jvm


class AsIs:
    """A query encoder for Pyserini that takes encoded queries."""

    def encode(self, query: dict[str, int]) -> dict[str, int]:
        return query


def read(hits: Any) -> list[tuple[str, float]]:
    return [(hit.docid, hit.score) for hit in hits]


def read_columns(hits: Any) -> list[tuple[str, float]]:
    return list(zip(hits.docids, hits.scores.tolist(), strict=True))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    index = WORK / f"index-{args.documents}-bp"
    if not index.exists():
        index_pseudo_documents(corpus(args.documents, 1), index, store="none")
    vectors = dict(list(queries().items())[: args.queries])
    with jvm.pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as PyserinisSearcher
    ours = LuceneImpactSearcher(index, min_idf=0)
    theirs = PyserinisSearcher(str(index), AsIs(), min_idf=0)
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}")
    print(f"{args.documents:,} documents, {len(vectors)} queries, median of {args.repeat} rounds\n")
    print(f"{'':30} {'ours ms':>9} {'Pyserini ms':>12} {'ratio':>7}")
    qids, values = list(vectors), list(vectors.values())
    for k in (10, 1000):
        ways: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            f"search, k={k}": (
                lambda k=k: {qid: read_columns(ours.search(v, k)) for qid, v in vectors.items()},
                lambda k=k: {qid: read(theirs.search(v, k)) for qid, v in vectors.items()},
            )
        }
        for threads in (1, 2):
            ways[f"batch_search, k={k}, {threads} thread(s)"] = (
                lambda k=k, t=threads: {q: read_columns(h) for q, h in ours.batch_search(values, qids, k, t).items()},
                lambda k=k, t=threads: {q: read(h) for q, h in theirs.batch_search(values, qids, k, t).items()},
            )
        for name, (our_way, their_way) in ways.items():
            compare(name, our_way, their_way, len(vectors), args.repeat)


def compare(name: str, our_way: Callable[[], Any], their_way: Callable[[], Any], count: int, repeat: int) -> None:
    our_way(), their_way()  # warm up
    our_times, their_times = [], []
    for _ in range(repeat):
        our_time, our_hits = timed(our_way)
        their_time, their_hits = timed(their_way)
        assert set(our_hits) == set(their_hits)
        for qid in our_hits:
            expected = [(docid, float(score)) for docid, score in our_hits[qid]]
            found = [(docid, float(round(score))) for docid, score in their_hits[qid]]
            assert expected == found, f"{name}: query {qid} differs"
        our_times.append(our_time)
        their_times.append(their_time)
    a, b = statistics.median(our_times) / count * 1000, statistics.median(their_times) / count * 1000
    print(f"{name:30} {a:9.2f} {b:12.2f} {b / a:7.1f}", flush=True)


if __name__ == "__main__":
    main()
