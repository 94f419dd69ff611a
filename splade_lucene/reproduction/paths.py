"""Paths of an entry's files, below one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from splade_lucene.reproduction.entries import Entry


@dataclass(frozen=True)
class Paths:
    """Folders and files of an entry.

    Attributes:
        folder: The folder of all reproductions.
        entry: The entry.
        prebuilt: Whether the published index is used.
    """

    folder: Path
    entry: Entry
    prebuilt: bool = False

    @property
    def corpus(self) -> Path:
        """The unpacked corpus; shared by all entries that use it."""
        return self.folder / "corpora" / self.entry.system.corpus.name

    @property
    def encoded(self) -> Path:
        """The pseudo-documents created by the model of the entry."""
        return self.folder / "encoded" / self.entry.name

    @property
    def index(self) -> Path:
        """The index; shared by all entries with the same pseudo-documents or texts."""
        system = self.entry.system
        if self.prebuilt and system.prebuilt:
            return self.folder / "indexes" / system.prebuilt.file.split("/")[-1].removesuffix(".tar.gz")
        kind = {"impacts": "impact", "bm25": "bm25", "encode": f"encoded.{self.entry.name}"}[system.method]
        name = system.corpus.name if system.method != "encode" else ""
        return self.folder / "indexes" / f"{kind}.{name}".rstrip(".")

    @property
    def run(self) -> Path:
        """The run file."""
        return self.folder / "runs" / f"{self.entry.name}{'.prebuilt' if self.prebuilt else ''}.trec"
