"""The dry run: reports the training data and the expected time, without training."""

from __future__ import annotations

import resource
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from splade_lucene.encoder.checkpoint import load_tokenizer
from splade_lucene.encoder.precision import choose_device
from splade_lucene.training.base import network_folder, write_unprepared_base
from splade_lucene.training.checks import check_run
from splade_lucene.training.config import TrainingConfig
from splade_lucene.training.data_report import TrainingDataReport, describe_training_data
from splade_lucene.training.example_scorer import ExampleScorer
from splade_lucene.training.examples import Texts
from splade_lucene.training.mining import ranked_by_file
from splade_lucene.training.network import Student
from splade_lucene.training.recipes import RECIPES
from splade_lucene.training.sampling import draw_rows, require_passages
from splade_lucene.training.teachers import RankedScorer, Rows, Scorer
from splade_lucene.training.trainer import time_steps
from splade_lucene.training.training_data import TrainingData, has_other_scorers

_TIMED_STEPS = 2


def describe_run_data(config: TrainingConfig, *, device: str = "auto") -> TrainingDataReport:
    """Checks a training run as :func:`splade_lucene.training.train` does, and describes its data, without training.

    The trainer takes three steps from the base on real data, two of which are timed; only a temporary folder is written. A base
    without a masked-LM head is timed with a random one. Teachers that are networks, and BM25, are not asked: with them, the
    margins are not known, and steps are timed with random scores.

    Args:
        config: The training run; see :func:`splade_lucene.training.read_config`.
        device: ``auto`` (a GPU if available), ``cpu`` or ``cuda``.

    Raises:
        ConfigError, ExamplesError, CorpusError, TopicsError, RunError, ModelError: As for ``train``.
    """
    chosen = choose_device(device)
    recipe = RECIPES[config.recipe]
    losses = config.losses or recipe.losses
    check_run(config, losses)
    data = TrainingData(config, losses, config.mining.positives or recipe.positives)
    data.check()
    texts, settings = data.texts, config.optimization
    require_passages(settings, len(texts.passages))
    tokenizer = load_tokenizer(network_folder(config.base))
    scorer = None
    if config.data.examples is None:
        rows = _any_rows(texts, settings.queries * (1 + _TIMED_STEPS), settings.passages)
        report = describe_training_data(config, data, tokenizer)
    else:
        examples = data.examples
        rows = draw_rows(examples, settings, data.positives, len(texts.passages))
        scorer = _cheap_scorer(config, data)
        report = describe_training_data(config, data, tokenizer, examples=examples, rows=rows, scorer=scorer)
    with TemporaryDirectory() as base:
        has_head = write_unprepared_base(config.base, Path(base))
        student = Student(
            Path(base), pooling=recipe.pooling, is_doc=recipe.is_doc, max_length=settings.max_length,
            dropout=settings.dropout, device=str(chosen),
        )  # fmt: skip
    student.network.query_length = settings.query_max_length
    rows = rows[: settings.queries * (1 + _TIMED_STEPS)]
    seconds = time_steps(config, data, student, rows, scorer or _AnyScorer(), _TIMED_STEPS)
    return replace(
        report, seconds=seconds * settings.steps * config.rounds, memory=_peak_memory(chosen),
        mlm_steps=None if has_head else config.head.mlm_steps,
    )  # fmt: skip


def _any_rows(texts: Texts, count: int, passages: int) -> NDArray[np.int32]:
    """Queries with any passages, to time the steps of a run whose examples are not mined yet."""
    source = np.random.default_rng(1)
    queries = source.integers(len(texts.queries), size=(count, 1))
    return np.hstack([queries, source.integers(len(texts.passages), size=(count, passages))]).astype(np.int32)


def _cheap_scorer(config: TrainingConfig, data: TrainingData) -> Scorer | None:
    """The scorer, where scores are in files."""
    teacher = config.teacher
    if teacher is None:
        if data.examples[0].scores is None:
            return None
        return ExampleScorer(data.examples, len(data.texts.queries))
    if teacher.scores is None or has_other_scorers(teacher):
        return None
    return RankedScorer(ranked_by_file(teacher.scores, data.texts), "range")


class _AnyScorer:
    """Random scores in the place of a teacher that is too costly to ask."""

    def __init__(self) -> None:
        self._source = np.random.default_rng(1)

    def scores(self, queries: Rows, passages: Rows) -> NDArray[np.float32]:
        """Scores of all pairs; shape [queries, passages]."""
        return self._source.random((len(queries), len(passages)), np.float32)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
