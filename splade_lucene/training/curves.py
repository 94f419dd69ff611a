"""The curves of a training run: a table of all logged figures, and a plot where matplotlib is installed."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_lucene.errors import MissingDependencyError
from splade_lucene.evaluation.plots import check_figure, save_figure
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CSV, PNG = "curves.csv", "curves.png"
_log = logging.getLogger(__name__)
_KEYS = ("round", "stage", "step")
_PANELS = (
    ("loss", ("loss", "contrastive", "margin_mse", "kl", "in_batch_kl")),
    ("active terms", ("query_terms", "document_terms")),
    ("FLOPS", ("flops",)),
)
_NOT_MEASURES = (*_KEYS, "time", "query_terms", "document_terms", "flops")

Entry = dict[str, Any]
"""A line of the log."""


def draw_curves(log: Path) -> None:
    """Writes ``curves.csv`` and ``curves.png`` beside a log. Without matplotlib there is only the table, which is noted once.

    Args:
        log: The log; of a step that is in it twice, because the run was killed, the last line counts.
    """
    entries = read_log(log)
    columns = dict.fromkeys(key for entry in entries for key in entry if key not in (*_KEYS, "time"))
    with atomic_text_writer(log.with_name(CSV)) as file:
        writer = csv.DictWriter(file, [*_KEYS, *columns], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(entries)
    path = log.with_name(PNG)
    try:
        check_figure(path)
    except MissingDependencyError as error:
        _note_once(f"{path.name} is not drawn: {error}")
        return
    _draw(entries, path)


def read_log(log: Path) -> list[Entry]:
    """The lines of a log in the order of the run."""
    latest: dict[tuple[Any, ...], Entry] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last line before a kill
        key = tuple(entry[name] for name in _KEYS)
        latest.pop(key, None)
        latest[key] = entry
    return list(latest.values())


@uninterrupted_imports()
def _draw(entries: Sequence[Entry], path: Path) -> None:
    from matplotlib.figure import Figure

    validated = [entry for entry in entries if entry["stage"] == "validation"]
    trained = [entry for entry in entries if "query_terms" in entry and entry["stage"] not in ("validation", "final")]
    panels = list(_PANELS)
    measures = tuple(dict.fromkeys(key for entry in validated for key in entry if key not in _NOT_MEASURES))
    if measures:
        panels.append(("validation", measures))
    figure = Figure(figsize=(7, 0.6 + 1.9 * len(panels)), layout="constrained")
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, names) in zip(all_axes, panels, strict=True):
        _draw_panel(axes, title, names, validated if title == "validation" else trained)
    all_axes[-1].set_xlabel("step")
    all_axes[-1].xaxis.get_major_locator().set_params(integer=True)
    save_figure(figure, path)


def _draw_panel(axes: Axes, title: str, names: Sequence[str], entries: Sequence[Entry]) -> None:
    rounds = sorted({entry["round"] for entry in entries})
    for name in names:
        for number in rounds:
            points = [
                (each["step"], each[name]) for each in entries if each["round"] == number and each.get(name) is not None
            ]
            if points:
                label = name if len(rounds) == 1 else f"{name}, round {number}"
                axes.plot(*zip(*points, strict=True), marker="o", markersize=2, linewidth=1, label=label)
    axes.set_ylabel(title, fontsize=8)
    axes.grid(visible=True, linewidth=0.3)
    if axes.get_lines():
        axes.legend(fontsize=7, loc="upper right")


_noted: set[str] = set()


def _note_once(text: str) -> None:
    if text not in _noted:
        _noted.add(text)
        _log.warning("%s", text)
