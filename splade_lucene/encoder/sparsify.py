"""Dense rows of weights → entries above 0, combined over passages, pruned and quantized on the device.

Only each entry's text, term and impact leave the GPU: about a hundred entries per text instead of one number per term of
the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from splade_lucene.encoder.pruning import Pruning

if TYPE_CHECKING:
    from torch import Tensor


class Entries(NamedTuple):
    """Weights above 0 of texts, in coordinate form.

    Attributes:
        texts: Text of each entry; shape [entries], int64.
        term_ids: Term of each entry; shape [entries], int64.
        values: Weight of each entry, above 0; shape [entries], float32.
    """

    texts: Tensor
    term_ids: Tensor
    values: Tensor


def compact(weights: Tensor) -> Entries:
    """The entries above 0 of dense rows, sorted by text and term.

    Args:
        weights: Shape [texts, terms], float32.
    """
    texts, term_ids = weights.nonzero(as_tuple=True)
    return Entries(texts, term_ids, weights[texts, term_ids])


def combine(parts: Sequence[Entries], terms: int, device: torch.device) -> Entries:
    """Joins the entries of several batches, sorted by text and term; among passages of a text, the largest weight wins."""
    if not parts:
        empty = torch.empty(0, dtype=torch.int64, device=device)
        return Entries(empty, empty, empty.float())
    texts = torch.cat([part.texts for part in parts])
    keys, order = torch.sort(texts * terms + torch.cat([part.term_ids for part in parts]))
    values = torch.cat([part.values for part in parts])[order]
    unique, positions = torch.unique_consecutive(keys, return_inverse=True)
    if len(unique) < len(keys):
        values = torch.zeros(len(unique), device=device).scatter_reduce(0, positions, values, "amax")
    return Entries(unique // terms, unique % terms, values)


def prune(entries: Entries, pruning: Pruning, texts: int) -> Entries:
    """The entries kept by a pruning."""
    if pruning == Pruning():
        return entries
    order = torch.argsort(entries.values, descending=True, stable=True)
    order = order[torch.argsort(entries.texts[order], stable=True)]
    owners, values = entries.texts[order], entries.values[order].double()
    counts = torch.bincount(owners, minlength=texts)
    starts = counts.cumsum(0) - counts
    kept = values >= pruning.min_weight
    if pruning.max_ratio:
        kept &= values > pruning.max_ratio * values[starts[owners]]
    if pruning.top_terms:
        kept &= torch.arange(len(order), device=order.device) - starts[owners] < pruning.top_terms
    if pruning.kept_mass < 1:
        before = values.cumsum(0) - values
        mass = torch.zeros(texts, dtype=torch.float64, device=order.device).index_add_(0, owners, values)
        kept &= before - before[starts[owners]] < pruning.kept_mass * mass[owners] * (1 - 1e-12)
    chosen = torch.sort(order[kept]).values
    return Entries(entries.texts[chosen], entries.term_ids[chosen], entries.values[chosen])
