"""Max pooling of the vocabulary projection in ONNX Runtime: products in int8 choose the terms that are computed in float32.

It is the method of :mod:`splade_lucene.encoder.screened`, which has the proof of the bound, without torch. Weights have 7 bits:
sums of two products then stay below 2^15, beyond which instructions of processors without VNNI saturate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.memory import SLICE_TERMS
from splade_lucene.encoder.onnx_graph import build_model, build_node
from splade_lucene.encoder.onnx_session import open_session
from splade_lucene.encoder.sparsify import Entries

_LEVELS = 127  # of a number of a hidden state, on each side of 0
_ZERO = 128  # of hidden states, which are unsigned
_WEIGHT_LEVELS = 63
_MANY = 8  # candidates, as a fraction of all terms
_SAMPLE = 1024  # terms, whose bounds tell whether a text has many
_FLOAT32_SUM = 2.0**-23  # relative error of a float32 sum per addend, with a margin


class OnnxHead:
    """The last layer of a language model, with max pooling.

    Args:
        weight: Shape [width, terms], float32.
        bias: Shape [terms], or None.
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> None:
        self._weight = np.ascontiguousarray(weight.T)
        self._bias = np.zeros(len(self._weight), np.float32) if bias is None else bias
        self._bounds = _Bounds(self._weight, self._bias)
        sample = slice(None, None, max(1, len(self._weight) // _SAMPLE))
        self._sample = _Bounds(self._weight[sample], self._bias[sample])

    def pool(self, hidden: NDArray[np.float32], mask: NDArray[np.bool_]) -> Entries:
        """The largest logit of each term, where it is above 0.

        Args:
            hidden: Input of the layer; shape [texts, tokens, width].
            mask: The positions to pool over, at least one of each text; shape [texts, tokens].
        """
        first = hidden[np.arange(len(hidden)), mask.argmax(axis=1)]
        hidden = np.where(mask[:, :, None], hidden, first[:, None])  # repeating a token does not change the maximum
        # what is no number is a candidate, too, for an error instead of no terms
        is_sparse = _MANY * (~(self._sample.of(hidden) <= 0)).mean(axis=1) < 1
        bounds = iter(self._bounds.of(hidden[is_sparse]) if is_sparse.any() else ())
        parts = []
        for text in range(len(hidden)):
            states = hidden[text, mask[text]]
            candidates = np.flatnonzero(~(next(bounds) <= 0)) if is_sparse[text] else None
            for part in self._split(candidates):
                logits = (states @ self._weight[part].T).max(axis=0) + self._bias[part]
                term_ids = np.arange(len(self._weight))[part]
                positive = ~(logits <= 0)
                rows = np.full(int(positive.sum()), text, np.int64)
                parts.append(Entries(rows, term_ids[positive], logits[positive]))
        return Entries.join(parts)

    def _split(self, candidates: NDArray[np.int64] | None) -> Iterator[NDArray[np.int64] | slice]:
        """The terms to project, some at a time; all if they are many, because slices need no copy of the matrix."""
        if candidates is not None and _MANY * len(candidates) >= len(self._weight):
            candidates = None
        count = len(self._weight if candidates is None else candidates)
        for part in (slice(start, start + SLICE_TERMS) for start in range(0, count, SLICE_TERMS)):
            yield part if candidates is None else candidates[part]


class _Bounds:
    """Upper bounds of the largest logits of some terms.

    Args:
        weight: Their rows of the layer, shape [terms, width].
        bias: Shape [terms].
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self._bias = bias
        self._norms = np.linalg.norm(weight, axis=1)
        self._scales = np.maximum(np.abs(weight).max(axis=1) / _WEIGHT_LEVELS, np.float32(1e-30))
        levels = np.rint(weight / self._scales[:, None]).astype(np.int8)
        self._errors = np.linalg.norm(weight - levels * self._scales[:, None], axis=1)
        self._session: Any = open_session(_products(levels))

    def of(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """The bounds of each text; shape [texts, terms]."""
        width = hidden.shape[2]
        scales = np.maximum(np.abs(hidden).max(axis=(1, 2)) / _LEVELS, np.float32(1e-30))
        levels = np.rint(hidden / scales[:, None, None])
        restored = levels * scales[:, None, None]
        norms = np.linalg.norm(hidden, axis=2).max(axis=1)
        errors = np.linalg.norm(hidden - restored, axis=2).max(axis=1) + width * _FLOAT32_SUM * norms
        products = self._session.run(None, {"hidden": (levels + _ZERO).astype(np.uint8)})[0]
        bounds: NDArray[np.float32] = products.astype(np.float32)
        bounds *= scales[:, None]
        bounds *= self._scales
        bounds += self._bias
        bounds += errors[:, None] * self._norms
        bounds += np.linalg.norm(restored, axis=2).max(axis=1)[:, None] * self._errors
        return bounds


def _products(levels: NDArray[np.int8]) -> bytes:
    """A network from hidden states to each text's largest product with each term, slice by slice."""
    constants: dict[str, NDArray[np.generic]] = {"zero": np.array(_ZERO, np.uint8), "tokens": np.array([1], np.int64)}
    nodes, slices = [], []
    for start in range(0, len(levels), SLICE_TERMS):
        constants[f"weight{start}"] = np.ascontiguousarray(levels[start : start + SLICE_TERMS].T)
        nodes += [
            build_node("MatMulInteger", ["hidden", f"weight{start}", "zero"], f"products{start}"),
            build_node("ReduceMax", [f"products{start}", "tokens"], f"largest{start}", keepdims=0),
        ]
        slices.append(f"largest{start}")
    nodes.append(build_node("Concat", slices, "largest", axis=1))
    return build_model(nodes, constants, {"hidden": (np.uint8, 3)}, {"largest": (np.int32, 2)})
