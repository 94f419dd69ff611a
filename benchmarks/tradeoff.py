#!/usr/bin/env python3
"""Time against recall: our approximations and Seismic (pyseismic-lsr), on the same vectors, with one thread, in one run.

    python benchmarks/tradeoff.py [--documents 200000] [--k 10] [--queries 1000] [--picture FILE]
    python benchmarks/tradeoff.py --real-text
    python benchmarks/tradeoff.py --pseudo-documents DIR --topics ENCODED [--qrels FILE]

Both search from Python, one query at a time. Recall is relative to the exact top k (hits tied with the k-th count as well);
nDCG is reported if there are judgments. Seismic is built once with its defaults and searched with several cuts and heap
factors. The output ends with comparisons at equal recall.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    ROOT,
    WORK,
    add_write_results,
    corpus,
    describe_machine,
    figure,
    queries,
    search_ranking,
    write_results,
)
from real_text import real_text

sys.path.insert(0, str(ROOT))

from splade_lucene import (
    Approximation,
    LuceneImpactSearcher,
    Run,
    evaluate,
    index_pseudo_documents,
    read_pseudo_documents,
    read_qrels,
    read_topics,
)

OURS = [
    Approximation(),
    *(Approximation(alpha=alpha) for alpha in (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5)),
    *(Approximation(blocks=blocks) for blocks in (400, 200, 100, 50, 25)),
    *(Approximation(alpha=alpha, beta=0.5, candidates=100) for alpha in (1.0, 0.85, 0.7)),
]
SEISMIC = [(cut, factor) for cut in (3, 5, 8, 12, 20) for factor in (0.7, 0.8, 0.9, 1.0)]
ROUNDS = 3

Ranking = list[tuple[str, float]]


@dataclass
class Point:
    """One setting of one system."""

    system: str
    setting: str
    milliseconds: float
    recall: float
    ndcg: float | None

    def show(self) -> str:
        ndcg = "" if self.ndcg is None else f"{self.ndcg:8.4f}"
        return f"{self.system:10} {self.setting:36} {self.milliseconds:8.3f} {self.recall:8.4f} {ndcg}"


def timed(search: Callable[[Any], Ranking], prepared: dict[str, Any]) -> tuple[float, dict[str, Ranking]]:
    """Milliseconds per query in the median round, after a warm-up round; and the hits."""
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        found = {qid: search(query) for qid, query in prepared.items()}
        times.append((time.perf_counter() - start) * 1000 / len(prepared))
    return statistics.median(times[1:]), found


class Quality:
    """Quality of rankings relative to the exact ones and the judgments."""

    def __init__(self, exact: dict[str, Ranking], k: int, qrels: Any) -> None:
        self.k, self.qrels = k, qrels
        self.best = {qid: {docid for docid, _ in ranking[:k]} for qid, ranking in exact.items()}
        self.least = {qid: ranking[:k][-1][1] if ranking else 0.0 for qid, ranking in exact.items()}
        self.scores = {qid: dict(ranking) for qid, ranking in exact.items()}

    def recall(self, found: dict[str, Ranking]) -> float:
        shares = []
        for qid, best in self.best.items():
            good = {d for d, _ in found[qid][: self.k] if self.scores[qid].get(d, -1.0) >= self.least[qid]}
            shares.append(len(good) / len(best) if best else 1.0)
        return statistics.mean(shares)

    def ndcg(self, found: dict[str, Ranking]) -> float | None:
        if self.qrels is None:
            return None
        run = Run({qid: ranking for qid, ranking in found.items() if ranking})
        return evaluate(self.qrels, run, [f"nDCG@{self.k}"])[f"nDCG@{self.k}"]


def measure_ours(index: Path, vectors: dict[str, dict[str, int]], k: int, quality: Quality) -> Iterator[Point]:
    for approximation in OURS:
        with LuceneImpactSearcher(index, approximation=approximation) as searcher:
            milliseconds, found = timed(lambda vector, searcher=searcher: search_ranking(searcher, vector, k), vectors)
        given = {n: v for n, v in vars(approximation).items() if v != getattr(Approximation(), n)}
        setting = ", ".join(f"{name} {value}" for name, value in given.items()) or "exact"
        yield Point("ours", setting, milliseconds, quality.recall(found), quality.ndcg(found))


def measure_seismic(
    folder: Path, vectors: dict[str, dict[str, int]], k: int, quality: Quality, built: list[float]
) -> Iterator[Point]:
    """All settings of Seismic; the seconds that its index takes are added to ``built``."""
    from seismic import SeismicDataset, SeismicIndex, get_seismic_string

    text = get_seismic_string()
    dataset = SeismicDataset()
    for document in read_pseudo_documents(folder):
        terms = np.array(list(document.vector), dtype=text)
        dataset.add_document(document.docid, terms, np.array(list(document.vector.values()), dtype=np.float32))
    start = time.perf_counter()
    index = SeismicIndex.build_from_dataset(dataset, num_threads=2)
    built.append(time.perf_counter() - start)
    print(f"built Seismic in {built[-1]:.1f} s\n", flush=True)
    prepared = {
        qid: (np.array(list(vector), dtype=text), np.array(list(vector.values()), dtype=np.float32))
        for qid, vector in vectors.items()
    }
    for cut, factor in SEISMIC:

        def search(query: Any, cut: int = cut, factor: float = factor) -> Ranking:
            found = index.search("q", *query, k=k, query_cut=cut, heap_factor=factor)
            return [(docid, score) for _, score, docid in found]

        milliseconds, found = timed(search, prepared)
        setting = f"query_cut {cut}, heap_factor {factor}"
        yield Point("Seismic", setting, milliseconds, quality.recall(found), quality.ndcg(found))


def fastest(points: list[Point], system: str, recall: float) -> Point | None:
    reached = [point for point in points if point.system == system and point.recall >= recall]
    return min(reached, key=lambda point: point.milliseconds, default=None)


def compare(points: list[Point]) -> None:
    exact = next(point for point in points if point.setting == "exact")
    for recall in (0.9, 0.95, 0.97, 0.99, 0.995):
        ours, theirs = fastest(points, "ours", recall), fastest(points, "Seismic", recall)
        if ours is None or theirs is None:
            print(f"recall {recall}: {'ours' if ours is None else 'Seismic'} does not reach it")
            continue
        print(
            f"recall {recall}: ours {ours.milliseconds:.3f} ms ({ours.setting}), Seismic {theirs.milliseconds:.3f} ms "
            f"({theirs.setting}): {ours.milliseconds / theirs.milliseconds:.2f} times its time; "
            f"exact: {exact.milliseconds / theirs.milliseconds:.2f} times"
        )


def as_figures(points: list[Point], collection: str, documents: int, built: float, k: int) -> dict[str, dict[str, Any]]:
    """What README and docs quote: the fastest setting of each side that reaches a recall."""
    kind = "documents of real text" if collection == "real-text" else "synthetic documents"
    name = f"{documents:,} {kind}, k = {k}"
    exact = next(point for point in points if point.setting == "exact")
    found = {}
    for recall in (0.99, 0.95):
        ours, theirs = fastest(points, "ours", recall), fastest(points, "Seismic", recall)
        if ours is None or theirs is None:
            continue
        peer = {"peer": f"Seismic at recall {recall}", "peer_value": theirs.milliseconds}
        if recall == 0.99:
            found[f"{collection}/exact"] = figure(
                f"exact search, {name}", exact.milliseconds, "ms", **peer,
                ratio=theirs.milliseconds / exact.milliseconds, documents=documents, seismic_build_seconds=round(built),
            )  # fmt: skip
        found[f"{collection}/recall {recall}"] = figure(
            f"recall {recall}, {name}", ours.milliseconds, "ms", **peer, ratio=theirs.milliseconds / ours.milliseconds
        )
    usual = next(point for point in points if point.setting == "alpha 0.85")
    effect = {} if usual.ndcg is None else {"exact_ndcg": exact.ndcg, "ndcg": usual.ndcg}
    found[f"{collection}/alpha 0.85"] = figure(
        f"recall of the default approximation (alpha 0.85), {name}", usual.recall, "recall", **effect
    )
    return found


def draw(points: list[Point], k: int, picture: Path) -> None:
    """Plots recall against time for the Pareto-optimal settings of each system, and nDCG, if there is any, for all."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = 1 + (points[0].ndcg is not None)
    figure, axes = plt.subplots(1, panels, figsize=(1 + 5 * panels, 3.8), layout="constrained", squeeze=False)
    for system, marker in (("Seismic", "s"), ("ours", "o")):
        own = sorted((point for point in points if point.system == system), key=lambda point: point.milliseconds)
        front: list[Point] = []
        for point in own:
            if not front or point.recall > front[-1].recall:
                front.append(point)
        axes[0][0].plot([p.milliseconds for p in front], [p.recall for p in front], marker=marker, label=system)
        if panels == 2:
            axes[0][1].scatter([p.milliseconds for p in own], [p.ndcg or 0.0 for p in own], marker=marker, label=system)
    for axis, label in zip(axes[0], (f"recall@{k} against exact", f"nDCG@{k}"), strict=False):
        axis.set(xscale="log", xlabel="ms per query, one thread", ylabel=label)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("{x:g}")
        axis.grid(visible=True, which="both", alpha=0.25)
    if panels == 2:
        axes[0][1].set_ylim(0, 1.2 * max(point.ndcg or 0.0 for point in points))
    axes[0][0].legend()
    figure.savefig(picture, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--pseudo-documents", type=Path, help="use your own collection, with --topics")
    parser.add_argument("--topics", type=Path, help="encoded queries")
    parser.add_argument("--qrels", type=Path)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--real-text", action="store_true", help="use encoded real text, see real_text.py")
    add_write_results(parser)
    args = parser.parse_args()
    if importlib.util.find_spec("seismic") is None:
        sys.exit("Seismic is not installed. Install it with 'pip install splade-lucene[bench]'")
    if args.real_text:
        text = real_text()
        folder, index = text.pseudo_documents, WORK / "index-real-text-bp"
        vectors: dict[str, Any] = text.vectors()
        args.qrels = text.qrels
    elif args.pseudo_documents:
        folder, index = args.pseudo_documents, WORK / f"index-{args.pseudo_documents.resolve().name}-bp"
        vectors = {query.qid: query.vector for query in read_topics(args.topics, encoded=True)}
    else:
        folder, index = corpus(args.documents, 1), WORK / f"index-{args.documents}-bp"
        vectors = queries()
    vectors = dict(list(vectors.items())[: args.queries])
    if not index.exists():
        index_pseudo_documents(folder, index, store="none")
    with LuceneImpactSearcher(index) as searcher:
        deep = searcher.batch_search(list(vectors.values()), list(vectors), 20 * args.k, 2)
        exact = {qid: list(zip(h.docids, h.scores.tolist(), strict=True)) for qid, h in deep.items()}
        documents = searcher.num_docs
    quality = Quality(exact, args.k, read_qrels(args.qrels) if args.qrels else None)
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}")
    print(f"{documents:,} documents, {len(vectors)} queries, k={args.k}, one thread, medians of {ROUNDS} rounds\n")
    print(f"{'':10} {'':36} {'ms':>8} {'recall':>8} {'nDCG' if args.qrels else '':>8}")
    points = []
    built: list[float] = []
    for source in (
        measure_ours(index, vectors, args.k, quality),
        measure_seismic(folder, vectors, args.k, quality, built),
    ):
        for point in source:
            print(point.show(), flush=True)
            points.append(point)
    print()
    compare(points)
    (WORK / "tradeoff.json").write_text(json.dumps([vars(point) for point in points], indent=1), encoding="utf-8")
    if args.write_results:
        collection = "real-text" if args.real_text else index.name.removeprefix("index-").removesuffix("-bp")
        write_results("tradeoff", as_figures(points, collection, documents, built[0], args.k))
    if args.picture:
        draw(points, args.k, args.picture)


if __name__ == "__main__":
    main()
