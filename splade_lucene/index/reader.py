"""Reads an impact index: statistics, terms, postings and stored fields; also checks its integrity."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splade_lucene import jvm
from splade_lucene.arguments import to_ordered_list, to_path
from splade_lucene.errors import InputError, NotAnIndexError
from splade_lucene.fork_guard import ProcessBound
from splade_lucene.jvm import wire
from splade_lucene.manifest import INDEX_FILE, Manifest, read_manifest
from splade_lucene.records import well_formed

_log = logging.getLogger(__name__)


def is_index(folder: Path) -> bool:
    """Whether a folder contains a committed Lucene index."""
    return folder.is_dir() and any(folder.glob("segments_*"))


def read_index_manifest(index_dir: Path) -> Manifest | None:
    """Reads the manifest of an index; None if it has none, or if other software has changed the index since."""
    manifest = read_manifest(index_dir / INDEX_FILE)
    if manifest is None:
        return None
    with LuceneImpactIndexReader(index_dir) as reader:
        if reader.commit() == manifest.commit:
            return manifest
    _log.warning("%s: the index has changed since its manifest was written; the manifest is ignored", index_dir)
    return None


class TermStatistics(NamedTuple):
    """A term of an index, its document frequency, and the sum of its impacts."""

    term: str
    doc_freq: int
    total_impact: int


class LuceneImpactIndexReader(ProcessBound):
    """An open impact index: ours, Anserini's or Pyserini's. It reads the latest commit at the time of opening.

    Args:
        index_dir: The index.

    Raises:
        NotAnIndexError: The folder is not an impact index.
        IndexVersionError: It was written by a newer Lucene.
    """

    def __init__(self, index_dir: str | Path) -> None:
        self.index_dir = to_path(index_dir)
        if not self.index_dir.is_dir():
            reason = "is a file, not the folder of an index" if self.index_dir.exists() else "does not exist"
            raise NotAnIndexError(f"{index_dir} {reason}. Pass the folder written by 'splade-lucene build' or 'index'.")
        with jvm.translated_exceptions(self.index_dir):
            self.java: Any = jvm.facade("Index").openReader(jvm.java_path(self.index_dir))
        self._handle = jvm.JavaHandle(self, jvm.facade("Index").closeReader, self.java, self.index_dir)
        self.num_docs: int = int(jvm.facade("Index").numDocs(self.java))
        self.max_doc: int = int(jvm.facade("Index").maxDoc(self.java))

    def statistics(self) -> dict[str, Any]:
        """Counts: documents, deleted_documents, segments, terms, postings, total_impact, lucene, bytes."""
        with jvm.translated_exceptions(self.index_dir):
            counts: dict[str, Any] = json.loads(jvm.facade("Index").statistics(self.java))
        counts["bytes"] = sum(path.stat().st_size for path in self.index_dir.iterdir() if path.is_file())
        return counts

    def commit(self) -> str:
        """An identifier of the open commit."""
        with jvm.translated_exceptions(self.index_dir):
            return str(jvm.facade("Index").commitOf(self.java))

    def terms(self) -> list[TermStatistics]:
        """All terms, in byte order."""
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Index").terms(self.java))
        return [TermStatistics(*each) for each in wire.unpack_terms(packed)]

    def postings(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The postings of a term in live documents.

        Returns:
            lucene_docids, ascending, and the impact in each; both of shape [postings].
        """
        with jvm.translated_exceptions(self.index_dir):
            return wire.unpack_postings(wire.to_bytes(jvm.facade("Index").postings(self.java, term)))

    def docids(self) -> list[str]:
        """The docids of all documents, including deleted ones, indexed by lucene_docid."""
        with jvm.translated_exceptions(self.index_dir):
            return wire.unpack_docids(wire.to_bytes(jvm.facade("Index").allDocids(self.java)))

    def docid(self, lucene_docid: int) -> str:
        """The docid of a document, given its lucene_docid, which must be at least 0 and below ``max_doc``."""
        with jvm.translated_exceptions(self.index_dir):
            return str(jvm.facade("Index").docid(self.java, lucene_docid))

    def lucene_docid(self, docid: str) -> int:
        """The lucene_docid of a document.

        Raises:
            InputError: No document has this docid, or it is not a string.
        """
        if not isinstance(docid, str):
            raise InputError(f"a docid must be a string, got {docid!r:.80}", remedy="Pass it as a string")
        with jvm.translated_exceptions(self.index_dir):
            found = int(jvm.facade("Index").luceneDocid(self.java, well_formed(docid)))
        if found < 0:
            raise InputError(f"no document has the id {docid!r}", path=self.index_dir, remedy="Check the spelling")
        return found

    def impacts(self, docid: str, terms: Iterable[str]) -> list[int]:
        """The impacts of terms in a document, in their order; 0 for terms that it does not contain.

        Raises:
            InputError: No document has this docid, or ``terms`` is a single string.
        """
        wanted = to_ordered_list(terms, "terms")
        with jvm.translated_exceptions(self.index_dir):
            packed = jvm.facade("Index").impacts(self.java, self.lucene_docid(docid), wire.pack_strings(wanted))
            impacts: list[int] = wire.unpack_integers(wire.to_bytes(packed)).tolist()
        return impacts

    def raw(self, lucene_docids: Iterable[int]) -> list[str | None]:
        """The stored field ``raw`` of documents; None for documents without it."""
        wanted = to_ordered_list(lucene_docids, "lucene_docids")
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Index").raw(self.java, wire.pack_integers(wanted)))
        return wire.unpack_optional_strings(packed, len(wanted))

    def close(self) -> None:
        """Closes the index's files; so does dropping the last reference."""
        self._handle.close()

    def __enter__(self) -> LuceneImpactIndexReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_index(index_dir: str | Path) -> tuple[bool, str]:
    """Runs Lucene's CheckIndex.

    Returns:
        Whether the index is intact, and Lucene's report.
    """
    with jvm.translated_exceptions(index_dir):
        report = str(jvm.facade("Index").check(jvm.java_path(index_dir)))
    return report.endswith("clean"), report
