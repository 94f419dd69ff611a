"""What a training run would learn from, and how long it would take, before anything costs time."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from splade_lucene.encoder.checkpoint import load_tokenizer
from splade_lucene.encoder.precision import choose_device, native_dtype
from splade_lucene.training.base import network_folder
from splade_lucene.training.checks import check_run
from splade_lucene.training.config import Teacher, TrainingConfig
from splade_lucene.training.data_report import TrainingDataReport, describe_training_data
from splade_lucene.training.examples import Texts, known_scores
from splade_lucene.training.mining import ranked_by_file
from splade_lucene.training.network import Student
from splade_lucene.training.recipes import RECIPES
from splade_lucene.training.sampling import draw_rows, require_passages
from splade_lucene.training.teachers import RankedScorer, Scorer
from splade_lucene.training.training_data import TrainingData

_TIMED_STEPS = 2


def describe_run_data(config: TrainingConfig, *, device: str = "auto") -> TrainingDataReport:
    """Checks a training run as :func:`splade_lucene.training.train` does, and describes its data, without training.

    Three steps of the base on real data are computed, two of them timed; nothing is written. A base without a masked-LM head
    is timed with a random one. Teachers that are networks, and BM25, are not asked: with them, the margins are not known.

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
    folder = network_folder(config.base)
    tokenizer = load_tokenizer(folder)
    if config.data.examples is None:
        rows = _any_rows(texts, settings.queries * (1 + _TIMED_STEPS), settings.passages)
        report = describe_training_data(config, data, tokenizer)
    else:
        examples = data.examples
        rows = draw_rows(examples, settings, data.positives, len(texts.passages))
        report = describe_training_data(
            config, data, tokenizer, examples=examples, rows=rows, scorer=_cheap_scorer(config, data)
        )
    student = Student(
        folder, pooling=recipe.pooling, is_doc=recipe.is_doc, max_length=settings.max_length, dropout=settings.dropout,
        device=str(chosen),
    )  # fmt: skip
    student.network.query_length = settings.query_max_length
    is_half = "bfloat16" in (settings.precision, native_dtype(chosen) if settings.precision == "auto" else "")
    seconds = _seconds_of_step(student, texts, rows, settings.queries, is_half=is_half)
    return replace(report, seconds=seconds * settings.steps * config.rounds, memory=_peak_memory(chosen))


def _any_rows(texts: Texts, count: int, passages: int) -> NDArray[np.int32]:
    """Queries with any passages, to time the steps of a run whose examples are not mined yet."""
    source = np.random.default_rng(1)
    queries = source.integers(len(texts.queries), size=(count, 1))
    return np.hstack([queries, source.integers(len(texts.passages), size=(count, passages))]).astype(np.int32)


def _cheap_scorer(config: TrainingConfig, data: TrainingData) -> Scorer | None:
    """The scorer, where scores are in files."""
    count, teacher = len(data.texts.passages), config.teacher
    if teacher is None:
        if data.examples[0].scores is None:
            return None
        return RankedScorer(known_scores(data.examples, len(data.texts.queries)), count, "none")
    if teacher.scores is None or _asks_others(teacher):
        return None
    return RankedScorer(ranked_by_file(teacher.scores, data.texts), count, "range")


def _asks_others(teacher: Teacher) -> bool:
    return bool(teacher.dense or teacher.cross_encoder or teacher.bm25)


def _seconds_of_step(
    student: Student, texts: Texts, rows: NDArray[np.int32], queries: int, *, is_half: bool
) -> float:  # fmt: skip
    """The mean time of a step, after a first one."""
    optimizer = torch.optim.AdamW(student.network.parameters(), lr=1e-9)
    times = []
    for number in range(1 + _TIMED_STEPS):
        batch = rows[number * queries : (number + 1) * queries]
        if not len(batch):
            break
        start = time.monotonic()
        with torch.autocast(student.encoder.device.type, torch.bfloat16, enabled=is_half):
            columns = [_weights(student, [texts.passages[row] for row in column], "document") for column in batch.T[1:]]
            passages = torch.cat(columns).float()
            asked = passages[: len(batch)]
            if not student.is_doc:
                asked = _weights(student, [texts.queries[row] for row in batch[:, 0]], "query").float()
        scores = asked @ passages.T
        loss = torch.nn.functional.cross_entropy(scores, torch.arange(len(batch), device=scores.device))
        (loss + passages.mean(dim=0).pow(2).sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        if scores.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.monotonic() - start)
    return float(np.mean(times[1:] or times))


def _weights(student: Student, texts: list[str], task: str) -> torch.Tensor:
    features = student.network.preprocess(texts, task=task)
    on_device = {
        key: value.to(student.encoder.device) if isinstance(value, torch.Tensor) else value
        for key, value in features.items()
    }
    weights: torch.Tensor = student.network(on_device)["sentence_embedding"]
    return weights


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
