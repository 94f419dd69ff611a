"""What retrieval costs, in the measures of the papers: FLOPS, terms, postings and bytes, and the time of a query.

**FLOPS** is SPLADE's (arXiv 2107.05720 and 2109.10086, after 2004.05665): the multiplications that an average query takes
with an average document, Σ over terms of p_q(term) · p_d(term), where p is the share of the queries, or of the documents, that
have the term. Over an index that is the mean number of postings in a query's lists, divided by the documents. What an engine
skips, or what a posting costs, is no part of it: that is what :class:`SearchCosts` measures.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from splade_lucene.errors import QueryError
from splade_lucene.index.accelerator import accelerator_bytes
from splade_lucene.index.reader import LuceneImpactIndexReader, TermStatistics
from splade_lucene.records import Vector

Q = TypeVar("Q")


class CountedIndex(Protocol):
    """An open index that knows its counts: :class:`LuceneImpactIndexReader`, or :class:`splade_lucene.Bm25Searcher`."""

    def statistics(self) -> dict[str, Any]:
        """Counts: documents, deleted_documents, postings, bytes, and others."""
        ...

    def terms(self) -> list[TermStatistics]:
        """All terms with their document frequencies."""
        ...


@dataclass(frozen=True)
class Efficiency:
    """What an index holds, and what it costs a query to look through it; a function of index and queries alone.

    Attributes:
        documents: Documents of the index.
        postings: Postings of all of them.
        document_terms: Mean number of distinct terms of a document.
        index_bytes: Bytes of Lucene's files a document.
        accelerator_bytes: Bytes of the accelerator a document; 0 if there is none.
        queries: Queries measured; 0 if there are none, and then the rest is None.
        query_terms: Mean number of distinct terms of a query, those that no document has included.
        query_postings: Mean number of postings in a query's lists, all of which an exhaustive search touches.
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
        """The measures as JSON holds them; those of queries only if there are queries."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class SearchCosts:
    """What searches took on one machine, one query after another on one thread. Times are in milliseconds.

    Attributes:
        queries: Queries timed.
        mean: Mean time.
        median: Its median.
        p99: Its 99th percentile.
        machine: What they ran on; times of different machines cannot be compared.
        postings_scored: Mean number of postings that the engine really added up, those with an impact above 255 in pieces;
            None where it does not tell.
    """

    queries: int
    mean: float
    median: float
    p99: float
    machine: str
    postings_scored: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The measures as JSON holds them."""
        return asdict(self)


def measure_efficiency(index: CountedIndex, queries: Sequence[Vector] = ()) -> Efficiency:
    """Measures an index, and queries against it, by the index's document frequencies.

    Args:
        index: An open impact index, or an open BM25 index.
        queries: Encoded queries, term → impact, of which those with an impact above 0 count; for a BM25 index what its
            ``analyze`` makes of texts. None: only the index is measured.

    Returns:
        The measures. Documents that were deleted since the last merge count as long as their postings are there.

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
    if not queries:
        return measured
    frequencies = {each.term: each.doc_freq for each in index.terms()}
    terms = [[term for term, impact in query.items() if impact > 0] for query in queries]
    postings = statistics.fmean(sum(frequencies.get(term, 0) for term in each) for each in terms)
    return replace(
        measured, queries=len(terms), query_terms=statistics.fmean(map(len, terms)), query_postings=postings,
        flops=postings / present,
    )  # fmt: skip


def measure_search(search: Callable[[Q], object], queries: Sequence[Q], *, rounds: int = 1) -> SearchCosts:
    """Times searches, one after another on this thread, after each has run once untimed.

    Args:
        search: Searches for one query, such as ``lambda query: searcher.search(query, 1000)``. Where its result has a
            ``profile`` (:class:`splade_lucene.Hits`), the postings that were added up are told, too.
        queries: What it is called with; at least one. Texts, and the encoder's time counts; vectors, and it does not.
        rounds: How often each query is timed.

    Raises:
        QueryError: There is no query.
    """
    if not queries:
        raise QueryError("there is no query to time", remedy="Give at least one")
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
    """What this machine is, for those who read its times: processor, cores, system."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"
