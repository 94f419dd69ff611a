"""A process that keeps one shard of an index open and searches it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splade_lucene.distributed.java import limit_heap
from splade_lucene.distributed.pool import Outcome, outcome_of
from splade_lucene.errors import IndexAccessError, InputError
from splade_lucene.fields.expression import Filter
from splade_lucene.fields.values import FieldType
from splade_lucene.index.reader import Distributions, TermStatistics
from splade_lucene.manifest import Manifest
from splade_lucene.records import FieldValue
from splade_lucene.search.checks import Engine
from splade_lucene.search.searcher import LuceneImpactSearcher

Ranking = tuple[list[str], NDArray[np.int64], NDArray[np.int32], tuple[int, ...] | None]
"""The columns of the hits of a query: docids, scores, lucene_docids in the shard, and the profile."""


class ShardFacts(NamedTuple):
    """What a shard is.

    Attributes:
        node: The id of its process's node.
        commit: The open commit.
        num_docs: Number of documents.
        max_doc: The same with deleted ones.
        manifest: Its manifest.
        fields: Its fields and their types.
    """

    node: str
    commit: str
    num_docs: int
    max_doc: int
    manifest: Manifest | None
    fields: dict[str, FieldType]


class ShardProcess:
    """Keeps a shard open. If the process dies, another one takes its place and opens the shard again.

    Args:
        index_dir: The shard.
        engine: See :class:`splade_lucene.LuceneImpactSearcher`.
        cache_bytes: Likewise.
        processes: Number of such processes on this node.
    """

    def __init__(self, index_dir: Path, engine: Engine, cache_bytes: int | None, processes: int) -> None:
        self._index_dir, self._engine, self._cache_bytes = index_dir, engine, cache_bytes
        self._searcher: LuceneImpactSearcher | None = None
        self._opening = threading.Lock()
        limit_heap(processes)

    def call(self, commit: str, method: str, *arguments: Any) -> Outcome:
        """Calls a method of this class.

        Args:
            commit: The commit that is expected; empty if any will do.
            method: Its name.
            arguments: Its arguments.
        """

        def answer() -> Any:
            with self._opening:
                self._open(commit)
            return getattr(self, method)(*arguments)

        return outcome_of(answer)

    def _open(self, commit: str) -> None:
        if self._searcher is None:
            self._searcher = LuceneImpactSearcher(self._index_dir, engine=self._engine, cache_bytes=self._cache_bytes)
        found = self._searcher.reader.commit() if commit else ""
        if found != commit:  # after a restart
            self._searcher.close()
            self._searcher = None
            raise IndexAccessError(
                f"{self._index_dir}: this shard has changed since it was opened. Open the searcher again."
            )

    @property
    def searcher(self) -> LuceneImpactSearcher:
        """The open shard."""
        assert self._searcher is not None, "call opens it"
        return self._searcher

    def facts(self) -> ShardFacts:
        """What it is."""
        import ray

        reader = self.searcher.reader
        node = str(ray.get_runtime_context().get_node_id())
        return ShardFacts(node, reader.commit(), reader.num_docs, reader.max_doc, reader.manifest(), reader.fields)

    def search(
        self, vectors: Sequence[Mapping[str, int]], k: int, threads: int, filter: Filter | str | None
    ) -> list[Ranking]:
        """The hits of encoded queries in this shard."""
        qids = [str(number) for number in range(len(vectors))]
        found = self.searcher.batch_search(vectors, qids, k, threads, filter=filter)
        return [(hits.docids, hits.scores, hits.lucene_docids, hits.packed_profile) for hits in found.values()]

    def document_frequencies(self, terms: Sequence[str]) -> list[int]:
        """In how many documents, without deleted ones, terms occur."""
        return [len(self.searcher.reader.postings(term)[0]) for term in terms]

    def lucene_docid(self, docid: str) -> int | None:
        """The lucene_docid of a document; None if it is not in this shard."""
        try:
            return self.searcher.reader.lucene_docid(docid)
        except InputError:
            return None

    def docid(self, lucene_docid: int) -> str:
        """The docid of a document."""
        return self.searcher.reader.docid(lucene_docid)

    def impacts(self, docid: str, terms: Sequence[str]) -> list[int]:
        """The impacts of terms in a document."""
        return self.searcher.reader.impacts(docid, terms)

    def raw(self, lucene_docids: Sequence[int]) -> list[str | None]:
        """The stored documents."""
        return self.searcher.reader.raw(lucene_docids)

    def field_values(self, lucene_docids: Sequence[int], names: Sequence[str] | None) -> list[dict[str, FieldValue]]:
        """The values of documents' fields."""
        return self.searcher.reader.field_values(lucene_docids, names)

    def keyword_counts(self, lucene_docids: Sequence[int], name: str) -> dict[str, int]:
        """In how many of some documents each keyword of a field occurs."""
        return self.searcher.reader.keyword_counts(lucene_docids, name)

    def facets(self, field: str, filter: Filter | str | None) -> dict[str, int]:
        """In how many documents each keyword of a field occurs."""
        return self.searcher.facets(field, filter)

    def vector(self, docid: str) -> dict[str, int]:
        """The terms of a document and their impacts."""
        return self.searcher.vector(docid)

    def value_range(self, name: str) -> tuple[FieldValue, FieldValue] | None:
        """The smallest and the largest value of a field."""
        return self.searcher.reader.value_range(name)

    def terms(self) -> list[TermStatistics]:
        """All terms, in byte order."""
        return self.searcher.reader.terms()

    def distributions(self) -> Distributions:
        """How impacts and lengths of documents are distributed."""
        return self.searcher.reader.distributions()

    def statistics(self) -> dict[str, Any]:
        """Counts."""
        return self.searcher.reader.statistics()

    def docid_digests(self) -> NDArray[np.void]:
        """A digest of each docid, also of deleted documents and those without terms, sorted; sixteen bytes each."""
        return np.sort(np.frombuffer(b"".join(map(_digest, {*self._docids()})), "V16"))

    def with_digests(self, digests: set[bytes]) -> list[str]:
        """The docids with some digests that a document has, with or without terms."""
        found = [docid for docid in {*self._docids()} if _digest(docid) in digests]
        return [docid for docid in found if docid in self._empty() or self.lucene_docid(docid) is not None]

    def _docids(self) -> list[str]:
        return [*self.searcher.reader.docids(), *self._empty()]

    def _empty(self) -> frozenset[str]:
        manifest = self.searcher.reader.manifest()
        return frozenset(manifest.empty if manifest is not None else ())


def _digest(docid: str) -> bytes:
    return hashlib.blake2b(docid.encode(), digest_size=16).digest()
