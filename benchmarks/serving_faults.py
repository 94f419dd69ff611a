#!/usr/bin/env python3
"""Whether clients get correct answers when the server is killed, stopped or given another index, or other clients misbehave.

    python benchmarks/serving_faults.py [--rounds 10] [--seconds 10] [--only kills]

Each part has a server of its own and 8 clients, whose answers are all compared with the library's:

    kills      SIGKILL while documents are added: what was acknowledged is there, and the index is whole
    stops      SIGTERM: what was begun is answered, whole, and the server ends with 0
    swaps      commits and whole new indexes, several a second: no request fails, and no client sees an earlier index again
    megabytes  a quarter of the clients send queries of a megabyte, which are refused
    slow       500 other clients send a byte a second
    hang-ups   clients ask for what takes long, and hang up: how soon the search threads are free again

Exits with 1 if an answer was wrong, lost or cut off.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import ROOT, describe_machine
from serving import fetch, free_port, started

sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

from support.collections import TERMS, random_collection

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    check_index,
    index_pseudo_documents,
    write_pseudo_documents,
)

CLIENTS = 8
TOKEN = "0123456789abcdef-token"
SEARCH = "/api/v1/bench/search"
Ask = Callable[[http.client.HTTPConnection, random.Random], str]


class Load:
    """Clients that ask one thing after another, each on a connection that it keeps.

    Args:
        port: The server's.
        asks: What each client does for one request; returns what came of it.

    Attributes:
        outcomes: How often which outcome was met.
        seconds: Times of the requests with the outcome ``right``.
    """

    def __init__(self, port: int, asks: list[Ask]) -> None:
        self._port = port
        self._stop = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self.seconds: list[float] = []
        self._threads = [
            threading.Thread(target=self._run, args=(ask, number), daemon=True) for number, ask in enumerate(asks)
        ]

    def _run(self, ask: Ask, number: int) -> None:
        source, connection = random.Random(number), None
        while not self._stop.is_set():
            connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            start = time.perf_counter()
            try:
                outcome = ask(connection, source)
            except (ConnectionRefusedError, ConnectionResetError, http.client.RemoteDisconnected, BrokenPipeError):
                outcome, connection = "not taken", None  # nothing of an answer had come
                time.sleep(0.01)
            except (OSError, http.client.HTTPException, ValueError) as error:
                outcome, connection = f"cut off: {type(error).__name__}", None
            if outcome == "right":
                self.seconds.append(time.perf_counter() - start)
            self.outcomes[outcome] += 1

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)

    def summary(self) -> str:
        """The outcomes, and the 99th percentile."""
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        if len(self.seconds) < 100:
            return counts
        return f"{counts}; p50 {1e3 * statistics.median(self.seconds):.1f} ms, p99 {1e3 * p99(self.seconds):.1f} ms"


def p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def post(connection: http.client.HTTPConnection, path: str, body: Any, token: str = "") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def searching(expected: dict[str, list[tuple[str, int]]]) -> Ask:
    """Asks for one of some queries (a vector as JSON → its hits)."""
    queries = [*expected]

    def ask(connection: http.client.HTTPConnection, source: random.Random) -> str:
        query = source.choice(queries)
        status, found = post(connection, SEARCH, {"vector": json.loads(query), "k": 10, "highlight": False})
        if status != 200:
            return f"status {status}"
        return "right" if [(hit["docid"], hit["score"]) for hit in found["hits"]] == expected[query] else "wrong"

    return ask


def make_index(folder: Path, documents: int = 5000) -> dict[str, list[tuple[str, int]]]:
    """An index, and queries with their hits."""
    write_pseudo_documents(folder.with_suffix(".jsonl"), random_collection(documents, seed=1, impacts=40))
    index_pseudo_documents(folder.with_suffix(".jsonl"), folder)
    source = random.Random(2)
    queries = [{term: source.randint(1, 200) for term in source.sample(TERMS, 12)} for _ in range(200)]
    with LuceneImpactSearcher(folder) as searcher:
        found = [searcher.search(query, 10) for query in queries]
    return {
        json.dumps(query): [*zip(hits.docids, hits.scores.tolist(), strict=True)]
        for query, hits in zip(queries, found, strict=True)
    }


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "splade_lucene",
        "serve",
        "--index",
        f"bench={folder}",
        "--port",
        str(port),
        *options,
    ]
    with started(command, port, "/ready") as process:
        yield process, port


# ---- the parts: each prints a line, and returns what was wrong ----


def kills(work: Path, args: argparse.Namespace) -> int:
    make_index(work / "first")
    (work / "token").write_text(TOKEN)
    added = lost = damaged = 0
    source = random.Random(3)
    for number in range(args.rounds):
        folder = work / f"killed-{number}"
        shutil.copytree(work / "first", folder)
        acknowledged: list[str] = []

        def add(connection: http.client.HTTPConnection, _: random.Random, known: list[str] = acknowledged) -> str:
            docid = f"new{time.perf_counter_ns()}"
            documents = [{"id": docid, "contents": "", "vector": {"term1": 1}}]
            status, _ = post(connection, "/api/v1/bench/documents", {"documents": documents}, TOKEN)
            known += [docid] if status == 200 else []
            return f"status {status}"

        def search(connection: http.client.HTTPConnection, _: random.Random) -> str:
            status, _ = post(connection, SEARCH, {"vector": {"term1": 1, "term2": 3}, "highlight": False})
            return f"status {status}"

        with (
            serving(folder, "--token-file", str(work / "token")) as (process, port),
            Load(port, [add, add, *[search] * (CLIENTS - 2)]),
        ):
            while not acknowledged:  # the first addition loads what adds documents
                time.sleep(0.01)
            time.sleep(source.uniform(0.2, 2))
            process.kill()
            process.wait()
        damaged += bool(check_index(folder).damage)
        with LuceneImpactSearcher(folder) as searcher:
            lost += sum(searcher.doc(docid) is None for docid in acknowledged)
        added += len(acknowledged)
        shutil.rmtree(folder)
    print(
        f"kills      {args.rounds} × SIGKILL: {added:,} documents acknowledged, {lost} lost; {damaged} indexes damaged"
    )
    return lost + damaged


def stops(work: Path, args: argparse.Namespace) -> int:
    expected = make_index(work / "index")
    outcomes: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    for _ in range(args.rounds):
        with serving(work / "index") as (process, port), Load(port, [searching(expected)] * CLIENTS) as load:
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            codes[process.wait(60)] += 1
        outcomes += load.outcomes
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"stops      {args.rounds} × SIGTERM: {told}; ended with {dict(codes)}")
    return sum(outcomes.values()) - outcomes["right"] - outcomes["not taken"] + args.rounds - codes[0]


def swaps(work: Path, args: argparse.Namespace) -> int:
    expected = make_index(work / "index")
    local = threading.local()

    def generation(connection: http.client.HTTPConnection, _: random.Random) -> str:
        status, found = post(connection, SEARCH, {"vector": {"marker": 1}, "highlight": False})
        if status != 200:
            return f"status {status}"
        seen = found["hits"][0]["score"] if found["hits"] else 0
        before, local.seen = getattr(local, "seen", 0), seen
        return "right" if seen >= before else "an earlier index"

    made = replaced = 0
    with (
        serving(work / "index", "--refresh", "0.05") as (_, port),
        Load(port, [generation] * 4 + [searching(expected)] * 4) as load,
    ):
        end = time.monotonic() + args.seconds
        while time.monotonic() < end:
            made += 1
            marker = PseudoDocument("marker", "", {"marker": made})
            if made % 5:
                with LuceneImpactIndexer(work / "index") as indexer:
                    indexer.add([marker])
            else:
                replaced += 1
                write_pseudo_documents(work / "next.jsonl", [*random_collection(5000, seed=1, impacts=40), marker])
                index_pseudo_documents(work / "next.jsonl", work / "index", overwrite=True)
            time.sleep(0.1)
        time.sleep(0.5)
        last = json.loads(fetch(port, "POST", SEARCH, {"vector": {"marker": 1}})[1])["hits"][0]["score"]
    print(f"swaps      {made - replaced} commits and {replaced} whole indexes in {args.seconds} s: {load.summary()}")
    return sum(load.outcomes.values()) - load.outcomes["right"] + (last != made)


def megabytes(work: Path, args: argparse.Namespace) -> int:
    expected = make_index(work / "index")
    vector = {f"t{number}": 1 for number in range(70_000)}
    bodies = [json.dumps(body).encode() for body in ({"query": "word " * 200_000}, {"vector": vector})]

    def large(connection: http.client.HTTPConnection, source: random.Random) -> str:
        status, found = post(connection, SEARCH, source.choice(bodies))
        return "refused" if (status, found["error"]["code"]) == (422, "too-long") else f"status {status}"

    with serving(work / "index") as (_, port):
        with Load(port, [searching(expected)] * (CLIENTS - 2)) as alone:
            time.sleep(args.seconds)
        with Load(port, [large] * 2 + [searching(expected)] * (CLIENTS - 2)) as load:
            time.sleep(args.seconds)
    print(f"megabytes  {load.summary()}; without them p99 {1e3 * p99(alone.seconds):.1f} ms")
    return sum(load.outcomes.values()) - load.outcomes["right"] - load.outcomes["refused"]


def slow(work: Path, args: argparse.Namespace) -> int:
    expected = make_index(work / "index")
    head = b"POST /api/v1/bench/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    with serving(work / "index") as (_, port), Load(port, [searching(expected)] * CLIENTS) as load:
        others = [socket.create_connection(("127.0.0.1", port)) for _ in range(500)]
        for each in others:
            each.sendall(head)
        end = time.monotonic() + args.seconds
        while time.monotonic() < end:
            for each in others:
                with contextlib.suppress(ConnectionError):  # after 30 seconds the server has closed it
                    each.sendall(b" ")
            time.sleep(1)
        for each in others:
            each.close()
    print(f"slow       with 500 slow clients: {load.summary()}")
    return sum(load.outcomes.values()) - load.outcomes["right"]


def hang_ups(work: Path, args: argparse.Namespace) -> int:
    """The search that takes long has all terms, and scores that do not fit into 32 bits, so that nothing is skipped."""
    terms = [f"t{number}" for number in range(5000)]
    source = random.Random(4)
    documents = (
        PseudoDocument(f"d{number}", "", {term: source.randint(1, 10**6) for term in source.sample(terms, 200)})
        for number in range(50_000)
    )
    write_pseudo_documents(work / "large.jsonl", documents)
    index_pseudo_documents(work / "large.jsonl", work / "large")
    body = json.dumps({"vector": dict.fromkeys(terms, 2000), "k": 1000, "highlight": False}).encode()
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with serving(work / "large") as (_, port):
        whole = []
        for _ in range(3):
            start = time.perf_counter()
            fetch(port, "POST", SEARCH, json.loads(body))
            whole.append(time.perf_counter() - start)

        def metric(name: str) -> float:
            text = fetch(port, "GET", "/metrics")[1].decode()
            return float(re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)[1])

        free = []
        for _ in range(args.rounds):
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
            for each in clients:
                each.sendall(head.encode() + body)
            while metric("splade_lucene_threads_at_work") == 0:
                time.sleep(0.001)
            for each in clients:
                each.close()
            start = time.perf_counter()
            while metric("splade_lucene_unfinished") or metric("splade_lucene_threads_at_work"):
                time.sleep(0.005)
            free.append(time.perf_counter() - start)
        stopped = metric('splade_lucene_cancelled{reason="client-gone"}')
    print(
        f"hang-ups   a search takes {1e3 * statistics.median(whole):.0f} ms; after {args.rounds} × 4 clients hung up, the "
        f"threads were free in {1e3 * statistics.median(free):.0f} ms, at most {1e3 * max(free):.0f} ms; {stopped:.0f} stopped"
    )
    return int(not stopped)


PARTS = {"kills": kills, "stops": stops, "swaps": swaps, "megabytes": megabytes, "slow": slow, "hang-ups": hang_ups}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="how often a server is killed or stopped")
    parser.add_argument("--seconds", type=int, default=10, help="how long each of the other parts lasts")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=[*PARTS])
    args = parser.parse_args()
    print(f"{describe_machine()}\n")
    wrong = 0
    for name in args.only:
        with tempfile.TemporaryDirectory() as work:
            wrong += PARTS[name](Path(work), args)
    print(f"\nwrong, lost or cut off: {wrong}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
