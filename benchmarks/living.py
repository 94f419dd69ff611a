#!/usr/bin/env python3
"""The cost of a filter on fields that accepts half, a twentieth or a two-hundredth of the documents.

    python benchmarks/living.py [--documents 200000] [--queries 500] [--repeat 5]

Each filter is measured in turn with the same searches without one, on one index, one thread, warm, with all hits read. So
each printed ratio comes from one run: below 1, the filtered search is faster. Before that, the hits of each filter are
compared with those of a search for all documents that the filter is applied to afterwards. "first" is the time of the first
query with a filter that is new to the searcher.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from common import ROOT, WORK, add_write_results, corpus, describe_machine, figure, queries, write_results

sys.path.insert(0, str(ROOT))

from splade_lucene import LuceneImpactSearcher, index_pseudo_documents

DEPTHS = (10, 1000)
# Documents have a random number below 1,000 (part), and one that documents of neighbouring numbers share (block).
FILTERS = {
    "50 %": "part < 500",
    "5 %": "part < 50",
    "0.5 %": "part < 5",
    "50 %, in blocks": "block < 500",
    "0.5 %, in blocks": "block < 5",
}
SEED = 20261126


def indexed(documents: int) -> tuple[Path, dict[str, dict[str, int]]]:
    """The index of a generated collection whose documents have fields, built once; and the fields by docid."""
    folder, index = WORK / f"living-{documents}", WORK / f"index-living-{documents}"
    source = random.Random(SEED)
    fields: dict[str, dict[str, int]] = {}
    for path in sorted(corpus(documents, 1).glob("*.jsonl")):
        copy = folder / path.name
        exists = copy.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with path.open(encoding="utf-8") as lines, (Path("/dev/null") if exists else copy).open("w") as output:
            for line in lines:
                docid = json.loads(line)["id"]
                values = {"part": source.randrange(1000), "block": len(fields) * 1000 // documents}
                fields[str(docid)] = values
                output.write(f'{{"fields": {json.dumps(values)}, {line.lstrip()[1:]}')
    if not index.exists():
        index_pseudo_documents(folder, index, store="none", fields={"part": "integer", "block": "integer"})
    return index, fields


def check(searcher: LuceneImpactSearcher, vectors: list[Any], fields: dict[str, dict[str, int]]) -> None:
    """Compares some filtered hits with unfiltered ones that are filtered here."""
    for text in FILTERS.values():
        name, most = text.split(" < ")
        for vector in vectors[:10]:
            everything = searcher.search(vector, searcher.num_docs)
            rows = zip(everything.docids, everything.scores.tolist(), strict=True)
            expected = [(docid, score) for docid, score in rows if fields[docid][name] < int(most)][:1000]
            hits = searcher.search(vector, 1000, filter=text)
            assert list(zip(hits.docids, hits.scores.tolist(), strict=True)) == expected, text


def seconds(searcher: LuceneImpactSearcher, vectors: list[Any], k: int, text: str | None) -> float:
    start = time.perf_counter()
    for vector in vectors:
        for hit in searcher.search(vector, k, filter=text):
            hit.docid  # noqa: B018 - read as a caller does
    return time.perf_counter() - start


def first_milliseconds(index: Path, vector: Any, text: str) -> float:
    """The time of a filter that is new to a searcher, and a search with it, without what other searches cost before."""
    with LuceneImpactSearcher(index) as searcher:
        searcher.search(vector, 10)
        start = time.perf_counter()
        searcher.search(vector, 10, filter=text)
        return (time.perf_counter() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    add_write_results(parser)
    args = parser.parse_args()
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}; {args.documents:,} documents, {args.queries} queries")
    index, fields = indexed(args.documents)
    vectors = list(queries().values())[: args.queries]
    figures = {}
    print(f"\n{'filter':20} {'k':>5} {'ms':>8} {'plain ms':>9} {'ratio':>6} {'first ms':>9}")
    with LuceneImpactSearcher(index) as searcher:
        check(searcher, vectors, fields)
        for name, text in FILTERS.items():
            first = statistics.median(first_milliseconds(index, vector, text) for vector in vectors[:5])
            for k in DEPTHS:
                seconds(searcher, vectors, k, text), seconds(searcher, vectors, k, None)  # warm up
                rounds = [
                    (seconds(searcher, vectors, k, text), seconds(searcher, vectors, k, None))
                    for _ in range(args.repeat)
                ]
                filtered, plain = (
                    statistics.median(times) / len(vectors) * 1000 for times in zip(*rounds, strict=True)
                )
                print(f"{name:20} {k:5} {filtered:8.3f} {plain:9.3f} {filtered / plain:6.2f} {first:9.2f}", flush=True)
                figures[f"filter/{args.documents}/{name}/{k}"] = figure(
                    f"search with a filter that accepts {name}, {args.documents:,} documents, k = {k}", filtered, "ms",
                    peer="the same search without a filter", peer_value=plain, ratio=plain / filtered,
                    accepts=name, k=k, first=first,
                )  # fmt: skip
    if args.write_results:
        write_results("living", figures)


if __name__ == "__main__":
    main()
