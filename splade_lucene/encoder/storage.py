"""Checkpoints stored as int8: a quarter of the size of float32, for checkpoints shipped with a package.

Matrices are stored as int8 with one scale, ``max |w| / 127``, for every 32 numbers of a row; vectors stay in float32.
(One scale per row is not enough: a single outlier coarsens hundreds of weights. For the hundred longest documents of CACM,
the relative L2 error of splade-minilm's weights is 19 % with one scale per row, 3.8 % with one per 64 numbers, and 2.3 % with
one per 32: ``benchmarks/embedded_model.py --original CHECKPOINT``.)
Loading restores ordinary floating-point weights, so computation is unchanged and only the file is smaller. The file has its
own name because programs that do not know the format would mistake the integers for weights.
"""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from splade_lucene.arguments import check_choice
from splade_lucene.errors import InputError, ModelError
from splade_lucene.files.files import atomic_bytes_writer, sole_writer
from splade_lucene.files.json_text import parse_object
from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    from torch import Tensor

INT8_WEIGHTS = "model.int8.safetensors"
SaveDtype = Literal["float32", "float16", "bfloat16"]
"""Floating-point type of saved weights."""

_PLAIN_WEIGHTS = "model.safetensors"
SCALES = ".scales"
_LEVELS = 127


@uninterrupted_imports()
def store_in_int8(checkpoint: Path, target: Path, group: int = 32) -> int:
    """Copies a checkpoint with a single ``model.safetensors``, storing its weights as int8.

    Args:
        checkpoint: Folder of the checkpoint.
        target: Folder to write.
        group: Numbers that share a scale; if it does not divide the length of a row, the whole row shares one.

    Returns:
        Size of the weight file in bytes.

    Raises:
        ModelError: There is no ``model.safetensors``, or a weight is not finite.
        InputError: Another process is saving into the folder.
        StorageError: A disk error.
    """
    import torch
    from safetensors.torch import load_file, save

    source = checkpoint / _PLAIN_WEIGHTS
    if not source.is_file():
        raise ModelError(f"{checkpoint}: model.safetensors not found. Save the model in a single file.")
    packed: dict[str, Tensor] = {}
    for name, tensor in load_file(source).items():
        weights = tensor.float()
        if not bool(weights.isfinite().all()):
            raise ModelError(f"{source}: {name} has values that are not finite. Train or copy the checkpoint again.")
        if weights.ndim != 2:
            packed[name] = weights.contiguous()
            continue
        rows, columns = weights.shape
        groups = weights.reshape(rows, -1, group if columns % group == 0 else max(1, columns))
        scales = (groups.abs().amax(dim=2) / _LEVELS).clamp_min(1e-12)
        packed[name] = (groups / scales.unsqueeze(2)).round().to(torch.int8).reshape(rows, columns)
        packed[name + SCALES] = scales
    with sole_saver(target):
        _copy_others(checkpoint, target)
        with atomic_bytes_writer(target / INT8_WEIGHTS) as file:
            file.write(save(packed, metadata={"format": "int8"}))
    return (target / INT8_WEIGHTS).stat().st_size


@uninterrupted_imports()
def restore_from_int8(checkpoint: Path, target: Path, dtype: SaveDtype = "float32") -> None:
    """Copies an int8 checkpoint with ordinary weights (``model.safetensors``) for other programs.

    Args:
        checkpoint: Folder of the checkpoint.
        target: Folder to write.
        dtype: Floating-point type of the weights. ``config.json`` names it, and programs that follow it compute in it.

    Raises:
        ModelError: The checkpoint has no int8 weights, or they are damaged.
        InputError: The type is unknown, or another process is saving into the folder.
        StorageError: A disk error.
    """
    import torch
    from safetensors.torch import save

    check_choice(dtype, SaveDtype, "dtype")
    if not (checkpoint / INT8_WEIGHTS).is_file():
        raise ModelError(
            f"{checkpoint}: {INT8_WEIGHTS} not found, so the weights are ordinary already. Copy the folder."
        )
    kind: torch.dtype = getattr(torch, dtype)
    config = _read_config(checkpoint / "config.json")
    own: torch.dtype = getattr(torch, config.get("dtype") or "float32")  # the encoder loads them in this type, too
    weights = {name: tensor.to(own).to(kind) for name, tensor in read_int8(checkpoint / INT8_WEIGHTS).items()}
    with sole_saver(target):
        _copy_others(checkpoint, target)
        (target / "config.json").write_text(json.dumps({**config, "dtype": dtype}, indent=2) + "\n", encoding="utf-8")
        with atomic_bytes_writer(target / _PLAIN_WEIGHTS) as file:
            file.write(save(weights, metadata={"format": "pt"}))


def _read_config(path: Path) -> dict[str, Any]:
    """The configuration, with the type of the weights under its name of transformers 5."""
    try:
        config = parse_object(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}). Copy the checkpoint again.") from error
    named = config.pop("torch_dtype", None)  # its name before transformers 5
    return config if named is None else {"dtype": named, **config}


def sole_saver(target: Path) -> AbstractContextManager[None]:
    """Holds a folder for saving a checkpoint.

    Raises:
        InputError: Another process is saving into it.
    """
    busy = InputError(
        "another process is saving a checkpoint here", path=target, remedy="Wait for it, or use another folder"
    )
    return sole_writer(target, busy)


@uninterrupted_imports()
def read_int8(path: Path) -> dict[str, Tensor]:
    """Reads int8 weights as float32.

    Raises:
        ModelError: The file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        packed = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged ({error}). Copy the checkpoint again.") from error
    weights = {}
    for name, tensor in packed.items():
        if name.endswith(SCALES):
            continue
        scales = packed.get(name + SCALES)
        if (scales is None) == (tensor.ndim == 2):
            raise ModelError(f"{path}: the scales of {name} are missing. Copy the checkpoint again.")
        if scales is None:
            weights[name] = tensor.float()
            continue
        if scales.ndim != 2 or len(scales) != len(tensor) or not scales.numel() or tensor.shape[1] % scales.shape[1]:
            raise ModelError(f"{path}: the scales of {name} have the wrong shape. Copy the checkpoint again.")
        weights[name] = (tensor.float().view(*scales.shape, -1) * scales.unsqueeze(2)).view_as(tensor)
    return weights


def _copy_others(checkpoint: Path, target: Path) -> None:
    """Copies everything except the weights of the network itself, and ONNX files, which would refer to or hold others."""
    target.mkdir(parents=True, exist_ok=True)
    for path in checkpoint.iterdir():
        if path.is_dir():
            if path.name not in ("onnx", "openvino"):
                shutil.copytree(path, target / path.name, dirs_exist_ok=True)
        elif path.suffix not in (".safetensors", ".bin", ".onnx"):
            shutil.copyfile(path, target / path.name)
