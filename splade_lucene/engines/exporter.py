"""The interface between the export and the module of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from splade_lucene.engines.collection import Collection
from splade_lucene.engines.names import DEFAULT_NAME, PIECE_BYTES, Keys
from splade_lucene.engines.pieces import ExportFolder

_EXAMPLE_TERMS = 5


@dataclass(frozen=True)
class ExportOptions:
    """How a collection is exported.

    Attributes:
        keys: How the engine identifies a term: by id or as text.
        texts: Whether to export the stored texts.
        name: What the engine calls the collection.
        piece_bytes: The size at which a file of documents ends, in bytes.
    """

    keys: Keys = "ids"
    texts: bool = True
    name: str = DEFAULT_NAME
    piece_bytes: int = PIECE_BYTES


class Exporter(Protocol):
    """Writes a collection as an engine loads it. A module of an engine has one in ``EXPORTER``."""

    @property
    def title(self) -> str:
        """The engine's name, in its own spelling."""
        ...

    @property
    def keys(self) -> tuple[Keys, ...]:
        """How the engine can identify terms; the first is the default."""
        ...

    def check(self, collection: Collection, options: ExportOptions) -> None:
        """Refuses, before anything is written, what the engine would not hold exactly.

        Raises:
            InputError: Names the document, the limit and the remedy.
        """
        ...

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the files.

        Those of documents are written with :meth:`ExportFolder.write_lines`, :meth:`ExportFolder.write_objects` or
        :meth:`ExportFolder.write_batches`, others with :meth:`ExportFolder.write_text` or :meth:`ExportFolder.open`.
        """
        ...

    def readme(self, collection: Collection, options: ExportOptions) -> str:
        """How to load and search it, in Markdown, without a title: the commands to run in the folder."""
        ...


def key(collection: Collection, options: ExportOptions, term_id: int) -> str:
    """The key by which the engine identifies a term."""
    return str(term_id) if options.keys == "ids" else collection.terms[term_id]


def example_query(collection: Collection) -> dict[int, int]:
    """The terms of the first document's largest impacts, largest first, as the example of a query: term_id → impact."""
    example = next(collection.documents(texts=False))
    best = sorted(zip(example.impacts, example.term_ids, strict=True), reverse=True)[:_EXAMPLE_TERMS]
    return {term_id: impact for impact, term_id in best}
