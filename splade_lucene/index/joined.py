"""Several indexes as one, as if they had been merged.

The documents keep the order of the indexes. Deleted documents are those of all indexes; those that a later index replaces
count as deleted, too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from splade_lucene import jvm
from splade_lucene.arguments import check_choice, to_ordered_list, to_path
from splade_lucene.counts import counted
from splade_lucene.errors import InputError
from splade_lucene.index.bm25_field import lacking_bm25
from splade_lucene.index.checking import open_verified
from splade_lucene.index.compatibility import common_fields, common_manifest, compatibility_warnings
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.index.shards import with_shards
from splade_lucene.jvm import wire
from splade_lucene.manifest import Manifest

_log = logging.getLogger(__name__)

IndexDirs = str | Path | Iterable[str | Path]
"""The folder of an index, or the folders of several; a folder of shards stands for all of them."""

Duplicates = Literal["refuse", "last"]
"""What happens to a docid that several documents have: it is an error, or the last document counts."""


def to_index_paths(index_dirs: IndexDirs) -> list[Path]:
    """The folders of one or several indexes; a folder of shards stands for all of them.

    Raises:
        InputError: There is none, or one is named twice, or a shard is missing.
    """
    if isinstance(index_dirs, str | os.PathLike) or not isinstance(index_dirs, Iterable):
        return with_shards([to_path(index_dirs)])
    paths = with_shards([to_path(each) for each in to_ordered_list(index_dirs, "indexes")])
    if not paths:
        raise InputError("no index is named", remedy="Pass the folder of an index, or of several")
    seen: dict[Path, Path] = {}
    for path in paths:
        first = seen.setdefault(path.resolve(), path)
        if first is not path:
            raise InputError(f"this index is named twice: {first} and {path}", remedy="Name each index once")
    return paths


def open_indexes(
    index_dirs: IndexDirs, duplicates: Duplicates = "refuse", *, verify: bool = False
) -> LuceneImpactIndexReader:
    """Opens an index, or several as one.

    Args:
        index_dirs: The folder of an index, or of several.
        duplicates: What happens to a docid that is in several of them; see :data:`Duplicates`.
        verify: Read every byte of each index first, and compare the checksums.

    Raises:
        NotAnIndexError: A folder is not an impact index.
        IndexVersionError: It was written by a newer Lucene.
        DamagedIndexError: With ``verify``: names the damaged files.
        InputError: The indexes do not belong together, an index is named twice, two documents have the same docid, or a
            manifest is damaged.
    """
    check_choice(duplicates, Duplicates, "value of duplicates")
    paths = to_index_paths(index_dirs)
    if len(paths) > 1:
        return open_joined(paths, duplicates, verify=verify)
    return _open(paths[0], verify=verify)


def open_joined(paths: Sequence[Path], duplicates: Duplicates, *, verify: bool = False) -> JoinedIndexReader:
    """Opens indexes as one, also a single one, in which other software may have given a docid to two documents.

    The arguments and errors are those of :func:`open_indexes`.
    """
    check_choice(duplicates, Duplicates, "value of duplicates")
    parts: list[LuceneImpactIndexReader] = []
    try:
        for path in paths:
            parts.append(_open(path, verify=verify))
        return JoinedIndexReader(parts, duplicates)
    except BaseException:
        for each in parts:
            each.close()
        raise


def _open(path: Path, *, verify: bool) -> LuceneImpactIndexReader:
    if verify:
        return open_verified(path)
    reader = LuceneImpactIndexReader(path)
    try:
        reader.check_manifest()
    except InputError:
        reader.close()
        raise
    return reader


class JoinedIndexReader(LuceneImpactIndexReader):
    """Several open indexes as one. Everything reads as from the index into which they would be merged.

    Args:
        parts: The indexes, which are closed with this one, or with the last one that shows them. Documents are numbered in
            their order.
        duplicates: What happens to a docid that is in several of them.
        known: The same indexes at an earlier time, if they were open then.

    Attributes:
        replaced: For each index, how many documents of earlier ones it replaces, or of its own with the same docid.

    Raises:
        InputError: The indexes do not belong together, or a docid is in two of them.
    """

    def __init__(
        self, parts: Sequence[LuceneImpactIndexReader], duplicates: Duplicates, known: JoinedIndexReader | None = None
    ) -> None:
        self._parts, self.duplicates = tuple(parts), duplicates
        self.index_dir = parts[0].index_dir
        self._manifest = common_manifest(parts)
        self._all_fields = common_fields(parts)
        java = jvm.facade("Join")
        with jvm.translated_exceptions(self.index_dir):
            opened = [each.java for each in parts]
            without_terms = _without_terms(parts)
            found = java.findDuplicates(opened, wire.pack_strings(text for pair in without_terms for text in pair))
            if duplicates == "refuse":
                self._refuse_duplicates(found, without_terms)
            self.replaced: list[int] = wire.unpack_integers(wire.to_bytes(java.replacedDocuments(found))).tolist()
            self._hold(java.join(opened, found, known.java if known is not None else None))
        self._warnings = compatibility_warnings(parts)
        for each in parts:
            each.shown_by.add(self)
        for warning in self._warnings:
            if known is None or warning not in known._warnings:
                _log.warning("%s", warning)

    def _refuse_duplicates(self, found: Any, without_terms: Sequence[tuple[str, str]]) -> None:
        java = jvm.facade("Join")
        count = int(java.countDuplicates(found))
        if not count:
            return
        rows = wire.unpack_rows(wire.to_bytes(java.duplicateExamples(found)), 3)
        folders = [each.index_dir for each in self._parts]
        empty = {(folders[int(number)], docid) for number, docid in without_terms}

        def name(docid: str, number: str) -> str:
            folder = folders[int(number)]
            return f"{folder}{' (there without terms)' if (folder, docid) in empty else ''}"

        shown = [
            f"{docid!r:.200} in {name(docid, one)} and {name(docid, two)}"
            if one != two
            else f"{docid!r:.200} twice in {folders[int(one)]}"
            for docid, one, two in rows
        ]
        more = f", and {count - len(shown):,} more" if count > len(shown) else ""
        raise InputError(
            f"{counted(count, 'docid', 'belongs', 'belong')} to two documents: {', '.join(shown)}{more}",
            remedy="Pass duplicates=last to take the last one, or delete the others",
        )

    @property
    def parts(self) -> tuple[LuceneImpactIndexReader, ...]:
        """The indexes."""
        self._handle.check_open()
        return self._parts

    @property
    def has_bm25(self) -> bool:
        """Whether the texts of all indexes are also indexed for BM25."""
        return any(each.has_bm25 for each in self.parts) and not lacking_bm25(self.parts)

    def refreshed(self) -> JoinedIndexReader | None:
        """Opens the last commits of the indexes; None if they are those that this reader shows.

        Raises:
            InputError: They do not belong together any more, or a docid is in two of them.
        """
        self._handle.check_open()
        newer: list[LuceneImpactIndexReader | None] = []
        try:
            for each in self._parts:
                newer.append(each.refreshed())
            if not any(newer):
                return None
            parts = [new or old for new, old in zip(newer, self._parts, strict=True)]
            return JoinedIndexReader(parts, self.duplicates, self)
        except BaseException:
            for opened in newer:
                if opened is not None:
                    opened.close()
            raise

    def commit(self) -> str:
        """Identifiers of the open commits, separated by spaces."""
        return " ".join(each.commit() for each in self.parts)

    def manifest(self) -> Manifest | None:
        """What the manifests of the indexes have in common, with the fields of all; None if none has one."""
        self._handle.check_open()
        return self._joint_manifest

    @cached_property
    def _joint_manifest(self) -> Manifest | None:
        """Without the documents that have no terms in one index, and are in another."""
        if self._manifest is None or not self._manifest.empty:
            return self._manifest
        with jvm.translated_exceptions(self.index_dir):
            packed = jvm.facade("Index").heldBy(self.java, wire.pack_strings(self._manifest.empty))
            there = {*wire.unpack_strings(wire.to_bytes(packed))}
        return replace(self._manifest, empty=tuple(docid for docid in self._manifest.empty if docid not in there))

    def statistics(self) -> dict[str, Any]:
        """Counts, as those of a single index; ``terms`` are those of all indexes together."""
        with jvm.translated_exceptions(self.index_dir):
            versions = dict.fromkeys(str(jvm.facade("Index").luceneVersion(each.java)) for each in self.parts)
        return {**super().statistics(), "lucene": ", ".join(versions)}

    def close(self) -> None:
        """Closes the files of the indexes; so does dropping the last reference."""
        super().close()
        for each in self._parts:
            each.shown_by.discard(self)
            if not each.shown_by:  # a refreshed reader shares those that have not changed
                each.close()


def _without_terms(parts: Sequence[LuceneImpactIndexReader]) -> list[tuple[str, str]]:
    """The docids of documents without terms, each after the position of its index."""
    manifests = [each.manifest() for each in parts]
    return [
        (str(number), docid)
        for number, manifest in enumerate(manifests)
        for docid in (manifest.empty if manifest is not None else ())
    ]
