#!/usr/bin/env python3
"""From the text of 1,000 queries to a run file: our search command against Pyserini's, as complete processes.

    python benchmarks/end_to_end.py [--hits 1000] [--queries 1000] [--repeat 3]

Python's own documentation is encoded once with the embedded model and indexed; the queries are headings and questions from the
shared training data. Both commands use the same index: they start, load the model, encode the queries, search with all cores
and write a TREC run, both in float32 (Pyserini computes in the precision of the checkpoint, so a float32 copy is used). The
runs must have the same hits and scores, except for ties at the last rank and for Pyserini's hits with score 0. A weight at the
rounding boundary between two impacts, within the accuracy of float32, may be rounded either way: if a query differs, our search
must return Pyserini's hits once such weights are rounded the other way; otherwise the script fails.
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

BOUNDARY = 2e-3  # distance from a rounding boundary, in impacts; float32 errors are about 3e-4


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
        sys.exit("Pyserini needs a full JDK, version 21 or newer: set SPLADE_LUCENE_JDK to its folder")
    environment = {
        **os.environ,
        "JAVA_HOME": str(jdks[0]),
        "OPENAI_API_KEY": "none",
    }  # Pyserini does not start without a key
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def read_run(path: Path) -> dict[str, list[tuple[int, str]]]:
    """The rankings without hits of score 0, which Pyserini returns for terms whose impact is rounded to 0."""
    ranked: dict[str, list[tuple[int, str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        qid, _, docid, _, score, _ = line.split()
        if float(score) > 0.5:
            ranked.setdefault(qid, []).append((round(float(score)), docid))
    return ranked


def certain(ranking: list[tuple[int, str]], hits: int) -> list[tuple[int, str]]:
    """The hits above the last rank of a full ranking, where ties may be cut differently."""
    least = ranking[-1][0] if len(ranking) == hits else -1
    return sorted(hit for hit in ranking if hit[0] > least)


def compare(own: Path, peer: Path, hits: int) -> list[str]:
    """The queries that differ."""
    mine, theirs = read_run(own), read_run(peer)
    assert mine.keys() == theirs.keys(), sorted(mine.keys() ^ theirs.keys())[:5]
    return [qid for qid, ranking in mine.items() if certain(ranking, hits) != certain(theirs[qid], hits)]


def explain_differences(index: Path, topics: Path, peer: Path, qids: list[str], hits: int) -> None:
    """Fails unless each of the peer's rankings is ours with some boundary weights rounded the other way."""
    texts = dict(line.split("\t") for line in topics.read_text(encoding="utf-8").splitlines())
    theirs = read_run(peer)
    encoder, rule = SpladeEncoder(PLAIN_MODEL, device="cpu", dtype="float32"), Quantizer.named("pyserini")
    with LuceneImpactSearcher(index, min_idf=0) as searcher:
        for qid in qids:
            weights = encoder.encode_queries([texts[qid]])
            impacts = weights.quantize(rule, "query")[0]
            scaled = {term: weight * rule.query.scale for term, weight in weights[0].items()}
            boundary_terms = [term for term, value in scaled.items() if abs(value % 1 - 0.5) < BOUNDARY]
            for steps in product((0, 1), repeat=len(boundary_terms)):
                rounded = {term: int(scaled[term]) + step for term, step in zip(boundary_terms, steps, strict=True)}
                found = [(int(hit.score), hit.docid) for hit in searcher.search({**impacts, **rounded}, hits)]
                if certain(found, hits) == certain(theirs[qid], hits):
                    break
            else:
                sys.exit(f"query {qid} differs, and not because of weights at a rounding boundary")


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
        f"{equal} queries have the same hits and scores; {len(different)} have a weight at a rounding boundary between two"
    )
    print("impacts that is rounded differently: rounded the same way, their hits are the same too")
    if args.write_results:
        what = f"{args.queries:,} queries from text to a run file, whole processes"
        counts = {"equal_queries": equal, "border_queries": len(different)}
        found = figure(what, own, "s", peer="Pyserini's command", peer_value=peer, ratio=peer / own, **counts)
        write_results("end_to_end", {f"{args.queries} queries": found})


if __name__ == "__main__":
    main()
