"""Texts → batches of tokens: sorted by length, so that little padding is computed, within a budget of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def tokenize(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Token ids of each text, special tokens included, cut after ``max_length``."""
    if not texts:
        return []
    encoded = tokenizer(
        list(texts), add_special_tokens=True, truncation=True, max_length=max_length, padding=False,
        return_attention_mask=False, return_token_type_ids=False,
    )  # fmt: skip
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Groups texts of similar length.

    Args:
        lengths: Tokens of each text.
        batch_tokens: Tokens of a batch, padding included; a longer text is a batch of its own.

    Yields:
        Positions in ``lengths``, longest texts first, each position once.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    start = 0
    while start < len(order):
        count = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + count]
        start += count


def pad(ids: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """A rectangular batch.

    Returns:
        Token ids and mask, both of shape [texts, tokens of the longest].
    """
    width = max(1, max(len(each) for each in ids))
    input_ids = torch.full((len(ids), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(ids), width), dtype=torch.long)
    for row, each in enumerate(ids):
        input_ids[row, : len(each)] = torch.tensor(each, dtype=torch.long)
        mask[row, : len(each)] = 1
    return input_ids.to(device), mask.to(device)
