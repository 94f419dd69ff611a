"""Hybrid search: impacts and BM25 in one index, searched together, with their rankings fused.

The hits are those of searching for the impacts and with BM25 separately, to the same depth, and fusing the two runs with
:func:`splade_lucene.reciprocal_rank_fusion` or :func:`splade_lucene.weighted_sum`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from numbers import Real
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from splade_lucene import jvm
from splade_lucene.arguments import check_choice, to_ordered_list
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_IN_RUN, K1, B
from splade_lucene.errors import QueryError
from splade_lucene.fields.schema import BM25_FIELD
from splade_lucene.ids import docid_order
from splade_lucene.index.bm25_field import lacking_bm25
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.jvm import wire
from splade_lucene.records import well_formed
from splade_lucene.search.bm25 import check_parameters
from splade_lucene.search.cancellation import java_cancellation
from splade_lucene.search.checks import check_k
from splade_lucene.search.fusion import (
    RRF_CONSTANT,
    FusionMethod,
    Normalization,
    check_constant,
    normalized_scores,
    reciprocal_ranks,
)
from splade_lucene.search.hits import Hit, Hits, StoredFields
from splade_lucene.search.queries import queries_at_once

_HITS_AT_ONCE = 1 << 20
_PARTS = np.dtype([("impact_rank", "i4"), ("impact_score", "i8"), ("bm25_rank", "i4"), ("bm25_score", "f4")])


@dataclass(frozen=True)
class HybridFusion:
    """The settings of a hybrid search: how its two rankings are computed and fused.

    Attributes:
        method: ``rrf``: reciprocal rank fusion; ``sum``: a weighted sum of normalized scores.
        weights: The weight of the ranking by impacts, and that of BM25's; at least 0, and not both 0.
        depth: Number of hits of each ranking that are fused.
        constant: For ``rrf``, the constant that is added to ranks; see :func:`splade_lucene.reciprocal_rank_fusion`.
        normalization: For ``sum``; see :func:`splade_lucene.weighted_sum`.
        k1: See :class:`splade_lucene.Bm25Searcher`.
        b: Likewise.

    Raises:
        QueryError: A value is out of range.
        RunError: The constant is out of range.
    """

    method: FusionMethod = "rrf"
    weights: tuple[float, float] = (1.0, 1.0)
    depth: int = HITS_IN_RUN
    constant: float = RRF_CONSTANT
    normalization: Normalization = "min-max"
    k1: float = K1
    b: float = B

    def __post_init__(self) -> None:
        check_choice(self.method, FusionMethod, "method of fusion", error=QueryError)
        check_choice(self.normalization, Normalization, "normalization", error=QueryError)
        weights = tuple(to_ordered_list(self.weights, "weights", error=QueryError))
        if len(weights) != 2 or not all(_is_weight(weight) for weight in weights) or not any(weights):
            raise QueryError(
                f"hybrid search takes two weights of at least 0, for impacts and for BM25, got {weights!r:.80}",
                remedy="Pass two numbers that are not both 0 as weights=…",
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "depth", check_k(self.depth, "depth"))
        check_constant(self.constant)
        check_parameters(self.k1, self.b)


def _is_weight(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and float(value) >= 0


RRF = HybridFusion()
"""Reciprocal rank fusion of 1,000 hits each, with equal weights: the default."""


def to_fusion(hybrid: HybridFusion | bool) -> HybridFusion | None:  # noqa: FBT001 - one argument of two kinds
    """The fusion for an argument ``hybrid``: the default for True, None for False."""
    return RRF if hybrid is True else hybrid or None


class PartHit(NamedTuple):
    """A document's place in one of the two rankings of a hybrid search.

    Attributes:
        rank: From 1.
        score: The score in that ranking.
    """

    rank: int
    score: float


class HybridHit(Hit):
    """A hit of a hybrid search. Its score is the fused one.

    Attributes:
        impact: Its rank and score in the ranking by impacts; None if it is not among the first ``depth`` hits.
        bm25: Its rank and score in BM25's ranking, likewise.
    """

    __slots__ = ("bm25", "impact")

    def __init__(
        self, docid: str, score: float, lucene_docid: int, reader: StoredFields, parts: tuple[int, int, int, float]
    ) -> None:
        super().__init__(docid, score, lucene_docid, reader)
        impact_rank, impact_score, bm25_rank, bm25_score = parts
        self.impact = PartHit(impact_rank, float(impact_score)) if impact_rank else None
        self.bm25 = PartHit(bm25_rank, bm25_score) if bm25_rank else None

    def _parts(self) -> tuple[int, int, int, float]:
        impact, bm25 = self.impact or PartHit(0, 0), self.bm25 or PartHit(0, 0.0)
        return impact.rank, int(impact.score), bm25.rank, bm25.score

    def __reduce__(self) -> tuple[Any, ...]:
        return HybridHit, (*super().__reduce__()[1], self._parts())

    def __copy__(self) -> HybridHit:
        return HybridHit(self.docid, self.score, self.lucene_docid, self._reader, self._parts())

    def __repr__(self) -> str:
        return f"HybridHit(docid={self.docid!r}, score={self.score}, impact={self.impact}, bm25={self.bm25})"


class HybridHits(Hits):
    """A fused ranking, best hit first. ``scores`` are float64; the profile is that of the search for impacts.

    Attributes:
        parts: The ranks and scores of the hits in the two rankings, a structured array of shape [hits] with the columns
            ``impact_rank``, ``impact_score``, ``bm25_rank`` and ``bm25_score``. A rank of 0 means that a hit is not among
            the first ``depth`` hits of that ranking.
    """

    __slots__ = ("parts",)

    def __init__(
        self, docids: list[str], scores: NDArray[np.float64], lucene_docids: NDArray[np.int32], reader: StoredFields,
        profile: tuple[int, ...] | None, parts: NDArray[Any],
    ) -> None:  # fmt: skip
        super().__init__(docids, scores, lucene_docids, reader, profile)
        self.parts = parts

    def __iter__(self) -> Iterator[HybridHit]:
        columns = (self.scores.tolist(), self.lucene_docids.tolist(), repeat(self._reader), self.parts.tolist())
        return map(HybridHit, self.docids, *columns)

    @overload
    def __getitem__(self, index: int) -> HybridHit: ...
    @overload
    def __getitem__(self, index: slice) -> HybridHits: ...
    def __getitem__(self, index: int | slice) -> HybridHit | HybridHits:
        scores, lucene_docids, parts = self.scores[index], self.lucene_docids[index], self.parts[index]
        if isinstance(index, slice):
            return HybridHits(self.docids[index], scores, lucene_docids, self._reader, self._profile, parts)
        return HybridHit(self.docids[index], float(scores), int(lucene_docids), self._reader, parts.item())

    def _selected(self, kept: NDArray[np.intp]) -> HybridHits:
        hits = super()._selected(kept)
        columns = (hits.scores, hits.lucene_docids, self._reader, self._profile, self.parts[kept])
        return HybridHits(hits.docids, *columns)

    def __reduce__(self) -> tuple[Any, ...]:
        return HybridHits, (*super().__reduce__()[1], self.parts)

    def __deepcopy__(self, memo: dict[int, Any]) -> HybridHits:
        copied = (self.scores.copy(), self.lucene_docids.copy(), self._reader, self._profile, self.parts.copy())
        return HybridHits([*self.docids], *copied)


def search_parts(
    reader: LuceneImpactIndexReader, texts: Sequence[str], qids: Sequence[str], k: int, threads: int, fusion: HybridFusion,
    search_impacts: Callable[[slice], Sequence[Hits]], java_filter: Any,
) -> dict[str, HybridHits]:  # fmt: skip
    """Makes both rankings of each query and fuses them.

    Args:
        reader: The open index, which has texts for BM25.
        texts: The texts that BM25 searches for.
        qids: The ids of the queries.
        k: Maximum number of hits per query.
        threads: Number of search threads.
        fusion: How the rankings are made and fused.
        search_impacts: Searches for the impacts of some of the queries, to the depth of the fusion.
        java_filter: Java's object for the documents that may be hits; None for all.

    Returns:
        qid → hits, in the order of ``qids``.
    """
    found: dict[str, HybridHits] = {}
    step = queries_at_once(min(fusion.depth, reader.num_docs), _HITS_AT_ONCE)
    for start in range(0, len(qids), step):
        some = slice(start, start + step)
        by_impact = search_impacts(some)
        by_bm25 = _search_bm25(reader, texts[some], threads, fusion, java_filter)
        for qid, impact, bm25 in zip(qids[some], by_impact, by_bm25, strict=True):
            found[qid] = _fused(qid, impact, bm25, k, fusion, reader)
    return found


def check_fusion(fusion: object, reader: LuceneImpactIndexReader) -> None:
    """Checks that an index supports hybrid search.

    Raises:
        QueryError: This is not a fusion, or the index was built without texts for BM25.
    """
    if not isinstance(fusion, HybridFusion):
        raise QueryError(
            f"expected a HybridFusion, got {fusion!r:.60}", remedy='Pass HybridFusion("rrf") or leave it out'
        )
    if not reader.has_bm25:
        lacking = ", ".join(str(each.index_dir) for each in lacking_bm25(reader.parts) or reader.parts)
        raise QueryError(
            f"{lacking}: the index has no texts for BM25 (the field {BM25_FIELD!r})",
            remedy="Build it with bm25=True",
        )


def texts_for_bm25(queries: Sequence[object], texts: Iterable[str] | None) -> list[str]:
    """The texts that BM25 searches for.

    Args:
        queries: The queries.
        texts: Their texts; None if the queries are texts.

    Raises:
        QueryError: A text is missing.
    """
    given = queries if texts is None else to_ordered_list(texts, "texts", error=QueryError)
    if len(given) != len(queries):
        raise QueryError(
            f"got {counted(len(queries), 'query')} but {counted(len(given), 'text')}", remedy="Pass one text per query"
        )
    for each in given:
        if not isinstance(each, str):
            problem = "BM25 searches for texts" if texts is None else "texts must be strings"
            raise QueryError(f"{problem}, got {each!r:.60}", remedy="Also pass the text of each query")
    return [well_formed(str(each)) for each in given]


def _search_bm25(
    reader: LuceneImpactIndexReader, texts: Sequence[str], threads: int, fusion: HybridFusion, java_filter: Any
) -> Iterator[wire.TextRanking]:
    with jvm.translated_exceptions(reader.index_dir):
        answer = jvm.facade("Bm25").searchField(
            reader.java, wire.pack_strings(texts), fusion.depth, float(fusion.k1), float(fusion.b), threads,
            java_filter, java_cancellation(),
        )  # fmt: skip
        return wire.unpack_text_rankings(wire.to_bytes(answer), len(texts))


def _fused(
    qid: str, impact: Hits, bm25: wire.TextRanking, k: int, fusion: HybridFusion, reader: StoredFields
) -> HybridHits:
    """Fuses two rankings: what run fusion does with runs of any number, for two and in columns."""
    numbers, places = np.unique(np.concatenate((impact.lucene_docids, bm25.lucene_docids)), return_inverse=True)
    scores = np.zeros(len(numbers), dtype=np.float64)
    parts = np.zeros(len(numbers), dtype=_PARTS)
    sides = (("impact", places[: len(impact)], impact.scores), ("bm25", places[len(impact) :], bm25.scores))
    for (name, at, part_scores), weight in zip(sides, fusion.weights, strict=True):
        ranks = np.arange(1, len(at) + 1)
        # the sum of two numbers is rounded once, so their order does not matter, as with math.fsum
        scores[at] += weight * (
            reciprocal_ranks(ranks, fusion.constant)
            if fusion.method == "rrf"
            else normalized_scores(qid, part_scores, fusion.normalization)
        )
        parts[f"{name}_rank"][at] = ranks
        parts[f"{name}_score"][at] = part_scores
    docids = np.empty(len(numbers), dtype=object)
    docids[places] = [*impact.docids, *bm25.docids]
    best = _best_first(scores, docids, k)
    columns = (docids[best].tolist(), scores[best], numbers[best].astype(np.int32))
    return HybridHits(*columns, reader, impact._profile, parts[best])


def _best_first(scores: NDArray[np.float64], docids: NDArray[Any], k: int) -> NDArray[np.intp]:
    """The positions of the best k, by score descending, then by docid ascending."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    if k < len(order):
        ranked = ranked[: np.searchsorted(-ranked, -ranked[k - 1], side="right")]  # including all ties with the k-th
        order = order[: len(ranked)]
    starts = [0, *(np.flatnonzero(np.diff(ranked)) + 1).tolist(), len(ranked)]
    for start, end in pairwise(starts):
        if end - start > 1:
            order[start:end] = sorted(order[start:end], key=lambda at: docid_order(str(docids[at])))
    return order[:k]
