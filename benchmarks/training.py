#!/usr/bin/env python3
"""Training against sentence-transformers' SparseEncoderTrainer: time of a step, memory, and effectiveness at equal FLOPS.

    python benchmarks/training.py [--write-results]     # about 12 minutes on two cores; resumes if interrupted
    python benchmarks/training.py --small               # a minute or two

Both sides get the same base, the same triples in batches of the same size, the same number of steps, learning rate and
weights of FLOPS, in float32; the loss is MarginMSE with FLOPS (``SpladeLoss`` with ``SparseMarginMSELoss``). All else is the
default of each side. The base is the embedded model with its decoder's bias raised, so that a passage has 300 active terms; the
teacher is the embedded model itself, for two of BM25's passages of each query. Needs the extra ``train`` and the shared data
(SPLADE_LUCENE_SHARED).

Each side runs in a process of its own, which measures its peak memory. A step's time is the median over tens of steps, without
the first. Both models are then measured on CACM, which neither saw: its texts are encoded once, and the logits of the model
with more FLOPS are lowered until it has as many as the other one. ``--keep-work`` keeps what earlier calls made.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from common import SHARED, WORK, add_write_results, describe_machine, figure, plain_embedded_model, write_results
from scipy.sparse import csr_matrix

LENGTH, QUERY_LENGTH = 96, 32
PASSAGES = 2
RATE = 2e-5
QUERY_WEIGHT, DOCUMENT_WEIGHT = 0.03, 0.02
TEMPERATURE = 1.0
START_TERMS = 300
SIZES = {"small": {"steps": 20, "queries": 8, "documents": 400}, "full": {"steps": 120, "queries": 16, "documents": 0}}
TENTH = 10


# ---- data ----


def prepare(folder: Path, steps: int, queries: int) -> None:
    """Writes the base, and triples with the teacher's scores."""
    from splade_lucene import Query, SpladeEncoder, read_corpus, read_topics
    from splade_lucene.index.texts import index_texts
    from splade_lucene.search.bm25 import search_texts

    if (folder / "triples.jsonl").exists():
        return
    data = SHARED / "data" / "training"
    base = folder / "base"
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(plain_embedded_model(), base)
    raise_bias(base, folder)
    index = WORK / "training-benchmark" / "bm25"
    passages = {document.docid: document.text for document in read_corpus(data / "passages.jsonl.gz")}
    if not index.is_dir():
        index_texts(read_corpus(data / "passages.jsonl.gz"), index)
    topics = list(read_topics(data / "queries.jsonl.gz"))
    rng = np.random.default_rng(1)
    chosen: list[Query] = [topics[row] for row in rng.permutation(len(topics))[: 2 * steps * queries]]
    found = search_texts(index, chosen, 20)
    pairs = []
    for topic in chosen:
        docids = [docid for docid, _ in found.get(topic.qid, ())]
        if len(docids) >= 4 and len(pairs) < steps * queries:
            picked = [docids[int(rng.integers(2))], docids[int(rng.integers(2, len(docids)))]]
            pairs.append((topic.text, [passages[docid] for docid in picked]))
    teacher = SpladeEncoder(plain_embedded_model(), dtype="float32")
    asked = teacher.encode_queries([query for query, _ in pairs])
    documents = iter(teacher.encode_documents([text for _, texts in pairs for text in texts]))
    with (folder / "triples.partial").open("w", encoding="utf-8") as file:
        for (query, texts), vector in zip(pairs, asked, strict=True):
            scores = [dot(vector, next(documents)) for _ in texts]
            order = sorted(range(PASSAGES), key=lambda number: -scores[number])
            record = {"query": query, "passages": [texts[i] for i in order], "scores": [scores[i] for i in order]}
            file.write(json.dumps(record) + "\n")
    (folder / "triples.partial").rename(folder / "triples.jsonl")


def dot(query: Mapping[str, float], document: Mapping[str, float]) -> float:
    """The product of two vectors."""
    return sum(weight * document.get(term, 0.0) for term, weight in query.items())


def raise_bias(base: Path, folder: Path) -> None:
    """Raises the decoder's bias, as ``train`` does with ``head.initial_terms``."""
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from splade_lucene import read_corpus

    model, tokenizer = (
        AutoModelForMaskedLM.from_pretrained(base, dtype=torch.float32),
        AutoTokenizer.from_pretrained(base),
    )
    documents = read_corpus(SHARED / "data" / "training" / "passages.jsonl.gz")
    sample = [document.text for number, document in enumerate(documents) if number % 2000 == 0]
    with torch.no_grad():
        inputs = (tokenizer(text, truncation=True, max_length=LENGTH, return_tensors="pt") for text in sample)
        highest = torch.cat([model(**each).logits[0].amax(dim=0) for each in inputs])
        model.get_output_embeddings().bias -= highest.topk(START_TERMS * len(sample)).values[-1]
    shutil.rmtree(base)
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    (folder / "triples.jsonl").unlink(missing_ok=True)


# ---- the two sides; each runs in a process of its own ----


Moment = tuple[float, float]
"""Wall time and CPU time of this process, in seconds."""


def now() -> Moment:
    """This moment."""
    return time.perf_counter(), time.process_time()


def train_ours(folder: Path, steps: int, queries: int) -> list[Moment]:
    """Trains with this package; returns when each ten steps were done."""
    from splade_lucene.training import read_config, train

    settings = {
        "recipe": "distilsplade-max", "base": str(folder / "base"), "output": str(folder / "ours"),
        "data": {"examples": str(folder / "triples.jsonl"), "temperature": TEMPERATURE},
        "losses": {"margin_mse": 1.0}, "mining": {"positives": 1},
        "sparsity": {"query_weight": QUERY_WEIGHT, "document_weight": DOCUMENT_WEIGHT},
        "optimization": {
            "steps": steps, "queries": queries, "passages": PASSAGES, "max_length": LENGTH,
            "query_max_length": QUERY_LENGTH, "learning_rate": RATE, "head_learning_rate": RATE, "log": TENTH,
            "checkpoint": steps, "precision": "float32",
        },
    }  # fmt: skip
    path = folder / "ours.yaml"
    path.write_text(json.dumps(settings))  # JSON is YAML
    times: list[Moment] = []

    def note(_stage: str, done: int, _total: int, figures: Mapping[str, float]) -> None:
        if "loss" in figures:
            times.append(now())
            print(f"  step {done}: {figures['loss']:.3f}", file=sys.stderr, flush=True)

    train(read_config(path), device="cpu", overwrite=True, report=note)
    return times


def train_peer(folder: Path, steps: int, queries: int) -> list[Moment]:
    """The same with sentence-transformers."""
    from datasets import Dataset
    from sentence_transformers import SparseEncoder, SparseEncoderTrainer, SparseEncoderTrainingArguments
    from sentence_transformers.sparse_encoder import losses
    from sentence_transformers.sparse_encoder.callbacks import SpladeRegularizerWeightSchedulerCallback
    from sentence_transformers.sparse_encoder.modules import SpladePooling, Transformer
    from transformers import TrainerCallback

    times: list[Moment] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in (logs or {}):
                times.append(now())
                print(f"  step {state.global_step}: {logs['loss']:.3f}", file=sys.stderr, flush=True)

    records = [json.loads(line) for line in (folder / "triples.jsonl").read_text(encoding="utf-8").splitlines()]
    data = Dataset.from_dict(
        {
            "query": [each["query"] for each in records],
            "passage_1": [each["passages"][0] for each in records],
            "passage_2": [each["passages"][1] for each in records],
            "label": [(each["scores"][0] - each["scores"][1]) / TEMPERATURE for each in records],
        }
    )
    network = Transformer(str(folder / "base"), transformer_task="fill-mask", max_seq_length=LENGTH)
    network.query_length = QUERY_LENGTH
    model = SparseEncoder(modules=[network, SpladePooling("max")], device="cpu", similarity_fn_name="dot")
    loss = losses.SpladeLoss(
        model, losses.SparseMarginMSELoss(model), document_regularizer_weight=DOCUMENT_WEIGHT,
        query_regularizer_weight=QUERY_WEIGHT,
    )  # fmt: skip
    arguments = SparseEncoderTrainingArguments(
        output_dir=str(folder / "peer-run"), max_steps=steps, per_device_train_batch_size=queries, learning_rate=RATE,
        warmup_steps=round(0.05 * steps), logging_steps=TENTH, save_strategy="no", report_to=[], use_cpu=True,
        disable_tqdm=True, router_mapping={"query": "query", "passage_1": "document", "passage_2": "document"},
        dataloader_pin_memory=False, seed=1,
    )  # fmt: skip
    ramp = SpladeRegularizerWeightSchedulerCallback(loss, "quadratic", 0.33)
    SparseEncoderTrainer(model=model, args=arguments, train_dataset=data, loss=loss, callbacks=[ramp, Clock()]).train()
    model.save_pretrained(str(folder / "peer"), create_model_card=False)
    return times


SIDES = {"ours": train_ours, "peer": train_peer}


def train_side(side: str, folder: Path, size: Mapping[str, int]) -> dict[str, float]:
    """Trains one side in a child process; a side that is finished is not trained again."""
    path = folder / f"{side}.json"
    if not path.exists():
        print(side, flush=True)
        command = [sys.executable, __file__, "--child", json.dumps([side, str(folder), size["steps"], size["queries"]])]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, float] = json.loads(path.read_text())
    return found


def child(side: str, folder: Path, steps: int, queries: int) -> None:
    """Trains one side and writes its times and its peak memory."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    times = SIDES[side](folder, steps, queries)
    wall, cpu = (
        statistics.median((after[kind] - before[kind]) / TENTH for before, after in pairwise(times)) for kind in (0, 1)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"seconds": wall, "cpu_seconds": cpu, "mib": peak}
    (folder / f"{side}.json").write_text(json.dumps(result))


# ---- effectiveness ----


class Encoded:
    """A collection and its queries, encoded once; logits can be lowered afterwards.

    Args:
        model: The model.
        documents: Number of documents; 0: all.
    """

    def __init__(self, model: Path, documents: int) -> None:
        from splade_lucene import SpladeEncoder, read_corpus, read_qrels, read_topics

        cacm = SHARED / "data" / "cacm"
        self.qrels = read_qrels(cacm / "qrels.txt")
        corpus = list(read_corpus(cacm / "corpus.jsonl"))
        if documents:
            judged = {docid for judgments in self.qrels.values() for docid in judgments}
            corpus = [each for number, each in enumerate(corpus) if each.docid in judged or number % 8 == 0][:documents]
        topics = [topic for topic in read_topics(cacm / "topics.tsv") if topic.qid in self.qrels]
        encoder = SpladeEncoder(model, dtype="float32", device="cpu")
        self.docids, self.qids = [each.docid for each in corpus], [topic.qid for topic in topics]
        vectors = encoder.encode_documents([each.text for each in corpus])
        asked = encoder.encode_queries([topic.text for topic in topics])
        terms = {term: row for row, term in enumerate({term for vector in (*vectors, *asked) for term in vector})}
        self._documents, self._queries = _matrix(vectors, terms), _matrix(asked, terms)

    def lowered(self, amount: float) -> tuple[csr_matrix, csr_matrix]:
        """Queries and documents with all logits lowered by an amount: of log(1 + logit) only positive ones remain."""
        return _lower(self._queries, amount), _lower(self._documents, amount)

    def flops(self, amount: float = 0.0) -> float:
        """Products for an average query and document."""
        shares = [np.asarray((part > 0).mean(axis=0)).ravel() for part in self.lowered(amount)]
        return float(shares[0] @ shares[1])

    def terms(self, amount: float = 0.0) -> tuple[float, float]:
        """Active terms of a query and of a document."""
        queries, documents = self.lowered(amount)
        return queries.nnz / queries.shape[0], documents.nnz / documents.shape[0]

    def amount_for(self, flops: float) -> float:
        """How far the logits must be lowered for that many FLOPS."""
        low, high = 0.0, 20.0
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self.flops(middle) > flops else (low, middle)
        return high

    def measure(self, amount: float = 0.0) -> float:
        """nDCG@10."""
        from splade_lucene import evaluate

        queries, documents = self.lowered(amount)
        scores = (queries @ documents.T).toarray()
        run = {}
        for qid, row in zip(self.qids, scores, strict=True):
            best = np.argsort(-row, kind="stable")[:100]
            run[qid] = [(self.docids[number], float(row[number])) for number in best if row[number] > 0]
        return evaluate(self.qrels, run, ["nDCG@10"])["nDCG@10"]


def _matrix(vectors: list[dict[str, float]], terms: Mapping[str, int]) -> csr_matrix:
    starts = np.cumsum([0, *map(len, vectors)])
    columns = np.array([terms[term] for vector in vectors for term in vector])
    values = np.array([weight for vector in vectors for weight in vector.values()])
    return csr_matrix((values, columns, starts), shape=(len(vectors), len(terms)))


def _lower(matrix: csr_matrix, amount: float) -> csr_matrix:
    lowered = matrix.copy()
    lowered.data = np.log1p(np.maximum(np.expm1(lowered.data) - amount, 0))
    lowered.eliminate_zeros()
    return lowered


def main() -> None:
    """Trains, measures, and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a minute or two, to see that it works")
    parser.add_argument("--keep-work", action="store_true", help="use what an earlier, finished call trained")
    add_write_results(parser)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        side, folder, steps, queries = json.loads(arguments.child)
        child(side, Path(folder), steps, queries)
        return
    name = "small" if arguments.small else "full"
    size, work = SIZES[name], WORK / "training-benchmark" / name
    if (work / "done").exists() and not arguments.keep_work:
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    print(describe_machine(), f"{size['steps']} steps of {size['queries']} queries with {PASSAGES} passages", sep="; ")
    prepare(work, size["steps"], size["queries"])
    ours, peer = (train_side(side, work, size) for side in ("ours", "peer"))
    encoded = {
        side: Encoded(folder, size["documents"])
        for side, folder in (("base", work / "base"), ("ours", work / "ours" / "model"), ("peer", work / "peer"))
    }
    (work / "done").touch()
    flops = min(encoded["ours"].flops(), encoded["peer"].flops())
    measured = {}
    for side, each in encoded.items():
        amount = 0.0 if side == "base" else each.amount_for(flops)
        measured[side] = each.measure(amount)
        terms = each.terms(amount)
        print(
            f"{side}: nDCG@10 {each.measure():.4f} with {each.flops():.2f} FLOPS; lowered by {amount:.3f}: "
            f"{measured[side]:.4f} with {each.flops(amount):.2f} FLOPS, {terms[0]:.0f} and {terms[1]:.0f} terms"
        )
    share, cpu = ours["seconds"] / peer["seconds"], ours["cpu_seconds"] / peer["cpu_seconds"]
    print(
        f"a step takes {ours['seconds']:.3f} s, sentence-transformers {peer['seconds']:.3f} s: {1 / share:.2f} times as fast"
    )
    print(
        f"({share:.2f} of its time, {cpu:.2f} of its CPU time); peak memory {ours['mib']:,.0f} and {peer['mib']:,.0f} MiB"
    )
    if arguments.write_results:
        write_results("training", as_figures(name, ours, peer, measured, flops))


def as_figures(
    name: str, ours: Mapping[str, float], peer: Mapping[str, float], measured: Mapping[str, float], flops: float
) -> dict[str, dict[str, Any]]:
    """The figures to keep."""
    size = SIZES[name]
    what = f"a training step, {size['queries']} queries with {PASSAGES} passages, MiniLM"
    return {
        f"{name}/step": figure(
            what, ours["seconds"], "s", peer="sentence-transformers", peer_value=peer["seconds"],
            ratio=peer["seconds"] / ours["seconds"],
        ),
        f"{name}/memory": figure(
            "peak memory of the training", ours["mib"], "MiB", peer="sentence-transformers", peer_value=peer["mib"],
            ratio=peer["mib"] / ours["mib"],
        ),
        f"{name}/effectiveness": figure(
            f"CACM after {size['steps']} steps, at {flops:.2f} FLOPS", measured["ours"], "nDCG@10",
            peer="sentence-transformers", peer_value=measured["peer"], ratio=measured["ours"] / measured["peer"],
            base=measured["base"],
        ),
    }  # fmt: skip


if __name__ == "__main__":
    main()
