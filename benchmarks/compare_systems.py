#!/usr/bin/env python3
"""Compares systems: BM25, the embedded model in four variants, and its fusion with BM25; effectiveness, tests and cost.

    python benchmarks/compare_systems.py                                              # both collections, minutes
    python benchmarks/compare_systems.py --collections CACM --documents 300 --queries 10   # a quick look

The systems, on CACM and on the questions on Python's documentation: BM25; splade-minilm, exact; its documents pruned to 64
terms; its variant splade-minilm-doc, whose queries need no network; approximate search; and reciprocal rank fusion of the
exact run with BM25's. Prints a Markdown table for each collection, with a paired t-test of each system against BM25 (Holm's
correction), and the terms, FLOPS, bytes and milliseconds of each. The runs, judgments and tables are kept in
benchmarks/work/compare-systems for ``splade-lucene compare``. A complete run draws docs/systems.png. CACM needs the shared
data.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import ROOT, WORK, add_write_results, describe_machine, figure, write_results
from embedded_model import DOC, RULE, Collection

from splade_lucene import (
    Bm25Searcher,
    Comparison,
    LuceneImpactSearcher,
    Pruning,
    PseudoDocument,
    Run,
    SparseWeights,
    SpladeEncoder,
    SpladeQueryEncoder,
    compare,
    index_pseudo_documents,
    index_texts,
    measure_efficiency,
    write_pseudo_documents,
)
from splade_lucene.evaluation import tabulate, tabulate_tests
from splade_lucene.evaluation.efficiency import measure_search
from splade_lucene.evaluation.plots import save_figure
from splade_lucene.evaluation.tables import Cell, Table
from splade_lucene.run.fusion import reciprocal_rank_fusion
from splade_lucene.search.approximation import DEFAULT_APPROXIMATION

FOLDER = WORK / "compare-systems"
MEASURES = ("nDCG@10", "RR@10", "R@100")
BASELINE = "BM25"
EXACT = "splade-minilm"
TERMS = 64
HITS = 1000
ROUNDS = 3


@dataclass(frozen=True)
class System:
    """A run and its cost. Times are medians over the queries, in milliseconds, one after another on one thread.

    Attributes:
        run: The run.
        query_terms: Mean number of terms per query.
        document_terms: Mean number of terms per document.
        flops: SPLADE's FLOPS.
        index_bytes: Bytes of Lucene's files and the accelerator per document.
        encode: Time to encode a query; 0 for BM25, whose analysis is part of the search.
        search: Time to search for a query.
    """

    run: Run
    query_terms: float | None
    document_terms: float | None
    flops: float
    index_bytes: float
    encode: float
    search: float


class Systems:
    """All systems over one collection.

    Args:
        name: ``CACM`` or ``python-docs``.
        documents: Number of documents in addition to the judged ones; None: all.
        queries: Number of queries; None: all.
    """

    def __init__(self, name: str, documents: int | None, queries: int | None) -> None:
        self.collection = Collection(name)
        self.topics = self.collection.topics[:queries]
        self.texts = [topic.text for topic in self.topics]
        self.qids = [topic.qid for topic in self.topics]
        self.qrels = {qid: self.collection.qrels[qid] for qid in self.qids}
        if documents is not None:
            judged = {docid for docs in self.qrels.values() for docid in docs}
            others = [each.docid for each in self.collection.documents if each.docid not in judged]
            kept = judged | {*others[:documents]}
            self.collection.documents = [each for each in self.collection.documents if each.docid in kept]
        self.folder = FOLDER / name
        shutil.rmtree(self.folder, ignore_errors=True)

    def measure(self) -> dict[str, System]:
        weights = self.collection.encode(None)
        whole, cut = self.index(weights, "index"), self.index(weights.prune(Pruning(top_terms=TERMS)), f"index-{TERMS}")
        network, table = self.encode_queries(None), self.encode_queries(DOC)
        bm25 = self.measure_bm25()
        exact = self.measure_splade(whole, network)
        return {
            BASELINE: bm25,
            EXACT: exact,
            f"documents of {TERMS} terms": self.measure_splade(cut, network),
            DOC: self.measure_splade(whole, table),
            f"approximate (alpha {DEFAULT_APPROXIMATION.alpha:g})": self.measure_splade(
                whole, network, approximation=DEFAULT_APPROXIMATION
            ),
            f"{EXACT} + BM25 (RRF)": fuse(exact, bm25),
        }

    def encode_queries(self, model: str | None) -> tuple[list[dict[str, int]], float]:
        """The encoded queries, and the time per query."""
        encoder = SpladeQueryEncoder(SpladeEncoder(model, device="cpu"), RULE, cached_queries=0)
        return encoder.encode_batch(self.texts), median(encoder.encode, self.texts)

    def measure_bm25(self) -> System:
        index_texts(self.collection.documents, self.folder / "bm25", overwrite=True)
        with Bm25Searcher(self.folder / "bm25") as searcher:
            run = Run(searcher.batch_search(self.texts, self.qids, HITS))
            costs = measure_efficiency(searcher, [searcher.analyze(text) for text in self.texts])
            search = median(lambda text: searcher.search(text, HITS), self.texts)
        return System(
            run, costs.query_terms, costs.document_terms, costs.flops or 0.0, costs.index_bytes, 0.0, search
        )  # fmt: skip

    def measure_splade(self, index: Path, queries: tuple[list[dict[str, int]], float], **options: Any) -> System:
        vectors, encode = queries
        with LuceneImpactSearcher(index, **options) as searcher:
            run = Run(searcher.batch_search(vectors, self.qids, HITS))
            costs = measure_efficiency(searcher.reader, vectors)
            search = median(lambda vector: searcher.search(vector, HITS), vectors)
        size = costs.index_bytes + costs.accelerator_bytes
        return System(run, costs.query_terms, costs.document_terms, costs.flops or 0.0, size, encode, search)

    def index(self, weights: SparseWeights, name: str) -> Path:
        """Builds an impact index without texts."""
        parts = self.folder / f"{name}.jsonl"
        vectors = weights.quantize(RULE, "document")
        pairs = zip(self.collection.documents, vectors, strict=True)
        write_pseudo_documents(parts, (PseudoDocument(each.docid, "", vector) for each, vector in pairs if vector))
        index_pseudo_documents(parts, self.folder / name, store="none")
        return self.folder / name


def fuse(one: System, other: System) -> System:
    """Reciprocal rank fusion of two systems; costs add up, except for terms, which differ between the systems."""
    return System(
        reciprocal_rank_fusion([one.run, other.run], k=HITS), None, None, one.flops + other.flops,
        one.index_bytes + other.index_bytes, one.encode + other.encode, one.search + other.search,
    )  # fmt: skip


def median(function: Callable[[Any], object], queries: Sequence[Any]) -> float:
    return measure_search(function, queries, rounds=ROUNDS).median


def tabulate_systems(comparison: Comparison, systems: Mapping[str, System]) -> Table:
    """The comparison's table, followed by the cost of each system."""
    effectiveness = tabulate(comparison)
    rows = []
    for name, cells in effectiveness.rows:
        system = systems[name]
        costs = (
            show(system.query_terms, ".1f"), show(system.document_terms, ".1f"), show(system.flops, ".2f"),
            show(system.index_bytes, ",.0f"), show(system.encode, ".2f"), show(system.search, ".3f"),
        )  # fmt: skip
        rows.append((name, (*cells, *map(Cell, costs))))
    columns = ("query terms", "document terms", "FLOPS", "bytes/document", "ms to encode", "ms to search")
    return Table((*effectiveness.columns, *columns), tuple(rows), effectiveness.legend)


def show(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


def as_figures(name: str, collection: Systems, comparison: Comparison, systems: Mapping[str, System]) -> dict[str, Any]:
    """The table of a collection as figures to keep."""
    found = {}
    for run, cells in tabulate(comparison).rows:
        system = systems[run]
        means = comparison.means[run]
        found[f"{name}/{run}"] = figure(
            f"{run}, {name}", means["nDCG@10"], "nDCG@10",
            documents=len(collection.collection.documents), queries=len(collection.qids),
            **{measure: means[measure] for measure in MEASURES[1:]},
            best=[measure for measure, cell in zip(MEASURES, cells, strict=True) if cell.is_best],
            differs=[measure for measure, cell in zip(MEASURES, cells, strict=True) if cell.mark],
            query_terms=system.query_terms, document_terms=system.document_terms, flops=system.flops,
            bytes_a_document=round(system.index_bytes), encode_ms=system.encode, search_ms=system.search,
        )  # fmt: skip
    return found


def keep(systems: Mapping[str, System], qrels: Mapping[str, Mapping[str, int]], folder: Path) -> None:
    """Writes runs and judgments for further comparisons."""
    for name, system in systems.items():
        system.run.write(folder / "runs" / f"{name.replace(' ', '-')}.trec")
    lines = (f"{qid} 0 {docid} {relevance}\n" for qid, docs in qrels.items() for docid, relevance in docs.items())
    (folder / "qrels.txt").write_text("".join(lines), encoding="utf-8")


def draw(found: Mapping[str, tuple[Comparison, Mapping[str, System]]], path: Path) -> None:
    """Plots effectiveness with the interval of the difference from BM25, and query times; one row of panels per collection."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.5 + 2.4 * len(found)), layout="constrained")
    panels = figure.subplots(len(found), 2, sharey="row", squeeze=False)
    for (left, right), (name, (comparison, systems)) in zip(panels, found.items(), strict=True):
        measure = MEASURES[0]
        base = comparison.means[BASELINE][measure]
        intervals = {t.run: t.significance.interval for t in comparison.tests if t.measure == measure}
        for row, run in enumerate(comparison.runs):
            if (interval := intervals.get(run)) is not None:
                left.plot([base + interval[0], base + interval[1]], [row, row], color="#0072b2", linewidth=1.5)
            left.plot(comparison.means[run][measure], row, marker="o", color="black" if run == BASELINE else "#0072b2")
        left.axvline(base, color="grey", linestyle=":")
        left.set_yticks(range(len(systems)), [*systems])
        left.invert_yaxis()
        left.set_title(name, loc="left", fontsize=10)
        left.set_xlabel(f"{measure}, with the 95 % interval of the difference from BM25", fontsize=8)
        encode, search = ([getattr(each, kind) for each in systems.values()] for kind in ("encode", "search"))
        right.barh(range(len(systems)), encode, color="#56b4e9", label="encode the query")
        right.barh(range(len(systems)), search, left=encode, color="#d55e00", label="search")
        right.set_xlabel(f"ms per query, one thread, {HITS} hits", fontsize=8)
        right.legend(fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collections", nargs="+", choices=("CACM", "python-docs"), default=["CACM", "python-docs"])
    parser.add_argument("--documents", type=int, metavar="N", help="use the judged documents and N others")
    parser.add_argument("--queries", type=int, metavar="N", help="use the first N queries")
    add_write_results(parser)
    arguments = parser.parse_args()
    found: dict[str, tuple[Comparison, Mapping[str, System]]] = {}
    parts = [describe_machine()]
    figures: dict[str, Any] = {}
    for name in arguments.collections:
        collection = Systems(name, arguments.documents, arguments.queries)
        systems = collection.measure()
        keep(systems, collection.qrels, collection.folder)
        runs = {system: measured.run for system, measured in systems.items()}
        comparison = compare(collection.qrels, runs, MEASURES, baseline=BASELINE)
        found[name] = comparison, systems
        figures |= as_figures(name, collection, comparison, systems)
        parts.append(f"{name}, {len(collection.collection.documents):,} documents, {len(collection.qids)} queries")
        parts += [
            table.render("markdown") for table in (tabulate_systems(comparison, systems), tabulate_tests(comparison))
        ]
        print("\n\n".join(parts[-3:]), flush=True)
    (FOLDER / "systems.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    if arguments.write_results:
        write_results("compare_systems", figures)
    whole = arguments.documents is None and arguments.queries is None and len(found) > 1
    draw(found, ROOT / "docs" / "systems.png" if whole else FOLDER / "systems.png")


if __name__ == "__main__":
    main()
