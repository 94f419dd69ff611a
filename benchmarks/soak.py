#!/usr/bin/env python3
"""A million queries on two threads: memory must stay flat, and every thousandth result must equal a NumPy computation.

    python benchmarks/soak.py [--documents 200000] [--queries 1000000] [--threads 2]

Queries are random subsets of real ones, some with a filter, with varying k and engines. Exits with code 1 if a result is wrong,
or if the process grew by more than a twentieth in the second half; in the first half, Java's heap grows to its working size.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
from common import ROOT, WORK, add_write_results, corpus, describe_machine, figure, queries, write_results

sys.path.insert(0, str(ROOT))

from splade_lucene import LuceneImpactSearcher, index_pseudo_documents
from splade_lucene.search.checks import Engine

BATCH = 500  # one result in every second batch is checked


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def expected(reader: Any, docids: list[str], query: dict[str, int], k: int, allowed: set[str] | None) -> Any:
    """The hits, computed from the postings with NumPy alone."""
    sums = np.zeros(reader.max_doc, dtype=np.int64)
    for term, impact in query.items():
        documents, impacts = reader.postings(term)
        sums[documents] += impact * impacts.astype(np.int64)
    found = np.flatnonzero(sums)
    if allowed is not None:
        found = np.array([each for each in found if docids[each] in allowed], dtype=np.int64)
    if len(found) > k:  # all documents that reach the k-th score
        found = found[sums[found] >= np.partition(sums[found], -k)[-k]]
    ranked = sorted(found, key=lambda each: (-sums[each], docids[each].encode()))[:k]
    return [(docids[each], int(sums[each])) for each in ranked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    add_write_results(parser)
    args = parser.parse_args()
    index = WORK / f"index-{args.documents}-bp"
    if not index.exists():
        index_pseudo_documents(corpus(args.documents, 1), index, store="none")
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}", flush=True)
    real = list(queries().values())
    rng = random.Random(20261123)
    searchers = [LuceneImpactSearcher(index, engine=engine) for engine in get_args(Engine)]
    reader = searchers[0].reader
    docids = reader.docids()
    allowed = set(rng.sample(docids, len(docids) // 3))
    filters = [searcher.make_filter(allowed) for searcher in searchers]
    qids = [str(number) for number in range(BATCH)]
    done = checked = 0
    half_way = 0
    sizes: list[tuple[int, int]] = []  # queries so far, resident bytes
    start = time.perf_counter()
    while done < args.queries:
        which = rng.choices(range(len(searchers)), weights=(8, 1, 1, 1))[0]
        is_filtered = rng.random() < 0.2
        k = rng.choice([1, 10, 10, 10, 100, 1000])
        batch = []
        for vector in rng.choices(real, k=BATCH):
            terms = rng.sample(list(vector), rng.randint(1, len(vector)))
            batch.append({term: vector[term] for term in terms})
        found = searchers[which].batch_search(
            batch, qids, k, args.threads, filter=filters[which] if is_filtered else None
        )
        done += BATCH
        if done % (2 * BATCH) == 0:
            position = rng.randrange(BATCH)
            hits = found[qids[position]]
            result = list(zip(hits.docids, hits.scores.tolist(), strict=True))
            if result != expected(reader, docids, batch[position], k, allowed if is_filtered else None):
                sys.exit(f"wrong result: {searchers[which].engine}, k={k}, filter {is_filtered}: {batch[position]}")
            checked += 1
        if done == args.queries // 2 // BATCH * BATCH:
            half_way = resident()
        if done % max(BATCH, min(50_000, args.queries // 20 // BATCH * BATCH)) == 0:
            sizes.append((done, resident()))
            seconds = time.perf_counter() - start
            print(
                f"{done:>9,} queries, {seconds:6.0f} s, {checked:,} checked, {resident() / 2**20:,.0f} MiB", flush=True
            )
    if half_way and resident() > 1.05 * half_way:
        sys.exit(f"memory grew from {half_way / 2**20:,.0f} to {resident() / 2**20:,.0f} MiB")
    print(f"checked {checked:,} results, all exact" + ("; memory is flat" if half_way else ""))
    if args.write_results and sizes:
        last = sizes[-1][1]
        flat = next(count for count, size in sizes if size > 0.98 * last)
        what = f"{args.queries:,} random queries on {'two' if args.threads == 2 else args.threads} threads"
        memory = {"first_gib": sizes[0][1] / 2**30, "last_gib": last / 2**30, "flat_after": flat}
        found = figure(what, time.perf_counter() - start, "s", checked=checked, wrong=0, **memory)
        write_results("soak", {str(args.queries): found})


if __name__ == "__main__":
    main()
