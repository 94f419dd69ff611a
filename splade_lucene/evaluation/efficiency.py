"""The cost of retrieval in the papers' measures: FLOPS, terms, postings and bytes, and query latency.

**FLOPS** is defined as for SPLADE (arXiv 2107.05720 and 2109.10086, after 2004.05665): the number of multiplications for an
average query and an average document, Σ over terms of p_q(term) · p_d(term), where p is the fraction of queries or documents
that have the term. For an index this is the mean number of postings in a query's lists, divided by the number of documents.
It does not account for postings that an engine skips, or for the cost of a posting; :class:`SearchCosts` measures those.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from splade_lucene.arguments import to_list
from splade_lucene.counts import counted
from splade_lucene.errors import QueryError
from splade_lucene.index.accelerator import accelerator_bytes
from splade_lucene.index.reader import LuceneImpactIndexReader, TermStatistics
from splade_lucene.records import Vector

Q = TypeVar("Q")


class CountedIndex(Protocol):
    """An open index with counts: :class:`LuceneImpactIndexReader`, or :class:`splade_lucene.Bm25Searcher`."""

    def statistics(self) -> dict[str, Any]:
        """Counts: documents, deleted_documents, postings, bytes, and others."""
        ...

    def terms(self) -> list[TermStatistics]:
        """All terms with their document frequencies."""
        ...


@dataclass(frozen=True)
class Efficiency:
    """Size of an index and cost of queries; depends only on the index and the queries, not on the machine.

    Attributes:
        documents: Number of documents in the index.
        postings: Total number of postings.
        document_terms: Mean number of distinct terms per document.
        index_bytes: Bytes of Lucene's files per document.
        accelerator_bytes: Bytes of the accelerator per document; 0 if there is none.
        queries: Number of queries measured; if 0, the remaining attributes are None.
        query_terms: Mean number of distinct terms per query, including terms that occur in no document.
        query_postings: Mean number of postings in a query's lists, all of which an exhaustive search visits.
        flops: SPLADE's FLOPS.
    """

    documents: int
    postings: int
    document_terms: float
    index_bytes: float
    accelerator_bytes: float
    queries: int = 0
    query_terms: float | None = None
    query_postings: float | None = None
    flops: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The measures as plain data; those of queries only if there are queries."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class SearchCosts:
    """Search times on one machine, one query after another on one thread. Times are in milliseconds.

    Attributes:
        queries: Number of queries timed.
        mean: Mean time.
        median: Median time.
        p99: 99th percentile of the times.
        machine: The machine; times from different machines are not comparable.
        postings_scored: Mean number of postings scored by the engine, where postings with an impact above 255 count in
            pieces; None if the engine does not report it.
    """

    queries: int
    mean: float
    median: float
    p99: float
    machine: str
    postings_scored: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The measures as plain data."""
        return asdict(self)


def measure_efficiency(index: CountedIndex, queries: Iterable[Vector] = ()) -> Efficiency:
    """Measures an index, and queries against it, using the index's document frequencies.

    Args:
        index: An open impact index or BM25 index.
        queries: Encoded queries, term → impact, where only impacts above 0 count; for a BM25 index, the results of its
            ``analyze``. Empty: only the index is measured.

    Returns:
        The measures. Deleted documents count until their postings are merged away.

    Example:
        >>> from splade_lucene import LuceneImpactIndexer, LuceneImpactIndexReader, PseudoDocument
        >>> index_dir = getfixture("tmp_path") / "index"
        >>> with LuceneImpactIndexer(index_dir) as indexer:
        ...     indexer.add([PseudoDocument("d1", "", {"cat": 3}), PseudoDocument("d2", "", {"cat": 1, "dog": 2})])
        >>> with LuceneImpactIndexReader(index_dir) as index:
        ...     measured = measure_efficiency(index, [{"cat": 5, "fish": 1}, {"cat": 1, "dog": 1}, {"dog": 9}])
        >>> measured.document_terms, round(measured.query_terms, 3), measured.query_postings, measured.flops
        (1.5, 1.667, 2.0, 1.0)
    """
    counts = index.statistics()
    present = max(1, counts["documents"] + counts["deleted_documents"])
    documents = max(1, counts["documents"])
    accelerator = accelerator_bytes(index) if isinstance(index, LuceneImpactIndexReader) else 0
    measured = Efficiency(
        counts["documents"], counts["postings"], counts["postings"] / present,
        counts["bytes"] / documents, accelerator / documents,
    )  # fmt: skip
    queries = to_list(queries, "queries", error=QueryError)
    if not queries:
        return measured
    frequencies = {each.term: each.doc_freq for each in index.terms()}
    terms = [[term for term, impact in query.items() if impact > 0] for query in queries]
    postings = statistics.fmean(sum(frequencies.get(term, 0) for term in each) for each in terms)
    return replace(
        measured, queries=len(terms), query_terms=statistics.fmean(map(len, terms)), query_postings=postings,
        flops=postings / present,
    )  # fmt: skip


def measure_search(search: Callable[[Q], object], queries: Iterable[Q], *, rounds: int = 1) -> SearchCosts:
    """Times searches one after another on this thread, after an untimed warm-up run of each.

    Args:
        search: Searches for one query, such as ``lambda query: searcher.search(query, 1000)``. If its result has a
            ``profile`` (:class:`splade_lucene.Hits`), the number of scored postings is reported as well.
        queries: Arguments for ``search``; at least one. With texts, the times include encoding; with vectors, they do not.
        rounds: Number of times each query is timed.

    Raises:
        QueryError: No queries are given.
    """
    queries = to_list(queries, "queries", error=QueryError)
    if not queries:
        raise QueryError("no query was given to time", remedy="Give at least one")
    scored = [profile.postings_scored for query in queries if (profile := getattr(search(query), "profile", None))]
    times = []
    for _ in range(max(1, rounds)):
        for query in queries:
            start = time.perf_counter_ns()
            search(query)
            times.append((time.perf_counter_ns() - start) / 1e6)
    return SearchCosts(
        len(queries), statistics.fmean(times), statistics.median(times), float(np.percentile(times, 99)), name_machine(),
        statistics.fmean(scored) if len(scored) == len(queries) else None,
    )  # fmt: skip


def name_machine() -> str:
    """Describes this machine: CPU, cores and operating system."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {counted(os.cpu_count() or 1, 'core')}, {platform.system()}"
