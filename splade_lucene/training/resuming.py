"""Training that survives being killed: only whole checkpoints are gone on from, and a full disk says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, TrainerCallback

from splade_lucene.errors import StorageError, TrainingError
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
        for name, parameter in model.named_parameters():
            if parameter.grad is not None and not bool(parameter.grad.sum().isfinite()):
                raise TrainingError(
                    f"step {state.global_step + 1}: the gradient of {name} is not finite. Lower "
                    "optimization.learning_rate or head_learning_rate, or use precision: float32; then the same command "
                    "goes on from the last checkpoint."
                )


def run_to_end(trainer: Any, folder: Path) -> None:
    """Trains, going on from the last whole checkpoint if there is one.

    Raises:
        TrainingError: The loss or a gradient is not finite.
        StorageError: The disk refused a checkpoint; those before it stay.
    """
    trainer.remove_callback(PrinterCallback)  # only the command line prints
    trainer.add_callback(MarkWhole())
    trainer.add_callback(RefuseBadGradients())
    try:
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    except (OSError, RuntimeError, Exception) as error:
        if _is_of_disk(error):
            reason = error if isinstance(error, OSError) else OSError(28, "No space left on device")
            raise StorageError(f"{storage_error(folder, reason)} The last whole checkpoint stays.") from error
        raise


def last_checkpoint(folder: Path) -> str | None:
    """The last whole checkpoint in a folder; those that a kill left half-written are removed."""
    steps = []
    for path in folder.glob("checkpoint-*"):
        if (path / _WHOLE).is_file():
            steps.append((int(path.name.rpartition("-")[2]), path))
        else:
            shutil.rmtree(path)
    return str(max(steps)[1]) if steps else None


def _is_of_disk(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return True
    text = str(error)  # safetensors and torch.save have errors of their own
    return any(sign in text for sign in ("No space left", "os error 28", "file write failed", "unexpected pos"))
