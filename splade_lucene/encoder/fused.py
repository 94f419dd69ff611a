"""SPLADE pooling fused with the projection to the vocabulary, over packed tokens, as one Triton kernel.

It computes the formulas of :mod:`splade_lucene.encoder.pooling`. That module materializes the logits one vocabulary slice at
a time; this kernel never writes them: the logits of a block of tokens stay in registers, as does the running maximum or sum
of each text.
"""

from __future__ import annotations

import functools
import importlib
import logging
import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from splade_lucene.encoder.layout import Activation, Pooling

_log = logging.getLogger(__name__)
_RUN = 2048
"""Tokens pooled by one program, rounded to the next text's start: enough to make its partly empty last block negligible."""

triton: Any
tl: Any
try:
    triton = importlib.import_module("triton")
    tl = importlib.import_module("triton.language")
except Exception:  # Triton is optional, and a broken installation counts as none
    triton = tl = None


def _jit(function: Callable[..., Any]) -> Any:
    return function if triton is None else triton.jit(function)


@_jit
def _activate(logits: tl.tensor, activation: tl.constexpr) -> tl.tensor:
    weights = tl.log(1.0 + tl.maximum(logits, 0.0))
    if activation == "log1p_log1p_relu":
        weights = tl.log(1.0 + weights)
    return weights


# One program pools one tile of the vocabulary over one run of whole texts, block by block of the packed stream. Texts share
# blocks, so passages of some 80 tokens fill every product except in each run's last block, whereas one program per text would
# leave 3 columns in 8 unused. No text is split between programs, so there are no atomics and the result is deterministic.
# The product has one row per term, so the tokens of a text lie in the registers of four threads of a warp, and pooling them
# takes few shuffles and no shared memory. The vocabulary is the slow axis of the grid, so that programs running at the same
# time share their part of the decoder matrix in the L2 cache.
@_jit
def _pool_kernel(  # noqa: PLR0913 - Triton takes pointers and sizes one by one
    hidden: tl.tensor,
    starts: tl.tensor,
    owners: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    pooled: tl.tensor,
    size: tl.tensor,
    width: tl.constexpr,
    pooling: tl.constexpr,
    activation: tl.constexpr,
    run_tokens: tl.constexpr,
    block_terms: tl.constexpr,
    block_tokens: tl.constexpr,
    block_width: tl.constexpr,
) -> None:
    begin = tl.load(starts + tl.load(owners + tl.program_id(0) * run_tokens))
    end = tl.load(starts + tl.load(owners + (tl.program_id(0) + 1) * run_tokens))
    terms = tl.program_id(1) * block_terms + tl.arange(0, block_terms)
    columns = tl.arange(0, block_width)
    # Terms and tokens past the end repeat the last one: their logits are never used, and the loads need no mask.
    weight += tl.minimum(terms, size - 1).to(tl.int64)[:, None] * width + columns[None, :]
    offset = tl.zeros([block_terms], tl.float32)
    if bias is not None:
        offset += tl.load(bias + tl.minimum(terms, size - 1)).to(tl.float32)

    least: tl.constexpr = float("-inf") if pooling == "max" else 0.0
    running = tl.full([block_terms], least, tl.float32)
    for block in range(begin, end, block_tokens):
        positions = block + tl.arange(0, block_tokens)
        rows = hidden + tl.minimum(positions, end - 1).to(tl.int64)[None, :] * width + columns[:, None]
        logits = tl.zeros([block_terms, block_tokens], tl.float32)
        for k in range(0, width, block_width):
            if width % block_width == 0:
                left, right = tl.load(weight + k), tl.load(rows + k)
            else:
                left = tl.load(weight + k, mask=columns[None, :] < width - k, other=0.0)
                right = tl.load(rows + k, mask=columns[:, None] < width - k, other=0.0)
            logits = tl.dot(left, right, logits, input_precision="ieee")
        logits += offset[:, None]  # not after the maximum: Triton 3.9 cannot compile that for a B200
        if pooling == "sum":
            logits = _activate(logits, activation)

        stop = tl.minimum(block + block_tokens, end)
        for text in range(tl.load(owners + block), tl.load(owners + stop - 1) + 1):
            text_begin, text_end = tl.load(starts + text), tl.load(starts + text + 1)
            inside = ((positions >= text_begin) & (positions < text_end))[None, :]
            running = tl.where(text_begin < block, running, least)
            if pooling == "max":
                running = tl.maximum(running, tl.max(tl.where(inside, logits, least), axis=1))
            else:
                running += tl.sum(tl.where(inside, logits, least), axis=1)
            if text_end <= stop:
                # The activations are monotone, so with max pooling they can be applied to the maximum.
                weights = _activate(running, activation) if pooling == "max" else running
                tl.store(pooled + tl.cast(text, tl.int64) * size + terms, weights, mask=terms < size)


_INTERPRETED = triton is not None and not isinstance(_pool_kernel, triton.JITFunction)


def _tile(generation: int) -> dict[str, int]:
    """The kernel's tile shape on a GPU generation: fixed rather than autotuned, so that results do not depend on timings."""
    if generation in (9, 10):  # H100 and B200 have enough shared memory; 11 and 12 are smaller devices
        return {"block_terms": 256, "block_tokens": 128, "block_width": 64, "num_warps": 8, "num_stages": 4}
    return {"block_terms": 128, "block_tokens": 128, "block_width": 32, "num_warps": 8, "num_stages": 4}


def fused_pool(
    hidden: Tensor, starts: Tensor, weight: Tensor, bias: Tensor | None, pooling: Pooling, activation: Activation
) -> Tensor:
    """Projects the hidden states of packed texts to the vocabulary and pools them.

    Args:
        hidden: Output of the masked-LM head's transform, shape [tokens, width], without padding; bfloat16 or float16, or
            in the interpreter float32. Products are accumulated in float32.
        starts: Start of each text's tokens, ascending, followed by the number of tokens; shape [texts + 1], int32.
        weight: Decoder matrix, shape [terms, width], of the same dtype as ``hidden``.
        bias: Decoder bias, shape [terms].
        pooling: ``max`` or ``sum``.
        activation: ``log(1 + relu(x))`` or ``log(1 + log(1 + relu(x)))``.

    Returns:
        Weights, shape [texts, terms], float32, at least 0; all 0 for a text without tokens.
    """
    if _INTERPRETED and hidden.dtype == torch.bfloat16:  # Triton's interpreter cannot multiply bfloat16
        hidden, weight = hidden.float(), weight.float()
    (tokens, width), size = hidden.shape, len(weight)
    pooled = torch.zeros(len(starts) - 1, size, dtype=torch.float32, device=hidden.device)
    runs = -(-tokens // _RUN)
    positions = torch.arange(runs * _RUN + 1, dtype=starts.dtype, device=starts.device)
    owners = torch.searchsorted(starts, positions, right=True, out_int32=True) - 1
    tile = _tile(torch.cuda.get_device_capability(hidden.device)[0] if hidden.is_cuda else 0)
    with torch.cuda.device(hidden.get_device()):
        _pool_kernel[(runs, -(-size // tile["block_terms"]))](
            hidden.contiguous(),
            starts.contiguous(),
            owners,
            weight.contiguous(),
            bias,
            pooled,
            size,
            width=width,
            pooling=pooling,
            activation=activation,
            run_tokens=_RUN,
            enable_fp_fusion=True,
            **tile,
        )
    return pooled


@functools.cache
def is_usable(device: torch.device, dtype: torch.dtype = torch.bfloat16) -> bool:
    """Whether the kernel runs on a device, tested by pooling one token because it needs a driver and a compiler.

    Products in float32 are left to cuBLAS. They are exact outside the tensor cores only, where an H100 computes 49 TFLOP/s by
    cuBLAS, pooling included, and 23 by this kernel with its best tile; in bfloat16 it is 202 and 569.
    """
    if triton is None or not (_INTERPRETED or (device.type == "cuda" and dtype in (torch.bfloat16, torch.float16))):
        return False
    try:
        if not _INTERPRETED and torch.cuda.get_device_capability(device) < (8, 0):
            return False
        ones = torch.ones(1, 16, dtype=torch.bfloat16, device=device)
        starts = torch.tensor([0, 1], dtype=torch.int32, device=device)
        return abs(fused_pool(ones, starts, ones, None, "max", "log1p_relu").item() - math.log(17)) < 1e-3
    except Exception as error:
        _log.info("cannot run the fused kernel on %s: %s", device, error)
        return False
