"""Choice of the device and the floating-point type."""

from __future__ import annotations

from functools import cache

import torch

from splade_lucene.errors import InputError, first_line


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
        reason = first_line(error)
        raise InputError(
            f"cannot use the device {name!r} ({reason})", remedy="Use device=cpu or device=auto"
        ) from error
    return device


@cache
def native_dtype(device: torch.device) -> str:
    """``bfloat16`` where the device has instructions for it, else ``float32``; the same answer at every call, under any load.

    GPUs report their support. A CPU supports it if it names AVX512-BF16, AMX-BF16 (x86) or BF16 (Arm) among its instruction
    sets. Without them, a product in bfloat16 usually takes longer than one in float32.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if instruction_sets() & _BFLOAT16_INSTRUCTIONS else "float32"


_BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}


def instruction_sets() -> set[str]:
    """The CPU's instruction sets as PyTorch names them; PyTorch before ``get_capabilities`` knows only some of x86."""
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, value in torch.cpu.get_capabilities().items() if value is True}
    older = {"avx512_bf16": "_is_avx512_bf16_supported", "amx_bf16": "_is_amx_tile_supported"}
    return {name for name, function in older.items() if getattr(torch.cpu, function, bool)()}
