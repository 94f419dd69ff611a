"""Which parts of an encoding are finished, so that a run that was cut off goes on behind them.

The journal is a file beside the parts: a line with the settings, then a line for each finished part, written to disk
after the part has its name. A part counts as finished only while its bytes are those that the journal knows.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.files import storage_error, written_whole
from splade_lucene.manifest import MANIFEST_SUFFIX, Manifest, read_manifest


@dataclass(frozen=True)
class Part:
    """A finished part.

    Attributes:
        number: Its place in the encoding, from 0.
        name: Its file.
        documents: Documents that it was made of.
        tokens: Tokens that they had.
        empty: Those that encode to no term, and so are not in the file.
        sha256: Checksum of the file.
    """

    number: int
    name: str
    documents: int
    tokens: int
    empty: tuple[str, ...]
    sha256: str


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
        if self._path.exists():
            self._read()

    @property
    def dtype(self) -> str:
        """What the encoding in the folder, finished or not, was computed in; empty if there is none."""
        if self.settings:
            return str(self.settings.get("dtype", ""))
        manifest = read_manifest(self.manifest_path)
        return manifest.dtype if manifest else ""

    def start(self, settings: dict[str, Any], *, overwrite: bool) -> Manifest | None:
        """Gets ready to encode.

        Args:
            settings: Everything that decides what the parts hold.
            overwrite: Delete an encoding with other settings.

        Returns:
            The manifest, if the encoding is there already and whole.

        Raises:
            InputError: The folder holds an encoding with other settings; says which differ.
        """
        digest = settings_digest(settings)
        manifest = read_manifest(self.manifest_path)
        written = self._written()
        if manifest is not None and manifest.encoding == digest and not self.settings:
            if all(self._is_there(part["name"], part["sha256"]) for part in manifest.parts):
                return manifest
            self.parts = {}  # a part was lost or damaged since: encode anew
        elif self.settings == settings:
            self.parts = {n: part for n, part in self.parts.items() if self._is_there(part.name, part.sha256)}
        elif (manifest is not None or self.settings or written) and not overwrite:
            difference = _difference(self.settings or (manifest.encoded_with if manifest else {}), settings)
            raise InputError(
                f"this folder holds documents encoded with other settings, or of another corpus{difference}",
                path=self.folder, remedy="Name another folder, or pass --overwrite to encode anew",
            )  # fmt: skip
        else:
            self.parts = {}
        self._rewrite(settings)  # before anything is deleted: cut off behind this, the same command goes on
        self.manifest_path.unlink(missing_ok=True)
        known = {part.name for part in self.parts.values()}
        for path in written:
            if path.name not in known:
                path.unlink()
        return None

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
        lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        try:
            self.settings = dict(json.loads(lines[0])["settings"])
        except (ValueError, KeyError, TypeError, IndexError):
            self.settings = {"unreadable": True}
            return
        for line in lines[1:]:
            try:
                record = json.loads(line)
                part = Part(**{**record, "empty": tuple(record["empty"])})
            except (ValueError, KeyError, TypeError):
                break  # torn when the run was cut off
            self.parts[part.number] = part

    def _rewrite(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        records = [{"settings": settings}, *(asdict(part) for _, part in sorted(self.parts.items()))]
        with written_whole(self._path) as file:
            file.writelines(json.dumps(each) + "\n" for each in records)

    def _written(self) -> list[Path]:
        pattern = f"part{self._suffix}-[0-9][0-9][0-9][0-9][0-9].jsonl*"
        return list(self.folder.glob(pattern)) if self.folder.is_dir() else []

    def _is_there(self, name: str, sha256: str) -> bool:
        path = self.folder / name
        return path.is_file() and file_digest(path) == sha256


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


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
