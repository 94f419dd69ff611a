"""The journal of an encoding: records the finished parts, so that an interrupted run can resume.

The journal is a file next to the parts: one line with the settings, then one line per finished part, which is flushed to
disk after the part has been renamed to its final name. A part counts as finished only if its digest matches the journal.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from splade_lucene.errors import InputError, StorageError
from splade_lucene.files.files import atomic_text_writer, file_digest, storage_error
from splade_lucene.files.json_text import json_digest, parse_json
from splade_lucene.files.locks import LockFile, is_locked
from splade_lucene.files.outputs import PARTIAL
from splade_lucene.files.typed_data import make
from splade_lucene.manifest import MANIFEST_SUFFIX, Manifest, Part, read_manifest, write_manifest

_SHARD = re.compile(r"splade-lucene(?:-([1-9][0-9]{0,8})of([1-9][0-9]{0,8}))?")
_PART = re.compile(rf"part-([0-9]{{5,}})\.jsonl(?:\.gz)?(?:{PARTIAL})?")


@dataclass(frozen=True)
class Shard:
    """One of several shares of a corpus: every count-th part, starting with the number-th.

    Parts do not depend on sharding, so all shards together have the same files as the undivided encoding.

    Attributes:
        number: Number of the shard, from 1.
        count: Number of shards.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parses ``I/N``.

        Raises:
            InputError: The text does not have this form.
        """
        number, slash, count = text.partition("/")
        is_pair = slash and all(each.isdecimal() and len(each) < 10 for each in (number, count))
        if not (is_pair and 1 <= int(number) <= int(count)):
            raise InputError(f"{text!r} is not a shard", remedy="Write I/N with 1 <= I <= N, such as 2/4")
        return cls(int(number), int(count))

    @property
    def suffix(self) -> str:
        """The suffix of the shard's file names."""
        return "" if self.count == 1 else f"-{self.number}of{self.count}"

    def has_part(self, number: int) -> bool:
        """Whether a part belongs to the shard."""
        return number % self.count == self.number - 1


WHOLE_CORPUS = Shard()


class Lock(Protocol):
    """A lock that keeps two processes from writing to the same folder."""

    @property
    def name(self) -> str:
        """The name of its file."""
        ...

    def acquire(self) -> bool:
        """Takes the lock; returns whether it was taken."""
        ...

    def release(self) -> None:
        """Releases the lock."""
        ...


@dataclass(frozen=True)
class _Settings:
    """The first line of a journal."""

    settings: dict[str, Any]


_UNREADABLE = {"unreadable": True}
"""The settings of an encoding whose settings cannot be read."""


class Journal:
    """The journal of one encoding, or of one shard of it.

    Args:
        folder: The folder of the parts.
        shard: The shard.
        replaces: Whether an encoding with other settings may be replaced, also one of another version, or with a damaged
            manifest.

    Attributes:
        settings: The settings of the unfinished encoding in the folder; empty if there is none.
        parts: The finished parts by number.
    """

    def __init__(self, folder: Path, shard: Shard, *, replaces: bool = False) -> None:
        self.folder, self._shard, self._replaces = folder, shard, replaces
        self._path, lock, self.manifest_path = (
            folder / f"splade-lucene{shard.suffix}{ending}" for ending in (".journal", ".lock", MANIFEST_SUFFIX)
        )
        self._lock: Lock = LockFile(lock)
        self.settings: dict[str, Any] = {}
        self.parts: dict[int, Part] = {}
        self._read()

    def __enter__(self) -> Journal:
        """Locks the folder, or the shard in it, for this process and rereads the journal.

        Raises:
            InputError: Another process holds the lock, or the path is a file.
        """
        self._prepare()
        try:
            if not self._lock.acquire():
                raise self._busy()
        except OSError as error:
            raise storage_error(self.folder, error) from error
        try:
            self._refresh()
            for path, shard in self._others("lock"):
                if shard.count != self._shard.count and self._is_locked(path):
                    raise self._busy()
            self._read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _busy(self) -> InputError:
        return InputError(
            "another process is encoding into this folder",
            path=self._display_path(self.folder),
            remedy="Wait for it, or use another folder",
        )

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        with suppress(OSError):
            self.folder.rmdir()  # fails unless nothing was written

    def delete_stale_lock(self) -> None:
        """Deletes the lock file of a process that was killed after it had finished."""
        if self._has_lock():
            with suppress(InputError, StorageError), self:
                pass

    # What follows is different in a store; see RemoteJournal.

    def _prepare(self) -> None:
        """Creates the folder."""
        if self.folder.is_file():
            raise InputError("this is a file, not a folder", path=self.folder, remedy="Use a folder")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(self.folder, error) from error

    def _refresh(self) -> None:
        """Rereads what other processes have changed; a local folder is always current."""

    def _display_path(self, path: Path) -> str | Path:
        """What messages call a file."""
        return path

    def _has_lock(self) -> bool:
        return (self.folder / self._lock.name).exists()

    def _is_locked(self, path: Path) -> bool:
        return is_locked(path)

    def _delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def _part_files(self) -> list[tuple[int, Path]]:
        """All part files in the folder with their numbers, of any shard, including partially written ones."""
        return parts_among(self.folder.glob("part-*.jsonl*"))

    def _is_intact(self, part: Part) -> bool:
        """Whether a finished part is as it was written."""
        path = self.folder / part.name
        return path.is_file() and file_digest(path) == part.sha256

    # What follows is the same everywhere.

    def settings_of(self, corpus: str) -> dict[str, Any]:
        """The settings of the folder's encoding of a corpus, finished or not; empty if there is none."""
        manifest = self._manifest(self.manifest_path)
        for settings in (self.settings, manifest.encoded_with if manifest else {}):
            if settings.get("corpus") == corpus:
                return settings
        return {}

    def find_finished(self, settings: dict[str, Any]) -> Manifest | None:
        """The manifest if the encoding is complete and the digests of all parts match, else None."""
        manifest = self._manifest(self.manifest_path)
        if manifest is None or self.settings or manifest.encoding != json_digest(settings):
            return None
        return manifest if all(map(self._is_intact, manifest.parts)) else None

    def is_started_with(self, settings: dict[str, Any]) -> bool:
        """Whether the folder contains an encoding, finished or not, with exactly these settings."""
        manifest = self._manifest(self.manifest_path)
        return settings in (self.settings, manifest.encoded_with if manifest else {})

    def start(self, settings: dict[str, Any], shared: dict[str, Any], *, overwrite: bool) -> None:
        """Prepares the folder: keeps the finished parts of the same encoding and deletes those of others.

        Args:
            settings: All settings that affect the contents of the parts.
            shared: The settings that all shards in the folder must share.
            overwrite: Delete encodings with different settings or another number of shards.

        Raises:
            InputError: The folder contains such an encoding and ``overwrite`` is not set; says what differs.
        """
        manifest = self._manifest(self.manifest_path)
        kept: Iterable[Part] = self.parts.values() if self.settings == settings else ()
        if manifest is not None and manifest.encoded_with == settings:  # finished, but damaged since then
            kept = manifest.parts
        written = self._part_files()
        own = [path for number, path in written if self._shard.has_part(number)]
        others = [
            (path, shard, found)
            for path, shard, found in self._settings_of_others()
            if self._differs(shared, shard, found)
        ]
        if not overwrite:
            is_started = self.is_started_with(settings)
            if not is_started and (manifest is not None or self.parts or own):
                found = self.settings or (manifest.encoded_with if manifest else {})
                self._refuse(settings, found, self._display_path(self.folder))
            for path, shard, found in others:
                theirs = {key: found.get(key) for key in shared}
                self._refuse(
                    {**shared, "shards": self._shard.count}, {**theirs, "shards": shard.count}, self._display_path(path)
                )
        elif any(self._is_locked(path.with_suffix(".lock")) for path, _, _ in others):
            raise self._busy()
        self.parts = {part.number: part for part in kept if self._is_intact(part)}
        names = {part.name for part in self.parts.values()}
        self._rewrite(settings)  # first, so that a run interrupted after this point can resume
        self._delete(self.manifest_path)
        for number, path in written:
            is_obsolete = any(shard.has_part(number) for shard in (self._shard, *(shard for _, shard, _ in others)))
            if is_obsolete and path.name not in names:
                self._delete(path)
        for path, _, _ in others:
            self._delete(path)

    def _others(self, suffix: str) -> Iterator[tuple[Path, Shard]]:
        """The folder's files with a suffix that belong to other shards or to an undivided encoding."""
        for path in sorted(self.folder.glob(f"splade-lucene*.{suffix}")):
            match = _SHARD.fullmatch(path.stem)
            shard = Shard(int(match[1] or 1), int(match[2] or 1)) if match else self._shard
            if shard != self._shard and path.is_file():
                yield path, shard

    def _settings_of_others(self) -> Iterator[tuple[Path, Shard, dict[str, Any]]]:
        for path, shard in self._others("journal"):
            yield path, shard, Journal(self.folder, shard).settings
        for path, shard in self._others(MANIFEST_SUFFIX[1:]):
            manifest = self._manifest(path)
            if manifest is not None:
                yield path, shard, manifest.encoded_with

    def _manifest(self, path: Path) -> Manifest | None:
        """A manifest of the folder; one that cannot be read counts as that of another encoding if it may be replaced."""
        try:
            remedy = "Pass overwrite=True to replace it, or use another folder"
            return read_manifest(path, remedy=remedy, shown=self._display_path(path))
        except InputError:
            if not self._replaces:
                raise
            return Manifest(encoded_with=_UNREADABLE)

    def _differs(self, shared: dict[str, Any], shard: Shard, found: dict[str, Any]) -> bool:
        return shard.count != self._shard.count or any(found.get(key) != value for key, value in shared.items())

    def _refuse(self, settings: dict[str, Any], found: dict[str, Any], path: str | Path) -> None:
        raise InputError(
            f"this was encoded with other settings or from another corpus{_difference(found, settings)}",
            path=path, remedy="Use another folder, or pass overwrite=True to replace it",
        )  # fmt: skip

    def add(self, part: Part) -> None:
        """Records a finished part."""
        self.parts[part.number] = part
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(part)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(self._path, error) from error

    def finish(self, manifest: Manifest) -> None:
        """Writes the manifest, and deletes the journal.

        Raises:
            StorageError: The manifest cannot be written.
        """
        write_manifest(self.manifest_path, manifest)
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        self.settings, self.parts = {}, {}
        if not self._path.is_file():
            return
        lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        try:
            self.settings = make(_Settings, parse_json(lines[0])).settings
        except (ValueError, IndexError):
            self.settings = _UNREADABLE
            return
        for line in lines[1:]:
            try:
                part = make(Part, parse_json(line), ignore_unknown=True)
            except ValueError:
                break  # incomplete because the run was interrupted
            self.parts[part.number] = part

    def _rewrite(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        records = [{"settings": settings}, *(asdict(part) for _, part in sorted(self.parts.items()))]
        with atomic_text_writer(self._path) as file:
            file.writelines(json.dumps(each) + "\n" for each in records)


def parts_among(paths: Iterable[Path]) -> list[tuple[int, Path]]:
    """The part files among some files, with their numbers, including partially written ones."""
    found = [(_PART.fullmatch(path.name), path) for path in paths]
    return [(int(match[1]), path) for match, path in found if match]


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    if not old or "unreadable" in old:
        return ""
    groups = ("choices", "pruning")
    before, now = (
        {key: value for group in groups if isinstance(each.get(group), dict) for key, value in each[group].items()}
        | each
        for each in (old, new)
    )
    keys = [key for key in {**now, **before} if key not in groups and before.get(key) != now.get(key)]
    shown = ["{} was {}, is {}".format(key, *_short(before.get(key), now.get(key))) for key in keys[:3]]
    return f" ({'; '.join(shown)}{' …' if len(keys) > 3 else ''})"


def _short(old: Any, new: Any) -> list[str]:
    """Formats two values; long ones are cut to start shortly before the first difference."""
    texts = [json.dumps(value, ensure_ascii=False) for value in (old, new)]
    equal = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    start = max(0, equal - 20) if max(map(len, texts)) > 60 else 0
    if start:
        texts = [('"…' if text[0] == '"' else "…") + text[start:] for text in texts]
    return [text if len(text) <= 60 else text[:57] + "…" for text in texts]
