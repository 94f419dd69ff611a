"""The records passed between the steps: documents, pseudo-documents, queries and term contributions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from splade_lucene.arguments import to_list
from splade_lucene.errors import InputError, QueryError
from splade_lucene.white_space import is_blank

Vector = Mapping[str, int]
"""A quantized sparse vector: term → impact, each impact at least 1."""

FieldValue = str | int | float | bool | list[str]
"""The value of a document's field: a keyword or several, a number, a date in ISO 8601, or a boolean."""


def well_formed(text: str) -> str:
    """Replaces unpaired surrogates, which JSON can express but UTF-8 cannot encode, by U+FFFD."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def list_texts(texts: Iterable[str]) -> list[str]:
    """All texts of an iterable, well-formed; an iterator is read to its end.

    Args:
        texts: A list, an array or column of strings, a generator, an open file …

    Raises:
        InputError: It is a single text, a mapping or a table, whose elements are not the texts, or contains something
            other than strings.
    """
    if isinstance(texts, Mapping):
        raise InputError(f"expected several texts, got a {type(texts).__name__}", remedy="Pass its texts as a list")
    listed = to_list(texts, "texts")
    for text in listed:
        if not isinstance(text, str):
            raise InputError(f"a text must be a string, got {text!r:.60}")
    return [well_formed(text) for text in listed]


@dataclass(frozen=True, slots=True)
class Document:
    """A document to encode.

    Attributes:
        docid: External id: not empty, without white space, unique in its corpus.
        text: The text to encode and store: the title and a space, if there is a title, and the body.
        fields: The values of its fields, by name; see :mod:`splade_lucene.fields`.
    """

    docid: str
    text: str
    fields: Mapping[str, FieldValue] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PseudoDocument:
    """An encoded document, as in Anserini's JsonVectorCollection.

    Attributes:
        docid: External id.
        contents: The text, which may be empty; None if there is none.
        vector: Term → impact.
        fields: The values of its fields, by name; see :mod:`splade_lucene.fields`.
    """

    docid: str
    contents: str | None
    vector: Vector
    fields: Mapping[str, FieldValue] = field(default_factory=dict)


_MAX_FACTOR = 1e6


@dataclass(frozen=True, slots=True)
class Turn:
    """One of several texts whose weights are added to form a query, such as a turn of a conversation.

    Attributes:
        text: The text.
        factor: Factor by which its weights are multiplied, above 0 and at most a million.
    """

    text: str
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise QueryError(f"a turn's text must be a string, got {self.text!r:.60}")
        if not isinstance(self.factor, int | float) or not 0 < self.factor <= _MAX_FACTOR:
            raise QueryError(
                f"a turn's factor must be a number above 0 and at most {_MAX_FACTOR:g}, got {self.factor!r:.60}"
            )


@dataclass(frozen=True, slots=True)
class Query:
    """A query: a text, a weighted sum of texts, or a vector.

    Attributes:
        qid: Query id: not empty, without white space, unique in its topics.
        text: The text; may be empty if the query is already encoded.
        vector: Term → impact if the query is already encoded, else None.
        turns: The texts whose weights are added, with their factors; empty for a query of one text.
    """

    qid: str
    text: str
    vector: Vector | None = None
    turns: tuple[Turn, ...] = ()

    @property
    def content(self) -> str | tuple[Turn, ...] | Vector:
        """The vector, the turns or the text: the form in which a searcher takes the query."""
        return self.vector if self.vector is not None else self.turns or self.text

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing to search for: a blank text, blank turns, or a vector without a positive impact."""
        if self.vector is not None:
            return not any(impact > 0 for impact in self.vector.values())
        return all(is_blank(turn.text) for turn in self.turns) if self.turns else is_blank(self.text)


@dataclass(frozen=True, slots=True)
class Contribution:
    """The contribution of one term to a document's score: ``query_impact * document_impact``."""

    term: str
    query_impact: int
    document_impact: int

    @property
    def product(self) -> int:
        """The term's share of the score."""
        return self.query_impact * self.document_impact


def shared_terms(query: Vector, impacts: Mapping[str, int]) -> list[Contribution]:
    """The contributions of the terms that a query shares with a document, largest first, equal ones by their terms.

    Args:
        query: The query.
        impacts: Term → impact in the document; terms of impact 0 are not in it.
    """
    shared = [Contribution(term, query[term], impact) for term, impact in impacts.items() if impact]
    return sorted(shared, key=lambda each: (-each.product, each.term))
