"""Reads the shards of an index as if they were one index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from splade_lucene.arguments import to_ordered_list
from splade_lucene.counts import counted
from splade_lucene.distributed.shard import ShardFacts
from splade_lucene.errors import InputError, QueryError
from splade_lucene.fields.expression import Filter
from splade_lucene.fields.values import most_frequent_first
from splade_lucene.files.json_text import json_digest
from splade_lucene.index.compatibility import common_fields, common_manifest
from splade_lucene.index.reader import Distributions, TermStatistics
from splade_lucene.index.shards import shard_encoding
from splade_lucene.manifest import Manifest
from splade_lucene.records import FieldValue


class ShardGroup(Protocol):
    """The processes that hold the shards."""

    def ask_all(self, method: str, *arguments: Any) -> list[Any]:
        """Calls a method of each :class:`~splade_lucene.distributed.shard.ShardProcess`; returns the results in order."""
        ...

    def ask(self, number: int, method: str, *arguments: Any) -> Any:
        """Calls a method of one shard."""
        ...

    def close(self) -> None:
        """Ends the processes."""
        ...


class _OpenShard:
    """A shard as :mod:`splade_lucene.index.compatibility` sees an index."""

    def __init__(self, index_dir: Path, facts: ShardFacts) -> None:
        self.index_dir, self._facts = index_dir, facts
        self.num_docs, self.fields = facts.num_docs, facts.fields

    def manifest(self) -> Manifest | None:
        """Its manifest."""
        return self._facts.manifest


class ShardedReader:
    """The shards as one index; methods and errors are those of :class:`splade_lucene.LuceneImpactIndexReader`.

    The lucene_docids are those of the shards, one shard after the other.

    Args:
        shards: The processes.
        paths: The folder of each shard.

    Attributes:
        index_dir: The folder of the first shard.
        num_docs: Number of documents.
        max_doc: The same with deleted ones.
        fields: The fields of all shards and their types.
        have_same_fields: Whether each shard has all of them.
        starts: The first lucene_docid of each shard, and the end.
        has_bm25: False: BM25 needs the statistics of all shards.

    Raises:
        InputError: The shards do not belong together, or have a docid in common.
    """

    has_bm25 = False

    def __init__(self, shards: ShardGroup, paths: Sequence[Path]) -> None:
        self._shards, self._paths = shards, paths
        self.index_dir = paths[0]
        facts: list[ShardFacts] = shards.ask_all("facts")
        opened = [_OpenShard(path, each) for path, each in zip(paths, facts, strict=True)]
        self._manifest, self.fields = common_manifest(opened), common_fields(opened)
        self.num_docs, self.max_doc = sum(each.num_docs for each in facts), sum(each.max_doc for each in facts)
        self.starts = [0, *accumulate(each.max_doc for each in facts)]
        self.have_same_fields = all({*each.fields} == {*self.fields} for each in facts)
        self._commits = " ".join(each.commit for each in facts)
        if len(facts) > 1 and not are_of_one_build([each.manifest for each in facts]):
            self._check_docids()

    def _check_docids(self) -> None:
        """Refuses docids that two shards have.

        Raises:
            InputError: Names the first.
        """
        digests = np.concatenate(self._shards.ask_all("docid_digests"))
        values, counts = np.unique(digests, return_counts=True)
        twice = {each.tobytes() for each in values[counts > 1]}
        if not twice:
            return
        shards_of: dict[str, list[Path]] = {}
        for path, docids in zip(self._paths, self._shards.ask_all("with_digests", twice), strict=True):
            for docid in docids:
                shards_of.setdefault(docid, []).append(path)
        common = {docid: paths for docid, paths in sorted(shards_of.items()) if len(paths) > 1}
        if common:
            docid, (first, second, *_) = next(iter(common.items()))
            more = f", and {len(common) - 1:,} more" if len(common) > 1 else ""
            raise InputError(
                f"{counted(len(common), 'docid', 'belongs', 'belong')} to two documents: {docid!r:.200} in {first} and "
                f"{second}{more}", remedy="Delete one of them in its shard",
            )  # fmt: skip

    def check_filter(self, filter: object) -> None:
        """Checks that shards can be restricted by a filter.

        Raises:
            QueryError: It is not a condition on fields, or the shards differ in their fields.
        """
        if not (filter is None or isinstance(filter, Filter | str)):
            raise QueryError(
                f"expected a condition on fields, got {filter!r:.80}", remedy="Shards have no filters of docids"
            )
        if filter is not None and not self.have_same_fields:
            raise QueryError(
                "the shards do not have the same fields, so they cannot be filtered",
                remedy="Build all with the same fields=…",
            )

    def commit(self) -> str:
        """Identifiers of the open commits, separated by spaces."""
        return self._commits

    def manifest(self) -> Manifest | None:
        """What the manifests of the shards have in common; None if none has one."""
        return self._manifest

    # ---- documents ----

    def lucene_docid(self, docid: str) -> int:
        """The lucene_docid of a document."""
        shard, number = self._find(docid)
        return self.starts[shard] + number

    def _find(self, docid: str) -> tuple[int, int]:
        """The shard that has a document, and its lucene_docid there."""
        for shard, number in enumerate(self._shards.ask_all("lucene_docid", docid)):
            if number is not None:
                return shard, number
        raise InputError(f"{self.index_dir.parent}: no document has the id {docid!r}", remedy="Check the spelling")

    def docid(self, lucene_docid: int) -> str:
        """The docid of a document."""
        shard = self._shard_of(lucene_docid)
        return str(self._shards.ask(shard, "docid", lucene_docid - self.starts[shard]))

    def impacts(self, docid: str, terms: Iterable[str]) -> list[int]:
        """The impacts of terms in a document."""
        found: list[int] = self._shards.ask(self._find(docid)[0], "impacts", docid, [*terms])
        return found

    def vector(self, docid: str) -> dict[str, int]:
        """The terms of a document and their impacts."""
        found: dict[str, int] = self._shards.ask(self._find(docid)[0], "vector", docid)
        return found

    def _shard_of(self, lucene_docid: int) -> int:
        return int(np.searchsorted(self.starts, lucene_docid, "right")) - 1

    def _by_shard(self, lucene_docids: Iterable[int]) -> Iterator[tuple[int, list[int], list[int]]]:
        """Each shard, the positions of its documents among those that are wanted, and their lucene_docids there."""
        wanted = to_ordered_list(lucene_docids, "lucene_docids")
        shards = [self._shard_of(each) for each in wanted]
        for shard in sorted({*shards}):
            positions = [position for position, each in enumerate(shards) if each == shard]
            yield shard, positions, [int(wanted[each]) - self.starts[shard] for each in positions]

    def raw(self, lucene_docids: Iterable[int]) -> list[str | None]:
        """The stored documents."""
        wanted = to_ordered_list(lucene_docids, "lucene_docids")
        found: list[str | None] = [None] * len(wanted)
        for shard, positions, numbers in self._by_shard(wanted):
            for position, raw in zip(positions, self._shards.ask(shard, "raw", numbers), strict=True):
                found[position] = raw
        return found

    # ---- fields ----

    def field_values(
        self, lucene_docids: Iterable[int], names: Iterable[str] | None = None
    ) -> list[dict[str, FieldValue]]:
        """The values of documents' fields."""
        wanted = to_ordered_list(lucene_docids, "lucene_docids")
        chosen = None if names is None else [*names]
        found: list[dict[str, FieldValue]] = [{} for _ in wanted]
        for shard, positions, numbers in self._by_shard(wanted):
            values = self._shards.ask(shard, "field_values", numbers, chosen)
            for position, each in zip(positions, values, strict=True):
                found[position] = each
        return found

    def keyword_counts(self, lucene_docids: Iterable[int], name: str) -> dict[str, int]:
        """In how many of some documents each keyword of a field occurs, the most frequent first."""
        return added([
            self._shards.ask(shard, "keyword_counts", numbers, name)
            for shard, _, numbers in self._by_shard(lucene_docids)
        ])  # fmt: skip

    def value_range(self, name: str) -> tuple[FieldValue, FieldValue] | None:
        """The smallest and the largest value of a field; None if no document has it."""
        found: list[Any] = [each for each in self._shards.ask_all("value_range", name) if each is not None]
        return (min(each[0] for each in found), max(each[1] for each in found)) if found else None

    # ---- statistics ----

    def terms(self) -> list[TermStatistics]:
        """All terms, in byte order."""
        return self._terms

    @cached_property
    def _terms(self) -> list[TermStatistics]:
        counts: dict[str, list[int]] = {}
        for terms in self._shards.ask_all("terms"):
            for each in terms:
                sums = counts.setdefault(each.term, [0, 0])
                sums[0] += each.doc_freq
                sums[1] += each.total_impact
        return [TermStatistics(term, *counts[term]) for term in sorted(counts, key=str.encode)]

    def distributions(self, cancellation: Any = None) -> Distributions:  # noqa: ARG002 - shards are not stopped
        """How impacts and lengths of documents are distributed."""
        found: list[Distributions] = self._shards.ask_all("distributions")
        return Distributions(*(dict(sorted(_sum(column).items())) for column in zip(*found, strict=True)))

    def statistics(self) -> dict[str, Any]:
        """Counts, as those of a single index."""
        found: list[dict[str, Any]] = self._shards.ask_all("statistics")
        counts: dict[str, Any] = _sum([{k: v for k, v in each.items() if isinstance(v, int)} for each in found])
        lucene = ", ".join(dict.fromkeys(str(each["lucene"]) for each in found))
        return {**found[0], **counts, "terms": len(self.terms()), "lucene": lucene}


def _sum(counts: Iterable[Mapping[Any, int]]) -> dict[Any, int]:
    total: Counter[Any] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sums of counts of keywords, the most frequent first, equal ones by the bytes of the keyword."""
    return most_frequent_first(_sum(counts))


def are_of_one_build(manifests: Sequence[Manifest | None]) -> bool:
    """Whether indexes are different shards of one build, and have not been changed since."""
    count = len(manifests)
    numbers = set()
    for manifest in manifests:
        if manifest is None or not manifest.encoded_with or len(manifest.history) != 1:
            return False
        encoding = json_digest(manifest.encoded_with)
        known = {shard_encoding(encoding, number, count): (encoding, number) for number in range(1, count + 1)}
        numbers.add(known.get(manifest.encoding))
    return (
        None not in numbers and len(numbers) == count and len({encoding for encoding, _ in filter(None, numbers)}) == 1
    )
