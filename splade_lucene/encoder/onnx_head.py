"""Max pooling of the vocabulary projection in ONNX Runtime: products in int8 choose the terms that are computed in float32.

It is the method of :mod:`splade_lucene.encoder.screened`, which has the proof of the bound, without torch. Weights have 7 bits:
sums of two products then stay below 2^15, beyond which instructions of processors without VNNI saturate. One query gains most:
it takes as long as reading the weights takes, and int8 is a quarter of float32.
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

_LEVELS = 127  # quantization levels of a hidden state, on each side of 0
_ZERO = 128  # zero point of hidden states, which are unsigned
_WEIGHT_LEVELS = 63
_DENSE_DIVISOR = 8  # a text with candidates for at least 1/8 of all terms is dense
_SAMPLE = 1024  # terms whose bounds estimate how many candidates a text has
_FEW_ROWS = 32  # tokens; for so few, all bounds cost little more than the sample's
_FLOAT32_SUM = 2.0**-23  # relative error of a float32 sum per addend, with a margin
_CACHED_ROWS = 128  # rows of a matrix, which stay in the cache while they are rounded


class OnnxHead:
    """The last layer of a language model, with max pooling.

    Args:
        weight: Shape [terms, width], float32.
        bias: Shape [terms], or None.

    Attributes:
        width: Numbers of a hidden state.
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> None:
        self.width = weight.shape[1]
        self._weight = np.ascontiguousarray(weight)
        self._bias = np.zeros(len(weight), np.float32) if bias is None else bias
        self._bounds = _Bounds(self._weight, self._bias)
        sample = slice(None, None, max(1, len(weight) // _SAMPLE))
        self._sample = _Bounds(self._weight[sample], self._bias[sample])
        self._products: Any = open_session(_float32_products())

    def logits(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """All logits.

        Args:
            hidden: Input of the layer; shape [texts, tokens, width].

        Returns:
            Shape [texts, tokens, terms].
        """
        rows = hidden.reshape(-1, hidden.shape[-1])
        logits = [self._multiply("products", rows, part) for part in self._split(None)]
        joined: NDArray[np.float32] = np.concatenate(logits, axis=1).reshape(*hidden.shape[:2], -1)
        return joined + self._bias

    def pool(self, hidden: NDArray[np.float32], mask: NDArray[np.bool_]) -> Entries:
        """The largest logit of each term, where it is above 0.

        Args:
            hidden: Input of the layer; shape [texts, tokens, width].
            mask: The positions to pool over, at least one of each text; shape [texts, tokens].
        """
        first = hidden[np.arange(len(hidden)), mask.argmax(axis=1)]
        hidden = np.where(mask[:, :, None], hidden, first[:, None])  # repeating a token does not change the maximum
        is_sparse = self._have_few_terms(hidden)
        bounds = iter(self._bounds.of(hidden[is_sparse]) if is_sparse.any() else ())
        parts = []
        for text in range(len(hidden)):
            states = hidden[text, mask[text]]
            # NaN counts as a candidate, so that it raises an error instead of dropping terms
            candidates = np.flatnonzero(~(next(bounds) <= 0)) if is_sparse[text] else None
            for part in self._split(candidates):
                logits = self._multiply("largest", states, part) + self._bias[part]
                term_ids = np.arange(len(self._weight))[part] if isinstance(part, slice) else part
                positive = ~(logits <= 0)
                rows = np.full(int(positive.sum()), text, np.int64)
                parts.append(Entries(rows, term_ids[positive], logits[positive]))
        return Entries.join(parts)

    def _have_few_terms(self, hidden: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether screening each text pays."""
        texts, tokens, _ = hidden.shape
        if texts * tokens <= _FEW_ROWS:
            return np.ones(texts, np.bool_)
        few: NDArray[np.bool_] = _DENSE_DIVISOR * (~(self._sample.of(hidden) <= 0)).mean(axis=1) < 1
        return few

    def _split(self, candidates: NDArray[np.int64] | None) -> Iterator[NDArray[np.int64] | slice]:
        """The terms to project, some at a time; all if they are many, because slices need no copy of the matrix."""
        if candidates is not None and _DENSE_DIVISOR * len(candidates) >= len(self._weight):
            candidates = None
        count = len(self._weight if candidates is None else candidates)
        for part in (slice(start, start + SLICE_TERMS) for start in range(0, count, SLICE_TERMS)):
            yield part if candidates is None else candidates[part]

    def _multiply(
        self, output: str, states: NDArray[np.float32], terms: NDArray[np.int64] | slice
    ) -> NDArray[np.float32]:
        """Not by NumPy, whose threads keep a core busy for a while after each product."""
        found: NDArray[np.float32] = self._products.run([output], {"states": states, "rows": self._weight[terms]})[0]
        return found


class _Bounds:
    """Upper bounds of the largest logits of some terms.

    Args:
        weight: Their rows of the layer, shape [terms, width].
        bias: Shape [terms].
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self._bias = bias
        self._norms, self._scales, self._errors = (np.empty(len(weight), np.float32) for _ in range(3))
        levels = np.empty(weight.shape, np.int8)
        for start in range(0, len(weight), _CACHED_ROWS):
            part = slice(start, start + _CACHED_ROWS)
            rows = weight[part]
            scales = np.maximum(np.abs(rows).max(axis=1) / _WEIGHT_LEVELS, np.float32(1e-30))
            levels[part] = rounded = np.rint(rows / scales[:, None])
            self._norms[part], self._scales[part] = _norms(rows), scales
            self._errors[part] = _norms(rows - rounded * scales[:, None])
        self._session: Any = open_session(_int8_products(levels))

    def of(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """The bounds of each text; shape [texts, terms]."""
        width = hidden.shape[2]
        scales = np.maximum(np.abs(hidden).max(axis=(1, 2)) / _LEVELS, np.float32(1e-30))
        levels = np.rint(hidden / scales[:, None, None])
        restored = levels * scales[:, None, None]
        norms = _norms(hidden).max(axis=1)
        errors = _norms(hidden - restored).max(axis=1) + width * _FLOAT32_SUM * norms
        products = self._session.run(None, {"hidden": (levels + _ZERO).astype(np.uint8)})[0]
        bounds: NDArray[np.float32] = products.astype(np.float32)
        bounds *= scales[:, None]
        bounds *= self._scales
        bounds += self._bias
        bounds += errors[:, None] * self._norms
        bounds += _norms(restored).max(axis=1)[:, None] * self._errors
        return bounds


def _norms(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms: NDArray[np.float32] = np.linalg.norm(rows, axis=-1)
    return norms


def _int8_products(levels: NDArray[np.int8]) -> bytes:
    """A network from hidden states to each text's largest product with each term, slice by slice."""
    constants: dict[str, NDArray[np.generic]] = {"zero": np.array(_ZERO, np.uint8), "tokens": np.array([1], np.int64)}
    nodes, slices = [], []
    for start in range(0, len(levels), SLICE_TERMS):
        constants[f"weight{start}"] = levels[start : start + SLICE_TERMS].T
        nodes += [
            build_node("MatMulInteger", ["hidden", f"weight{start}", "zero"], f"products{start}"),
            build_node("ReduceMax", [f"products{start}", "tokens"], f"largest{start}", keepdims=0),
        ]
        slices.append(f"largest{start}")
    nodes.append(build_node("Concat", slices, "largest", axis=1))
    return build_model(nodes, constants, {"hidden": (np.uint8, 3)}, {"largest": (np.int32, 2)})


def _float32_products() -> bytes:
    """A network from the states of a text's tokens to their products with some rows, and the largest ones of each row."""
    nodes = [
        build_node("Gemm", ["states", "rows"], "products", transB=1),
        build_node("ReduceMax", ["products", "tokens"], "largest", keepdims=0),
    ]
    matrix = (np.float32, 2)
    return build_model(
        nodes, {"tokens": np.array([0], np.int64)}, {"states": matrix, "rows": matrix},
        {"products": matrix, "largest": (np.float32, 1)},
    )  # fmt: skip
