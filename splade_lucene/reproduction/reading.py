"""Reads the catalogue from TOML files, checking keys and types."""

from __future__ import annotations

import difflib
import logging
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from splade_lucene.errors import CatalogueError
from splade_lucene.files.typed_data import WrongDataError, make
from splade_lucene.reproduction.entries import Collection, Entry
from splade_lucene.reproduction.groups import Group

CATALOGUE = Path(__file__).parent / "catalogue"

T = TypeVar("T")
_log = logging.getLogger(__name__)


def read_catalogue(folders: Iterable[str | Path] = ()) -> dict[str, Entry]:
    """Reads all entries: those of this package, and those of additional folders, which override them.

    Args:
        folders: Additional folders of ``.toml`` files.

    Returns:
        Entries by name, sorted.

    Raises:
        CatalogueError: A folder or file cannot be read, or has unknown keys or wrong values; the message names file and key.
    """
    entries = dict(_read_own())
    for folder in folders:
        found = _read_folder(Path(folder))
        if replaced := sorted(found.keys() & entries.keys()):
            _log.warning("%s: overriding existing entries: %s", folder, ", ".join(replaced))
        entries |= found
    return dict(sorted(entries.items()))


def read_groups(folders: Iterable[str | Path] = ()) -> dict[str, Group]:
    """Reads all groups of entries: those of this package, and those of additional folders, which override them.

    Args:
        folders: Additional folders of ``.toml`` files.

    Returns:
        Groups by name, sorted.

    Raises:
        CatalogueError: A file cannot be read, or has unknown keys or wrong values; the message names file and key.
    """
    found: dict[str, Group] = {}
    for folder in (CATALOGUE, *map(Path, folders)):
        for path in sorted(folder.glob("*.toml")):
            table = _load(path)
            if "groups" in table:
                found |= {each.name: each for each in _make(_Groups, table, path).groups}
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class _Groups:
    """The content of a file of groups."""

    groups: tuple[Group, ...]


@lru_cache
def _read_own() -> Mapping[str, Entry]:
    return _read_folder(CATALOGUE)


def _read_folder(folder: Path) -> dict[str, Entry]:
    if not folder.is_dir():
        raise CatalogueError("no such folder", path=folder, remedy="Give a folder of .toml files")
    found: dict[str, Entry] = {}
    paths = sorted(folder.glob("*.toml"))
    for path in paths:
        for entry in read_collection(path):
            if entry.name in found:
                raise CatalogueError(
                    f"duplicate entry {entry.name}, also defined in {found[entry.name].path.name}", path=path,
                    remedy="Rename the system or the collection",
                )  # fmt: skip
            found[entry.name] = entry
    if not paths:
        raise CatalogueError("no .toml file in this folder", path=folder, remedy="Check the path")
    return found


def find_entry(name: str, entries: Mapping[str, T]) -> T:
    """Looks up an entry by name; or a group, in a mapping that has groups too.

    Raises:
        CatalogueError: The name is unknown; the message suggests similar names.
    """
    if name in entries:
        return entries[name]
    same = [each for each in entries if each.startswith(f"{name}.")]
    near = same or difflib.get_close_matches(name, entries, n=5, cutoff=0.5)
    hint = f"Did you mean {', '.join(near)}? " if near else ""
    raise CatalogueError(f"unknown entry {name!r}", remedy=f"{hint}See the catalogue for all names")


def read_collection(path: Path) -> list[Entry]:
    """Reads the entries of one file; none if it has groups.

    Raises:
        CatalogueError: The file cannot be read, or has unknown keys or wrong values; the message names the key.
    """
    table = _load(path)
    if "groups" in table:
        return []
    made = _make(Collection, table, path)
    return [
        Entry(
            made.name, made.title, system.documents or made.documents, made.judged, made.qrels, system, path, made.note
        )
        for system in made.systems
    ]  # fmt: skip


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except (OSError, ValueError, RecursionError) as error:
        raise CatalogueError(f"invalid TOML ({error})", path=path, remedy="Fix the file") from error


def _make(kind: type[T], table: dict[str, Any], path: Path) -> T:
    try:
        return make(kind, table)
    except WrongDataError as error:
        raise CatalogueError(str(error), path=path, remedy=error.remedy) from None
