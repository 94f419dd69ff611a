"""The table of rules for pseudo-documents: what cannot be indexed, and how it is reported, in Python and in Java alike.

If a line has several problems, the first in this order is reported: text that is not UTF-8, JSON, keys, the id, the vector and
its terms in their order, the contents, the fields. ``docs/formats.md`` documents the accepted format.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from splade_lucene.errors import PseudoDocumentError
from splade_lucene.records import well_formed

SKIP = "or pass skip_bad=True to skip such documents"

PROBLEMS: dict[str, tuple[str, str]] = {
    "not-utf8": ("the text is not UTF-8 ({detail})", f"Convert the file to UTF-8, {SKIP}"),
    "broken-json": ("the line is not a single JSON object ({detail})", f"Write one document per line, {SKIP}"),
    "repeated-key": ("duplicate key {detail!r} in the object", f"Remove one of them, {SKIP}"),
    "no-id": ('the document has no "id"', f"Give each document a unique id, {SKIP}"),
    "not-an-id": ("the id is {detail}, not a string or an integer", f"Change it, {SKIP}"),
    "bad-id": ("the id {detail!r} contains white space or control characters", f"Change it, {SKIP}"),
    "long-id": ("the id {detail!r} is longer than 32,766 bytes, Lucene's limit", f"Shorten it, {SKIP}"),
    "duplicate-id": ("duplicate id {detail!r}{first}", f"Make all ids unique, {SKIP}"),
    "no-vector": ('document {detail!r} has no "vector"', f"Encode it with 'splade-lucene encode', {SKIP}"),
    "dense-vector": ('"vector" is {detail}, not an object that maps terms to impacts', f"Use sparse vectors, {SKIP}"),
    "empty-vector": ("document {detail!r} has an empty vector, so no query can find it", f"Give it terms, {SKIP}"),
    "not-a-term": ("{detail} is not a term, because it is not a string", "Use strings as terms"),
    "empty-term": ("a term is the empty string", f"Remove it, {SKIP}"),
    "long-term": ("the term {detail!r} is longer than 255 characters, Anserini's limit", f"Shorten it, {SKIP}"),
    "white-space": ("the term {detail!r} contains white space, at which Anserini splits", f"Escape it, {SKIP}"),
    "float-impact": ("impact {detail} is not an integer", f"Quantize first, for example round(100 * weight), {SKIP}"),
    "not-a-number": ("impact {detail} is not a number", f"Write integers of at least 1, {SKIP}"),
    "not-positive": ("impact {detail} is below 1", f"Remove terms without impact, {SKIP}"),
    "huge-impact": ("impact {detail} is above 2147483647", f"Quantize with a smaller scale, {SKIP}"),
    "repeated-term": ("duplicate term {detail!r} in the vector", f"Add up its impacts, {SKIP}"),
    "huge-total": ("the document's impacts sum to over 2147483647", f"Quantize with a smaller scale, {SKIP}"),
    "bad-field": ("the field {detail}", f"Correct the value, leave it out, or declare another type, {SKIP}"),
}
"""Kind of problem → message and remedy. ``{detail}`` is the offending value, ``{first}`` is :attr:`Problem.first`."""


@dataclass(frozen=True)
class Problem:
    """A document that cannot be indexed, and why.

    Attributes:
        kind: A key of :data:`PROBLEMS`.
        detail: The offending value.
        path: Its file.
        line: Its line, from 1.
        first: For a duplicate id, where it was first used, as ``, first used at path:line``; else empty.
    """

    kind: str
    detail: str
    path: Path
    line: int
    first: str = ""

    @property
    def message(self) -> str:
        """The message, without place and remedy."""
        return message(self.kind, self.detail, self.first)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"

    def error(self) -> PseudoDocumentError:
        """The problem as an error to raise."""
        return PseudoDocumentError(self.message, path=self.path, line=self.line, remedy=PROBLEMS[self.kind][1])


def message(kind: str, detail: str, first: str = "") -> str:
    """The message of a problem; it can be printed, whatever the offending value has."""
    return PROBLEMS[kind][0].format(detail=well_formed(detail), first=first)


class BadDocumentError(Exception):
    """A document has a problem; the caller knows its place.

    Args:
        kind: A key of :data:`PROBLEMS`.
        detail: The offending value, shortened for a message.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail
