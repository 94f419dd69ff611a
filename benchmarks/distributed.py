#!/usr/bin/env python3
"""How encoding, indexing and searching scale with the workers of a Ray cluster, against this process without Ray.

    python benchmarks/distributed.py [--documents 1200] [--indexed 200000] [--queries 300] [--workers 1 2 4]

The cluster is one of this machine, with as many logical CPUs as there are workers; each worker computes with one thread.
If the machine has fewer cores, workers share them, and the figures say how many there were: they show the overhead
of Ray, not how far it scales. The results are compared: the same bytes of pseudo-documents, the same hits and scores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from common import ROOT, WORK, add_write_results, corpus, describe_machine, figure, queries, write_results

sys.path.insert(0, str(ROOT))

import torch

from splade_lucene import (
    LuceneImpactSearcher,
    Quantizer,
    RayCluster,
    RayWorkers,
    ShardedSearcher,
    SpladeEncoder,
    build_sharded_index,
    encode_corpus,
    index_pseudo_documents,
    read_corpus,
)
from splade_lucene.counts import counted
from splade_lucene.pseudo_documents import parts
from splade_lucene.pseudo_documents.files import find_files, read_lines

FOLDER = WORK / "distributed"
CORES = os.cpu_count() or 1


class Working:
    """A progress that notes when the first unit of a step is done: until then, processes start and models are loaded."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.units = self.before = 0

    @contextmanager
    def step(self, title: str, total: int | None, unit: str) -> Iterator[Callable[..., None]]:  # noqa: ARG002
        def advance(count: int, **_: Any) -> None:
            if self.first is None:
                self.first, self.before = time.perf_counter(), count
            self.units += count

        yield advance


def timed(work: Callable[[Working], Any]) -> tuple[float, float]:
    """Seconds of a job, and its units per second after the first ones were done."""
    progress, start = Working(), time.perf_counter()
    work(progress)
    end = time.perf_counter()
    steady = (progress.units - progress.before) / (end - (progress.first or start))
    return end - start, steady


def digest(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


def encoding(documents: int, workers: list[int], figures: dict[str, Any]) -> None:
    """Encodes docstrings of Python, alone and with workers."""
    source = FOLDER / "corpus.tsv"
    texts = [each for _, each in zip(range(documents), read_corpus("python-docs"), strict=False)]
    source.write_text("".join(f"{each.docid}\t{' '.join(each.text.split())}\n" for each in texts))
    parts.PART_DOCUMENTS = max(1, documents // 24)
    rule = Quantizer.named("naver")

    def encoder() -> SpladeEncoder:
        return SpladeEncoder(device="cpu", dtype="float32")

    torch.set_num_threads(1)
    alone, rate = timed(lambda progress: encode_corpus(source, FOLDER / "alone", encoder(), rule, progress=progress))
    expected = digest(FOLDER / "alone")
    size = sum(map(len, expected.values())) / len(texts)
    print(f"encode {len(texts):,} documents, this process, one thread: {alone:.1f} s, {rate:.1f} documents/s")
    for count in workers:
        output = FOLDER / f"encoded-{count}"
        cluster = RayWorkers(RayCluster(workers=count))

        def encode(progress: Working, output: Path = output, cluster: RayWorkers = cluster) -> None:
            encode_corpus(source, output, encoder(), rule, workers=cluster, progress=progress)

        seconds, steady = timed(encode)
        assert digest(output) == expected, "the pseudo-documents differ"
        print(
            f"  {count} workers: {seconds:.1f} s with starting, then {steady:.1f} documents/s, {steady / rate:.2f} times"
        )
        figures[f"encode/{count}"] = figure(
            f"encode {len(texts):,} documents, {counted(count, 'worker')} on {CORES} cores", steady, "documents/s",
            peer="this process, one thread", peer_value=rate, ratio=steady / rate, seconds=seconds,
            pseudo_document_bytes=size, workers=count, cores=CORES,
        )  # fmt: skip


def searching(documents: int, count: int, shards: list[int], figures: dict[str, Any]) -> None:
    """Searches a collection of the shared generator in shards, against the one index."""
    source, index = corpus(documents, 1), FOLDER / "index"
    index_pseudo_documents(source, index, threads=1)
    vectors = dict(list(queries().items())[:count])
    for k in (10, 1000):
        with LuceneImpactSearcher(index) as searcher:
            found, alone = search(searcher, vectors, k)
        print(f"search {documents:,} documents, k = {k}, the one index: {alone:.2f} ms a query")
        for number in shards:
            folders = split(source, number)
            with ShardedSearcher(folders, cluster=RayCluster()) as sharded:
                hits, each = search(sharded, vectors, k)
            assert hits == found, "the hits differ"
            print(f"  {number} shards: {each:.2f} ms a query")
            figures[f"search/{number}/{k}"] = figure(
                f"search {documents:,} documents in {counted(number, 'shard')} on {CORES} cores, k = {k}", each, "ms",
                peer="the one index, in this process", peer_value=alone, ratio=alone / each, shards=number, cores=CORES,
            )  # fmt: skip


def measure_bytes(documents: int, figures: dict[str, Any]) -> None:
    """The bytes of a pseudo-document of the shared generator, from which docs/scale.md computes."""
    size = sum(path.stat().st_size for path in find_files(corpus(documents, 1))) / documents
    print(f"a pseudo-document of {documents:,}: {size:,.0f} bytes")
    figures["bytes"] = figure("a pseudo-document of the shared generator", size, "bytes")


def search(searcher: Any, vectors: dict[str, Any], k: int) -> tuple[dict[str, Any], float]:
    """The hits of all queries, and the milliseconds of each in a batch; the first round only warms."""
    searcher.batch_search([*vectors.values()], [*vectors], k, 1)
    start = time.perf_counter()
    found = searcher.batch_search([*vectors.values()], [*vectors], k, 1)
    seconds = time.perf_counter() - start
    return {qid: (hits.docids, hits.scores.tolist()) for qid, hits in found.items()}, seconds * 1000 / len(vectors)


def split(source: Path, number: int) -> list[Path]:
    """Indexes the documents of a collection in this many shards."""
    folders = [FOLDER / f"shard-{shard + 1}of{number}" for shard in range(number)]
    if not folders[0].exists():
        pieces = [FOLDER / f"piece-{shard + 1}of{number}.jsonl" for shard in range(number)]
        with ExitStack() as stack:
            outputs = [stack.enter_context(path.open("wb")) for path in pieces]
            for path in find_files(source):
                for row, (_, line) in enumerate(read_lines(path)):
                    outputs[row % number].write(line)
        for piece, folder in zip(pieces, folders, strict=True):
            index_pseudo_documents(piece, folder, threads=1)
            piece.unlink()
    return folders


def indexing(documents: int, workers: list[int], figures: dict[str, Any]) -> None:
    """Builds shards of encoded docstrings with workers."""
    source = FOLDER / "corpus.tsv"
    for count in workers:
        start = time.perf_counter()
        build_sharded_index(
            source, FOLDER / f"built-{count}", RayCluster(workers=count), SpladeEncoder(device="cpu", dtype="float32"),
            Quantizer.named("naver"), shards=4, pseudo_documents=FOLDER / "alone",
        )  # fmt: skip
        seconds = time.perf_counter() - start
        print(f"index {documents:,} documents in 4 shards, {count} workers: {seconds:.1f} s")
        figures[f"index/{count}"] = figure(
            f"index {documents:,} encoded documents in 4 shards, {counted(count, 'worker')} on {CORES} cores",
            seconds,
            "s",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1200, help="documents to encode")
    parser.add_argument("--indexed", type=int, default=200_000, help="documents to search; 0 for none")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4], help="none: only what needs no workers")
    add_write_results(parser)
    given = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print(describe_machine())
    figures: dict[str, Any] = {}
    if given.indexed:
        measure_bytes(given.indexed, figures)
    if given.workers:
        most = max(given.workers)
        print(f"{most} workers share {CORES} cores" if most > CORES else f"{CORES} cores")
        encoding(given.documents, given.workers, figures)
        indexing(given.documents, given.workers, figures)
    if given.workers and given.indexed:
        searching(given.indexed, given.queries, given.workers, figures)
    if given.write_results:
        write_results("distributed", figures)


if __name__ == "__main__":
    main()
