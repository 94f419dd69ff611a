"""Queries without a network: a tokenizer and a table of weights. Neither torch nor transformers is imported.

- SPLADE-doc: every token of the query weighs 1; special tokens are dropped (arXiv 2109.10086).
- OpenSearch's document-only models and sentence-transformers' SparseStaticEmbedding: every token has its weight from the
  checkpoint's table, no matter how often it occurs in the query.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.layout import TableSide
from splade_lucene.encoder.location import read_json
from splade_lucene.encoder.sparse import SparseWeights
from splade_lucene.encoder.tokenizer import PlainTokenizer
from splade_lucene.errors import ModelError
from splade_lucene.files.files import files_digest
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.white_space import is_blank


class TermTable:
    """Encodes queries by looking up the weights of their tokens.

    Args:
        side: The settings read from the checkpoint; see :mod:`splade_lucene.encoder.layout`.

    Raises:
        ModelError: The tokenizer or the table cannot be read.
    """

    def __init__(self, side: TableSide) -> None:
        self.side = side
        self._tokenizer = PlainTokenizer(side.location.tokenizer_folder)
        self.terms = self._tokenizer.terms()
        self._weights = _read_weights(side.weights, side.missing, self._tokenizer.get_vocab(), len(self.terms))
        self._weights[self._dropped_specials()] = 0

    def _dropped_specials(self) -> list[int]:
        """The special tokens without weight, even if a text spells them out.

        OpenSearch drops all of them; naver/splade keeps the unknown token; sentence-transformers leaves it to the table.
        """
        if self.side.weights is not None and not self.side.drop_specials:
            return []
        unknown = None if self.side.drop_specials else self._tokenizer.unk_token_id
        return [term_id for term_id in self._tokenizer.all_special_ids if term_id != unknown]

    @property
    def digest(self) -> str:
        """SHA-256 over the tokenizer and the table."""
        weights = [] if self.side.weights is None else [self.side.weights]
        return files_digest([*self.side.location.tokenizer_files(), *weights])

    def encode(self, texts: Sequence[str]) -> SparseWeights:
        """Encodes texts; repeated tokens count once, and a blank text has no terms."""
        tokens = self._tokenizer([self.side.prefix + text for text in texts], add_special_tokens=False)["input_ids"]
        starts, term_ids, weights = [0], [], []
        for text, token_ids in zip(texts, tokens, strict=True):
            ids = np.unique(np.array([] if is_blank(text) else token_ids[: self.side.max_length], dtype=np.int32))
            ids = ids[self._weights[ids] > 0]
            term_ids.append(ids)
            weights.append(self._weights[ids])
            starts.append(starts[-1] + len(ids))
        return SparseWeights(
            np.array(starts, np.int64), np.concatenate([np.empty(0, np.int32), *term_ids]),
            np.concatenate([np.empty(0, np.float32), *weights]), self.terms,
        )  # fmt: skip


def _read_weights(path: Path | None, missing: float, entries: dict[str, int], size: int) -> NDArray[np.float32]:
    """The weight of each term_id; shape [terms]."""
    if path is None:
        return np.ones(size, np.float32)
    if path.suffix in (".safetensors", ".bin"):
        return read_tensor(path, size)[:size]
    table = read_json(path) if path.suffix == ".json" else _read_lines(path)
    weights = np.full(size, missing, np.float32)
    known, largest = 0, float(np.finfo(np.float32).max)
    for entry, weight in table.items():
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 <= weight <= largest:
            raise ModelError(
                f"{path}: token {entry!r} has the weight {weight!r:.60}, expected a number of at least 0. "
                "Copy the checkpoint again."
            )
        term_id = entries.get(entry)
        if term_id is not None:
            weights[term_id] = weight
            known += 1
    if not known:
        raise ModelError(f"{path}: none of the tokenizer's tokens has a weight here. Copy the checkpoint again.")
    return _some_above_0(weights, path)


def _read_lines(path: Path) -> dict[str, float]:
    """OpenSearch's ``query_token_weights.txt``: token, tab, weight."""
    table = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}). Copy the checkpoint again.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry, tab, weight = line.rstrip("\r").rpartition("\t")
        try:
            if not tab:
                raise ValueError("expected a tab between token and weight")
            table[entry] = float(weight)
        except ValueError as error:
            raise ModelError(f"{path}:{number}: {error}. Copy the checkpoint again.") from None
    return table


@uninterrupted_imports()
def read_tensor(path: Path, size: int) -> NDArray[np.float32]:
    """Reads the tensor of a SparseStaticEmbedding; negative values become 0.

    Returns:
        Shape [terms], at least ``size`` of them, float32.

    Raises:
        ModelError: The tensor cannot be read or has the wrong shape.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, "numpy") as file:
                tensor = file.get_tensor("weight")
        else:
            import torch

            tensor = torch.load(path, map_location="cpu", weights_only=True)["weight"].float().numpy()
    except Exception as error:  # each loader raises its own exceptions
        raise ModelError(f"{path}: the weights cannot be read ({error}). Copy the checkpoint again.") from error
    if tensor.ndim != 1 or len(tensor) < size:
        raise ModelError(
            f"{path}: expected one weight for each of {size} tokens, got shape {tensor.shape}. Copy the checkpoint again."
        )
    if not np.isfinite(tensor).all():
        raise ModelError(f"{path}: the weights have values that are not finite. Copy the checkpoint again.")
    return _some_above_0(np.maximum(tensor.astype(np.float32), 0), path)


def _some_above_0(weights: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    if not weights.any():
        raise ModelError(f"{path}: no weight is above 0, so no query would have a term. Copy the checkpoint again.")
    return weights
