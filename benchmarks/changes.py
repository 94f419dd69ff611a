#!/usr/bin/env python3
"""What changes of an index cost: documents that are added, deleted, merged and shown to an open searcher.

    python benchmarks/changes.py [--documents 200000] [--added 10000]

Adding is compared with its share of a build of the same documents in the same run: a ratio of at most 1 means that added
documents cost no more than built ones. Searches are measured on the index as it was built, with a tenth of its documents
deleted, and after ``optimize``. A refresh is timed after each of some small commits.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from common import ROOT, corpus, describe_machine, queries

sys.path.insert(0, str(ROOT))

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    add_pseudo_documents,
    delete_documents,
    index_pseudo_documents,
    optimize_index,
)

REFRESHES = 20


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def search_seconds(index: Path, repeat: int) -> float:
    vectors = list(queries().values())[:200]
    with LuceneImpactSearcher(index) as searcher:
        return min(timed(lambda: [searcher.search(vector, 10) for vector in vectors]) for _ in range(repeat))


def refresh_seconds(index: Path) -> float:
    found = []
    with LuceneImpactSearcher(index) as searcher, LuceneImpactIndexer(index) as indexer:
        for number in range(REFRESHES):
            indexer.add(PseudoDocument(f"new-{number}", "", {"t1": 1}))
            indexer.commit()
            found.append(timed(searcher.refresh))
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--added", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}; {args.documents:,} documents, {args.added:,} added")
    with tempfile.TemporaryDirectory(prefix="changes-") as temporary:
        folder = Path(temporary)
        index = folder / "index"
        files = sorted(corpus(args.documents + args.added, 1).glob("*.jsonl"))
        with (folder / "base.jsonl").open("wb") as base, (folder / "added.jsonl").open("wb") as added:
            lines = (line for path in files for line in path.open("rb"))
            base.writelines(islice(lines, args.documents))
            added.writelines(islice(lines, args.added))
        build = timed(lambda: index_pseudo_documents(folder / "base.jsonl", index))
        add = timed(lambda: add_pseudo_documents(folder / "added.jsonl", index))
        share = build * args.added / args.documents
        print(f"build {build:.2f} s, add {add:.2f} s, its share of a build {share:.2f} s: ratio {add / share:.2f}")
        plain = search_seconds(index, args.repeat)
        with LuceneImpactSearcher(index) as searcher:
            docids = searcher.reader.docids()[::10]
        print(f"delete {len(docids):,} documents: {timed(lambda: delete_documents(index, docids)):.2f} s")
        deleted = search_seconds(index, args.repeat)
        print(f"optimize: {timed(lambda: optimize_index(index)):.2f} s")
        optimized = search_seconds(index, args.repeat)
        print(f"search: with deleted documents {deleted / plain:.2f}, optimized {optimized / plain:.2f} times as long")
        print(f"refresh: {1000 * refresh_seconds(index):.1f} ms (median of {REFRESHES} commits of one document)")


if __name__ == "__main__":
    main()
