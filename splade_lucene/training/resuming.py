"""Training that survives being killed: only whole checkpoints are gone on from, and a full disk says so."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from splade_lucene.errors import SpladeLuceneError, StorageError, TrainingError
from splade_lucene.files import storage_error

_WHOLE = "whole"  # a file that a checkpoint gets when all its other files are written


class MarkWhole(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint when all of it is written."""

    def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """After each checkpoint."""
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _WHOLE).touch()


class RefuseBadGradients(TrainerCallback):  # type: ignore[misc]
    """Stops before numbers that are not finite get into the weights, and so into a checkpoint."""

    def on_pre_optimizer_step(self, _args: Any, state: Any, *_: Any, model: Any = None, **__: Any) -> None:
        """Before each step."""
        sums = [parameter.grad.sum() for parameter in model.parameters() if parameter.grad is not None]
        if not bool(torch.stack(sums).isfinite().all()):
            raise TrainingError(
                f"step {state.global_step + 1}: gradients are not finite. Lower optimization.learning_rate or "
                "head_learning_rate, or use precision: float32, and start the training anew with --overwrite."
            )


def run_to_end(trainer: Any, folder: Path) -> None:
    """Trains, going on from the last whole checkpoint if there is one.

    Raises:
        TrainingError: The loss or a gradient is not finite.
    """
    trainer.remove_callback(PrinterCallback)  # only the command line prints
    trainer.add_callback(MarkWhole())
    trainer.add_callback(RefuseBadGradients())
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))


def last_checkpoint(folder: Path) -> str | None:
    """The last whole checkpoint in a folder; those that a kill left half-written are removed."""
    steps = []
    for path in folder.glob("checkpoint-*"):
        if (path / _WHOLE).is_file():
            steps.append((int(path.name.rpartition("-")[2]), path))
        else:
            shutil.rmtree(path)
    return str(max(steps)[1]) if steps else None


@contextmanager
def refused_by_disk(folder: Path) -> Iterator[None]:
    """Turns what libraries raise when the disk refuses into one error.

    Raises:
        StorageError: It is full or may not be written to.
    """
    try:
        yield
    except SpladeLuceneError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _REFUSED:
            raise StorageError(f"{storage_error(folder, error)} {_STAYS}") from error
        if any(sign in str(error) for sign in _SIGNS):  # safetensors, torch.save and shutil have errors of their own
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise StorageError(f"{storage_error(folder, full)} {_STAYS}") from error
        raise


_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
_SIGNS = ("No space left", "os error 28", "file write failed", "unexpected pos")
_STAYS = "What was whole stays: the same command goes on from it."
