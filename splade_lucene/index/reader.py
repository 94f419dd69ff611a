"""Reads an impact index: statistics, terms, postings and stored fields."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from splade_lucene import jvm
from splade_lucene.arguments import to_list, to_ordered_list, to_path
from splade_lucene.errors import IndexAccessError, InputError, JavaError, NotAnIndexError, QueryError, StorageError
from splade_lucene.fields.schema import FieldSchema
from splade_lucene.fields.values import FieldType, loaded_form
from splade_lucene.files.exchange import moved_aside
from splade_lucene.fork_guard import ProcessBound
from splade_lucene.jvm import wire
from splade_lucene.manifest import INDEX_FILE, Manifest, OtherFormatError, parse_manifest, read_manifest
from splade_lucene.records import FieldValue, well_formed

_log = logging.getLogger(__name__)


def is_index(folder: Path) -> bool:
    """Whether a folder contains a committed Lucene index."""
    return folder.is_dir() and any(folder.glob("segments_*"))


def read_index_manifest(index_dir: Path) -> Manifest | None:
    """Reads the manifest of an index's last commit; None if it has none, or if other software has changed the index since.

    Raises:
        InputError: The manifest is damaged, or another version wrote it.
        IndexAccessError: The folder is not an index.
    """
    packed = opened(index_dir, lambda path: jvm.facade("Index").lastCommit(path))
    return manifest_of(index_dir, wire.unpack_commit(wire.to_bytes(packed)))


def opened(index_dir: Path, open_java: Callable[[str], Any]) -> Any:
    """Opens an index, also one that another process is replacing at this moment: the old one or the new one.

    Args:
        index_dir: The index.
        open_java: Opens the path of an index.

    Raises:
        IndexAccessError: It is not an index.
    """
    if index_dir.is_file():
        raise NotAnIndexError(f"{index_dir} is a file, not the folder of an index. Pass the folder of an index.")
    for _ in range(_TRIES):
        before = _identity(index_dir)
        if before is None:
            if not _is_folder(index_dir):
                raise NotAnIndexError(f"{index_dir} does not exist. Pass the folder of an index.")
            time.sleep(_PAUSE)
            continue
        try:
            with jvm.translated_exceptions(index_dir):
                return open_java(jvm.java_path(index_dir))
        except (IndexAccessError, StorageError, JavaError):
            if _identity(index_dir) == before:
                raise
    raise StorageError(f"{index_dir}: this index keeps being replaced. Try again later.")


_TRIES, _PAUSE = 200, 0.01  # seconds


def _is_folder(index_dir: Path) -> bool:
    """Whether there is a folder, or will be in a moment. The last look is for one that came back after the first."""
    return index_dir.is_dir() or moved_aside(index_dir.resolve()).exists() or index_dir.is_dir()


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another one that has taken its name; None if there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def manifest_of(index_dir: Path, commit: wire.Commit) -> Manifest | None:
    """The manifest of a commit; None if it has none, or if other software made the commit.

    Also reads the copy in the index's folder, as a check.

    Raises:
        InputError: One of the two is damaged, or another version wrote it.
    """
    copy = read_manifest(index_dir / INDEX_FILE, remedy=_REMEDY_OF_COPY if commit.manifest else _REMEDY)
    if commit.manifest is None:
        if copy is not None:
            _log.warning("%s: the manifest does not belong to this index; it is ignored", index_dir / INDEX_FILE)
        return None
    manifest = parse_manifest(commit.manifest, index_dir / commit.name, remedy=_REMEDY)
    if manifest.commit == commit.name:
        return manifest
    _log.warning("%s: other software has changed the index since its manifest was written; it is ignored", index_dir)
    return None


_REMEDY = "Build the index again"
_REMEDY_OF_COPY = "Delete this file: it is a copy, and Lucene keeps the manifest with the index"


class TermStatistics(NamedTuple):
    """A term of an index, its document frequency, and the sum of its impacts."""

    term: str
    doc_freq: int
    total_impact: int


class Distributions(NamedTuple):
    """Distributions over the documents of an index, without deleted ones. Values above 65,536 count as 65,536.

    Attributes:
        impacts: Impact → number of postings.
        lengths: Number of terms → number of documents.
    """

    impacts: dict[int, int]
    lengths: dict[int, int]


class LuceneImpactIndexReader(ProcessBound):
    """An open impact index: ours, Anserini's or Pyserini's. It reads the latest commit at the time of opening.

    Args:
        index_dir: The index.

    Attributes:
        shown_by: The open readers of several indexes that include this one, and close it.

    Raises:
        NotAnIndexError: The folder is not an impact index.
        IndexVersionError: It was written by a newer Lucene.
    """

    def __init__(self, index_dir: str | Path) -> None:
        self.index_dir = to_path(index_dir)
        if not _is_folder(self.index_dir):
            reason = "is a file, not the folder of an index" if self.index_dir.exists() else "does not exist"
            raise NotAnIndexError(f"{index_dir} {reason}. Pass the folder written by 'splade-lucene build' or 'index'.")
        self._hold(opened(self.index_dir, lambda path: jvm.facade("Index").openReader(path)))

    def _hold(self, java: Any) -> None:
        self._java = java
        self.shown_by: WeakSet[LuceneImpactIndexReader] = WeakSet()
        self._handle = jvm.JavaHandle(self, jvm.facade("Index").closeReader, java, self.index_dir)

    @property
    def java(self) -> Any:
        """Java's object.

        Raises:
            IndexAccessError: This reader is closed; so do all its methods.
        """
        self._handle.check_open()
        return self._java

    @property
    def num_docs(self) -> int:
        """The number of documents, without deleted ones."""
        return int(jvm.facade("Index").numDocs(self.java))

    @property
    def max_doc(self) -> int:
        """The number of documents including deleted ones: all lucene_docids are below it."""
        return int(jvm.facade("Index").maxDoc(self.java))

    @property
    def parts(self) -> tuple[LuceneImpactIndexReader, ...]:
        """The indexes that this reader presents as one: itself, unless there are several."""
        self._handle.check_open()
        return (self,)

    @property
    def folders(self) -> str:
        """The folders of the indexes that this reader shows, separated by commas, for messages."""
        return ", ".join(str(each.index_dir) for each in self.parts)

    def refreshed(self) -> LuceneImpactIndexReader | None:
        """Opens the last commit of the index in a new reader; None if this reader is already on it."""
        java = opened(self.index_dir, lambda _: jvm.facade("Index").refreshed(self.java))
        if java is None:
            return None
        newer = LuceneImpactIndexReader.__new__(LuceneImpactIndexReader)
        newer.index_dir = self.index_dir
        newer._hold(java)
        return newer

    def statistics(self) -> dict[str, Any]:
        """Counts: documents, deleted_documents, segments, terms, postings, total_impact, lucene, bytes.

        With texts for BM25, also ``bm25``: the number of documents with a term, terms, postings and tokens of that field.
        """
        with jvm.translated_exceptions(self.index_dir):
            counts: dict[str, Any] = json.loads(jvm.facade("Index").statistics(self.java))
        counts["bytes"] = sum(_bytes_of_files(each.index_dir) for each in self.parts)
        if self.has_bm25:
            with jvm.translated_exceptions(self.index_dir):
                counts["bm25"] = json.loads(jvm.facade("Bm25").fieldStatistics(self.java))
        return counts

    @property
    def has_bm25(self) -> bool:
        """Whether the texts are also indexed for BM25; see :func:`splade_lucene.index_pseudo_documents`."""
        self._handle.check_open()
        return self._has_bm25

    @cached_property
    def _has_bm25(self) -> bool:
        with jvm.translated_exceptions(self.index_dir):
            if jvm.facade("Bm25").hasField(self.java):
                return True
        manifest = self.manifest() if not self.num_docs else None
        return manifest is not None and bool(manifest.bm25)  # no document has it yet

    def commit(self) -> str:
        """An identifier of the open commit: the name of its segments file, and its unique id."""
        commit = commit_of(self)
        return f"{commit.name}:{commit.id}"

    def manifest(self) -> Manifest | None:
        """The manifest of the open commit; None if it has none, or if other software has changed the index since.

        Raises:
            InputError: The manifest is damaged, or another version wrote it.
        """
        self._handle.check_open()
        return self._manifest

    def check_manifest(self) -> None:
        """Rejects a damaged manifest. One of another version is refused only when something is read from it.

        Raises:
            InputError: The manifest, or its copy in the folder, is damaged.
        """
        try:
            self.manifest()
        except InputError as error:
            if not isinstance(error.__cause__, OtherFormatError):
                raise

    @cached_property
    def _manifest(self) -> Manifest | None:
        return manifest_of(self.index_dir, commit_of(self))

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
            return wire.unpack_postings(wire.to_bytes(jvm.facade("Index").postings(self.java, well_formed(term))))

    def docids(self) -> list[str]:
        """The docids of all documents, including deleted ones, indexed by lucene_docid."""
        with jvm.translated_exceptions(self.index_dir):
            return wire.unpack_docids(wire.to_bytes(jvm.facade("Index").allDocids(self.java)), self.max_doc)

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
            found = int(jvm.facade("Index").luceneDocid(self.java, well_formed(str(docid))))
        if found < 0:
            raise InputError(f"{self.folders}: no document has the id {docid!r}", remedy="Check the spelling")
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

    def vectors(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """The vectors of documents in a row, collected from the postings of all terms.

        Args:
            start: The first lucene_docid.
            stop: The end of the row, at most ``max_doc``.

        Returns:
            The number of terms of each document, -1 if it is deleted, of shape [stop - start]; and for all documents
            together, in their order, the terms, as places in :meth:`terms`, ascending in each document, and the impacts;
            both of shape [postings]. All are int32.
        """
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Index").vectors(self.java, start, stop))
            return wire.unpack_vectors(packed, stop - start)

    def raw(self, lucene_docids: Iterable[int]) -> list[str | None]:
        """The stored field ``raw`` of documents; None for documents without it."""
        wanted = to_ordered_list(lucene_docids, "lucene_docids")
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Index").raw(self.java, wire.pack_integers(wanted)))
            return wire.unpack_optional_strings(packed, len(wanted))

    @property
    def fields(self) -> dict[str, FieldType]:
        """The fields of the index and their types; see :mod:`splade_lucene.fields`.

        They are those that documents have, sorted by name, and after them those that are only declared.
        """
        self._handle.check_open()
        return self._all_fields

    @cached_property
    def _all_fields(self) -> dict[str, FieldType]:
        manifest = self.manifest()
        declared = manifest.fields if manifest is not None else {}
        return dict(FieldSchema.of({**self.used_fields, **declared}).types)

    @property
    def used_fields(self) -> dict[str, str]:
        """The fields that at least one document has, sorted by name, and their types."""
        self._handle.check_open()
        return self._used_fields

    @cached_property
    def _used_fields(self) -> dict[str, str]:
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Index").fieldTypes(self.java))
            return {name: kind for name, kind in wire.unpack_rows(packed, 2)}  # noqa: C416 - rows are lists

    def field_values(
        self, lucene_docids: Iterable[int], names: Iterable[str] | None = None
    ) -> list[dict[str, FieldValue]]:
        """The values of documents' fields, by name; a document has entries only for its own fields.

        Args:
            lucene_docids: The documents.
            names: The fields to read; None for all.

        Raises:
            QueryError: The index has no such field.
        """
        wanted = to_ordered_list(lucene_docids, "lucene_docids")
        if names is None:
            types = FieldSchema.of(self.used_fields).types
        else:
            types = {name: self.field_type(name) for name in to_list(names, "names")}
        if not types:
            return [{} for _ in wanted]
        kinds = [str if kind.startswith("keyword") else float if kind == "number" else int for kind in types.values()]
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(
                jvm.facade("Index").fieldValues(self.java, wire.pack_integers(wanted), pack_schema(FieldSchema(types)))
            )
            return [_loaded(stored, types) for stored in wire.unpack_values(packed, len(wanted), kinds)]

    def field_type(self, name: str) -> FieldType:
        """The type of a field.

        Raises:
            QueryError: The index has no such field; lists the fields.
        """
        if name not in self.fields:
            known = ", ".join(f"{each} ({kind})" for each, kind in self.fields.items())
            raise QueryError(
                f"the index has no field {name!r:.80}",
                remedy=f"Its fields are: {known}" if known else "It has no fields: build it with fields=…",
            )
        return self.fields[name]

    def value_range(self, name: str) -> tuple[FieldValue, FieldValue] | None:
        """The smallest and the largest value of a field of numbers, dates or booleans; None if no document has it.

        Raises:
            QueryError: The index has no such field, or its values are keywords.
        """
        kind = self.field_type(name)
        if kind.startswith("keyword"):
            raise QueryError(
                f"the field {name!r} has keywords, and keywords have no range", remedy="Count them with facets(field)"
            )
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Index").valueRange(self.java, name))
        found = wire.unpack_range(packed, is_float=kind == "number")
        if found is None:
            return None
        smallest, largest = (loaded_form([value], kind) for value in found)
        assert smallest is not None
        assert largest is not None
        return smallest, largest

    def distributions(self, cancellation: Any = None) -> Distributions:
        """The distributions of impacts and document lengths. It reads all postings, about 50 million per second.

        Args:
            cancellation: The Java object with which the server stops it; None if it cannot be stopped.
        """
        with jvm.translated_exceptions(self.index_dir):
            packed = wire.to_bytes(jvm.facade("Index").distributions(self.java, cancellation))
        impacts, stop = wire.unpack_counts(packed)
        return Distributions(impacts, wire.unpack_counts(packed, stop)[0])

    def keyword_counts(self, lucene_docids: Iterable[int], name: str) -> dict[str, int]:
        """In how many of some documents each keyword of a field occurs, the most frequent first.

        Raises:
            QueryError: The index has no such field, or its values are not keywords.
        """
        self.check_keyword(name)
        wanted = to_ordered_list(lucene_docids, "lucene_docids")
        with jvm.translated_exceptions(self.index_dir):
            return unpack_counts(jvm.facade("Index").keywordCounts(self.java, wire.pack_integers(wanted), name))

    def check_keyword(self, name: str) -> None:
        """Checks that a field has keywords.

        Raises:
            QueryError: The index has no such field, or its type is not a keyword.
        """
        if not (kind := self.field_type(name)).startswith("keyword"):
            raise QueryError(
                f"the field {name!r} is of the type {kind}, and only keywords are counted",
                remedy="Name a field of keywords",
            )

    def close(self) -> None:
        """Closes the index's files; so does dropping the last reference."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bytes_of_files(folder: Path) -> int:
    """The size of a folder's files. An open index can be read after they were deleted, as by a merge."""
    size = 0
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                size += path.stat().st_size if path.is_file() else 0
    return size


def _loaded(stored: list[list[Any]], types: Mapping[str, FieldType]) -> dict[str, FieldValue]:
    values = ((name, loaded_form(each, kind)) for each, (name, kind) in zip(stored, types.items(), strict=True))
    return {name: value for name, value in values if value is not None}


def pack_schema(schema: FieldSchema) -> bytes:
    """The fields of a schema for Java, which numbers them in this order."""
    pairs = ((name, f"{kind}?" if name in schema.inferred else kind) for name, kind in schema.types.items())
    return wire.pack_strings(text for pair in pairs for text in pair)


def unpack_counts(answer: Any) -> dict[str, int]:
    """Keywords and counts of Java's, the most frequent first, equal ones by the bytes of the keyword."""
    counts = [(keyword, int(count)) for keyword, count in wire.unpack_rows(wire.to_bytes(answer), 2)]
    return dict(sorted(counts, key=lambda pair: -pair[1]))


def commit_of(reader: LuceneImpactIndexReader) -> wire.Commit:
    """The commit that a reader shows, as Lucene has it."""
    with jvm.translated_exceptions(reader.index_dir):
        return wire.unpack_commit(wire.to_bytes(jvm.facade("Index").commitOf(reader.java)))
