"""Sparse vectors of many texts, in compressed rows of NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.pruning import Pruning
from splade_lucene.quantizer import Quantizer, Side

if TYPE_CHECKING:
    from splade_lucene.encoder.sparsify import Entries

Value = TypeVar("Value", float, int)


def compress_rows(texts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Where each text's entries start, and one more, of entries that come by text."""
    counts = np.bincount(texts, minlength=count)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


class _Rows(Sequence[dict[str, Value]], Generic[Value]):
    """Rows of {term: value}.

    Attributes:
        starts: Where each text's entries start, and one more; shape [texts + 1], int64.
        term_ids: Terms of the entries; shape [entries], int32.
        values: Their values; shape [entries].
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
        """Entries of each text; shape [texts]."""
        return np.diff(self.starts)

    def row(self, text: int) -> slice:
        """The entries of one text."""
        return slice(int(self.starts[text]), int(self.starts[text + 1]))

    def __getitem__(self, index: Any) -> Any:
        """The {term: value} mapping of one text, or a list of them for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        row = self.row(index % len(self))
        return dict(zip((self.terms[i] for i in self.term_ids[row]), self.values[row].tolist(), strict=True))


class SparseImpacts(_Rows[int]):
    """Impacts of some texts: ``values`` are int32, at least 1, a text's largest first, then by term_id."""

    @classmethod
    def from_entries(
        cls, texts: NDArray[np.int64], term_ids: NDArray[Any], impacts: NDArray[np.int32], count: int,
        terms: Sequence[str],
    ) -> SparseImpacts:  # fmt: skip
        """Orders entries that come by text and term.

        Args:
            texts: The text of each entry; shape [entries].
            term_ids: Its term.
            impacts: Its impact.
            count: Number of texts.
            terms: The vocabulary's terms by term_id.
        """
        order = np.lexsort((-impacts.astype(np.int64), texts))  # stable: ties stay by term_id
        return cls(compress_rows(texts, count), term_ids[order].astype(np.int32), impacts[order], terms)


class SparseWeights(_Rows[float]):
    """Weights of some texts: ``values`` are float32, above 0; a text's terms ascend by term_id."""

    @property
    def weights(self) -> NDArray[np.float32]:
        """The values; shape [entries], float32."""
        return self.values

    def impacts(self, quantizer: Quantizer, side: Side, *, min_impact: int = 1) -> SparseImpacts:
        """Quantizes.

        Args:
            quantizer: The rule.
            side: Which half of it applies.
            min_impact: Least impact to keep.
        """
        impacts = quantizer.quantize(self.values, side)
        kept = impacts >= max(1, min_impact)
        texts = np.repeat(np.arange(len(self)), self.counts)
        return SparseImpacts.from_entries(texts[kept], self.term_ids[kept], impacts[kept], len(self), self.terms)

    def quantize(self, quantizer: Quantizer, side: Side, *, min_impact: int = 1) -> list[dict[str, int]]:
        """The {term: impact} mapping of each text, largest impact first; see :meth:`impacts`."""
        return list(self.impacts(quantizer, side, min_impact=min_impact))

    def prune(self, pruning: Pruning) -> SparseWeights:
        """The entries that a pruning keeps."""
        import torch

        from splade_lucene.encoder.sparsify import Entries, prune

        texts = torch.from_numpy(np.repeat(np.arange(len(self)), self.counts))
        entries = Entries(texts, torch.from_numpy(self.term_ids.astype(np.int64)), torch.from_numpy(self.values))
        return to_weights(prune(entries, pruning, len(self)), len(self), self.terms)


def to_weights(entries: Entries, texts: int, terms: Sequence[str]) -> SparseWeights:
    """The entries as compressed rows in this process's memory."""
    owners, term_ids, values = (each.cpu().numpy() for each in entries)
    return SparseWeights(compress_rows(owners, texts), term_ids.astype(np.int32), values, terms)


def to_impacts(
    entries: Entries, texts: int, terms: Sequence[str], quantizer: Quantizer, side: Side, min_impact: int = 1
) -> SparseImpacts:
    """The entries quantized where they lie; impacts below ``min_impact`` are left out."""
    impacts = quantizer.quantize(entries.values, side)
    kept = impacts >= max(1, min_impact)
    owners, term_ids, values = (each[kept].cpu().numpy() for each in (entries.texts, entries.term_ids, impacts))
    return SparseImpacts.from_entries(owners, term_ids, values, texts, terms)
