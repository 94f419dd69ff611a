"""A training run from its configuration to a checkpoint, in steps each of which is found again after a kill.

What is made lies in the output folder:

    settings.json       the configuration; another one is refused
    round-1, round-2    examples.jsonl.gz, checkpoints, the round's model, and its index for the next round
    log.jsonl           figures of each step that was logged
    model               the model that comes out, with README.md and training.json

and in the same folder or one that several runs share, named after what it was made from:

    base-…              the base with a masked-LM head
    embeddings          a dense teacher's vectors
    bm25-index-…        the BM25 index of the passages
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers.sparse_encoder import (
    SparseEncoderTrainer,
    SparseEncoderTrainingArguments,
    losses,
)
from transformers import set_seed

from splade_lucene.encoder import SpladeEncoder
from splade_lucene.encoder.precision import choose_device, native_dtype
from splade_lucene.encoding import encode_corpus
from splade_lucene.errors import ConfigError
from splade_lucene.files import written_whole
from splade_lucene.indexer import index_pseudo_documents
from splade_lucene.quantizer import DEFAULT_RULE, Quantizer
from splade_lucene.training.base import prepare_base
from splade_lucene.training.card import write_card
from splade_lucene.training.config import Teacher, TrainingConfig
from splade_lucene.training.examples import Example, Texts, read_examples, read_texts, write_examples
from splade_lucene.training.losses import RankingLoss
from splade_lucene.training.mining import Sources, mine
from splade_lucene.training.network import Student
from splade_lucene.training.progress import Report, TrainingProgress, no_report
from splade_lucene.training.recipes import RECIPES, Recipe
from splade_lucene.training.resuming import run_to_end
from splade_lucene.training.sampling import draw_rows, to_columns
from splade_lucene.training.sparsity import SparsityController
from splade_lucene.training.teachers import RankedScorer, Scorer
from splade_lucene.training.validation import IndexEvaluator, measure_model


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    Attributes:
        model: Folder of the checkpoint.
        figures: Its measures on the validation data; empty without such.
        seconds: How long this process took.
    """

    model: Path
    figures: dict[str, float]
    seconds: float


def train(
    config: TrainingConfig, *, device: str = "auto", overwrite: bool = False, report: Report = no_report
) -> TrainingResult:
    """Trains a model. Killed at any point, the same call goes on.

    Args:
        config: What to do; see :func:`splade_lucene.training.read_config`.
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
        overwrite: Start anew over a run with other settings.
        report: Told how far it is.

    Raises:
        ConfigError: The output folder holds a run with other settings, or settings do not go together.
        ExamplesError, CorpusError, TopicsError: Data cannot be read; names file and line.
        ModelError: Base or teacher cannot be loaded.
        TrainingError: A loss or gradient is not finite.
        StorageError: The disk refused.
    """
    start = time.monotonic()
    run = _Run(config, choose_device(device), report)
    run.claim_output(overwrite)
    for number in range(1, config.rounds + 1):
        run.train_round(number)
    figures = run.finish()
    return TrainingResult(run.output / "model", figures, time.monotonic() - start)


class _Trainer(SparseEncoderTrainer):  # type: ignore[misc]
    """Without the model card of sentence-transformers, which asks the hub; ours is written at the end."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Adds none."""


class _Run:
    def __init__(self, config: TrainingConfig, device: torch.device, report: Report) -> None:
        self.config, self.device = config, device
        self.output = Path(config.output)
        self.cache = Path(config.cache or config.output)
        self.recipe: Recipe = RECIPES[config.recipe]
        self.losses = config.losses or self.recipe.losses
        self.progress = TrainingProgress(report, self.output / "log.jsonl")

    def claim_output(self, overwrite: bool) -> None:
        path = self.output / "settings.json"
        settings = self.config.model_dump(mode="json", exclude={"output", "cache"})
        if path.is_file() and (before := json.loads(path.read_text(encoding="utf-8"))) != settings:
            if not overwrite:
                keys = [key for key in settings if settings[key] != before.get(key)]
                raise ConfigError(
                    f"the folder holds a run with other settings ({', '.join(keys)})", path=self.output,
                    remedy="Give another output, or --overwrite to start anew",
                )  # fmt: skip
            for each in ("round-1", "round-2", "model"):
                shutil.rmtree(self.output / each, ignore_errors=True)
        with written_whole(path) as file:
            json.dump(settings, file, indent=1)

    def train_round(self, number: int) -> None:
        folder = self.output / f"round-{number}"
        if (folder / "model" / "modules.json").is_file():
            return
        examples = self.examples(number, folder)
        base = self.base
        set_seed(self.config.optimization.seed)
        student = self.new_student(base)
        ranking = RankingLoss(student.encoder, self.losses, student.scale, self.scorer(examples), self.temperature)
        trainer = self.new_trainer(student, ranking, examples, folder / "checkpoints")
        run_to_end(trainer, folder / "checkpoints")
        shutil.rmtree(folder / "partial", ignore_errors=True)
        student.save(folder / "partial", self.config.optimization.max_length)
        (folder / "partial").rename(folder / "model")
        shutil.rmtree(folder / "checkpoints")

    def finish(self) -> dict[str, float]:
        last = self.output / f"round-{self.config.rounds}" / "model"
        figures: dict[str, float] = {}
        if self.config.validation is not None:
            figures = measure_model(last, self.config.validation, self.output / "validation", device=str(self.device))
            self.progress.write("final", self.config.optimization.steps, figures)
        target = self.output / "model"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(last, target)
        write_card(target, self.config, figures, queries=len(self.texts.queries), passages=len(self.texts.passages))
        return figures

    # ---- what is learned from ----

    @cached_property
    def texts(self) -> Texts:
        return read_texts(self.config.data.passages, self.config.data.queries)

    def examples(self, number: int, folder: Path) -> list[Example]:
        if self.config.data.examples is not None:
            return read_examples(self.config.data.examples, self.texts)
        path = folder / "examples.jsonl.gz"
        if not path.is_file():
            mining = self.config.mining
            if number == 2:
                mining = mining.model_copy(update={"index": str(self.index_of_first_round())})
            write_examples(path, self.texts, mine(self.sources, mining, self.progress.tell))
        return read_examples(path, self.texts)

    @cached_property
    def sources(self) -> Sources:
        """Candidates and scores of the queries that are trained on."""
        settings = self.config.optimization
        order = np.random.default_rng(settings.seed).permutation(len(self.texts.queries))
        chosen = np.sort(order[: settings.steps * settings.queries])
        return Sources(self.texts, chosen, self.config.teacher, self.cache, self.progress.tell)

    def scorer(self, examples: list[Example]) -> Scorer | None:
        losses_of_teacher = (self.losses.margin_mse, self.losses.kl, self.losses.in_batch_kl)
        if not any(losses_of_teacher):
            return None
        teacher: Teacher | None = self.config.teacher
        if teacher is not None and not teacher.cross_encoder and self.sources.scorer is not None:
            return self.sources.scorer
        if examples[0].scores is None:
            raise ConfigError(
                "margin_mse and kl need a teacher or scored lists, and the examples have no scores",
                path=self.config.data.examples, remedy="Name a teacher, add scores, or use losses.contrastive",
            )  # fmt: skip
        rankings = [(np.zeros(0, np.int64), np.zeros(0, np.float32))] * len(self.texts.queries)
        for example in examples:
            assert example.scores is not None
            rankings[example.query] = (example.passages, example.scores)
        return RankedScorer(rankings, len(self.texts.passages), is_absolute=False)

    @property
    def temperature(self) -> float:
        return self.config.teacher.temperature if self.config.teacher else 0.1

    def index_of_first_round(self) -> Path:
        index = self.output / "round-1" / "index"
        if not index.is_dir():
            folder = self.output / "round-1" / "pseudo-documents"
            encoder = SpladeEncoder(
                self.output / "round-1" / "model",
                max_length=self.config.optimization.max_length,
                device=str(self.device),
            )
            total = len(self.texts.passages)
            done = 0

            def advance(count: int, *_: Any, **__: Any) -> None:
                nonlocal done
                done += count
                self.progress.tell("encoding for the second round", done, total)

            rule = Quantizer.named(DEFAULT_RULE)
            encode_corpus(self.config.data.passages, folder, encoder, rule, progress=advance)
            index_pseudo_documents(folder, index, store="none")
            shutil.rmtree(folder)
        return index

    # ---- what learns ----

    @cached_property
    def base(self) -> Path:
        return prepare_base(
            self.config, self.texts, self.cache, self.arguments(), self.progress
        )  # fmt: skip

    def new_student(self, base: Path) -> Student:
        settings = self.config.optimization
        student = Student(
            base, pooling=self.recipe.pooling, is_doc=self.recipe.is_doc, max_length=settings.max_length,
            score_scale=settings.score_scale, dropout=settings.dropout, device=str(self.device),
        )  # fmt: skip
        student.network.query_length = settings.query_max_length
        return student

    def new_trainer(
        self, student: Student, ranking: RankingLoss, examples: list[Example], folder: Path
    ) -> SparseEncoderTrainer:
        settings, sparsity = self.config.optimization, self.config.sparsity
        rows = draw_rows(examples, settings, self.config.mining.positives, len(self.texts.passages))
        columns = to_columns(rows, self.texts)
        routes = {name: "query" if name == "query" else "document" for name in columns if name != "label"}
        loss = losses.SpladeLoss(
            model=student.encoder, loss=ranking, document_regularizer_weight=sparsity.document_weight,
            query_regularizer_weight=None if self.recipe.is_doc else sparsity.query_weight,
        )  # fmt: skip
        validation = self.config.validation
        is_validated = validation is not None and validation.every > 0
        trunk = student.network.model.base_model_prefix
        arguments = SparseEncoderTrainingArguments(
            output_dir=str(folder), max_steps=settings.steps, per_device_train_batch_size=settings.queries,
            learning_rate=settings.learning_rate, warmup_steps=round(settings.warmup * settings.steps),
            weight_decay=settings.weight_decay, router_mapping=routes,
            learning_rate_mapping={
                rf"^(?!.*\.{trunk}\.)": settings.head_learning_rate,
                r"scale.*logarithm$|\d\.logarithm$": 10 * settings.head_learning_rate,
            },
            eval_strategy="steps" if is_validated else "no", eval_steps=validation.every if validation else None,
            **self.arguments(),
        )  # fmt: skip
        evaluator = None
        if validation is not None and is_validated:
            evaluator = IndexEvaluator(student, validation, self.output / "validation", self.progress)
        return _Trainer(
            model=student.encoder, args=arguments, train_dataset=Dataset.from_dict(columns), loss=loss,
            evaluator=evaluator,
            callbacks=[
                SparsityController(loss, ranking, sparsity),
                self.progress.callback(self.config.recipe, ranking, student.scale),
            ],
        )  # fmt: skip

    def arguments(self) -> dict[str, Any]:
        """What every trainer of transformers is told here."""
        settings = self.config.optimization
        precision = native_dtype(self.device) if settings.precision == "auto" else settings.precision
        return {
            "bf16": precision == "bfloat16", "use_cpu": self.device.type == "cpu", "seed": settings.seed,
            "data_seed": settings.seed, "save_steps": settings.checkpoint, "save_total_limit": 2,
            "logging_steps": settings.log, "logging_nan_inf_filter": False, "report_to": [], "disable_tqdm": True,
            "dataloader_pin_memory": self.device.type == "cuda", "lr_scheduler_type": "linear",
        }  # fmt: skip
