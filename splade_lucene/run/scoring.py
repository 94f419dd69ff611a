"""Scores given pairs of queries and documents: the hits of another system, or any pairs of qid and docid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from splade_lucene.arguments import to_list, to_ordered_list, to_path
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_SHOWN, QUERY_BATCH, thread_count
from splade_lucene.errors import QueryError, RunError
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.ids import check_id
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.records import Query
from splade_lucene.run.formats import looks_like
from splade_lucene.run.run import Run, read_lines

Pairs = Mapping[str, Iterable[str]]
"""qid → docids."""

Scored = dict[str, list[tuple[str, int]]]
"""qid → (docid, score) of each pair, in the order of the pairs."""


class PairScorer(Protocol):
    """Any object that scores documents for several queries at once, such as our searcher."""

    @property
    def score_known(self) -> Callable[..., list[dict[str, int]]]:
        """Takes queries, lists of docids and the number of threads; returns {docid: score} of each query."""
        ...


def read_pairs(path: str | Path) -> dict[str, list[str]]:
    """Reads pairs: the hits of a run file, or lines of qid and docid, separated by white space.

    Args:
        path: The file; its format is detected from the first line.

    Returns:
        qid → docids, without duplicates; those of lines in the order of the file.

    Raises:
        RunError: The file cannot be read, or a line is malformed.
    """
    path = to_path(path, error=RunError)
    pairs: dict[str, dict[str, None]] = {}
    for number, line in read_lines(path):
        columns = line.split()
        if len(columns) != 2 or (not pairs and looks_like(line) == "json"):
            if pairs:
                raise RunError(
                    f"expected two columns (qid, docid), found {len(columns)}", path=path, line=number,
                    remedy="Write two columns in all lines, or a run",
                )  # fmt: skip
            return {qid: [docid for docid, _ in ranking] for qid, ranking in Run.read(path).items()}
        pairs.setdefault(columns[0], {})[columns[1]] = None
    if not pairs:
        raise RunError("no pairs in this file", path=path, remedy="Check that it is the right file")
    return {qid: [*docids] for qid, docids in pairs.items()}


def score_pairs(
    searcher: PairScorer,
    queries: Iterable[Query],
    pairs: Pairs,
    *,
    threads: int | None = None,
    k: int = HITS_SHOWN,
    filter: Any = None,
    progress: Progress = NO_PROGRESS,
) -> tuple[Scored, dict[str, list[str]]]:
    """Scores pairs of queries and documents, as an exact search would.

    Args:
        searcher: The searcher.
        queries: The queries, in any form; those without pairs are ignored.
        pairs: qid → docids.
        threads: Number of threads; None for one per core.
        k: With relevance feedback, the number of hits of the search that expands the query; see
            :meth:`splade_lucene.LuceneImpactSearcher.expand`.
        filter: Likewise the filter of that search.
        progress: Reports the progress.

    Returns:
        qid → (docid, score) of each of its documents, in their order, and 0 if no term is shared; and the docids that are
        not in the index, by qid.

    Raises:
        QueryError: A query is malformed, or ``queries`` lacks one that has pairs.

    Example:
        >>> from splade_lucene import LuceneImpactIndexer, LuceneImpactSearcher, PseudoDocument, Query, score_pairs
        >>> index_dir = getfixture("tmp_path") / "index"
        >>> with LuceneImpactIndexer(index_dir) as indexer:
        ...     indexer.add([PseudoDocument("d1", "", {"cat": 7}), PseudoDocument("d2", "", {"dog": 5})])
        >>> with LuceneImpactSearcher(index_dir) as searcher:
        ...     score_pairs(searcher, [Query("q1", "", {"cat": 3})], {"q1": ["d2", "d1", "d9"]})
        ({'q1': [('d2', 0), ('d1', 21)]}, {'q1': ['d9']})
    """
    if not isinstance(pairs, Mapping):
        raise QueryError(f"expected a mapping of qids to docids, got {pairs!r:.80}", remedy='Pass {"q1": ["d1", …], …}')
    known = {query.qid: query for query in to_list(queries, "queries", error=QueryError)}
    if missing := [qid for qid in pairs if qid not in known]:
        raise QueryError(
            f"the pairs have {counted(len(missing), 'qid')} without a query, such as {missing[0]!r}",
            remedy="Pass the queries to which the pairs belong",
        )
    given = {qid: to_ordered_list(docids, "docids") for qid, docids in pairs.items()}
    scored: Scored = {}
    unknown: dict[str, list[str]] = {}
    with progress.step("scoring", len(pairs), "queries") as advance:
        qids = [*pairs]
        for start in range(0, len(qids), QUERY_BATCH):
            batch = qids[start : start + QUERY_BATCH]
            found = searcher.score_known(
                [known[qid].content for qid in batch], [given[qid] for qid in batch], thread_count(threads), k=k,
                filter=filter,
            )  # fmt: skip
            for qid, scores in zip(batch, found, strict=True):
                scored[qid] = [*scores.items()]
                if absent := [docid for docid in given[qid] if docid not in scores]:
                    unknown[qid] = absent
            advance(len(batch))
    return scored, unknown


def write_scores(path: str | Path, scored: Scored) -> None:
    """Writes scores as lines of qid, docid and score, separated by tabs, in their order.

    Unlike those of a run, the scores are the exact integers. The file gets its name only when it is complete.

    Raises:
        RunError: A qid or docid is not a valid id, and could not be read back.
        StorageError: The file cannot be written.
    """
    for each in chain(scored, (docid for ranking in scored.values() for docid, _ in ranking)):
        check_id(each, error=RunError)
    with atomic_text_writer(to_path(path, error=RunError)) as file:
        for qid, ranking in scored.items():
            file.writelines(f"{qid}\t{docid}\t{score}\n" for docid, score in ranking)
