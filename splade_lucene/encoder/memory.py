"""The memory of a device, and detection of out-of-memory errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    import torch

SLICE_TERMS = 4096
"""Terms projected at a time: with a thousand tokens, the logits stay in the CPU cache until they are pooled."""

_UNKNOWN = 4 << 30
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)  # version 2, 1


@uninterrupted_imports()
def total_memory(device: torch.device) -> int:
    """Bytes of memory that a device has.

    What is free at the moment is not asked for: the size of a batch depends on this number, and the last bits of a text's
    weights depend on its batch.
    """
    if device.type == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(device).total_memory)
    return main_memory()


def main_memory() -> int:
    """Bytes of memory for this process: the smaller of what the machine and the container have."""
    return min(_memory_of_machine(), _limit_of_container())


def affordable_tokens(memory: int, width: int, inner: int, terms: int = 0) -> int:
    """Tokens per batch that fit into an eighth of a memory.

    Args:
        memory: Bytes.
        width: Numbers of a hidden state.
        inner: Numbers of the widest layer.
        terms: Logits of a token that are kept; 0 if they are pooled by slices.
    """
    bytes_per_token = 4 * (8 * width + 3 * inner + 2 * SLICE_TERMS) + 8 * terms
    return max(1, memory // 8 // bytes_per_token)


def _memory_of_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return _UNKNOWN


def _limit_of_container() -> int:
    for limit in _CGROUP_LIMITS:
        try:
            text = limit.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            return int(text)
    return 1 << 62


@uninterrupted_imports()
def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception reports running out of memory, on a GPU or a CPU."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
