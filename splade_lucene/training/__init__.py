"""Training: the paper's four systems on your own text, with sentence-transformers' trainer.

    config → base (a masked-LM head) → mining (BM25, dense, SPLADE) → teacher → examples → trainer → checkpoint

Requires ``pip install splade-lucene[train]``.

=============================================  ========================================================================
module                                         purpose
=============================================  ========================================================================
``config``, ``recipes``, ``yaml_text``         the configuration and its file; the four systems
``trainer``, ``progress``, ``curves``          a run from configuration to checkpoint; its progress and curves
``output_folder``, ``resuming``, ``trackers``  the output folder; resuming; trackers of experiments
``checks``, ``limits``, ``dry_run``            checks before a run; the dry run
``base``, ``dropout``                          the base model, and its dropout
``network``, ``head``                          the network that is trained, and its pooled head
``examples/``                                  reading training examples
``training_data``, ``example_scorer``          the data of a run; the scores that examples have
``mining``, ``teachers``, ``teacher_outputs``  candidates of queries; teachers and their cached outputs
``known_positives``, ``sampling``              relevant passages in a batch; what each step draws
``losses``, ``calibration``, ``sparsity``      ranking losses, the scale of scores, and FLOPS regularization
``probe``                                      notices a model that has lost all its terms
``validation``, ``selection``                  evaluates a model during training; which one is kept
``card``, ``run_page``, ``data_report``        the model card, and the page on the data
``query_table``                                a table of query weights for document-only use
=============================================  ========================================================================
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
