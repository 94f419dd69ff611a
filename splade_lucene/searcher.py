"""Weighted query → ranked hits, with the signatures of Pyserini's ``LuceneImpactSearcher``.

The score of a document is the sum over terms of query impact times document impact, an integer. Hits are ordered by
score descending, then docid ascending as bytes, at the k-th place too.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, TypeGuard, get_args, overload

import numpy as np
from numpy.typing import NDArray

from splade_lucene import jvm
from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import InputError, QueryError
from splade_lucene.index_reader import LuceneImpactIndexReader
from splade_lucene.records import Contribution, Turn, Vector, well_formed

_HITS_AT_ONCE = 1 << 22


Engine = Literal["auto", "blockmax", "taat"]

Text = str | Sequence[Turn]
"""What is encoded: a text, or the turns of a conversation, whose weights are added."""


class QueryEncoder(Protocol):
    """Anything that turns a text into {term: impact}, such as Pyserini's query encoders or ours."""

    def encode(self, text: Any) -> Mapping[str, int]:
        """Encodes one query."""
        ...


class StoredDocument:
    """A document as the index stores it; its methods are those of Pyserini's ``Document``, without Lucene's own object."""

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
        """The stored JSON, ``{"id": …, "contents": …}`` unless the index stores whole inputs; None if it stores none."""
        return self._raw

    def contents(self) -> str | None:
        """The text; None if the index stores none."""
        if self._raw is None:
            return None
        try:
            text = json.loads(self._raw).get("contents")
        except (ValueError, AttributeError):
            return self._raw  # of an index whose raw is not JSON
        return text if isinstance(text, str) else None

    def get(self, field: str) -> str | None:
        """A stored field: ``id``, ``raw`` or ``contents``."""
        return {"id": self._docid, "raw": self._raw, "contents": self.contents()}.get(field)


class Hit:
    """One document of a ranking.

    Attributes:
        docid: External id.
        score: Its score, an integer in a float, as in Pyserini.
        lucene_docid: Lucene's internal id.
    """

    __slots__ = ("_reader", "docid", "lucene_docid", "score")

    def __init__(self, docid: str, score: float, lucene_docid: int, reader: LuceneImpactIndexReader) -> None:
        self.docid, self.score, self.lucene_docid, self._reader = docid, score, lucene_docid, reader

    @property
    def document(self) -> StoredDocument:
        """The stored document, read when it is asked for."""
        return StoredDocument(self.docid, self.lucene_docid, self._reader.raw([self.lucene_docid])[0])

    @property
    def raw(self) -> str | None:
        """The stored field ``raw``, read when it is asked for."""
        return self.document.raw()

    @property
    def contents(self) -> str | None:
        """The stored text, read when it is asked for."""
        return self.document.contents()

    def __repr__(self) -> str:
        return f"Hit(docid={self.docid!r}, score={self.score}, lucene_docid={self.lucene_docid})"


class Hits(Sequence[Hit]):
    """A ranking, best hit first. Hits are made as they are asked for; the columns cost nothing.

    Attributes:
        docids: External ids, best first.
        scores: Scores, shape [hits], int64.
        lucene_docids: Internal ids, shape [hits], int32.
    """

    __slots__ = ("_reader", "docids", "lucene_docids", "scores")

    def __init__(
        self, docids: list[str], scores: NDArray[np.int64], lucene_docids: NDArray[np.int32],
        reader: LuceneImpactIndexReader,
    ) -> None:  # fmt: skip
        self.docids, self.scores, self.lucene_docids, self._reader = docids, scores, lucene_docids, reader

    def __len__(self) -> int:
        return len(self.docids)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Hits: ...
    def __getitem__(self, index: int | slice) -> Hit | Hits:
        if isinstance(index, slice):
            return Hits(self.docids[index], self.scores[index], self.lucene_docids[index], self._reader)
        return Hit(self.docids[index], float(self.scores[index]), int(self.lucene_docids[index]), self._reader)

    def __repr__(self) -> str:
        return f"Hits({list(self)!r})"


class LuceneImpactSearcher:
    """Exact search over an impact index: ours, Anserini's or Pyserini's.

    Args:
        index_dir: The index.
        query_encoder: What turns text into {term: impact}: an object with ``encode(text)``, the folder or hub name of a
            checkpoint (quantized as the index's manifest says), or None to use the model that the manifest names. It is
            loaded at the first query that is text.
        min_idf: Drop a query term unless ln(documents / its documents) is above this, as Pyserini does with its default
            of 0 (which drops a term that is in every document). None keeps every term, as Anserini's Java does.
        cache_bytes: What decoded postings may take, some 12 bytes each; 0 for none. Default: a quarter of Java's heap.
        engine: ``auto`` chooses for each query. ``taat`` adds up all postings, term at a time; ``blockmax`` skips blocks of
            documents that cannot reach the best k (arXiv 2405.01117), where postings are decoded. All give the same hits.

    Raises:
        NotAnIndexError: No impact index there.
        IndexVersionError: A newer Lucene wrote it.
    """

    def __init__(
        self,
        index_dir: str | Path,
        query_encoder: QueryEncoder | str | Path | None = None,
        min_idf: float | None = None,
        *,
        cache_bytes: int | None = None,
        engine: Engine = "auto",
    ) -> None:
        if engine not in get_args(Engine):
            raise QueryError(f"no engine is named {engine!r}", remedy=f"Choose one of: {', '.join(get_args(Engine))}")
        self.engine = engine
        self.index_dir = Path(index_dir)
        self.reader = LuceneImpactIndexReader(index_dir)
        self.num_docs: int = self.reader.num_docs
        self.min_idf = min_idf
        self._query_encoder = query_encoder
        with jvm.translated_exceptions(self.index_dir):
            self._java: Any = jvm.bridge("ImpactSearcher")(self.reader.java, -1 if cache_bytes is None else cache_bytes)

    @property
    def query_encoder(self) -> QueryEncoder:
        """The encoder of text queries; loads it if need be.

        Raises:
            QueryError: None was given, and the index does not say which model encoded it.
        """
        if self._query_encoder is None or isinstance(self._query_encoder, str | Path):
            from splade_lucene.encoder import open_query_encoder

            self._query_encoder = open_query_encoder(self.index_dir, self._query_encoder)
        return self._query_encoder

    def encode(self, q: Text | Vector) -> dict[str, int]:
        """The {term: impact} form of a query: encodes text, or the turns of a conversation, and checks a mapping.

        Raises:
            QueryError: An impact is negative, too large, or no integer.
        """
        vector = self.query_encoder.encode(q) if _is_text(q) else q
        if not isinstance(vector, Mapping):
            raise QueryError(
                f"a query is a text, a sequence of turns, or a mapping of term to impact, got {type(vector).__name__}"
            )
        return {term: int(impact) for term, impact in vector.items() if _checked(term, impact)}

    def search(self, q: Text | Vector, k: int = 10, fields: Mapping[str, float] | None = None) -> Hits:
        """Searches for one query.

        Args:
            q: Text; or {term: impact} with any number of terms, of which those that the index lacks add nothing; or the
                turns of a conversation, whose weights are added.
            k: Hits wanted, at least 1; fewer come if fewer documents share a term with the query.
            fields: For Pyserini's signature; an impact index has one field, so only None or an empty mapping.

        Returns:
            Hits by score descending, then docid ascending as bytes.

        Raises:
            QueryError: A malformed query.
        """
        _check_fields(fields)
        return self._search_encoded([self.encode(q)], check_k(k), 1)[0]

    def batch_search(
        self,
        queries: Sequence[Text | Vector],
        qids: Sequence[str],
        k: int = 10,
        threads: int = 1,
        fields: Mapping[str, float] | None = None,
    ) -> dict[str, Hits]:
        """Searches for many queries with several threads.

        Args:
            queries: Texts or {term: impact} mappings.
            qids: Their ids, unique.
            k: Hits wanted for each.
            threads: Threads that search.
            fields: As for :meth:`search`.

        Returns:
            qid → hits, in the order of ``qids``.

        Raises:
            QueryError: A malformed query, or ids that do not fit.
        """
        _check_fields(fields)
        check_batch(queries, qids, threads)
        k = check_k(k)
        vectors = self.encode_batch(queries)
        found: list[Hits] = []
        step = max(threads, min(256, _HITS_AT_ONCE // max(1, min(k, self.num_docs))))
        for start in range(0, len(vectors), step):  # in pieces, so that Ctrl-C is heard and memory is bounded
            found += self._search_encoded(vectors[start : start + step], k, threads)
        return dict(zip(qids, found, strict=True))

    def encode_batch(self, queries: Sequence[Text | Vector]) -> list[dict[str, int]]:
        """The {term: impact} forms of several queries; see :meth:`encode`."""
        texts = [q for q in queries if _is_text(q)]
        encode_batch = getattr(self.query_encoder, "encode_batch", None) if texts else None
        if encode_batch is None:
            return [self.encode(q) for q in queries]
        encoded = iter(encode_batch(texts))
        return [self.encode(next(encoded) if _is_text(q) else q) for q in queries]

    def _search_encoded(self, vectors: Sequence[Mapping[str, int]], k: int, threads: int) -> list[Hits]:
        min_idf = -1.0 if self.min_idf is None else float(self.min_idf)
        with jvm.translated_exceptions(self.index_dir):
            packed = jvm.to_bytes(self._java.search(_pack_queries(vectors), k, threads, min_idf, self.engine))
        return _unpack_hits(packed, len(vectors), self.reader)

    def explain(self, q: Text | Vector, docid: str) -> list[Contribution]:
        """What each shared term adds to a document's score, largest first; the products sum to the score exactly.

        Raises:
            InputError: No document has this docid.
        """
        vector = self.encode(q)
        terms = list(vector)
        impacts = self.reader.impacts(docid, terms)
        dropped = set() if self.min_idf is None else self._common_terms(terms)
        shared = [
            Contribution(term, vector[term], impact)
            for term, impact in zip(terms, impacts, strict=True)
            if impact and term not in dropped
        ]
        return sorted(shared, key=lambda each: (-each.product, each.term))

    def _common_terms(self, terms: Sequence[str]) -> set[str]:
        return {term for term in terms if len(self.search({term: 1}, 1)) == 0}

    def doc(self, docid: str | int) -> StoredDocument | None:
        """The stored document of a docid (str) or lucene_docid (int); None if there is none, as in Pyserini."""
        if isinstance(docid, Integral):
            number = int(docid)
            if not 0 <= number < self.reader.max_doc:
                return None
            return StoredDocument(self.reader.docid(number), number, self.reader.raw([number])[0])
        if not isinstance(docid, str):
            raise QueryError(f"a docid is a string, a lucene_docid an integer, got {docid!r}")
        try:
            lucene_docid = self.reader.lucene_docid(docid)
        except InputError:
            return None
        return StoredDocument(docid, lucene_docid, self.reader.raw([lucene_docid])[0])

    def close(self) -> None:
        """Closes the index's files."""
        self._java.close()
        self.reader.close()

    def __enter__(self) -> LuceneImpactSearcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_text(q: object) -> TypeGuard[Text]:
    return isinstance(q, str) or (isinstance(q, Sequence) and len(q) > 0 and all(isinstance(turn, Turn) for turn in q))


def _check_fields(fields: Mapping[str, float] | None) -> None:
    if fields:
        raise QueryError(f"an impact index has no field but its impacts, got fields={dict(fields)}")


def check_k(k: object) -> int:
    """The depth as an int that Lucene takes.

    Raises:
        QueryError: It is no integer, or below 1.
    """
    if isinstance(k, bool) or not isinstance(k, Integral) or int(k) < 1:
        raise QueryError(f"k must be an integer of at least 1, got {k!r}")
    return min(int(k), 2**31 - 1)


def check_batch(queries: Sequence[object], qids: Sequence[str], threads: int) -> None:
    """Refuses queries and ids that do not fit.

    Raises:
        QueryError: Says what does not fit.
    """
    if len(queries) != len(qids):
        raise QueryError(f"{len(queries)} queries came with {len(qids)} ids", remedy="Give one id a query")
    if len(set(qids)) != len(qids):
        repeated = next(qid for qid in qids if list(qids).count(qid) > 1)
        raise QueryError(f"the qid {repeated!r} stands twice", remedy="Make qids unique")
    if threads < 1:
        raise QueryError(f"threads must be at least 1, got {threads}")


def _checked(term: object, impact: object) -> bool:
    """Whether a query's term takes part in the search: its impact is not 0."""
    if not isinstance(term, str):
        raise QueryError(f"query terms are strings, got {term!r}")
    if well_formed(term) != term:
        raise QueryError(f"the query term {term!a} holds half of a surrogate pair", remedy="Mend the query's text")
    if isinstance(impact, bool) or not isinstance(impact, int | np.integer):
        raise QueryError(
            f"query term {term!r} has impact {impact!r}", remedy="Quantize query weights to integers first"
        )
    if not 0 <= impact <= MAX_IMPACT:
        raise QueryError(f"query term {term!r} has impact {impact}", remedy=f"Use integers from 0 to {MAX_IMPACT}")
    return bool(impact > 0)


def _pack_queries(vectors: Sequence[Mapping[str, int]]) -> bytes:
    parts = [struct.pack("<i", len(vectors))]
    for vector in vectors:
        parts.append(struct.pack("<i", len(vector)))
        for term, impact in vector.items():
            encoded = term.encode()
            parts.append(struct.pack("<ii", impact, len(encoded)) + encoded)
    return b"".join(parts)


def _unpack_hits(packed: bytes, count: int, reader: LuceneImpactIndexReader) -> list[Hits]:
    found = []
    at = 0
    for _ in range(count):
        (size,) = struct.unpack_from("<i", packed, at)
        scores = np.frombuffer(packed, dtype="<i8", count=size, offset=at + 4)
        lucene_docids = np.frombuffer(packed, dtype="<i4", count=size, offset=at + 4 + 8 * size)
        at += 4 + 12 * size
        (length,) = struct.unpack_from("<i", packed, at)
        docids = packed[at + 4 : at + 4 + length].decode().split("\0") if size else []
        at += 4 + length
        found.append(Hits(docids, scores, lucene_docids, reader))
    return found
