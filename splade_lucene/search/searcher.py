"""Weighted query → ranked hits, with the signatures of Pyserini's ``LuceneImpactSearcher``.

The score of a document is the sum over terms of query impact times document impact, an integer. Hits are ordered by
score descending, then docid ascending as bytes, at the k-th place too.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, TypeGuard, get_args

import numpy as np

from splade_lucene import jvm
from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import InputError, QueryError
from splade_lucene.index.accelerator import accelerator_folders, has_accelerator
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.jvm import wire
from splade_lucene.records import Contribution, Turn, Vector, well_formed
from splade_lucene.search.approximation import Approximation
from splade_lucene.search.hits import Hits, StoredDocument

_HITS_AT_ONCE = 1 << 22
_log = logging.getLogger(__name__)


Engine = Literal["auto", "blockmax", "maxscore", "taat"]

Text = str | Sequence[Turn]
"""What is encoded: a text, or the turns of a conversation, whose weights are added."""


class QueryEncoder(Protocol):
    """Anything that turns a text into {term: impact}, such as Pyserini's query encoders or ours."""

    def encode(self, text: Any) -> Mapping[str, int]:
        """Encodes one query."""
        ...


class DocumentFilter:
    """Which documents of an index may be hits; :meth:`LuceneImpactSearcher.make_filter` makes it. ``len`` counts them."""

    __slots__ = ("java", "searcher")

    def __init__(self, searcher: LuceneImpactSearcher, java: Any) -> None:
        self.searcher, self.java = searcher, java

    def __len__(self) -> int:
        return int(jvm.facade("Search").filterSize(self.java))


class LuceneImpactSearcher:
    """Exact search over an impact index: ours, Anserini's or Pyserini's.

    Args:
        index_dir: The index.
        query_encoder: What turns text into {term: impact}: an object with ``encode(text)``, the folder or hub name of a
            checkpoint (quantized as the index's manifest says), or None to use the model that the manifest names. It is
            loaded at the first query that is text.
        min_idf: Drop a query term unless ln(documents / its documents) is above this, as Pyserini does with its default
            of 0 (which drops a term that is in every document). None keeps every term, as Anserini's Java does.
        cache_bytes: What decoded postings may take, some 4 bytes each; 0 for none, which is slow. Default: a quarter
            of Java's heap.
        engine: ``auto`` chooses for each query. ``taat`` adds up all postings, term at a time; ``blockmax`` skips blocks of
            documents that cannot reach the best k (arXiv 2405.01117); ``maxscore`` adds up the postings of the terms that
            matter most, and those of the others only in blocks that may still reach it. All give the same hits.
        approximation: What may be left out for speed; None: nothing, the hits are exact.

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
        approximation: Approximation | None = None,
    ) -> None:
        self.engine = engine
        self.approximation = approximation or Approximation()
        check_settings(engine, self.approximation, min_idf, cache_bytes)
        self.index_dir = Path(index_dir)
        self.min_idf = min_idf
        self._query_encoder = query_encoder
        self._problems: set[str] = set()
        self.reader = LuceneImpactIndexReader(index_dir)
        self.num_docs: int = self.reader.num_docs
        try:
            with jvm.translated_exceptions(self.index_dir):
                folders = wire.pack_paths(accelerator_folders(self.index_dir))
                self._java: Any = jvm.facade("Search").openSearcher(
                    self.reader.java, -1 if cache_bytes is None else cache_bytes, folders
                )
                self._settings = self._java_settings(self.approximation)
                self._exact_settings = self._java_settings(Approximation())
        except BaseException:
            self.reader.close()
            raise
        self._tell_problems()
        stale = int(jvm.facade("Search").segments(self._java)) - self.accelerated_segments - len(self._problems)
        if stale > 0 and has_accelerator(self.index_dir):
            _log.warning(
                "%s: %d segments are newer than the accelerator and are searched without; 'splade-lucene accelerate' "
                "makes it again",
                self.index_dir, stale,
            )  # fmt: skip

    @property
    def accelerated_segments(self) -> int:
        """Segments whose postings are read from an accelerator; see :func:`splade_lucene.accelerate`."""
        return int(jvm.facade("Search").acceleratedSegments(self._java))

    def _tell_problems(self) -> None:
        """Warns once of each file of an accelerator that is not used."""
        for problem in {*str(jvm.facade("Search").problems(self._java)).splitlines()} - self._problems:
            self._problems.add(problem)
            _log.warning("%s; it is not used. Make it again with 'splade-lucene accelerate'", problem)

    def _java_settings(self, approximation: Approximation) -> Any:
        return jvm.facade("Search").settings(
            self.engine, -1.0 if self.min_idf is None else float(self.min_idf),
            approximation.alpha, approximation.blocks, approximation.beta, approximation.candidates,
        )  # fmt: skip

    @property
    def query_encoder(self) -> QueryEncoder:
        """The encoder of text queries; loads it if need be.

        Raises:
            QueryError: None was given, and the index does not say which model encoded it.
        """
        if self._query_encoder is None or isinstance(self._query_encoder, str | Path):
            from splade_lucene.search.query_encoder import open_query_encoder

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
        if _is_plain(vector):
            return dict(vector)
        return {term: int(impact) for term, impact in vector.items() if _checked(term, impact)}

    def make_filter(self, docids: Iterable[str], *, exclude: bool = False) -> DocumentFilter:
        """Which documents may be hits, for the ``filter`` of searches; make it once for many of them.

        Args:
            docids: Their docids; those that the index lacks are passed over.
            exclude: All documents but these.

        Raises:
            QueryError: Something else than strings.
        """
        if isinstance(docids, str):
            raise QueryError(f"docids are several strings, got {docids!r}", remedy="Write [docid] for one")
        docids = list(docids)
        for docid in docids:
            if not isinstance(docid, str) or well_formed(docid) != docid:
                raise QueryError(f"a docid is a string, got {docid!a}")
        with jvm.translated_exceptions(self.index_dir):
            return DocumentFilter(
                self, jvm.facade("Search").filter(self.reader.java, wire.pack_strings(docids), not exclude)
            )

    def search(
        self,
        q: Text | Vector,
        k: int = 10,
        fields: Mapping[str, float] | None = None,
        *,
        filter: DocumentFilter | None = None,
    ) -> Hits:
        """Searches for one query.

        Args:
            q: Text; or {term: impact} with any number of terms, of which those that the index lacks add nothing; or the
                turns of a conversation, whose weights are added.
            k: Hits wanted, at least 1; fewer come if fewer documents share a term with the query.
            fields: For Pyserini's signature; an impact index has one field, so only None or an empty mapping.
            filter: Which documents may be hits; see :meth:`make_filter`.

        Returns:
            Hits by score descending, then docid ascending as bytes.

        Raises:
            QueryError: A malformed query.
        """
        _check_fields(fields)
        return self._search_encoded([self.encode(q)], check_k(k), 1, self._settings, filter)[0]

    def batch_search(
        self,
        queries: Sequence[Text | Vector],
        qids: Sequence[str],
        k: int = 10,
        threads: int = 1,
        fields: Mapping[str, float] | None = None,
        *,
        filter: DocumentFilter | None = None,
    ) -> dict[str, Hits]:
        """Searches for many queries with several threads.

        Args:
            queries: Texts or {term: impact} mappings.
            qids: Their ids, unique.
            k: Hits wanted for each.
            threads: Threads that search.
            fields: As for :meth:`search`.
            filter: Likewise.

        Returns:
            qid → hits, in the order of ``qids``.

        Raises:
            QueryError: A malformed query, or ids that do not fit.
        """
        _check_fields(fields)
        check_batch(queries, qids, threads)
        k = check_k(k)
        found = self._search_all(self.encode_batch(queries), k, threads, self._settings, filter)
        return dict(zip(qids, found, strict=True))

    def recall(
        self,
        queries: Sequence[Text | Vector],
        k: int = 10,
        threads: int = 1,
        *,
        filter: DocumentFilter | None = None,
    ) -> list[float]:
        """What an approximation loses: of each query's exact k best hits, the share that this searcher finds.

        A query without hits has recall 1.
        """
        vectors, k = self.encode_batch(queries), check_k(k)
        exact = self._search_all(vectors, k, threads, self._exact_settings, filter)
        found = self._search_all(vectors, k, threads, self._settings, filter)
        return [
            len({*best.docids} & {*hits.docids}) / len(best) if len(best) else 1.0
            for best, hits in zip(exact, found, strict=True)
        ]

    def encode_batch(self, queries: Sequence[Text | Vector]) -> list[dict[str, int]]:
        """The {term: impact} forms of several queries; see :meth:`encode`."""
        texts = [q for q in queries if _is_text(q)]
        encode_batch = getattr(self.query_encoder, "encode_batch", None) if texts else None
        if encode_batch is None:
            return [self.encode(q) for q in queries]
        encoded = iter(encode_batch(texts))
        return [self.encode(next(encoded) if _is_text(q) else q) for q in queries]

    def _search_all(
        self, vectors: Sequence[Mapping[str, int]], k: int, threads: int, settings: Any, filter: DocumentFilter | None
    ) -> list[Hits]:
        found: list[Hits] = []
        step = max(1, min(256, _HITS_AT_ONCE // max(1, min(k, self.num_docs))))
        for start in range(0, len(vectors), step):  # in pieces, so that Ctrl-C is heard and memory is bounded
            found += self._search_encoded(vectors[start : start + step], k, threads, settings, filter)
        return found

    def _search_encoded(
        self, vectors: Sequence[Mapping[str, int]], k: int, threads: int, settings: Any, filter: DocumentFilter | None
    ) -> list[Hits]:
        if filter is not None and filter.searcher is not self:
            raise QueryError("this filter was made by another searcher", remedy="Make it with this one's make_filter")
        java_filter = None if filter is None else filter.java
        with jvm.translated_exceptions(self.index_dir):
            answer = jvm.facade("Search").search(
                self._java, wire.pack_queries(vectors), k, threads, settings, java_filter
            )
            packed = wire.to_bytes(answer)
        found = [
            Hits(each.docids, each.scores, each.lucene_docids, self.reader, each.profile)
            for each in wire.unpack_impact_rankings(packed, len(vectors))
        ]
        if any(hits.met_damage for hits in found):
            self._tell_problems()
        return found

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
        jvm.facade("Search").close(self._java)
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


def check_settings(
    engine: str, approximation: Approximation, min_idf: float | None = None, cache_bytes: int | None = None
) -> None:
    """Refuses settings of a searcher that are wrong or do not go together.

    Raises:
        QueryError: Says what is wrong.
    """
    if engine not in get_args(Engine):
        raise QueryError(f"no engine is named {engine!r}", remedy=f"Choose one of: {', '.join(get_args(Engine))}")
    if engine == "taat" and (approximation.alpha < 1 or approximation.blocks):
        raise QueryError("alpha and blocks are for block-max pruning", remedy="Choose the engine auto or blockmax")
    if engine == "maxscore" and approximation.blocks:
        raise QueryError("blocks are for block-max pruning", remedy="Choose the engine auto or blockmax")
    if min_idf is not None and math.isnan(min_idf):
        raise QueryError("min_idf is a number, got nan", remedy="Leave it out to keep all terms")
    if cache_bytes is not None and not (isinstance(cache_bytes, Integral) and 0 <= cache_bytes < 2**63):
        raise QueryError(f"cache_bytes is a number of bytes from 0 on, got {cache_bytes!r}")


def check_k(k: object) -> int:
    """The depth as an int that Lucene takes.

    Raises:
        QueryError: It is not an integer, or below 1.
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
        raise QueryError(f"the qid {repeated!r} is a duplicate", remedy="Make qids unique")
    if isinstance(threads, bool) or not isinstance(threads, Integral) or not 1 <= threads < 2**31:
        raise QueryError(f"threads must be an integer of at least 1, got {threads!r}")


def _is_plain(vector: Mapping[str, int]) -> bool:
    """Whether a query needs no closer look, which takes longer than many a search: terms of ASCII, impacts from 1 on."""
    impacts = vector.values()
    return (
        {*map(type, vector)} == {str}
        and {*map(type, impacts)} == {int}
        and min(impacts) > 0
        and max(impacts) <= MAX_IMPACT
        and "".join(vector).isascii()
    )


def _checked(term: object, impact: object) -> bool:
    """Whether a query's term takes part in the search: its impact is not 0."""
    if not isinstance(term, str):
        raise QueryError(f"query terms are strings, got {term!r}")
    if well_formed(term) != term:
        raise QueryError(f"the query term {term!a} holds half of a surrogate pair", remedy="Fix the text of the query")
    if isinstance(impact, bool) or not isinstance(impact, int | np.integer):
        raise QueryError(
            f"query term {term!r} has impact {impact!r}", remedy="Quantize query weights to integers first"
        )
    if not 0 <= impact <= MAX_IMPACT:
        raise QueryError(f"query term {term!r} has impact {impact}", remedy=f"Use integers from 0 to {MAX_IMPACT}")
    return bool(impact > 0)
