"""Changes an existing index: adds texts or pseudo-documents, deletes documents, and optimizes it.

Each function makes one commit: after a crash, either its whole change is there or nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from splade_lucene.arguments import to_path
from splade_lucene.defaults import thread_count
from splade_lucene.encoder import Pruning
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.fields.schema import FieldRequest, Fields
from splade_lucene.files.files import work_folder
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.index.accelerator import has_accelerator
from splade_lucene.index.indexer import (
    IndexSettings,
    IndexSummary,
    LuceneImpactIndexer,
    Store,
    check_compatible,
    fields_of_files,
    index_fields,
    index_files,
    manifest_fields,
    verified_manifest,
)
from splade_lucene.index.model import open_document_encoder
from splade_lucene.index.publish import is_interrupted, sole_builder
from splade_lucene.index.reader import is_index, read_index_manifest
from splade_lucene.manifest import Change
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.pseudo_documents.encoding import encode_corpus
from splade_lucene.pseudo_documents.files import find_files


@uninterrupted_imports()
def add_corpus(  # noqa: PLR0913 - all but the first two are keywords with defaults
    corpus: str | Path,
    index_dir: str | Path,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
    threads: int | None = None,
    store: Store = "text",
    id_field: str | None = None,
    text_field: str | None = None,
    fields: Fields = None,
    skip_bad: bool = False,
    on_problem: Callable[[CorpusError], None] | None = None,
    progress: Progress = NO_PROGRESS,
) -> IndexSummary:
    """Encodes texts with an index's own model and quantizer and adds them. A document replaces one with the same docid.

    An interrupted call leaves the index as it was; called again, it resumes with what it has encoded.

    Args:
        corpus: The documents; see :mod:`splade_lucene.corpus.reading`.
        index_dir: The index.
        model: Another folder or hub name of the index's model; None for that of its manifest.
        device: See :class:`splade_lucene.SpladeEncoder`.
        trust_remote_code: Likewise.
        threads: Number of indexing threads; None for one per core.
        store: See :func:`splade_lucene.index_pseudo_documents`.
        id_field: See :func:`splade_lucene.encode_corpus`.
        text_field: Likewise.
        fields: Fields of the documents beside those of the index; see :func:`splade_lucene.encode_corpus`.
        skip_bad: Skip documents that cannot be read.
        on_problem: Called with the error for each skipped document.
        progress: Reports the progress.

    Returns:
        What was added.

    Raises:
        CorpusError: A document cannot be read.
        InputError: The folder is not an index, or it has no manifest that names its model and quantizer.
        ModelError: The model is not that of the index.
        StorageError: Another process is writing to the index, or a disk error.
    """
    index_dir = to_path(index_dir).resolve()
    _check_index(index_dir)
    manifest = read_index_manifest(index_dir)
    encoder = open_document_encoder(manifest, index_dir, model, device=device, trust_remote_code=trust_remote_code)
    assert manifest is not None
    assert manifest.quantizer is not None
    folder = work_folder(index_dir, "added")
    with sole_builder(index_dir):
        added = encode_corpus(
            corpus, folder, encoder, manifest.quantizer, pruning=Pruning(**manifest.pruning),
            min_impact=manifest.min_impact, overwrite=True, id_field=id_field, text_field=text_field,
            fields=FieldRequest.of(fields).extending(index_fields(index_dir)), skip_bad=skip_bad,
            on_problem=on_problem, progress=progress,
        )  # fmt: skip
        files = [folder / part.name for part in added.parts]
        settings = replace(_settings(index_dir, threads, store), fields=manifest_fields(added))
        summary = index_files(files, index_dir, settings, added, progress)
        shutil.rmtree(folder)
    return replace(summary, unreadable=added.skipped)


def add_pseudo_documents(
    source: str | Path, index_dir: str | Path, *, threads: int | None = None, store: Store = "text",
    skip_bad: bool = False, fields: Fields = None, progress: Progress = NO_PROGRESS,
) -> IndexSummary:  # fmt: skip
    """Adds pseudo-documents to an index. A document replaces one with the same docid.

    Args:
        source: A file or folder; see :func:`splade_lucene.read_pseudo_documents`.
        index_dir: The index.
        threads: Number of indexing threads; None for one per core.
        store: See :func:`splade_lucene.index_pseudo_documents`.
        skip_bad: Skip and report documents that cannot be indexed.
        fields: Fields of the documents beside those of the index; see :func:`splade_lucene.index_pseudo_documents`.
        progress: Reports the progress.

    Returns:
        What was added.

    Raises:
        PseudoDocumentError: A document cannot be indexed; none has been added.
        InputError: The folder is not an index, or the documents were encoded with another model or quantizer.
        StorageError: Another process is writing to the index, or a disk error.
    """
    source, index_dir = to_path(source), to_path(index_dir).resolve()
    files = find_files(source, without=index_dir)
    _check_index(index_dir)
    settings = replace(_settings(index_dir, threads, store), skip_bad=skip_bad)
    added = verified_manifest(source, files, settings.threads)
    check_compatible(index_dir, read_index_manifest(index_dir), added)
    request = FieldRequest.of(fields)
    if request:
        request = request.extending(index_fields(index_dir))
    settings = replace(settings, fields=fields_of_files(request, source, files, added))
    return index_files(files, index_dir, settings, added, progress)


def delete_documents(index_dir: str | Path, docids: str | Iterable[str]) -> Change:
    """Deletes documents of an index by their docids.

    Args:
        index_dir: The index.
        docids: One or several; unknown ones are ignored. Documents without terms are recorded only in the manifest, and
            are deleted there.

    Returns:
        The change: the number of documents that were deleted, and that are left.

    Raises:
        InputError: The folder is not an index.
        PseudoDocumentError: A docid is not a string.
        StorageError: Another process is writing to the index, or a disk error.
    """
    index_dir = to_path(index_dir)
    _check_index(index_dir)
    with LuceneImpactIndexer(index_dir) as indexer:
        indexer.delete(docids)
        return indexer.commit() or Change("", "delete", 0, 0, indexer.documents)


def optimize_index(index_dir: str | Path, *, threads: int | None = None) -> Change:
    """Merges an index into one segment with its documents in the order of a new build, and rewrites its accelerator.

    Deleted documents are removed for good. The hits stay the same.

    Args:
        index_dir: The index.
        threads: Number of threads; None for one per core.

    Raises:
        InputError: The folder is not an index.
        StorageError: Another process is writing to the index, or a disk error.
    """
    index_dir, threads = to_path(index_dir), thread_count(threads)
    _check_index(index_dir)
    with LuceneImpactIndexer(index_dir) as indexer:
        indexer.optimize(threads=threads)
        return indexer.commit() or Change("", "optimize", 0, 0, indexer.documents)


def _check_index(index_dir: Path) -> None:
    if not is_index(index_dir) and not is_interrupted(index_dir.resolve()):
        raise InputError(
            "this folder is not an index",
            path=index_dir,
            remedy="Build it first, with 'splade-lucene build' or 'index'",
        )


def _settings(index_dir: Path, threads: int | None, store: Store) -> IndexSettings:
    return IndexSettings(
        thread_count(threads), store, "bp", append=True, overwrite=False, skip_bad=False,
        accelerator=has_accelerator(index_dir), memory=None, replace=True,
    )  # fmt: skip
