#!/usr/bin/env python3
"""The cost of changing an index: adding, deleting and merging documents, and refreshing an open searcher.

    python benchmarks/changes.py [--documents 200000] [--added 10000] [--repeat 9]

Adding is compared with its share of a build in the same run: a ratio of at least 1 means that added documents cost no more
than built ones. It is measured on several copies of the index, because Java compiles the code for adding in the first
run, which is kept as a detail. Searches are measured in turn, on one thread and warm, on the index as it was built and
on copies of it: one with a tenth of its documents deleted, and that one after ``optimize``. A refresh is timed after each of
some small commits.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from common import ROOT, add_write_results, corpus, describe_machine, figure, queries, write_results

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
    """The seconds of a call; what was written before is on the disk, so that a commit does not wait for it."""
    return timed_twice(call)[0]


def timed_twice(call: Callable[[], object]) -> tuple[float, float]:
    """The seconds of a call, and those of all cores together."""
    os.sync()
    start, cores = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - cores


def search_milliseconds(indexes: list[Path], repeat: int) -> list[float]:
    """The median time of a query on each index, measured in turn."""
    vectors = list(queries().values())[:200]
    searchers = [LuceneImpactSearcher(index) for index in indexes]
    rounds = [
        [timed(lambda each=each: [each.search(vector, 10) for vector in vectors]) for each in searchers]
        for _ in range(repeat + 1)
    ]
    for searcher in searchers:
        searcher.close()
    medians = [statistics.median(times) for times in zip(*rounds[1:], strict=True)]  # the first round warms up
    return [median / len(vectors) * 1000 for median in medians]


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
    parser.add_argument("--repeat", type=int, default=9)
    add_write_results(parser)
    args = parser.parse_args()
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}; {args.documents:,} documents, {args.added:,} added")
    with tempfile.TemporaryDirectory(prefix="changes-") as temporary:
        figures = measure(Path(temporary), args)
    for each in figures.values():
        peer = f"  {each['peer']}: {each['peer_value']:.3f}" if each["peer"] else ""
        print(f"{each['what']}: {each['ours']:.3f} {each['unit']}{peer}")
    added = figures["add"]["details"]
    print(f"of all cores together: {added['cores']:.3f} s, their share: {added['cores_of_share']:.3f} s")
    if args.write_results:
        write_results("changes", {f"{key}/{args.documents}": each for key, each in figures.items()})


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    built, grown, deleted, optimized = (folder / name for name in ("built", "grown", "deleted", "optimized"))
    files = sorted(corpus(args.documents + args.added, 1).glob("*.jsonl"))
    with (folder / "base.jsonl").open("wb") as base, (folder / "added.jsonl").open("wb") as added:
        lines = (line for path in files for line in path.open("rb"))
        base.writelines(islice(lines, args.documents))
        added.writelines(islice(lines, args.added))
    build, build_cores = timed_twice(lambda: index_pseudo_documents(folder / "base.jsonl", built))
    adds = []
    for _ in range(args.repeat):
        shutil.rmtree(grown, ignore_errors=True)
        shutil.copytree(built, grown)
        adds.append(timed_twice(lambda: add_pseudo_documents(folder / "added.jsonl", grown)))
    add, add_cores = (statistics.median(seconds) for seconds in zip(*adds, strict=True))
    refresh = refresh_seconds(grown)
    with LuceneImpactSearcher(built) as searcher:
        docids = searcher.reader.docids()[::10]
    shutil.copytree(built, deleted)
    delete = timed(lambda: delete_documents(deleted, docids))
    shutil.copytree(deleted, optimized)
    optimize = timed(lambda: optimize_index(optimized))
    plain, with_deleted, after = search_milliseconds([built, deleted, optimized], args.repeat)
    share = build * args.added / args.documents
    whole, tenth = f"{args.documents:,} documents", f"{len(docids):,} of {args.documents:,} documents"
    as_built = {"peer": "the index as it was built", "peer_value": plain}
    return {
        "add": figure(
            f"adding {args.added:,} documents to {args.documents:,}", add, "s", peer="their share of the build",
            peer_value=share, ratio=share / add, documents_per_second=args.added / add, first=adds[0][0],
            cores=add_cores, cores_of_share=build_cores * args.added / args.documents,
        ),
        "delete": figure(f"deleting {tenth}", delete, "s"),
        "optimize": figure(
            f"optimizing {whole} of which a tenth is deleted", optimize, "s", peer="the build", peer_value=build,
            ratio=build / optimize,
        ),
        "search": figure(
            f"a search of {whole} of which a tenth is deleted, k = 10", with_deleted, "ms",
            ratio=plain / with_deleted, **as_built,
        ),
        "optimized": figure("the same after optimizing", after, "ms", ratio=plain / after, **as_built),
        "refresh": figure(
            f"a refresh after a commit of one document, {whole}", refresh * 1000, "ms"
        ),
    }  # fmt: skip


if __name__ == "__main__":
    main()
