"""Which floating-point type, and which device, the documents are encoded with."""

from __future__ import annotations

import logging
import time
from functools import cache

import torch

from splade_lucene.errors import InputError

_log = logging.getLogger(__name__)
_WORTHWHILE = 1.3


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` is a GPU if there is one.

    Raises:
        InputError: No such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the device {name!r} cannot be used ({reason})", remedy="Use --device cpu or auto") from error
    return device


@cache
def native_dtype(device: torch.device) -> str:
    """``bfloat16`` where the device computes it natively, else ``float32``.

    A processor is measured for some hundredths of a second: with AMX or AVX512-BF16 a product in bfloat16 takes less than
    half the time of float32, and without them far more.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    ratio = _seconds(torch.float32) / _seconds(torch.bfloat16)
    _log.info("bfloat16 is %.1f times as fast as float32 on this processor", ratio)
    return "bfloat16" if ratio > _WORTHWHILE else "float32"


def _seconds(dtype: torch.dtype) -> float:
    """The time of a product of the size that encoding has; the best of several, for other programs disturb it."""
    rows, matrix = torch.ones(256, 512, dtype=dtype), torch.ones(1024, 512, dtype=dtype)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        torch.nn.functional.linear(rows, matrix)
        times.append(time.perf_counter() - start)
    return min(times)
