"""The files of a source, and the records in those of JSON."""

from __future__ import annotations

import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splade_lucene.engines.export_manifest import MANIFEST, read_export
from splade_lucene.errors import PseudoDocumentError, system_reason
from splade_lucene.files.compression import check_readable, open_bytes
from splade_lucene.files.folders import check_chosen, files_with, visible_files
from splade_lucene.files.json_text import numbered_records, parse_json

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


def source_files(source: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """A file, or the files of a folder with some suffixes, sorted by name.

    Raises:
        PseudoDocumentError: There is none.
    """
    if (source / MANIFEST).is_file():  # an export, which also has a schema, queries and the like
        pieces = [source / piece.name for piece in read_export(source).pieces]
        if files := pieces or sorted(path for path in source.iterdir() if path.name.endswith(suffixes)):
            return files
    if source.is_dir():
        visible = visible_files(source, PseudoDocumentError)
        files = files_with(visible, suffixes, PseudoDocumentError)
        check_chosen(
            source, files, visible, suffixes, PseudoDocumentError, "Check the path, and what it was exported as"
        )
        return files
    if not source.exists():
        raise PseudoDocumentError("no such file or folder", path=source, remedy="Check the path")
    check_readable(source, PseudoDocumentError)
    return [source]


def json_values(path: Path) -> Iterator[tuple[int, Any]]:
    """The values of a file, one per line, in an array, or over several lines, each with the number of its first line.

    In place of a value that is not JSON, there is the error to raise for it.

    Raises:
        PseudoDocumentError: The file cannot be read to its end.
    """
    try:
        with open_bytes(path) as file:
            for number, record in numbered_records(file):
                try:
                    yield number, parse_json(record.removeprefix(BOM_UTF8))
                except ValueError as error:
                    yield number, wrong(f"invalid JSON ({error})", path, number)
    except json.JSONDecodeError as error:
        raise wrong(f"invalid JSON ({error})", path, error.lineno) from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise unreadable(path, error) from error


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | PseudoDocumentError]]:
    """The same for a file of objects.

    Raises:
        PseudoDocumentError: The file cannot be read to its end.
    """
    for number, value in json_values(path):
        is_known = isinstance(value, dict | PseudoDocumentError)
        yield number, value if is_known else wrong("not a JSON object", path, number)


def wrong(
    what: str, path: Path, line: int | None, remedy: str = "Correct it, or export it again"
) -> PseudoDocumentError:
    """The error for a record that is not as it should be."""
    return PseudoDocumentError(what, path=path, line=line, remedy=remedy)


def unreadable(path: Path, error: Exception) -> PseudoDocumentError:
    """The error for a file that cannot be read to its end."""
    return PseudoDocumentError(
        f"cannot read this file ({system_reason(error)})", path=path, remedy="Export or download it again"
    )


def member(record: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The first of some members that has a value; None if none has one."""
    return next((record[key] for key in keys if record.get(key) is not None), None)
