"""The journal of an encoding whose parts are objects of a store, such as ``s3://bucket/folder``.

Nothing can be appended to an object, so the settings are one object (``splade-lucene.journal``) and each finished part has
one of its own below ``splade-lucene.parts/``, with the digest of the settings that it belongs to. It is written after the
part. A part counts as finished if its object has the size that was written. Digests of contents are compared only when parts
are read, because reading terabytes to resume would take as long as the encoding itself.

Only small objects are read here; they are copied to a temporary folder, in which the journal is that of :class:`Journal`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from dataclasses import asdict
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError, StorageError
from splade_lucene.files.json_text import json_digest, parse_json
from splade_lucene.files.remote import Folder, RemoteFolder
from splade_lucene.files.remote_locks import RemoteLock
from splade_lucene.manifest import MANIFEST_SUFFIX, Manifest, Part
from splade_lucene.pseudo_documents.journal import Journal, Shard, parts_among

_SMALL = (".journal", ".lock", MANIFEST_SUFFIX)


def open_journal(output: Folder, shard: Shard, *, replaces: bool) -> Journal:
    """The journal of an encoding, or of one shard of it; see :class:`Journal`."""
    if isinstance(output, RemoteFolder):
        return RemoteJournal(output, shard, replaces=replaces)
    return Journal(output, shard, replaces=replaces)


class RemoteJournal(Journal):
    """The journal of one encoding in a store, or of one shard of it.

    Args:
        store: The store's folder.
        shard: The shard.
        replaces: See :class:`Journal`.
    """

    def __init__(self, store: RemoteFolder, shard: Shard, *, replaces: bool = False) -> None:
        self._store, self._entries = store, f"splade-lucene{shard.suffix}.parts"
        copies = Path(tempfile.mkdtemp(prefix="splade-lucene-journal-"))
        weakref.finalize(self, shutil.rmtree, copies, ignore_errors=True)
        self.folder = copies
        self._sizes: dict[str, int] = {}
        self._refresh()
        super().__init__(copies, shard, replaces=replaces)
        self._remote_lock = RemoteLock(store, self._lock.name)
        self._lock = self._remote_lock

    def _refresh(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self._sizes = self._store.files()
        small = [name for name in self._sizes if name.startswith("splade-lucene") and name.endswith(_SMALL)]
        for name, content in self._store.read(small).items():
            (self.folder / name).write_bytes(content)
        journal = self.folder / f"{self._entries.removesuffix('.parts')}.journal"
        if journal.exists():
            self._append_entries(journal)

    def _append_entries(self, journal: Path) -> None:
        """Adds the finished parts to the copy of the journal, whose object has only the settings."""
        try:
            encoding = json_digest(parse_json(journal.read_bytes())["settings"])
        except (ValueError, KeyError, TypeError):
            return  # the journal reports that
        names = [f"{self._entries}/{name}" for name in self._store.files(self._entries)]
        with journal.open("a", encoding="utf-8") as file:
            for _, content in sorted(self._store.read(names).items()):
                try:
                    entry = parse_json(content)
                    if entry["encoding"] == encoding:
                        file.write(json.dumps(entry["part"]) + "\n")
                except (ValueError, KeyError, TypeError):
                    continue  # treat the part as unfinished

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _busy(self) -> InputError:
        return InputError(
            f"{self._remote_lock.owner} is encoding into this folder", path=self._store.url,
            remedy="Wait for it, or use another folder",
        )  # fmt: skip

    def _prepare(self) -> None:
        """Does nothing: a store has no folders to create."""

    def _display_path(self, path: Path) -> str | Path:
        return self._store.url if path == self.folder else f"{self._store.url}/{path.name}"

    def _has_lock(self) -> bool:
        return self._lock.name in self._sizes

    def _is_locked(self, path: Path) -> bool:
        return path.name in self._sizes and RemoteLock(self._store, path.name).is_held()

    def _delete(self, path: Path) -> None:
        super()._delete(path)
        if path.name in self._sizes:
            self._store.delete([path.name])

    def _part_files(self) -> list[tuple[int, Path]]:
        return parts_among(self.folder / name for name in self._sizes)

    def _is_intact(self, part: Part) -> bool:
        return self._sizes.get(part.name) == part.size

    def _rewrite(self, settings: dict[str, Any]) -> None:
        super()._rewrite(settings)
        self._store.write({self._path.name: json.dumps({"settings": settings}).encode() + b"\n"})
        entries = dict(map(self._entry, self.parts.values()))
        there = {f"{self._entries}/{name}" for name in self._store.files(self._entries)}
        self._store.write(entries)
        self._store.delete(sorted(there - entries.keys()))

    def _entry(self, part: Part) -> tuple[str, bytes]:
        entry = {"encoding": json_digest(self.settings), "part": asdict(part)}
        return f"{self._entries}/{part.number:05d}.json", json.dumps(entry).encode()

    def add(self, part: Part) -> None:
        """Records a finished part.

        Raises:
            StorageError: Another process has taken over, or the store cannot be used.
        """
        self._remote_lock.check()
        super().add(part)
        self._store.write(dict([self._entry(part)]))

    def finish(self, manifest: Manifest) -> None:
        """Writes the manifest, and deletes the journal.

        Raises:
            StorageError: A part is not there as it was written, or the store cannot be used.
        """
        self._remote_lock.check()
        self._sizes = self._store.files()
        for part in manifest.parts:
            if not self._is_intact(part):
                found = f"{self._sizes[part.name]:,}" if part.name in self._sizes else "no"
                raise StorageError(
                    f"{self._store.url}/{part.name}: expected an object of {part.size:,} bytes, found {found}. Run the same "
                    "command again to write it once more, and check what else writes to this folder."
                )
        super().finish(manifest)
        self._store.write({self.manifest_path.name: self.manifest_path.read_bytes()})
        self._store.delete(f"{self._entries}/{name}" for name in self._store.files(self._entries))
        self._store.delete([self._path.name])
