r"""Escapes text for terminals: control characters in texts, terms, docids and file names are shown, not interpreted.

They are written as in JSON, ``\u001b``. So are characters missing from the stream's encoding, and lone surrogates, such
as those of file names that are not UTF-8. JSON keeps its meaning.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from splade_lucene.files.pipes import with_original_names

_UNSAFE = re.compile(
    "[\0-\b\v-\x1f\x7f-\x9f"  # control characters, except tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the direction of text
    "\u2028\u2029\ud800-\udfff]"  # line and paragraph separators, unpaired surrogates
)


def show_safely(text: str, encoding: str = "utf-8") -> str:
    r"""Escapes what a terminal would obey or the encoding lacks.

    Example:
        >>> show_safely("caf\u00e9 \x1b[31m")
        'café \\u001b[31m'
        >>> show_safely("caf\u00e9", "ascii")
        'caf\\u00e9'
    """
    text = _UNSAFE.sub(_escape, text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_encodable(character, encoding) for character in text)
    return text


def _encodable(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        units = character.encode("utf-16-be")
        return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
    return character


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


class _Shown(io.TextIOBase):
    """A stream to which text is written safely."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """As of the stream; input() needs it to edit lines."""
        return self.stream.errors

    @property
    def buffer(self) -> Any:
        return self.stream.buffer

    def write(self, text: str) -> int:
        self.stream.write(show_safely(with_original_names(text), self.encoding))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Leaves the stream open; it is not ours."""


@contextmanager
def safe_output() -> Iterator[None]:
    """Makes standard output and standard error safe during the block."""
    with (
        redirect_stdout(cast(TextIO, _Shown(sys.stdout))),
        redirect_stderr(cast(TextIO, _Shown(sys.stderr))),
    ):
        yield


def raw_stderr() -> TextIO:
    """Standard error itself, for progress bars, which move the cursor."""
    return getattr(sys.stderr, "stream", sys.stderr)


def raw_stdout() -> TextIO:
    """Standard output itself, for text with styles whose parts have been made safe."""
    return getattr(sys.stdout, "stream", sys.stdout)
