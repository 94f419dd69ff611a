#!/usr/bin/env python3
"""Requests per second and latency of the server, against Pyserini's REST service on the same index and encoded queries.

    python benchmarks/serving.py [--documents 200000] [--clients 1 8 64] [--seconds 20]
    python benchmarks/serving.py --memory-minutes 10

wrk sends the same 1,000 SPLADE-v3 queries to both, in turn, for 10 hits each. Before that, 8 clients in parallel ask ours
for all 1,000 queries, and each answer must be that of the library; a sample must be that of Pyserini's server. Pyserini's
service has no encoded queries and no local indexes: here it is given both, and a stored text is read with each hit, as its
own indexes have it. ``page`` requests the data of the page (texts with marked matches, own terms); ``plain`` is hits alone.
With ``--memory-minutes``, the server's memory is read while 8 clients ask; then 10,000 connections are opened and dropped.
Needs wrk (``apt-get install wrk``).
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import ROOT, WORK, add_write_results, corpus, describe_machine, figure, queries, write_results

sys.path.insert(0, str(ROOT))

from splade_lucene import (
    LuceneImpactSearcher,
    PseudoDocument,
    index_pseudo_documents,
    read_pseudo_documents,
    write_pseudo_documents,
)

HITS = 10
TARGET_RATIO, TARGET_P99 = 10, 20  # at 8 clients
PYSERINI = """
import json, sys
from unittest.mock import MagicMock
for other in ("faiss", "pyserini.encode.optional._uniir"):  # for dense indexes
    sys.modules.setdefault(other, MagicMock())
from splade_lucene.jvm.pyserini_import import pyserini_importable
with pyserini_importable():
    import pyserini.search.lucene as lucene
from pyserini.search.lucene import LuceneImpactSearcher, LuceneSearcher
lucene.LuceneSearcher.from_prebuilt_index = classmethod(lambda cls, name, **_: LuceneSearcher(sys.argv[2]))
from pyserini.server.search_controller import IndexConfig, get_controller
from pyserini.server.rest.app import app

class Encoded:
    def encode(self, text, **_):
        return json.loads(text)

searcher = LuceneImpactSearcher(sys.argv[2], Encoded(), 0)
get_controller().indexes["bench"] = IndexConfig("bench", searcher=searcher, index_type="tf", base_index="bench")
import uvicorn
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""
LUA = """
local bodies, at = {}, 0
for line in io.lines("BODIES") do bodies[#bodies + 1] = line end
function init() at = math.random(#bodies) end
local headers = {["Content-Type"] = "application/json"}
function request()
  at = at % #bodies + 1
  return wrk.format("POST", nil, headers, bodies[at])
end
"""


def make_index(documents: int) -> Path:
    """An index of the shared generator's documents, each with its terms as its text."""
    folder = WORK / f"index-serving-{documents}"
    if not folder.exists():
        path = WORK / f"serving-{documents}.jsonl"
        with_texts = (
            PseudoDocument(each.docid, " ".join(each.vector), each.vector)
            for each in read_pseudo_documents(corpus(documents, 1))
        )
        write_pseudo_documents(path, with_texts)
        index_pseudo_documents(path, folder)
        path.unlink()
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def started(command: list[str], port: int, path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a server and waits until a path is answered."""
    environment = {**os.environ, "OPENAI_API_KEY": "none", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            if process.poll() is not None:
                sys.exit(f"the server ended with {process.returncode}: {' '.join(command[:6])}")
            with contextlib.suppress(OSError):
                if fetch(port, "GET", path)[0] == 200:
                    break
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def fetch(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def wrk(port: int, path: str, bodies: Path, clients: int, seconds: int) -> dict[str, float]:
    """Requests a second, and milliseconds of the median and of the 99th percentile; refused requests are an error."""
    script = bodies.with_suffix(".lua")
    script.write_text(LUA.replace("BODIES", str(bodies)))
    command = ["wrk", f"-t{min(2, clients)}", f"-c{clients}", f"-d{seconds}s", "--latency", "--timeout", "60s",
               "-s", str(script), f"http://127.0.0.1:{port}{path}"]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        sys.exit(f"wrk met errors:\n{told}")

    def milliseconds(share: str) -> float:
        found = re.search(rf"\s{share}%\s+([\d.]+)(us|ms|s|m)\b", told)
        if found is None:
            sys.exit(f"wrk printed no latency:\n{told}")
        return float(found[1]) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[found[2]]

    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])
    return {"rate": rate, "p50": milliseconds("50"), "p99": milliseconds("99")}


def check_answers(port: int, folder: Path, vectors: dict[str, dict[str, int]], peer_port: int) -> None:
    """Compares the answers of all queries, asked by 8 clients, with the library's; a sample with Pyserini's."""
    with LuceneImpactSearcher(folder) as searcher:
        expected = searcher.batch_search(vectors.values(), vectors.keys(), HITS, threads=2)

    def ask(qid: str) -> bool:
        _, body = fetch(port, "POST", "/api/v1/bench/search", {"vector": vectors[qid], "k": HITS, "highlight": False})
        found = [(hit["docid"], hit["score"]) for hit in json.loads(body)["hits"]]
        return found == [*zip(expected[qid].docids, expected[qid].scores.tolist(), strict=True)]

    with ThreadPoolExecutor(8) as pool:
        wrong = [qid for qid, is_same in zip(vectors, pool.map(ask, vectors), strict=True) if not is_same]
    if wrong:
        sys.exit(f"{len(wrong)} answers differ from the library's, the first for query {wrong[0]}")
    for qid in [*vectors][:20]:
        body = {"query": json.dumps(vectors[qid]), "hits": HITS}
        candidates = json.loads(fetch(peer_port, "POST", "/v1/indexes/bench/search", body)[1])["candidates"]
        if [hit["score"] for hit in candidates] != expected[qid].scores.tolist():
            sys.exit(f"Pyserini's server has other scores for query {qid}")
    print(f"{len(vectors):,} answers to 8 clients equal the library's; 20 of Pyserini's server have the same scores\n")


def measure(args: argparse.Namespace, folder: Path, vectors: dict[str, dict[str, int]], work: Path) -> dict[str, Any]:
    """Both servers under load, in turn."""
    shapes = {
        "plain": [{"vector": vector, "k": HITS, "highlight": False} for vector in vectors.values()],
        "page": [{"vector": vector, "k": HITS} for vector in vectors.values()],
        "pyserini": [{"query": json.dumps(vector), "hits": HITS} for vector in vectors.values()],
    }
    paths = {}
    for name, bodies in shapes.items():
        paths[name] = work / f"{name}.jsonl"
        paths[name].write_text("".join(json.dumps(body) + "\n" for body in bodies))
    port, peer_port = free_port(), free_port()
    ours = [sys.executable, "-m", "splade_lucene", "serve", "--index", f"bench={folder}", "--port", str(port)]
    peer = [sys.executable, "-c", PYSERINI, str(peer_port), str(folder)]
    servers = {"plain": (port, "/api/v1/bench/search"), "page": (port, "/api/v1/bench/search"),
               "pyserini": (peer_port, "/v1/indexes/bench/search")}  # fmt: skip
    figures: dict[str, Any] = {}
    with started(ours, port, "/ready"), started(peer, peer_port, "/"):
        check_answers(port, folder, vectors, peer_port)
        for name, (at, path) in servers.items():
            wrk(at, path, paths[name], 8, max(3, args.seconds // 2))  # warm
        print(f"{'clients':>7}  {'':10} {'requests/s':>10} {'p50 ms':>9} {'p99 ms':>9} {'ratio':>7}")
        for clients in args.clients:
            rows = {name: wrk(at, path, paths[name], clients, args.seconds) for name, (at, path) in servers.items()}
            for name, row in rows.items():
                ratio = row["rate"] / rows["pyserini"]["rate"]
                told = "" if name == "pyserini" else f"{ratio:6.1f}x"
                print(f"{clients:>7}  {name:10} {row['rate']:>10,.1f} {row['p50']:>9.2f} {row['p99']:>9.2f} {told:>7}")
                if name != "pyserini":
                    figures[f"{name}-{clients}"] = figure(
                        f"{clients} clients, {name}", row["rate"], "requests/s", peer="Pyserini's REST service",
                        peer_value=rows["pyserini"]["rate"], ratio=ratio, documents=args.documents, clients=clients,
                        p50=row["p50"], p99=row["p99"], peer_p50=rows["pyserini"]["p50"], peer_p99=rows["pyserini"]["p99"],
                    )  # fmt: skip
    return figures


def memory(args: argparse.Namespace, folder: Path, vectors: dict[str, dict[str, int]], work: Path) -> dict[str, Any]:
    """The server's memory over minutes of load, and after 10,000 connections that were opened and dropped."""
    bodies = work / "memory.jsonl"
    bodies.write_text("".join(json.dumps({"vector": each, "k": HITS}) + "\n" for each in vectors.values()))
    port = free_port()
    ours = [sys.executable, "-m", "splade_lucene", "serve", "--index", f"bench={folder}", "--port", str(port)]
    with started(ours, port, "/ready") as process:

        def mebibytes() -> float:
            text = Path(f"/proc/{process.pid}/status").read_text()
            return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

        seen, slice_seconds = [], max(5, int(args.memory_minutes * 6))
        for _ in range(10):
            row = wrk(port, "/api/v1/bench/search", bodies, 8, slice_seconds)
            seen.append(mebibytes())
            print(f"{len(seen) * slice_seconds:>5} s  {seen[-1]:>8.0f} MiB  {row['rate']:>8,.1f} requests/s")
        start = time.perf_counter()
        for _ in range(10_000):
            socket.create_connection(("127.0.0.1", port)).close()
        seconds = time.perf_counter() - start
        status, _ = fetch(port, "GET", "/ready")
        print(
            f"10,000 connections opened and dropped in {seconds:.1f} s; then /ready answers {status}, {mebibytes():.0f} MiB"
        )
        if status != 200:
            sys.exit("the server does not answer any more")
        growth = statistics.mean(seen[-3:]) / statistics.mean(seen[2:5])
    print(f"memory of the last three tenths against that of the third to fifth: {growth:.3f}")
    return {
        "memory": figure(
            "growth of memory under load", growth, "ratio", minutes=args.memory_minutes, mebibytes=seen[-1]
        )
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--memory-minutes", type=float, default=0)
    add_write_results(parser)
    args = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: apt-get install wrk")
    folder = make_index(args.documents)
    print(f"{args.documents:,} documents; {describe_machine()}\n")
    vectors = queries()
    with tempfile.TemporaryDirectory() as work:
        todo = memory if args.memory_minutes else measure
        figures = todo(args, folder, vectors, Path(work))
    if "plain-8" in figures:
        plain = figures["plain-8"]
        reached = plain["ratio"] >= TARGET_RATIO and plain["details"]["p99"] <= TARGET_P99
        print(f"\ngoal at 8 clients, {TARGET_RATIO} times Pyserini's and p99 below {TARGET_P99} ms: "
              f"{'reached' if reached else 'missed'}")  # fmt: skip
    if args.write_results:
        write_results("serving", figures)


if __name__ == "__main__":
    main()
