"""Sparse vectors of many texts as compressed sparse rows in NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.pruning import Pruning
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.quantizer import Quantizer, Side

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Value = TypeVar("Value", float, int)


def compress_rows(texts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The start of each text's entries, followed by the number of entries; the entries must be sorted by text."""
    counts = np.bincount(texts, minlength=count)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


class SparseRow(NamedTuple):
    """The entries of one text, in the order of the matrix they come from.

    Attributes:
        term_ids: Shape [entries], int32.
        values: Weights (float32) or impacts (int32); shape [entries].
        terms: The term of each entry.
    """

    term_ids: NDArray[np.int32]
    values: NDArray[Any]
    terms: list[str]


class _Rows(Sequence[dict[str, Value]], Generic[Value]):
    """Rows of {term: value}.

    Attributes:
        starts: Start of each text's entries, followed by the number of entries; shape [texts + 1], int64.
        term_ids: Term of each entry; shape [entries], int32.
        values: Value of each entry; shape [entries].
        terms: The vocabulary's terms by term_id.
    """

    def __init__(
        self, starts: NDArray[np.int64], term_ids: NDArray[np.int32], values: NDArray[Any], terms: Sequence[str]
    ) -> None:
        self.starts, self.term_ids, self.values, self.terms = starts, term_ids, values, terms

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of entries per text; shape [texts]."""
        return np.diff(self.starts)

    def row(self, text: int) -> slice:
        """The entries of one text."""
        return slice(int(self.starts[text]), int(self.starts[text + 1]))

    def rows(self) -> Iterator[SparseRow]:
        """The entries of each text as arrays, for engines that take ids or terms beside values."""
        for text in range(len(self)):
            row = self.row(text)
            term_ids = self.term_ids[row]
            yield SparseRow(term_ids, self.values[row], [self.terms[i] for i in term_ids])

    @uninterrupted_imports()
    def to_scipy(self) -> csr_array:
        """The rows as a SciPy matrix of shape [texts, terms], with sorted term_ids; its arrays are copies."""
        from scipy.sparse import csr_array

        matrix = csr_array((self.values, self.term_ids, self.starts), shape=(len(self), len(self.terms)), copy=True)
        matrix.sort_indices()
        return matrix

    def __getitem__(self, index: Any) -> Any:
        """The {term: value} mapping of one text, or a list of them for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        row = self.row(index % len(self))
        return dict(zip((self.terms[i] for i in self.term_ids[row]), self.values[row].tolist(), strict=True))


class SparseImpacts(_Rows[int]):
    """Impacts of texts: ``values`` are int32, at least 1, in descending order within a text, ties by term_id."""

    @classmethod
    def from_entries(
        cls, texts: NDArray[np.int64], term_ids: NDArray[Any], impacts: NDArray[np.int32], count: int,
        terms: Sequence[str],
    ) -> SparseImpacts:  # fmt: skip
        """Builds rows from entries sorted by text and term.

        Args:
            texts: Text of each entry; shape [entries].
            term_ids: Term of each entry; shape [entries].
            impacts: Impact of each entry; shape [entries].
            count: Number of texts.
            terms: The vocabulary's terms by term_id.
        """
        order = np.lexsort((-impacts.astype(np.int64), texts))  # stable: ties stay by term_id
        return cls(compress_rows(texts, count), term_ids[order].astype(np.int32), impacts[order], terms)


class SparseWeights(_Rows[float]):
    """Weights of texts: ``values`` are float32, above 0; within a text, terms are sorted by term_id."""

    @property
    def weights(self) -> NDArray[np.float32]:
        """The values; shape [entries], float32."""
        return self.values

    def impacts(self, quantizer: Quantizer, side: Side, *, min_impact: int = 1) -> SparseImpacts:
        """Quantizes the weights.

        Args:
            quantizer: The rule.
            side: Which side of the rule applies.
            min_impact: Smallest impact to keep.
        """
        impacts = quantizer.quantize(self.values, side)
        kept = impacts >= max(1, min_impact)
        texts = np.repeat(np.arange(len(self)), self.counts)
        return SparseImpacts.from_entries(texts[kept], self.term_ids[kept], impacts[kept], len(self), self.terms)

    def quantize(self, quantizer: Quantizer, side: Side, *, min_impact: int = 1) -> list[dict[str, int]]:
        """The {term: impact} mapping of each text, largest impact first; see :meth:`impacts`."""
        return list(self.impacts(quantizer, side, min_impact=min_impact))

    def prune(self, pruning: Pruning) -> SparseWeights:
        """The entries kept by a pruning."""
        if pruning == Pruning():
            return self
        counts = self.counts
        texts = np.repeat(np.arange(len(self)), counts)
        order = np.lexsort((-self.values, texts))  # heaviest first; stable: ties stay by term_id
        kept = np.sort(order[pruning.keeps(self.values[order].astype(np.float64), self.starts)])
        return SparseWeights(compress_rows(texts[kept], len(self)), self.term_ids[kept], self.values[kept], self.terms)
