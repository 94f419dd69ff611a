#!/usr/bin/env python3
"""Kills a training run at random moments of each phase and compares the model with that of a run left alone, byte for byte.

    python benchmarks/training_kills.py [--kills 10] [--seed 1] [--phase saving]

The run is tiny, but has every phase: a masked-LM head is trained for a base without one, candidates are mined with BM25 and a
dense encoder, a cross-encoder scores them, two rounds are trained, and the model is saved. For each phase a run is killed with
SIGKILL that many times in that phase, each time after a random part of its duration, and started again; then it runs to its
end. Exits with 1 if a model differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import ROOT, describe_machine

sys.path.insert(0, str(ROOT / "tests"))

from support.checkpoints import bert
from support.training import write_config, write_training_data
from transformers.utils import logging

from splade_lucene.training import base as base_module
from splade_lucene.training import read_config, teacher_outputs, train, trainer

PHASES: dict[str, list[tuple[Any, str]]] = {
    "masked LM": [(base_module, "_train_head")],
    "mining": [(trainer, "mine")],
    "teacher scoring": [(teacher_outputs, "_parts")],
    "rounds": [(trainer, "run_to_end")],
    "saving": [(trainer._Run, "save_round"), (trainer._Run, "publish")],
}
"""Phase → the functions that do its work."""


@dataclass
class Outcome:
    """What became of one process.

    Attributes:
        is_killed: Whether it was killed.
        was_inside: Whether it was in the phase when it was killed.
        seconds: Phase → the longest call of its functions.
    """

    is_killed: bool = False
    was_inside: bool = False
    seconds: dict[str, float] = field(default_factory=dict)


def make_inputs(folder: Path) -> None:
    """Tiny data and networks."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel

    (folder / "data").mkdir()
    write_training_data(folder / "data")
    head = bert(folder / "head")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    config = BertConfig(vocab_size=30522, max_position_embeddings=64, num_labels=1, **sizes)
    torch.manual_seed(0)
    for name, kind in (("trunk", BertModel), ("cross", BertForSequenceClassification)):
        kind(config).save_pretrained(folder / name)
        AutoTokenizer.from_pretrained(head).save_pretrained(folder / name)
    network = Transformer(str(head))
    SentenceTransformer(modules=[network, Pooling(network.get_embedding_dimension())], device="cpu").save_pretrained(
        str(folder / "dense")
    )


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings of the run."""
    return {
        "recipe": "distilsplade-max", "rounds": 2,
        "teacher": {"dense": str(folder / "dense"), "cross_encoder": str(folder / "cross"), "bm25": 0.5, "max_length": 48},
        "head": {"mlm_steps": 24, "initial_terms": 500}, "mining": {"bm25": 5, "dense": 5, "splade": 5, "positives": 2},
        "optimization": {"steps": 16, "dropout": None, "checkpoint": 2, "log": 5},
    }  # fmt: skip


def watch(marks: int) -> None:
    """Has the functions of each phase write its number into a pipe before their work, and 100 more after it."""
    for number, functions in enumerate(PHASES.values()):
        for owner, name in functions:
            setattr(owner, name, _marked(getattr(owner, name), number, marks))


def _marked(function: Callable[..., Any], number: int, marks: int) -> Callable[..., Any]:
    def marked(*arguments: Any, **options: Any) -> Any:
        os.write(marks, bytes([number]))
        result = function(*arguments, **options)
        os.write(marks, bytes([100 + number]))
        return result

    return marked


def run_once(config: Path, phase: str = "", patience: float = 0.0) -> Outcome:
    """Trains in a process of its own.

    Args:
        config: The configuration.
        phase: The phase in which to kill it; empty: it runs to its end.
        patience: Seconds from the beginning of the phase after which it is killed.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _train_and_exit(config, writing)
    os.close(writing)
    outcome, names = Outcome(), list(PHASES)
    began: dict[str, float] = {}
    deadline = None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([reading], [], [], left)[0]:
            os.kill(process, signal.SIGKILL)
            outcome.is_killed, outcome.was_inside = True, phase in began
            break
        mark = os.read(reading, 1)
        if not mark:
            break
        name = names[mark[0] % 100]
        if mark[0] < 100:
            began[name] = time.monotonic()
            if name == phase and deadline is None:
                deadline = began[name] + patience
        elif name in began:
            outcome.seconds[name] = max(outcome.seconds.get(name, 0.0), time.monotonic() - began.pop(name))
    os.close(reading)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status not in (0, -signal.SIGKILL):
        sys.exit(f"the training failed with exit code {status}")
    return outcome


def _train_and_exit(config: Path, marks: int) -> None:
    code = 1
    try:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        teacher_outputs.PART_SIZE = 16  # so that there are parts to resume after
        watch(marks)
        train(read_config(config), device="cpu")
        code = 0
    except Exception as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def digest(output: Path) -> str:
    """SHA-256 of the model's weights."""
    return hashlib.sha256((output / "model" / "model.safetensors").read_bytes()).hexdigest()


def main() -> None:
    """Prints a line for each phase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="kills in each phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phase", choices=PHASES, action="append", help="only this phase; may be repeated")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = os.fork()  # the parent must never have computed anything: threads do not survive a fork
        if process == 0:
            make_inputs(folder)
            os._exit(0)
        os.waitpid(process, 0)
        config = write_config(folder, folder / "data", folder / "trunk", **settings_of(folder))
        start = time.monotonic()
        alone = run_once(config)
        expected, different = digest(folder / "out"), 0
        print(f"left alone: {time.monotonic() - start:.0f} s, {expected[:12]}", flush=True)
        for phase in arguments.phase or PHASES:
            shutil.rmtree(folder / "out")
            longest = alone.seconds[phase] * (0.3 if phase in ("masked LM", "rounds") else 1)
            kills = inside = 0
            for _ in range(arguments.kills):
                outcome = run_once(config, phase, rng.uniform(0, longest))
                kills += outcome.is_killed
                inside += outcome.was_inside
                if not outcome.was_inside:  # the phase is over, and is not run again in this folder
                    shutil.rmtree(folder / "out", ignore_errors=True)
            run_once(config)
            is_same = digest(folder / "out") == expected
            different += not is_same
            told = "the same bytes" if is_same else "OTHER BYTES"
            print(f"{phase}: killed {kills} times, {inside} of them inside its functions: {told}", flush=True)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
