"""Selects the backend for documents or queries: torch, or ONNX Runtime with an ONNX file of the checkpoint's own weights."""

from __future__ import annotations

import hashlib
import logging
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from splade_lucene.encoder.layout import NetworkSide
from splade_lucene.encoder.location import ONNX_FILES, SAFE_WEIGHTS, WEIGHT_FILES, find_onnx
from splade_lucene.encoder.settings import Backend, ChosenBackend
from splade_lucene.errors import InputError, ModelError
from splade_lucene.imports import uninterrupted_imports

_log = logging.getLogger(__name__)
HEADER_KEY = "splade_lucene.weights_header"
"""Metadata of an ONNX file without weights: SHA-256 of the header of the safetensors that it refers to."""

WRITE_AGAIN = "Write it again with 'splade-lucene models CHECKPOINT --save DIR --onnx', or use backend=torch"
_COMPARED = 3  # number of weight vectors to compare


def choose_backend(side: NetworkSide, backend: Backend, dtype: str, device: str) -> ChosenBackend:
    """What computes a side. The choice depends on the settings and the checkpoint's files alone.

    Args:
        side: The network.
        backend: The backend that is asked for; ``auto`` is ONNX Runtime where that is possible.
        dtype: The precision that is asked for.
        device: The name of the device, as given; ``auto`` counts as a CPU.

    Raises:
        ModelError: ONNX is asked for, but the checkpoint has no ONNX file, or one of other weights.
        InputError: ONNX is asked for with a precision or device that it does not have here.
    """
    if backend == "torch":
        return "torch"
    folder = side.location.folder
    is_asked_for = backend == "onnx"
    path = find_onnx(side.location, download=is_asked_for)
    if not can_be_onnx(dtype, device):
        if is_asked_for:
            raise InputError(
                "backend=onnx computes in float32 on a CPU", remedy="Use device=auto and dtype=auto, or backend=torch"
            )
        return "torch"
    if path is None or side.is_causal:
        if is_asked_for:
            raise ModelError(f"{folder}: no ONNX file (expected {' or '.join(ONNX_FILES)}). {WRITE_AGAIN}.")
        return "torch"
    if is_from_same_weights(path, folder):
        return "onnx"
    if is_asked_for:
        raise ModelError(
            f"{path}: it was not exported from the weights in {folder}, or the two cannot be compared. {WRITE_AGAIN}."
        )
    _log.warning("%s is not used: it was not exported from the weights beside it, or the two cannot be compared", path)
    return "torch"


def can_be_onnx(dtype: str, device: str) -> bool:
    """Whether ONNX Runtime has a precision and a device here; see :func:`choose_backend`."""
    return device in ("auto", "cpu") and dtype in ("auto", "float32")


def is_from_same_weights(path: Path, folder: Path) -> bool:
    """Whether an ONNX file was made from the weights that a checkpoint has now; False if that cannot be told.

    Vectors (biases and the like) keep their bytes in an export to float32, and change with any training.

    Args:
        path: The ONNX file.
        folder: The checkpoint.
    """
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        return True  # there are no other weights to compare with
    weights = next((folder / name for name in SAFE_WEIGHTS if (folder / name).is_file()), None)
    if _contains(path, HEADER_KEY.encode()):
        return weights is not None and _contains(path, header_digest(weights).encode())
    vectors = list(_vectors(folder))[:_COMPARED]
    files = sorted(path.parent.glob(f"{path.name}*"))  # weights may be in a file beside it, such as model.onnx_data
    return bool(vectors) and all(any(_contains(file, vector) for file in files) for vector in vectors)


def header_digest(path: Path) -> str:
    """SHA-256 of the header of safetensors, which states where each tensor is."""
    with path.open("rb") as file:
        length = file.read(8)
        return hashlib.sha256(length + file.read(int.from_bytes(length, "little"))).hexdigest()


def _contains(path: Path, part: bytes) -> bool:
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(part) >= 0


@uninterrupted_imports()
def _vectors(folder: Path) -> Iterator[bytes]:
    """Vectors of a checkpoint as float32, largest first; constant ones, such as biases of 0, tell nothing."""
    from safetensors import SafetensorError, safe_open

    path = folder / SAFE_WEIGHTS[0]
    if not path.is_file():
        return
    try:
        with safe_open(path, "numpy") as file:
            sizes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - not a mapping
            vectors = sorted((-shape[0], name) for name, shape in sizes.items() if len(shape) == 1)
            for _, name in vectors:
                vector = file.get_tensor(name).astype(np.float32)
                if len(np.unique(vector)) > len(vector) // 2:
                    yield vector.tobytes()
    except (SafetensorError, TypeError, AttributeError):  # damaged, or bfloat16, which NumPy lacks
        return
