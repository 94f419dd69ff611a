"""A training example: a query with passages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.files.files import atomic_text_writer
from splade_lucene.training.examples.texts import Texts


@dataclass(frozen=True)
class Example:
    """A query with passages.

    Attributes:
        query: Row of the query.
        passages: Rows of the passages: the relevant ones first, or those with the best scores first.
        scores: The teacher's scores; NaN where there is none. None for pairs and lists without scores.
        positives: Number of passages, from the first, that are said to be relevant. 0: nothing is said; then the one with
            the best score is, or the first one if there are no scores.
        line: Its line in the file, from 1; None if it was mined.
    """

    query: int
    passages: NDArray[np.int64]
    scores: NDArray[np.float32] | None = None
    positives: int = 0
    line: int | None = field(default=None, compare=False)

    @property
    def is_ranked(self) -> bool:
        """Whether only the scores say which passages are relevant."""
        return self.scores is not None and not self.positives

    def of(self, kept: NDArray[Any]) -> Example:
        """The same example with some of its passages.

        Args:
            kept: Their positions, ascending, or a mask.
        """
        positions = np.arange(len(self.passages))[kept]
        scores = None if self.scores is None else self.scores[positions]
        positives = int(np.sum(positions < self.positives))
        return Example(self.query, self.passages[positions], scores, positives, self.line)


def relevant_counts(
    known: NDArray[np.int32] | int, lengths: NDArray[np.int64] | int, count: int, positives: int,
    *, is_ranked: NDArray[np.bool_] | bool,
) -> NDArray[np.int64]:  # fmt: skip
    """Number of leading passages of each example that count as relevant; the first passage of a draw is one of them.

    Args:
        known: Number of passages that are marked as relevant.
        lengths: Number of passages.
        count: Passages to draw.
        positives: Number of best passages that are taken for relevant if only the scores say which are.
        is_ranked: Whether only the scores say which are relevant.
    """
    ranked = np.minimum(positives, np.maximum(1, np.subtract(lengths, count) + 1))
    return np.where(is_ranked, ranked, np.maximum(1, known)).astype(np.int64)


def write_examples(path: Path, texts: Texts, examples: Iterable[Example]) -> int:
    """Writes lists ranked by scores; a score that is missing is ``null``.

    Returns:
        Number of lists written.
    """
    count = 0
    with atomic_text_writer(path) as file:
        for example in examples:
            record: dict[str, Any] = {
                "qid": texts.qids[example.query],
                "docids": [texts.docids[row] for row in example.passages],
            }
            if example.scores is not None:
                record["scores"] = [None if np.isnan(score) else round(float(score), 5) for score in example.scores]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count
