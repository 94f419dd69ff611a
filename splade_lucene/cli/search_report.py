"""What a search tells of itself, where --profile or --recall ask for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from splade_lucene.cli.output import note

if TYPE_CHECKING:
    from splade_lucene.hits import Hits, SearchProfile


class SearchReport:
    """What searches did, and what an approximation lost, as far as it was asked for.

    Args:
        profile: Whether to tell what the searches did.
        recall: Whether to tell what the approximation lost.
    """

    def __init__(self, profile: bool, recall: bool) -> None:
        self._wants_profile, self._wants_recall = profile, recall
        self._profiles: list[SearchProfile] = []
        self._recalls: list[float] = []

    def add(self, searcher: Any, queries: Sequence[Any], found: Iterable[Hits], k: int, threads: int, how: Any) -> None:
        """Takes in what some queries found, and searches for them exactly if recall was asked for."""
        self._profiles += [hits.profile for hits in found if self._wants_profile and hits.profile]
        if self._wants_recall:
            self._recalls += searcher.recall(queries, k, threads, **how)

    def to_json(self) -> dict[str, Any]:
        """What was asked for, query by query."""
        facts: dict[str, Any] = {}
        if self._wants_profile:
            facts["profile"] = [{"engine": each.engine, **asdict(each)} for each in self._profiles]
        if self._wants_recall:
            facts["recall"] = self._recalls
        return facts

    def print(self, k: int) -> None:
        """Prints means and percentiles over the queries to stderr."""
        if self._wants_profile and self._profiles:
            engines = Counter(each.engine for each in self._profiles)
            note(", ".join(f"{engine}: {count:,} queries" for engine, count in engines.most_common()))
            note(f"{'':18} {'mean':>12} {'p50':>12} {'p95':>12} {'p99':>12}")
            for name in ("postings", "postings_scored", "blocks", "blocks_scored"):
                self._print_row(name, ",.0f")
            for name in ("lookup", "bounds", "probes", "scoring", "total"):
                self._print_row(name, ",.3f", " ms")
        if self._wants_recall and self._recalls:
            mean = sum(self._recalls) / len(self._recalls)
            whole = sum(recall == 1 for recall in self._recalls)
            note(
                f"recall@{k} against exact search: {mean:.4f}; {whole:,} of {len(self._recalls):,} queries lose nothing"
            )

    def _print_row(self, name: str, form: str, unit: str = "") -> None:
        values = sorted(getattr(each, name) for each in self._profiles)
        shown = [sum(values) / len(values), *(values[int(share * (len(values) - 1))] for share in (0.5, 0.95, 0.99))]
        note(f"{name + unit:18} " + " ".join(f"{value:>12{form}}" for value in shown))
