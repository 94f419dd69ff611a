"""Estimates for large collections: hours, machines, bytes and the cost of a query, from measured rates."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from splade_lucene.arguments import is_number
from splade_lucene.errors import InputError


@dataclass(frozen=True)
class MeasuredRates:
    """Rates measured on one worker with a sample of the collection. Each is above 0.

    Attributes:
        documents_per_second: Documents that a worker encodes per second.
        pseudo_document_bytes: Bytes of a pseudo-document, compressed or not, as it is kept.
        index_bytes: Bytes of a document in the index.
        accelerator_bytes: Bytes of a document in the accelerator; 0 without one.
        indexing_seconds: Seconds that a worker takes to index a million documents.
        query_milliseconds: Milliseconds of a query that do not depend on the size of the shard.
        query_milliseconds_per_million: Further milliseconds for each million documents of the shard.
    """

    documents_per_second: float
    pseudo_document_bytes: float
    index_bytes: float
    accelerator_bytes: float
    indexing_seconds: float
    query_milliseconds: float
    query_milliseconds_per_million: float

    def __post_init__(self) -> None:
        for each in fields(self):
            value, may_be_zero = getattr(self, each.name), each.name == "accelerator_bytes"
            if not is_number(value) or not math.isfinite(value) or value < 0 or (not value and not may_be_zero):
                raise InputError(f"{each.name} must be a number above 0, got {value!r:.40}", remedy="Measure it first")


@dataclass(frozen=True)
class ScalePlan:
    """The estimated time and space for a collection.

    Attributes:
        shards: Number of shards.
        encoding_hours: Hours of encoding with all workers.
        indexing_hours: Hours of indexing with all workers, one shard at a time each.
        worker_hours: Worker hours for both, the basis of the cost.
        pseudo_document_bytes: Bytes of the pseudo-documents, which can be deleted afterwards.
        index_bytes: Bytes of the shards with their accelerators.
        shard_bytes: Bytes of a shard; its machine should have as much memory for its files.
        query_milliseconds: Milliseconds of a query, with all shards searched in parallel, without the network.
        query_processor_milliseconds: The same, summed over all shards, which bounds the queries per second.
    """

    shards: int
    encoding_hours: float
    indexing_hours: float
    worker_hours: float
    pseudo_document_bytes: float
    index_bytes: float
    shard_bytes: float
    query_milliseconds: float
    query_processor_milliseconds: float


def plan_scale(documents: int, rates: MeasuredRates, *, workers: int, shard_documents: int = 10_000_000) -> ScalePlan:
    """Estimates the time and space for a collection, in proportion to measured rates.

    Failures, a slow network and other users of the machines are not included. The time of a query is assumed to grow linearly
    with the shard, as measured up to a million documents; measure a shard of the intended size before you order machines.

    Args:
        documents: Number of documents.
        rates: The measured rates.
        workers: Number of workers, each like the one that was measured.
        shard_documents: Number of documents of a shard.

    Raises:
        InputError: A number is out of range.

    Example:
        >>> from splade_lucene import MeasuredRates, plan_scale
        >>> rates = MeasuredRates(
        ...     documents_per_second=60, pseudo_document_bytes=1500, index_bytes=290, accelerator_bytes=505,
        ...     indexing_seconds=58, query_milliseconds=0.17, query_milliseconds_per_million=0.25,
        ... )
        >>> plan = plan_scale(138_364_198, rates, workers=100)
        >>> plan.shards, round(plan.encoding_hours, 1), round(plan.index_bytes / 1e9), round(plan.query_milliseconds, 2)
        (14, 6.4, 110, 2.64)
    """
    for value, name in ((documents, "documents"), (workers, "workers"), (shard_documents, "shard_documents")):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be an integer of at least 1, got {value!r:.40}")
    shards = -(-documents // shard_documents)
    millions = documents / shards / 1e6
    encoding = documents / rates.documents_per_second / 3600 / workers
    one_shard = millions * rates.indexing_seconds / 3600
    query = rates.query_milliseconds + millions * rates.query_milliseconds_per_million
    size = documents * (rates.index_bytes + rates.accelerator_bytes)
    return ScalePlan(
        shards, encoding, one_shard * -(-shards // workers), encoding * workers + one_shard * shards,
        documents * rates.pseudo_document_bytes, size, size / shards, query, query * shards,
    )  # fmt: skip
