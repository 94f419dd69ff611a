"""The interface between the searcher and an index in another engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from splade_lucene.engines.index_metadata import IndexMetadata
from splade_lucene.fields.conditions import Condition

Row = tuple[float, str]
"""Score and docid of a hit."""


class SearchedIndex(Protocol):
    """An open index, for any number of threads."""

    @property
    def title(self) -> str:
        """The engine's name, in its own spelling."""
        ...

    @property
    def metadata(self) -> IndexMetadata:
        """What the index says about itself."""
        ...

    def count(self) -> int:
        """The number of documents."""
        ...

    def search(self, weights: Mapping[str, int], k: int, condition: Condition | None) -> list[Row]:
        """The k best hits, by score descending, then by the bytes of the docid ascending; of one state of the index.

        Args:
            weights: The key of a term in the engine → impact, at least one.
            k: Maximum number of hits.
            condition: What the hits fulfil; None for any.

        Raises:
            EngineError: The engine cannot be reached, or a part of the index is missing.
            QueryError: The engine cannot compute the condition.
        """
        ...

    def sources(self, docids: Sequence[str]) -> list[dict[str, Any] | None]:
        """What is stored of documents: ``docid``, ``text`` and ``fields``; None for a document that is not there."""
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...
