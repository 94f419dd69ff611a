"""OpenSearch: impacts in ``rank_features``, queries of ``rank_feature`` clauses. Both need no plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splade_lucene.engines.lucene_engine import IMPACTS, LuceneEngine, scaled
from splade_lucene.files.json_text import indented_json

_NEURAL_FILE = "query-neural-sparse.json"


class OpenSearch(LuceneEngine):
    """Exports to OpenSearch."""

    title = "OpenSearch"

    def impacts_mapping(self) -> dict[str, Any]:
        """The mapping of the field of impacts."""
        return {"type": "rank_features"}

    def query(self, weights: Mapping[str, int]) -> tuple[dict[str, Any], int]:
        """A clause for each term, whose boost is its impact; boosts have no upper limit."""
        clauses = [
            {"rank_feature": {"field": f"{IMPACTS}.{name}", "linear": {}, "boost": weight}}
            for name, weight in weights.items()
        ]
        return {"bool": {"should": clauses}}, 0

    def other_files(self, weights: Mapping[str, int]) -> dict[str, str]:
        """The same query for the plugin neural-search, which refuses weights above 64."""
        body, _ = self.search_body(weights, 10)
        body["query"] = {"neural_sparse": {IMPACTS: {"query_tokens": scaled(weights)[0]}}}
        return {_NEURAL_FILE: indented_json(body)}

    def notes(self) -> str:
        """What else the README says."""
        return f"""`query.json` has a `rank_feature` clause for each term, which needs no plugin; more than 1,024 terms need a
larger `indices.query.bool.max_clause_count`. `{_NEURAL_FILE}` is the same query for the plugin neural-search. It
refuses weights above 64, so they are divided by a power of two, which changes no digit: multiply the scores by it. Leave
its pruning off."""


EXPORTER = OpenSearch()
