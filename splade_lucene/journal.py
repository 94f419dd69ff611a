"""Which parts of an encoding are finished, so that a run that was cut off goes on behind them.

The journal is a file beside the parts: a line with the settings, then a line for each finished part, written to disk
after the part has its name. A part counts as finished only while its bytes are those that the journal knows.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.files import file_digest, storage_error, written_whole
from splade_lucene.manifest import MANIFEST_SUFFIX, Manifest, Part, read_manifest

_PART = re.compile(r"part-([0-9]{5,})\.jsonl(?:\.gz)?(?:\.partial)?")


class Journal:
    """The journal of one encoding, or of one shard of it.

    Args:
        folder: Where the parts are.
        suffix: What tells the shard's files from others'.

    Attributes:
        settings: What the unfinished encoding in the folder was set to; empty if there is none.
        parts: The finished parts by number.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder, self._suffix = folder, suffix
        self._path = folder / f"splade-lucene{suffix}.journal"
        self.manifest_path = folder / f"splade-lucene{suffix}{MANIFEST_SUFFIX}"
        self.settings: dict[str, Any] = {}
        self.parts: dict[int, Part] = {}
        self._lock_path = folder / f"splade-lucene{suffix}.lock"
        self._read()

    def __enter__(self) -> Journal:
        """Takes the folder for this process alone, and reads anew what is there.

        Raises:
            InputError: Another process has it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while True:
                self._lock = self._lock_path.open("a")
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._lock_path.exists() and os.fstat(self._lock.fileno()).st_ino == self._lock_path.stat().st_ino:
                    break
                self._lock.close()  # the one before deleted it just now
        except BlockingIOError:
            self._lock.close()
            raise InputError(
                "another process is encoding into this folder", path=self.folder, remedy="Wait for it, or name another"
            ) from None
        except OSError as error:
            raise storage_error(self.folder, error) from error
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock_path.unlink(missing_ok=True)
        self._lock.close()
        with suppress(OSError):
            self.folder.rmdir()  # if nothing was written at all

    @property
    def has_lock(self) -> bool:
        """Whether a process writes to the folder, or was killed when it did."""
        return self._lock_path.exists()

    def begun_with(self, corpus: str) -> dict[str, Any]:
        """The settings of what this folder holds of a corpus, finished or not; empty if it holds nothing of it."""
        manifest = read_manifest(self.manifest_path)
        for settings in (self.settings, manifest.encoded_with if manifest else {}):
            if settings.get("corpus") == corpus:
                return settings
        return {}

    def find_finished(self, settings: dict[str, Any]) -> Manifest | None:
        """The manifest, if the encoding is there and whole: each part with the bytes that it was written with."""
        manifest = read_manifest(self.manifest_path)
        if manifest is None or self.settings or manifest.encoding != settings_digest(settings):
            return None
        return manifest if all(map(self._is_there, manifest.parts)) else None

    def start(
        self, settings: dict[str, Any], shared: dict[str, Any], is_own: Callable[[int], bool], *, overwrite: bool
    ) -> None:
        """Gets ready to encode.

        Args:
            settings: Everything that decides what the parts hold.
            shared: What all shards in the folder have in common.
            is_own: Which parts are the shard's.
            overwrite: Delete an encoding with other settings.

        Raises:
            InputError: The folder holds an encoding with other settings, or another shard with others; says which.
        """
        manifest = read_manifest(self.manifest_path)
        written = [path for number, path in self._written() if is_own(number)]
        if self.settings == settings:
            self._start_anew(settings, self.parts.values(), written)
            return
        is_same = manifest is not None and manifest.encoding == settings_digest(settings)  # but damaged since
        if (manifest is not None or self.parts or written) and not (overwrite or is_same):
            self._refuse(settings, self.settings or (manifest.encoded_with if manifest else {}), self.folder)
        for path in self.folder.glob(f"splade-lucene*{MANIFEST_SUFFIX}"):
            other = read_manifest(path)
            if path != self.manifest_path and other is not None and other.encoded_with:
                theirs = {key: other.encoded_with.get(key) for key in shared}
                if theirs != shared:
                    self._refuse(shared, theirs, path)
        self._start_anew(settings, manifest.parts if manifest and is_same else (), written)

    def _start_anew(self, settings: dict[str, Any], parts: Iterable[Part], written: list[Path]) -> None:
        """Keeps the parts that are whole, and writes the journal first, so that a run cut off behind that goes on."""
        self.parts = {part.number: part for part in parts if self._is_there(part)}
        self._rewrite(settings)
        self.manifest_path.unlink(missing_ok=True)
        kept = {part.name for part in self.parts.values()}
        for path in written:
            if path.name not in kept:
                path.unlink()

    def _refuse(self, settings: dict[str, Any], found: dict[str, Any], path: Path) -> None:
        raise InputError(
            f"there are documents encoded with other settings, or of another corpus{_difference(found, settings)}",
            path=path, remedy="Name another folder, or pass --overwrite to encode anew",
        )  # fmt: skip

    def add(self, part: Part) -> None:
        """Notes a part that has its name and its bytes on the disk."""
        self.parts[part.number] = part
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(part)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(self._path, error) from error

    def delete(self) -> None:
        """Forgets: the manifest says it all now."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        self.settings, self.parts = {}, {}
        if not self._path.exists():
            return
        lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        try:
            self.settings = dict(json.loads(lines[0])["settings"])
        except (ValueError, KeyError, TypeError, IndexError):
            self.settings = {"unreadable": True}
            return
        for line in lines[1:]:
            try:
                part = Part.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError):
                break  # torn when the run was cut off
            self.parts[part.number] = part

    def _rewrite(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        records = [{"settings": settings}, *(asdict(part) for _, part in sorted(self.parts.items()))]
        with written_whole(self._path) as file:
            file.writelines(json.dumps(each) + "\n" for each in records)

    def _written(self) -> list[tuple[int, Path]]:
        """The parts in the folder, of whatever shard and even half-written, by number."""
        found = [(_PART.fullmatch(path.name), path) for path in self.folder.glob("part-*.jsonl*")]
        return [(int(match[1]), path) for match, path in found if match]

    def _is_there(self, part: Part) -> bool:
        path = self.folder / part.name
        return path.is_file() and file_digest(path) == part.sha256


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    if not old or "unreadable" in old:
        return ""
    before, now = ({**each.get("choices", {}), **each.get("pruning", {}), **each} for each in (old, new))
    keys = [key for key in {**now, **before} if key not in ("choices", "pruning") and before.get(key) != now.get(key)]
    shown = ["{} was {}, is {}".format(key, *_short(before.get(key), now.get(key))) for key in keys[:3]]
    return f" ({'; '.join(shown)}{' …' if len(keys) > 3 else ''})"


def _short(old: Any, new: Any) -> list[str]:
    """Two values, long ones from shortly before the place where they differ."""
    texts = [json.dumps(value, ensure_ascii=False) for value in (old, new)]
    equal = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    start = max(0, equal - 20) if max(map(len, texts)) > 60 else 0
    if start:
        texts = [('"…' if text[0] == '"' else "…") + text[start:] for text in texts]
    return [text if len(text) <= 60 else text[:57] + "…" for text in texts]


def settings_digest(settings: dict[str, Any]) -> str:
    """SHA-256 over settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
