"""Reproduces published figures, with one command each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_lucene.cli.evaluate import FormatOption, choose_format
from splade_lucene.cli.options import JsonOption, ThreadsOption
from splade_lucene.cli.output import ProgressBars, as_flags, echo
from splade_lucene.counts import counted

if TYPE_CHECKING:
    from splade_lucene.reproduction import Entry
    from splade_lucene.reproduction.downloads import Downloads
    from splade_lucene.reproduction.plans import Plan


def reproduce(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="An entry or a group of the catalogue.", show_default=False)
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List all entries and groups.")] = False,
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
    output_format: FormatOption = "text",
    as_json: JsonOption = False,
) -> None:
    """Reproduce a published figure, or a table of them.

    The steps are: fetch, index, search, evaluate, compare. Run it again to resume after an interruption.
    """
    if sum((list_all, show, dry_run, download_only)) > 1:
        raise typer.BadParameter("--list, --show, --dry-run and --download-only are mutually exclusive")
    if name is None and not (list_all or dry_run):
        raise typer.BadParameter("pass the name of an entry or group, or --list")
    if name is not None and list_all:
        raise typer.BadParameter("--list takes no name")
    if mirror is not None and not mirror.exists():
        raise typer.BadParameter(f"--mirror {mirror}: no such folder or archive")
    from splade_lucene.cli.reproduce_runs import Reproducer, download, run_entry, run_group
    from splade_lucene.reproduction import Group, find_entry, read_catalogue, read_groups
    from splade_lucene.reproduction.downloads import Downloads, reproduction_folder

    table_format = choose_format(output_format, as_json=as_json)
    as_json = table_format == "json"
    entries, groups = read_catalogue(catalogue or []), read_groups(catalogue or [])
    named: dict[str, Entry | Group] = {**entries, **groups}
    found = None if name is None else find_entry(name, named)
    members = found.members(entries) if isinstance(found, Group) else [found] if found else [*entries.values()]
    folder = (directory or reproduction_folder()).resolve()
    downloads = Downloads(folder / "downloads", mirror, offline, ProgressBars())
    if list_all:
        _print_list(members, as_json)
        echo(f"groups of entries: {', '.join(groups)}")
    elif show:
        _print_commands(members, prebuilt, as_json)
    elif dry_run:
        _print_plans(members, folder, downloads, prebuilt, as_json)
    elif download_only:
        download(members, downloads, prebuilt=prebuilt, as_json=as_json)
    elif isinstance(found, Group):
        run_group(found, entries, Reproducer(folder, downloads, prebuilt, threads), table_format)
    else:
        run_entry(members[0], Reproducer(folder, downloads, prebuilt, threads), table_format)


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


def _print_commands(entries: Sequence[Entry], prebuilt: bool, as_json: bool) -> None:
    from splade_lucene.reproduction.checks import check_entry
    from splade_lucene.reproduction.commands import anserini_commands, our_commands, pyserini_commands

    shown = [
        {"name": each.name, "splade-lucene": our_commands(each, prebuilt=prebuilt), "anserini": anserini_commands(each),
         "pyserini": pyserini_commands(each), "notes": check_entry(each, prebuilt=prebuilt)}
        for each in entries
    ]  # fmt: skip
    if as_json:
        print(json.dumps(shown[0] if len(shown) == 1 else shown, ensure_ascii=False))
        return
    for entry, facts in zip(entries, shown, strict=True):
        _print_commands_of(entry, facts, prebuilt)


def _print_commands_of(entry: Entry, facts: Mapping[str, Any], prebuilt: bool) -> None:
    system = entry.system
    print(f"# {entry.name}: {system.title} on {entry.title}; figures of {system.source}")
    if system.quantization:
        print(f"# impacts: {system.quantization} ({system.quantization_source})")
    for each in dict.fromkeys((entry.note, system.note, *facts["notes"])):
        if each:
            print(f"# {as_flags(each)}")
    print(f"\n# all at once\nsplade-lucene reproduce {entry.name}{' --prebuilt' if prebuilt else ''}\n\n# step by step")
    print("\n".join(facts["splade-lucene"]))
    for name in ("Anserini", "Pyserini"):
        if commands := facts[name.lower()]:
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
    echo(f"{counted(len(plans), 'entry')} fit together")


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
