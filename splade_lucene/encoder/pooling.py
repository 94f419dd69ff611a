"""Token logits → one weight per vocabulary term: the formulas of SPLADE, as pure functions.

With logits ``w_ij`` of token ``i`` for term ``j``, over a text's tokens including special tokens and excluding padding, and
``f(x) = log(1 + relu(x))``:

- ``sum``, SPLADE v1 (arXiv 2107.05720, eq. 1):  ``w_j = Σ_i f(w_ij)``
- ``max``, SPLADE v2 (arXiv 2109.10086, eq. 6):  ``w_j = max_i f(w_ij)``

OpenSearch's v3 models use ``f(x) = log(1 + log(1 + relu(x)))`` (arXiv 2504.14839).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from splade_lucene.encoder.layout import Activation, Pooling

Projection = tuple[int, int, "Callable[[Tensor], Tensor]"]
"""First term, one past the last term, and the linear map from hidden states to their logits."""


def activate(logits: Tensor, activation: Activation) -> Tensor:
    """Applies ``f`` in place to float32 logits."""
    weights = logits.relu_().log1p_()
    return weights.log1p_() if activation == "log1p_log1p_relu" else weights


def pool_logits(logits: Tensor, mask: Tensor, pooling: Pooling, activation: Activation = "log1p_relu") -> Tensor:
    """Pools a complete tensor of logits.

    Args:
        logits: Shape [texts, tokens, terms].
        mask: Shape [texts, tokens]; true for tokens, false for padding.
        pooling: The pooling formula.
        activation: The function ``f``.

    Returns:
        Weights, shape [texts, terms], float32, at least 0.
    """
    padding = ~mask.bool().unsqueeze(-1)
    if pooling == "max":  # f is monotone and 0 below 0, so it can be applied to the maximum
        return activate(logits.masked_fill(padding, 0).amax(dim=1).float(), activation)
    return activate(logits.float().clone(), activation).masked_fill(padding, 0).sum(dim=1)


def project_and_pool(
    hidden: Tensor, projections: Sequence[Projection], mask: Tensor, pooling: Pooling,
    activation: Activation = "log1p_relu",
) -> Tensor:  # fmt: skip
    """Projects hidden states to the vocabulary and pools them, one vocabulary slice at a time.

    The result equals :func:`pool_logits` of all logits up to the order of additions, but no tensor of shape
    [texts, tokens, terms] is ever allocated.

    Args:
        hidden: Output of the masked-LM head's transform, shape [texts, tokens, width].
        projections: The decoder as consecutive slices.
        mask: Shape [texts, tokens]; true for tokens, false for padding.
        pooling: The pooling formula.
        activation: The function ``f``.

    Returns:
        Weights, shape [texts, terms], float32.
    """
    texts, tokens, width = hidden.shape
    mask = mask.bool()
    if pooling == "max":
        hidden = without_padding(hidden, mask)
    rows = hidden.reshape(texts * tokens, width)
    pooled = torch.empty(texts, projections[-1][1], dtype=torch.float32, device=hidden.device)
    for start, stop, project in projections:
        logits = project(rows).view(texts, tokens, -1)
        pooled[:, start:stop] = (
            logits.amax(dim=1) if pooling == "max" else pool_logits(logits, mask, pooling, activation)
        )
    if pooling == "max":
        activate(pooled, activation)
        pooled[~mask.any(dim=1)] = 0
    return pooled


def without_padding(hidden: Tensor, mask: Tensor) -> Tensor:
    """Hidden states with each text's first token in place of its padding: maxima stay, and no slice needs a mask.

    Args:
        hidden: Shape [texts, tokens, width].
        mask: Shape [texts, tokens], bool; true for tokens, false for padding.
    """
    if bool(mask.all()):
        return hidden
    first = mask.to(torch.uint8).argmax(dim=1)
    return torch.where(mask.unsqueeze(-1), hidden, hidden[torch.arange(len(hidden)), first].unsqueeze(1))
