"""What would fail after hours, found out at the start: base, teacher, validation data, and what does not go together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transformers import AutoTokenizer
from transformers.utils import cached_file

from splade_lucene.errors import ConfigError, ModelError
from splade_lucene.run.run import Run
from splade_lucene.training.base import network_folder
from splade_lucene.training.network import check_length
from splade_lucene.training.validation import check_validation

if TYPE_CHECKING:
    from splade_lucene.training.config import Losses, Teacher, TrainingConfig


def check_run(config: TrainingConfig, losses: Losses) -> None:
    """Refuses what cannot come to an end.

    Args:
        config: The run.
        losses: Its own, or its recipe's.

    Raises:
        ConfigError: Settings do not go together.
        ModelError: Base or teacher is not there.
        InputError: Validation data or a teacher's run file cannot be read.
    """
    if config.validation is not None:
        check_validation(config.validation)
    if (losses.margin_mse or losses.kl) and config.optimization.passages < 2:
        raise ConfigError(
            "margin_mse and kl compare a query's passages", remedy="Set optimization.passages to 2 or more"
        )
    _check_base(config)
    if config.teacher is not None:
        _check_teacher(config.teacher)


def check_examples(config: TrainingConfig, losses: Losses, *, has_scores: bool) -> None:
    """Refuses examples that do not go with the rest.

    Args:
        config: The run, with ``data.examples``.
        losses: Its own, or its recipe's.
        has_scores: Whether the examples have scores.

    Raises:
        ConfigError: There are two teachers, or none where one is needed, or the unit of scores that are not there.
    """
    if has_scores and config.teacher is not None:
        raise ConfigError(
            "the examples have scores, and a teacher is named beside them", path=config.data.examples,
            remedy="Leave out the teacher, or the scores",
        )  # fmt: skip
    if config.data.temperature is not None and not has_scores:
        raise ConfigError(
            "data.temperature is set, and the examples have no scores", path=config.data.examples,
            remedy="Leave it out, or add scores",
        )  # fmt: skip
    if losses.is_distilled and not has_scores and config.teacher is None:
        raise ConfigError(
            "margin_mse and kl need a teacher or scored lists, and the examples have no scores",
            path=config.data.examples, remedy="Name a teacher, add scores, or use losses.contrastive",
        )  # fmt: skip


def _check_base(config: TrainingConfig) -> None:
    folder = network_folder(config.base)
    check_length(folder, config.optimization.max_length)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # transformers raises whatever its parsers do
        raise ModelError(f"{config.base}: cannot load its tokenizer: {str(error).splitlines()[0]}") from error
    if tokenizer.mask_token_id is None:
        raise ModelError(f"{config.base}: the tokenizer has no mask token. Use the base of a masked-language model.")


def _check_teacher(teacher: Teacher) -> None:
    if teacher.scores:
        Run.read(teacher.scores)
    for what, name in (("dense encoder", teacher.dense), ("cross-encoder", teacher.cross_encoder)):
        if name and not Path(name).is_dir():
            try:
                cached_file(name, "config.json", _raise_exceptions_for_missing_entries=False)
            except Exception as error:  # hub and cache raise whatever they do
                raise ModelError(f"{name}: cannot load a {what}: {str(error).splitlines()[0]}") from error
