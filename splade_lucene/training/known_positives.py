"""Which passages of a batch are relevant for a query, although they are not the one drawn for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splade_lucene.training.examples import ROW, Example, Examples, Texts

Judgments = Mapping[str, Mapping[str, int]]
"""qid → docid → relevance."""

_NONE = np.zeros(0, np.int64)


class Masked(NamedTuple):
    """How often a known positive would have been a negative.

    Attributes:
        batches: Batches that were looked at.
        concerned: Batches with at least one such passage.
        pairs: Such pairs of a query and a passage.
    """

    batches: int
    concerned: int
    pairs: int


class KnownPositives:
    """What is known to be relevant for each query, by the text of the passages.

    Args:
        texts: All queries and passages.
        examples: The examples of the run.
        judgments: Judgments beside them.
        passages: Passages per query in a batch.
        positives: Number of best passages from which the first of a ranked list is drawn.
    """

    def __init__(
        self, texts: Texts, examples: Iterable[Example], judgments: Judgments, *, passages: int, positives: int
    ) -> None:
        self._texts, self._judgments = texts, judgments
        self._examples, self._passages, self._positives = Examples.of(examples), passages, positives
        self._identities: dict[int, NDArray[np.int64]] = {}
        parts = [np.unique(part) for part in self._examples.pairs(passages, positives, is_first=True)]
        self._pairs = np.unique(np.concatenate([_NONE, *parts]))

    def of(self, query: int) -> NDArray[np.int64]:
        """The identities (:meth:`Texts.identities`) of a query's relevant passages."""
        if query not in self._identities:
            start, stop = np.searchsorted(self._pairs, [query << 32, (query + 1) << 32])
            rows, known = set((self._pairs[start:stop] & ROW).tolist()), self._texts.passage_rows
            judged = self._judgments.get(self._texts.qids[query], {})
            rows.update(known[docid] for docid, grade in judged.items() if grade > 0 and docid in known)
            self._identities[query] = self._texts.identities(sorted(rows)) if rows else _NONE
        return self._identities[query]

    def count_listed(self) -> int:
        """Counts the examples' passages that are relevant, although the first is not drawn from them."""
        queries = np.unique(self._examples.queries).tolist()
        relevant = np.concatenate([_NONE, *((query << 32) | self.of(query) for query in queries)])
        count = 0
        for part in self._examples.pairs(self._passages, self._positives, is_first=False):
            count += int(np.isin((part >> 32 << 32) | self._texts.identities((part & ROW).tolist()), relevant).sum())
        return count

    def mask(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        """The pairs of a batch that must not count as negatives.

        Args:
            rows: Rows of each query and its passages; shape [queries, 1 + passages].

        Returns:
            For each query and the first passages of all queries, then the second ones …, whether the passage is relevant for
            the query and not the query's own first one; shape [queries, passages · queries].
        """
        identities = self._texts.identities(rows[:, 1:].T.reshape(-1).tolist())
        mask = np.zeros((len(rows), len(identities)), bool)
        for at, query in enumerate(rows[:, 0].tolist()):
            mask[at] = np.isin(identities, self.of(query)) | (identities == identities[at])
            mask[at, at] = False
        return mask

    def count(self, rows: NDArray[np.int32], queries: int, batches: int) -> Masked:
        """Counts what is masked in the first batches.

        Args:
            rows: Rows of all batches, as for :meth:`mask`.
            queries: Queries per batch.
            batches: How many batches to look at.
        """
        starts = range(0, min(len(rows), queries * batches), queries)
        counts = [int(np.sum(self.mask(rows[start : start + queries]))) for start in starts]
        return Masked(len(counts), sum(count > 0 for count in counts), sum(counts))
