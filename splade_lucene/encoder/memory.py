"""Free memory, and detection of out-of-memory errors."""

from __future__ import annotations

from pathlib import Path

import torch

_UNKNOWN = 4 << 30
_CGROUP = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes available on a device; for a CPU, the smaller of what the machine and the container have."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(_free_in_machine(), _free_in_container())


def _free_in_machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return _UNKNOWN


def _free_in_container() -> int:
    try:
        limit, used = (_CGROUP / "memory.max").read_text().strip(), (_CGROUP / "memory.current").read_text()
        statistics = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        cache = int(statistics.get("inactive_file", 0))
        return 1 << 62 if limit == "max" else max(0, int(limit) - int(used) + cache)
    except (OSError, ValueError):
        return 1 << 62


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception reports running out of memory, on a GPU or a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
