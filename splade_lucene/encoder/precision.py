"""Choice of the device and the floating-point type."""

from __future__ import annotations

import logging
import math
import time
from functools import cache

import torch

from splade_lucene.errors import InputError

_log = logging.getLogger(__name__)
_WORTHWHILE = 1.3


def choose_device(name: str) -> torch.device:
    """The device with the given name; ``auto`` is a GPU if available.

    Raises:
        InputError: The device is not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"cannot use the device {name!r} ({reason})", remedy="Use device=cpu or device=auto"
        ) from error
    return device


@cache
def native_dtype(device: torch.device) -> str:
    """``bfloat16`` where the device supports it natively, else ``float32``.

    GPUs report their support, as do CPUs with AVX512-BF16 or AMX. Other CPUs are measured for some hundredths of a second,
    because without such instructions a product in bfloat16 takes far longer than one in float32.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if any(getattr(torch.cpu, name, bool)() for name in _INSTRUCTIONS):
        return "bfloat16"
    ratio = _speedup()
    _log.info("bfloat16 is %.1f times as fast as float32 on this CPU", ratio)
    return "bfloat16" if ratio > _WORTHWHILE else "float32"


_INSTRUCTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def _speedup() -> float:
    """How many times as fast a product in bfloat16 is: best of several runs, because other processes interfere."""
    times = {torch.float32: math.inf, torch.bfloat16: math.inf}
    for _ in range(15):
        for dtype in times:
            rows, matrix = torch.ones(256, 512, dtype=dtype), torch.ones(1024, 512, dtype=dtype)
            start = time.perf_counter()
            torch.nn.functional.linear(rows, matrix)
            times[dtype] = min(times[dtype], time.perf_counter() - start)
    return times[torch.float32] / times[torch.bfloat16]
