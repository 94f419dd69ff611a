"""Weights in eight bits a number: a quarter of float32's bytes, for checkpoints that travel with a package.

Each row of a matrix is stored as int8, every 32 numbers with a scale of their own, ``max |w| / 127``; vectors stay in float32.
(One scale a row is not enough: a single outlier coarsens hundreds of weights. What splade-minilm makes of the hundred longest
documents of CACM is off by 19 % in relative L2 with one scale a row, by 3.8 % with one for 64 numbers, 2.3 % for 32:
``benchmarks/embedded_model.py --original CHECKPOINT``.)
What is loaded are ordinary floating-point weights, so that nothing computes otherwise; only the file is small. Its name is its
own, for a program that does not know the form would take the integers for weights.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from splade_lucene.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

ROWS8_WEIGHTS = "model.rows8.safetensors"
_PLAIN_WEIGHTS = "model.safetensors"
_SCALES = ".scales"
_LEVELS = 127


def store_in_rows8(checkpoint: Path, target: Path, group: int = 32) -> int:
    """Copies a checkpoint whose weights lie in one ``model.safetensors``, with its weights in eight bits.

    Args:
        checkpoint: Its folder.
        target: The folder to write.
        group: Numbers that share a scale; a row shares one where this does not divide its length.

    Returns:
        Bytes of the weights' file.

    Raises:
        ModelError: There are no such weights, or one is not finite.
    """
    import torch
    from safetensors.torch import load_file, save_file

    source = checkpoint / _PLAIN_WEIGHTS
    if not source.is_file():
        raise ModelError(f"{checkpoint}: no model.safetensors. Save the model in one file.")
    packed: dict[str, Tensor] = {}
    for name, tensor in load_file(source).items():
        weights = tensor.float()
        if not bool(weights.isfinite().all()):
            raise ModelError(f"{source}: {name} holds numbers that are not finite. Train or copy it again.")
        if weights.ndim != 2:
            packed[name] = weights.contiguous()
            continue
        rows, columns = weights.shape
        groups = weights.reshape(rows, -1, group if columns % group == 0 else max(1, columns))
        scales = (groups.abs().amax(dim=2) / _LEVELS).clamp_min(1e-12)
        packed[name] = (groups / scales.unsqueeze(2)).round().to(torch.int8).reshape(rows, columns)
        packed[name + _SCALES] = scales
    _copy_others(checkpoint, target)
    save_file(packed, target / ROWS8_WEIGHTS, metadata={"format": "rows8"})
    (target / ROWS8_WEIGHTS).chmod(0o644)
    return (target / ROWS8_WEIGHTS).stat().st_size


def restore_from_rows8(checkpoint: Path, target: Path) -> None:
    """Copies such a checkpoint with ordinary weights, ``model.safetensors`` in float32, as other programs read it.

    Raises:
        ModelError: It holds no weights in eight bits, or they are damaged.
    """
    from safetensors.torch import save_file

    if not (checkpoint / ROWS8_WEIGHTS).is_file():
        raise ModelError(f"{checkpoint}: no {ROWS8_WEIGHTS}, so its weights are ordinary already. Copy the folder.")
    weights = read_rows8(checkpoint / ROWS8_WEIGHTS)
    _copy_others(checkpoint, target)
    save_file(weights, target / _PLAIN_WEIGHTS, metadata={"format": "pt"})


def read_rows8(path: Path) -> dict[str, Tensor]:
    """The weights of such a file, in float32.

    Raises:
        ModelError: It is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        packed = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged ({error}). Copy the checkpoint again.") from error
    weights = {}
    for name, tensor in packed.items():
        if name.endswith(_SCALES):
            continue
        scales = packed.get(name + _SCALES)
        if (scales is None) == (tensor.ndim == 2):
            raise ModelError(f"{path}: {name} lacks its scales. Copy the checkpoint again.")
        if scales is None:
            weights[name] = tensor.float()
            continue
        if scales.ndim != 2 or len(scales) != len(tensor) or not scales.numel() or tensor.shape[1] % scales.shape[1]:
            raise ModelError(f"{path}: the scales of {name} do not fit. Copy the checkpoint again.")
        weights[name] = (tensor.float().view(*scales.shape, -1) * scales.unsqueeze(2)).view_as(tensor)
    return weights


def _copy_others(checkpoint: Path, target: Path) -> None:
    """Copies all that is no weights of the network itself."""
    target.mkdir(parents=True, exist_ok=True)
    for path in checkpoint.iterdir():
        if path.is_dir():
            shutil.copytree(path, target / path.name, dirs_exist_ok=True)
        elif path.suffix not in (".safetensors", ".bin"):
            shutil.copyfile(path, target / path.name)
