"""Runs entries and groups for ``reproduce``, and prints their figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from splade_lucene.cli.output import ProgressBars, as_flags, describe_error, echo
from splade_lucene.evaluation.tables import Cell, Table, TableFormat

if TYPE_CHECKING:
    from splade_lucene.reproduction import Entry, Group, Reproduction
    from splade_lucene.reproduction.downloads import Downloads


@dataclass(frozen=True)
class Reproducer:
    """Where and how entries are run.

    Attributes:
        folder: The working folder.
        downloads: Sources of files.
        prebuilt: Whether to search published indexes.
        threads: Number of threads; None for all cores.
    """

    folder: Path
    downloads: Downloads
    prebuilt: bool
    threads: int | None

    def reproduce(self, entry: Entry) -> Reproduction:
        """Runs an entry, and reports its steps."""
        from splade_lucene.reproduction import reproduce

        def report_step(step: str, output: Path, done: bool) -> None:
            echo(f"{step}: {f'finished before, {output}' if done else output}")

        return reproduce(
            entry, self.folder, self.downloads, prebuilt=self.prebuilt, threads=self.threads, progress=ProgressBars(),
            on_step=report_step,
        )  # fmt: skip


def download(entries: Sequence[Entry], downloads: Downloads, *, prebuilt: bool, as_json: bool) -> None:
    """Downloads the files of some entries."""
    from splade_lucene.reproduction.checks import check_entry

    for text in dict.fromkeys(text for entry in entries for text in check_entry(entry, prebuilt=prebuilt)):
        echo(f"note: {as_flags(text)}")
    needed = {each.file: each for entry in entries for each in entry.downloads(prebuilt=prebuilt)}
    paths = [downloads.fetch(each) for each in needed.values()]
    for path in paths:
        echo(f"complete: {path}")
    if as_json:
        print(json.dumps([str(path) for path in paths]))


def run_entry(entry: Entry, reproducer: Reproducer, table_format: TableFormat) -> None:
    """Runs an entry and prints its figures; exits with 1 if one is outside its tolerance."""
    result = reproducer.reproduce(entry)
    if table_format == "json":
        print(json.dumps(_to_json(result), ensure_ascii=False))
    elif table_format == "text":
        _print_figures(result)
    else:
        print(_table(result).render(table_format))
    if not result.is_within_tolerance:
        echo("a figure is outside its tolerance")
        raise typer.Exit(1)


def run_group(group: Group, entries: Mapping[str, Entry], reproducer: Reproducer, table_format: TableFormat) -> None:
    """Runs all entries of a group and prints its table; exits with 1 unless all figures are within their tolerances."""
    from splade_lucene.reproduction import reproduce_group

    count = len(group.members(entries))
    number = 0

    def reproduce_entry(entry: Entry) -> Reproduction:
        nonlocal number
        number += 1
        echo(f"{entry.name} ({number} of {count})")
        return reproducer.reproduce(entry)

    result = reproduce_group(group, entries, reproduce_entry)
    if table_format == "json":
        print(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        print(result.table().render(table_format))
    for name, error in result.failed.items():
        echo(f"{name} was not run: {describe_error(error)}")
    if not result.is_within_tolerance:
        if not result.failed:
            echo("a figure is outside its tolerance")
        raise typer.Exit(1)


def _to_json(result: Reproduction) -> dict[str, Any]:
    figures = [
        {"name": each.name, "published": each.published, "obtained": each.obtained, "tolerance": each.tolerance,
         "within_tolerance": each.is_within_tolerance}
        for each in result.figures
    ]  # fmt: skip
    return {"name": result.entry.name, "within_tolerance": result.is_within_tolerance, "figures": figures,
            "run": str(result.run), "index": str(result.index_dir), "source": result.entry.system.source}  # fmt: skip


def _print_figures(result: Reproduction) -> None:
    entry = result.entry
    print(f"{entry.name}: {entry.system.title} on {entry.title}\n")
    width = max(len(each.name) for each in result.figures)
    column = max(12, *(len(_number(each.published)) for each in result.figures))
    print(f"{'':{width}} {'published':>{column}} {'obtained':>{column}}")
    good, bad = ("✓", "✗") if (sys.stdout.encoding or "").lower().startswith("utf") else ("yes", "NO")
    for each in result.figures:
        mark = good if each.is_within_tolerance else bad
        print(f"{each.name:{width}} {_number(each.published):>{column}} {_number(each.obtained):>{column}}  {mark}")
    print(f"\npublished: {entry.system.source}\nrun: {result.run}")


def _table(result: Reproduction) -> Table:
    rows = tuple(
        (
            each.name,
            (Cell(_number(each.published)), Cell(_number(each.obtained), "" if each.is_within_tolerance else "†")),
        )
        for each in result.figures
    )
    legend = [f"published: {result.entry.system.source}"]
    if not result.is_within_tolerance:
        legend.append("† outside the tolerance of the entry")
    return Table(("published", "obtained"), rows, tuple(legend), result.entry.name)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
