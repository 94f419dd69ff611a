"""The pooled head for training: forward and backward passes without a tensor of shape [texts, tokens, terms].

The forward pass projects and pools the vocabulary one slice at a time, as in :mod:`splade_lucene.encoder.pooling`. For the
backward pass it saves only the active logits, which have a gradient: with max pooling, the largest logit of each term and
text if it is above 0 (together with its token); with sum pooling, all logits above 0. In a sparse model one in a hundred is
active, so the backward pass is two products with a sparse matrix instead of two dense ones over all logits. Memory grows with
the number of active logits: with sum pooling, a base in which every second logit is above 0 saves nothing until the
regularizer has made it sparse.

With max pooling on processors whose products in bfloat16 or int8 are much faster, most logits are not computed in float32 at
all (:mod:`splade_lucene.encoder.screened`): those that are certainly below 0 have neither a weight nor a gradient.

The gradients are those of the naive head. If two tokens of a text share a term's maximum, the naive head (``amax``) splits the
gradient between them, whereas this head gives it to the first, as ``torch.max`` with indices does; both are subgradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from splade_lucene.encoder.memory import SLICE_TERMS
from splade_lucene.encoder.pooling import without_padding
from splade_lucene.encoder.screened import Screen, ScreenedDecoder, can_screen, choose_screen

if TYPE_CHECKING:
    from splade_lucene.encoder.layout import Pooling


def pooled_weights(
    buckets: Sequence[Tensor], weight: Tensor, bias: Tensor | None, masks: Sequence[Tensor], pooling: Pooling,
    step: int = SLICE_TERMS,
) -> Tensor:  # fmt: skip
    """Differentiable weights ``pool(log(1 + relu(hidden · weightᵀ + bias)))``.

    Args:
        buckets: Outputs of the masked-LM head's transform, each for some of the texts; shape [texts, tokens, width], where the
            number of tokens may differ.
        weight: Decoder matrix, shape [terms, width].
        bias: Decoder bias, shape [terms], or None.
        masks: For each bucket, shape [texts, tokens]; true for tokens, false for padding. Every text has at least one token.
        pooling: ``max`` (arXiv 2109.10086, eq. 6) or ``sum`` (eq. 1).
        step: Terms projected at a time.

    Returns:
        Shape [texts of all buckets, terms], with the dtype of ``weight``.
    """
    if bias is None:
        bias = weight.new_zeros(len(weight))
    result: Tensor = _PooledWeights.apply(  # type: ignore[no-untyped-call]
        weight, bias, [mask.bool() for mask in masks], pooling, step, *buckets
    )
    return result


class _PooledWeights(torch.autograd.Function):
    """One function for all buckets, so that the gradient of the decoder, as large as the decoder, is computed once."""

    @staticmethod
    def forward(
        context: Any,
        weight: Tensor,
        bias: Tensor,
        masks: Sequence[Tensor],
        pooling: Pooling,
        step: int,
        *buckets: Tensor,
    ) -> Tensor:
        weights = weight.new_empty(sum(map(len, buckets)), len(weight))
        device = weight.device.type
        is_mixed = torch.is_autocast_enabled(device)
        matrix = weight.to(torch.get_autocast_dtype(device)) if is_mixed else weight  # once, instead of for each bucket
        screened = None if is_mixed else _screened(weight, bias, pooling, step, sum(mask.numel() for mask in masks))
        active = []
        text = row = 0
        for hidden, mask in zip(buckets, masks, strict=True):
            part = weights[text : text + len(hidden)]
            found: Iterable[_Active] | None = None
            if screened is not None:
                found = _pool_screened(hidden, weight, bias, mask, screened, part)
            if found is None:
                found = _pool(hidden, matrix, bias, mask, pooling, step, part)
            active += [(at + row, terms, values) for at, terms, values in found]
            text, row = text + len(hidden), row + mask.numel()
        rows = torch.cat([hidden.flatten(0, 1) for hidden in buckets])
        at, terms, values = (torch.cat(column) for column in zip(*active, strict=True))
        context.save_for_backward(rows, weight, at, terms, values)
        context.shapes = [hidden.shape for hidden in buckets]
        return weights

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, at, terms, values = context.saved_tensors
        tokens = [shape[1] for shape in context.shapes for _ in range(shape[0])]
        text_of_row = torch.arange(len(tokens)).repeat_interleave(torch.tensor(tokens)).to(rows.device)
        of_rows, of_bias = weight.new_zeros(rows.shape), torch.zeros_like(weight[:, 0])
        of_weight: Tensor | None = None
        for start in range(0, max(1, len(at)), _ENTRIES):
            part = slice(start, start + _ENTRIES)
            entries = torch.stack([at[part], terms[part]]).long()
            slopes = gradients[0][text_of_row[entries[0]], entries[1]] / (1 + values[part])
            matrix = torch.sparse_coo_tensor(
                entries, slopes, (len(rows), len(weight)), is_coalesced=False, check_invariants=False
            )
            of_rows += torch.sparse.mm(matrix, weight)
            found = torch.sparse.mm(matrix.t(), rows.to(weight.dtype))
            of_weight = found if of_weight is None else of_weight.add_(found)
            of_bias.index_add_(0, entries[1], slopes)
        parts = of_rows.to(rows.dtype).split([shape[0] * shape[1] for shape in context.shapes])
        of_buckets = (part.view(shape) for part, shape in zip(parts, context.shapes, strict=True))
        return of_weight, of_bias, None, None, None, *of_buckets


def _pool(
    hidden: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, pooling: Pooling, step: int, weights: Tensor
) -> Iterator[_Active]:
    """Fills in the weights of a bucket; gives its active logits."""
    rows = hidden.flatten(0, 1).to(weight.dtype)
    padding = (~mask).flatten().nonzero()[:, 0]
    for start in range(0, len(weight), step):
        stop = min(len(weight), start + step)
        logits = (rows @ weight[start:stop].T).to(weights.dtype)
        part = _pool_max if pooling == "max" else _pool_sum
        weights[:, start:stop], at, columns, values = part(logits, bias[start:stop], padding, len(hidden))
        yield at.int(), (columns + start).int(), values


def _screened(weight: Tensor, bias: Tensor, pooling: Pooling, step: int, tokens: int) -> ScreenedDecoder | None:
    """The decoder with products of which most are computed in bfloat16 or int8; None where that would not be faster."""
    is_float32 = weight.dtype == torch.float32 and weight.device.type == "cpu"
    if pooling != "max" or not is_float32 or tokens < _SCREENED_TOKENS:
        return None
    screen = _choose_screen(weight.shape[1])
    return None if screen is None else ScreenedDecoder(weight, bias, screen, step)


@cache
def _choose_screen(width: int) -> Screen | None:
    screen = choose_screen()
    return screen if screen is not None and can_screen(screen, width) else None


def _pool_screened(
    hidden: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, decoder: ScreenedDecoder, weights: Tensor
) -> list[_Active] | None:
    """The same as :func:`_pool` with max pooling, but only logits that may be above 0 in float32; None if they are many."""
    candidates = decoder.candidates(without_padding(hidden, mask))
    if candidates is None:
        return None
    weights.zero_()
    found = []
    for text, terms in enumerate(candidates):
        positions = mask[text].nonzero()[:, 0]
        logits = hidden[text, positions] @ weight[terms].T
        values, at = logits.amax(dim=0) + bias[terms], logits.argmax(dim=0)
        weights[text, terms] = values.relu().log1p()
        is_active = values > 0
        rows = positions[at[is_active]] + text * hidden.shape[1]
        found.append((rows.int(), terms[is_active].int(), values[is_active]))
    return found


_SCREENED_TOKENS = 1024
"""With fewer, rounding the decoder anew in each step takes longer than what it saves."""
_ENTRIES = 1 << 22
"""Active logits whose gradients are computed at a time."""

_Active = tuple[Tensor, Tensor, Tensor]
"""The row of each active logit in its bucket, its term and its value."""

_Pooled = tuple[Tensor, Tensor, Tensor, Tensor]
"""Weights [texts, terms]; and for each active logit its row, its term within the slice and its value."""


def _pool_max(logits: Tensor, bias: Tensor, padding: Tensor, texts: int) -> _Pooled:
    logits = logits.index_fill_(0, padding, -torch.inf).view(texts, -1, len(bias))
    highest = logits.amax(dim=1)
    values = highest + bias
    found, columns = (values > 0).nonzero(as_tuple=True)
    # the arg-max is computed only where the maximum is above 0, while the slice is still in the cache
    at = logits.transpose(1, 2)[found, columns].argmax(dim=1) + found * logits.shape[1]
    return values.relu().log1p(), at, columns, values[found, columns]


def _pool_sum(logits: Tensor, bias: Tensor, padding: Tensor, texts: int) -> _Pooled:
    logits = (logits + bias).index_fill_(0, padding, 0).relu_()
    at, columns = logits.nonzero(as_tuple=True)
    values = logits[at, columns]
    return logits.log1p_().view(texts, -1, len(bias)).sum(dim=1), at, columns, values
