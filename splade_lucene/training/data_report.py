"""One page on the data of a training run, for the dry run and for the model card."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.counts import counted
from splade_lucene.errors import StorageError
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.typed_data import make
from splade_lucene.training.example_scorer import ExampleScorer, scores_of_batch
from splade_lucene.training.examples import Examples
from splade_lucene.training.examples.texts import normal_text
from splade_lucene.training.recipes import RECIPES
from splade_lucene.training.run_page import describe_plan
from splade_lucene.training.validation import judged_topics

if TYPE_CHECKING:
    from splade_lucene.training.config import TrainingConfig
    from splade_lucene.training.examples import Texts
    from splade_lucene.training.known_positives import KnownPositives
    from splade_lucene.training.teachers import Scorer
    from splade_lucene.training.training_data import TrainingData

DATA = "data.json"
"""The report of a round in its folder."""

_SAMPLE = 2000  # texts whose lengths are counted
_BATCHES = 100  # batches in which known positives and margins are counted


@dataclass(frozen=True)
class Spread:
    """The least, the median and the greatest of some numbers."""

    least: float
    median: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.least:,.4g} to {self.greatest:,.4g}, median {self.median:,.4g}"


@dataclass(frozen=True)
class TrainingDataReport:
    """The data of a training run.

    Attributes:
        queries: Queries that have an example; before mining, all queries.
        passages: Passages of the collection.
        examples: Examples; 0 before mining.
        scored: Examples with scores of their own.
        steps: Steps.
        queries_per_step: Queries per step.
        passages_per_query: Passages per query.
        passage_limit: Maximum tokens per passage.
        cut_passages: Share of the passages that are longer.
        query_limit: Maximum tokens per query; None if there is none.
        cut_queries: Share of the queries that are longer.
        negatives: Listed passages of an example that are not drawn as its first.
        temperature: Divisor of the teacher's or the examples' scores in the losses; None if no loss uses scores.
        margins: The teacher's score of the first passage less that of another one, in the first hundred batches; None without
            a teacher, or before it has scored anything.
        below_zero: Share of the margins below 0.
        without_score: Share of the other passages in these batches without a margin.
        disputed: Queries whose examples give a passage different scores.
        listed_positives: Listed passages that are relevant for their query, but not drawn as its first.
        batches: Batches in which known positives were counted.
        batches_with_positives: Those in which a passage is relevant for a query that it was not drawn for as the first.
        is_masked: Whether these do not count as negatives; None if no loss takes them for negatives.
        dropped: Kinds of unusable examples and passages in the file, with their counts.
        validated: Different judged queries of the validation; None without one.
        validated_trained: Those that are also queries of the training, by text.
        seconds: Expected time of all steps; None if none were timed.
        mlm_steps: Steps of masked-language modelling that come first and were not timed; None if the base has a head.
        memory: Expected memory in bytes: of the process, or on the GPU.
        plan: What the run does: its model, losses, files and so on, in words.
    """

    queries: int
    passages: int
    examples: int
    scored: int
    steps: int
    queries_per_step: int
    passages_per_query: int
    passage_limit: int
    cut_passages: float
    query_limit: int | None = None
    cut_queries: float = 0.0
    negatives: Spread | None = None
    temperature: float | None = None
    margins: Spread | None = None
    below_zero: float = 0.0
    without_score: float = 0.0
    disputed: int = 0
    listed_positives: int = 0
    batches: int = 0
    batches_with_positives: int = 0
    is_masked: bool | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    validated: int | None = None
    validated_trained: int = 0
    seconds: float | None = None
    mlm_steps: int | None = None
    memory: int | None = None
    plan: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, str]:
        """Each fact in words, by its name; only those that are known."""
        facts = {**self.plan, "queries": f"{self.queries:,}", "passages": f"{self.passages:,}"}
        if self.examples:
            facts["examples"] = f"{self.examples:,}, {self.scored:,} of them with scores"
        else:
            facts["examples"] = "mined when the training starts"
        if self.negatives is not None:
            facts["negatives listed in an example"] = str(self.negatives)
        facts |= self._facts_of_scores()
        facts["longer than the limit, and cut"] = self._cut()
        if self.batches:
            facts["known positives"] = self._positives()
        if self.dropped:
            facts["dropped"] = "; ".join(f"{kind}: {count:,}" for kind, count in self.dropped.items())
        if self.validated is not None:
            facts["validation queries"] = (
                f"{counted(self.validated, 'different text')}, {self.validated_trained:,} of them also trained on"
            )
        facts["steps"] = self._steps()
        if self.seconds is not None:
            facts["expected time"] = f"{_duration(self.seconds)}, without {self._untimed()}"
        if self.memory is not None:
            facts["expected memory"] = f"{self.memory / 1e9:.1f} GB"
        return facts

    def markdown(self) -> str:
        """The page as a table."""
        rows = [f"| {name} | {text} |" for name, text in self.facts().items()]
        return "\n".join(["| training data | |", "|---|---|", *rows])

    def write(self, path: Path) -> None:
        """Writes the report as JSON."""
        with atomic_text_writer(path) as file:
            file.write(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> TrainingDataReport:
        """Reads a report that :meth:`write` wrote.

        Raises:
            StorageError: The file cannot be read.
        """
        try:
            return make(cls, parse_json(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise StorageError(f"{path}: damaged ({error}). Delete its folder and train again.") from error

    def _facts_of_scores(self) -> dict[str, str]:
        facts = {}
        if self.margins is not None:
            below = f"{_percent(self.below_zero)} are below 0"
            facts["margins"] = (
                f"{self.margins}: the score of the passage taken for relevant less that of another one; {below}"
            )
        if self.temperature is not None:
            facts["temperature"] = f"{self.temperature:.4g}, by which the losses divide scores"
        if self.without_score:
            facts["without a margin"] = (
                f"{_percent(self.without_score)} of the passages that are drawn beside the one taken for relevant"
            )
        if self.disputed:
            facts["different scores"] = (
                f"the examples of {counted(self.disputed, 'query')} give a passage different scores; each counts for what is "
                "drawn from its own example"
            )
        return facts

    def _untimed(self) -> str:
        if self.mlm_steps is None:
            return "teachers and validation"
        steps = counted(self.mlm_steps, "step")
        return f"teachers, validation, and the {steps} of masked-language modelling that the base needs first"

    def _cut(self) -> str:
        limits = [f"{_percent(self.cut_passages)} of the passages ({self.passage_limit} tokens)"]
        if self.query_limit is not None:
            limits.insert(0, f"{_percent(self.cut_queries)} of the queries ({self.query_limit} tokens)")
        return ", ".join(limits)

    def _steps(self) -> str:
        drawn = self.steps * self.queries_per_step
        text = f"{self.steps:,} of {self.queries_per_step} queries with {self.passages_per_query} passages each"
        if not self.examples:
            return text
        often = f"{drawn / self.examples:,.3g}"
        return f"{text}; each example is drawn {'once' if often == '1' else f'{often} times'}"

    def _positives(self) -> str:
        text = f"{self.listed_positives:,} among the listed negatives; in {self.batches_with_positives} of the first "
        text += f"{self.batches} batches, a passage drawn for one query is relevant for another"
        effect = {
            None: ". No loss takes them for negatives", True: ". The contrastive loss leaves them out",
            False: ". The contrastive loss takes them for negatives",
        }  # fmt: skip
        return text + effect[self.is_masked]


def describe_training_data(
    config: TrainingConfig, data: TrainingData, tokenizer: Any, *, examples: Examples | None = None,
    rows: NDArray[np.int32] | None = None, scorer: Scorer | None = None,
) -> TrainingDataReport:  # fmt: skip
    """Describes the data of a training run.

    Args:
        config: The training run.
        data: Its data.
        tokenizer: The base's tokenizer.
        examples: The examples, of the configuration or mined; None before mining.
        rows: What was drawn of them: rows of the query and its passages, shape [steps · queries, 1 + passages].
        scorer: The teacher; None without one, or if it is too costly to ask.
    """
    settings, texts, examples = config.optimization, data.texts, examples or Examples()
    queries = np.unique(examples.queries).tolist() or list(range(len(texts.queries)))
    passages = np.unique(rows[:, 1:]).tolist() if rows is not None else list(range(len(texts.passages)))
    facts: dict[str, Any] = {}
    if not RECIPES[config.recipe].is_doc:
        facts["query_limit"] = settings.query_max_length
        facts["cut_queries"] = _share_cut(
            [texts.queries[row] for row in _some(queries)], tokenizer, settings.query_max_length
        )
    facts |= count_validated(config, texts, queries)
    if len(examples):
        known = data.known_positives(examples)
        facts |= _facts_of_examples(data, examples, known)
        if rows is not None:
            facts |= _facts_of_batches(data, known, rows, settings.queries, scorer)
    if data.is_distilled:
        facts["temperature"] = data.temperature
    return TrainingDataReport(
        queries=len(queries), passages=len(texts.passages), examples=len(examples),
        scored=int(examples.is_scored.sum()), steps=settings.steps,
        queries_per_step=settings.queries, passages_per_query=settings.passages, passage_limit=settings.max_length,
        cut_passages=_share_cut([texts.passages[row] for row in _some(passages)], tokenizer, settings.max_length),
        dropped=dict(data.dropped.counts), plan=describe_plan(config), **facts,
    )  # fmt: skip


def count_validated(config: TrainingConfig, texts: Texts, queries: Iterable[int]) -> dict[str, int]:
    """The report's facts about the queries of the validation; none without a validation.

    Args:
        config: The training run.
        texts: All texts.
        queries: The rows of the queries that are trained on.
    """
    if config.validation is None:
        return {}
    validated = {normal_text(topic.text) for topic in judged_topics(config.validation)}
    trained = {text for row in queries if (text := normal_text(texts.queries[row])) in validated}
    return {"validated": len(validated), "validated_trained": len(trained)}


def _facts_of_examples(data: TrainingData, examples: Examples, known: KnownPositives) -> dict[str, Any]:
    others = examples.lengths - examples.relevant_counts(data.passages_per_query, data.positives)
    return {"negatives": _spread(np.maximum(others, 0)), "listed_positives": known.count_listed()}


def _facts_of_batches(
    data: TrainingData, known: KnownPositives, rows: NDArray[np.int32], queries: int, scorer: Scorer | None
) -> dict[str, Any]:
    masked = known.count(rows, queries, _BATCHES)
    facts: dict[str, Any] = {
        "batches": masked.batches, "batches_with_positives": masked.concerned, "is_masked": data.masks_positives,
    }  # fmt: skip
    looked_at = rows[: queries * _BATCHES]
    if scorer is None or rows.shape[1] < 3:
        return facts
    scores = np.concatenate(
        [_own_scores(scorer, looked_at[at : at + queries]) for at in range(0, len(looked_at), queries)]
    )
    margins = scores[:, :1] - scores[:, 1:]
    found = margins[~np.isnan(margins)]
    facts["without_score"] = 1 - found.size / margins.size
    facts["disputed"] = scorer.disputed if isinstance(scorer, ExampleScorer) else 0
    if found.size:
        facts |= {"margins": _spread(found), "below_zero": float(np.mean(found < 0))}
    return facts


def _own_scores(scorer: Scorer, rows: NDArray[np.int32]) -> NDArray[np.float32]:
    """The teacher's scores of each query's own passages; shape [queries, passages]."""
    count = len(rows)
    scores = scores_of_batch(scorer, rows).reshape(count, -1, count)
    own: NDArray[np.float32] = scores[np.arange(count), :, np.arange(count)]
    return own


def _share_cut(texts: Sequence[str], tokenizer: Any, limit: int) -> float:
    if not texts:
        return 0.0
    encoded = tokenizer(list(texts), truncation=True, max_length=limit + 1)["input_ids"]
    return float(np.mean([len(ids) > limit for ids in encoded]))


def _some(rows: Sequence[int]) -> Sequence[int]:
    return rows[:: max(1, len(rows) // _SAMPLE)][:_SAMPLE]


def _spread(numbers: Any) -> Spread:
    return Spread(float(np.min(numbers)), float(np.median(numbers)), float(np.max(numbers)))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
