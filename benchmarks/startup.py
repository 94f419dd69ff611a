#!/usr/bin/env python3
"""Seconds from the shell to the result: import, --help and a single query, against Pyserini doing the same.

    python benchmarks/startup.py [--repeat 5]

Each is a complete process, started in turn with the peer's; figures are medians. A small part of Python's documentation is
indexed once. "Encoded" queries are terms with impacts, "text" queries are encoded by the embedded model: ours by ONNX Runtime
and by torch, Pyserini's by its own encoder from a float32 copy. The hits must be the same. Java's archive of classes is there,
as it is after the first start on a machine; ``no archive`` shows that first start.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import (
    PLAIN_MODEL,
    ROOT,
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

QUERY = "how do I list the files of a folder"
DOCUMENTS = 300
HITS = 10
OURS = [sys.executable, "-m", "splade_lucene"]
PYSERINI = """
import sys
from pyserini.search.lucene import LuceneImpactSearcher
encoder = sys.argv[2] if len(sys.argv) > 3 else type("AsIs", (), {"encode": lambda self, query: query})()
query = sys.argv[3] if len(sys.argv) > 3 else __import__("json").loads(sys.argv[2])
for hit in LuceneImpactSearcher(sys.argv[1], encoder, 0).search(query, 10):
    print(hit.docid, round(hit.score))
"""


def make_index() -> Path:
    """An index of a few docstrings, encoded by the embedded model."""
    from splade_lucene import read_corpus

    index, corpus = WORK / "index-startup", WORK / "startup.jsonl"
    if not index.exists():
        documents = [document for document, _ in zip(read_corpus("python-docs"), range(DOCUMENTS), strict=False)]
        lines = (json.dumps({"id": each.docid, "contents": each.text}) + "\n" for each in documents)
        corpus.write_text("".join(lines), encoding="utf-8")
        command = [*OURS, "build", "--corpus", str(corpus), "--index", str(index),
                   "--quantizer", "pyserini", "--max-length", "192"]  # fmt: skip
        subprocess.run(command, check=True, cwd=ROOT)
    return index


def run(command: list[str], **variables: str) -> tuple[float, str]:
    """Runs a command; seconds and what it printed."""
    environment = {**os.environ, "OPENAI_API_KEY": "none", **variables}  # Pyserini does not start without a key
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return seconds, done.stdout


def hits(printed: str) -> list[tuple[str, int]]:
    """Docid and score of each hit, from our JSON or from the peer's lines."""
    if printed.startswith("["):
        found = [(hit["docid"], hit["score"]) for hit in json.loads(printed)]
    else:
        found = [(docid, int(score)) for docid, score in (line.split() for line in printed.splitlines())]
    return sorted(found, key=lambda hit: (-hit[1], hit[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    add_write_results(parser)
    args = parser.parse_args()
    jdks = bridge.find_jdks()
    if not jdks:
        sys.exit("Pyserini needs a full JDK, version 21 or newer: set SPLADE_LUCENE_JDK to its folder")
    WORK.mkdir(parents=True, exist_ok=True)
    plain_embedded_model()
    index = str(make_index())
    jdk = {"JAVA_HOME": str(jdks[0])}
    cache = {"XDG_CACHE_HOME": str(WORK / "startup-cache")}
    shutil.rmtree(cache["XDG_CACHE_HOME"], ignore_errors=True)
    run([*OURS, "search", "--index", index, "--query", QUERY, "--json", "--hits", str(HITS)], **cache)
    deadline = time.monotonic() + 120
    while not list(Path(cache["XDG_CACHE_HOME"]).rglob("*.jsa")) and time.monotonic() < deadline:
        time.sleep(0.2)
    vector = json.dumps({"list": 120, "files": 110, "folder": 90, "directory": 80})
    search = [*OURS, "search", "--index", index, "--json", "--hits", str(HITS), "--min-idf", "0", "--query"]
    text, theirs = [*search, QUERY], [sys.executable, "-c", PYSERINI, index]
    no_archive = {**cache, "SPLADE_LUCENE_CLASS_DATA": "off"}
    peer_text, peer_vector = [*theirs, str(PLAIN_MODEL), QUERY], [*theirs, vector]
    jobs = {
        "import": ("import the package", ([sys.executable, "-c", "import splade_lucene"], cache),
                   ([sys.executable, "-c", "import pyserini.search.lucene"], jdk)),
        "help": ("print the help of the command", ([*OURS, "--help"], cache),
                 ([sys.executable, "-m", "pyserini.search.lucene", "--help"], jdk)),
        "encoded": ("search for one encoded query", ([*search, vector, "--encoded"], cache), (peer_vector, jdk)),
        "text": ("search for one text query, from the shell", (text, cache), (peer_text, jdk)),
        "text-torch": ("the same with torch (`--backend torch`)", ([*text, "--backend", "torch"], cache), (peer_text, jdk)),
        "text-first": ("the same without an archive of Java's classes", (text, no_archive), (peer_text, jdk)),
    }  # fmt: skip
    print(describe_machine())
    print(f"\n{'seconds, median of ' + str(args.repeat):46} {'ours':>8} {'Pyserini':>9} {'ratio':>6}")
    figures = {}
    for key, (what, ours, peer) in jobs.items():
        run(ours[0], **ours[1])  # so that files are in the system's cache on both sides
        run(peer[0], **peer[1])
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(args.repeat):
            found = [run(command, **variables) for command, variables in (ours, peer)]
            times[0].append(found[0][0])
            times[1].append(found[1][0])
            if key not in ("import", "help") and hits(found[0][1]) != hits(found[1][1]):
                sys.exit(f"{what}: the hits differ:\n{found[0][1]}\n{found[1][1]}")
        mine, other = statistics.median(times[0]), statistics.median(times[1])
        print(f"{what:46} {mine:8.2f} {other:9.2f} {other / mine:6.1f}")
        figures[key] = figure(
            what, round(mine, 2), "s", peer="Pyserini", peer_value=round(other, 2), ratio=round(other / mine, 1)
        )
    if args.write_results:
        write_results("startup", figures)


if __name__ == "__main__":
    main()
