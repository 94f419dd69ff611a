"""Search results: hits stored as columns and turned into objects on demand, with a profile of the search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from numbers import Integral
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import InputError, QueryError
from splade_lucene.files.json_text import parse_json
from splade_lucene.records import FieldValue


@dataclass(frozen=True, slots=True)
class SearchProfile:
    """The profile of one query's search. Times are in milliseconds.

    Attributes:
        blockmax: Segments searched with block-max pruning.
        maxscore: Segments searched with MaxScore: all postings of the most important terms were scored, those of other
            terms only where they could matter.
        taat: Segments searched exhaustively, term at a time.
        streamed: Segments whose postings were streamed from Lucene, because they were too long or too large for the other
            engines.
        postings: Number of postings of the query's terms.
        postings_scored: Number of postings that were scored.
        blocks: Number of blocks of 64 documents whose bounds were computed; 0 if no bounds were needed.
        blocks_scored: Number of blocks whose documents were scored.
        lookup: Time for looking up the terms' postings and decoding those that were not cached.
        bounds: Time for computing the blocks' bounds.
        probes: Time for scoring the most promising blocks.
        scoring: Time for scoring the rest.
        total: Total time, without the Python side.
    """

    blockmax: int
    maxscore: int
    taat: int
    streamed: int
    postings: int
    postings_scored: int
    blocks: int
    blocks_scored: int
    lookup: float
    bounds: float
    probes: float
    scoring: float
    total: float

    @property
    def engine(self) -> str:
        """The engines used, joined by ``+``; ``none`` for an empty index."""
        return "+".join(name for name in ("blockmax", "maxscore", "taat", "streamed") if getattr(self, name)) or "none"


class StoredFields(Protocol):
    """An open index, from which the stored field ``raw`` of documents is read."""

    def raw(self, lucene_docids: Iterable[int]) -> list[str | None]:
        """The stored field of each document; None for documents without it."""
        ...

    def field_values(
        self, lucene_docids: Iterable[int], names: Iterable[str] | None = None
    ) -> list[dict[str, FieldValue]]:
        """The values of each document's fields, by name; those of some fields, or of all."""
        ...

    def keyword_counts(self, lucene_docids: Iterable[int], name: str) -> dict[str, int]:
        """In how many of the documents each keyword of a field occurs."""
        ...


class StoredDocument:
    """A stored document, with the methods of Pyserini's ``Document`` except for access to Lucene's own object."""

    __slots__ = ("_docid", "_lucene_docid", "_raw")

    def __init__(self, docid: str, lucene_docid: int, raw: str | None) -> None:
        self._docid, self._lucene_docid, self._raw = docid, lucene_docid, raw

    def docid(self) -> str:
        """External id."""
        return self._docid

    def id(self) -> str:
        """External id."""
        return self._docid

    def lucene_docid(self) -> int:
        """Lucene's internal id."""
        return self._lucene_docid

    def raw(self) -> str | None:
        """The stored JSON: ``{"id": …, "contents": …}``, or the whole input; None if the index does not store documents."""
        return self._raw

    def contents(self) -> str | None:
        """The text; None if the index does not store texts."""
        if self._raw is None:
            return None
        try:
            text = parse_json(self._raw, object_pairs_hook=dict).get("contents")
        except (ValueError, AttributeError):
            return self._raw  # not all indexes store JSON
        return text if isinstance(text, str) else None

    def get(self, field: str) -> str | None:
        """A stored field: ``id``, ``raw`` or ``contents``."""
        return {"id": self._docid, "raw": self._raw, "contents": self.contents()}.get(field)


class Documents(Protocol):
    """An open index, in which documents are looked up."""

    @property
    def max_doc(self) -> int:
        """One more than the largest lucene_docid."""
        ...

    def docid(self, lucene_docid: int) -> str:
        """The docid of a document."""
        ...

    def lucene_docid(self, docid: str) -> int:
        """The lucene_docid of a document."""
        ...

    def raw(self, lucene_docids: Iterable[int]) -> list[str | None]:
        """The stored field ``raw`` of each document."""
        ...


def find_document(index: Documents, docid: str | int) -> StoredDocument | None:
    """The stored document with a docid (str) or lucene_docid (int); None if there is none.

    Raises:
        QueryError: ``docid`` is neither a string nor an integer.
    """
    if isinstance(docid, Integral) and not isinstance(docid, bool):
        number = int(docid)
        if not 0 <= number < index.max_doc:
            return None
        return StoredDocument(index.docid(number), number, index.raw([number])[0])
    if not isinstance(docid, str):
        raise QueryError(f"expected a docid (a string) or a lucene_docid (an integer), got {docid!r}")
    try:
        number = index.lucene_docid(docid)
    except InputError:
        return None
    return StoredDocument(str(docid), number, index.raw([number])[0])


class _DetachedIndex:
    """Stands for the index of hits that were pickled: an open index stays in its process."""

    def raw(self, lucene_docids: Sequence[int]) -> list[str | None]:
        raise _detached_error(lucene_docids)

    def field_values(
        self,
        lucene_docids: Sequence[int],
        names: Iterable[str] | None = None,  # noqa: ARG002 - as of an index
    ) -> list[dict[str, FieldValue]]:
        raise _detached_error(lucene_docids)

    def keyword_counts(self, lucene_docids: Sequence[int], name: str) -> dict[str, int]:  # noqa: ARG002 - as of an index
        raise _detached_error(lucene_docids)


def _detached_error(lucene_docids: Sequence[int]) -> InputError:
    return InputError(
        f"the hit with lucene_docid {lucene_docids[0]} was pickled, so it is no longer connected to its index",
        remedy="Read stored values before pickling, or call doc(docid) of a searcher in this process",
    )


class Hit:
    """One document of a ranking. It unpacks into docid and score.

    Hits can be pickled and copied. A pickled one has its docid, score and lucene_docid, but not its stored document.

    Attributes:
        docid: External id.
        score: Score: for an impact index an integer stored as a float, as in Pyserini, so that one above 2⁵³ is rounded;
            ``scores`` of :class:`Hits` are exact. For BM25 in single precision.
        lucene_docid: Lucene's internal id.
    """

    __slots__ = ("_reader", "docid", "lucene_docid", "score")

    def __init__(self, docid: str, score: float, lucene_docid: int, reader: StoredFields) -> None:
        self.docid, self.score, self.lucene_docid, self._reader = docid, score, lucene_docid, reader

    @property
    def document(self) -> StoredDocument:
        """The stored document, read on each access."""
        return StoredDocument(self.docid, self.lucene_docid, self._reader.raw([self.lucene_docid])[0])

    @property
    def raw(self) -> str | None:
        """The stored field ``raw``, read on each access."""
        return self.document.raw()

    @property
    def contents(self) -> str | None:
        """The stored text, read on each access."""
        return self.document.contents()

    @property
    def fields(self) -> dict[str, FieldValue]:
        """The values of the document's fields by name, read on each access; see :mod:`splade_lucene.fields`."""
        return self._reader.field_values([self.lucene_docid])[0]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.docid, self.score))

    def __reduce__(self) -> tuple[Any, ...]:
        return Hit, (self.docid, self.score, self.lucene_docid, _DetachedIndex())

    def __copy__(self) -> Hit:
        return Hit(self.docid, self.score, self.lucene_docid, self._reader)

    def __deepcopy__(self, memo: dict[int, Any]) -> Hit:
        return self.__copy__()

    def __repr__(self) -> str:
        return f"Hit(docid={self.docid!r}, score={self.score}, lucene_docid={self.lucene_docid})"


class Hits(Sequence[Hit]):
    """A ranking, best hit first. Hit objects are created on demand; reading the columns is cheaper.

    Rankings are equal if they have the same docids and scores. They can be pickled and copied, like a :class:`Hit`.

    Attributes:
        docids: External ids, best first.
        scores: Scores, shape [hits]; int64, or float32 for BM25.
        lucene_docids: Internal ids, shape [hits], int32.
    """

    __slots__ = ("_profile", "_reader", "docids", "lucene_docids", "scores")

    def __init__(
        self, docids: list[str], scores: NDArray[Any], lucene_docids: NDArray[np.int32],
        reader: StoredFields, profile: tuple[int, ...] | None = None,
    ) -> None:  # fmt: skip
        self.docids, self.scores, self.lucene_docids, self._reader = docids, scores, lucene_docids, reader
        self._profile = profile

    @property
    def profile(self) -> SearchProfile | None:
        """The profile of the search; None if the hits do not come from one of our engines."""
        if self._profile is None:
            return None
        blockmax, maxscore, taat, streamed, postings, postings_scored, blocks, blocks_scored = self._profile[:8]
        lookup, bounds, probes, total = (nanoseconds / 1e6 for nanoseconds in self._profile[8:12])
        return SearchProfile(
            blockmax, maxscore, taat, streamed, postings, postings_scored, blocks, blocks_scored,
            lookup, bounds, probes, total - lookup - bounds - probes, total,
        )  # fmt: skip

    @property
    def packed_profile(self) -> tuple[int, ...] | None:
        """The profile in Java's form, with times in nanoseconds, from which the same hits can be created elsewhere."""
        return self._profile

    @property
    def found_damage(self) -> bool:
        """Whether the search detected a damaged accelerator; the hits are still correct."""
        return self._profile is not None and bool(self._profile[12])

    def fields(self, *names: str) -> list[dict[str, FieldValue]]:
        """The values of the fields of all hits, read at once: those of the named fields, or of all.

        Raises:
            QueryError: The index has no such field.
        """
        return self._reader.field_values(self.lucene_docids.tolist(), names or None)

    def documents(self) -> list[StoredDocument]:
        """The stored documents of all hits, read at once."""
        raws = self._reader.raw(self.lucene_docids.tolist())
        return [*map(StoredDocument, self.docids, self.lucene_docids.tolist(), raws)]

    def facets(self, name: str) -> dict[str, int]:
        """The number of hits with each keyword of a field, the most frequent first.

        Args:
            name: The field.

        Raises:
            QueryError: The index has no such field, or its values are no keywords.
        """
        return self._reader.keyword_counts(self.lucene_docids.tolist(), name)

    def without(self, lucene_docid: int) -> Hits:
        """The hits without that of one document."""
        return self._selected(np.flatnonzero(self.lucene_docids != lucene_docid))

    def _selected(self, kept: NDArray[np.intp]) -> Hits:
        docids = [self.docids[i] for i in kept.tolist()]
        return Hits(docids, self.scores[kept], self.lucene_docids[kept], self._reader, self._profile)

    def __len__(self) -> int:
        return len(self.docids)

    def __iter__(self) -> Iterator[Hit]:
        scores, lucene_docids = self.scores.astype(float).tolist(), self.lucene_docids.tolist()
        return map(Hit, self.docids, scores, lucene_docids, repeat(self._reader))

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Hits: ...
    def __getitem__(self, index: int | slice) -> Hit | Hits:
        if isinstance(index, slice):
            return Hits(self.docids[index], self.scores[index], self.lucene_docids[index], self._reader, self._profile)
        return Hit(self.docids[index], float(self.scores[index]), int(self.lucene_docids[index]), self._reader)

    def __reduce__(self) -> tuple[Any, ...]:
        return Hits, (self.docids, self.scores, self.lucene_docids, _DetachedIndex(), self._profile)

    def __copy__(self) -> Hits:
        return self[:]

    def __deepcopy__(self, memo: dict[int, Any]) -> Hits:
        scores, lucene_docids = self.scores.copy(), self.lucene_docids.copy()
        return Hits([*self.docids], scores, lucene_docids, self._reader, self._profile)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hits):
            return NotImplemented
        return self.docids == other.docids and np.array_equal(self.scores, other.scores)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Hits({list(self)!r})"
