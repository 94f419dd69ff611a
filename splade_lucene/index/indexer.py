"""Builds a plain Lucene impact index from pseudo-documents, equal to the one that Anserini's IndexCollection builds.

:func:`index_pseudo_documents` indexes files with several threads; :class:`LuceneImpactIndexer` adds, replaces and deletes
individual documents.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from splade_lucene import jvm
from splade_lucene.arguments import check_choice, several, to_list, to_path
from splade_lucene.counts import FirstProblems
from splade_lucene.defaults import thread_count
from splade_lucene.errors import InputError, PseudoDocumentError
from splade_lucene.fields.schema import NO_FIELDS, FieldRequest, Fields, FieldSchema, check_known
from splade_lucene.fields.survey import FieldSurvey
from splade_lucene.fields.values import WrongValueError, stored_form
from splade_lucene.files.files import file_digest, path_text, storage_error, work_folder
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.remote import RemoteFolder, to_folder, to_index_folder
from splade_lucene.fork_guard import ProcessBound
from splade_lucene.index.accelerator import FOLDER, accelerate_segments, has_accelerator
from splade_lucene.index.bm25_field import check_texts, describe_bm25, keeps_bm25, note_without_text
from splade_lucene.index.commits import ManifestKeeper
from splade_lucene.index.publish import prepare_target, publish, sole_builder
from splade_lucene.index.reader import LuceneImpactIndexReader, is_index, pack_schema, read_index_manifest
from splade_lucene.index.texts import TextStore, is_skipped, stored_json
from splade_lucene.jvm import wire
from splade_lucene.manifest import Change, Manifest, read_folder_manifest
from splade_lucene.notes import note
from splade_lucene.progress import NO_PROGRESS, Advance, Progress
from splade_lucene.pseudo_documents.fetching import local_collection
from splade_lucene.pseudo_documents.files import JavaFile, find_files, lines_for_java, read_lines, unreadable
from splade_lucene.pseudo_documents.problems import Problem
from splade_lucene.pseudo_documents.validation import check_document
from splade_lucene.records import PseudoDocument, well_formed

Store = Literal["none", "text", "raw"]
Order = Literal["bp", "input"]


@dataclass(frozen=True)
class IndexSummary:
    """The result of indexing.

    Attributes:
        documents: Number of documents indexed.
        postings: Number of postings.
        terms: Number of distinct terms.
        skipped: The problems of skipped pseudo-documents.
        total: Number of documents in the index afterwards.
        replaced: Number of documents of the index that were replaced.
        empty: Docids of documents without terms, which are not indexed.
        emptied: Those of them that had terms in the index before, and were deleted from it.
        unreadable: Number of documents of the corpus that could not be read and were skipped; their problems have been
            given to ``on_problem``.
    """

    documents: int
    postings: int
    terms: int
    skipped: tuple[Problem, ...]
    total: int = 0
    replaced: int = 0
    empty: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    unreadable: int = 0


def index_pseudo_documents(  # noqa: PLR0913 - all but the first are keywords with defaults
    source: str | Path,
    index_dir: str | Path,
    *,
    threads: int | None = None,
    store: Store = "text",
    order: Order = "bp",
    append: bool = False,
    overwrite: bool = False,
    skip_bad: bool = False,
    accelerator: bool = True,
    memory: int | None = None,
    fields: Fields = None,
    bm25: bool = False,
    progress: Progress = NO_PROGRESS,
) -> IndexSummary:
    """Builds an index from a file or folder of pseudo-documents.

    The index does not depend on the number of threads. It gets its name only when it is complete: an interrupted build
    leaves only a folder ``….building``, which the next build deletes.

    Args:
        source: File or folder; see :func:`splade_lucene.read_pseudo_documents`. Or the URL of a folder in a store, which is
            copied to files beside the index meanwhile; see :func:`splade_lucene.encode_corpus`.
        index_dir: The folder of the index.
        threads: Number of threads that parse and invert documents. Default: one per core.
        store: What to store for each document: nothing, ``{"id", "contents"}`` (the text), or the whole input object,
            like Anserini's ``-storeRaw``.
        order: How documents are numbered; this does not change the hits. ``bp``: recursive graph bisection assigns
            neighbouring numbers to documents that share terms, which makes searches faster; collections that exceed
            ``memory`` are ordered in pieces. ``input``: in input order.
        append: Add to an existing index. Docids that it already contains are rejected.
        overwrite: Replace an existing index.
        skip_bad: Skip and report documents that cannot be indexed instead of stopping at the first.
        accelerator: Create the index's accelerator, which takes 3.5 more bytes per posting and gives searchers full speed
            from the first query; see :func:`splade_lucene.accelerate`.
        memory: Memory limit for inverted documents and, with ``bm25``, the terms of their texts in bytes, after which they
            are written to disk. Default: a fifth of Java's heap.
        fields: The fields to index, from the member ``fields`` of each document; see :func:`splade_lucene.encode_corpus`.
            Types that are not declared are inferred, in a separate pass over the files. Default: those that the folder's
            manifest names, or, when adding to an index, those of the index.
        bm25: Index the texts (``contents``) for BM25, too, in a second field, for
            :meth:`splade_lucene.LuceneImpactSearcher.search_hybrid` and Pyserini's ``LuceneSearcher``. Documents added to
            an index with this field always get it.
        progress: Reports the progress.

    Raises:
        PseudoDocumentError: A document cannot be indexed, or there is no input, or with ``bm25`` no text.
        InputError: The index exists and neither ``append`` nor ``overwrite`` is set, another process is building it,
            the files differ from those in the folder's manifest, or the index is not one with BM25.
        StorageError: A disk error.
    """
    folder, index_dir = to_folder(source), to_index_folder(index_dir).resolve()
    settings = IndexSettings(
        thread_count(threads), store, order, append, overwrite, skip_bad, accelerator, memory, bm25=bm25
    )
    request = FieldRequest.of(fields)
    if isinstance(folder, RemoteFolder):
        prepare_target(index_dir, append=append, overwrite=overwrite, can_append=True)  # before anything is copied
    with local_collection(folder, index_dir, progress) as collection:
        return _index_collection(collection, index_dir, settings, request, progress)


def _index_collection(
    source: Path, index_dir: Path, settings: IndexSettings, request: FieldRequest, progress: Progress
) -> IndexSummary:
    append, overwrite = settings.append, settings.overwrite
    files = find_files(source, without=index_dir)
    wire.pack_paths(files)  # refuse paths that Java cannot open before any work
    if append and overwrite:
        raise InputError("append=True and overwrite=True are mutually exclusive", remedy="Choose one")
    with nullcontext() if append else sole_builder(index_dir):  # when appending, Lucene locks the index
        prepare_target(index_dir, append=append, overwrite=overwrite, can_append=True)
        manifest = verified_manifest(source, files, settings.threads)
        if append and request:
            request = request.extending(index_fields(index_dir))
        settings = replace(settings, fields=fields_of_files(request, source, files, manifest))
        return index_files(files, index_dir, settings, manifest, progress)


def fields_of_files(
    request: FieldRequest, source: Path, files: Sequence[Path], manifest: Manifest | None
) -> FieldSchema:
    """The fields of pseudo-documents: those that were asked for, with their types, or those of the manifest.

    Args:
        request: What was asked for.
        source: The files or their folder, for messages.
        files: The files.
        manifest: Their manifest; None if they have none.
    """
    if not request:
        return manifest_fields(manifest)
    if request.is_declared:
        return request.schema()
    survey = FieldSurvey(request, str(source))
    for path in files:
        for number, line in read_lines(path):
            try:
                record = parse_json(line).get("fields")
            except (ValueError, AttributeError):
                continue  # the indexer says what is wrong
            if isinstance(record, dict):
                survey.read(record, f"{path}:{number}")
    return survey.schema()


@dataclass(frozen=True)
class IndexSettings:
    """How files are indexed: the arguments of :func:`index_pseudo_documents` of the same names."""

    threads: int
    store: Store
    order: Order
    append: bool
    overwrite: bool
    skip_bad: bool
    accelerator: bool
    memory: int | None
    replace: bool = False
    """With ``append``: whether documents replace those with the same docids."""
    fields: FieldSchema = NO_FIELDS
    bm25: bool = False

    def __post_init__(self) -> None:
        check_choice(self.store, Store, "store")
        check_choice(self.order, Order, "order")


def index_files(
    files: Sequence[Path], index_dir: Path, settings: IndexSettings, manifest: Manifest | None, progress: Progress
) -> IndexSummary:
    """Indexes files that have been verified; call :func:`prepare_target` first, as :func:`sole_builder` unless appending.

    Args:
        files: Files of pseudo-documents.
        index_dir: The folder of the index, an absolute path.
        settings: The settings.
        manifest: The manifest of the files; None if they have none.
        progress: Reports the progress.
    """
    target = index_dir if settings.append else work_folder(index_dir, "building")
    try:
        if not settings.append:
            shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(target, error) from error
    known = NO_FIELDS
    if settings.append:
        check_compatible(index_dir, read_index_manifest(index_dir), manifest)
        with LuceneImpactIndexReader(index_dir) as reader:
            known = FieldSchema(reader.fields)
            bm25 = keeps_bm25(reader, wanted=settings.bm25)
        settings = replace(settings, fields=known.joined(settings.fields), bm25=bm25)
    try:
        with lines_for_java(files, target) as sources:
            summary = _run_bulk_indexer(sources, target, settings, manifest, progress)
    except Exception:  # whatever it is: an incomplete index must not stay
        if not settings.append:
            shutil.rmtree(target, ignore_errors=True)
        raise
    _finish(target, settings.fields.types.keys() - known.types.keys(), accelerator=settings.accelerator)
    if not settings.append:
        publish(target, index_dir, overwrite=settings.overwrite)
    return summary


def _run_bulk_indexer(
    sources: Sequence[JavaFile], target: Path, settings: IndexSettings, manifest: Manifest | None, progress: Progress
) -> IndexSummary:
    """Runs Java's indexer, and commits what it has indexed.

    Args:
        sources: Files of pseudo-documents.
        target: The folder of the index.
        settings: How to index.
        manifest: The manifest of the files; None if they have none, so that the progress is in bytes.
        progress: Reports the progress.
    """
    documents = manifest.documents if manifest else None
    size = None if documents is not None else sum(source.path.stat().st_size for source in sources)
    with progress.step(
        "indexing", documents if size is None else size, "documents" if size is None else "bytes"
    ) as advance:
        result, writer = _await_build(sources, target, settings, advance, by_bytes=size is not None)
        if "unreadable" in result:
            raise unreadable(sources[result["unreadable"]].source, result["reason"])
        problems = tuple(_problem(entry, sources) for entry in result["bad"])
        if result["failed"]:
            raise problems[0].error()
        found = sources[0].source.parent if len(sources) > 1 else sources[0].source
        try:
            empty = manifest.empty if manifest else ()
            emptied: tuple[str, ...] = ()
            if not result["documents"] and not (settings.replace and empty):
                reason = FirstProblems(problems).describe() if problems else "no documents to index"
                raise PseudoDocumentError(reason, path=found, remedy="Check the input")
            if settings.bm25:
                check_texts(result["documents"], result["without_text"], found, is_new=not settings.append)
            source = manifest.corpus if manifest and manifest.corpus else path_text(found)
            if settings.append:
                keeper = ManifestKeeper(target, writer)
                before = keeper.documents
                emptied = _commit_added(keeper, writer, manifest, result["documents"], source, settings)
            else:
                described = replace(
                    manifest or Manifest(), fields=settings.fields.to_json(), bm25=describe_bm25(bm25=settings.bm25)
                )
                keeper, before = ManifestKeeper(target, writer, described), 0
                keeper.commit("build", result["documents"], source)
        finally:
            _close(writer, target)
        advance((result["documents"] if size is None else size) - result["reported"])
    replaced = before + result["documents"] - len(emptied) - keeper.documents
    return IndexSummary(
        result["documents"], result["postings"], result["terms"], problems, keeper.documents, replaced, empty, emptied
    )


def _await_build(
    sources: Sequence[JavaFile], target: Path, settings: IndexSettings, advance: Advance, *, by_bytes: bool
) -> tuple[dict[str, Any], Any]:
    """Runs Java's indexer to its end.

    Returns:
        Its result, with ``reported``: the progress that was reported; and the writer with the documents, unless it failed.
    """
    with jvm.translated_exceptions(target):
        memory = settings.memory
        if memory is None:
            memory = int(jvm.facade("Runtime").maxMemory()) // 5
        java = jvm.facade("Index")
        paths = wire.pack_paths([source.path for source in sources])
        build = java.startBuild(
            paths, jvm.java_path(target), settings.store, settings.threads, settings.skip_bad, settings.append,
            settings.replace, settings.order, memory, pack_schema(settings.fields), settings.bm25,
        )  # fmt: skip
        reported = 0
        try:
            while not java.awaitBuild(build, 300):  # milliseconds; short waits keep Ctrl-C responsive
                done = int(java.bytesRead(build) if by_bytes else java.documentsBuilt(build))
                advance(done - reported)
                reported = done
        except BaseException:
            java.cancelBuild(build)
            if java.awaitBuild(build, 60_000) and (writer := java.writerOf(build)) is not None:
                java.rollback(writer)  # it ended before it could be cancelled
            raise
        return {**json.loads(java.buildResult(build)), "reported": reported}, java.writerOf(build)


def _close(writer: Any, index_dir: Path) -> None:
    """Closes Java's writer. What is committed stays."""
    with jvm.translated_exceptions(index_dir):
        jvm.facade("Index").rollback(writer)


def _problem(entry: dict[str, Any], sources: Sequence[JavaFile]) -> Problem:
    first = ""
    if "first_file" in entry:
        origin = sources[entry["first_file"]]
        first = f", first used at {origin.source}:{origin.line(entry['first_line'])}"
    elif entry["kind"] == "duplicate-id":
        first = ", already in the index"
    source = sources[entry["file"]]
    return Problem(entry["kind"], entry["detail"], source.source, source.line(entry["line"]), first)


def verified_manifest(source: Path, files: Sequence[Path], threads: int) -> Manifest | None:
    """Reads the manifest of the input and checks all files against it; None if there is no manifest.

    Raises:
        InputError: A part is missing or damaged, or a file is not a part. Only complete encodings are indexed.
    """
    folder = source if source.is_dir() else source.parent
    manifest = read_folder_manifest(folder)
    if manifest is None:
        return None
    known = {folder / part.name: part.sha256 for part in manifest.parts}
    if not source.is_dir() and source not in known:
        return None
    remedy = "Run the same encode command again, or delete the manifest to index the existing files"
    for path in sorted(known.keys() ^ set(files)) if source.is_dir() else ():
        if path in known:
            raise InputError("this part is missing", path=path, remedy=remedy)
        raise InputError("this file is not part of the encoding", path=path, remedy="Move it elsewhere")
    with ThreadPoolExecutor(threads) as pool:  # hashing releases the GIL
        for path, digest in zip(files, pool.map(file_digest, files), strict=True):
            if digest != known[path]:
                raise InputError("this part has changed since it was encoded", path=path, remedy=remedy)
    return manifest


def check_compatible(index_dir: Path, previous: Manifest | None, added: Manifest | None) -> None:
    """Refuses documents that were encoded with another model or quantizer than those of the index.

    Raises:
        InputError: Says how both were encoded.
    """
    if previous is None or not previous.model or added is None:
        return
    if not previous.is_compatible(added):
        differences = "".join(f"; {each}" for each in previous.differences(added))
        raise InputError(
            f"the index was encoded with {previous.describe()}, these documents with {added.describe()}{differences}",
            path=index_dir,
            remedy="Encode them with the index's model and quantizer",
        )


def _commit_added(
    keeper: ManifestKeeper, writer: Any, added: Manifest | None, documents: int, source: str, settings: IndexSettings
) -> tuple[str, ...]:
    """Commits documents that were added to an index from files.

    Returns:
        The docids of documents that the index had, and that have no terms any more.
    """
    previous = keeper.manifest
    emptied: tuple[str, ...] = ()
    facts: dict[str, Any] = {
        "encoding": "", "empty": previous.empty, "bm25": describe_bm25(bm25=settings.bm25),
        "fields": manifest_fields(previous).joined(settings.fields).to_json(),
    }  # fmt: skip
    if previous.model and added is not None:
        check_compatible(Path(source), previous, added)
        facts.update(previous.mixed_with(added))
        facts["skipped"] = previous.skipped + added.skipped
    if added is not None:
        facts["empty"] = tuple(dict.fromkeys((*previous.empty, *added.empty)))
    with jvm.translated_exceptions(source):
        java = jvm.facade("Index")
        if facts["empty"]:
            held = {*wire.unpack_strings(wire.to_bytes(java.held(writer, wire.pack_strings(facts["empty"]))))}
            if settings.replace and added is not None:
                emptied = tuple(docid for docid in added.empty if docid in held)
                java.delete(writer, wire.pack_strings(emptied))
            facts["empty"] = tuple(docid for docid in facts["empty"] if docid not in held.difference(emptied))
    keeper.commit("add", documents, source, **facts)
    return emptied


def manifest_fields(manifest: Manifest | None) -> FieldSchema:
    """The fields that a manifest names.

    Raises:
        InputError: It names one that is not possible.
    """
    return FieldSchema.of(manifest.fields) if manifest else NO_FIELDS


def index_fields(index_dir: Path) -> FieldSchema:
    """The fields of an index, with those that are only declared."""
    with LuceneImpactIndexReader(index_dir) as reader:
        return FieldSchema(reader.fields)


def _finish(index_dir: Path, declared: AbstractSet[str] = frozenset(), *, accelerator: bool) -> None:
    """Does what follows a commit: notes which declared fields no document has, and completes the accelerator."""
    if not declared and not accelerator:
        return
    with LuceneImpactIndexReader(index_dir) as reader:
        if absent := declared - reader.used_fields.keys() if declared else ():
            note(
                f"no document has the field{'s' if len(absent) > 1 else ''} {', '.join(sorted(absent))}: check the spelling"
            )
        if accelerator:
            accelerate_segments(reader, index_dir / FOLDER, rebuild=False)


class LuceneImpactIndexer(ProcessBound):
    """Adds, replaces and deletes documents in small batches.

    Changes become visible to searchers only after :meth:`commit` or :meth:`close`. If an exception leaves the ``with``
    block, or the indexer is dropped without :meth:`close`, all changes since the last commit are rolled back. For whole
    collections, use :func:`index_pseudo_documents`.

    Args:
        index_dir: The index; created if it does not exist.
        store: What to store for each document: nothing, or ``{"id", "contents"}`` (the text).
        fields: The fields that documents may have beside those that the index has, with their types, such as
            ``{"year": "integer"}``; see :mod:`splade_lucene.fields`.
        bm25: Index the texts of a new index for BM25, too; see :func:`index_pseudo_documents`. An existing index keeps
            its setting.

    Raises:
        InputError: A field is declared with another type than in the index, or ``bm25`` is asked for and the documents of
            the index are without it.
        StorageError: Another process is writing to the index, or a disk error.

    Example:
        >>> from splade_lucene import LuceneImpactIndexer, LuceneImpactSearcher, PseudoDocument
        >>> index_dir = getfixture("tmp_path") / "index"
        >>> with LuceneImpactIndexer(index_dir) as indexer:
        ...     indexer.add([PseudoDocument("d1", "", {"cat": 3}), PseudoDocument("d2", "", {"cat": 1, "dog": 2})])
        >>> with LuceneImpactSearcher(index_dir) as searcher:
        ...     [(hit.docid, hit.score) for hit in searcher.search({"cat": 2, "dog": 1})]
        [('d1', 6.0), ('d2', 4.0)]
    """

    def __init__(
        self, index_dir: str | Path, *, store: TextStore = "text", fields: Fields = None, bm25: bool = False
    ) -> None:
        self.index_dir = to_path(index_dir)
        check_choice(store, TextStore, "store")
        self._schema = FieldRequest.of(fields).schema()
        self._stores_text = store == "text"
        append = is_index(self.index_dir)
        if append:
            with LuceneImpactIndexReader(self.index_dir) as reader:
                self._schema = FieldSchema(reader.fields).joined(self._schema)
                bm25 = keeps_bm25(reader, wanted=bm25)
        prepare_target(self.index_dir, append=append, overwrite=False)
        with jvm.translated_exceptions(self.index_dir):
            self._writer = jvm.facade("Index").openWriter(jvm.java_path(self.index_dir), append)
            self._handle = jvm.JavaHandle(self, jvm.facade("Index").rollback, self._writer, self.index_dir)
        try:
            self._keeper = ManifestKeeper(self.index_dir, self._writer)
            # Another process may have committed before this one took the lock.
            self._schema = manifest_fields(self._keeper.manifest).joined(self._schema)
            self._bm25 = bm25 or bool(self._keeper.manifest.bm25)
            with jvm.translated_exceptions(self.index_dir):
                jvm.facade("Index").declareFields(self._writer, pack_schema(self._schema))
        except BaseException:
            self._handle.close()
            raise
        self._lock = threading.RLock()
        self._pending = _Pending()
        self._is_closed = False

    @property
    def manifest(self) -> Manifest:
        """The manifest of the last commit."""
        return self._keeper.manifest

    def add(self, documents: PseudoDocument | Iterable[PseudoDocument]) -> None:
        """Adds one or several documents; a document with an existing docid replaces the old one.

        Raises:
            PseudoDocumentError: A document cannot be indexed; none of the documents has been added.
        """
        packed = []
        docids = []
        without_text = 0
        given = [documents] if isinstance(documents, PseudoDocument) else documents
        for document in several(given, "documents", error=PseudoDocumentError):
            check_document(document)
            packed.append(_pack_document(document, self._schema, stores_text=self._stores_text, bm25=self._bm25))
            docids.append(document.docid)
            without_text += is_skipped(document.contents or "")
        with self._lock, jvm.translated_exceptions(self.index_dir):
            jvm.facade("Index").put(self._writer, wire.pack_batch(packed))
            self._pending.added += len(docids)
            self._pending.docids.update(docids)
            self._pending.without_text += without_text

    def delete(self, docids: str | Iterable[str]) -> None:
        """Deletes documents by one or several docids; unknown docids are ignored.

        Raises:
            PseudoDocumentError: A docid is not a string; nothing has been deleted.
        """
        wanted = [docids] if isinstance(docids, str) else to_list(docids, "docids", error=PseudoDocumentError)
        for docid in wanted:
            if not isinstance(docid, str) or well_formed(docid) != docid:
                raise PseudoDocumentError(
                    f"docids must be well-formed strings, got {docid!a:.80}", remedy="Pass it as a string"
                )
        with self._lock, jvm.translated_exceptions(self.index_dir):
            jvm.facade("Index").delete(self._writer, wire.pack_strings(wanted))
            self._pending.deletes = True
            self._pending.docids.update(wanted)
            self._pending.deleted_empty.update({*wanted}.intersection(self.manifest.empty))

    def merge(self) -> None:
        """Merges all segments into one; this frees the space of deleted documents."""
        with self._lock, jvm.translated_exceptions(self.index_dir):
            jvm.facade("Index").merge(self._writer)

    def optimize(self, *, threads: int | None = None) -> None:
        """Merges all segments into one, with its documents in the order for the fastest searches.

        It is the order ``bp`` of :func:`splade_lucene.index_pseudo_documents`. The hits are the same.

        Args:
            threads: Number of threads; None for one per core.
        """
        with self._lock, jvm.translated_exceptions(self.index_dir):
            memory = int(jvm.facade("Runtime").maxMemory()) // 4
            jvm.facade("Index").optimize(self._writer, thread_count(threads), memory)

    @property
    def documents(self) -> int:
        """The number of documents in the last commit."""
        return self._keeper.documents

    def commit(self) -> Change | None:
        """Makes all changes durable, and visible to searchers that are opened or refreshed from now on.

        If the process is killed, either all of the changes are there or none, with the matching manifest.

        Returns:
            What has changed; None if nothing has.
        """
        with self._lock:
            pending, previous = self._pending, self._keeper.manifest
            facts: dict[str, Any] = {"fields": self._schema.to_json(), "bm25": describe_bm25(bm25=self._bm25)}
            if pending.docids:
                facts["encoding"] = ""
                facts["empty"] = tuple(docid for docid in previous.empty if docid not in pending.docids)
            change = self._keeper.commit(
                pending.operation, pending.added, deleted_empty=len(pending.deleted_empty), **facts
            )
            self._pending = _Pending()
            if self._bm25 and pending.without_text:
                note_without_text(pending.added, pending.without_text, "text")  # stop words alone are not counted
            return change

    def close(self) -> None:
        """Commits, closes, and updates the index's accelerator, if any. Once closed, it does nothing."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            try:
                self.commit()
            finally:
                self._handle.close()  # rolls back what could not be committed
        _finish(self.index_dir, accelerator=has_accelerator(self.index_dir))

    def __enter__(self) -> LuceneImpactIndexer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._is_closed = True
            self._handle.close()


@dataclass
class _Pending:
    """What an indexer has done since its last commit."""

    added: int = 0
    deletes: bool = False
    docids: set[str] = field(default_factory=set)
    deleted_empty: set[str] = field(default_factory=set)
    without_text: int = 0

    @property
    def operation(self) -> str:
        if self.added:
            return "change" if self.deletes else "add"
        return "delete" if self.deletes else "optimize"


def _pack_document(document: PseudoDocument, schema: FieldSchema, *, stores_text: bool, bm25: bool) -> bytes:
    raw = None
    if stores_text and document.contents is not None:
        raw = stored_json(document.docid, document.contents)
    values = _pack_values(document, schema) if document.fields else b""
    text = (document.contents or "") if bm25 else None
    return wire.pack_pseudo_document(document.docid, raw, text, document.vector, values)


def _pack_values(document: PseudoDocument, schema: FieldSchema) -> bytes:
    try:
        check_known(schema, document.fields)
        values = schema.values(document.fields)
    except WrongValueError as error:
        raise PseudoDocumentError(
            f"document {document.docid!r:.200}: the field {error}",
            remedy="Correct the value, or declare the field with fields={name: type}",
        ) from None
    return wire.pack_values(
        (number, stored)
        for number, (name, kind) in enumerate(schema.types.items())
        if name in values
        for stored in stored_form(values[name], kind)
    )
