"""Token logits → one weight per vocabulary term: the formulas of SPLADE, as pure functions.

With logits ``w_ij`` of token ``i`` for term ``j`` over a text's tokens, special tokens included, padding excluded:

- ``sum``, SPLADE v1 (arXiv 2107.05720, eq. 1):  ``w_j = Σ_i log(1 + relu(w_ij))``
- ``max``, SPLADE v2 (arXiv 2109.10086, eq. 6):  ``w_j = max_i log(1 + relu(w_ij))``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from torch import Tensor

Pooling = Literal["max", "sum"]
POOLINGS: tuple[Pooling, ...] = ("max", "sum")

_CHUNK_ELEMENTS = 1 << 21
"""Logits held at a time: 8 MB in float32, which stays in a processor's cache between the product and the pooling."""


def pool_logits(logits: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Pools logits that are all there.

    Args:
        logits: Shape [texts, tokens, terms].
        mask: Shape [texts, tokens]; 1 for tokens, 0 for padding.
        pooling: Which formula.

    Returns:
        Weights, shape [texts, terms], float32, at least 0.
    """
    padding = mask.unsqueeze(-1) == 0
    if pooling == "max":  # relu and log1p are monotone, so they can wait until one logit a term is left
        return logits.masked_fill(padding, 0).amax(dim=1).float().relu().log1p()
    return logits.float().relu().log1p().masked_fill(padding, 0).sum(dim=1)


def project_and_pool(hidden: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor, pooling: Pooling) -> Tensor:
    """Projects hidden states to the vocabulary and pools them, a slice of the vocabulary at a time.

    The result equals ``pool_logits(hidden @ weight.T + bias, mask, pooling)`` up to the order of additions, but no
    tensor of shape [texts, tokens, terms] ever exists.

    Args:
        hidden: Output of the masked-LM head's transform, shape [texts, tokens, width].
        weight: Decoder matrix, shape [terms, width].
        bias: Decoder bias, shape [terms].
        mask: Shape [texts, tokens].
        pooling: Which formula.

    Returns:
        Weights, shape [texts, terms], float32.
    """
    texts, tokens, width = hidden.shape
    rows = hidden.reshape(texts * tokens, width)
    step = min(max(_CHUNK_ELEMENTS // max(1, texts * tokens), 512), 8192)
    pooled = torch.empty(texts, weight.shape[0], dtype=torch.float32, device=hidden.device)
    for start in range(0, weight.shape[0], step):
        part = slice(start, start + step)
        logits = torch.nn.functional.linear(rows, weight[part], None if bias is None else bias[part])
        pooled[:, part] = pool_logits(logits.view(texts, tokens, -1), mask, pooling)
    return pooled
