"""Which files of a folder are one collection, of documents or pseudo-documents.

A collection is never a mixture: among other files, it is recognized by its name (BEIR's
``corpus.jsonl``, MS MARCO's ``collection.tsv``, a hub data set's folder ``corpus``); otherwise, reading the folder is an error.
A note names the skipped files. Hidden files and folders (``.DS_Store``, ``._part.jsonl``, ``__MACOSX``) are ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal

from splade_lucene.errors import InputError
from splade_lucene.files.compression import check_readable, compression, content_name
from splade_lucene.notes import note

_COLLECTION = re.compile(r"(corpus|collection)(?![a-z])", re.IGNORECASE)
_OTHER_ROLE = re.compile(
    r"(?<![a-z])(quer(y|ies)|topics|qrels?|judge?ments?|(qidpid)?triples)(?![a-z])|^(runs?|top\d+)(?![a-z])",
    re.IGNORECASE,
)
_ROLES = {
    "queries": re.compile(r"(?<![a-z])(quer(y|ies)|topics)(?![a-z])", re.IGNORECASE),
    "qrels": re.compile(r"(?<![a-z])(qrels?|judge?ments?)(?![a-z])", re.IGNORECASE),
}
_BEIR_FILES = {"queries": "queries.jsonl", "qrels": "qrels/test.tsv"}  # in BEIR's folders
_SHOWN = 10


def visible_files(folder: Path, error: type[InputError]) -> list[Path]:
    """All files below a folder, sorted by path, without hidden ones and Lucene indexes; links to folders are followed.

    Raises:
        InputError: A folder below it cannot be listed; of the given class.
    """

    def refuse(problem: OSError) -> None:
        raise error(
            f"cannot list this folder ({problem.strerror})", path=problem.filename, remedy="Check its permissions"
        )

    found: list[Path] = []
    seen: set[str] = set()
    for current, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(current)
        is_data = real not in seen and not any(name.startswith("segments_") for name in names)
        folders[:] = [name for name in folders if is_data and not _is_hidden(name)]
        found += [Path(current) / name for name in names if is_data and not _is_hidden(name)]
        seen.add(real)
    return sorted(found)


def files_with(files: Iterable[Path], suffixes: tuple[str, ...], error: type[InputError]) -> list[Path]:
    """The files whose names end in one of the suffixes once they are decompressed.

    Raises:
        InputError: A file has such a name, but its compression cannot be read; of the given class.
    """
    chosen = []
    for path in files:
        if path.stem.lower().endswith(suffixes):
            check_readable(path, error)
        try:
            is_data = content_name(path).lower().endswith(suffixes)
        except OSError as problem:
            if not path.stem.lower().endswith(suffixes):  # an archive of other files
                continue
            raise error(f"cannot read this file ({problem})", path=path, remedy="Unpack it") from problem
        if is_data:
            chosen.append(path)
    return chosen


def select_collection(folder: Path, files: Sequence[Path], error: type[InputError]) -> list[Path]:
    """The files that are the collection, judged by their names.

    Args:
        folder: The folder.
        files: Its files of the right formats.
        error: The class of the error to raise.

    Raises:
        InputError: There are several collections, or other files beside the collection that have no name of its own.
    """
    named = _named_collection(folder, files, error)
    if named:
        return named
    others = [path for path in files if _has_other_role(path.relative_to(folder))]
    if others:
        rest = [path for path in files if path not in others]
        beside = f" beside {_some(folder, rest)}" if rest else ""
        raise error(
            f"this folder also holds queries, judgments or the like{beside}: {_some(folder, others)}"
            if rest
            else f"this folder holds no collection, but {_some(folder, others)}",
            path=folder, remedy="Name the file or folder of the collection",
        )  # fmt: skip
    return list(files)


def select_only_file(folder: Path, role: Literal["queries", "qrels"], error: type[InputError]) -> Path:
    """The only file of queries or judgments in a folder; of several, the one of just this name, as in BEIR's folders.

    Raises:
        InputError: There is none, or there are several; of the given class.
    """
    files = [
        path for path in visible_files(folder, error) if _ROLES[role].search(path.relative_to(folder.parent).as_posix())
    ]
    whole = [path for path in files if path.parent == folder and _stem(path) == role]
    chosen = whole or files
    if not chosen:
        raise error(
            f"no such file, and this folder has no other file of {role}", path=folder / _BEIR_FILES[role],
            remedy="Name the file",
        )  # fmt: skip
    if len(chosen) > 1:
        raise error(
            f"this folder has several files of {role}: {_some(folder, chosen)}", path=folder, remedy="Name one of them"
        )
    note_passed_over(folder, chosen, files)
    return chosen[0]


def check_chosen(
    folder: Path, chosen: Collection[Path], files: Iterable[Path], suffixes: Sequence[str], error: type[InputError],
    remedy: str = "Check the path",
) -> None:  # fmt: skip
    """Checks that files of these suffixes were chosen from a folder, and notes which others are skipped.

    Raises:
        InputError: There are none; of the given class.
    """
    if not chosen:
        named = " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))
        raise error(f"no {named} file in this folder", path=folder, remedy=remedy)
    note_passed_over(folder, chosen, files)


def note_passed_over(folder: Path, chosen: Collection[Path], files: Iterable[Path]) -> None:
    """Notes which of a folder's files are not part of the collection."""
    others = [path for path in files if path not in chosen]
    if others:
        note(f"{folder}: reading {_some(folder, sorted(chosen))}; skipping {_some(folder, others)}")


def several_formats(folder: Path, groups: Iterable[Sequence[Path]], error: type[InputError]) -> InputError:
    """The error to raise for a folder that mixes formats."""
    shown = ", ".join(_some(folder, group[:2]) for group in groups)
    return error(
        f"this folder mixes files of several formats, so that they cannot be one collection: {shown}", path=folder,
        remedy="Name the file or folder of the collection, or move the others elsewhere",
    )  # fmt: skip


def _named_collection(folder: Path, files: Sequence[Path], error: type[InputError]) -> list[Path]:
    """The files whose name says that they are the collection: a file of just this name, or a folder, or several files."""
    candidates = [
        path
        for path in files
        if _COLLECTION.match(path.relative_to(folder).parts[0]) and not _has_other_role(path.relative_to(folder))
    ]
    whole = [path for path in candidates if path.parent == folder and _stem(path) in ("corpus", "collection")]
    if len({content_name(path) for path in whole}) > 1:
        raise several_formats(folder, [[path] for path in whole], error)
    if whole:
        return [min(whole, key=lambda path: len(path.name))]  # the uncompressed one
    tops = {path.relative_to(folder).parts[0] for path in candidates if path.parent != folder}
    for top in ("corpus", "collection"):
        if top in tops:
            return [path for path in candidates if path.relative_to(folder).parts[0] == top]
    return candidates


def _stem(path: Path) -> str:
    return path.with_suffix("").stem if compression(path) else path.stem


def _has_other_role(relative: Path) -> bool:
    return any(_OTHER_ROLE.search(part) for part in relative.parts)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _some(folder: Path, files: Sequence[Path]) -> str:
    names = [path.relative_to(folder).as_posix() for path in files[:_SHOWN]]
    return ", ".join(names) + (f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else "")
