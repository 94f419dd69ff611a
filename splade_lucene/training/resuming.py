"""Resumable training: only complete checkpoints count, random state is the training's own, disk errors are reported as such."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, TrainerCallback

from splade_lucene.errors import SpladeLuceneError, StorageError, TrainingError
from splade_lucene.files.files import storage_error

_COMPLETE = "complete"  # marker file, written to a checkpoint after all its other files


class MarkComplete(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint as complete once it is written."""

    def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Runs after each checkpoint."""
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _COMPLETE).touch()


class RejectBadGradients(TrainerCallback):  # type: ignore[misc]
    """Stops the training before non-finite gradients reach the weights and the next checkpoint.

    Args:
        rates: The learning rates that can be lowered.
    """

    def __init__(self, rates: str) -> None:
        self._rates = rates

    def on_pre_optimizer_step(self, _args: Any, state: Any, *_: Any, model: Any = None, **__: Any) -> None:
        """Runs before each step."""
        sums = [parameter.grad.sum() for parameter in model.parameters() if parameter.grad is not None]
        if not bool(torch.stack(sums).isfinite().all()):
            raise TrainingError(
                f"step {state.global_step + 1}: gradients are not finite. Lower {self._rates}, or set "
                "optimization.precision to float32, then restart with overwrite=True."
            )


def run_to_end(trainer: Any, folder: Path, rates: str) -> None:
    """Trains, resuming from the last complete checkpoint if there is one.

    Args:
        trainer: The trainer.
        folder: Folder of its checkpoints.
        rates: The settings of the learning rates, for error messages.

    Raises:
        TrainingError: The loss or a gradient is not finite.
    """
    trainer.remove_callback(PrinterCallback)  # only the command line prints
    trainer.add_callback(MarkComplete())
    trainer.add_callback(RejectBadGradients(rates))
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Puts the random state back afterwards, so that when a model is validated or saved does not change how it is trained."""
    devices = range(torch.cuda.device_count())
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def last_checkpoint(folder: Path) -> str | None:
    """The last complete checkpoint in a folder; incomplete ones are deleted."""
    steps = []
    for path in folder.glob("checkpoint-*"):
        if (path / _COMPLETE).is_file():
            steps.append((checkpoint_step(path), path))
        else:
            shutil.rmtree(path)
    return str(max(steps)[1]) if steps else None


def checkpoint_step(path: str | Path) -> int:
    """The step of a checkpoint."""
    return int(Path(path).name.rpartition("-")[2])


@contextmanager
def translate_disk_errors(folder: Path) -> Iterator[None]:
    """Translates the disk errors of various libraries into one error.

    Raises:
        StorageError: The disk is full or not writable.
    """
    try:
        yield
    except SpladeLuceneError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise StorageError(f"{storage_error(folder, error)} {_RESUMABLE}") from error
        if any(phrase in str(error) for phrase in _DISK_FULL):  # from safetensors, torch.save and shutil
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise StorageError(f"{storage_error(folder, full)} {_RESUMABLE}") from error
        raise


_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
_DISK_FULL = ("No space left", "os error 28", "file write failed", "unexpected pos")
_RESUMABLE = "Run the same command again to resume from the last complete checkpoint."
