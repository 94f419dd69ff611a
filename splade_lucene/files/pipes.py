"""Input from pipes: standard input, FIFOs and bash's ``<(…)``, which can be read only once.

Commands read some inputs several times, so they work on a copy of a pipe. The format is detected from the contents and
becomes the suffix of the copy.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from splade_lucene.errors import InputError, system_reason
from splade_lucene.files.compression import open_bytes
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.outputs import is_stream

STANDARD_INPUT = "-"

_COMPRESSIONS = {
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\0": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
    b"PK\x03\x04": ".zip",
}
_EXAMINED = 1 << 20

_original_names: dict[str, str] = {}
"""Paths of copies → what messages call the pipes."""


def is_pipe(source: str) -> bool:
    """Whether a source is ``-``, or a path that is not a regular file or folder."""
    try:
        return source == STANDARD_INPUT or is_stream(Path(source))
    except (OSError, ValueError):  # too long for a path, or with a null character: no file
        return False


def copy_pipe(source: str, folder: Path) -> Path:
    """Copies all that a pipe contains to a file in a folder.

    Args:
        source: ``-`` for standard input, or a path.
        folder: An empty folder.

    Raises:
        InputError: The pipe cannot be read, or the copy cannot be written.
    """
    given = "standard input" if source == STANDARD_INPUT else source
    copy = folder / ("stdin" if source == STANDARD_INPUT else Path(source).name)
    try:
        with _opened(source) as pipe, copy.open("xb") as file:
            shutil.copyfileobj(pipe, file, _EXAMINED)
    except OSError as error:
        raise InputError(
            f"cannot copy this to {folder} ({system_reason(error)})", path=given,
            remedy="Check the pipe and the free disk space, or set TMPDIR to another folder for the copy",
        ) from error  # fmt: skip
    for suffix in (_compression_of, _format_of):
        copy = copy.rename(_inserted(copy, suffix(copy)))
    _original_names[str(copy)] = given
    return copy


@contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    if source != STANDARD_INPUT:
        with Path(source).open("rb") as pipe:
            yield pipe
    elif sys.stdin is None:
        raise OSError("it is closed")
    else:
        yield cast(BinaryIO, sys.stdin.buffer)


def original_name(source: str | Path) -> str:
    """What the user called a source: itself, unless it is the copy of a pipe."""
    return _original_names.get(str(source), str(source))


def is_copy(source: str | Path) -> bool:
    """Whether a source is the copy of a pipe."""
    return str(source) in _original_names


def with_original_names(text: str) -> str:
    """A text in which pipes stand in place of the paths of their copies."""
    for copy, name in _original_names.items():
        text = text.replace(copy, name)
    return text


def _inserted(path: Path, suffix: str) -> Path:
    """A path with a suffix for its contents before that of its compression."""
    if path.suffix in _COMPRESSIONS.values():
        return path.with_name(f"{path.stem}{suffix}{path.suffix}")
    return path.with_name(path.name + suffix)


def _compression_of(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    return next((suffix for magic, suffix in _COMPRESSIONS.items() if start.startswith(magic)), "")


def _format_of(path: Path) -> str:
    """The suffix for the contents of a file: ``.parquet``, ``.jsonl``, ``.json``, ``.csv`` or else ``.tsv``."""
    try:
        with open_bytes(path) as file:
            start = file.read(_EXAMINED)
    except (OSError, EOFError):
        return ".tsv"  # the reader will say what is wrong
    if start.startswith(b"PAR1"):
        return ".parquet"
    line = next((line for line in start.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()), b"").strip()
    if line.startswith((b"{", b"[")):
        return ".jsonl" if _is_object(line) else ".json"
    return ".csv" if b"," in line and b"\t" not in line and not line.startswith(b"<") else ".tsv"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False
