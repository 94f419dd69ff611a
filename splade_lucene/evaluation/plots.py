"""Plots of the gain or loss of each query. Requires matplotlib (the extra ``plots``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splade_lucene.arguments import to_path
from splade_lucene.errors import InputError
from splade_lucene.evaluation.comparison import Comparison, QueryDifference
from splade_lucene.files.files import atomic_bytes_writer
from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FORMATS = ("png", "pdf", "svg")
_GAINED, _LOST = "#0072b2", "#d55e00"  # distinguishable for colour-blind readers
_LABELLED = 1  # more labels would overlap


def draw_differences(comparison: Comparison, path: str | Path, measure: str | None = None) -> None:
    """Plots the gain or loss of every query for each run, relative to the baseline or else the first run, largest gain first.

    Args:
        comparison: The comparison.
        path: The file, ``.png``, ``.pdf`` or ``.svg``; it is written atomically.
        measure: The measure; None: the first one.

    Raises:
        InputError: The file extension or the measure is unknown.
        MissingDependencyError: matplotlib is not installed.
        StorageError: The file cannot be written.
    """
    path = to_path(path)
    check_figure(path)
    measure = comparison.measures[0] if measure is None else measure
    by_run = {run: comparison.differences(measure, run) for run in comparison.others}
    figure = _figure(len(by_run))
    panels = figure.subplots(len(by_run), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (run, differences) in zip(panels, by_run.items(), strict=True):
        _draw(axes, run, comparison.reference, measure, differences)
    panels[-1].set_xlabel("queries, by gain")
    save_figure(figure, path)


@uninterrupted_imports()
def check_figure(path: Path) -> None:
    """Checks that a plot can be drawn, before anything is computed.

    Raises:
        InputError: The file extension is unknown.
        MissingDependencyError: matplotlib is not installed.
    """
    if path.suffix.lstrip(".").lower() not in FORMATS:
        raise InputError(
            f"a plot's file name must end in .{', .'.join(FORMATS)}, got {path.name!r}", remedy="Rename it"
        )
    import matplotlib  # noqa: F401


@uninterrupted_imports()
def _figure(panels: int) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(7, 0.6 + 2.2 * panels), layout="constrained")


def _draw(axes: Axes, run: str, against: str, measure: str, differences: list[QueryDifference]) -> None:
    heights = np.array([each.difference for each in differences])
    gained, lost = int((heights > 0).sum()), int((heights < 0).sum())
    colours = [_GAINED if height > 0 else _LOST for height in heights]
    axes.bar(np.arange(heights.size), heights, width=0.9, color=colours)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axhline(heights.mean(), color="grey", linestyle="--", linewidth=0.8)
    axes.set_title(
        f"{run} against {against}: {gained} gained, {lost} lost, {heights.size - gained - lost} equal; "
        f"mean {heights.mean():+.4f}",
        fontsize=9, loc="left", parse_math=False,
    )  # fmt: skip
    axes.set_ylabel(f"difference in {measure}", fontsize=8, parse_math=False)
    axes.set_xticks([])
    axes.margins(x=0.01, y=0.15)
    for bar in (*range(min(_LABELLED, gained)), *range(heights.size - min(_LABELLED, lost), heights.size)):
        axes.annotate(
            differences[bar].qid, (bar, heights[bar]), xytext=(0, 2 if heights[bar] > 0 else -2),
            textcoords="offset points", ha="center", va="bottom" if heights[bar] > 0 else "top", fontsize=7,
            parse_math=False,
        )  # fmt: skip


def save_figure(figure: Any, path: Path) -> None:
    """Writes a matplotlib figure atomically.

    Raises:
        StorageError: The file cannot be written.
    """
    with atomic_bytes_writer(path) as file:
        figure.savefig(file, format=path.suffix.lstrip(".").lower(), dpi=110, metadata=_undated(path))


def _undated(path: Path) -> dict[str, Any]:
    """Metadata without a timestamp, so that equal plots give equal files."""
    return {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix.lower(), {})
