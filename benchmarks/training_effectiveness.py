#!/usr/bin/env python3
"""The effectiveness of models trained with this package and with sentence-transformers, at equal FLOPS.

    python benchmarks/training_effectiveness.py [--write-results]     # about an hour on two cores; resumes if interrupted
    python benchmarks/training_effectiveness.py --small               # a few minutes
    python benchmarks/training_effectiveness.py --device cuda --jobs 12 --seeds 6     # a few minutes on an H100

Both sides train the same base on the same triples, as in ``benchmarks/training.py``, once for each seed. Seeds
differ in the triples and their order. This package trains in three ways: with its defaults, where the scores have a learnable
scale that starts where the loss is smallest; with scores of a fixed scale, which is the other side's loss; and the same without
dropout. Each way gets its own factor of both weights of FLOPS, such that it ends at the other side's FLOPS: it is searched with
the seed 0, which is not used otherwise. Any remaining difference is removed by lowering all logits of the denser one of two
models.

The models are measured on CACM (52 queries) and on the questions on Python's documentation (100), which neither side nor the
base was trained on. The searched collection consists of all judged documents and every eighth of the others.
A query's nDCG@10 is the mean over the seeds; the differences between two sides over all queries are tested in pairs.
No time is measured, so the machine may be busy. On a GPU,
the base and the triples of an earlier run on a CPU can be given as ``benchmarks/work/training-effectiveness/full``: only
these need Java.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import SHARED, WORK, add_write_results, describe_machine, figure, write_results
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from training import SIDES, Setting, prepare

from splade_lucene import (
    Document,
    DocumentSettings,
    Query,
    SpladeEncoder,
    evaluate_queries,
    read_corpus,
    read_qrels,
    read_topics,
)
from splade_lucene.demo import read_questions
from splade_lucene.evaluation.significance import paired_test

MEASURE = "nDCG@10"
PEER = "sentence-transformers"
WAYS: dict[str, dict[str, Any]] = {
    "learnable scale": {},
    "fixed scale": {"has_fixed_scale": True},
    "fixed scale, no dropout": {"has_fixed_scale": True, "has_dropout": False},
}
"""Name of a way to train with this package → what it changes in the setting."""
FACTOR_STEP = 8.0
MOST_TRIED = 6
TOLERANCE = 0.1
"""Greatest difference of the logarithms of two sides' FLOPS that is not searched further."""


@dataclass(frozen=True)
class Size:
    """How much is trained and measured.

    Attributes:
        setting: What each training is given.
        triples: Triples to draw from.
        seeds: Seeds that count.
        documents: Measure on each such document, and on the judged ones.
        queries: Measure with each such query.
    """

    setting: Setting
    triples: int
    seeds: int
    documents: int = 1
    queries: int = 1


SIZES = {
    "small": Size(Setting(30, 8, length=32, rate=5e-5), 240, 1, documents=40, queries=5),
    "full": Size(Setting(120, 8, length=64, rate=5e-5), 2880, 2, documents=8),
}
TOKENS = 96
DEPTH = 100


# ---- collections ----


class Collection(NamedTuple):
    """A collection that no side trained on."""

    documents: list[Document]
    topics: list[Query]
    qrels: dict[str, dict[str, int]]


def collections(size: Size) -> dict[str, Collection]:
    """CACM, and the questions on Python's documentation."""
    cacm = SHARED / "data" / "cacm"
    judged = read_qrels(cacm / "qrels.txt")
    topics = [topic for topic in read_topics(cacm / "topics.tsv") if topic.qid in judged]
    questions = list(read_questions())
    answers = {query.qid: dict.fromkeys(docids, 1) for query, docids in questions}
    found = {
        "CACM": Collection(list(read_corpus(cacm / "corpus.jsonl")), topics, judged),
        "python-docs": Collection(list(read_corpus("python-docs")), [query for query, _ in questions], answers),
    }
    return {name: _some(each, size) for name, each in found.items()}


def _some(collection: Collection, size: Size) -> Collection:
    topics = collection.topics[:: size.queries]
    qrels = {topic.qid: collection.qrels[topic.qid] for topic in topics}
    judged = {docid for judgments in qrels.values() for docid in judgments}
    numbered = enumerate(collection.documents)
    documents = [each for number, each in numbered if number % size.documents == 0 or each.docid in judged]
    return Collection(documents, topics, qrels)


# ---- vectors ----


class Vectors:
    """A collection's queries and documents as a model encodes them; logits can be lowered afterwards.

    Args:
        queries: Weights, shape [queries, terms].
        documents: Weights, shape [documents, terms].
    """

    def __init__(self, queries: csr_matrix, documents: csr_matrix) -> None:
        self._queries, self._documents = queries, documents

    @classmethod
    def read(cls, path: Path) -> Vectors:
        """Reads what :meth:`write` wrote."""
        with np.load(path) as found:
            sides = [
                csr_matrix(tuple(found[f"{side}_{part}"] for part in ("data", "indices", "indptr")), found[f"{side}_shape"])
                for side in ("queries", "documents")
            ]  # fmt: skip
        return cls(*sides)

    def write(self, path: Path) -> None:
        """Writes them into a file."""
        arrays: dict[str, Any] = {}
        for side, matrix in (("queries", self._queries), ("documents", self._documents)):
            arrays |= {f"{side}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr", "shape")}
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **arrays)
        partial.rename(path)

    def lowered(self, amount: float) -> Vectors:
        """The same with all logits lowered by an amount: of log(1 + logit) only positive ones remain."""
        return Vectors(_lower(self._queries, amount), _lower(self._documents, amount))

    @property
    def flops(self) -> float:
        """Products for an average query and document."""
        shares = [np.asarray((part > 0).mean(axis=0)).ravel() for part in (self._queries, self._documents)]
        return float(shares[0] @ shares[1])

    def with_flops(self, flops: float) -> Vectors:
        """The same with logits lowered until there are this many FLOPS."""
        low, high = 0.0, 20.0
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self.lowered(middle).flops > flops else (low, middle)
        return self.lowered(high)

    def measure(self, collection: Collection) -> dict[str, float]:
        """The measure of each query."""
        scores = (self._queries @ self._documents.T).toarray()
        run = {}
        for topic, row in zip(collection.topics, scores, strict=True):
            best = np.argsort(-row, kind="stable")[:DEPTH]
            run[topic.qid] = [(collection.documents[at].docid, float(row[at])) for at in best if row[at] > 0]
        return evaluate_queries(collection.qrels, run, [MEASURE])[MEASURE]


def encode(model: Path, collection: Collection, device: str) -> Vectors:
    """Encodes a collection."""
    encoder = SpladeEncoder(model, documents=DocumentSettings(max_length=TOKENS), dtype="float32", device=device)
    documents = encoder.encode_documents([each.text for each in collection.documents])
    queries = encoder.encode_queries([topic.text for topic in collection.topics])
    terms = {term: row for row, term in enumerate({term for vector in (*documents, *queries) for term in vector})}
    return Vectors(_matrix(queries, terms), _matrix(documents, terms))


def _matrix(vectors: list[dict[str, float]], terms: Mapping[str, int]) -> csr_matrix:
    starts = np.cumsum([0, *map(len, vectors)])
    columns = np.array([terms[term] for vector in vectors for term in vector], np.int32)
    values = np.array([weight for vector in vectors for weight in vector.values()], np.float32)
    return csr_matrix((values, columns, starts), shape=(len(vectors), len(terms)))


def _lower(matrix: csr_matrix, amount: float) -> csr_matrix:
    lowered = matrix.copy()
    lowered.data = np.log1p(np.maximum(np.expm1(lowered.data) - amount, 0))
    lowered.eliminate_zeros()
    return lowered


# ---- trainings ----


@dataclass(frozen=True)
class Training:
    """One training: a way, a seed and a factor of the weights of FLOPS."""

    way: str
    seed: int
    factor: float = 1.0


@dataclass(frozen=True)
class Trainings:
    """Trains and encodes, each training in a process of its own; what is finished is not done again.

    Attributes:
        work: Folder of the base, the triples, and all that is made.
        name: Which size.
        device: ``cpu`` or ``cuda``.
        jobs: Trainings at a time.
    """

    work: Path
    name: str
    device: str
    jobs: int

    def run(self, wanted: Sequence[Training]) -> None:
        """Does what is not done yet."""
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(self._run, wanted))

    def folder(self, training: Training) -> Path:
        """The folder of a training's vectors."""
        way = training.way.replace(", ", "-").replace(" ", "-")
        return self.work / f"seed-{training.seed}" / f"{way}-{training.factor:g}"

    def log_flops(self, training: Training, names: Sequence[str]) -> float:
        """The mean logarithm of the FLOPS with which a training ended, over the collections."""
        found = (Vectors.read(self.folder(training) / f"{name}.npz").flops for name in names)
        return float(np.mean([math.log(each) for each in found]))

    def _run(self, training: Training) -> None:
        if (self.folder(training) / "done").exists():
            return
        print(f"seed {training.seed}, {training.way}, {training.factor:g} times the weights of FLOPS", flush=True)
        asked = json.dumps([self.name, self.device, asdict(training)])
        command = [sys.executable, str(Path(__file__).resolve()), "--child", asked]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def train(self, training: Training) -> None:
        """Trains and encodes, in this process."""
        size, folder = SIZES[self.name], self.folder(training)
        folder.mkdir(parents=True, exist_ok=True)
        draw_triples(self.work, folder / "triples.jsonl", training.seed, size)
        changes = WAYS.get(training.way, {})
        setting = replace(size.setting, seed=training.seed, factor=training.factor, device=self.device, **changes)
        SIDES["peer" if training.way == PEER else "ours"](folder, self.work / "base", setting)
        model = folder / "peer" if training.way == PEER else folder / "ours" / "model"
        encode_all(model, folder, collections(size), self.device)
        for each in (folder / "ours", folder / "peer", folder / "peer-run"):
            shutil.rmtree(each, ignore_errors=True)
        (folder / "done").touch()


def choose_factors(trainings: Trainings, ways: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Each way's factor of the weights of FLOPS with which it ends at the other side's FLOPS, with the seed 0."""
    peer = Training(PEER, 0)
    trainings.run([peer])
    target = trainings.log_flops(peer, names)
    return {PEER: 1.0, **{way: choose_factor(trainings, way, names, target) for way in ways}}


def choose_factor(trainings: Trainings, way: str, names: Sequence[str], target: float) -> float:
    """Searches a way's factor: by steps of ``FACTOR_STEP`` until one ends below the target, then by interpolation.

    Args:
        trainings: Trains what is not trained yet.
        way: The way.
        names: The collections.
        target: The logarithm of the FLOPS to end at.

    Returns:
        The first factor that ends within ``TOLERANCE`` of the target, or the best of ``MOST_TRIED``; at least 1.
    """
    ends: dict[float, float] = {}
    factor = 1.0
    while len(ends) < MOST_TRIED:
        training = Training(way, 0, factor)
        trainings.run([training])
        ends[factor] = trainings.log_flops(training, names)
        if abs(ends[factor] - target) < TOLERANCE or ends[1.0] < target:
            break
        above = max(each for each in ends if ends[each] > target)
        below = min((each for each in ends if each > above), default=None)
        if below is None:
            factor = FACTOR_STEP * above
        else:
            share = (ends[above] - target) / (ends[above] - ends[below])
            factor = round(above * (below / above) ** share, 2)
    return min(ends, key=lambda each: abs(ends[each] - target))


def draw_triples(work: Path, path: Path, seed: int, size: Size) -> None:
    """Writes as many triples as the steps need, in an order of the seed."""
    lines = (work / "triples.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    count = size.setting.steps * size.setting.queries
    drawn = np.random.default_rng(seed).permutation(len(lines))[:count]
    path.write_text("".join(lines[at] for at in drawn), encoding="utf-8")


def encode_all(model: Path, folder: Path, data: Mapping[str, Collection], device: str) -> None:
    """Encodes all collections that are not encoded yet."""
    for name, collection in data.items():
        if not (folder / f"{name}.npz").exists():
            encode(model, collection, device).write(folder / f"{name}.npz")


# ---- comparison ----


@dataclass(frozen=True)
class Comparison:
    """A way against the other side, with the same FLOPS for each seed.

    Attributes:
        ours: Each query's measure, the mean over the seeds; shape [queries].
        peer: The same of the other side.
        unlowered: Mean FLOPS of both before the denser one was lowered.
        flops: Mean FLOPS that were compared.
        seeds: Number of seeds.
    """

    ours: NDArray[np.float64]
    peer: NDArray[np.float64]
    unlowered: tuple[float, float]
    flops: float
    seeds: int


def compare(folders: Mapping[int, Mapping[str, Path]], way: str, name: str, collection: Collection) -> Comparison:
    """Compares one way with the other side on a collection."""
    values: dict[str, list[list[float]]] = {way: [], PEER: []}
    before, equal = [], []
    for ways in folders.values():
        vectors = {each: Vectors.read(ways[each] / f"{name}.npz") for each in (way, PEER)}
        before.append([each.flops for each in vectors.values()])
        equal.append(min(before[-1]))
        for each, found in vectors.items():
            values[each].append([*found.with_flops(equal[-1]).measure(collection).values()])
    means = np.mean(before, axis=0)
    return Comparison(
        np.mean(values[way], axis=0), np.mean(values[PEER], axis=0), (float(means[0]), float(means[1])),
        float(np.mean(equal)), len(folders),
    )  # fmt: skip


def report(name: str, way: str, factor: float, found: Comparison) -> dict[str, Any]:
    """Prints a comparison; returns it as a figure to keep."""
    test = paired_test(found.ours - found.peer, "randomization")
    interval = paired_test(found.ours - found.peer, "t").interval or (0.0, 0.0)
    difference = found.ours.mean() - found.peer.mean()
    print(
        f"{name}, {way}, {factor:g} times the weights: {found.ours.mean():.4f}, {PEER} {found.peer.mean():.4f} ({MEASURE}, "
        f"{len(found.ours)} queries, {found.flops:.2f} FLOPS; before lowering {found.unlowered[0]:.2f} and "
        f"{found.unlowered[1]:.2f}); difference {difference:+.4f}, 95% from {interval[0]:+.4f} to {interval[1]:+.4f}, "
        f"p = {test.p_value:.3f}"
    )
    return figure(
        f"{name}, {way}", float(found.ours.mean()), MEASURE, peer=PEER, peer_value=float(found.peer.mean()),
        ratio=float(found.ours.mean() / found.peer.mean()), flops=found.flops, p_value=test.p_value, least=interval[0],
        greatest=interval[1], queries=len(found.ours), flops_before=found.unlowered[0],
        peer_flops_before=found.unlowered[1], factor=factor, seeds=found.seeds,
    )  # fmt: skip


def main() -> None:
    """Trains all, and prints and keeps the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a few minutes, to see that it works")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--seeds", type=int, help="number of seeds that count")
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=[*WAYS], help="how this package trains")
    add_write_results(parser)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, device, training = json.loads(arguments.child)
        Trainings(WORK / "training-effectiveness" / name, name, device, 1).train(Training(**training))
        return
    name = "small" if arguments.small else "full"
    size, work = SIZES[name], WORK / "training-effectiveness" / name
    work.mkdir(parents=True, exist_ok=True)
    print(
        describe_machine(arguments.device),
        f"{size.setting.steps} steps of {size.setting.queries} queries",
        sep="; ",
        flush=True,
    )
    prepare(work, size.triples, TOKENS)
    trainings = Trainings(work, name, arguments.device, arguments.jobs)
    data = collections(size)
    encode_all(work / "base", work, data, arguments.device)
    factors = choose_factors(trainings, arguments.ways, list(data))
    seeds = range(1, 1 + (arguments.seeds or size.seeds))
    wanted = {seed: {way: Training(way, seed, factor) for way, factor in factors.items()} for seed in seeds}
    trainings.run([each for ways in wanted.values() for each in ways.values()])
    folders = {seed: {way: trainings.folder(each) for way, each in ways.items()} for seed, ways in wanted.items()}
    figures = {}
    for collection, content in data.items():
        base = Vectors.read(work / f"{collection}.npz")
        print(f"{collection}, base: {np.mean([*base.measure(content).values()]):.4f} with {base.flops:.2f} FLOPS")
        for way in arguments.ways:
            found = compare(folders, way, collection, content)
            figures[f"{name}/{collection}/{way}"] = report(collection, way, factors[way], found)
    if arguments.write_results:
        write_results("training_effectiveness", figures, arguments.device)


if __name__ == "__main__":
    main()
