"""Elasticsearch: impacts in ``sparse_vector``, without the pruning that its new indexes have by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splade_lucene.engines.lucene_engine import IMPACTS, LuceneEngine, scaled


class Elasticsearch(LuceneEngine):
    """Exports to Elasticsearch."""

    title = "Elasticsearch"

    def impacts_mapping(self) -> dict[str, Any]:
        """The mapping of the field of impacts."""
        return {"type": "sparse_vector", "index_options": {"prune": False}}

    def query(self, weights: Mapping[str, int]) -> tuple[dict[str, Any], int]:
        """A query of all terms. Weights are divided by a power of two, because Lucene's linear function ends at 64."""
        vector, shift = scaled(weights)
        return {"sparse_vector": {"field": IMPACTS, "query_vector": vector, "prune": False}}, shift

    def other_files(self, weights: Mapping[str, int]) -> dict[str, str]:  # noqa: ARG002 - of a LuceneEngine
        """No further files."""
        return {}

    def notes(self) -> str:
        """What else the README says."""
        return """Elasticsearch before 8.19 and 9.1 does not know `index_options`: delete it from `index.json`. It prunes
only if a query asks for it. Query weights are divided by a power of two until none is above 64, which changes no digit:
multiply the scores by it."""


EXPORTER = Elasticsearch()
