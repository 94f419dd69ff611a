"""The head of the page on a run's data: its model, files and losses, and which model it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from splade_lucene.training.base import base_dropout
from splade_lucene.training.recipes import RECIPES

if TYPE_CHECKING:
    from splade_lucene.training.config import Losses, Teacher, TrainingConfig, Validation


def describe_plan(config: TrainingConfig) -> dict[str, str]:
    """What a run does, each fact by its name. Files are named without their folders, so that a card does not reveal them.

    Args:
        config: The training run.
    """
    facts = {"model": f"{config.recipe}, from {shown_name(config.base)}"}
    if config.rounds > 1:
        facts["model"] += f", in {config.rounds} rounds"
    facts["dropout"] = _dropout(config)
    facts["losses and their weights"] = ", ".join(_losses(config, config.losses or RECIPES[config.recipe].losses))
    facts["files"] = ", ".join(
        f"{name}: {shown_name(value)}" for name in ("examples", "passages", "queries", "scores", "judgments")
        if (value := getattr(config.data, name))
    )  # fmt: skip
    if config.teacher is not None:
        facts["teacher"] = " + ".join(_scorers(config.teacher))
    if config.validation is not None:
        facts["validation"] = _validation(config.validation)
    facts["model that is kept"] = _selected_model(config)
    return facts


class Side(NamedTuple):
    """A side that FLOPS regularizes.

    Attributes:
        name: ``queries`` or ``documents``.
        setting: The setting of its weight, in ``sparsity``.
        weight: λ at the end of the ramp.
        terms: The number of active terms to which λ is adapted; None if it is not.
    """

    name: str
    setting: str
    weight: float
    terms: int | None


def regularized(config: TrainingConfig) -> list[Side]:
    """The sides that FLOPS regularizes."""
    sparsity = config.sparsity
    sides = [
        Side("queries", "query_weight", sparsity.query_weight, sparsity.query_terms),
        Side("documents", "document_weight", sparsity.document_weight, sparsity.document_terms),
    ]
    return [side for side in sides[RECIPES[config.recipe].is_doc :] if side.weight]


def shown_name(value: str) -> str:
    """A name, or the last part of an absolute path."""
    return Path(value).name if Path(value).is_absolute() else value


def _dropout(config: TrainingConfig) -> str:
    own, chosen = base_dropout(config.base), config.optimization.dropout
    if chosen is not None:
        return f"{chosen:g}"
    if len({*own.values()}) <= 1:
        return f"{max(own.values(), default=0):g}, the base's own"
    return f"the base's own: {', '.join(f'{name} {rate:g}' for name, rate in own.items())}"


def _losses(config: TrainingConfig, losses: Losses) -> list[str]:
    shown = [f"{name} {weight:g}" for name, weight in losses.model_dump().items() if weight]
    for side in regularized(config):
        target = f" (adapted to {side.terms:,} terms)" if side.terms else ""
        shown.append(f"FLOPS of {side.name} {side.weight:g}{target}")
    return shown


def _scorers(teacher: Teacher) -> list[str]:
    named: list[tuple[Any, float]] = [
        (teacher.dense, teacher.dense_weight), ("BM25", teacher.bm25), (teacher.cross_encoder, teacher.cross_encoder_weight),
        (teacher.scores, teacher.scores_weight),
    ]  # fmt: skip
    return [f"{weight:g} · {shown_name(name)}" for name, weight in named if name and weight]


def _validation(validation: Validation) -> str:
    files = ", ".join(shown_name(each) for each in (validation.corpus, validation.topics, validation.qrels))
    return f"{files}; {f'every {validation.every:,} steps' if validation.every else 'at the end'}"


def _selected_model(config: TrainingConfig) -> str:
    if config.validation is None or not config.is_validated or config.keep == "last":
        return "the last step's"
    best = f"the one validated with the highest {config.validation.measures[0]}"
    return f"{best}; the others are kept, too" if config.keep == "all" else best
