"""Makes a run from many queries, with any searcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from splade_lucene.arguments import to_list
from splade_lucene.defaults import HITS_IN_RUN, QUERY_BATCH, thread_count
from splade_lucene.errors import QueryError
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.records import Query


class BatchSearcher(Protocol):
    """Any object that searches for several queries at once, such as our searchers."""

    @property
    def batch_search(self) -> Callable[..., Mapping[str, Any]]:
        """Takes queries, qids, k and the number of threads; returns the hits by qid."""
        ...


class RankingWriter(Protocol):
    """Any object that accepts rankings, such as :class:`splade_lucene.run.run.RunWriter` or :class:`CollectedRankings`."""

    def add(self, qid: str, ranking: Any) -> None:
        """Adds the hits of one query, best first."""
        ...


class CollectedRankings(dict[str, Any]):
    """Rankings by qid, stored in memory."""

    def add(self, qid: str, ranking: Any) -> None:
        """Adds a ranking."""
        self[qid] = ranking


def search_run(  # noqa: PLR0913 - all but the first four are keywords with defaults
    searcher: BatchSearcher,
    queries: Iterable[Query],
    writer: RankingWriter,
    k: int = HITS_IN_RUN,
    *,
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
    transform: Callable[[str, Any], Any] | None = None,
    on_batch: Callable[[Mapping[str, Any], Mapping[str, Any]], None] | None = None,
    progress: Progress = NO_PROGRESS,
) -> list[str]:
    """Searches for many queries and writes their rankings.

    Args:
        searcher: The searcher.
        queries: The queries: texts, conversations or encoded queries.
        writer: Receives the rankings, in the order of the queries.
        k: Maximum number of hits per query.
        threads: Number of search threads; None for one per core.
        options: Further arguments for the searcher's ``batch_search``, such as ``filter``.
        transform: Called with the qid and hits of each query; its result is written instead of the hits.
        on_batch: Called after each batch with its queries and their hits, both by qid.
        progress: Reports the progress.

    Returns:
        The qids of queries without hits; TREC and MS MARCO run files have no lines for them.

    Raises:
        QueryError: A query is malformed, or two have the same qid.

    Example:
        >>> from splade_lucene import Bm25Searcher, Document, Query, index_texts, open_run_writer, search_run
        >>> folder = getfixture("tmp_path")
        >>> _ = index_texts([Document("d1", "a cat"), Document("d2", "a dog")], folder / "index")
        >>> with Bm25Searcher(folder / "index") as searcher, open_run_writer(folder / "run.trec") as writer:
        ...     search_run(searcher, [Query("q1", "cats"), Query("q2", "fish")], writer)
        ['q2']
    """
    queries = to_list(queries, "queries", error=QueryError)
    for query in queries:
        if not isinstance(query, Query):
            raise QueryError(f"expected a Query, got {query!r:.80}", remedy="Pass Query(qid, text)")
    qids = [query.qid for query in queries]
    if len(set(qids)) < len(qids):
        duplicate = next(qid for qid in qids if qids.count(qid) > 1)
        raise QueryError(f"duplicate qid {duplicate!r}", remedy="Make all qids unique")
    without_hits = []
    with progress.step("searching", len(queries), "queries") as advance:
        for start in range(0, len(queries), QUERY_BATCH):
            batch = queries[start : start + QUERY_BATCH]
            contents = [query.content for query in batch]
            batch_qids = qids[start : start + QUERY_BATCH]
            found = searcher.batch_search(contents, batch_qids, k, thread_count(threads), **(options or {}))
            if on_batch:
                on_batch(dict(zip(batch_qids, contents, strict=True)), found)
            for qid in batch_qids:
                ranking = transform(qid, found[qid]) if transform else found[qid]
                writer.add(qid, ranking)
                if not len(ranking):
                    without_hits.append(qid)
            advance(len(batch))
    return without_hits
