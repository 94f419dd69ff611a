"""Paths of an entry's files, below one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from splade_lucene.reproduction.entries import Download, Entry


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
        """The pseudo-documents that the model creates; shared by all entries with the same corpus and system."""
        return self.folder / "encoded" / self._encoding

    @property
    def index(self) -> Path:
        """The index; shared by all entries with the same pseudo-documents or texts."""
        system = self.entry.system
        if self.prebuilt and system.prebuilt:
            return self.folder / "indexes" / system.prebuilt.file.split("/")[-1].removesuffix(".tar.gz")
        name = {
            "impacts": f"impact.{system.corpus.name}", "bm25": f"bm25.{system.corpus.name}",
            "encode": f"encoded.{self._encoding}",
        }  # fmt: skip
        return self.folder / "indexes" / name[system.method]

    @property
    def encoded_topics(self) -> Path:
        """The topics that the model encoded, for other programs."""
        return self.folder / "encoded" / f"{self.entry.name}.topics.tsv"

    def of(self, download: Download) -> Path:
        """The topics or judgments: a download, or a file of the unpacked corpus."""
        return self.corpus / download.member if download.member else self.folder / "downloads" / download.file

    @property
    def run(self) -> Path:
        """The run file."""
        return self.folder / "runs" / f"{self.entry.name}{'.prebuilt' if self.prebuilt else ''}.trec"

    @property
    def _encoding(self) -> str:
        return f"{self.entry.system.corpus.name}.{self.entry.system.name}"
