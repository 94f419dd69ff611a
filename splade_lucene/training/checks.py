"""Checks that fail early rather than after hours: base, teacher, validation data and conflicting settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transformers.utils import cached_file

from splade_lucene.encoder.checkpoint import load_tokenizer
from splade_lucene.encoder.location import CHECK_NAME, locate
from splade_lucene.encoder.soundness import check_tokenizer
from splade_lucene.errors import ConfigError, ModelError, first_line
from splade_lucene.training.base import base_dropout, network_folder
from splade_lucene.training.examples import read_scores
from splade_lucene.training.limits import check_base_lengths, check_teacher_lengths, read_network_config
from splade_lucene.training.recipes import RECIPES
from splade_lucene.training.trackers import check_trackers
from splade_lucene.training.validation import check_validation

if TYPE_CHECKING:
    from splade_lucene.training.config import Losses, Teacher, TrainingConfig


def check_run(config: TrainingConfig, losses: Losses) -> None:
    """Rejects a run that cannot succeed.

    Args:
        config: The training run.
        losses: The losses of the run, or of its recipe.

    Raises:
        ConfigError: Settings conflict.
        ModelError: The base or a teacher is not found.
        InputError: Validation data or a teacher's run file cannot be read.
    """
    if config.validation is not None:
        check_validation(config.validation)
    if (losses.margin_mse or losses.kl) and config.optimization.passages < 2:
        raise ConfigError(
            "margin_mse and kl compare passages of the same query", remedy="Set optimization.passages to 2 or more"
        )
    if (losses.contrastive or losses.in_batch_kl) and config.optimization.passages * config.optimization.queries < 2:
        raise ConfigError(
            "contrastive and in_batch_kl compare the passages of a step, which has only one",
            remedy="Raise optimization.queries or optimization.passages",
        )
    check_trackers(config.report_to)
    _check_base(config)
    if config.teacher is not None:
        _check_teacher(config.teacher)


def check_examples(config: TrainingConfig, losses: Losses, *, has_scores: bool) -> None:
    """Rejects examples that conflict with the rest of the run.

    Args:
        config: The training run, with ``data.examples``.
        losses: The losses of the run, or of its recipe.
        has_scores: Whether the examples have scores.

    Raises:
        ConfigError: There are two sources of scores, none although one is needed, or a temperature without scores.
    """
    if has_scores and config.teacher is not None:
        raise ConfigError(
            "the examples have scores, but a teacher is given as well", path=config.data.examples,
            remedy="Remove the teacher or the scores",
        )  # fmt: skip
    if config.data.temperature is not None and not has_scores:
        raise ConfigError(
            "data.temperature is set, but the examples have no scores", path=config.data.examples,
            remedy="Remove it or add scores",
        )  # fmt: skip
    if losses.is_distilled and not has_scores and config.teacher is None:
        raise ConfigError(
            "margin_mse and kl need a teacher or scored lists, but the examples have no scores",
            path=config.data.examples, remedy="Add a teacher or scores, or use losses.contrastive",
        )  # fmt: skip


def _check_base(config: TrainingConfig) -> None:
    if (base := locate(config.base).base_name) is not None:
        raise ModelError(
            f"{config.base}: a LoRA adapter for {base}, but training needs a complete model. Merge it first, with "
            f"peft.PeftModel.from_pretrained(AutoModelForMaskedLM.from_pretrained({base!r}), {config.base!r})"
            ".merge_and_unload().save_pretrained(FOLDER), save the tokenizer beside it, and set base to FOLDER."
        )
    folder = network_folder(config.base)
    is_doc = RECIPES[config.recipe].is_doc
    check_base_lengths(folder, config.optimization, has_network_queries=not is_doc)
    tokenizer = load_tokenizer(folder)
    size = getattr(read_network_config(folder), "vocab_size", None)
    check_tokenizer(tokenizer.get_vocab(), tokenizer.all_special_ids, folder, size)
    if config.optimization.dropout is not None and not base_dropout(config.base):
        raise ConfigError(
            f"optimization.dropout is set, but the configuration of {config.base} has no dropout setting",
            remedy="Remove optimization.dropout",
        )
    if tokenizer.mask_token_id is None:
        raise ModelError(f"{config.base}: the tokenizer has no mask token. Use the base of a masked-language model.")


def _check_teacher(teacher: Teacher) -> None:
    if teacher.scores:
        read_scores(teacher.scores)
    for kind, name in (("dense encoder", teacher.dense), ("cross-encoder", teacher.cross_encoder)):
        if name and not Path(name).is_dir():
            try:
                cached_file(name, "config.json", _raise_exceptions_for_missing_entries=False)
            except Exception as error:  # the hub and the cache raise all kinds of exceptions
                raise ModelError(f"{name}: cannot load a {kind}: {first_line(error)}. {CHECK_NAME}") from error
    check_teacher_lengths(teacher)
