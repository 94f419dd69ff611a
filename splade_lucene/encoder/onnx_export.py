"""Writes the network of a checkpoint as an ONNX file; requires ``pip install splade-lucene[onnx]``.

The file contains the network's structure. Its weights stay where they are, in the safetensors of the same folder, to which it
refers as ONNX's external data: any ONNX Runtime opens it, and nothing is stored twice. Weights stored as int8 are restored in
the network itself (DequantizeLinear with a scale per group of a row). Where that is not possible, as with pickled weights, the
ONNX file holds them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.checkpoint import read_language_model
from splade_lucene.encoder.layout import NetworkSide, read_layout
from splade_lucene.encoder.location import ONNX_FILES, SAFE_WEIGHTS, read_json
from splade_lucene.encoder.onnx_choice import HEADER_KEY, header_digest
from splade_lucene.encoder.onnx_graph import RESTORED
from splade_lucene.encoder.storage import INT8_WEIGHTS, SCALES, SaveDtype, read_int8, restore_from_int8, sole_saver
from splade_lucene.errors import InputError, ModelError, first_line
from splade_lucene.files.files import atomic_bytes_writer
from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    from torch import Tensor

_OPSET = 21  # the first with DequantizeLinear by groups
_SMALLEST = 2  # elements of a weight tensor; a scalar is a constant of a formula
_LARGEST = 2_000_000_000  # bytes of an ONNX file
_STORED = {"F32": "FLOAT", "F16": "FLOAT16", "I8": "INT8"}


def save_with_onnx(checkpoint: str | Path, target: Path, dtype: SaveDtype | None = None) -> Path:
    """Copies a checkpoint and adds an ONNX file of the network that encodes its queries.

    Args:
        checkpoint: Folder or hub name.
        target: Folder to write.
        dtype: Type of the weights of a checkpoint that is stored as int8; None for float32.

    Returns:
        The ONNX file.

    Raises:
        InputError: Queries are encoded without a network, or by another checkpoint; or a type is given for weights that are
            ordinary already; or another process is saving into the folder.
        ModelError: The checkpoint is incomplete or cannot be exported.
        MissingDependencyError: onnx or onnxscript is not installed.
        StorageError: A disk error.
    """
    layout = read_layout(checkpoint)
    side, root = layout.queries, layout.location.folder
    if not isinstance(side, NetworkSide) or not side.location.folder.is_relative_to(root):
        raise InputError(
            f"{checkpoint} encodes queries without a network of its own",
            remedy="Export the checkpoint that encodes them",
        )
    if (root / INT8_WEIGHTS).is_file():
        restore_from_int8(root, target, dtype or "float32")
    elif dtype is not None:
        raise InputError(f"{checkpoint} has ordinary weights, which keep their type", remedy="Leave the type out")
    else:
        with sole_saver(target):
            shutil.copytree(
                root, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("onnx", "*.onnx*", "openvino")
            )
    return export_onnx(side, target / side.location.folder.relative_to(root))


@uninterrupted_imports("onnx")
def export_onnx(side: NetworkSide, folder: Path) -> Path:
    """Writes ``model.onnx`` into a checkpoint's folder.

    Args:
        side: A side of the checkpoint that a masked language model encodes.
        folder: The folder of this side's network, with its weights; ``model.onnx`` is written there.

    Returns:
        The ONNX file.

    Raises:
        ModelError: It is a causal language model, or the network cannot be loaded or exported.
        MissingDependencyError: onnx or onnxscript is not installed.
        StorageError: A disk error.
    """
    import onnx
    import onnxscript  # noqa: F401 - torch's exporter needs it and has a longer message without

    if side.is_causal:
        raise ModelError(f"{folder}: causal language models are not exported to ONNX. Use backend=torch.")
    network, tied = _trace(folder)
    model = network.model_proto
    weights = next((folder / name for name in (SAFE_WEIGHTS[0], INT8_WEIGHTS) if (folder / name).is_file()), None)
    if weights is not None and _refer_to(model, weights, _own_dtype(folder), tied):
        onnx.helper.set_model_props(model, {HEADER_KEY: header_digest(weights)})
    elif model.ByteSize() > _LARGEST:
        raise ModelError(
            f"{folder}: too large for an ONNX file. Save the checkpoint as a single model.safetensors first."
        )
    _remove_traces(model)
    path = folder / ONNX_FILES[0]
    with atomic_bytes_writer(path) as file:
        file.write(model.SerializeToString())
    return path


@uninterrupted_imports("onnx")
def _trace(folder: Path) -> tuple[Any, dict[str, int]]:
    """The exported network, and for each name of a weight a number that only tied weights share."""
    import torch

    try:
        model, missing = read_language_model(folder, dtype=torch.float32)
    except ModelError:
        raise
    except Exception as error:  # the loaders of weights and configurations raise all kinds of exceptions
        raise ModelError(
            f"{folder}: cannot load a masked language model: {first_line(error)}. Check that the checkpoint is complete."
        ) from error
    if missing:
        raise ModelError(f"{folder}: the checkpoint lacks {missing[0]}. Use a checkpoint with its language-model head.")

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
            return logits

    texts, tokens = torch.export.Dim("texts"), torch.export.Dim("tokens")
    ids = torch.arange(5, 19).reshape(2, 7)
    with _quiet():
        try:
            network = torch.onnx.export(
                Logits().eval(), (ids, torch.ones_like(ids)), dynamo=True, verbose=False, opset_version=_OPSET,
                input_names=["input_ids", "attention_mask"], output_names=["logits"],
                dynamic_shapes={"input_ids": {0: texts, 1: tokens}, "attention_mask": {0: texts, 1: tokens}},
            )  # fmt: skip
        except Exception as error:  # the exporter raises all kinds of exceptions
            raise ModelError(
                f"{folder}: PyTorch cannot export this network: {first_line(error)}. Use backend=torch."
            ) from error
    return network, {name: id(parameter) for name, parameter in model.named_parameters(remove_duplicate=False)}


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the safetensors: type, shape and place in the file."""

    kind: str
    shape: tuple[int, ...]
    offset: int
    length: int


def _refer_to(model: Any, weights: Path, own_dtype: str, tied: dict[str, int]) -> bool:
    """Replaces the weights of an ONNX network by references to the same ones in safetensors.

    They are found by their numbers, since the exporter renames those that it transposes. All of them, or none: a network that
    refers to some and holds others would be wrong once they are trained further.

    Args:
        model: The ONNX network, which is changed.
        weights: The safetensors.
        own_dtype: The type in which the checkpoint's int8 weights are loaded.
        tied: Name of a weight → a number that only tied weights share.

    Returns:
        Whether all were replaced. They are not if one is not in the file, or different ones have the same numbers, as in an
        untrained network.
    """
    import onnx

    stored = _read_header(weights)
    named: dict[Any, list[str]] = {}
    for name, values in _restored(weights, own_dtype).items():
        named.setdefault(_digest(values), []).append(name)
        if values.ndim == 2:
            named.setdefault(("transposed", _digest(values.T)), []).append(name)
    graph, added, kept, restored = model.graph, [], [], set()
    for tensor in graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < _SMALLEST:
            kept.append(tensor)
            continue
        digest = _digest(array)
        names = named.get(digest) or named.get(("transposed", digest)) or []
        if len({tied.get(name, name) for name in names}) != 1:
            return False
        if names[0] not in restored:
            restored.add(names[0])
            references, nodes = _restore(names[0], stored, weights.name, own_dtype)
            kept += references
            added += nodes
        if digest in named:
            added.append(onnx.helper.make_node("Identity", [_restored_name(names[0])], [tensor.name]))
        else:
            added.append(onnx.helper.make_node("Transpose", [_restored_name(names[0])], [tensor.name], perm=[1, 0]))
    nodes = [*added, *graph.node]
    del graph.initializer[:], graph.node[:], graph.value_info[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    return True


def _remove_traces(model: Any) -> None:
    """Removes what the exporter notes on lines of source code."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _restore(name: str, stored: dict[str, _Tensor], file: str, own_dtype: str) -> tuple[list[Any], list[Any]]:
    """References to a tensor of the safetensors, and the nodes that make float32 numbers of it."""
    from onnx import TensorProto, helper

    tensor = stored[name]
    references, nodes = [_reference(name, tensor, file)], []
    last = name
    if tensor.kind == "I8":
        scales = stored[name + SCALES]
        references.append(_reference(name + SCALES, scales, file))
        last = f"{name}.dequantized"
        group = tensor.shape[1] // scales.shape[1]
        nodes.append(helper.make_node("DequantizeLinear", [name, name + SCALES], [last], axis=1, block_size=group))
    if own_dtype == "float16" and tensor.kind != "F16":  # transformers loads weights in this type, whatever computes
        nodes.append(helper.make_node("Cast", [last], [f"{name}.float16"], to=TensorProto.FLOAT16))
        last = f"{name}.float16"
    nodes.append(helper.make_node("Cast", [last], [_restored_name(name)], to=TensorProto.FLOAT))
    return references, nodes


def _restored_name(name: str) -> str:
    return name + RESTORED


def _reference(name: str, tensor: _Tensor, file: str) -> Any:
    from onnx import TensorProto

    reference = TensorProto(name=name, dims=tensor.shape, data_type=getattr(TensorProto, _STORED[tensor.kind]))
    reference.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", str(tensor.offset)), ("length", str(tensor.length))):
        reference.external_data.add(key=key, value=value)
    return reference


def _read_header(weights: Path) -> dict[str, _Tensor]:
    with weights.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    return {
        name: _Tensor(
            entry["dtype"], tuple(entry["shape"]), 8 + size + entry["data_offsets"][0],
            entry["data_offsets"][1] - entry["data_offsets"][0],
        )
        for name, entry in header.items() if name != "__metadata__"
    }  # fmt: skip


@uninterrupted_imports("onnx")
def _restored(weights: Path, own_dtype: str) -> dict[str, NDArray[np.float32]]:
    """The weights as the network computes with them, except those of types that ONNX's external data would not hold."""
    import torch
    from safetensors.torch import load_file

    is_int8 = weights.name == INT8_WEIGHTS
    restored = {}
    for name, tensor in (read_int8(weights) if is_int8 else load_file(weights)).items():
        if is_int8 or tensor.dtype in (torch.float32, torch.float16):
            rounded = tensor.half() if own_dtype == "float16" else tensor
            restored[name] = rounded.float().contiguous().numpy()
    return restored


def _own_dtype(folder: Path) -> str:
    """The type in which the checkpoint's int8 weights are loaded; other files state the type of each tensor."""
    if not (folder / INT8_WEIGHTS).is_file():
        return ""
    config = read_json(folder / "config.json")
    return str(config.get("dtype") or config.get("torch_dtype") or "")


def _digest(array: NDArray[np.float32]) -> tuple[tuple[int, ...], bytes]:
    return array.shape, hashlib.sha256(array.tobytes()).digest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses the exporter's warnings about optional packages and deprecated calls."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
