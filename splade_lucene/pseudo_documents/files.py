"""The files of a collection of pseudo-documents, and their lines.

A collection is a ``.jsonl`` file with one object per line; a ``.json`` file in any of Anserini's three forms (lines, an array
of objects, or an object over several lines); or a folder of such files. Each may be compressed: ``.gz``, ``.bz2``, ``.xz``,
``.zst`` or ``.zip``. Java reads lines, plain or gzipped; ``lines_for_java`` prepares the other files for it.
"""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from splade_lucene.errors import PseudoDocumentError, system_reason
from splade_lucene.files.compression import check_readable, content_name, open_bytes
from splade_lucene.files.files import numbered_lines, storage_error
from splade_lucene.files.folders import check_chosen, files_with, select_collection, visible_files
from splade_lucene.files.json_text import has_record_lines, numbered_records
from splade_lucene.files.remote import is_url
from splade_lucene.manifest import MANIFEST_SUFFIX

_JSON = ".json"
_SUFFIXES = (".jsonl", _JSON)


def find_files(source: Path, without: Path | None = None) -> list[Path]:
    """Lists the files of a collection: the given file, or those below a folder, sorted by name.

    Args:
        source: File or folder.
        without: An absolute folder whose files are ignored; an index may be in the same folder as its input.

    Raises:
        PseudoDocumentError: The file or folder does not exist, or the folder is not one collection.
    """
    if source.is_dir():
        visible = [
            path
            for path in visible_files(source, PseudoDocumentError)
            if not (path.name.endswith(MANIFEST_SUFFIX) or (without and path.resolve().is_relative_to(without)))
        ]
        files = select_collection(source, files_with(visible, _SUFFIXES, PseudoDocumentError), PseudoDocumentError)
        remedy = "Use the output folder of 'splade-lucene encode'"
        check_chosen(source, files, visible, _SUFFIXES, PseudoDocumentError, remedy)
        return files
    if not source.exists():
        remedy = "Only index and build read URLs: copy it to a folder first" if is_url(source) else "Check the path"
        raise PseudoDocumentError("no such file or folder", path=source, remedy=remedy)
    check_readable(source, PseudoDocumentError)
    return [source]


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The documents of a file as lines of JSON that are not blank, each with the number of its first line.

    Raises:
        PseudoDocumentError: The file cannot be read to its end.
    """
    try:
        is_json = content_name(path).lower().endswith(_JSON)
        with open_bytes(path) as file:
            yield from numbered_records(file) if is_json else numbered_lines(file)
    except ValueError as error:
        raise PseudoDocumentError(
            f"invalid JSON ({error})", path=path, line=getattr(error, "lineno", None),
            remedy="Write one object per line, or an array of objects",
        ) from error  # fmt: skip
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise unreadable(path, "it is not a whole gzip file") from error
    except OSError as error:
        raise unreadable(path, system_reason(error)) from error


def unreadable(path: Path, reason: str) -> PseudoDocumentError:
    """The error to raise for a file that cannot be read to its end."""
    return PseudoDocumentError(f"cannot read this file ({reason})", path=path, remedy="Encode or download it again")


@dataclass(frozen=True)
class JavaFile:
    """A file that Java can read.

    Attributes:
        path: The file, or a copy of it in lines.
        source: The file.
        numbers: The line in the file of each line of the copy; None if there is no copy.
    """

    path: Path
    source: Path
    numbers: Sequence[int] | None = None

    def line(self, number: int) -> int:
        """The line in the file of a line that Java read, both from 1."""
        return number if self.numbers is None else self.numbers[number - 1]


@contextmanager
def lines_for_java(files: Sequence[Path], beside: Path) -> Iterator[list[JavaFile]]:
    """Copies files that are not JSON lines, or not compressed by gzip, for the duration of the block.

    Args:
        files: The files of a collection.
        beside: A path; the copies are next to it.

    Raises:
        PseudoDocumentError: A file cannot be read.
        StorageError: The disk has no space for a copy.
    """
    others = [path for path in files if not _is_for_java(path)]
    if not others:
        yield [JavaFile(path, path) for path in files]
        return
    with tempfile.TemporaryDirectory(prefix=f".{beside.name}.lines-", dir=beside.parent) as folder:
        copies = {path: _copy(path, Path(folder) / f"{number}.jsonl") for number, path in enumerate(others)}
        yield [copies.get(path) or JavaFile(path, path) for path in files]


def _is_for_java(path: Path) -> bool:
    try:
        if content_name(path) not in (path.name, path.name.removesuffix(".gz")):
            return False
        if not content_name(path).lower().endswith(_JSON):
            return True
        with open_bytes(path) as file:
            return has_record_lines(file)
    except (OSError, EOFError, zlib.error):
        return path.suffix in (_JSON, ".gz")  # Java says what is wrong


def _copy(path: Path, copy: Path) -> JavaFile:
    numbers = []
    try:
        with copy.open("wb") as file:
            for number, line in read_lines(path):
                file.write(line if line.endswith(b"\n") else line + b"\n")
                numbers.append(number)
    except OSError as error:
        raise storage_error(copy, error) from error
    return JavaFile(copy, path, numbers)
