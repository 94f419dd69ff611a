"""Reads the catalogue from TOML files, checking keys and types."""

from __future__ import annotations

import difflib
import logging
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from splade_lucene.errors import CatalogueError
from splade_lucene.reproduction.entries import Collection, Entry

CATALOGUE = Path(__file__).parent / "catalogue"

_T = TypeVar("_T")
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


@lru_cache
def _read_own() -> Mapping[str, Entry]:
    return _read_folder(CATALOGUE)


def _read_folder(folder: Path) -> dict[str, Entry]:
    if not folder.is_dir():
        raise CatalogueError("no such folder", path=folder, remedy="Give a folder of .toml files")
    found: dict[str, Entry] = {}
    for path in sorted(folder.glob("*.toml")):
        for entry in read_collection(path):
            if entry.name in found:
                raise CatalogueError(
                    f"duplicate entry {entry.name}, also defined in {found[entry.name].path.name}", path=path,
                    remedy="Rename the system or the collection",
                )  # fmt: skip
            found[entry.name] = entry
    if not found:
        raise CatalogueError("no .toml file in this folder", path=folder, remedy="Check the path")
    return found


def find_entry(name: str, entries: Mapping[str, Entry]) -> Entry:
    """Looks up an entry by name.

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
    """Reads the entries of one file.

    Raises:
        CatalogueError: The file cannot be read, or has unknown keys or wrong values; the message names the key.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(f"invalid TOML ({error})", path=path, remedy="Fix the file") from error
    made = _make(Collection, table, "", path)
    return [
        Entry(
            made.name, made.title, system.documents or made.documents, made.judged, made.qrels, system, path, made.note
        )
        for system in made.systems
    ]  # fmt: skip


def _make(kind: type[_T], table: Any, where: str, path: Path) -> _T:
    """Builds a dataclass from a table whose keys are its fields."""
    if not isinstance(table, dict):
        raise CatalogueError(f"{where or 'the file'} is not a table", path=path, remedy="See the format of an entry")
    hints, prefix = get_type_hints(kind), f"{where}." if where else ""
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(known)}"
            raise CatalogueError(f"unknown key {prefix}{key}", path=path, remedy=hint)
    values = {}
    for key, each in known.items():
        if key in table:
            values[key] = _value(hints[key], table[key], prefix + key, path)
        elif each.default is MISSING:
            raise CatalogueError(f"the key {prefix}{key} is missing", path=path, remedy="Add it")
    return kind(**values)


def _value(hint: Any, value: Any, where: str, path: Path) -> Any:
    if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        return _make(hint, value, where, path)
    arguments = [each for each in get_args(hint) if each is not type(None)]
    if type(None) in get_args(hint):
        return _value(arguments[0], value, where, path)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise CatalogueError(f"{where} is not a list of tables", path=path, remedy=f"Write [[{where}]]")
        return tuple(_value(arguments[0], each, f"{where}[{number}]", path) for number, each in enumerate(value))
    if get_origin(hint) is Literal:
        if value in arguments:
            return value
        raise CatalogueError(
            f"invalid value {value!r} for {where}", path=path, remedy=f"Choose one of: {', '.join(arguments)}"
        )
    if get_origin(hint) is not None:  # a table of numbers
        if not isinstance(value, dict):
            raise CatalogueError(f"{where} is not a table", path=path, remedy='Write "measure" = figure')
        return {key: _value(arguments[1], each, f"{where}.{key}", path) for key, each in value.items()}
    fits = isinstance(value, hint) or (hint is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and hint is not bool):
        raise CatalogueError(
            f"invalid value {value!r} for {where}", path=path, remedy=f"Write a value of type {hint.__name__}"
        )
    return hint(value)
