"""The encoder: texts in, sparse non-negative weights out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from splade_lucene.defaults import DEFAULT_BATCH_TOKENS, DEFAULT_MAX_LENGTH
from splade_lucene.encoder.batching import batches_by_length, pad, tokenize
from splade_lucene.encoder.checkpoint import Checkpoint, load_checkpoint
from splade_lucene.encoder.head import PooledHead
from splade_lucene.encoder.pooling import POOLINGS, Pooling
from splade_lucene.errors import InputError
from splade_lucene.quantizer import Quantizer, Side
from splade_lucene.records import well_formed

Dtype = Literal["auto", "float32", "bfloat16"]


class SparseWeights(Sequence[dict[str, float]]):
    """Weights of some texts, in compressed rows.

    Attributes:
        starts: Where each text's entries start, and one more; shape [texts + 1], int64.
        term_ids: Terms with a weight above 0, ascending within a text; shape [entries], int32.
        weights: Their weights; shape [entries], float32.
        terms: The vocabulary's terms by term_id.
    """

    def __init__(
        self, starts: NDArray[np.int64], term_ids: NDArray[np.int32], weights: NDArray[np.float32], terms: Sequence[str]
    ) -> None:
        self.starts, self.term_ids, self.weights, self.terms = starts, term_ids, weights, terms

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: Any) -> Any:
        """The {term: weight} mapping of one text, or a list of them for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        row = slice(self.starts[index % len(self)], self.starts[index % len(self) + 1])
        return dict(zip((self.terms[i] for i in self.term_ids[row]), self.weights[row].tolist(), strict=True))

    def quantize(
        self, quantizer: Quantizer, side: Side, *, top_terms: int = 0, min_impact: int = 1
    ) -> list[dict[str, int]]:
        """The {term: impact} mapping of each text, largest impact first.

        Args:
            quantizer: The rule.
            side: Which half of it applies.
            top_terms: Terms to keep of each text, the largest; 0 for all.
            min_impact: Least impact to keep.
        """
        impacts = quantizer.quantize(self.weights, side)
        vectors = []
        for text in range(len(self)):
            row = slice(self.starts[text], self.starts[text + 1])
            kept = impacts[row] >= max(1, min_impact)
            ids, values = self.term_ids[row][kept], impacts[row][kept]
            order = np.argsort(-values.astype(np.int64), kind="stable")[: top_terms or None]
            vectors.append(dict(zip((self.terms[i] for i in ids[order]), values[order].tolist(), strict=True)))
        return vectors


class SpladeEncoder:
    """Encodes texts with a masked-language-model checkpoint.

    Args:
        model: Folder or hub name of the checkpoint; None for the embedded one.
        pooling: ``max`` (SPLADE-max, DistilSPLADE-max and later) or ``sum`` (SPLADE v1).
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1`` …
        dtype: ``float32``, ``bfloat16`` (twice as fast where the processor computes it natively; some impacts differ
            by one), or ``auto``, which is float32.
        max_length: Tokens after which documents are cut, special tokens included.
        query_max_length: Tokens after which queries are.
        batch_tokens: Tokens of a batch.

    Raises:
        ModelError: The checkpoint is missing, incomplete, or no masked language model.

    Example:
        >>> from splade_lucene import SpladeEncoder
        >>> encoder = SpladeEncoder()
        >>> weights = encoder.encode_queries(["how do I list the files of a folder"])[0]
        >>> sorted(weights, key=weights.get, reverse=True)[:3]  # doctest: +SKIP
        ['folder', 'files', 'file']
    """

    def __init__(
        self, model: str | Path | None = None, *, pooling: Pooling = "max", device: str = "auto", dtype: Dtype = "auto",
        max_length: int = DEFAULT_MAX_LENGTH, query_max_length: int = DEFAULT_MAX_LENGTH,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
    ) -> None:  # fmt: skip
        if pooling not in POOLINGS:
            raise InputError(f"no pooling is named {pooling!r}", remedy=f"Choose one of: {', '.join(POOLINGS)}")
        if batch_tokens < 1 or max_length < 3 or query_max_length < 3:
            raise InputError("batch_tokens must be at least 1, and lengths at least 3 tokens")
        self.device = choose_device(device)
        self.pooling: Pooling = pooling
        kind = {"auto": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16}.get(dtype)
        if kind is None:
            raise InputError(f"no dtype is named {dtype!r}", remedy="Choose auto, float32 or bfloat16")
        self.checkpoint: Checkpoint = load_checkpoint(model, dtype=kind, device=self.device)
        self.max_length = min(max_length, self.checkpoint.max_tokens)
        self.query_max_length = min(query_max_length, self.checkpoint.max_tokens)
        self.batch_tokens = batch_tokens
        self._head = PooledHead(self.checkpoint.model, pooling)

    @property
    def terms(self) -> list[str]:
        """The vocabulary's terms by term_id."""
        return self.checkpoint.terms

    def encode_documents(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> SparseWeights:
        """Encodes documents.

        Args:
            texts: Any number of texts; they are encoded in the order of their lengths and returned in theirs.
            progress: Called after each batch with the number of texts in it.
        """
        return self._encode(texts, self.max_length, progress)

    def encode_queries(self, texts: Sequence[str]) -> SparseWeights:
        """Encodes queries."""
        return self._encode(texts, self.query_max_length, None)

    def _encode(self, texts: Sequence[str], max_length: int, progress: Callable[[int], None] | None) -> SparseWeights:
        ids = tokenize(self.checkpoint.tokenizer, [well_formed(text) for text in texts], max_length)
        rows: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = [_NOTHING] * len(ids)
        for batch in batches_by_length([len(each) for each in ids], self.batch_tokens):
            for position, row in zip(batch, self._encode_batch([ids[i] for i in batch]), strict=True):
                rows[position] = row
            if progress:
                progress(len(batch))
        starts = np.cumsum([0, *(len(term_ids) for term_ids, _ in rows)], dtype=np.int64)
        term_ids = np.concatenate([_NOTHING[0], *(row[0] for row in rows)])
        weights = np.concatenate([_NOTHING[1], *(row[1] for row in rows)])
        return SparseWeights(starts, term_ids, weights, self.terms)

    def _encode_batch(self, ids: Sequence[Sequence[int]]) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        pad_id = self.checkpoint.tokenizer.pad_token_id or 0
        dense = self._head(*pad(ids, pad_id, self.device)).cpu().numpy()
        for row in dense:
            term_ids = np.flatnonzero(row > 0)
            yield term_ids.astype(np.int32), row[term_ids]


_NOTHING: tuple[NDArray[np.int32], NDArray[np.float32]] = (np.empty(0, np.int32), np.empty(0, np.float32))


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` is a GPU if there is one.

    Raises:
        InputError: No such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the device {name!r} cannot be used ({reason})", remedy="Use --device cpu or auto") from error
    return device
