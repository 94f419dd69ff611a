"""A training run from configuration to checkpoint, in resumable steps.

The output folder contains:

    settings.json       the configuration and digests of its inputs; a different run is refused
    splade-lucene.lock  held by the training process
    round-1, round-2    examples.jsonl.gz, checkpoints, the round's model, and its index for the next round; data.json, what the
                        data are; kept.json, the step of the model and why; with ``keep: all``, validated/step-N for each
                        validated model
    log.jsonl           figures of each logged step
    curves.csv, .png    the same as a table and, with matplotlib, as curves
    tensorboard         TensorBoard's files, if it is in ``report_to``
    model               the final model, with README.md and training.json
    figures.json        the measures of the model, and the validation settings

The cache folder, which is the output folder or one shared by several runs, contains files named by digests of their inputs:

    base-…              the base with a masked-LM head; mlm-….lock is held while it is being prepared
    embeddings          a dense teacher's vectors
    bm25-index-…        the BM25 index of the passages; bm25-index-….lock is held while it is being built
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sparse_encoder import (
    SparseEncoderTrainer,
    SparseEncoderTrainingArguments,
    losses,
)
from torch.utils.data import SequentialSampler
from transformers import TrainerCallback, set_seed

from splade_lucene.encoder import SpladeEncoder
from splade_lucene.encoder.precision import choose_device, native_dtype
from splade_lucene.encoder.settings import DocumentSettings
from splade_lucene.errors import ConfigError, TrainingError
from splade_lucene.files.exchange import replace_folder
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.typed_data import make
from splade_lucene.index.build import build_index
from splade_lucene.quantizer import DEFAULT_RULE, Quantizer
from splade_lucene.training.base import PREPARED, network_folder, prepare_base
from splade_lucene.training.calibration import calibrate_scale
from splade_lucene.training.card import Facts, write_card
from splade_lucene.training.checks import check_run
from splade_lucene.training.config import TrainingConfig
from splade_lucene.training.data_report import DATA, TrainingDataReport, count_validated, describe_training_data
from splade_lucene.training.example_scorer import ExampleScorer
from splade_lucene.training.examples import Examples, Texts, read_examples, write_examples
from splade_lucene.training.losses import RankingLoss
from splade_lucene.training.mining import Sources, mine
from splade_lucene.training.network import Student
from splade_lucene.training.output_folder import FIGURES, LOG, OutputFolder, describe_validation
from splade_lucene.training.probe import Probe, StopAtCollapse
from splade_lucene.training.progress import FINAL, Report, TrainingProgress, no_report
from splade_lucene.training.recipes import RECIPES, Recipe
from splade_lucene.training.resuming import (
    checkpoint_step,
    last_checkpoint,
    preserved_random_state,
    run_to_end,
    translate_disk_errors,
)
from splade_lucene.training.run_page import describe_plan
from splade_lucene.training.sampling import draw_rows, queries_to_mine, require_passages, to_columns
from splade_lucene.training.selection import CHOICE_FILE, Choice, ValidatedModels
from splade_lucene.training.sparsity import SparsityController
from splade_lucene.training.teachers import Rows, Scorer
from splade_lucene.training.trackers import keep_tensorboard_in
from splade_lucene.training.training_data import TrainingData
from splade_lucene.training.validation import IndexEvaluator, measure_model


@dataclass(frozen=True)
class _Figures:
    """What the file of figures holds."""

    figures: dict[str, float]
    validation: dict[str, Any] | None


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training run.

    Attributes:
        model: Folder of the checkpoint.
        figures: Its measures on the validation data; empty without validation data.
        seconds: Running time of this process.
    """

    model: Path
    figures: dict[str, float]
    seconds: float


def train(
    config: TrainingConfig, *, device: str = "auto", overwrite: bool = False, report: Report = no_report
) -> TrainingResult:
    """Trains a model. If the process is killed at any point, the same call resumes; finished steps are not repeated.

    Args:
        config: The training run; see :func:`splade_lucene.training.read_config`.
        device: ``auto`` (a GPU if available), ``cpu`` or ``cuda``.
        overwrite: Delete the output of an earlier run in the output folder and restart.
        report: Receives progress.

    Raises:
        ConfigError: The output folder has a run with different settings or data, or unrelated files; another process is
            using it; or settings conflict.
        ExamplesError, CorpusError, TopicsError, RunError: Data cannot be read; the message names file and line.
        ModelError: The base or a teacher cannot be loaded.
        TrainingError: A loss or gradient is not finite, or the model has lost all its terms. The last good model is then in
            ``model``.
        StorageError: The disk is full or not writable.
    """
    start = time.monotonic()
    chosen = choose_device(device)
    if chosen.index:
        raise ConfigError("training uses the first visible GPU", remedy=f"Set CUDA_VISIBLE_DEVICES={chosen.index}")
    run = _Run(config, chosen, report)
    folder = OutputFolder(config)
    with translate_disk_errors(run.output):
        run.check()
        with folder.claimed(overwrite=overwrite) as before:
            run.set_precision(before)
            folder.write_settings(run.precision)
            figures = run.finished_figures()
            if figures is None:
                for number in range(1, config.rounds + 1):
                    run.train_round(number)
                figures = run.finish()
    return TrainingResult(run.output / "model", figures, time.monotonic() - start)


def time_steps(
    config: TrainingConfig, data: TrainingData, student: Student, rows: NDArray[np.int32], scorer: Scorer, steps: int
) -> float:  # fmt: skip
    """Trains a student for a few steps, as :func:`train` does, and times them. Only a temporary folder is written.

    Args:
        config: The training run.
        data: Its data.
        student: The student; its weights change.
        rows: Rows of each query and its passages; shape [examples, 1 + passages].
        scorer: The teacher, or anything that takes its place.
        steps: Steps to time, after a first one that is not.

    Returns:
        Mean seconds.
    """
    clock = _Clock(steps)
    with tempfile.TemporaryDirectory() as folder:
        alone = {"output": folder, "validation": None, "keep": None, "report_to": ()}
        run = _Run(config.model_copy(update=alone), student.encoder.device, no_report)
        run.data = data
        run.set_precision({})
        known = data.known_positives(data.examples) if data.masks_positives and config.data.examples else None
        ranking = RankingLoss(student.encoder, run.losses, student.scale, scorer, data.temperature, known)
        trainer = run.new_trainer(student, ranking, rows, Path(folder), None, None)
        trainer.add_callback(clock)
        run_to_end(trainer, Path(folder) / "checkpoints", "optimization.learning_rate or head_learning_rate")
    return clock.mean


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Ends a training after a few steps, and keeps it from saving, validating and logging."""

    def __init__(self, steps: int) -> None:
        self._steps, self._times = steps, list[float]()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Starts the clock."""
        self._times = [time.monotonic()]

    def on_step_end(self, args: Any, _state: Any, control: Any, **_: Any) -> Any:
        """Runs after each step."""
        if args.device.type == "cuda":
            torch.cuda.synchronize()
        self._times.append(time.monotonic())
        control.should_save = control.should_evaluate = control.should_log = False
        control.should_training_stop = control.should_training_stop or len(self._times) > 1 + self._steps
        return control

    @property
    def mean(self) -> float:
        """The mean time of a step, without the first one if there are more."""
        times = np.diff(self._times)
        return float(np.mean(times[1:] if len(times) > 1 else times))


class _Trainer(SparseEncoderTrainer):  # type: ignore[misc]
    """A trainer that keeps batches as drawn and omits sentence-transformers' model card, which queries the hub.

    Args:
        texts: The texts that the rows in the data set's columns refer to, so that each text is in memory only once.
        more_figures: Returns figures to log for the last step.
        options: Options of sentence-transformers' trainer.
    """

    def __init__(self, texts: Texts, more_figures: Callable[[], dict[str, float]], **options: Any) -> None:
        self._texts = {"query": texts.queries, "document": texts.passages}
        self._more_figures = more_figures
        super().__init__(**options)

    def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """Logs more figures with the loss, for trackers too."""
        super().log({**logs, **self._more_figures()} if "loss" in logs else logs, *args, **options)

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Evaluates; sentence-transformers' own data loader, too, draws a random number."""
        with preserved_random_state():
            figures: dict[str, float] = super().evaluate(*args, **options)
        return figures

    def _save(self, output_dir: str | None = None, *_: Any, **__: Any) -> None:
        """Saves a checkpoint without a model card, which would take longer than all else of a small model."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with preserved_random_state():
            self.model.save_pretrained(str(folder), create_model_card=False)

    def get_data_collator(self, *args: Any, **options: Any) -> Any:
        """Sentence-transformers' own collator, with rows replaced by texts."""
        collator = super().get_data_collator(*args, **options)
        preprocess = collator.preprocess_fn

        def preprocess_rows(rows: list[int], *, task: str, **others: Any) -> Any:
            return preprocess([self._texts[task][row] for row in rows], task=task, **others)

        collator.preprocess_fn = preprocess_rows
        return collator

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Adds no callback: the card is written at the end."""

    def get_batch_sampler(self, dataset: Any, batch_size: int, drop_last: bool, **options: Any) -> Any:  # noqa: FBT001
        """Keeps the order of the rows, which is random already and has no duplicate queries within a batch."""
        return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last, **options)

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """All parameters except the scale of the scores."""
        return [name for name in super().get_decay_parameter_names(model) if not name.endswith("logarithm")]


class _Run:
    def __init__(self, config: TrainingConfig, device: torch.device, report: Report) -> None:
        self.config, self.device = config, device
        self.output = Path(config.output)
        self.cache = Path(config.cache or config.output)
        self.recipe: Recipe = RECIPES[config.recipe]
        self.losses = config.losses or self.recipe.losses
        self.positives = config.mining.positives or self.recipe.positives
        self.data = TrainingData(config, self.losses, self.positives)
        self.progress = TrainingProgress(report, self.output / LOG)
        self.progress.rounds = config.rounds
        self.precision: str = config.optimization.precision
        self.sparsity: SparsityController | None = None

    # ---- checks ----

    def check(self) -> None:
        """Rejects runs that would fail after hours."""
        check_run(self.config, self.losses)
        self.data.check()
        require_passages(self.config.optimization, len(self.texts.passages))

    def set_precision(self, before: dict[str, Any]) -> None:
        """Resolves ``auto``: as when the run began, because a new measurement could give another result."""
        if self.precision == "auto":
            self.precision = before.get("computed_in") or native_dtype(self.device)

    # ---- training ----

    def train_round(self, number: int) -> None:
        folder = self.output / f"round-{number}"
        self.progress.begin_round(number)
        if not (folder / "model").is_dir():
            set_seed(self.config.optimization.seed)
            examples = self.examples(number, folder)
            rows = draw_rows(examples, self.config.optimization, self.positives, len(self.texts.passages))
            scorer = self.scorer(examples, rows)
            student = self.new_student()
            describe_training_data(
                self.config, self.data, student.network.tokenizer, examples=examples, rows=rows, scorer=scorer
            ).write(folder / DATA)
            known = self.data.known_positives(examples) if self.data.masks_positives else None
            ranking = RankingLoss(student.encoder, self.losses, student.scale, scorer, self.data.temperature, known)
            probe = Probe(student, self.texts, rows, self.config.optimization.seed)
            models = self.validated_models(folder)
            trainer = self.new_trainer(
                student, ranking, rows, folder, StopAtCollapse(probe, ranking, self.config), models
            )
            if last_checkpoint(folder / "checkpoints") is None:
                self.set_scale(trainer, student, ranking)
            try:
                run_to_end(trainer, folder / "checkpoints", "optimization.learning_rate or head_learning_rate")
            except TrainingError as error:
                step = trainer.state.global_step
                where = "" if "step" in str(error) else f"step {step + 1}: "
                rescued = self.rescue(trainer, student, folder, models, f"{where}{error}".partition(". ")[0])
                raise TrainingError(f"{where}{error} {rescued}") from error
            choice = self.choose(student, models)
            self.complete(student, probe, choice, folder)
            self.save_round(student, choice, folder)
            (folder / "partial").rename(folder / "model")
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        if self.config.keep != "all":
            shutil.rmtree(folder / "validated", ignore_errors=True)

    def validated_models(self, folder: Path) -> ValidatedModels | None:
        validation = self.config.validation
        if validation is None or not self.config.is_validated or self.config.keep == "last":
            return None
        validated_on = describe_validation(validation)
        return ValidatedModels(folder / "validated", validated_on, is_complete=self.config.keep == "all")

    def choose(self, student: Student, models: ValidatedModels | None) -> Choice:
        """Gives the student the weights of the step that is kept."""
        last = self.config.optimization.steps
        found = None if models is None else models.best()
        if found is None:
            return Choice(last, "it is the last one")
        path, choice = found
        if choice.step != last:
            student.load(network_folder(str(path)))
        return choice

    def complete(self, student: Student, probe: Probe, choice: Choice, folder: Path) -> None:
        """Averages the weights with the base's and raises the threshold, unless this would remove all terms."""
        threshold = self.config.sparsity.threshold
        student.average_with_base(self.config.optimization.base_share)
        student.raise_threshold(threshold)
        fault = probe.measure().fault if threshold else None
        if fault:
            student.raise_threshold(-threshold)
            self.save_round(student, choice, folder)
            stopped = f"with sparsity.threshold ({threshold:g}), {fault}"
            self.publish(folder / "partial", Choice.read(folder / CHOICE_FILE), {}, stopped=stopped)
            raise TrainingError(
                f"{stopped}. Lower it and restart with overwrite=True. The model without it is in {self.output / 'model'}."
            )

    def rescue(self, trainer: Any, student: Student, folder: Path, models: ValidatedModels | None, stopped: str) -> str:
        """Publishes the last good model of a round that cannot continue; says where it is."""
        self.progress.draw()
        found = None if models is None else models.best()
        checkpoint = last_checkpoint(folder / "checkpoints")
        if found is not None:
            choice = found[1]
            student.load(network_folder(str(found[0])))
        elif checkpoint is not None:
            choice = Choice(checkpoint_step(checkpoint), "it is the last checkpoint before the training stopped")
            trainer._load_from_checkpoint(checkpoint)
        else:
            choice = Choice(0, "the training stopped before its first checkpoint; it is the base")
            student.load(student.base)
        self.save_round(student, choice, folder)
        self.publish(folder / "partial", Choice.read(folder / CHOICE_FILE), {}, stopped=stopped)
        return f"The model of step {choice.step} is in {self.output / 'model'}."

    def save_round(self, student: Student, choice: Choice, folder: Path) -> None:
        """Saves the round's model as ``partial``."""
        shutil.rmtree(folder / "partial", ignore_errors=True)
        student.save(folder / "partial", self.config.optimization.max_length)
        head = parse_json((student.base / PREPARED).read_text(encoding="utf-8"))
        adapted = {} if self.sparsity is None else self.sparsity.adapted
        replace(choice, head=head, adapted=adapted).write(folder / CHOICE_FILE)

    def finish(self) -> dict[str, float]:
        last = self.output / f"round-{self.config.rounds}"
        figures: dict[str, float] = {}
        if self.config.validation is not None:
            figures = measure_model(
                last / "model", self.config.validation, self.output / "validation", device=str(self.device)
            )
            self.progress.write(FINAL, self.config.optimization.steps, figures)
        self.progress.draw()
        self.publish(last / "model", Choice.read(last / CHOICE_FILE), figures)
        with atomic_text_writer(self.output / FIGURES) as file:
            json.dump({"figures": figures, "validation": self.validation_settings()}, file, indent=1)
        return figures

    def publish(self, source: Path, choice: Choice, figures: dict[str, float], *, stopped: str | None = None) -> None:
        """Copies a model to ``model``, with its card.

        Args:
            source: Folder of the model.
            choice: Its step.
            figures: Its measures.
            stopped: Why the training ended early; None if it did not.
        """
        target, partial = self.output / "model", self.output / "model.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial)
        facts = Facts(
            figures, len(self.texts.queries), len(self.texts.passages), self.losses, self.recipe, choice, self.precision,
            None if not self.losses.is_distilled else self.data.temperature, stopped,
            self.data_report(source.parent),
        )  # fmt: skip
        write_card(partial, self.config, facts)
        (self.output / FIGURES).unlink(missing_ok=True)
        replace_folder(partial, target)

    def data_report(self, folder: Path) -> TrainingDataReport:
        """The report of a round, with the validation of the present configuration, which may be another one."""
        report = TrainingDataReport.read(folder / DATA)
        counts: dict[str, Any] = {"validated": None, "validated_trained": 0}
        if self.config.validation is not None:
            trained = np.unique(self.examples(self.config.rounds, folder).queries).tolist()
            counts |= count_validated(self.config, self.texts, trained)
        return replace(report, plan=describe_plan(self.config), **counts)

    def finished_figures(self) -> dict[str, float] | None:
        """The figures of a finished model that was measured on the same data; else None."""
        path = self.output / FIGURES
        if not (path.is_file() and (self.output / "model").is_dir()):
            return None
        try:
            record = make(_Figures, parse_json(path.read_text(encoding="utf-8")))
            return record.figures if record.validation == self.validation_settings() else None
        except (OSError, ValueError):
            return None  # damaged: measure again

    def validation_settings(self) -> dict[str, Any] | None:
        validation = self.config.validation
        return None if validation is None else describe_validation(validation)

    # ---- training data ----

    @property
    def texts(self) -> Texts:
        return self.data.texts

    def examples(self, number: int, folder: Path) -> Examples:
        if self.config.data.examples is not None:
            return self.data.examples
        path = folder / "examples.jsonl.gz"
        if not path.is_file():
            mining = self.config.mining
            if number == 2:
                mining = mining.model_copy(update={"index": str(self.index_of_first_round())})
            chosen = queries_to_mine(self.config.optimization, len(self.texts.queries))
            missing, is_distilled = self.config.data.missing_scores, self.losses.is_distilled
            mined = mine(self.sources(chosen), mining, missing=missing, is_distilled=is_distilled)
            write_examples(path, self.texts, mined)
        return read_examples(path, self.texts)

    def scorer(self, examples: Examples, rows: NDArray[np.int32]) -> Scorer | None:
        """The scorer to distil from: the teacher, or the known scores of the examples' own passages."""
        if not self.losses.is_distilled:
            return None
        teacher = self.config.teacher
        is_mined = self.config.data.examples is None
        if teacher is None or (is_mined and teacher.cross_encoder):
            return ExampleScorer(examples, len(self.texts.queries))
        candidates: dict[int, set[int]] = {}
        for query, *passages in map(np.ndarray.tolist, rows):
            candidates.setdefault(query, set()).update(passages)
        sources = self.sources(np.array(sorted(candidates)))
        return sources.scorer({query: np.array(sorted(found)) for query, found in candidates.items()})

    def sources(self, queries: Rows) -> Sources:
        device = str(self.device)
        return Sources(self.texts, queries, self.config.teacher, self.cache, device, self.progress.follow)

    def index_of_first_round(self) -> Path:
        index = self.output / "round-1" / "index"
        if not index.is_dir():
            length = self.config.optimization.max_length
            encoder = SpladeEncoder(
                self.output / "round-1" / "model",
                documents=DocumentSettings(max_length=length),
                device=str(self.device),
            )
            assert self.config.data.passages is not None
            build_index(
                self.config.data.passages, index, encoder, Quantizer.named(DEFAULT_RULE), store="none",
                progress=self.progress.follow("for the second round"),
            )  # fmt: skip
        return index

    # ---- student and trainer ----

    def new_student(self) -> Student:
        settings = self.config.optimization
        base = prepare_base(self.config, self.texts, self.cache, self.arguments(), self.progress)
        set_seed(settings.seed)
        student = Student(
            base, pooling=self.recipe.pooling, is_doc=self.recipe.is_doc, max_length=settings.max_length,
            dropout=settings.dropout, device=str(self.device),
        )  # fmt: skip
        student.network.query_length = settings.query_max_length
        return student

    def set_scale(self, trainer: SparseEncoderTrainer, student: Student, ranking: RankingLoss) -> None:
        scale = self.config.optimization.score_scale
        if scale is None:
            scale = calibrate_scale(trainer, student, ranking)
            set_seed(self.config.optimization.seed)  # undoes the calibration's random draws
        student.scale.set(scale)

    def new_trainer(
        self, student: Student, ranking: RankingLoss, rows: NDArray[np.int32], folder: Path, guard: StopAtCollapse | None,
        models: ValidatedModels | None,
    ) -> SparseEncoderTrainer:  # fmt: skip
        settings, sparsity, validation = self.config.optimization, self.config.sparsity, self.config.validation
        columns = to_columns(rows)
        rates = {student.head_pattern: settings.head_learning_rate}
        student.scale.requires_grad_(settings.scale_learning_rate > 0)
        if settings.scale_learning_rate:
            rates[r"\.logarithm$"] = settings.scale_learning_rate
        with _without_warnings():  # that the queries of SPLADE-doc are not regularized
            loss = losses.SpladeLoss(
                model=student.encoder, loss=ranking, document_regularizer_weight=sparsity.document_weight,
                query_regularizer_weight=None if self.recipe.is_doc else sparsity.query_weight,
            )  # fmt: skip
        is_validated = self.config.is_validated
        arguments = SparseEncoderTrainingArguments(
            output_dir=str(folder / "checkpoints"), max_steps=settings.steps, per_device_train_batch_size=settings.queries,
            learning_rate=settings.learning_rate, warmup_steps=round(settings.warmup * settings.steps),
            weight_decay=settings.weight_decay,
            router_mapping={name: "query" if name == "query" else "document" for name in columns if name != "label"},
            learning_rate_mapping=rates,
            eval_strategy="steps" if is_validated else "no", eval_steps=validation.every if validation else None,
            **{**self.arguments(), "report_to": list(self.config.report_to)},
        )  # fmt: skip
        arguments._n_gpu = min(1, arguments.n_gpu)  # otherwise every GPU would get a whole batch
        evaluator = None
        if validation is not None and is_validated:
            evaluator = IndexEvaluator(student, validation, self.output / "validation", self.progress, models)
        progress = self.progress.callback(self.config.recipe, ranking, student.scale, guard)
        self.sparsity = SparsityController(loss, ranking, sparsity)
        trainer = _Trainer(
            self.texts, progress.more_figures, model=student.encoder, args=arguments,
            train_dataset=Dataset.from_dict(columns), loss=loss, evaluator=evaluator,
            callbacks=[*([guard] if guard else []), self.sparsity, progress],
        )  # fmt: skip
        keep_tensorboard_in(trainer, self.output / "tensorboard" / folder.name)
        return trainer

    def arguments(self) -> dict[str, Any]:
        """Arguments common to all of transformers' trainers used here."""
        settings = self.config.optimization
        return {
            "bf16": self.precision == "bfloat16", "use_cpu": self.device.type == "cpu", "seed": settings.seed,
            "data_seed": settings.seed, "save_steps": settings.checkpoint, "save_total_limit": 2,
            "logging_steps": settings.log, "logging_nan_inf_filter": False, "report_to": [], "disable_tqdm": True,
            "dataloader_pin_memory": self.device.type == "cuda", "lr_scheduler_type": "linear",
        }  # fmt: skip


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Suppresses warnings of libraries."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
