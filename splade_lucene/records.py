"""What flows between the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from splade_lucene.errors import QueryError

Vector = Mapping[str, int]
"""A quantized sparse vector: term → impact, each impact at least 1."""


def well_formed(text: str) -> str:
    """The text with halves of surrogate pairs, which JSON can write but no file can hold, replaced by U+FFFD."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be encoded.

    Attributes:
        docid: External id: not empty, without white space, unique in its corpus.
        text: What is encoded and stored: the title, if there is one, a space, and the body.
    """

    docid: str
    text: str


@dataclass(frozen=True, slots=True)
class PseudoDocument:
    """An encoded document as Anserini's JsonVectorCollection holds it.

    Attributes:
        docid: External id.
        contents: The text, or an empty string.
        vector: Term → impact.
    """

    docid: str
    contents: str
    vector: Vector


_MOST = 1e6


@dataclass(frozen=True, slots=True)
class Turn:
    """One text of a query that is the sum of several, such as the turns of a conversation.

    Attributes:
        text: The text.
        factor: What its weights are multiplied with, above 0.
    """

    text: str
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise QueryError(f"a turn's text must be a string, got {self.text!r:.60}")
        if not isinstance(self.factor, int | float) or not 0 < self.factor <= _MOST:
            raise QueryError(f"a turn's factor must be a number above 0 and at most {_MOST:g}, got {self.factor!r:.60}")


@dataclass(frozen=True, slots=True)
class Query:
    """A query as text, as a sum of texts, or already encoded.

    Attributes:
        qid: Query id: not empty, without white space, unique in its topics.
        text: The text; empty if the query came encoded.
        vector: Term → impact where the query came encoded, else None.
        turns: The texts that are added up, each times its factor; empty for a query of one text.
    """

    qid: str
    text: str
    vector: Vector | None = None
    turns: tuple[Turn, ...] = ()

    @property
    def content(self) -> str | tuple[Turn, ...] | Vector:
        """What a searcher takes: the vector, the turns, or the text."""
        return self.vector if self.vector is not None else self.turns or self.text


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one term adds to a document's score: ``query_impact * document_impact``."""

    term: str
    query_impact: int
    document_impact: int

    @property
    def product(self) -> int:
        """The part of the score that is this term's."""
        return self.query_impact * self.document_impact
