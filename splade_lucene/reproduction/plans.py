"""Plans of a run: the files needed, their state, the remaining steps and the disk space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.manifest import read_folder_manifest
from splade_lucene.reproduction.archives import is_archive
from splade_lucene.reproduction.checks import check_entry
from splade_lucene.reproduction.downloads import Downloads
from splade_lucene.reproduction.entries import Download, Entry
from splade_lucene.reproduction.paths import Paths
from splade_lucene.reproduction.steps import Steps

_BYTES_A_DOCUMENT = 4_000  # pseudo-document and index entry of a SPLADE model with about 150 terms


@dataclass(frozen=True)
class FilePlan:
    """A file needed for a run.

    Attributes:
        download: The file.
        path: Local path of the file; None if it is not available.
        in_archive: Whether the offline archive contains it.
        begun: Bytes already downloaded by an interrupted run.
    """

    download: Download
    path: Path | None
    in_archive: bool
    begun: int

    @property
    def state(self) -> str:
        """State of the file, in a word or two."""
        if self.path is not None:
            return "available"
        if self.download.built_in:
            return "built in"
        if self.in_archive:
            return "in the archive"
        if not self.download.url:
            return "missing"
        return "to fetch" if not self.begun else "partly fetched"

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes to download, as far as the size is known."""
        return max(0, self.download.estimated_size - self.begun) if self.state in ("to fetch", "partly fetched") else 0


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        entry: The entry.
        files: Files needed.
        finished: Finished steps.
        todo: Remaining steps, in order.
        notes: Remarks on missing checksums and download addresses.
    """

    entry: Entry
    files: tuple[FilePlan, ...]
    finished: tuple[str, ...]
    todo: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def bytes_to_fetch(self) -> int:
        """Total bytes to download."""
        return sum(each.bytes_to_fetch for each in self.files)

    @property
    def disk_bytes(self) -> int:
        """Estimate, or lower bound, of the disk space of a complete run.

        It counts the files; for archives unpacked completely, their size again for the content and once more for the index;
        for encoded corpora, and for a single folder of an archive, a fixed number of bytes per document.
        """
        system = self.entry.system
        total = guessed = (self.entry.documents or 0) * _BYTES_A_DOCUMENT
        for each in (plan.download for plan in self.files):
            is_corpus = each.file == system.corpus.file
            total += each.estimated_size
            if is_archive(each.file) and not (is_corpus and system.corpus.folder):
                total += each.estimated_size * (2 if is_corpus else 1) - guessed
                guessed = 0
        return total

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        system = self.entry.system
        return {
            "name": self.entry.name, "documents": self.entry.documents, "topics": system.topics.count,
            "judged": self.entry.judged, "document_scale": system.document_scale, "query_scale": system.query_scale,
            "published": dict(system.published), "finished": list(self.finished), "todo": list(self.todo),
            "files": [
                {"file": each.download.file, "state": each.state, "bytes": each.download.estimated_size or None,
                 "path": None if each.path is None else str(each.path)}
                for each in self.files
            ],
            "bytes_to_fetch": self.bytes_to_fetch, "disk_bytes": self.disk_bytes, "notes": list(self.notes),
        }  # fmt: skip


def make_plan(entry: Entry, folder: Path, downloads: Downloads, *, prebuilt: bool = False) -> Plan:
    """Checks an entry, and determines which files and steps are available already.

    Raises:
        CatalogueError: The entry is inconsistent.
        DownloadError: The offline archive cannot be read.
    """
    notes = check_entry(entry, prebuilt=prebuilt)
    files = tuple(
        FilePlan(each, downloads.locate(each), downloads.is_in_archive(each), downloads.begun(each))
        for each in entry.downloads(prebuilt=prebuilt)
    )
    paths, system = Paths(folder, entry, prebuilt), entry.system
    records = Steps(folder)
    steps = {
        "index": records.has_record(f"index.{paths.index.name}", paths.index),
        "search": records.has_record(f"search.{paths.run.stem}", paths.run),
    }
    if not prebuilt and system.method == "encode":
        steps = {"encode": _is_encoded(paths.encoded), **steps}
    if is_archive(system.corpus.file) and not prebuilt:
        steps = {"unpack": records.has_record(f"unpack.{paths.corpus.name}", paths.corpus), **steps}
    finished = tuple(name for name, is_done in steps.items() if is_done)
    todo = tuple(name for name in (*steps, "evaluate") if name not in finished)
    if any(each.path is None for each in files):
        todo = ("fetch", *todo)
    return Plan(entry, files, finished, todo, tuple(notes))


def _is_encoded(folder: Path) -> bool:
    try:
        return folder.is_dir() and read_folder_manifest(folder) is not None
    except InputError:  # unfinished
        return False
