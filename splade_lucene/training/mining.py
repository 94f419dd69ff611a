"""Mines candidates of queries from BM25, a dense encoder, a SPLADE index and a file of scores; a teacher ranks them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.location import CHECK_NAME
from splade_lucene.errors import ConfigError, ExamplesError, ModelError, first_line
from splade_lucene.files.locks import lock
from splade_lucene.ids import best_first
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.index.texts import index_texts
from splade_lucene.progress import Progress
from splade_lucene.records import Document, Query
from splade_lucene.run.searching import BatchSearcher, search_run
from splade_lucene.search.bm25 import Bm25Searcher
from splade_lucene.search.hits import Hit
from splade_lucene.training.examples import Example, Missing, Texts, read_scores
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
from splade_lucene.white_space import is_blank

if TYPE_CHECKING:
    from splade_lucene.training.config import Mining, Teacher

_log = logging.getLogger(__name__)
BM25_DEPTH = 500
"""Number of passages per query with a BM25 score for the teacher; the others score 0."""
SCORES_REMEDY = "Add the scores, add teacher.bm25 or another teacher, or leave these out with data.missing_scores: drop"
"""What to do about queries of which a file of scores says nothing."""

_QUERIES_AT_ONCE = 500
_PASSAGES_AT_ONCE = 100_000

Follow = Callable[[str], Progress]
"""Returns the progress of a job, given what it is for; see :meth:`splade_lucene.training.progress.TrainingProgress.follow`."""

Candidates = Mapping[int, Rows]
"""Row of a query → rows of its candidates."""


class Sources:
    """Sources of candidates and scores for queries, computed on first use.

    Args:
        texts: All queries and passages.
        queries: Rows of the queries to mine for; blank ones are skipped.
        teacher: The teacher; None if there is none.
        folder: Where vectors, scores and the BM25 index are kept, so that a killed run can reuse them.
        device: Device of the teachers.
        follow: Follows the progress of each job.
    """

    def __init__(
        self, texts: Texts, queries: Rows, teacher: Teacher | None, folder: Path, device: str, follow: Follow
    ) -> None:
        self.texts, self.settings = texts, teacher
        self.queries = np.array([row for row in queries.tolist() if not is_blank(texts.queries[row])], np.int64)
        if skipped := len(queries) - len(self.queries):
            _log.warning("skipped blank queries: %d", skipped)
        self._folder, self._device, self._follow = folder, device, follow

    @cached_property
    def dense(self) -> DenseScorer | None:
        """The dense teacher; None if there is none."""
        if self.settings is None or not self.settings.dense:
            return None
        model = _open_dense_encoder(self.settings.dense, self.settings.max_length, self._device)

        def embed(texts: Sequence[str], kind: str) -> NDArray[np.float16]:
            with self._follow(kind).step("embedding", len(texts), "documents") as advance:
                return embed_texts(texts, model, self._folder / "embeddings", advance)

        return DenseScorer(embed(self.texts.queries, "queries"), embed(self.texts.passages, "passages"))

    @cached_property
    def bm25_rankings(self) -> Rankings:
        """The best passages by BM25 for each query of the collection; empty for queries that are not mined."""
        index = self._folder / f"bm25-index-{self.texts.passages_digest}"
        self._folder.mkdir(parents=True, exist_ok=True)
        with index.with_name(f"{index.name}.lock").open("a") as file:
            lock(file, wait=True)  # a run that shares the cache may be building the same index
            if not index.is_dir():
                documents = (Document(str(row), text) for row, text in enumerate(self.texts.passages))
                index_texts(documents, index, progress=self._follow("for BM25"))
        with Bm25Searcher(index) as searcher:
            return self._search(searcher, BM25_DEPTH, "with BM25", lambda hit: int(hit.docid))

    def splade_rankings(self, index: Path, depth: int) -> Rankings:
        """The same from an impact index of the passages, with the model that built it.

        Raises:
            ConfigError: None of its documents is among the passages.
        """
        from splade_lucene.search.query_encoder import open_query_encoder
        from splade_lucene.search.searcher import LuceneImpactSearcher

        rows = self.texts.passage_rows
        with LuceneImpactSearcher(index, open_query_encoder(index)) as searcher:
            rankings = self._search(searcher, depth, "with SPLADE", lambda hit: rows.get(hit.docid))
        if not any(len(found) for found, _ in rankings):
            raise ConfigError(
                "the index has none of the passages in data.passages", path=index, remedy="Index the same passages"
            )
        return rankings

    def dense_rankings(self, depth: int) -> Rankings:
        """The same from the dense teacher."""
        rankings = [NO_RANKING] * len(self.texts.queries)
        if self.dense is None:
            return rankings
        count = len(self.texts.passages)
        best = np.zeros((len(self.queries), 0), np.int64)
        scores = np.zeros((len(self.queries), 0), np.float32)
        with self._follow("with the dense encoder").step("searching", count, "documents") as advance:
            for start in range(0, count, _PASSAGES_AT_ONCE):
                part = np.arange(start, min(count, start + _PASSAGES_AT_ONCE))
                best, scores = self._merge_best(self.dense, best, scores, part, depth)
                advance(len(part))
        for query, rows, values in zip(self.queries, best, scores, strict=True):
            order = np.argsort(-values, kind="stable")
            rankings[query] = (rows[order], values[order])
        return rankings

    @cached_property
    def scored(self) -> Rankings:
        """The passages in the teacher's file of scores, for each query.

        Raises:
            ConfigError: The file belongs to another collection.
        """
        assert self.settings is not None
        assert self.settings.scores is not None
        return ranked_by_file(self.settings.scores, self.texts)

    def scorer(self, candidates: Candidates) -> Ensemble:
        """The scorer of pairs.

        Args:
            candidates: The pairs for a cross-encoder to score.

        Raises:
            ConfigError: The run file of scores belongs to another collection.
        """
        settings = self.settings
        parts: list[tuple[float, Scorer]] = []
        if settings is None:
            return Ensemble(parts)
        if self.dense is not None:
            parts.append((settings.dense_weight, self.dense))
        if settings.bm25:
            parts.append((settings.bm25, RankedScorer(self.bm25_rankings, "best")))
        if settings.scores:
            parts.append((settings.scores_weight, RankedScorer(self.scored, "range")))
        if settings.cross_encoder:
            rankings = self._cross_encode(settings.cross_encoder, settings.max_length, candidates)
            parts.append((settings.cross_encoder_weight, RankedScorer(rankings, "range")))
        return Ensemble(parts)

    def _cross_encode(self, name: str, max_length: int, candidates: Candidates) -> Rankings:
        model = _open_cross_encoder(name, max_length, self._device)
        texts = self.texts
        pairs = [(texts.queries[query], texts.passages[row]) for query, rows in candidates.items() for row in rows]
        with self._follow("with the cross-encoder").step("scoring", len(pairs), "pairs") as advance:
            scores = score_pairs(pairs, model, self._folder / "cross-encoder", advance)
        rankings = [NO_RANKING] * len(texts.queries)
        start = 0
        for query, rows in candidates.items():
            rankings[query] = (rows, scores[start : start + len(rows)])
            start += len(rows)
        return rankings

    def _merge_best(
        self, dense: DenseScorer, best: Rows, scores: NDArray[np.float32], part: Rows, depth: int
    ) -> tuple[Rows, NDArray[np.float32]]:
        """Merges the best passages of each query so far with those of another part."""
        rows_found, scores_found = [], []
        for start in range(0, len(self.queries), _QUERIES_AT_ONCE):
            batch = slice(start, start + _QUERIES_AT_ONCE)
            new_scores = dense.scores(self.queries[batch], part)
            values = np.concatenate([scores[batch], new_scores], axis=1)
            rows = np.concatenate([best[batch], np.broadcast_to(part, new_scores.shape)], axis=1)
            kept = np.argpartition(-values, min(depth, values.shape[1]) - 1, axis=1)[:, :depth]
            rows_found.append(np.take_along_axis(rows, kept, axis=1))
            scores_found.append(np.take_along_axis(values, kept, axis=1))
        return np.concatenate(rows_found), np.concatenate(scores_found)

    def _search(
        self, searcher: BatchSearcher, depth: int, purpose: str, row_of: Callable[[Hit], int | None]
    ) -> Rankings:
        """Searches for all queries; hits without a row are dropped."""
        writer = _RowRankings(len(self.texts.queries), row_of)
        queries = (Query(str(row), self.texts.queries[row]) for row in self.queries)
        search_run(searcher, queries, writer, depth, progress=self._follow(purpose))
        return writer.rankings


class _RowRankings:
    """Rankings by the row of the query, of the rows of passages."""

    def __init__(self, queries: int, row_of: Callable[[Hit], int | None]) -> None:
        self.rankings = [NO_RANKING] * queries
        self._row_of = row_of

    def add(self, qid: str, ranking: Iterable[Hit]) -> None:
        found = [(row, hit.score) for hit in ranking if (row := self._row_of(hit)) is not None]
        self.rankings[int(qid)] = (
            np.array([row for row, _ in found], np.int64), np.array([score for _, score in found], np.float32),
        )  # fmt: skip


def ranked_by_file(path: str, texts: Texts) -> Rankings:
    """The passages in a teacher's file of scores, for each query, best first.

    Raises:
        ConfigError: The file belongs to another collection.
    """
    runs = {qid: best_first(scores) for qid, scores in read_scores(path).items()}
    rankings = rankings_by_row(runs, texts.qids, texts.passage_rows)
    if not any(len(rows) for rows, _ in rankings):
        raise ConfigError(
            "no query and passage of this run are in data.queries and data.passages", path=path,
            remedy="Check that it belongs to the same collection",
        )  # fmt: skip
    return rankings


def mine(sources: Sources, mining: Mining, *, missing: Missing = "refuse", is_distilled: bool = False) -> list[Example]:
    """Mines the candidates of each query and ranks them with the teacher.

    Args:
        sources: Sources of candidates and scores.
        mining: Number of candidates per source.
        missing: What happens to queries of which the teacher scores no candidate; see :class:`Data`.
        is_distilled: Whether a loss needs the scores. Then candidates that the teacher does not score are dropped, and so are
            queries without two candidates of different scores; otherwise such candidates come last, without a score.

    Returns:
        Scored lists for all queries that have at least two candidates, one of which the teacher scores.

    Raises:
        ExamplesError: No query qualifies, or some do not and ``missing`` is ``refuse``.
    """
    candidates = _candidates(sources, mining)
    teacher = sources.scorer(candidates)
    examples, unscored = [], []
    for query, rows in candidates.items():
        scores = teacher.scores(np.array([query]), rows)[0]
        order = np.argsort(-scores, kind="stable")[: mining.depth]  # NaN is last
        if is_distilled:
            order = order[~np.isnan(scores[order])]
        if (
            np.isnan(scores).all()
            or not np.nan_to_num(scores).any()
            or (is_distilled and not np.ptp(scores[order]) > 0)
        ):
            unscored.append(query)
        else:
            examples.append(Example(query, rows[order], scores[order]))
    if not examples:
        raise ExamplesError(
            "the teacher scores none of the mined candidates",
            remedy="Check that teacher.scores belongs to these queries and passages, or add teacher.bm25 or another teacher",
        )
    if unscored and missing == "refuse" and sources.settings is not None and sources.settings.scores:
        raise ExamplesError(
            f"{len(unscored):,} of {len(candidates):,} queries have no {_NEEDED[is_distilled]}. This is the first one: "
            f"{sources.texts.qids[unscored[0]]!r:.80}",
            path=sources.settings.scores, remedy=SCORES_REMEDY,
        )  # fmt: skip
    if unscored:
        _log.warning("skipped queries without a %s: %d", _NEEDED[is_distilled], len(unscored))
    return examples


_NEEDED = {
    False: "candidate scored by the teacher",
    True: "pair of candidates to which the teacher gives different scores",
}
"""What a query needs; by whether the scores are distilled."""


def _candidates(sources: Sources, mining: Mining) -> dict[int, Rows]:
    """The candidates of each query that has at least two.

    Raises:
        ExamplesError: No query has two candidates.
    """
    if not len(sources.queries):
        raise ExamplesError("all queries are blank", remedy="Check data.queries")
    rankings = _rankings(sources, mining)
    if not rankings:
        raise ExamplesError(
            "no source of candidates", remedy="Set mining.bm25, teacher.dense, teacher.scores or mining.index"
        )
    candidates: dict[int, Rows] = {}
    for query in sources.queries:
        found = np.unique(np.concatenate([lists[query][0][:depth] for depth, lists in rankings]))
        if len(found) > 1:
            candidates[int(query)] = found
    if not candidates:
        raise ExamplesError(
            "no query has two candidates", remedy="Check that passages and queries belong to the same collection"
        )
    if skipped := len(sources.queries) - len(candidates):
        _log.warning("skipped queries with fewer than two candidates: %d", skipped)
    return candidates


def _rankings(sources: Sources, mining: Mining) -> list[tuple[int, Rankings]]:
    """The rankings of each source that is used, and how much of them."""
    rankings: list[tuple[int, Rankings]] = []
    if mining.bm25:
        rankings.append((mining.bm25, sources.bm25_rankings))
    if mining.dense and sources.dense is not None:
        rankings.append((mining.dense, sources.dense_rankings(mining.dense)))
    if mining.splade and mining.index:
        rankings.append((mining.splade, sources.splade_rankings(Path(mining.index), mining.splade)))
    if mining.scores and sources.settings is not None and sources.settings.scores:
        rankings.append((mining.scores, sources.scored))
    return rankings


@uninterrupted_imports()
def _open_dense_encoder(name: str, max_length: int, device: str) -> Any:
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(name, device=device)
    except Exception as error:  # the hub and the parsers raise all kinds of exceptions
        raise ModelError(f"{name}: cannot load a dense encoder: {first_line(error)}. {CHECK_NAME}") from error
    model.max_seq_length = max_length
    return model


@uninterrupted_imports()
def _open_cross_encoder(name: str, max_length: int, device: str) -> Any:
    from sentence_transformers import CrossEncoder

    try:
        return CrossEncoder(name, max_length=max_length, device=device)
    except Exception as error:
        raise ModelError(f"{name}: cannot load a cross-encoder: {first_line(error)}. {CHECK_NAME}") from error
