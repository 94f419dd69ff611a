"""Refuses checkpoints that can be loaded but not trusted.

Transformers initializes weights that a checkpoint lacks at random, ignores weights that the configuration leaves out, and
makes up a tokenizer of only special tokens if its files are missing. Each of these would encode hours of
documents wrongly without an error.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

_log = logging.getLogger(__name__)
_COPY_AGAIN = "Copy or train the checkpoint again."
_SAME = 1e-6  # relative difference of logits below which a network ignores its input
_MAY_BE_CONSTANT = "token_type_embeddings.weight"


def untied(model: nn.Module, missing: Iterable[str]) -> list[str]:
    """The missing weights that no weight of the checkpoint stands for; ties of the decoder's bias are restored.

    Transformers 5 unties the two names of the decoder's bias together with its matrix (``tie_word_embeddings: false``).
    Transformers 4, which wrote such checkpoints under one of the names, never did.

    Args:
        model: The loaded model; tied weights are one parameter under several names.
        missing: Names of the weights that are not in the checkpoint.
    """
    lacking = set(missing)
    sources = getattr(model, "_tied_weights_keys", None)
    for target, source in sources.items() if isinstance(sources, Mapping) else ():
        if target in lacking and source not in lacking and target.endswith(".bias"):
            owner, _, name = target.rpartition(".")
            setattr(model.get_submodule(owner), name, model.get_parameter(source))
    found = {id(parameter) for name, parameter in _parameters(model) if name not in lacking}
    tied = {name for name, parameter in _parameters(model) if id(parameter) in found}
    return sorted(lacking - tied)


def check_unused(model: nn.Module, unused: Iterable[str], folder: Path) -> None:
    """Refuses a checkpoint with more layers than its configuration; heads for other tasks may be missing from it.

    Args:
        model: The loaded model.
        unused: Names of the checkpoint's weights that the model does not have.
        folder: Folder of the checkpoint.

    Raises:
        ModelError: Names a weight.
    """
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    layers = {_pattern(name.removeprefix(prefix)) for name, _ in _parameters(model)}
    dropped = sorted(name for name in unused if _pattern(name.removeprefix(prefix)) in layers)
    if dropped:
        raise ModelError(
            f"{folder}: {len(dropped)} weights of the checkpoint would not be used (for example {dropped[0]}), because "
            "config.json describes a smaller network. Copy config.json from the original checkpoint."
        )


def check_shapes(mismatched: Iterable[tuple[str, Sequence[int], Sequence[int]]], folder: Path) -> None:
    """Refuses a checkpoint whose weights have other shapes than its configuration says.

    Args:
        mismatched: Weights with other shapes: the name, its shape in the checkpoint, and the one that the model expects.
        folder: Folder of the checkpoint.

    Raises:
        ModelError: Names a weight.
    """
    first = min(mismatched, default=None)
    if first is not None:
        name, found, expected = first
        raise ModelError(
            f"{folder}: {name} has the shape {[*found]}, but config.json describes a network in which it has {[*expected]}. "
            "Copy config.json from the original checkpoint."
        )


def check_values(model: nn.Module, folder: Path) -> None:
    """Refuses weights that are not finite, matrices whose numbers are all equal, and scales (layer norms) of zeros.

    Biases of zeros are usual, and so are the embeddings of token types that RoBERTa does not have.

    Args:
        model: The loaded model.
        folder: Folder of the checkpoint.

    Raises:
        ModelError: Names the weight.
    """
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point() or not parameter.numel():
            continue
        low, high = (float(value) for value in parameter.detach().aminmax())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ModelError(f"{folder}: {name} has values that are not finite. {_COPY_AGAIN}")
        is_matrix = parameter.ndim > 1 and parameter.numel() > 1
        is_constant = low == high if is_matrix else low == high == 0 and name.endswith("weight")
        if is_constant and not name.endswith(_MAY_BE_CONSTANT):
            raise ModelError(f"{folder}: all values of {name} are {low:g}. {_COPY_AGAIN}")


def check_logits(logits: NDArray[np.float32], dtype: str, folder: Path) -> None:
    """Refuses a network whose output is not finite, the same for every text, or the same for every term.

    Args:
        logits: The output for a probe whose first two texts are equally long and differ; shape [texts, tokens, terms].
        dtype: The type in which it was computed.
        folder: Folder of the checkpoint.

    Raises:
        ModelError: Says what is wrong.
    """
    first, second = logits[0], logits[1]
    if not np.isfinite(first).all():
        raise ModelError(
            f"{folder}: the network's output is not finite in {dtype}. "
            "Use dtype=float32, or copy or train the checkpoint again."
        )
    limit = _SAME * max(1.0, float(np.abs(first).max()))
    if np.abs(first - second).max() <= limit:
        raise ModelError(f"{folder}: the network's output is the same for every text. {_COPY_AGAIN}")
    if np.ptp(first, axis=1).max() <= limit:
        raise ModelError(f"{folder}: the network's output is the same for every term. {_COPY_AGAIN}")


def check_tokenizer(entries: Mapping[str, int], specials: Iterable[int], folder: Path, size: int | None = None) -> None:
    """Refuses a tokenizer without a vocabulary, or with more tokens than the network.

    Args:
        entries: Vocabulary entry → term_id, with added tokens.
        specials: The ids of special tokens.
        folder: Folder of the tokenizer.
        size: Number of tokens that the network knows; None if there is no network.

    Raises:
        ModelError: Says what is wrong.
    """
    if set(entries.values()) <= set(specials):
        raise ModelError(
            f"{folder}: the tokenizer has no tokens except special ones, so its vocabulary (tokenizer.json, vocab.txt or "
            "similar) is missing. Copy the whole checkpoint."
        )
    if size is None:
        return
    tokens = max(entries.values()) + 1
    if tokens > size:
        name = next(entry for entry, term_id in entries.items() if term_id == tokens - 1)
        raise ModelError(
            f"{folder}: the tokenizer has {tokens:,} tokens (the last is {name!r}), but the network has {size:,}. "
            "Copy the tokenizer and the network from the same checkpoint."
        )
    if tokens < size // 2:
        _log.warning("%s: the tokenizer has %d tokens, but the network has %d terms", folder, tokens, size)


def _parameters(model: nn.Module) -> list[tuple[str, Any]]:
    """All names of all parameters; those of tied parameters too."""
    return list(model.named_parameters(remove_duplicate=False))


def _pattern(name: str) -> str:
    """The name of a weight without the numbers of layers."""
    return re.sub(r"\d+", "#", name)
