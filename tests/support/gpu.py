"""Tests that need an NVIDIA GPU."""

from __future__ import annotations

import importlib.util

import pytest


def has_gpu() -> bool:
    """Whether PyTorch finds a GPU; asked without starting CUDA, which a child process could not use afterwards."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.device_count() > 0


needs_gpu = pytest.mark.skipif(not has_gpu(), reason="needs an NVIDIA GPU")
