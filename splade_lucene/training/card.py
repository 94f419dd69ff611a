"""The model card and the machine-readable settings of a trained model."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from splade_lucene.counts import counted, part_of
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.models import EMBEDDED_DOC_MODEL, EMBEDDED_MODEL
from splade_lucene.training.run_page import regularized, shown_name
from splade_lucene.version import __version__

if TYPE_CHECKING:
    from splade_lucene.training.config import Losses, TrainingConfig
    from splade_lucene.training.data_report import TrainingDataReport
    from splade_lucene.training.recipes import Recipe
    from splade_lucene.training.selection import Choice

_LIBRARIES = ("torch", "transformers", "sentence-transformers", "pyserini")
_LOSSES = {
    "contrastive": "cross-entropy over all passages of a batch (arXiv 2109.10086, eq. 3)",
    "margin_mse": "MarginMSE over a query's own passages (arXiv 2010.02666)",
    "kl": "Kullback-Leibler divergence from the teacher over a query's own passages",
    "in_batch_kl": "Kullback-Leibler divergence from the teacher over all passages of a batch",
}

_FIGURES = {
    "query_terms": "active terms per query",
    "document_terms": "active terms per document",
    "flops": "FLOPS: multiplications for an average query and document",
}


@dataclass(frozen=True)
class Facts:
    """What a card says beside the configuration.

    Attributes:
        figures: Measures on the validation data.
        queries: Number of queries.
        passages: Number of passages.
        losses: The losses in force.
        recipe: The recipe.
        choice: The step whose model this is.
        precision: The precision of the training.
        temperature: The temperature of the teacher's or the examples' scores; None without distillation.
        stopped: Why the training ended early; None if it did not.
        data: What the data of the last round are.
    """

    figures: Mapping[str, float]
    queries: int
    passages: int
    losses: Losses
    recipe: Recipe
    choice: Choice
    precision: str
    temperature: float | None = None
    stopped: str | None = None
    data: TrainingDataReport | None = None


def write_card(folder: Path, config: TrainingConfig, facts: Facts) -> None:
    """Writes ``README.md`` and ``training.json`` into a model's folder.

    Args:
        folder: Folder of the model.
        config: The training run.
        facts: What was found during the run.
    """
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = _library_versions() | {"splade-lucene": __version__}
    settings = _without_folders(_in_force(config, facts))
    record = {
        "date": day, "versions": versions, "queries": facts.queries, "passages": facts.passages,
        "figures": dict(facts.figures), "data": None if facts.data is None else facts.data.facts(),
        "kept_step": facts.choice.step, "stopped": facts.stopped,
    }  # fmt: skip
    with atomic_text_writer(folder / "training.json") as file:
        file.write(json.dumps({**record, "settings": settings}, indent=1) + "\n")
    with atomic_text_writer(folder / "README.md") as file:
        file.write(_card(config, facts, settings, day))


def _library_versions() -> dict[str, str]:
    """Of the libraries that are installed: training needs no Pyserini."""
    versions = {}
    for name in _LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _in_force(config: TrainingConfig, facts: Facts) -> dict[str, Any]:
    """The settings that had an effect, with the recipe's values for those that were not set."""
    settings = config.model_dump(
        mode="json", exclude_none=True,
        exclude={"output": True, "cache": True, "report_to": True, "optimization": {"checkpoint", "log"}},
    )  # fmt: skip
    settings["losses"] = {name: weight for name, weight in facts.losses.model_dump().items() if weight}
    settings["optimization"]["precision"] = facts.precision
    settings["head"] = facts.choice.head
    if not facts.choice.head:
        del settings["head"]
    if config.data.examples is not None:
        del settings["mining"]
    else:
        settings["mining"]["positives"] = config.mining.positives or facts.recipe.positives
        _remove_unused_sources(config, settings["mining"])
    _remove_unused_data_settings(config, facts, settings["data"])
    if config.teacher is not None:
        _remove_unused_scorers(config, facts, settings)
    if facts.temperature is not None and config.teacher is None:
        settings["data"]["temperature"] = facts.temperature
    if facts.recipe.is_doc:
        for section, name in (
            ("sparsity", "query_weight"),
            ("sparsity", "query_terms"),
            ("optimization", "query_max_length"),
        ):
            settings[section].pop(name, None)
    if not (config.sparsity.query_terms or config.sparsity.document_terms):
        del settings["sparsity"]["gain"]
    for section, name in (("sparsity", "threshold"), ("optimization", "base_share")):
        if not settings[section][name]:
            del settings[section][name]
    return settings


def _remove_unused_data_settings(config: TrainingConfig, facts: Facts, data: dict[str, Any]) -> None:
    if not facts.losses.contrastive:
        data.pop("mask_known_positives")
        data.pop("judgments", None)
    has_file = config.data.examples is not None or (config.teacher is not None and config.teacher.scores is not None)
    if not (facts.losses.is_distilled and has_file):
        data.pop("missing_scores")
    if not data["ignored_keys"]:
        data.pop("ignored_keys")


def _remove_unused_sources(config: TrainingConfig, mining: dict[str, Any]) -> None:
    if config.teacher is None or not config.teacher.dense:
        mining.pop("dense", None)
    if config.teacher is None or not config.teacher.scores:
        mining.pop("scores", None)
    if not config.mining.index and config.rounds == 1:
        mining.pop("splade", None)


def _remove_unused_scorers(config: TrainingConfig, facts: Facts, settings: dict[str, Any]) -> None:
    teacher = settings["teacher"]
    for name in ("dense", "cross_encoder", "scores"):
        if not teacher.get(name):
            teacher.pop(f"{name}_weight", None)
    if not teacher.get("bm25"):
        teacher.pop("bm25", None)
    if not (teacher.get("dense") or teacher.get("cross_encoder")):
        teacher.pop("max_length", None)
    if not facts.losses.is_distilled:
        teacher.pop("temperature", None)
        if config.data.examples is not None:
            del settings["teacher"]  # nothing is mined, and nothing is distilled


def _without_folders(settings: Any) -> Any:
    """The same settings with absolute paths reduced to their last part, so that a shared model does not reveal them."""
    if isinstance(settings, dict):
        return {key: _without_folders(value) for key, value in settings.items()}
    return shown_name(settings) if isinstance(settings, str) else settings


def _card(config: TrainingConfig, facts: Facts, settings: dict[str, Any], day: str) -> str:
    is_ours = config.base in (EMBEDDED_MODEL, EMBEDDED_DOC_MODEL) or Path(config.base).exists()
    base_model = "" if is_ours else f"\nbase_model: {config.base}"  # the hub accepts only hub names
    return f"""---
library_name: sentence-transformers
pipeline_tag: feature-extraction
tags: [sparse-encoder, splade, {config.recipe}]{base_model}
---

# A {config.recipe} model

Trained from `{settings["base"]}` on {_trained_on(facts)} with splade_lucene
{__version__} on {day}. Term weights are log(1 + relu(logits)), pooled over the tokens of a text by their {_pooling(facts)}
(arXiv 2109.10086).{" Queries are bags of their tokens, each with weight 1." if facts.recipe.is_doc else ""}

{_selected_model(config, facts)}

```python
from splade_lucene import SpladeEncoder
encoder = SpladeEncoder("this/folder")
```

## Losses

| loss | weight |
|---|---:|
{_loss_rows(config, facts)}

{_teaching(config, facts, settings)}

{_data(facts)}## Figures

{_measured(config, facts, settings)}

## Settings

Those that had an effect:

```yaml
{yaml.safe_dump(settings, sort_keys=False).strip()}
```
"""


def _trained_on(facts: Facts) -> str:
    """The queries that have an example, and the collection."""
    queries = facts.queries if facts.data is None else facts.data.queries
    return f"{counted(queries, 'query')} and {counted(facts.passages, 'passage')}"


def _data(facts: Facts) -> str:
    return "" if facts.data is None else f"## Training data\n\n{facts.data.markdown()}\n\n"


def _pooling(facts: Facts) -> str:
    return "maximum" if facts.recipe.pooling == "max" else "sum"


def _selected_model(config: TrainingConfig, facts: Facts) -> str:
    choice, steps = facts.choice, config.optimization.steps
    rounds = f" of the last of {config.rounds} rounds" if config.rounds > 1 else ""
    kept = f"This is the model after step {choice.step:,} of {steps:,}{rounds}, kept because {choice.reason}."
    if facts.stopped is None:
        return kept + _afterwards(config)
    return f"**The training did not finish: {facts.stopped}.** {kept}"


def _afterwards(config: TrainingConfig) -> str:
    share, threshold = config.optimization.base_share, config.sparsity.threshold
    done = [f" Its weights are {1 - share:g} times the trained ones plus {share:g} times the base's."] if share else []
    done += [f" {threshold:g} was subtracted from all logits."] if threshold else []
    return "".join(done)


def _loss_rows(config: TrainingConfig, facts: Facts) -> str:
    weights = facts.losses.model_dump()
    rows = [f"| `{name}`: {what} | {weights[name]:g} |" for name, what in _LOSSES.items() if weights[name]]
    for side in regularized(config):
        target, end = "", ""
        if side.terms:
            target = f", adapted to {side.terms} active terms"
            end = (
                f", {facts.choice.adapted[side.setting]:.3g} at the end" if side.setting in facts.choice.adapted else ""
            )
        rows.append(f"| FLOPS of {side.name} (arXiv 2004.05665){target} | {side.weight:g}{end} |")
    return "\n".join(rows)


def _teaching(config: TrainingConfig, facts: Facts, settings: dict[str, Any]) -> str:
    """Where passages and scores come from."""
    ramp = f"The weights of FLOPS rise during the first {config.sparsity.ramp:.0%} of the steps."
    examples, teacher = settings["data"].get("examples"), settings.get("teacher")
    origin = f"Passages are those of `{examples}`." if examples else "Passages were mined, and ordered by the teacher."
    if not facts.losses.is_distilled:
        return f"{ramp} {origin} No scores were distilled."
    scores = "the teacher's" if teacher else "the examples'"
    return f"{ramp} {origin} The scores distilled are {scores}, divided by {facts.temperature:.4g}."


def _figure(name: str, value: float) -> str:
    return f"| {name} | {value:.4f} |" if name not in _FIGURES else f"| {_FIGURES[name]} | {value:.3g} |"


def _measured(config: TrainingConfig, facts: Facts, settings: dict[str, Any]) -> str:
    if config.validation is None:
        return "Not evaluated: the configuration has no validation data."
    if not facts.figures:
        return "Not evaluated: the training did not finish."
    rows = "\n".join(_figure(name, value) for name, value in facts.figures.items())
    corpus = settings["validation"]["corpus"]
    table = f"Evaluated on {corpus} with a Lucene index of quantized impacts:\n\n| | |\n|---|---:|\n{rows}"
    caveats = []
    if config.is_validated and config.keep != "last":
        caveats.append(
            "The step was chosen by the first of these figures, so they are probably somewhat higher than on other data."
        )
    if facts.data is not None and facts.data.validated_trained:
        also = part_of(facts.data.validated_trained, counted(facts.data.validated or 0, "query"), "is", "are")
        caveats.append(f"{also} also trained on.")
    return "\n\n".join([table, *([" ".join(caveats)] if caveats else [])])
