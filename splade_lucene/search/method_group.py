"""The base of groups of the searcher's methods, each in a module of its own: the parts of the searcher that they use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_lucene.search.hits import Hits


class MethodGroup:
    """Methods of :class:`splade_lucene.LuceneImpactSearcher`, which inherits them. It has what is declared here."""

    index_dir: Path
    _settings: Any
    _exact_settings: Any

    if TYPE_CHECKING:

        @property
        def _snapshot(self) -> Any: ...

        def encode(self, q: Any) -> dict[str, int]:
            """Encodes a query."""

        def encode_batch(self, queries: Iterable[Any]) -> list[dict[str, int]]:
            """Encodes queries."""

        def _java_filter(self, filter: Any, snapshot: Any) -> Any: ...

        def _search_vectors(
            self, snapshot: Any, vectors: Sequence[Mapping[str, int]], k: int, threads: int, settings: Any,
            java_filter: Any,
        ) -> list[Hits]: ...  # fmt: skip
