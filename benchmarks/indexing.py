#!/usr/bin/env python3
"""Documents per second: our indexer against Anserini's IndexCollection, from the same JSONL, on two threads.

    python benchmarks/indexing.py [--documents 200000] [--files 1] [--repeat 3]

The builds run in turn, each in a separate process and including start-up: ours with documents ordered by graph bisection and
an accelerator, ours in input order without an accelerator, and theirs. The indexes must have the same documents, terms,
postings and impacts.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import ROOT, WORK, add_write_results, corpus, describe_machine, figure, write_results

sys.path.insert(0, str(ROOT))

from splade_lucene import LuceneImpactIndexReader, jvm

THREADS = "2"
PEER = "Anserini IndexCollection"


def ours(options: list[str], source: Path, index: Path) -> list[str]:
    return [sys.executable, "-m", "splade_lucene", "index", "--input", str(source), "--index", str(index), "--threads", THREADS,
            "--store", "none", *options]  # fmt: skip


def anserinis(source: Path, index: Path) -> list[str]:
    java = str(jvm.find_runtime().home / "bin" / "java")
    return [java, "-cp", str(jvm.find_fatjar()), "io.anserini.index.IndexCollection", "-collection", "JsonVectorCollection",
            "-input", str(source), "-index", str(index), "-generator", "DefaultLuceneDocumentGenerator",
            "-threads", THREADS, "-impact", "-pretokenized", "-optimize"]  # fmt: skip


def seconds(command: list[str], index: Path) -> float:
    shutil.rmtree(index, ignore_errors=True)
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    add_write_results(parser)
    args = parser.parse_args()
    source = corpus(args.documents, args.files)
    plain = ["--order", "input", "--no-accelerator"]
    commands = {"ours": partial(ours, []), "ours, plain": partial(ours, plain), PEER: anserinis}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(args.repeat):
        for name, command in commands.items():
            times[name].append(seconds(command(source, index_of(name)), index_of(name)))
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}")
    print(f"{args.documents:,} documents in {args.files} file(s), {THREADS} threads, median of {args.repeat}\n")
    counts, figures = {}, {}
    for name, each in times.items():
        with LuceneImpactIndexReader(index_of(name)) as reader:
            counts[name] = reader.statistics()
        ratios = sorted(peer / own for own, peer in zip(each, times[PEER], strict=True))
        ratio = f"{statistics.median(ratios):.1f} times ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        median, size = statistics.median(each), counts[name]["bytes"] / 2**20
        if name != PEER:
            built = "with bisection and accelerator" if name == "ours" else "without both"
            figures[f"{args.documents}/{name}"] = figure(
                f"index {args.documents:,} documents, {built}", median, "s", peer="Anserini's IndexCollection",
                peer_value=statistics.median(times[PEER]), ratio=statistics.median(ratios),
            )  # fmt: skip
        print(f"{name:26} {median:8.1f} s  {args.documents / median:10,.0f} documents/s  {size:8.1f} MiB  {ratio}")
    for fact in ("documents", "terms", "postings", "total_impact"):
        assert len({each[fact] for each in counts.values()}) == 1, (
            f"{fact} differ: {[each[fact] for each in counts.values()]}"
        )
    print("\nall indexes have the same documents, terms, postings and impacts")
    if args.write_results:
        write_results("indexing", {**figures, **space(args.documents)})


def space(documents: int) -> dict[str, dict[str, Any]]:
    """Bytes of our index and of its accelerator, each of all its files."""
    files = [path for path in index_of("ours").rglob("*") if path.is_file()]
    accelerator = [path for path in files if path.parent.name == "accelerator"]
    whole, beside = (sum(path.stat().st_size for path in each) / 1e6 for each in (files, accelerator))
    return {
        f"{documents}/bytes": figure(f"index of {documents:,} documents of 138 terms", round(whole - beside), "MB"),
        f"{documents}/accelerator bytes": figure("its accelerator, 3.5 bytes per posting", round(beside), "MB"),
    }


def index_of(name: str) -> Path:
    return WORK / f"index-{name.lower().replace(',', '').replace(' ', '-')}"


if __name__ == "__main__":
    main()
