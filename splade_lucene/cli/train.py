"""A wing: training a model of one's own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from splade_lucene.cli.options import DeviceOption, JsonOption
from splade_lucene.cli.output import echo

_FIGURES = {
    "loss": "loss {:.3f}", "query_terms": "query terms {:.0f}", "document_terms": "document terms {:.0f}",
    "flops": "FLOPS {:.2f}", "score_scale": "scale {:.3f}", "nDCG@10": "nDCG@10 {:.4f}", "RR@10": "RR@10 {:.4f}",
    "R@100": "R@100 {:.4f}",
}  # fmt: skip


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Recipe, base, data, teacher and the rest.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Folder for all that is made, in place of the file's."),
    ] = None,
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete what an earlier run left there, and start again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a SPLADE model.

    The recipes are SPLADE, SPLADE-max, SPLADE-doc and DistilSPLADE-max. Training resumes after an interruption.
    """
    from transformers.utils import logging as transformers_logging

    from splade_lucene.training import read_config
    from splade_lucene.training import train as run_training

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what a base lacks is said by us, in a line
    settings = read_config(config, output=output)
    result = run_training(settings, device=device, overwrite=overwrite, report=_Notes())
    echo(f"the model is in {result.model}, made in {result.seconds / 60:.1f} minutes")
    if as_json:
        print(json.dumps({"model": str(result.model), "figures": result.figures, "seconds": result.seconds}))
        return
    for name, value in result.figures.items():
        print(f"{name:16} {value:.4f}")


class _Notes:
    """Lines of progress: those with figures all, others seldom, for a log file wants few."""

    def __init__(self) -> None:
        self._interval = 1.0 if sys.stderr.isatty() else 15.0
        self._last = ("", 0.0)

    def __call__(self, what: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        now = time.monotonic()
        if not figures and done < total and self._last[0] == what and now - self._last[1] < self._interval:
            return
        self._last = (what, now)
        shown = [form.format(figures[name]) for name, form in _FIGURES.items() if name in figures]
        if figures and not shown:
            return  # a summary of transformers, which says nothing new
        echo("  ".join([f"{what} {done:,}/{total:,}", *shown]))
