"""The data of a training run, as configured: texts, examples, known positives, and score units."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from splade_lucene.counts import counted, part_of
from splade_lucene.errors import ConfigError, ExamplesError
from splade_lucene.evaluation import read_qrels
from splade_lucene.training.checks import check_examples
from splade_lucene.training.config import MOST_TEMPERATURES, Teacher
from splade_lucene.training.examples import (
    Dropped,
    Example,
    Examples,
    Texts,
    read_examples,
    read_scores,
    read_texts,
    require_scores,
)
from splade_lucene.training.known_positives import Judgments, KnownPositives
from splade_lucene.training.mining import SCORES_REMEDY, ranked_by_file
from splade_lucene.training.sampling import queries_to_mine

if TYPE_CHECKING:
    from splade_lucene.training.config import Losses, TrainingConfig


class TrainingData:
    """The data of a run, read on first use.

    Args:
        config: The training run.
        losses: The losses of the run, or of its recipe.
        positives: Number of best passages from which the first of a ranked list is drawn.

    Attributes:
        positives: See above.
        passages_per_query: Passages per query in a batch.
        dropped: Counts the unusable examples and passages.
    """

    def __init__(self, config: TrainingConfig, losses: Losses, positives: int) -> None:
        self._config, self._losses, self.positives = config, losses, positives
        self.passages_per_query = config.optimization.passages
        self.dropped = Dropped(config.data.examples or "")

    def check(self) -> None:
        """Reads all of it, and rejects what a run would fail with.

        Raises:
            ExamplesError, CorpusError, TopicsError, RunError, ConfigError: Data cannot be read or used.
        """
        if self._config.data.examples is None:
            self._check_scores_for_mining()
        else:
            self.examples  # noqa: B018 - read once
            if self._losses.is_distilled:
                self.temperature  # noqa: B018
        self.judgments  # noqa: B018

    def _check_scores_for_mining(self) -> None:
        """Refuses a file of scores, if it is the only teacher, that lacks some queries; mining would find out late."""
        teacher, settings = self._config.teacher, self._config.optimization
        if teacher is None or not teacher.scores or has_other_scorers(teacher):
            return
        if self._config.data.missing_scores != "refuse":
            return
        ranked = ranked_by_file(teacher.scores, self.texts)
        rows = queries_to_mine(settings, len(self.texts.queries)).tolist()
        mined = [row for row in rows if not self.texts.is_blank_query(row)]
        lacking = [row for row in mined if not len(ranked[row][0])]
        if lacking:
            lack = part_of(len(lacking), counted(len(mined), "query"), "has", "have")
            raise ExamplesError(
                f"{lack} no scored passage of data.passages. This is the first one: {self.texts.qids[lacking[0]]!r:.80}",
                path=teacher.scores, remedy=SCORES_REMEDY,
            )  # fmt: skip

    @cached_property
    def texts(self) -> Texts:
        """All queries and passages; those of the examples are added when these are read."""
        return read_texts(self._config.data.passages, self._config.data.queries, _folder_of_texts(self._config))

    @cached_property
    def examples(self) -> Examples:
        """The examples of the configuration.

        Raises:
            ExamplesError: They cannot be read, or lack scores that a loss needs.
            ConfigError: They conflict with the rest of the run.
        """
        data, teacher = self._config.data, self._config.teacher
        assert data.examples is not None
        scores = None if data.scores is None else read_scores(data.scores)
        found = read_examples(data.examples, self.texts, scores=scores, ignored=data.ignored_keys, dropped=self.dropped)
        has_scores = found[0].scores is not None
        check_examples(self._config, self._losses, has_scores=has_scores)
        if has_scores:
            found = require_scores(found, data.missing_scores, self.dropped, is_distilled=self._losses.is_distilled)
        elif teacher is not None and teacher.scores and self._losses.is_distilled:
            found = self._scored_by_file(found, teacher)
        self.dropped.log()
        return found

    @cached_property
    def temperature(self) -> float:
        """The temperature of the teacher's or the examples' scores; for examples, a twentieth of the mean range by default.

        Raises:
            ExamplesError: The scores of an example differ by too many temperatures.
        """
        config = self._config
        if config.teacher is not None:
            return config.teacher.temperature
        if config.data.examples is None:
            return Teacher(bm25=1.0).temperature
        ranges = self.examples.ranges()
        temperature = config.data.temperature or (float(np.mean(ranges)) / 20 if ranges.any() else 1.0)
        if self._losses.is_distilled and ranges.max() / temperature > MOST_TEMPERATURES:
            widest = self.examples[int(np.argmax(ranges))]
            raise ExamplesError(
                f"the scores differ by {ranges.max():g}, which is {ranges.max() / temperature:.3g} temperatures of "
                f"{temperature:g}. More than {MOST_TEMPERATURES:g} are beyond single precision in the losses",
                path=self.dropped.path, line=widest.line, remedy="Fix the scores, or raise data.temperature",
            )  # fmt: skip
        return temperature

    @cached_property
    def judgments(self) -> Judgments:
        """The judgments beside the examples.

        Raises:
            ConfigError: None of their queries is among the run's.
        """
        path = self._config.data.judgments
        if path is None:
            return {}
        judged = read_qrels(path)
        if not judged.keys() & self.texts.query_rows.keys():
            raise ConfigError(
                "none of the judged queries is in data.queries or the examples", path=path,
                remedy="Check that data.judgments belongs to the same collection",
            )  # fmt: skip
        relevant = (docid for grades in judged.values() for docid, grade in grades.items() if grade > 0)
        if not any(docid in self.texts.passage_rows for docid in relevant):
            raise ConfigError(
                "none of the documents that are judged relevant is in data.passages or the examples, so the judgments have "
                "no effect", path=path, remedy="Check that data.judgments has the docids of data.passages",
            )  # fmt: skip
        return judged

    @property
    def is_distilled(self) -> bool:
        """Whether a loss uses scores."""
        return self._losses.is_distilled

    @property
    def masks_positives(self) -> bool | None:
        """Whether the contrastive loss masks known positives; None without a contrastive loss."""
        return self._config.data.mask_known_positives if self._losses.contrastive else None

    def known_positives(self, examples: Sequence[Example]) -> KnownPositives:
        """What is known to be relevant.

        Args:
            examples: The examples of the run, of the configuration or mined.
        """
        return KnownPositives(
            self.texts, examples, self.judgments, passages=self.passages_per_query, positives=self.positives
        )

    def _scored_by_file(self, examples: Examples, teacher: Teacher) -> Examples:
        """The examples whose passages a teacher's file scores; see :func:`require_scores`. They stay without scores."""
        assert teacher.scores is not None
        known = [dict(zip(rows.tolist(), found.tolist(), strict=True))
                 for rows, found in ranked_by_file(teacher.scores, self.texts)]  # fmt: skip
        scored = (
            replace(
                each, positives=max(1, each.positives),
                scores=np.array([known[each.query].get(row, np.nan) for row in each.passages.tolist()], np.float32),
            )
            for each in examples
        )  # fmt: skip
        kept = require_scores(
            scored, self._config.data.missing_scores, self.dropped, is_distilled=True,
            may_be_equal=has_other_scorers(teacher),
        )  # fmt: skip
        return kept.without_scores()


def has_other_scorers(teacher: Teacher) -> bool:
    """Whether a teacher asks more than its file of scores."""
    return bool(teacher.dense or teacher.cross_encoder or teacher.bm25)


def _folder_of_texts(config: TrainingConfig) -> Path | None:
    """The nearest folder of the output that there is, for the temporary file of texts; None if it is not writable."""
    output = Path(config.output).absolute()
    folder = next((each for each in (output, *output.parents) if each.is_dir()), None)
    return folder if folder is not None and os.access(folder, os.W_OK) else None
