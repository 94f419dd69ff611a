#!/usr/bin/env python3
"""Fits the constants of CostModel.java, and compares the engine it chooses with the best engine for each query.

    python benchmarks/cost_model.py [--documents 50000 200000 1000000] [--queries 300]

Every query is searched with all engines; their work and times are taken from the profiles of the hits.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from typing import Any

import numpy as np
from common import ROOT, WORK, corpus, describe_machine, queries

sys.path.insert(0, str(ROOT))

from splade_lucene import LuceneImpactSearcher, SearchProfile, index_pseudo_documents

DEPTHS = (10, 100, 1000)
ROUNDS = 4
ENGINES = ("blockmax", "maxscore", "taat")
SOURCE = ROOT / "java_bridge" / "src" / "io" / "spladelucene" / "search" / "CostModel.java"


def profiles(searcher: Any, vectors: list[dict[str, int]], k: int) -> list[SearchProfile]:
    """The fastest profile of each query, after a warm-up round."""
    rounds = [[searcher.search(vector, k).profile for vector in vectors] for _ in range(ROUNDS + 1)]
    return [min(each, key=lambda profile: profile.total) for each in zip(*rounds[1:], strict=True)]


def fit(columns: list[list[float]], values: list[float]) -> np.ndarray[Any, Any]:
    """Least-squares coefficients for relative errors."""
    target = np.array(values)
    matrix = np.array(columns).T / target[:, None]
    return np.linalg.lstsq(matrix, np.ones(len(target)), rcond=None)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[50_000, 200_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=300)
    args = parser.parse_args()
    vectors = list(queries().values())[: args.queries]
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}\n")
    blocks_rows: list[list[float]] = []
    blocks_times: list[float] = []
    sums_rows: list[list[float]] = []
    sums_times: list[float] = []
    needed: list[tuple[int, float]] = []
    ratios: list[float] = []  # total time of a search by blocks, relative to the time for scoring blocks
    print(
        f"{'documents':>10} {'k':>5} {'blockmax ms':>12} {'maxscore ms':>12} {'taat ms':>9} {'auto ms':>9} {'best ms':>9} "
        f"{'blocks scored':>14}"
    )
    for documents in args.documents:
        index = WORK / f"index-{documents}-bp"
        if not index.exists():
            index_pseudo_documents(corpus(documents, 1), index, store="none")
        for k in DEPTHS:
            found = {}
            for engine in (*ENGINES, "auto"):
                with LuceneImpactSearcher(index, engine=engine) as searcher:
                    found[engine] = profiles(searcher, vectors, k)
            for vector, profile in zip(vectors, found["blockmax"], strict=True):
                if profile.blocks_scored:
                    ratios.append(profile.total / (profile.probes + profile.scoring))
                    blocks_rows.append([profile.blocks_scored * len(vector), 1])
                    blocks_times.append((profile.probes + profile.scoring) * 1e6)
            for profile in found["taat"]:
                sums_rows.append([profile.postings, documents])
                sums_times.append(max(1e-6, profile.scoring) * 1e6)
            scored = float(np.mean([profile.blocks_scored for profile in found["blockmax"]]))
            needed.append((k, scored))
            totals = {engine: np.array([profile.total for profile in each]) for engine, each in found.items()}
            best = np.min([totals[engine] for engine in ENGINES], axis=0).mean()
            print(
                f"{documents:>10,} {k:>5} {totals['blockmax'].mean():>12.3f} {totals['maxscore'].mean():>12.3f} "
                f"{totals['taat'].mean():>9.3f} {totals['auto'].mean():>9.3f} {best:>9.3f} {scored:>14,.0f}",
                flush=True,
            )
    of_list, _fixed = fit(list(map(list, zip(*blocks_rows, strict=True))), blocks_times)
    posting, document = fit(list(map(list, zip(*sums_rows, strict=True))), sums_times)
    largest = needed[-len(DEPTHS) :]  # the largest collection, whose size is not a limit
    growth, first = np.polyfit(np.log([k for k, _ in largest]), np.log([count for _, count in largest]), 1)
    fitted = {
        "LIST_OF_BLOCK": of_list,
        "POSTING": posting,
        "DOCUMENT": document,
        "BOUNDS": float(np.mean(ratios)),
        "BLOCKS_OF_ONE": float(np.exp(first)),
        "GROWTH": float(growth),
    }
    text = SOURCE.read_text(encoding="utf-8")
    print(f"\n{'':18} {'fitted here':>12} {'in the source':>14}")
    for name, value in fitted.items():
        (current,) = re.findall(rf"double {name} = ([\d.]+);", text)
        print(f"{name:18} {value:>12.2f} {float(current):>14.2f}")


if __name__ == "__main__":
    main()
