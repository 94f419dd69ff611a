#!/usr/bin/env python3
"""Milliseconds per query: our searcher against Pyserini's LuceneImpactSearcher and plain Lucene, on the same index.

    python benchmarks/searching.py [--documents 50000 200000 1000000] [--queries 1000] [--repeat 3] [--picture FILE]
    python benchmarks/searching.py --real-text

The collections come from the shared generator, or are encoded real text (see real_text.py). Queries are already encoded.
Pyserini runs in this process, in turn with ours; all hits are read (docid and score), and both must return the same hits and
scores. Plain Lucene (BooleanQuery; needs a JDK) runs in a separate process without Python: the best of three rounds, without
reading docids, is compared with the same times of ours, and the scores of the last hits must be equal. All timings are warm:
everything timed was run before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

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
sys.path.insert(0, str(ROOT / "java_bridge"))

import build as bridge
from real_text import real_text

from splade_lucene import LuceneImpactSearcher, index_pseudo_documents, jvm
from splade_lucene.jvm.pyserini_import import pyserini_importable

DEPTHS = (10, 1000)
Round = Callable[[], tuple[list[float], dict[str, list[tuple[str, float]]]]]
"""Searches for all queries; returns the milliseconds of each (for a batch, their mean) and the hits."""


def read(hits: Any) -> list[tuple[str, float]]:
    """Reads a ranking hit by hit, the same way on both sides."""
    return [(hit.docid, hit.score) for hit in hits]


def one_by_one(searcher: Any, vectors: dict[str, Any], k: int) -> Round:
    def search() -> tuple[list[float], dict[str, Any]]:
        times, found = [], {}
        for qid, vector in vectors.items():
            start = time.perf_counter()
            found[qid] = read(searcher.search(vector, k))
            times.append((time.perf_counter() - start) * 1000)
        return times, found

    return search


def as_batch(searcher: Any, vectors: dict[str, Any], k: int, threads: int) -> Round:
    def search() -> tuple[list[float], dict[str, Any]]:
        start = time.perf_counter()
        hits = searcher.batch_search(list(vectors.values()), list(vectors), k, threads)
        found = {qid: read(each) for qid, each in hits.items()}
        return [(time.perf_counter() - start) * 1000 / len(vectors)], found

    return search


def plain_lucene(index: Path, vectors: dict[str, dict[str, int]], k: int) -> tuple[list[float], list[float]]:
    """The milliseconds of each query and the score of its last hit; empty without a JDK."""
    jdks = bridge.find_jdks()
    if not jdks:
        return [], []
    file = WORK / "queries.tsv"
    lines = ("\t".join(f"{term}\t{impact}" for term, impact in vector.items()) for vector in vectors.values())
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    source = Path(__file__).parent / "java" / "PlainLucene.java"
    command = [jdks[0] / "bin" / "java", "-cp", jvm.find_fatjar(), source, index, file, k, 3]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [float(row[0]) for row in rows], [float(row[1]) for row in rows]


def measure(index: Path, vectors: dict[str, dict[str, int]], repeat: int) -> list[dict[str, Any]]:
    """All comparisons on one index, printed and returned."""
    with pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as PyserinisSearcher
    theirs = PyserinisSearcher(str(index), IdentityQueryEncoder(), min_idf=0)
    rows = []
    with LuceneImpactSearcher(index, min_idf=0) as ours:
        documents = ours.num_docs
        print(
            f"\n{documents:,} documents, {len(vectors)} queries, medians of {repeat} rounds; ms: mean (p50, p95, p99)\n"
        )
        print(f"{'':43} {'ours':>30} {'peer':>30} {'ratio':>6}")
        for k in DEPTHS:
            comparisons: dict[str, Callable[[Any], Round]] = {
                "search": partial(one_by_one, vectors=vectors, k=k),
                "batch_search, 1 thread": partial(as_batch, vectors=vectors, k=k, threads=1),
                "batch_search, 2 threads": partial(as_batch, vectors=vectors, k=k, threads=2),
            }
            singly: list[float] = []
            for name, make_round in comparisons.items():
                our_times, their_times = in_turns(make_round(ours), make_round(theirs), repeat, f"{name}, k={k}")
                rows.append(show(f"{name}, k={k}", "Pyserini", documents, our_times, their_times))
                singly = singly or our_times
            lucene_times, last_scores = plain_lucene(index, vectors, k)
            if lucene_times:
                for vector, last in zip(vectors.values(), last_scores, strict=True):
                    scores = ours.search(vector, k).scores
                    assert (scores[-1] if len(scores) else 0) == last
                rows.append(show(f"search, k={k}", "Lucene", documents, singly, lucene_times))
            else:
                print("skipping plain Lucene: no JDK found to compile it (set SPLADE_LUCENE_JDK)")
    theirs.close()
    return rows


def indexed(name: str, pseudo_documents: Callable[[], Path]) -> Path:
    """The index of a collection, built once."""
    index = WORK / f"index-{name}-bp"
    if not index.exists():
        index_pseudo_documents(pseudo_documents(), index, store="none")
    return index


def in_turns(our_round: Round, their_round: Round, repeat: int, name: str) -> tuple[list[float], list[float]]:
    """The times of the median round of each side."""
    our_round(), their_round()  # warm up
    ours, theirs = [], []
    for _ in range(repeat):
        our_times, our_hits = our_round()
        their_times, their_hits = their_round()
        assert our_hits.keys() == their_hits.keys()
        for qid, hits in our_hits.items():
            expected = [(docid, round(score)) for docid, score in their_hits[qid]]  # Pyserini lowers ties by about 1e-6
            assert hits == expected, f"{name}: query {qid} differs"
        ours.append(our_times)
        theirs.append(their_times)
    return sorted(ours, key=sum)[repeat // 2], sorted(theirs, key=sum)[repeat // 2]


def show(name: str, peer: str, documents: int, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    def summary(times: list[float]) -> str:
        ordered = sorted(times)
        mean = f"{statistics.mean(times):8.3f}"
        if len(times) == 1:
            return f"{mean:<30}"
        p50, p95, p99 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95, 0.99))
        return f"{mean} ({p50:5.2f}, {p95:5.2f}, {p99:5.2f})"

    ratio = statistics.mean(theirs) / statistics.mean(ours)
    print(f"{name + ' / ' + peer:43} {summary(ours):>30} {summary(theirs):>30} {ratio:6.1f}", flush=True)
    means = {"ours": statistics.mean(ours), "theirs": statistics.mean(theirs)}
    percentiles = {}
    if len(ours) > 1:
        for share, key in ((0.5, "p50"), (0.99, "p99")):
            percentiles[key], percentiles[f"peer_{key}"] = (
                sorted(times)[int(share * (len(times) - 1))] for times in (ours, theirs)
            )
    return {"name": name, "peer": peer, "documents": documents, **means, "ratio": ratio, "percentiles": percentiles}


def as_figures(rows: list[dict[str, Any]], collection: str | None = None) -> dict[str, dict[str, Any]]:
    """The rows as figures to keep.

    Args:
        rows: What :func:`measure` returned.
        collection: Names the collection; default: its number of documents.
    """
    found = {}
    for row in rows:
        task, k = row["name"].rsplit(", k=", 1)
        task = task.replace(", 2 threads", " on two threads").replace(", 1 thread", " on one thread")
        peer = "Lucene called directly" if row["peer"] == "Lucene" else f"Pyserini's {task.split()[0]}"
        kind = "documents" if collection is None else "documents of real text"
        found[f"{collection or row['documents']}/{row['name']}/{row['peer']}"] = figure(
            f"{task}, {row['documents']:,} {kind}, k = {k}", row["ours"], "ms", peer=peer, peer_value=row["theirs"],
            ratio=row["ratio"], documents=row["documents"], **row["percentiles"],
        )  # fmt: skip
    return found


def draw(rows: list[dict[str, Any]], picture: Path) -> None:
    """Plots the mean time of ``search`` against the size of the collection, on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(DEPTHS), figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, k in zip(axes, DEPTHS, strict=True):
        for peer, side, label in (
            ("Pyserini", "theirs", "Pyserini"),
            ("Lucene", "theirs", "plain Lucene"),
            ("Pyserini", "ours", "splade_lucene"),
        ):
            points = [(r["documents"], r[side]) for r in rows if r["name"] == f"search, k={k}" and r["peer"] == peer]
            if points:
                axis.plot(*zip(*sorted(points), strict=True), marker="o", label=label)
        axis.set(xscale="log", yscale="log", xlabel="documents", title=f"k = {k}")
        axis.grid(visible=True, which="both", alpha=0.25)
    axes[0].set_ylabel("mean ms per query, one thread")
    axes[0].legend()
    figure.savefig(picture, dpi=110)


def first(vectors: dict[str, Any], count: int) -> dict[str, Any]:
    return dict(list(vectors.items())[:count])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[50_000, 200_000, 1_000_000])
    parser.add_argument("--real-text", action="store_true", help="use encoded real text instead of --documents")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--picture", type=Path, help="plot times against the size of the collection")
    add_write_results(parser)
    args = parser.parse_args()
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}")
    if args.real_text:
        text = real_text()
        index = indexed("real-text", lambda: text.pseudo_documents)
        rows = measure(index, first(text.vectors(), args.queries), args.repeat)
        if args.write_results:
            write_results("searching", as_figures(rows, "real-text"))
        return
    rows = []
    for documents in args.documents:
        index = indexed(str(documents), partial(corpus, documents, 1))
        rows += measure(index, first(queries(), args.queries), args.repeat)
    (WORK / "searching.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if args.write_results:
        write_results("searching", as_figures(rows))
    if args.picture:
        draw(rows, args.picture)


if __name__ == "__main__":
    main()
