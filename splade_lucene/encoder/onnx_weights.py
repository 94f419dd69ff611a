"""Restores int8 weights before ONNX Runtime does, which takes it four times as long.

An ONNX file that :mod:`splade_lucene.encoder.onnx_export` writes beside int8 weights restores them by operators of its own, so
that any program can run it. When a session is opened, ONNX Runtime applies these number by number. Here they are taken out of
the network, and the same numbers, bit by bit, are given to the session.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.onnx_graph import StoredWeight, detach_stored_weights
from splade_lucene.encoder.storage import INT8_WEIGHTS, SCALES
from splade_lucene.imports import uninterrupted_imports

_CACHED_ROWS = 256  # of a matrix, which stay in the cache while they are restored
_DROPPED_BITS = 13  # fraction bits that float32 has and float16 lacks
_LEAST_NORMAL = np.float32(2.0**-14)  # of float16
_AS_FINE = np.float32(0.75)  # float32's spacing there equals float16's below its least normal number


@uninterrupted_imports()
def restore_weights(model: bytes, folder: Path) -> tuple[bytes, dict[str, NDArray[np.float32]]]:
    """Takes the operators that restore int8 weights out of a network.

    Args:
        model: The ONNX file.
        folder: The folder of the int8 weights.

    Returns:
        The network, in which the weights are external data, and the weights by their names in it.

    Raises:
        ValueError: This is no ONNX file.
        SafetensorError: The file of weights is damaged.
    """
    from safetensors.numpy import load_file

    stored = load_file(folder / INT8_WEIGHTS)
    model, weights = detach_stored_weights(model, {name: array.shape for name, array in stored.items()})
    restored: dict[str, NDArray[np.float32]] = {}
    made: dict[StoredWeight, NDArray[np.float32]] = {}
    for each in weights:
        key = replace(each, name="")  # a weight may have several names
        if key not in made:
            array = _restored(stored[each.source], stored.get(each.source + SCALES), is_rounded=each.is_rounded)
            made[key] = np.ascontiguousarray(array.T) if each.is_transposed else array
        restored[each.name] = made[key]
    return model, restored


def _restored(
    stored: NDArray[np.int8] | NDArray[np.float32], scales: NDArray[np.float32] | None, *, is_rounded: bool
) -> NDArray[np.float32]:
    """A weight as float32.

    Args:
        stored: Shape [rows, columns], int8; or a vector as float32.
        scales: Shape [rows, groups], each for so many numbers of a row; None for a vector.
        is_rounded: Whether it is rounded to float16.
    """
    restored = np.empty(stored.shape, np.float32)
    for start in range(0, len(stored), _CACHED_ROWS):
        part = slice(start, start + _CACHED_ROWS)
        rows = restored[part]
        if scales is None:
            rows[...] = stored[part]
        else:
            groups = (*scales[part].shape, -1)
            np.multiply(stored[part].reshape(groups), scales[part][:, :, None], out=rows.reshape(groups))
        if is_rounded:
            _round_to_float16(rows)
    return restored


def _round_to_float16(numbers: NDArray[np.float32]) -> None:
    """Rounds numbers to the nearest float16 in place, ties to even; those that are out of its range may stay as they are.

    NumPy's own conversion takes three times as long.
    """
    is_subnormal = np.abs(numbers) < _LEAST_NORMAL
    subnormal = numbers[is_subnormal]
    bits = numbers.view(np.uint32)
    half = bits >> _DROPPED_BITS & 1
    half += (1 << _DROPPED_BITS - 1) - 1
    bits += half
    bits &= np.uint32(0xFFFFFFFF << _DROPPED_BITS & 0xFFFFFFFF)
    numbers[is_subnormal] = (subnormal + _AS_FINE) - _AS_FINE
