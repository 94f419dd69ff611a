"""Reproduces published figures, with one command each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_lucene.cli.options import JsonOption, ThreadsOption
from splade_lucene.cli.output import ProgressBars, as_flags, echo

if TYPE_CHECKING:
    from splade_lucene.reproduction import Entry, Reproduction
    from splade_lucene.reproduction.downloads import Downloads
    from splade_lucene.reproduction.plans import Plan


def reproduce(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="An entry of the catalogue.", show_default=False)
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List all entries.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print an entry's commands, and those for Anserini and Pyserini.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check one or all entries; show the steps, downloads and disk space.")
    ] = False,
    download_only: Annotated[
        bool,
        typer.Option("--download-only", help="Only download the files; the folder can be used as a --mirror."),
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="DIR", help="The working folder. Default: $SPLADE_LUCENE_CACHE, or the user's cache."
        ),
    ] = None,
    mirror: Annotated[
        Path | None,
        typer.Option("--mirror", metavar="DIR", help="Take files by name from this folder, .tar or .zip."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never access the network.")] = False,
    prebuilt: Annotated[
        bool, typer.Option("--prebuilt", help="Search Anserini's prebuilt index instead of building one.")
    ] = False,
    catalogue: Annotated[
        list[Path] | None, typer.Option("--catalogue", metavar="DIR", help="More entries: a folder of .toml files.")
    ] = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reproduce a published figure.

    The steps are: fetch, index, search, evaluate, compare. Run it again to resume after an interruption.
    """
    if sum((list_all, show, dry_run, download_only)) > 1:
        raise typer.BadParameter("--list, --show, --dry-run and --download-only are mutually exclusive")
    if name is None and not (list_all or dry_run):
        raise typer.BadParameter("pass the name of an entry, or --list")
    if name is not None and list_all:
        raise typer.BadParameter("--list takes no name")
    if mirror is not None and not mirror.exists():
        raise typer.BadParameter(f"--mirror {mirror}: no such folder or archive")
    from splade_lucene.reproduction import find_entry, read_catalogue
    from splade_lucene.reproduction.downloads import Downloads, reproduction_folder

    entries = read_catalogue(catalogue or [])
    chosen = [find_entry(name, entries)] if name is not None else [*entries.values()]
    folder = (directory or reproduction_folder()).resolve()
    if list_all:
        _print_list(chosen, as_json)
    elif show:
        _print_commands(chosen[0], prebuilt, as_json)
    elif dry_run:
        _print_plans(chosen, folder, Downloads(folder / "downloads", mirror, offline), prebuilt, as_json)
    else:
        with _download_bar() as progress:
            downloads = Downloads(folder / "downloads", mirror, offline, progress)
            if download_only:
                _download(chosen[0], downloads, prebuilt, as_json)
            else:
                _run(chosen[0], folder, downloads, prebuilt, threads, as_json)


def _print_list(entries: Sequence[Entry], as_json: bool) -> None:
    if as_json:
        rows = [
            {"name": each.name, "collection": each.title, "system": each.system.title, "documents": each.documents,
             "topics": each.system.topics.count, "judged": each.judged, "published": dict(each.system.published),
             "source": each.system.source}
            for each in entries
        ]  # fmt: skip
        print(json.dumps(rows, ensure_ascii=False))
        return
    width = max(len(each.name) for each in entries)
    print(f"{'':{width}}   documents judged")
    for each in entries:
        measure, figure = next(iter(each.system.published.items()))
        documents = "" if each.documents is None else f"{each.documents:,}"
        print(f"{each.name:{width}} {documents:>11} {each.judged:>6,}  {measure} {figure:.4f}")


def _print_commands(entry: Entry, prebuilt: bool, as_json: bool) -> None:
    from splade_lucene.reproduction.checks import check_entry
    from splade_lucene.reproduction.commands import anserini_commands, our_commands, pyserini_commands

    notes = check_entry(entry, prebuilt=prebuilt)
    ours, theirs = our_commands(entry, prebuilt=prebuilt), anserini_commands(entry)
    pyserini = pyserini_commands(entry)
    if as_json:
        facts = {"name": entry.name, "splade-lucene": ours, "anserini": theirs, "pyserini": pyserini, "notes": notes}
        print(json.dumps(facts, ensure_ascii=False))
        return
    system = entry.system
    print(f"# {entry.name}: {system.title} on {entry.title}; figures of {system.source}")
    if system.quantization:
        print(f"# impacts: {system.quantization} ({system.quantization_source})")
    for each in dict.fromkeys((entry.note, system.note, *notes)):
        if each:
            print(f"# {as_flags(each)}")
    print(f"\n# all at once\nsplade-lucene reproduce {entry.name}{' --prebuilt' if prebuilt else ''}\n\n# step by step")
    print("\n".join(ours))
    for name, commands in (("Anserini", theirs), ("Pyserini", pyserini)):
        if commands:
            print(f"\n# {name}")
            print("\n".join(commands))


def _print_plans(entries: Sequence[Entry], folder: Path, downloads: Downloads, prebuilt: bool, as_json: bool) -> None:
    from splade_lucene.reproduction.plans import make_plan

    alone = len(entries) == 1
    plans = [
        make_plan(each, folder, downloads, prebuilt=prebuilt and (alone or each.system.prebuilt is not None))
        for each in entries
    ]
    if as_json:
        print(json.dumps([plan.to_json() for plan in plans], ensure_ascii=False))
        return
    if len(plans) == 1:
        _print_plan(plans[0], folder)
        return
    width = max(len(plan.entry.name) for plan in plans)
    for plan in plans:
        print(f"{plan.entry.name:{width}}  to fetch {_size(plan.bytes_to_fetch):>8}  disk {_size(plan.disk_bytes):>8}")
    echo(f"{len(plans)} entries fit together")


def _print_plan(plan: Plan, folder: Path) -> None:
    entry = plan.entry
    print(f"{entry.name}: {entry.system.title} on {entry.title}, in {folder}\n")
    for file in plan.files:
        where = "" if file.path is None else f"  {file.path}"
        print(f"{file.state:15} {_size(file.download.estimated_size):>8}  {file.download.file}{where}")
    print(f"\nto fetch        {_size(plan.bytes_to_fetch)}")
    print(f"disk, about     {_size(plan.disk_bytes)}")
    print(f"finished        {', '.join(plan.finished) or 'nothing'}")
    print(f"to do           {', '.join(plan.todo)}")
    for text in plan.notes:
        echo(f"note: {as_flags(text)}")


def _size(count: int) -> str:
    if not count:
        return "-"
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


@contextmanager
def _download_bar() -> Iterator[Callable[[Any, int, int], None]]:
    """Shows a progress bar on stderr for each file."""
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def progress(download: Any, there: int, whole: int) -> None:
        if download.file not in bars:
            interval = 0.1 if sys.stderr.isatty() else 15  # seconds; few lines in a log file
            bars[download.file] = tqdm(
                desc=download.file, total=whole or None, unit="B", unit_scale=True, mininterval=interval
            )
        bars[download.file].update(there - bars[download.file].n)

    try:
        yield progress
    finally:
        for bar in bars.values():
            bar.close()


def _download(entry: Entry, downloads: Downloads, prebuilt: bool, as_json: bool) -> None:
    from splade_lucene.reproduction.checks import check_entry

    for text in check_entry(entry, prebuilt=prebuilt):
        echo(f"note: {as_flags(text)}")
    paths = [downloads.fetch(each) for each in entry.downloads(prebuilt=prebuilt)]
    for path in paths:
        echo(f"complete: {path}")
    if as_json:
        print(json.dumps([str(path) for path in paths]))


def _run(entry: Entry, folder: Path, downloads: Downloads, prebuilt: bool, threads: int | None, as_json: bool) -> None:
    from splade_lucene.reproduction import reproduce as reproduce_entry

    def report_step(step: str, output: Path, done: bool) -> None:
        echo(f"{step}: {f'finished before, {output}' if done else output}")

    result = reproduce_entry(
        entry, folder, downloads, prebuilt=prebuilt, threads=threads, progress=ProgressBars(), on_step=report_step
    )
    if as_json:
        print(json.dumps(_to_json(result), ensure_ascii=False))
    else:
        _print_figures(result)
    if not result.is_within_tolerance:
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


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
