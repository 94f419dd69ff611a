"""Trains a model."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.options import DeviceOption, JsonOption
from splade_lucene.cli.output import echo
from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    from splade_lucene.training import TrainingConfig

_LOSSES = {
    **{name: name for name in ("contrastive", "margin_mse", "kl", "in_batch_kl")},
    "query_regularizer_loss": "query FLOPS", "document_regularizer_loss": "document FLOPS",
}  # fmt: skip
_FIGURES = {
    "query_terms": "query terms {:.0f}", "document_terms": "document terms {:.0f}", "flops": "FLOPS {:.2f}",
    "score_scale": "scale {:.3f}",
}  # fmt: skip


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.yaml", help="The configuration: recipe, base, data, teacher …")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="The output folder. Default: the configuration's."),
    ] = None,
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the results of an earlier run and start over.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything; describe the data and estimate the training time.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a SPLADE model.

    Recipes: SPLADE, SPLADE-max, SPLADE-doc and DistilSPLADE-max. Run it again to resume after an interruption.
    """
    with uninterrupted_imports("train"):
        from transformers.utils import logging as transformers_logging

    from splade_lucene.training import read_config
    from splade_lucene.training import train as run_training

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # we report missing weights ourselves
    settings = read_config(config, output=output)
    if dry_run:
        _print_data(settings, device, as_json=as_json)
        return
    result = run_training(settings, device=device, overwrite=overwrite, report=_Notes())
    echo(f"saved the model to {result.model} after {result.seconds / 60:.1f} minutes")
    if as_json:
        print(json.dumps({"model": str(result.model), "figures": result.figures, "seconds": result.seconds}))
        return
    for name, value in result.figures.items():
        print(f"{name:16} {value:.4f}")


def _print_data(config: TrainingConfig, device: str, *, as_json: bool) -> None:
    from splade_lucene.training import describe_run_data

    report = describe_run_data(config, device=device)
    if as_json:
        print(json.dumps(asdict(report)))
        return
    facts = report.facts()
    width = max(map(len, facts))
    for name, text in facts.items():
        print(f"{name:{width}}  {text}")


class _Notes:
    """Prints progress: all lines with figures, and others rarely, to keep log files short."""

    def __init__(self) -> None:
        self._interval = 1.0 if sys.stderr.isatty() else 15.0
        self._last = ("", 0.0)

    def __call__(self, title: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        now = time.monotonic()
        if not figures and done < total and self._last[0] == title and now - self._last[1] < self._interval:
            return
        self._last = (title, now)
        shown = _describe_step(figures) if "loss" in figures else _describe_measures(figures)
        echo("  ".join([f"{title} {done:,}/{total:,}", *shown]))


def _describe_step(figures: Mapping[str, float]) -> list[str]:
    losses = [f"{shown} {figures[name]:.3f}" for name, shown in _LOSSES.items() if name in figures]
    shown = [f"loss {figures['loss']:.3f}" + (f" ({', '.join(losses)})" if losses else "")]
    shown += [form.format(figures[name]) for name, form in _FIGURES.items() if name in figures]
    last = [f"{name} {value:.4f}" for name, value in figures.items() if name.startswith("last ")]
    shown += [f"{each} at step {figures['last_validation']:,.0f}" for each in last]
    return [*shown, f"{_describe_time(figures['seconds_left'])} left"]


def _describe_measures(figures: Mapping[str, float]) -> list[str]:
    measures = [f"{name} {value:.4f}" for name, value in figures.items() if name not in _FIGURES]
    return [*measures, *(form.format(figures[name]) for name, form in _FIGURES.items() if name in figures)]


def _describe_time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
