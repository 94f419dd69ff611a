"""Searches the shards of an index on a Ray cluster, each in a process of its own; the hits are those of the whole index."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from splade_lucene.arguments import to_ordered_list
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.distributed.cluster import LOCAL, RayCluster, Session, kill_all
from splade_lucene.distributed.java import JAVA_PROCESS_BYTES, processes_per_node
from splade_lucene.distributed.pool import result_of
from splade_lucene.distributed.reader import ShardedReader, ShardGroup, added
from splade_lucene.distributed.shard import Ranking, ShardProcess
from splade_lucene.errors import IndexAccessError, InputError, QueryError, SpladeLuceneError
from splade_lucene.fields.expression import Filter
from splade_lucene.fields.values import FieldType
from splade_lucene.fork_guard import ProcessBound
from splade_lucene.ids import hit_order
from splade_lucene.index.joined import IndexDirs, to_index_paths
from splade_lucene.records import Contribution, Vector, shared_terms
from splade_lucene.search.approximation import Approximation
from splade_lucene.search.checks import Engine, check_batch, check_k, check_settings
from splade_lucene.search.hits import Hits, StoredDocument, find_document
from splade_lucene.search.queries import (
    QueryEncoder,
    Text,
    check_encoder,
    check_no_fields,
    encode_queries,
    encode_query,
    quantize_query,
    queries_at_once,
)
from splade_lucene.search.query_encoder import matching_query_encoder

_RESTARTS = 3


class RayShards:
    """Shards in actors of a cluster.

    Args:
        cluster: The cluster.
        paths: The folder of each shard, which all nodes have to see.
        engine: See :class:`splade_lucene.LuceneImpactSearcher`.
        cache_bytes: Likewise.
    """

    def __init__(self, cluster: RayCluster, paths: Sequence[Path], engine: Engine, cache_bytes: int | None) -> None:
        cluster = cluster.without_gpus()
        if cluster.address == LOCAL and cluster.workers is None:
            cluster = replace(cluster, workers=len(paths))  # if there are fewer cores than shards, shards share them
        self._cluster, self._paths = cluster, paths
        self._commits = [""] * len(paths)
        self._resources = ExitStack()
        try:
            self._session = self._resources.enter_context(cluster.connected())
            _check_places(self._session, len(paths))
            processes = processes_per_node(self._session, len(paths))
            make = self._session.ray.remote(
                num_cpus=cluster.cpus, num_gpus=0, memory=JAVA_PROCESS_BYTES, scheduling_strategy="SPREAD",
                max_restarts=_RESTARTS, max_task_retries=_RESTARTS, max_concurrency=cluster.threads + 1,
            )(ShardProcess)  # fmt: skip
            self._actors = [make.remote(path.resolve(), engine, cache_bytes, processes) for path in paths]
            self._resources.callback(kill_all, self._session.ray, self._actors)
            self._commits = [facts.commit for facts in self.ask_all("facts")]
        except BaseException:
            self._resources.close()
            raise

    def ask_all(self, method: str, *arguments: Any) -> list[Any]:
        """Asks all shards at the same time."""
        shared = [self._session.ray.put(each) for each in arguments]
        calls = [
            actor.call.remote(commit, method, *shared)
            for actor, commit in zip(self._actors, self._commits, strict=True)
        ]
        return [self._answer(number, call) for number, call in enumerate(calls)]

    def ask(self, number: int, method: str, *arguments: Any) -> Any:
        """Asks one shard."""
        return self._answer(number, self._actors[number].call.remote(self._commits[number], method, *arguments))

    def _answer(self, number: int, call: Any) -> Any:
        ray = self._session.ray
        try:
            outcome = ray.get(call, timeout=self._cluster.timeout)
        except ray.exceptions.GetTimeoutError as error:
            raise SpladeLuceneError(
                f"{self._paths[number]}: the shard has not answered for {self._cluster.timeout:g} seconds; "
                f"{self._session.ray.available_resources().get('CPU', 0):g} CPUs of the Ray cluster are free. Check its nodes."
            ) from error
        except ray.exceptions.RayError as error:
            raise SpladeLuceneError(
                f"{self._paths[number]}: the process of this shard is lost, and so were {_RESTARTS} others that took its "
                f"place ({' '.join(str(error).split()):.300}). Open the searcher again."
            ) from error
        return result_of(outcome)

    def close(self) -> None:
        """Ends the processes, and the cluster if it was started for them."""
        self._resources.close()


def _check_places(session: Session, count: int) -> None:
    """Checks that all shards can be open at the same time.

    Raises:
        InputError: There are not enough CPUs.
    """
    workers = session.cluster.workers
    if workers is not None and workers != count:
        raise InputError(
            f"{counted(count, 'shard')} need {counted(count, 'worker')}, one each, got workers={workers}",
            remedy="Leave out workers=…",
        )
    free = session.worker_count(JAVA_PROCESS_BYTES)
    if free < count:
        raise InputError(
            f"{counted(count, 'shard')} have to be open at the same time, but only {counted(free, 'worker')} fit into the Ray "
            "cluster", remedy="Add nodes, ask for less with cpus=…, or merge some shards",
        )  # fmt: skip


class ShardedSearcher(ProcessBound):
    """Exact search over the shards of an index, each in a process on a Ray cluster.

    Hits, scores and their order are those of the merged index: impacts need no statistics of
    a collection, and ``min_idf`` counts the documents of all shards. Approximate search, BM25, relevance feedback and docid
    filters are not supported: their results would depend on how the documents are divided.

    Args:
        index_dir: A folder of shards, or several indexes. All nodes must see them under the same path.
        query_encoder: See :class:`splade_lucene.LuceneImpactSearcher`; it runs in this process.
        min_idf: Likewise, over the documents of all shards.
        cluster: The cluster; None for one on this machine. Each shard takes the CPUs of a worker.
        engine: Likewise.
        cache_bytes: Likewise, per shard. Default: a quarter of the heap of its JVM.

    Raises:
        InputError: The shards are not compatible, or have a docid in common, or do not fit into the cluster.
        NotAnIndexError: A node does not see a shard, or it is not an index.

    Example:
        >>> from splade_lucene import RayCluster, ShardedSearcher
        >>> with ShardedSearcher("index", cluster=RayCluster("auto")) as searcher:  # doctest: +SKIP
        ...     searcher.search("what makes the heart beat", k=10)
    """

    def __init__(
        self, index_dir: IndexDirs, query_encoder: QueryEncoder | str | Path | None = None, min_idf: float | None = None,
        *, cluster: RayCluster | None = None, engine: Engine = "auto", cache_bytes: int | None = None,
    ) -> None:  # fmt: skip
        check_settings(engine, Approximation(), min_idf, cache_bytes)
        check_encoder(query_encoder)
        self._paths = to_index_paths(index_dir)
        self.min_idf = min_idf
        self._query_encoder = query_encoder
        self._is_closed = False
        self._open(RayShards(cluster or RayCluster(), self._paths, engine, cache_bytes))

    @classmethod
    def of_processes(
        cls, shards: ShardGroup, paths: Sequence[Path], query_encoder: QueryEncoder | None, min_idf: float | None = None
    ) -> ShardedSearcher:
        """A searcher over processes that run already.

        Args:
            shards: The processes.
            paths: The folder of each shard.
            query_encoder: See the class.
            min_idf: Likewise.
        """
        searcher = cls.__new__(cls)
        searcher._paths, searcher.min_idf, searcher._query_encoder = list(paths), min_idf, query_encoder
        searcher._is_closed = False
        searcher._open(shards)
        return searcher

    def _open(self, shards: ShardGroup) -> None:
        self._shards = shards
        try:
            self._reader = ShardedReader(shards, self._paths)
        except BaseException:
            shards.close()
            raise
        self._frequencies: dict[str, int] = {}

    @property
    def reader(self) -> ShardedReader:
        """Reads the shards as if they were one index.

        Raises:
            IndexAccessError: This searcher is closed; so do all its methods.
        """
        if self._is_closed:
            raise IndexAccessError(f"{self._paths[0]}: this searcher is closed. Open another one.")
        return self._reader

    @property
    def num_docs(self) -> int:
        """The number of documents in all shards."""
        return self.reader.num_docs

    @property
    def fields(self) -> dict[str, FieldType]:
        """The fields of the documents and their types."""
        return self.reader.fields

    @property
    def query_encoder(self) -> QueryEncoder:
        """The encoder of text queries, loaded on first use.

        Raises:
            QueryError: No encoder was given, and no manifest names the model.
        """
        if self._query_encoder is None or isinstance(self._query_encoder, str | Path):
            self._query_encoder = matching_query_encoder(self.reader.manifest(), self._paths[0], self._query_encoder)
        return self._query_encoder

    def encode(self, q: Text | Vector) -> dict[str, int]:
        """The {term: impact} form of a query; see :meth:`LuceneImpactSearcher.encode`."""
        self.reader  # noqa: B018 - not of a closed searcher
        return encode_query(q, lambda: self.query_encoder)

    def quantize(self, weights: Mapping[str, float]) -> dict[str, int]:
        """The impacts of a query's weights by the rule of the index; see :meth:`LuceneImpactSearcher.quantize`."""
        return quantize_query(weights, self.reader.manifest(), self._paths[0])

    def encode_batch(self, queries: Iterable[Text | Vector]) -> list[dict[str, int]]:
        """The {term: impact} forms of several queries."""
        self.reader  # noqa: B018 - not of a closed searcher
        return encode_queries(to_ordered_list(queries, "queries", error=QueryError), lambda: self.query_encoder)

    def search(
        self, q: Text | Vector, k: int = HITS_SHOWN, fields: Mapping[str, float] | None = None, *,
        filter: Filter | str | None = None, approximation: Approximation | None = None,
    ) -> Hits:  # fmt: skip
        """Searches for one query.

        Args:
            q: See :meth:`LuceneImpactSearcher.search`.
            k: Likewise.
            fields: Likewise.
            filter: A condition on the fields of documents.
            approximation: Must be exact.

        Returns:
            Hits, sorted by score descending, then by the bytes of the docid ascending. Their ``lucene_docids`` are those of
            the shards, one shard after the other.

        Raises:
            QueryError: The query or the filter is wrong.
        """
        if approximation is not None and not approximation.is_exact:
            raise QueryError(
                "shards are searched exactly: what an approximation finds depends on how they are divided",
                remedy="Leave it out, or merge the shards",
            )
        return self.batch_search([q], ["q"], k, fields=fields, filter=filter)["q"]

    def batch_search(
        self, queries: Iterable[Text | Vector], qids: Iterable[str], k: int = HITS_SHOWN, threads: int = 1,
        fields: Mapping[str, float] | None = None, *, filter: Filter | str | None = None,
    ) -> dict[str, Hits]:  # fmt: skip
        """Searches for many queries; see :meth:`LuceneImpactSearcher.batch_search`.

        Args:
            queries: Texts, conversations or {term: impact} mappings.
            qids: Their unique ids.
            k: Maximum number of hits per query.
            threads: Number of search threads of each shard.
            fields: See :meth:`search`.
            filter: Likewise.

        Returns:
            qid → hits, in the order of ``qids``.

        Raises:
            QueryError: A query is malformed, or ``qids`` does not match ``queries``.
        """
        check_no_fields(fields)
        queries, qids = check_batch(queries, qids, threads)
        self.reader.check_filter(filter)
        found = self._search_vectors(self.encode_batch(queries), check_k(k), threads, filter)
        return dict(zip(qids, found, strict=True))

    def _search_vectors(
        self, vectors: Sequence[dict[str, int]], k: int, threads: int, filter: Filter | str | None
    ) -> list[Hits]:
        wanted = [self._without_common_terms(vector) for vector in vectors]
        found: list[Hits] = []
        step = queries_at_once(min(k, self.num_docs))
        for start in range(0, len(wanted), step):
            answers = self._shards.ask_all("search", wanted[start : start + step], k, threads, filter)
            found += (self._merged(each, k) for each in zip(*answers, strict=True))
        return found

    def _merged(self, rankings: Sequence[Ranking], k: int) -> Hits:
        """The best hits of all shards."""
        merged = heapq.merge(*map(_rows, rankings, range(len(rankings))), key=lambda row: hit_order(row[0], row[1]))
        best = [*islice(merged, k)]
        docids = [docid for docid, *_ in best]
        scores = np.array([score for _, score, *_ in best], np.int64)
        starts = self.reader.starts
        numbers = [starts[shard] + lucene_docid for _, _, shard, lucene_docid in best]
        lucene_docids: NDArray[Any] = np.array(numbers, np.int64)  # together, shards may have more than 2³¹ documents
        return Hits(docids, scores, lucene_docids, self.reader, None)

    def _without_common_terms(self, vector: dict[str, int]) -> dict[str, int]:
        """A query without the terms that ``min_idf`` drops; the documents of all shards count."""
        if self.min_idf is None or self.min_idf < 0:
            return vector
        unknown = [term for term in vector if term not in self._frequencies]
        if unknown:
            counts = self._shards.ask_all("document_frequencies", unknown)
            self._frequencies.update(zip(unknown, map(sum, zip(*counts, strict=True)), strict=True))
        least = float(self.min_idf)
        return {
            term: impact
            for term, impact in vector.items()
            if (count := self._frequencies[term]) and math.log(self.num_docs / count) > least
        }

    def explain(self, q: Text | Vector, docid: str) -> list[Contribution]:
        """The contribution of each shared term to a document's score; see :meth:`LuceneImpactSearcher.explain`.

        Raises:
            InputError: No document has this docid.
        """
        vector = self._without_common_terms(self.encode(q))
        return shared_terms(vector, dict(zip(vector, self.reader.impacts(docid, [*vector]), strict=True)))

    def search_hybrid(self, *_: Any, **__: Any) -> NoReturn:
        """Refuses BM25, and with it hybrid search.

        Raises:
            QueryError: Always.
        """
        raise QueryError(
            "shards are searched for impacts only: BM25 needs the statistics of all of them",
            remedy="Merge the shards for it, or search them together on one machine",
        )

    def vector(self, docid: str) -> dict[str, int]:
        """The terms of a document, in byte order, and their impacts.

        Raises:
            InputError: No document has this docid.
        """
        return self.reader.vector(docid)

    def more_like_this(self, docid: str, k: int = HITS_SHOWN, *, filter: Filter | str | None = None) -> Hits:
        """Searches with a document as the query; it is not among the hits.

        Raises:
            InputError: No document has this docid.
        """
        k, lucene_docid = check_k(k), self.reader.lucene_docid(docid)
        vectors = [self.reader.vector(docid)]
        found = self._search_vectors(vectors, min(k, self.reader.max_doc) + 1, 1, filter)[0]
        return found.without(lucene_docid)[:k]

    def facets(self, field: str, filter: Filter | str | None = None) -> dict[str, int]:
        """In how many documents each keyword of a field occurs, the most frequent first.

        Raises:
            QueryError: The shards have no such field, its values are not keywords, or the filter is invalid.
        """
        self.reader.check_filter(filter)
        return added(self._shards.ask_all("facets", field, filter))

    def doc(self, docid: str | int) -> StoredDocument | None:
        """The stored document with a docid (str) or lucene_docid (int); None if there is none, as in Pyserini."""
        return find_document(self.reader, docid)

    def close(self) -> None:
        """Stops the processes of the shards, and the cluster if it was started for them."""
        if not self._is_closed:
            self._is_closed = True
            self._shards.close()

    def __enter__(self) -> ShardedSearcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _rows(ranking: Ranking, shard: int) -> Iterator[tuple[str, int, int, int]]:
    """The docid, score, shard and lucene_docid of each hit."""
    docids, scores, lucene_docids, _ = ranking
    return zip(docids, scores.tolist(), repeat(shard), lucene_docids.tolist(), strict=False)
