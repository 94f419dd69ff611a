"""Training: the paper's four systems on your own text, with sentence-transformers' trainer.

    config → base (a masked-LM head) → mining (BM25, dense, SPLADE) → teacher → examples → trainer → checkpoint

Requires ``pip install splade-lucene[train]``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    from splade_lucene.training.config import TrainingConfig, read_config
    from splade_lucene.training.data_report import TrainingDataReport
    from splade_lucene.training.dry_run import describe_run_data
    from splade_lucene.training.trainer import TrainingResult, train

__all__ = ["TrainingConfig", "TrainingDataReport", "TrainingResult", "describe_run_data", "read_config", "train"]

_HOMES = {
    "TrainingConfig": "config", "TrainingDataReport": "data_report", "TrainingResult": "trainer",
    "describe_run_data": "dry_run", "read_config": "config", "train": "trainer",
}  # fmt: skip


@uninterrupted_imports("train")
def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
