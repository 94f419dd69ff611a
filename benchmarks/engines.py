#!/usr/bin/env python3
"""The same documents in other engines: bytes on disk, time to load, time of a query, recall; compared with ours in one run.

    python benchmarks/engines.py [--documents 50000] [--queries 200] [--k 10] [--only NAMES] [--write-results]

Every engine loads files of ``splade-lucene export``, and gets one query at a time from Python, with one thread. Recall is
relative to the exact top k; hits tied with the k-th count as well. Qdrant and Milvus Lite run in this process: they are meant
for prototyping and are not the servers. Both compare with every document, so they get 5 queries. BMP stores
impacts up to 255, so its impacts are scaled. OpenSearch is a server of one node on this machine, if the shared tools
have it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import math
import re
import runpy
import shutil
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    ROOT,
    SHARED,
    WORK,
    add_write_results,
    corpus,
    describe_machine,
    figure,
    queries,
    search_ranking,
    write_results,
)

sys.path.insert(0, str(ROOT))

from splade_lucene import (
    LuceneImpactSearcher,
    PseudoDocument,
    index_pseudo_documents,
    read_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.engines.export import export_collection

ROUNDS = 3
FEW = 5
Vector = dict[str, int]
Ranking = list[tuple[str, float]]
Search = Callable[[Vector, int], Ranking]


@dataclass
class Loaded:
    """An engine with the documents in it.

    Attributes:
        seconds: Time to load the exported files, until it can be searched.
        bytes: Its size on disk.
        search: Searches it.
        queries: The number of queries that it is asked.
        version: That of a server; empty if its package's counts.
    """

    seconds: float
    bytes: int
    search: Search
    queries: int = 1_000_000
    version: str = ""


def size(path: Path) -> int:
    return sum(each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file())


def ids(export: Path) -> dict[str, int]:
    terms = (export / "terms.txt").read_text(encoding="utf-8").split("\n")[:-1]
    return {term: number for number, term in enumerate(terms)}


def load_ours(source: Path, folder: Path, opened: ExitStack) -> Loaded:
    start = time.perf_counter()
    index_pseudo_documents(source, folder / "index", store="none")
    searcher = opened.enter_context(LuceneImpactSearcher(folder / "index"))
    seconds = time.perf_counter() - start
    return Loaded(seconds, size(folder / "index"), lambda vector, k: search_ranking(searcher, vector, k))


def load_qdrant(source: Path, folder: Path, opened: ExitStack) -> Loaded:
    from qdrant_client import models

    export = folder / "export"
    export_collection("qdrant", export, pseudo_documents=source, texts=False)
    program = re.search(r"```python\n(.*?)```", (export / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert program is not None
    loaded: dict[str, Any] = {}
    start = time.perf_counter()
    with contextlib.chdir(export):
        exec(compile(program[1], "README.md", "exec"), loaded)
    seconds = time.perf_counter() - start
    client, terms = loaded["client"], ids(export)
    opened.callback(client.close)

    def search(vector: Vector, k: int) -> Ranking:
        known = {terms[term]: float(impact) for term, impact in vector.items() if term in terms}
        query = models.SparseVector(indices=list(known), values=list(known.values()))
        found = client.query_points("splade", query=query, using="impacts", limit=k, with_payload=["docid"])
        return [(hit.payload["docid"], hit.score) for hit in found.points]

    return Loaded(seconds, size(export / "splade.qdrant"), search, FEW)


def load_milvus(source: Path, folder: Path, opened: ExitStack) -> Loaded:
    from pymilvus import MilvusClient

    export, path = folder / "export", folder / "splade.db"
    export_collection("milvus", export, pseudo_documents=source, texts=False)
    given, sys.argv = sys.argv, ["load.py", str(path)]
    start = time.perf_counter()
    try:
        runpy.run_path(str(export / "load.py"))
    finally:
        sys.argv = given
    client = MilvusClient(str(path))
    opened.callback(client.close)
    client.load_collection("splade")
    seconds = time.perf_counter() - start
    terms = ids(export)

    def search(vector: Vector, k: int) -> Ranking:
        known = {terms[term]: float(impact) for term, impact in vector.items() if term in terms}
        (hits,) = client.search("splade", data=[known], anns_field="impacts", limit=k, output_fields=["docid"])
        return [(hit["docid"], hit["distance"]) for hit in hits]

    return Loaded(seconds, size(path), search, FEW)


def load_seismic(source: Path, folder: Path, _: ExitStack) -> Loaded:
    from seismic import SeismicIndex, get_seismic_string

    export, lines = folder / "export", folder / "all.jsonl"
    export_collection("seismic", export, pseudo_documents=source, texts=False)
    with lines.open("wb") as file:
        for piece in sorted(export.glob("documents-*.jsonl")):
            with piece.open("rb") as documents:
                shutil.copyfileobj(documents, file)
    start = time.perf_counter()
    index = SeismicIndex.build(str(lines), num_threads=2)
    seconds = time.perf_counter() - start
    index.save(str(folder / "splade"))
    text = get_seismic_string()

    def search(vector: Vector, k: int) -> Ranking:
        terms, weights = np.array(list(vector), text), np.array(list(vector.values()), np.float32)
        found = index.search("q", terms, weights, k=k, query_cut=10, heap_factor=0.8)
        return [(docid, score) for _, score, docid in found]

    return Loaded(seconds, sum(size(path) for path in folder.glob("splade*")), search)


def load_bmp(source: Path, folder: Path, _: ExitStack) -> Loaded:
    import bmp

    scaled, export, path = folder / "scaled.jsonl", folder / "export", folder / "splade.bmp"
    largest = max(max(each.vector.values()) for each in read_pseudo_documents(source))
    write_pseudo_documents(scaled, (in_eight_bits(each, largest) for each in read_pseudo_documents(source)))
    export_collection("bmp", export, pseudo_documents=scaled)
    start = time.perf_counter()
    bmp.ciff2bmp(ciff_file=str(export / "collection.ciff"), output=str(path), bsize=32, compress_range=False)
    searcher = bmp.Searcher(str(path))
    seconds = time.perf_counter() - start
    known = ids(export)

    def search(vector: Vector, k: int) -> Ranking:
        weights = {term: float(impact) for term, impact in vector.items() if term in known}
        return list(zip(*searcher.search(weights, k=k, alpha=1.0, beta=1.0), strict=True))

    return Loaded(seconds, size(path), search)


def in_eight_bits(document: PseudoDocument, largest: int) -> PseudoDocument:
    """A document whose impacts are scaled to 255, if the largest one is above."""
    scale = min(1.0, 255 / largest)
    vector = {term: max(1, round(impact * scale)) for term, impact in document.vector.items()}
    return PseudoDocument(document.docid, "", vector)


def load_opensearch(source: Path, folder: Path, opened: ExitStack) -> Loaded:
    from splade_lucene.engines.push import push_export
    from splade_lucene.engines.searcher import EngineSearcher

    spec = importlib.util.spec_from_file_location("opensearch_cluster", SHARED / "opensearch" / "cluster.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    export = folder / "export"
    export_collection("opensearch", export, pseudo_documents=source, texts=False)
    cluster = opened.enter_context(module.Cluster(folder / "cluster", nodes=1))
    start = time.perf_counter()
    push_export(export, cluster.urls)
    seconds = time.perf_counter() - start
    searcher = opened.enter_context(EngineSearcher(cluster.urls))

    def search(vector: Vector, k: int) -> Ranking:
        hits = searcher.search(vector, k)
        return [(hit.docid, hit.score) for hit in hits]

    with urllib.request.urlopen(cluster.urls[0]) as answer:
        server = json.load(answer)["version"]["number"]
    return Loaded(seconds, size(folder / "cluster"), search, version=server)


ENGINES: dict[str, tuple[str, str, Callable[[Path, Path, ExitStack], Loaded]]] = {
    "qdrant": ("Qdrant, local mode", "qdrant-client", load_qdrant),
    "milvus": ("Milvus Lite", "milvus-lite", load_milvus),
    "seismic": ("Seismic", "pyseismic-lsr", load_seismic),
    "bmp": ("BMP", "bmp", load_bmp),
    "opensearch": ("OpenSearch, one node", "opensearch-py", load_opensearch),
}
"""Name → what a table calls it, the distribution whose version counts if it is no server, and what loads it."""


def available(name: str) -> bool:
    modules = {
        "qdrant": "qdrant_client", "milvus": "milvus_lite", "seismic": "seismic", "bmp": "bmp", "opensearch": "opensearchpy",
    }  # fmt: skip
    has_server = name != "opensearch" or (SHARED / "opensearch" / "cluster.py").is_file()
    return importlib.util.find_spec(modules[name]) is not None and has_server


def timed(loaded: Loaded, vectors: list[Vector], k: int) -> tuple[float, list[Ranking]]:
    """Milliseconds per query in the median round, after a warm-up round; and the hits."""
    times, found = [], []
    asked = vectors[: loaded.queries]
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        found = [loaded.search(vector, k) for vector in asked]
        times.append((time.perf_counter() - start) * 1000 / len(asked))
    return statistics.median(times[1:]), found


def recall(exact: list[Ranking], found: list[Ranking], k: int) -> float:
    shares = []
    for best, ranking in zip(exact, found, strict=False):
        least = best[:k][-1][1] if best else math.inf
        scores = dict(best)
        shares.append(sum(scores.get(docid, 0) >= least for docid, _ in ranking[:k]) / max(1, len(best[:k])))
    return statistics.mean(shares)


def is_exact(exact: list[Ranking], found: list[Ranking], k: int) -> bool:
    """Whether all scores are the exact ones, and so all documents, but for ties at the k-th place."""
    return all(
        [score for _, score in ranking] == [score for _, score in best[:k]]
        and all(dict(best).get(docid) == score for docid, score in ranking)
        for best, ranking in zip(exact, found, strict=False)
    )


def folders(work: Path, names: list[str]) -> Iterator[tuple[str, Path]]:
    for name in names:
        folder = work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield name, folder
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--only", help="engines, separated by commas")
    add_write_results(parser)
    args = parser.parse_args()
    source, work = corpus(args.documents, 1), WORK / f"engines-{args.documents}"
    vectors = list(queries().values())[: args.queries]
    names = args.only.split(",") if args.only else [name for name in ENGINES if available(name)]
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}")
    print(f"{args.documents:,} documents, {len(vectors)} queries, k={args.k}, medians of {ROUNDS} rounds\n")
    print(f"{'':22} {'MB':>8} {'load, s':>8} {'ms':>9} {'recall':>7} exact")

    def show(name: str, loaded: Loaded, milliseconds: float, share: float, equal: bool) -> None:
        row = f"{name:22} {loaded.bytes / 1e6:8.1f} {loaded.seconds:8.1f} {milliseconds:9.3f} {share:7.4f} {equal}"
        print(row, flush=True)

    figures = {}
    with ExitStack() as kept:
        ours = load_ours(source, kept.enter_context(own_folder(work)), kept)
        deep = [ours.search(vector, 20 * args.k) for vector in vectors]
        our_time, found = timed(ours, vectors, args.k)
        show("splade_lucene", ours, our_time, recall(deep, found, args.k), is_exact(deep, found, args.k))
        for name, folder in folders(work, names):
            title, distribution, load = ENGINES[name]
            with ExitStack() as opened, contextlib.redirect_stdout(io.StringIO()):
                loaded = load(source, folder, opened)
                milliseconds, found = timed(loaded, vectors, args.k)
            share, equal = recall(deep, found, args.k), is_exact(deep, found, args.k)
            show(title, loaded, milliseconds, share, equal)
            figures[name] = figure(
                f"{args.documents:,} generated documents, k = {args.k}, {title}", our_time, "ms", peer=title,
                peer_value=milliseconds, ratio=milliseconds / our_time, recall=share, exact=equal,
                version=loaded.version or version(distribution), bytes=loaded.bytes, load_seconds=loaded.seconds,
                our_bytes=ours.bytes, our_load_seconds=ours.seconds, queries=len(found), documents=args.documents,
            )  # fmt: skip
    if args.write_results:
        write_results("engines", figures)
    print(json.dumps({name: each["details"]["version"] for name, each in figures.items()}))


@contextlib.contextmanager
def own_folder(work: Path) -> Iterator[Path]:
    for _, folder in folders(work, ["ours"]):
        yield folder


if __name__ == "__main__":
    main()
