"""Uses the scores given with the examples in place of a teacher."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_lucene.training.examples import Example, Examples, known_scores
from splade_lucene.training.teachers import RankedScorer, Rows, Scorer

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExampleScorer:
    """Scores of the examples' own passages.

    Examples of a query may give a passage different scores, such as margins over different positives. So what is drawn from
    an example has its scores, and not those of another one. Other passages of a batch have the highest score of any example.

    Args:
        examples: Examples, all with scores.
        queries: Total number of queries.

    Attributes:
        disputed: Number of queries whose examples give a passage different scores.
    """

    def __init__(self, examples: Iterable[Example], queries: int) -> None:
        self._examples = Examples.of(examples)
        known = known_scores(self._examples, queries)
        self._ranked = RankedScorer(known.rankings, "none")
        self.disputed = len(known.disputed)
        self._numbers: dict[int, list[int]] = {}
        for number in np.flatnonzero(np.isin(self._examples.queries, known.disputed)).tolist():
            self._numbers.setdefault(int(self._examples.queries[number]), []).append(number)

    def scores(self, queries: Rows, passages: Rows) -> NDArray[np.float32]:
        """The highest scores of all pairs; shape [queries, passages]. NaN where there is no score."""
        return self._ranked.scores(queries, passages)

    def scores_of_batch(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """See :func:`scores_of_batch`."""
        passages = rows[:, 1:].T.reshape(-1).astype(np.int64)
        found = self.scores(rows[:, 0].astype(np.int64), passages)
        for at, (query, *drawn) in enumerate(rows.tolist()):
            if query in self._numbers:
                example = self._source(self._numbers[query], drawn)
                assert example.scores is not None
                own = dict(zip(example.passages.tolist(), example.scores.tolist(), strict=True))
                found[at] = [own.get(row, score) for row, score in zip(passages.tolist(), found[at], strict=True)]
        return found

    def _source(self, numbers: Sequence[int], drawn: Sequence[int]) -> Example:
        """The example that passages were drawn from: the first that has most of them, among those that have the first one."""

        def shared(example: Example) -> tuple[bool, int]:
            passages = set(example.passages.tolist())
            return drawn[0] in passages, sum(row in passages for row in drawn)

        return max((self._examples[number] for number in numbers), key=shared)


def scores_of_batch(scorer: Scorer, rows: NDArray[np.int32]) -> NDArray[np.float32]:
    """A teacher's scores of a batch.

    Args:
        scorer: The teacher.
        rows: Rows of each query and its passages; shape [queries, 1 + passages].

    Returns:
        For each query, the scores of the first passages of all queries, then of the second ones …; shape
        [queries, passages · queries]. NaN where there is no score.
    """
    if isinstance(scorer, ExampleScorer):
        return scorer.scores_of_batch(rows)
    given = rows.astype(np.int64)
    return scorer.scores(given[:, 0], given[:, 1:].T.reshape(-1))
