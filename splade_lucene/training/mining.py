"""Candidates of queries from BM25, a dense encoder and our own SPLADE index, put in order by a teacher."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene import bm25
from splade_lucene.errors import ConfigError, ExamplesError, MissingDependencyError, ModelError
from splade_lucene.records import Document, Query
from splade_lucene.run import Run
from splade_lucene.training.embeddings import embed_texts
from splade_lucene.training.examples import Example, Texts
from splade_lucene.training.teachers import DenseScorer, Ensemble, RankedScorer, Rankings, Rows, Scorer, rankings_by_row

if TYPE_CHECKING:
    from splade_lucene.training.config import Mining, Teacher

_log = logging.getLogger(__name__)
BM25_DEPTH = 500
"""Passages of a query whose BM25 scores a teacher knows; the others count 0."""
_QUERIES_AT_ONCE = 500

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Tells nobody."""


class Sources:
    """What candidates and scores of some queries come from; each is computed when it is first asked for.

    Args:
        texts: All queries and passages.
        queries: Rows of the queries in question.
        teacher: What scores.
        folder: Where vectors and the BM25 index are kept, so that a killed run finds them again.
        progress: Told how far it is.
    """

    def __init__(
        self, texts: Texts, queries: Rows, teacher: Teacher | None, folder: Path, progress: Progress = no_progress
    ) -> None:
        self.texts, self.queries, self.settings = texts, queries, teacher
        self._folder, self._progress = folder, progress

    @cached_property
    def dense(self) -> DenseScorer | None:
        """The dense teacher; None if there is none."""
        if self.settings is None or not self.settings.dense:
            return None
        name, length = self.settings.dense, self.settings.max_length
        model = _open_dense_encoder(name, length)
        folder = self._folder / "embeddings"

        def embed(texts: Sequence[str], what: str) -> NDArray[np.float16]:
            done = 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                self._progress(f"embedding {what}", done, len(texts))

            return embed_texts(texts, model, folder, progress=advance)

        return DenseScorer(embed(self.texts.queries, "queries"), embed(self.texts.passages, "passages"))

    @cached_property
    def bm25_rankings(self) -> Rankings:
        """For each query of the collection, its best passages by BM25; empty for those not in question."""
        index = self._folder / f"bm25-index-{self.texts.passages_digest}"
        if not index.is_dir():
            self._progress("indexing for BM25", 0, len(self.texts.passages))
            numbered = (Document(str(row), text) for row, text in enumerate(self.texts.passages))
            bm25.index_texts(numbered, index)

        def search(queries: list[Query]) -> dict[str, list[tuple[str, float]]]:
            return bm25.search_texts(index, queries, BM25_DEPTH)

        return self._search("BM25", search)

    def splade_rankings(self, index: Path, depth: int) -> Rankings:
        """The same from an impact index of the passages, with the model that it was made with."""
        from splade_lucene.encoder import open_query_encoder
        from splade_lucene.searcher import LuceneImpactSearcher

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
        empty = (np.zeros(0, np.int64), np.zeros(0, np.float32))
        rankings = [empty] * len(self.texts.queries)
        if self.dense is None:
            return rankings
        everything = np.arange(len(self.texts.passages))
        passages = self.dense.passage_vectors.astype(np.float32).T.copy()
        depth = min(depth, len(everything))
        for start in range(0, len(self.queries), _QUERIES_AT_ONCE):
            part = self.queries[start : start + _QUERIES_AT_ONCE]
            scores = self.dense.query_vectors[part].astype(np.float32) @ passages
            best = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
            for query, row, found in zip(part, scores, best, strict=True):
                order = found[np.argsort(-row[found], kind="stable")]
                rankings[query] = (order.astype(np.int64), row[order])
            self._progress("searching dense", min(len(self.queries), start + len(part)), len(self.queries))
        return rankings

    @cached_property
    def scorer(self) -> Ensemble | None:
        """What scores any pair; None without a teacher. A cross-encoder joins when the candidates are known."""
        return None if self.settings is None else Ensemble(self._parts(self.settings))

    def _parts(self, settings: Teacher) -> list[tuple[float, Scorer]]:
        count = len(self.texts.passages)
        parts: list[tuple[float, Scorer]] = []
        if self.dense is not None:
            parts.append((settings.dense_weight, self.dense))
        if settings.bm25:
            parts.append((settings.bm25, RankedScorer(self.bm25_rankings, count, is_absolute=True)))
        if settings.scores:
            run = {qid: list(hits) for qid, hits in Run.read(settings.scores).items()}
            rankings = rankings_by_row(run, self.texts.qids, self.texts.passage_rows)
            if not any(len(rows) for rows, _ in rankings):
                raise ConfigError(
                    "no query and passage of this run are among data.queries and data.passages",
                    path=settings.scores, remedy="Check that it is of the same collection",
                )  # fmt: skip
            parts.append((settings.scores_weight, RankedScorer(rankings, count, is_absolute=False)))
        return parts

    def with_cross_encoder(self, candidates: dict[int, Rows]) -> Ensemble:
        """The teacher, with a cross-encoder's scores of the candidates if there is one."""
        assert self.settings is not None
        parts = self._parts(self.settings)
        if self.settings.cross_encoder:
            rankings = self._cross_encode(self.settings.cross_encoder, self.settings.max_length, candidates)
            scorer = RankedScorer(rankings, len(self.texts.passages), is_absolute=False)
            parts.append((self.settings.cross_encoder_weight, scorer))
        return Ensemble(parts)

    def _cross_encode(self, name: str, max_length: int, candidates: dict[int, Rows]) -> Rankings:
        model = _open_cross_encoder(name, max_length)
        empty = (np.zeros(0, np.int64), np.zeros(0, np.float32))
        rankings = [empty] * len(self.texts.queries)
        for done, (query, rows) in enumerate(candidates.items(), 1):
            pairs = [(self.texts.queries[query], self.texts.passages[row]) for row in rows]
            scores = np.asarray(model.predict(pairs, show_progress_bar=False), np.float32).reshape(len(pairs), -1)[
                :, -1
            ]
            if not np.isfinite(scores).all():
                raise ModelError(f"{name}: the cross-encoder yields scores that are not finite. Check its weights.")
            rankings[query] = (rows, scores)
            if done % 100 == 0 or done == len(candidates):
                self._progress("scoring with the cross-encoder", done, len(candidates))
        return rankings

    def _search(self, what: str, search: Callable[[list[Query]], dict[str, list[tuple[str, float]]]]) -> Rankings:
        empty = (np.zeros(0, np.int64), np.zeros(0, np.float32))
        rankings = [empty] * len(self.texts.queries)
        for start in range(0, len(self.queries), _QUERIES_AT_ONCE):
            part = self.queries[start : start + _QUERIES_AT_ONCE]
            found = search([Query(str(row), self.texts.queries[row]) for row in part])
            for row in part:
                hits = found.get(str(row), [])
                passages = np.array([int(docid) for docid, _ in hits], np.int64)
                rankings[row] = (passages, np.array([score for _, score in hits], np.float32))
            self._progress(f"searching {what}", min(len(self.queries), start + len(part)), len(self.queries))
        return rankings


def mine(sources: Sources, mining: Mining, progress: Progress = no_progress) -> list[Example]:
    """The candidates of each query in the teacher's order.

    Args:
        sources: Where candidates and scores come from.
        mining: How many from where.
        progress: Told how far it is.

    Returns:
        Scored lists, of the queries that have at least two candidates.

    Raises:
        ExamplesError: No query has.
    """
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
    teacher = sources.with_cross_encoder(candidates)
    examples = []
    for done, (query, rows) in enumerate(candidates.items(), 1):
        scores = teacher.scores(np.array([query]), rows)[0]
        order = np.argsort(-scores, kind="stable")[: mining.depth]
        examples.append(Example(query, rows[order], scores[order]))
        if done % 1000 == 0:
            progress("ordering candidates", done, len(candidates))
    if not examples:
        raise ExamplesError(
            "no query has two candidates", remedy="Check that passages and queries are of the same collection"
        )
    left_out = len(sources.queries) - len(examples)
    if left_out:
        _log.warning("%d queries have less than two candidates and are left out", left_out)
    return examples


def _open_dense_encoder(name: str, max_length: int) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingDependencyError(_TRAIN) from None
    try:
        model = SentenceTransformer(name)
    except Exception as error:  # hub and parsers raise whatever they do
        raise ModelError(f"{name}: cannot load a dense encoder: {str(error).splitlines()[0]}") from error
    model.max_seq_length = max_length
    return model


def _open_cross_encoder(name: str, max_length: int) -> Any:
    try:
        from sentence_transformers import CrossEncoder
    except ImportError:
        raise MissingDependencyError(_TRAIN) from None
    try:
        return CrossEncoder(name, max_length=max_length)
    except Exception as error:
        raise ModelError(f"{name}: cannot load a cross-encoder: {str(error).splitlines()[0]}") from error


_TRAIN = "training needs sentence-transformers: run 'pip install splade-lucene[train]'."
