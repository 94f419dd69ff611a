"""Trackers of experiments, which transformers finds and calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.integrations import TensorBoardCallback, get_available_reporting_integrations

from splade_lucene.errors import ConfigError


def check_trackers(names: Sequence[str]) -> None:
    """Checks that trackers can be used.

    Raises:
        ConfigError: One is not installed, or transformers does not know it.
    """
    installed = get_available_reporting_integrations()
    missing = [name for name in names if name not in installed]
    if missing:
        raise ConfigError(
            f"report_to: {', '.join(missing)} is not installed or not known to transformers, which finds "
            f"{', '.join(installed) or 'no tracker'}",
            remedy="Install it, for example with 'pip install tensorboard', or remove it",
        )


def keep_tensorboard_in(trainer: Any, folder: Path) -> None:
    """Makes transformers write TensorBoard's files into a folder, unless ``TENSORBOARD_LOGGING_DIR`` names one.

    By default they are among the checkpoints, which are deleted.
    """
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(folder)
