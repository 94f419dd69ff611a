#!/usr/bin/env python3
"""From the text of 1,000 queries to a run file: our search command against Pyserini's, whole processes, on the same index.

    python benchmarks/end_to_end.py [--hits 1000] [--queries 1000] [--repeat 3]

Python's own documentation is encoded once with the embedded model and indexed; the queries are headings and questions of the
shared training data. Both commands start, load the model, encode the queries, search with all cores and write a TREC run,
both in float32: Pyserini computes in the precision that a checkpoint is stored in, so it is stored anew in that. The runs must
have the same hits and scores, but for ties at the last place and for Pyserini's hits of score 0. A weight that lies at the
border of two impacts, as near as float32 computes, may fall to either side: where a query differs, our search must give
Pyserini's hits once such weights are put to the other side; else the script fails.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

from common import (
    PLAIN_MODEL,
    ROOT,
    SHARED,
    WORK,
    add_write_results,
    describe_machine,
    figure,
    plain_embedded_model,
    write_results,
)

sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "java_bridge"))

import build as bridge

from splade_lucene import LuceneImpactSearcher, Quantizer, SpladeEncoder

BORDER = 2e-3  # of an impact: float32 leaves some 3e-4


def write_topics(path: Path, count: int) -> None:
    with gzip.open(SHARED / "data" / "training" / "queries.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
    rows = (f"{record['_id']}\t{' '.join(record['text'].split())}\n" for record in records)
    path.write_text("".join(rows), encoding="utf-8")


def ours(index: Path, topics: Path, run: Path, hits: int) -> list[str]:
    return [sys.executable, "-m", "splade_lucene", "search", "--index", str(index), "--topics", str(topics),
            "--output", str(run), "--hits", str(hits), "--model", str(PLAIN_MODEL), "--quantizer", "pyserini",
            "--min-idf", "0"]  # fmt: skip


def pyserinis(index: Path, topics: Path, run: Path, hits: int) -> list[str]:
    return [sys.executable, "-m", "pyserini.search.lucene", "--index", str(index), "--topics", str(topics),
            "--output", str(run), "--encoder", str(PLAIN_MODEL), "--impact", "--hits", str(hits), "--min-idf", "0",
            "--batch-size", "128", "--threads", str(os.cpu_count())]  # fmt: skip


def seconds(command: list[str]) -> float:
    jdks = bridge.find_jdks()
    if not jdks:
        sys.exit("Pyserini needs a whole JDK of 21 or newer: set SPLADE_LUCENE_JDK to one")
    environment = {**os.environ, "JAVA_HOME": str(jdks[0]), "OPENAI_API_KEY": "none"}  # without a key it does not start
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def read_run(path: Path) -> dict[str, list[tuple[int, str]]]:
    """The rankings without hits of score 0, which Pyserini gives for terms whose impact is rounded to 0."""
    ranked: dict[str, list[tuple[int, str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        qid, _, docid, _, score, _ = line.split()
        if float(score) > 0.5:
            ranked.setdefault(qid, []).append((round(float(score)), docid))
    return ranked


def certain(ranking: list[tuple[int, str]], hits: int) -> list[tuple[int, str]]:
    """The hits whose place is certain: ties at the last place of a full ranking may be cut otherwise."""
    least = ranking[-1][0] if len(ranking) == hits else -1
    return sorted(hit for hit in ranking if hit[0] > least)


def compare(own: Path, peer: Path, hits: int) -> list[str]:
    """The queries that differ."""
    mine, theirs = read_run(own), read_run(peer)
    assert mine.keys() == theirs.keys(), sorted(mine.keys() ^ theirs.keys())[:5]
    return [qid for qid, ranking in mine.items() if certain(ranking, hits) != certain(theirs[qid], hits)]


def explain_differences(index: Path, topics: Path, peer: Path, qids: list[str], hits: int) -> None:
    """Fails unless each ranking of the peer's is ours with some weights at a border put to the other side."""
    texts = dict(line.split("\t") for line in topics.read_text(encoding="utf-8").splitlines())
    theirs = read_run(peer)
    encoder, rule = SpladeEncoder(PLAIN_MODEL, device="cpu", dtype="float32"), Quantizer.named("pyserini")
    with LuceneImpactSearcher(index, min_idf=0) as searcher:
        for qid in qids:
            weights = encoder.encode_queries([texts[qid]])
            impacts = weights.quantize(rule, "query")[0]
            scaled = {term: weight * rule.query.scale for term, weight in weights[0].items()}
            borders = [term for term, value in scaled.items() if abs(value % 1 - 0.5) < BORDER]
            for sides in product((0, 1), repeat=len(borders)):
                either = {term: int(scaled[term]) + side for term, side in zip(borders, sides, strict=True)}
                found = [(int(hit.score), hit.docid) for hit in searcher.search({**impacts, **either}, hits)]
                if certain(found, hits) == certain(theirs[qid], hits):
                    break
            else:
                sys.exit(f"query {qid} differs, and not by weights at a border")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hits", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    add_write_results(parser)
    args = parser.parse_args()
    plain_embedded_model()
    index, topics = WORK / "index-python-docs", WORK / "topics.tsv"
    if not index.exists():
        command = [sys.executable, "-m", "splade_lucene", "build", "--corpus", "python-docs", "--index", str(index),
                   "--model", str(PLAIN_MODEL), "--quantizer", "pyserini", "--max-length", "192"]  # fmt: skip
        subprocess.run(command, check=True, cwd=ROOT)
    write_topics(topics, args.queries)
    runs = {"ours": WORK / "run.ours.trec", "Pyserini": WORK / "run.pyserini.trec"}
    times: dict[str, list[float]] = {"ours": [], "Pyserini": []}
    for _ in range(args.repeat):
        times["ours"].append(seconds(ours(index, topics, runs["ours"], args.hits)))
        times["Pyserini"].append(seconds(pyserinis(index, topics, runs["Pyserini"], args.hits)))
    different = compare(runs["ours"], runs["Pyserini"], args.hits)
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}")
    print(f"{args.queries} queries from text, {args.hits} hits, medians of {args.repeat}\n")
    own, peer = statistics.median(times["ours"]), statistics.median(times["Pyserini"])
    print(f"ours {own:.1f} s, Pyserini {peer:.1f} s: {peer / own:.1f} times")
    explain_differences(index, topics, runs["Pyserini"], different, args.hits)
    equal = args.queries - len(different)
    print(
        f"{equal} queries with the same hits and scores; {len(different)} with a weight at the border of two impacts,"
    )
    print("put to one side here and to the other there: with it there, their hits are the same, too")
    if args.write_results:
        what = f"{args.queries:,} queries from text to a run file, whole processes"
        counts = {"equal_queries": equal, "border_queries": len(different)}
        found = figure(what, own, "s", peer="Pyserini's command", peer_value=peer, ratio=peer / own, **counts)
        write_results("end_to_end", {f"{args.queries} queries": found})


if __name__ == "__main__":
    main()
