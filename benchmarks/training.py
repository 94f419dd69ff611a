#!/usr/bin/env python3
"""Training against sentence-transformers' SparseEncoderTrainer: time of a step, and memory.

    python benchmarks/training.py [--write-results]     # about 12 minutes on two cores; resumes if interrupted
    python benchmarks/training.py --small               # a minute or two

Both sides get the same base, the same triples in batches of the same size, the same number of steps, learning rate and
weights of FLOPS, in float32; the loss is MarginMSE with FLOPS (``SpladeLoss`` with ``SparseMarginMSELoss``). All else is the
default of each side. The base is the embedded model with its decoder's bias raised, so that a passage has 300 active terms; the
teacher is the embedded model itself, for two of BM25's passages of each query. Needs the extra ``train`` and the shared data
(SPLADE_LUCENE_SHARED).

Each side runs in a process of its own, which measures its peak memory. A step's time is the median over tens of steps, without
the first. ``--keep-work`` keeps what earlier calls made. ``benchmarks/training_effectiveness.py`` compares the effectiveness of
the trained models.
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
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from common import SHARED, WORK, add_write_results, describe_machine, figure, plain_embedded_model, write_results

QUERY_LENGTH = 32
PASSAGES = 2
QUERY_WEIGHT, DOCUMENT_WEIGHT = 0.03, 0.02
TEMPERATURE = 1.0
START_TERMS = 300
TENTH = 10


@dataclass(frozen=True)
class Setting:
    """What both sides are given.

    Attributes:
        steps: Steps.
        queries: Queries per step.
        length: Tokens per passage.
        rate: Learning rate of all weights.
        seed: Random seed.
        factor: Factor of both weights of FLOPS.
        has_fixed_scale: Whether the scores of this package's student keep their size, as the other side's do.
        has_dropout: Whether this package's student has the base's dropout, as the other side's does.
        device: ``cpu`` or ``cuda``.
    """

    steps: int
    queries: int
    length: int = 96
    rate: float = 2e-5
    seed: int = 1
    factor: float = 1.0
    has_fixed_scale: bool = False
    has_dropout: bool = True
    device: str = "cpu"

    @property
    def regularizers(self) -> dict[str, float]:
        """The weight of FLOPS for each side."""
        return {"query": self.factor * QUERY_WEIGHT, "document": self.factor * DOCUMENT_WEIGHT}


SIZES = {"small": Setting(20, 8), "full": Setting(120, 16)}


# ---- data ----


def prepare(folder: Path, count: int, length: int) -> None:
    """Writes the base, and triples with the teacher's scores.

    Args:
        folder: Where to.
        count: Number of triples.
        length: Tokens per passage.
    """
    from splade_lucene import Query, SpladeEncoder, read_corpus, read_topics
    from splade_lucene.index.texts import index_texts
    from splade_lucene.search.bm25 import search_texts

    if (folder / "triples.jsonl").exists():
        return
    data = SHARED / "data" / "training"
    base = folder / "base"
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(plain_embedded_model(), base)
    raise_bias(base, folder, length)
    index = WORK / "training-benchmark" / "bm25"
    passages = {document.docid: document.text for document in read_corpus(data / "passages.jsonl.gz")}
    if not index.is_dir():
        index_texts(read_corpus(data / "passages.jsonl.gz"), index)
    topics = list(read_topics(data / "queries.jsonl.gz"))
    rng = np.random.default_rng(1)
    chosen: list[Query] = [topics[row] for row in rng.permutation(len(topics))[: 2 * count]]
    found = search_texts(index, chosen, 20)
    pairs = []
    for topic in chosen:
        docids = [docid for docid, _ in found.get(topic.qid, ())]
        if len(docids) >= 4 and len(pairs) < count:
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


def raise_bias(base: Path, folder: Path, length: int) -> None:
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
        inputs = (tokenizer(text, truncation=True, max_length=length, return_tensors="pt") for text in sample)
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
    """The wall time and the CPU time at present."""
    return time.perf_counter(), time.process_time()


def train_ours(folder: Path, base: Path, setting: Setting) -> list[Moment]:
    """Trains with this package on the triples of a folder, into it; returns when each ten steps were done."""
    from splade_lucene.training import read_config, train

    fixed = {"score_scale": 1.0, "scale_learning_rate": 0.0} if setting.has_fixed_scale else {}
    settings = {
        "recipe": "distilsplade-max", "base": str(base), "output": str(folder / "ours"),
        "data": {"examples": str(folder / "triples.jsonl"), "temperature": TEMPERATURE},
        "losses": {"margin_mse": 1.0}, "mining": {"positives": 1},
        "sparsity": {f"{side}_weight": weight for side, weight in setting.regularizers.items()},
        "optimization": {
            "steps": setting.steps, "queries": setting.queries, "passages": PASSAGES, "max_length": setting.length,
            "query_max_length": QUERY_LENGTH, "learning_rate": setting.rate, "head_learning_rate": setting.rate,
            "log": TENTH, "checkpoint": setting.steps, "precision": "float32", "seed": setting.seed,
            "dropout": None if setting.has_dropout else 0.0, **fixed,
        },
    }  # fmt: skip
    path = folder / "ours.yaml"
    path.write_text(json.dumps(settings))  # JSON is YAML
    times: list[Moment] = []

    def note(_stage: str, done: int, _total: int, figures: Mapping[str, float]) -> None:
        if "loss" in figures:
            times.append(now())
            print(f"  step {done}: {figures['loss']:.3f}", file=sys.stderr, flush=True)

    train(read_config(path), device=setting.device, overwrite=True, report=note)
    return times


def train_peer(folder: Path, base: Path, setting: Setting) -> list[Moment]:
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
    network = Transformer(str(base), transformer_task="fill-mask", max_seq_length=setting.length)
    network.query_length = QUERY_LENGTH
    model = SparseEncoder(modules=[network, SpladePooling("max")], device=setting.device, similarity_fn_name="dot")
    loss = losses.SpladeLoss(
        model, losses.SparseMarginMSELoss(model),
        **{f"{side}_regularizer_weight": weight for side, weight in setting.regularizers.items()},
    )  # fmt: skip
    arguments = SparseEncoderTrainingArguments(
        output_dir=str(folder / "peer-run"), max_steps=setting.steps, per_device_train_batch_size=setting.queries,
        learning_rate=setting.rate, warmup_steps=round(0.05 * setting.steps), logging_steps=TENTH, save_strategy="no",
        report_to=[], use_cpu=setting.device == "cpu", disable_tqdm=True,
        router_mapping={"query": "query", "passage_1": "document", "passage_2": "document"},
        dataloader_pin_memory=False, seed=setting.seed,
    )  # fmt: skip
    ramp = SpladeRegularizerWeightSchedulerCallback(loss, "quadratic", 0.33)
    SparseEncoderTrainer(model=model, args=arguments, train_dataset=data, loss=loss, callbacks=[ramp, Clock()]).train()
    model.save_pretrained(str(folder / "peer"), create_model_card=False)
    return times


SIDES = {"ours": train_ours, "peer": train_peer}


def train_side(side: str, folder: Path, base: Path, setting: Setting) -> dict[str, float]:
    """Trains one side in a child process; a side that is finished is not trained again."""
    path = folder / f"{side}.json"
    if not path.exists():
        command = [
            sys.executable, str(Path(__file__).resolve()), "--child",
            json.dumps([side, str(folder), str(base), asdict(setting)]),
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, float] = json.loads(path.read_text())
    return found


def child(side: str, folder: Path, base: Path, setting: Setting) -> None:
    """Trains one side and writes its times and its peak memory."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    times = SIDES[side](folder, base, setting)
    wall, cpu = (
        statistics.median((after[kind] - before[kind]) / TENTH for before, after in pairwise(times)) for kind in (0, 1)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"seconds": wall, "cpu_seconds": cpu, "mib": peak}
    (folder / f"{side}.json").write_text(json.dumps(result))


def main() -> None:
    """Trains both sides and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a minute or two, to see that it works")
    parser.add_argument("--keep-work", action="store_true", help="use what an earlier, finished call trained")
    add_write_results(parser)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        side, folder, base, setting = json.loads(arguments.child)
        child(side, Path(folder), Path(base), Setting(**setting))
        return
    name = "small" if arguments.small else "full"
    size, work = SIZES[name], WORK / "training-benchmark" / name
    if (work / "done").exists() and not arguments.keep_work:
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    print(describe_machine(), f"{size.steps} steps of {size.queries} queries with {PASSAGES} passages", sep="; ")
    prepare(work, size.steps * size.queries, size.length)
    found = {}
    for side in SIDES:
        print(side, flush=True)
        found[side] = train_side(side, work, work / "base", size)
    (work / "done").touch()
    ours, peer = found["ours"], found["peer"]
    share, cpu = ours["seconds"] / peer["seconds"], ours["cpu_seconds"] / peer["cpu_seconds"]
    print(
        f"a step takes {ours['seconds']:.3f} s, sentence-transformers {peer['seconds']:.3f} s: {1 / share:.2f} times as fast"
    )
    print(
        f"({share:.2f} of its time, {cpu:.2f} of its CPU time); peak memory {ours['mib']:,.0f} and {peer['mib']:,.0f} MiB"
    )
    if arguments.write_results:
        write_results("training", as_figures(name, ours, peer))


def as_figures(name: str, ours: Mapping[str, float], peer: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """The figures to keep."""
    what = f"a training step, {SIZES[name].queries} queries with {PASSAGES} passages, MiniLM"
    return {
        f"{name}/step": figure(
            what, ours["seconds"], "s", peer="sentence-transformers", peer_value=peer["seconds"],
            ratio=peer["seconds"] / ours["seconds"],
        ),
        f"{name}/memory": figure(
            "peak memory of the training", ours["mib"], "MiB", peer="sentence-transformers", peer_value=peer["mib"],
            ratio=peer["mib"] / ours["mib"],
        ),
    }  # fmt: skip


if __name__ == "__main__":
    main()
