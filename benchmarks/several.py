#!/usr/bin/env python3
"""The cost of searching several indexes as one, compared with the merged index, and of a merge, compared with a build.

    python benchmarks/several.py [--documents 200000] [--queries 500] [--repeat 5]

A collection is indexed in three parts, of 80 %, 15 % and 5 %; the parts are merged; and all of it is indexed at once. Before
anything is timed, the hits of the three are compared. Searches are measured in turn on one thread, warm, with all hits read,
so that each ratio comes from one run: above 1, several indexes are slower. A refresh is timed after each of some commits to
the smallest part.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from common import ROOT, add_write_results, corpus, describe_machine, figure, queries, write_results

sys.path.insert(0, str(ROOT))

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    index_pseudo_documents,
    merge_indexes,
)

DEPTHS = (10, 1000)
SHARES = (0.8, 0.15, 0.05)
REFRESHES = 20


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def split(documents: int, folder: Path) -> list[Path]:
    """Writes the collection as a file for each part."""
    paths = []
    lines = (
        line for path in sorted(corpus(documents, 1).glob("*.jsonl")) for line in path.open(encoding="utf-8")
    )  # fmt: skip
    for number, share in enumerate(SHARES):
        size = round(documents * share) if number < len(SHARES) - 1 else None
        paths.append(folder / f"part{number}.jsonl")
        with paths[-1].open("w", encoding="utf-8") as output:
            output.writelines(islice(lines, size))
    return paths


def search_seconds(searcher: LuceneImpactSearcher, vectors: list[Any], k: int) -> float:
    start = time.perf_counter()
    for vector in vectors:
        for hit in searcher.search(vector, k):
            hit.docid  # noqa: B018 - read as a caller does
    return time.perf_counter() - start


def open_seconds(paths: Path | list[Path]) -> float:
    searcher: list[LuceneImpactSearcher] = []
    seconds = timed(lambda: searcher.append(LuceneImpactSearcher(paths)))
    searcher[0].close()
    return seconds


def refresh_seconds(paths: Path | list[Path], changed: Path) -> Iterator[float]:
    with LuceneImpactSearcher(paths) as searcher, LuceneImpactIndexer(changed) as indexer:
        for number in range(REFRESHES):
            indexer.add(PseudoDocument(f"new-{number}", "", {"t1": 1}))
            indexer.commit()
            yield timed(searcher.refresh)
        indexer.delete([f"new-{number}" for number in range(REFRESHES)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    add_write_results(parser)
    args = parser.parse_args()
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}; {args.documents:,} documents, {args.queries} queries")
    with tempfile.TemporaryDirectory(prefix="several-") as temporary:
        figures = measure(Path(temporary), args)
    if args.write_results:
        write_results("several", figures)


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}

    def add(key: str, what: str, ours: float, peer: str, theirs: float, unit: str) -> None:
        print(f"{what:58} {ours:9.3f} {theirs:9.3f} {unit:3} {ours / theirs:6.2f}  (compared with {peer})", flush=True)
        figures[f"several/{args.documents}/{key}"] = figure(
            f"{what}, {args.documents:,} documents", ours, unit, peer=peer, peer_value=theirs, ratio=theirs / ours
        )

    files = split(args.documents, folder)
    parts = [folder / path.stem for path in files]
    for path, part in zip(files, parts, strict=True):
        index_pseudo_documents(path, part, store="none")
    collected = folder / "collection"
    collected.mkdir()
    for path in files:
        path.rename(collected / path.name)
    building = timed(lambda: index_pseudo_documents(collected, folder / "built", store="none"))
    merging = timed(lambda: merge_indexes(parts, folder / "merged"))
    add("merge", "merging three indexes", merging, "indexing all of it at once", building, "s")
    vectors = list(queries().values())[: args.queries]
    with (
        LuceneImpactSearcher(parts) as several,
        LuceneImpactSearcher(folder / "merged") as merged,
        LuceneImpactSearcher(folder / "built") as built,
    ):
        for vector in vectors[:50]:
            assert several.search(vector, 1000) == merged.search(vector, 1000) == built.search(vector, 1000)
        for k in DEPTHS:
            search_seconds(several, vectors, k), search_seconds(merged, vectors, k)  # warm up
            rounds = [
                (search_seconds(several, vectors, k), search_seconds(merged, vectors, k)) for _ in range(args.repeat)
            ]
            ours, theirs = (statistics.median(times) / len(vectors) * 1000 for times in zip(*rounds, strict=True))
            add(f"search/{k}", f"a search of three indexes, k = {k}", ours, "the merged index", theirs, "ms")
    opened = [(open_seconds(parts), open_seconds(folder / "merged")) for _ in range(args.repeat)]
    ours, theirs = (statistics.median(times) * 1000 for times in zip(*opened, strict=True))
    add("open", "opening three indexes", ours, "the merged index", theirs, "ms")
    ours = statistics.median(refresh_seconds(parts, parts[-1])) * 1000
    theirs = statistics.median(refresh_seconds(folder / "merged", folder / "merged")) * 1000
    add("refresh", "a refresh of three indexes after a small commit", ours, "the merged index", theirs, "ms")
    return figures


if __name__ == "__main__":
    main()
