"""The reports of --profile and --recall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from splade_lucene.cli.output import echo
from splade_lucene.counts import counted, part_of

if TYPE_CHECKING:
    from splade_lucene.search.hits import Hits, SearchProfile

QUERY = "query"
"""The qid of a query given on the command line."""


class SearchReport:
    """Collects profiles of searches and the recall of an approximation, if requested.

    Args:
        wants_profile: Whether to report profiles.
        measure_recall: Measures the recall of several queries; None to report none.
        is_hybrid: Whether BM25 is searched, too, which the profiles do not cover.
    """

    def __init__(
        self,
        *,
        wants_profile: bool,
        measure_recall: Callable[[Sequence[Any]], list[float]] | None,
        is_hybrid: bool = False,
    ) -> None:
        self._wants_profile, self._measure_recall, self._is_hybrid = wants_profile, measure_recall, is_hybrid
        self._profiles: dict[str, SearchProfile] = {}
        self._recalls: dict[str, float] = {}

    def add(self, queries: Mapping[str, Any], found: Mapping[str, Hits]) -> None:
        """Adds queries and their hits, both by qid, and measures their recall if requested."""
        if self._wants_profile:
            self._profiles |= {qid: hits.profile for qid, hits in found.items() if hits.profile}
        if self._measure_recall:
            self._recalls |= zip(queries, self._measure_recall([*queries.values()]), strict=True)

    def to_json(self) -> dict[str, Any]:
        """The requested reports, by qid, or those of the single query."""
        facts: dict[str, Any] = {}
        if self._wants_profile:
            facts["profile"] = {qid: {"engine": each.engine, **asdict(each)} for qid, each in self._profiles.items()}
        if self._measure_recall:
            facts["recall"] = self._recalls
        return {name: by_qid.get(QUERY, by_qid) for name, by_qid in facts.items()}

    def print(self, k: int) -> None:
        """Prints means and percentiles over the queries to stderr."""
        if self._wants_profile and self._profiles:
            if self._is_hybrid:
                echo("these figures cover the search for impacts, not BM25 or the fusion")
            engines = Counter(each.engine for each in self._profiles.values())
            echo(", ".join(f"{engine}: {counted(count, 'query')}" for engine, count in engines.most_common()))
            echo(f"{'':18} {'mean':>12} {'p50':>12} {'p95':>12} {'p99':>12}")
            for name in ("postings", "postings_scored", "blocks", "blocks_scored"):
                self._print_row(name, ",.0f")
            for name in ("lookup", "bounds", "probes", "scoring", "total"):
                self._print_row(name, ",.3f", " ms")
        if self._measure_recall and self._recalls:
            mean = sum(self._recalls.values()) / len(self._recalls)
            lossless = sum(recall == 1 for recall in self._recalls.values())
            echo(
                f"recall@{k} against exact search: {mean:.4f}; "
                f"{part_of(lossless, counted(len(self._recalls), 'query'), 'loses', 'lose')} no hits"
            )

    def _print_row(self, name: str, form: str, unit: str = "") -> None:
        values = sorted(getattr(each, name) for each in self._profiles.values())
        shown = [sum(values) / len(values), *(values[int(share * (len(values) - 1))] for share in (0.5, 0.95, 0.99))]
        echo(f"{name + unit:18} " + " ".join(f"{value:>12{form}}" for value in shown))
