"""What a run of an entry would do: which files it needs, where they are, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.manifest import read_folder_manifest
from splade_lucene.reproduction.checks import check_entry
from splade_lucene.reproduction.downloads import Downloads
from splade_lucene.reproduction.entries import Download, Entry
from splade_lucene.reproduction.paths import Places
from splade_lucene.reproduction.steps import Steps
from splade_lucene.reproduction.unpacking import ARCHIVES

_BYTES_A_DOCUMENT = 4_000  # pseudo-documents and index of a SPLADE model, some 150 terms


@dataclass(frozen=True)
class FilePlan:
    """A file that is needed.

    Attributes:
        download: The file.
        path: Where it is at hand; None if it is not.
        in_archive: The offline archive has it.
        begun: Bytes that an earlier run left of it.
    """

    download: Download
    path: Path | None
    in_archive: bool
    begun: int

    @property
    def state(self) -> str:
        """Where it would come from, in a word or two."""
        if self.path is not None:
            return "at hand"
        if self.download.built_in:
            return "built in"
        if self.in_archive:
            return "in the archive"
        if not self.download.url:
            return "missing"
        return "to fetch" if not self.begun else "begun"

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes to come over the network, as far as the size is known."""
        return max(0, self.download.about_bytes - self.begun) if self.state in ("to fetch", "begun") else 0


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        entry: The entry.
        files: Files that it needs.
        finished: Of its steps, those whose results are there.
        todo: The others, in their order.
        notes: What the publisher leaves open.
    """

    entry: Entry
    files: tuple[FilePlan, ...]
    finished: tuple[str, ...]
    todo: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes to come over the network."""
        return sum(each.bytes_to_fetch for each in self.files)

    @property
    def disk_bytes(self) -> int:
        """About how much disk a run from nothing takes, or at least.

        The files; of archives that are unpacked whole the same once more, and an index of that size; of what we encode, and
        of the one folder that is taken out of an archive of many, a guess of so many bytes a document.
        """
        system = self.entry.system
        total = guessed = (self.entry.documents or 0) * _BYTES_A_DOCUMENT
        for each in (plan.download for plan in self.files):
            is_corpus = each.file == system.corpus.file
            total += each.about_bytes
            if each.file.endswith(ARCHIVES) and not (is_corpus and system.corpus.folder):
                total += each.about_bytes * (2 if is_corpus else 1) - guessed
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
                {"file": each.download.file, "state": each.state, "bytes": each.download.about_bytes or None,
                 "path": None if each.path is None else str(each.path)}
                for each in self.files
            ],
            "bytes_to_fetch": self.bytes_to_fetch, "disk_bytes": self.disk_bytes, "notes": list(self.notes),
        }  # fmt: skip


def make_plan(entry: Entry, folder: Path, downloads: Downloads, *, prebuilt: bool = False) -> Plan:
    """Checks an entry against itself, and looks what is there already.

    Raises:
        CatalogueError: The entry does not fit together.
        DownloadError: The offline archive cannot be read.
    """
    notes = check_entry(entry, prebuilt=prebuilt)
    files = tuple(
        FilePlan(each, downloads.locate(each), downloads.is_in_archive(each), downloads.begun(each))
        for each in entry.downloads(prebuilt=prebuilt)
    )
    places, system = Places(folder, entry, prebuilt), entry.system
    records = Steps(folder)
    steps = {
        "index": records.has_record(f"index.{places.index.name}", places.index),
        "search": records.has_record(f"search.{places.run.stem}", places.run),
    }
    if not prebuilt and system.method == "encode":
        steps = {"encode": _is_encoded(places.encoded), **steps}
    if system.corpus.file.endswith(ARCHIVES) and not prebuilt:
        steps = {"unpack": records.has_record(f"unpack.{places.corpus.name}", places.corpus), **steps}
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
