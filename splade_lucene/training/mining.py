"""Candidates of queries from BM25, a dense encoder and our own SPLADE index, put in order by a teacher."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import ConfigError, ExamplesError, ModelError
from splade_lucene.index.texts import index_texts
from splade_lucene.records import Document, Query
from splade_lucene.run.run import Run
from splade_lucene.search.bm25 import search_texts
from splade_lucene.training.examples import Example, Texts
from splade_lucene.training.teacher_outputs import embed_texts, score_pairs
from splade_lucene.training.teachers import (
    NO_RANKING,
    DenseScorer,
    Ensemble,
    RankedScorer,
    Rankings,
    Rows,
    Scorer,
    rankings_by_row,
)

if TYPE_CHECKING:
    from splade_lucene.training.config import Mining, Teacher

_log = logging.getLogger(__name__)
BM25_DEPTH = 500
"""Passages of a query whose BM25 scores a teacher knows; the others count 0."""
_QUERIES_AT_ONCE = 500
_PASSAGES_AT_ONCE = 100_000

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

Candidates = Mapping[int, Rows]
"""Row of a query → rows of its candidates."""


class Sources:
    """What candidates and scores of some queries come from; each is computed when it is first asked for.

    Args:
        texts: All queries and passages.
        queries: Rows of the queries in question; blank ones are left out.
        teacher: What scores; None if nothing does.
        folder: Where vectors, scores and the BM25 index are kept, so that a killed run finds them again.
        device: Where teachers compute.
        progress: Told how far it is.
    """

    def __init__(
        self, texts: Texts, queries: Rows, teacher: Teacher | None, folder: Path, device: str, progress: Progress
    ) -> None:
        self.texts, self.settings = texts, teacher
        self.queries = np.array([row for row in queries.tolist() if texts.queries[row].strip()], np.int64)
        if left_out := len(queries) - len(self.queries):
            _log.warning("%d queries are blank and are left out", left_out)
        self._folder, self._device, self._progress = folder, device, progress

    @cached_property
    def dense(self) -> DenseScorer | None:
        """The dense teacher; None if there is none."""
        if self.settings is None or not self.settings.dense:
            return None
        model = _open_dense_encoder(self.settings.dense, self.settings.max_length, self._device)

        def embed(texts: Sequence[str], what: str) -> NDArray[np.float16]:
            return embed_texts(
                texts, model, self._folder / "embeddings", self._counting(f"embedding {what}", len(texts))
            )

        return DenseScorer(embed(self.texts.queries, "queries"), embed(self.texts.passages, "passages"))

    @cached_property
    def bm25_rankings(self) -> Rankings:
        """For each query of the collection, its best passages by BM25; empty for those not in question."""
        index = self._folder / f"bm25-index-{self.texts.passages_digest}"
        if not index.is_dir():
            self._progress("indexing for BM25", 0, len(self.texts.passages))
            index_texts((Document(str(row), text) for row, text in enumerate(self.texts.passages)), index)

        def search(queries: list[Query]) -> dict[str, list[tuple[str, float]]]:
            return search_texts(index, queries, BM25_DEPTH)

        return self._search("BM25", search)

    def splade_rankings(self, index: Path, depth: int) -> Rankings:
        """The same from an impact index of the passages, with the model that it was made with.

        Raises:
            ConfigError: None of its documents is among the passages.
        """
        from splade_lucene.search.query_encoder import open_query_encoder
        from splade_lucene.search.searcher import LuceneImpactSearcher

        rows = self.texts.passage_rows
        with LuceneImpactSearcher(index, open_query_encoder(index)) as searcher:

            def search(queries: list[Query]) -> dict[str, list[tuple[str, float]]]:
                found = searcher.batch_search([each.text for each in queries], [each.qid for each in queries], k=depth)
                return {
                    qid: [(str(rows[hit.docid]), hit.score) for hit in hits if hit.docid in rows]
                    for qid, hits in found.items()
                }

            rankings = self._search("SPLADE", search)
        if not any(len(found) for found, _ in rankings):
            raise ConfigError("the index holds none of data.passages", path=index, remedy="Index the same passages")
        return rankings

    def dense_rankings(self, depth: int) -> Rankings:
        """The same by the dense teacher."""
        rankings = [NO_RANKING] * len(self.texts.queries)
        if self.dense is None:
            return rankings
        count = len(self.texts.passages)
        best = np.zeros((len(self.queries), 0), np.int64)
        scores = np.zeros((len(self.queries), 0), np.float32)
        for start in range(0, count, _PASSAGES_AT_ONCE):
            part = np.arange(start, min(count, start + _PASSAGES_AT_ONCE))
            best, scores = self._better(self.dense, best, scores, part, depth)
            self._progress("searching dense", int(part[-1]) + 1, count)
        for query, rows, values in zip(self.queries, best, scores, strict=True):
            order = np.argsort(-values, kind="stable")
            rankings[query] = (rows[order], values[order])
        return rankings

    def scorer(self, candidates: Candidates) -> Ensemble:
        """What scores pairs.

        Args:
            candidates: The pairs that a cross-encoder has to score.

        Raises:
            ConfigError: A run file of scores is of another collection.
        """
        settings, count = self.settings, len(self.texts.passages)
        parts: list[tuple[float, Scorer]] = []
        if settings is None:
            return Ensemble(parts)
        if self.dense is not None:
            parts.append((settings.dense_weight, self.dense))
        if settings.bm25:
            parts.append((settings.bm25, RankedScorer(self.bm25_rankings, count, "best")))
        if settings.scores:
            rankings = rankings_by_row(Run.read(settings.scores), self.texts.qids, self.texts.passage_rows)
            if not any(len(rows) for rows, _ in rankings):
                raise ConfigError(
                    "no query and passage of this run are among data.queries and data.passages",
                    path=settings.scores, remedy="Check that it is of the same collection",
                )  # fmt: skip
            parts.append((settings.scores_weight, RankedScorer(rankings, count, "range")))
        if settings.cross_encoder:
            rankings = self._cross_encode(settings.cross_encoder, settings.max_length, candidates)
            parts.append((settings.cross_encoder_weight, RankedScorer(rankings, count, "range")))
        return Ensemble(parts)

    def _cross_encode(self, name: str, max_length: int, candidates: Candidates) -> Rankings:
        model = _open_cross_encoder(name, max_length, self._device)
        texts = self.texts
        pairs = [(texts.queries[query], texts.passages[row]) for query, rows in candidates.items() for row in rows]
        advance = self._counting("scoring with the cross-encoder", len(pairs))
        scores = score_pairs(pairs, model, self._folder / "cross-encoder", advance)
        rankings = [NO_RANKING] * len(texts.queries)
        at = 0
        for query, rows in candidates.items():
            rankings[query] = (rows, scores[at : at + len(rows)])
            at += len(rows)
        return rankings

    def _better(
        self, dense: DenseScorer, best: Rows, scores: NDArray[np.float32], part: Rows, depth: int
    ) -> tuple[Rows, NDArray[np.float32]]:
        """The best passages of each query, when some more are looked at."""
        rows_found, scores_found = [], []
        for start in range(0, len(self.queries), _QUERIES_AT_ONCE):
            these = slice(start, start + _QUERIES_AT_ONCE)
            more = dense.scores(self.queries[these], part)
            values = np.concatenate([scores[these], more], axis=1)
            rows = np.concatenate([best[these], np.broadcast_to(part, more.shape)], axis=1)
            kept = np.argpartition(-values, min(depth, values.shape[1]) - 1, axis=1)[:, :depth]
            rows_found.append(np.take_along_axis(rows, kept, axis=1))
            scores_found.append(np.take_along_axis(values, kept, axis=1))
        return np.concatenate(rows_found), np.concatenate(scores_found)

    def _search(self, what: str, search: Callable[[list[Query]], dict[str, list[tuple[str, float]]]]) -> Rankings:
        rankings = [NO_RANKING] * len(self.texts.queries)
        advance = self._counting(f"searching {what}", len(self.queries))
        for start in range(0, len(self.queries), _QUERIES_AT_ONCE):
            part = self.queries[start : start + _QUERIES_AT_ONCE]
            found = search([Query(str(row), self.texts.queries[row]) for row in part])
            for row in part:
                hits = found.get(str(row), [])
                passages = np.array([int(docid) for docid, _ in hits], np.int64)
                rankings[row] = (passages, np.array([score for _, score in hits], np.float32))
            advance(len(part))
        return rankings

    def _counting(self, what: str, total: int) -> Callable[[int], None]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self._progress(what, done, total)

        return advance


def mine(sources: Sources, mining: Mining) -> list[Example]:  # noqa: C901 - what may be missing, one by one
    """The candidates of each query in the teacher's order.

    Args:
        sources: Where candidates and scores come from.
        mining: How many from where.

    Returns:
        Scored lists, of the queries that have at least two candidates, one of which the teacher scores.

    Raises:
        ExamplesError: No query has.
    """
    if not len(sources.queries):
        raise ExamplesError("all queries are blank", remedy="Check data.queries")
    rankings: list[tuple[int, Rankings]] = []
    if mining.bm25:
        rankings.append((mining.bm25, sources.bm25_rankings))
    if mining.dense and sources.dense is not None:
        rankings.append((mining.dense, sources.dense_rankings(mining.dense)))
    if mining.splade and mining.index:
        rankings.append((mining.splade, sources.splade_rankings(Path(mining.index), mining.splade)))
    if not rankings:
        raise ExamplesError("nothing to mine from", remedy="Set mining.bm25, a dense teacher, or mining.index")
    candidates: dict[int, Rows] = {}
    for query in sources.queries:
        found = np.unique(np.concatenate([lists[query][0][:depth] for depth, lists in rankings]))
        if len(found) > 1:
            candidates[int(query)] = found
    if not candidates:
        raise ExamplesError(
            "no query has two candidates", remedy="Check that passages and queries are of the same collection"
        )
    if left_out := len(sources.queries) - len(candidates):
        _log.warning("%d queries have less than two candidates and are left out", left_out)
    teacher = sources.scorer(candidates)
    examples = []
    for query, rows in candidates.items():
        scores = teacher.scores(np.array([query]), rows)[0]
        if scores.any():
            order = np.argsort(-scores, kind="stable")[: mining.depth]
            examples.append(Example(query, rows[order], scores[order]))
    if not examples:
        raise ExamplesError(
            "the teacher scores none of the candidates that were mined",
            remedy="Check that teacher.scores is of the same queries and passages, or add teacher.bm25 or another teacher",
        )
    if left_out := len(candidates) - len(examples):
        _log.warning("%d queries have no candidate that the teacher scores and are left out", left_out)
    return examples


def _open_dense_encoder(name: str, max_length: int, device: str) -> Any:
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(name, device=device)
    except Exception as error:  # hub and parsers raise whatever they do
        raise ModelError(f"{name}: cannot load a dense encoder: {str(error).splitlines()[0]}") from error
    model.max_seq_length = max_length
    return model


def _open_cross_encoder(name: str, max_length: int, device: str) -> Any:
    from sentence_transformers import CrossEncoder

    try:
        return CrossEncoder(name, max_length=max_length, device=device)
    except Exception as error:
        raise ModelError(f"{name}: cannot load a cross-encoder: {str(error).splitlines()[0]}") from error
