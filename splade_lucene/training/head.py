"""The pooled head for training: forward and backward passes without a tensor of shape [texts, tokens, terms].

The forward pass projects and pools the vocabulary one slice at a time, as in :mod:`splade_lucene.encoder.pooling`. For the
backward pass it saves only the active logits, which have a gradient: with max pooling, the largest logit of each term and
text if it is above 0 (together with its token); with sum pooling, all logits above 0. In a sparse model one in a hundred is
active, so the backward pass is two products with a sparse matrix instead of two dense ones over all logits. Memory grows with
the number of active logits: with sum pooling, a base in which every second logit is above 0 saves nothing until the
regularizer has made it sparse.

The gradients are those of the naive head. If two tokens of a text share a term's maximum, the naive head (``amax``) splits the
gradient between them, whereas this head gives it to the first, as ``torch.max`` with indices does; both are subgradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from splade_lucene.encoder.memory import SLICE_TERMS

if TYPE_CHECKING:
    from splade_lucene.encoder.layout import Pooling


def pooled_weights(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor, pooling: Pooling, step: int = SLICE_TERMS
) -> Tensor:
    """Differentiable weights ``pool(log(1 + relu(hidden · weightᵀ + bias)))``.

    Args:
        hidden: Output of the masked-LM head's transform, shape [texts, tokens, width].
        weight: Decoder matrix, shape [terms, width].
        bias: Decoder bias, shape [terms], or None.
        mask: Shape [texts, tokens]; true for tokens, false for padding. Every text has at least one token.
        pooling: ``max`` (arXiv 2109.10086, eq. 6) or ``sum`` (eq. 1).
        step: Terms projected at a time.

    Returns:
        Shape [texts, terms], with the dtype of ``weight``.
    """
    if bias is None:
        bias = weight.new_zeros(len(weight))
    result: Tensor = _PooledWeights.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, mask.bool(), pooling, step
    )
    return result


class _PooledWeights(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, hidden: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, pooling: Pooling, step: int
    ) -> Tensor:
        texts, tokens, width = hidden.shape
        rows = hidden.reshape(texts * tokens, width)
        dtype = torch.get_autocast_dtype(rows.device.type) if torch.is_autocast_enabled(rows.device.type) else None
        factors = rows.to(dtype or rows.dtype)
        padding = ~mask
        weights = weight.new_empty(texts, len(weight))
        active = []
        for start in range(0, len(weight), step):
            stop = min(len(weight), start + step)
            logits = (factors @ weight[start:stop].to(factors.dtype).T).to(weight.dtype).view(texts, tokens, -1)
            part = _pool_max if pooling == "max" else _pool_sum
            weights[:, start:stop], found, columns, values = part(logits, bias[start:stop], padding)
            active.append((found.int(), (columns + start).int(), values))
        at, terms, values = (torch.cat(column) for column in zip(*active, strict=True))
        context.save_for_backward(rows, weight, at, terms, values)
        context.shape = hidden.shape
        return weights

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        rows, weight, at, terms, values = context.saved_tensors
        texts_of = (at // context.shape[1]).long()
        slopes = gradients[0][texts_of, terms.long()] / (1 + values)
        entries = torch.stack([at.long(), terms.long()])
        matrix = torch.sparse_coo_tensor(
            entries, slopes, (len(rows), len(weight)), is_coalesced=False, check_invariants=False
        )
        of_rows = torch.sparse.mm(matrix, weight).to(rows.dtype)
        of_weight = torch.sparse.mm(matrix.t(), rows.to(weight.dtype))
        of_bias = torch.zeros_like(weight[:, 0]).index_add_(0, terms.long(), slopes)
        return of_rows.view(context.shape), of_weight, of_bias, None, None, None


_Pooled = tuple[Tensor, Tensor, Tensor, Tensor]
"""Weights [texts, terms]; and for each active logit its row, its term within the slice and its value."""


def _pool_max(logits: Tensor, bias: Tensor, padding: Tensor) -> _Pooled:
    tokens = logits.shape[1]
    logits.masked_fill_(padding.unsqueeze(-1), -torch.inf)
    highest = logits.amax(dim=1)
    values = highest + bias
    found, columns = (values > 0).nonzero(as_tuple=True)
    # the arg-max is computed only where the maximum is above 0, while the slice is still in the cache
    at = logits.transpose(1, 2)[found, columns].argmax(dim=1) + found * tokens
    return values.relu().log1p(), at, columns, values[found, columns]


def _pool_sum(logits: Tensor, bias: Tensor, padding: Tensor) -> _Pooled:
    texts, tokens, terms = logits.shape
    logits = (logits + bias).masked_fill_(padding.unsqueeze(-1), 0).relu_()
    flat = logits.view(texts * tokens, terms)
    at, columns = flat.nonzero(as_tuple=True)
    values = flat[at, columns]
    return logits.log1p_().sum(dim=1), at, columns, values
