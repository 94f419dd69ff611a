"""Gets the files of an entry from a mirror, an offline archive, the cache or the network, complete and verified.

A download is renamed to its final name only after its size and checksum match the published ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from splade_lucene.errors import DownloadError
from splade_lucene.files.files import atomic_text_writer, cache_folder, sole_writer, storage_error
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.reproduction.archives import broken, open_archive, too_large, write_file
from splade_lucene.reproduction.entries import Download
from splade_lucene.reproduction.fetching import fetch_file

_BLOCK = 1 << 20


def reproduction_folder() -> Path:
    """The default folder for reproductions: below ``SPLADE_LUCENE_CACHE``, else in the user's cache."""
    return Path(os.environ.get("SPLADE_LUCENE_CACHE") or cache_folder()) / "reproduce"


@dataclass(frozen=True)
class Downloads:
    """Sources of files.

    Attributes:
        folder: Where downloaded files are kept.
        mirror: A folder, or a ``.tar`` (``.gz`` …) or ``.zip`` archive, with files by name; tried first.
        offline: Whether to never use the network.
        progress: Follows the downloads.
    """

    folder: Path
    mirror: Path | None = None
    offline: bool = False
    progress: Progress = NO_PROGRESS

    def locate(self, download: Download) -> Path | None:
        """The path of a file that is available locally, not verified; None if it is not available."""
        for path in self._candidates(download):
            if path.is_file():
                return path
        return None

    def begun(self, download: Download) -> int:
        """Bytes already downloaded by an interrupted download."""
        partial = _partial(self.folder / download.file)
        return partial.stat().st_size if partial.is_file() else 0

    def is_in_archive(self, download: Download) -> bool:
        """Whether the offline archive contains a file."""
        if self.mirror is None or not self.mirror.is_file():
            return False
        with open_archive(self.mirror) as members:
            return _find_member((each.name for each in members), download.file) is not None

    def fetch(self, download: Download) -> Path:
        """Gets a file.

        Returns:
            Its path, in the mirror or in the folder.

        Raises:
            DownloadError: The file is not available, the network fails, or the file differs from the published one.
            StorageError: The disk is full or not writable.
        """
        target = self.folder / download.file
        try:
            if download.built_in:
                return write_built_in(target)
            for path in self._candidates(download):
                if path.is_file() and self._is_verified(path, download):
                    return path
            with sole_writer(target, DownloadError(f"{target}: another process is getting this file. Wait for it.")):
                if target.is_file() and self._is_verified(target, download):
                    return target  # the other process has just finished
                if not self._extract(download, target):
                    self._fetch_from_network(download, target)
                self._write_receipt(target, download)
        except OSError as error:
            raise storage_error(Path(error.filename or target), error) from error
        return target

    def _candidates(self, download: Download) -> Iterator[Path]:
        if self.mirror is not None and self.mirror.is_dir():
            yield self.mirror / download.file
            yield self.mirror / Path(download.file).name
        yield self.folder / download.file
        from splade_lucene.topics.named import collection_folders

        yield from (folder / Path(download.file).name for folder in collection_folders("topics", "qrels"))

    # ---- verification ----

    def _is_verified(self, path: Path, download: Download) -> bool:
        """Verifies a file once; a receipt saves later runs from reading tens of gigabytes again."""
        receipt = self._receipt(path)
        if receipt.is_file() and receipt.read_bytes() == _stamp(path, download).encode():
            return True
        problem = find_fault(path, download)
        if not problem:
            self._write_receipt(path, download)
            return True
        own_folders = [self.folder, *([self.mirror] if self.mirror else [])]
        if not any(path.is_relative_to(each) for each in own_folders):  # Pyserini's cache may have another version
            return False
        raise DownloadError(
            f"{path}: {problem}. The file differs from the one published as {download.url or download.file}: delete it, "
            "or use another mirror=…."
        )

    def _write_receipt(self, path: Path, download: Download) -> None:
        with atomic_text_writer(self._receipt(path)) as file:
            file.write(_stamp(path, download))

    def _receipt(self, path: Path) -> Path:
        digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
        return self.folder / ".checked" / f"{path.name}.{digest}"

    # ---- from an archive ----

    def _extract(self, download: Download, target: Path) -> bool:
        if self.mirror is None or not self.mirror.is_file():
            return False
        with open_archive(self.mirror) as archive:
            members = {each.name: each for each in archive}
            name = _find_member(members, download.file)
            if name is None:
                return False
            member, origin, limit = members[name], f"{self.mirror}, {name}", download.most_bytes
            if not member.is_regular:
                raise broken(self.mirror, f"{name!r:.200} is a link or a device")
            if limit is not None and member.size > limit:
                raise too_large(origin, limit, member.size)
            partial = target.with_name(f"{target.name}.extracting")
            try:
                partial.unlink(missing_ok=True)
                write_file(member.read(), partial, limit, origin)
                _publish(partial, target, download, origin)
            finally:
                partial.unlink(missing_ok=True)
        return True

    # ---- from the network ----

    def _fetch_from_network(self, download: Download, target: Path) -> None:
        if self.offline or not download.url:
            reason = "the network is disabled by offline=True" if download.url else "no download address is known"
            raise _unavailable(download, reason, target)
        partial = _partial(target)

        size = download.estimated_size
        try:
            with self.progress.step(download.file, size or None, "bytes") as advance:
                fetch_file(download.url, partial, size, advance, limit=download.most_bytes)
        except ConnectionError as error:
            raise _unavailable(download, str(error), target) from error
        _publish(partial, target, download, download.url)


def find_fault(path: Path, download: Download) -> str:
    """Compares a file with the published size and checksum; returns the problem, or an empty string."""
    size = path.stat().st_size
    if download.size is not None and size != download.size:
        return f"the size is {size:,} bytes, expected {download.size:,}"
    if not download.checksum:
        return ""
    kind, _, expected = download.checksum.partition(":")
    digest = hashlib.new("sha1" if kind == "git-blob" else kind, usedforsecurity=False)
    if kind == "git-blob":
        digest.update(b"blob %d\0" % size)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    found = digest.hexdigest()
    return "" if found == expected else f"the {kind} checksum is {found}, expected {expected}"


def write_built_in(target: Path) -> Path:
    """Writes the topics (``.tsv``) or the judgments for the questions on Python's documentation, unless they exist."""
    from splade_lucene.demo import read_questions

    lines = []
    for query, relevant in read_questions():
        if target.suffix == ".tsv":
            lines.append(f"{query.qid}\t{query.text}\n")
        else:
            lines += [f"{query.qid} 0 {docid} 1\n" for docid in relevant]
    text = "".join(lines)
    if not (target.is_file() and target.read_text(encoding="utf-8") == text):
        with atomic_text_writer(target) as file:
            file.write(text)
    return target


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def _publish(partial: Path, target: Path, download: Download, origin: str) -> None:
    problem = find_fault(partial, download)
    if problem:
        partial.unlink()
        raise DownloadError(
            f"{origin}: {problem}. The download was discarded. Try again, or pass a folder that has the file as mirror=…."
        )
    partial.replace(target)


def _unavailable(download: Download, reason: str, target: Path) -> DownloadError:
    facts = ", ".join(each for each in (download.checksum, download.published_size, download.note) if each)
    return DownloadError(
        f"{download.file} is not available locally, and {reason}. Save it as {target}, or put it into a folder or archive "
        "and pass that as mirror=…" + (f" ({facts})." if facts else ".")
    )


def _stamp(path: Path, download: Download) -> str:
    status = path.stat()
    return json.dumps([str(path.resolve()), status.st_size, status.st_mtime_ns, download.size, download.checksum])


def _find_member(members: Iterable[str], file: str) -> str | None:
    """The archive member for a file: the one whose path ends with the file's path, else one with the same name."""
    for wanted in (file, Path(file).name):
        for name in members:
            if name == wanted or name.endswith(f"/{wanted}"):
                return name
    return None
