"""Batches of token sequences → sparse weights of the texts that they belong to, whatever computes a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.batching import TokenSequences, batches_by_length
from splade_lucene.encoder.sparse import SparseWeights, compress_rows
from splade_lucene.errors import ModelError

_BATCH_WEIGHTS = 1 << 24  # pooled weights per batch: 64 MB


class Entries(NamedTuple):
    """Weights above 0 in coordinate form.

    Attributes:
        rows: Sequence or text of each entry; shape [entries], int64.
        term_ids: Term of each entry; shape [entries], int64.
        values: Weight of each entry, above 0; shape [entries], float32.
    """

    rows: NDArray[np.int64]
    term_ids: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def join(cls, parts: Sequence[Entries]) -> Entries:
        """The entries of several parts, one after the other."""
        empty = cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        return cls(*(np.concatenate(each) for each in zip(empty, *parts, strict=True)))


def encode_in_batches(
    sequences: TokenSequences, encode_batch: Callable[[list[int]], Entries], batch_tokens: int, terms: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> SparseWeights:  # fmt: skip
    """Encodes sequences in batches of similar length; for a text with several passages, the largest weight of each term.

    Args:
        sequences: The tokenized texts.
        encode_batch: Computes the entries of some sequences; their rows count the sequences of the batch.
        batch_tokens: Tokens per batch.
        terms: The vocabulary's Lucene terms by term_id.
        progress: Called after each batch with the number of texts whose first sequence is in it, and its number of tokens.

    Raises:
        ModelError: A weight is not finite.
    """
    lengths = [len(ids) for ids in sequences.ids]
    owners = np.array(sequences.owners, np.int64)
    parts = []
    for batch in batches_by_length(lengths, batch_tokens, max(1, _BATCH_WEIGHTS // len(terms))):
        entries = encode_batch(batch)
        if not np.isfinite(entries.values).all():
            raise ModelError(
                "the network's output is not finite for one of the texts. Use dtype=float32, or copy or train the "
                "checkpoint again."
            )
        parts.append(entries._replace(rows=owners[batch][entries.rows]))
        if progress:
            new_texts = sum(not i or sequences.owners[i - 1] != sequences.owners[i] for i in batch)
            progress(new_texts, sum(lengths[i] for i in batch))
    blank = sequences.texts - len(set(sequences.owners))
    if progress and blank:
        progress(blank, 0)
    return _combine(Entries.join(parts), sequences.texts, terms)


def _combine(entries: Entries, texts: int, terms: Sequence[str]) -> SparseWeights:
    """The entries sorted by text and term; among those of a text for the same term, the largest weight wins."""
    keys = entries.rows * len(terms) + entries.term_ids
    order = np.lexsort((-entries.values, keys))
    keys, values = keys[order], entries.values[order]
    is_first = np.diff(keys, prepend=-1) > 0
    rows, term_ids = np.divmod(keys[is_first], len(terms))
    return SparseWeights(compress_rows(rows, texts), term_ids.astype(np.int32), values[is_first], terms)
