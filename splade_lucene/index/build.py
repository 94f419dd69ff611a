"""Builds an impact index from a corpus: encodes and indexes it in one resumable job."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from splade_lucene.counts import counted
from splade_lucene.defaults import thread_count
from splade_lucene.encoder import Pruning, SpladeEncoder, check_encoder
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.fields.schema import Fields
from splade_lucene.files.files import work_folder
from splade_lucene.files.remote import Folder, shown, to_folder, to_index_folder
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.index.indexer import IndexSettings, IndexSummary, Order, Store, index_files, manifest_fields
from splade_lucene.index.publish import prepare_target, sole_builder
from splade_lucene.index.reader import LuceneImpactIndexReader, is_index, read_index_manifest
from splade_lucene.manifest import Manifest
from splade_lucene.models import recommended_quantizer
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.pseudo_documents.encoding import encode_corpus
from splade_lucene.pseudo_documents.fetching import local_parts
from splade_lucene.pseudo_documents.parts import PartWorkers
from splade_lucene.quantizer import Quantizer


@dataclass(frozen=True)
class BuildSummary:
    """The result of a build.

    Attributes:
        manifest: The manifest of the encoding.
        index: The summary of the index.
        pseudo_documents: The folder or URL of the pseudo-documents; None if they were not kept.
    """

    manifest: Manifest
    index: IndexSummary
    pseudo_documents: str | Path | None


@uninterrupted_imports()
def build_index(  # noqa: PLR0913 - all but the first four are keywords with defaults
    corpus: str | Path,
    index_dir: str | Path,
    encoder: SpladeEncoder | None = None,
    quantizer: Quantizer | None = None,
    *,
    pruning: Pruning = Pruning(),
    min_impact: int = 1,
    pseudo_documents: str | Path | None = None,
    gzip: bool = False,
    devices: Iterable[str] = (),
    workers: PartWorkers | None = None,
    threads: int | None = None,
    store: Store = "text",
    order: Order = "bp",
    accelerator: bool = True,
    overwrite: bool = False,
    keep_current: bool = False,
    id_field: str | None = None,
    text_field: str | None = None,
    fields: Fields = None,
    bm25: bool = False,
    skip_bad: bool = False,
    on_problem: Callable[[CorpusError], None] | None = None,
    progress: Progress = NO_PROGRESS,
) -> BuildSummary:
    r"""Encodes and indexes a corpus. An interrupted build resumes after the last finished part.

    The corpus is read twice: first to check it, then to encode it.

    Args:
        corpus: A corpus; see :mod:`splade_lucene.corpus.reading`.
        index_dir: The folder of the index.
        encoder: The encoder; None for the embedded model.
        quantizer: The quantizer; None for the model's recommended one.
        pruning: Which terms of a document to keep.
        min_impact: Smallest impact to keep.
        pseudo_documents: The folder in which to keep the pseudo-documents, or a URL; see :func:`splade_lucene.encode_corpus`.
            None to delete them.
        gzip: Compress the pseudo-documents.
        devices: See :func:`splade_lucene.encode_corpus`.
        workers: Likewise. They must see the folder of the pseudo-documents.
        threads: Number of indexing threads; None for one per core.
        store: See :func:`splade_lucene.index_pseudo_documents`.
        order: Likewise.
        accelerator: Likewise.
        overwrite: Replace an existing index, and an encoding with other settings in ``pseudo_documents``.
        keep_current: Keep an existing index if it was built from the same encoding.
        id_field: See :func:`splade_lucene.encode_corpus`.
        text_field: Likewise.
        fields: Likewise.
        bm25: See :func:`splade_lucene.index_pseudo_documents`.
        skip_bad: Skip documents that cannot be read.
        on_problem: Called with the error for each skipped document.
        progress: Reports the progress.

    Raises:
        CorpusError: A document cannot be read.
        InputError: The index exists and ``overwrite`` is not set, another process is building it, or ``pseudo_documents``
            contains a different encoding.
        StorageError: A disk error.

    Example:
        >>> from splade_lucene import LuceneImpactSearcher, build_index
        >>> folder = getfixture("tmp_path")
        >>> _ = (folder / "docs.tsv").write_text("d1\tLucene is a search library.\nd2\tBread is baked in an oven.\n")
        >>> build_index(folder / "docs.tsv", folder / "index").index.documents
        2
        >>> with LuceneImpactSearcher(folder / "index") as searcher:
        ...     searcher.search("full-text search engine")[0].docid
        'd1'
    """
    index_dir = to_index_folder(index_dir).resolve()
    is_kept = pseudo_documents is not None
    folder = pseudo_document_folder(pseudo_documents, index_dir)
    settings = IndexSettings(
        thread_count(threads),
        store,
        order,
        append=False,
        overwrite=overwrite,
        skip_bad=False,
        accelerator=accelerator,
        memory=None,
        bm25=bm25,
    )
    with sole_builder(index_dir):
        prepare_target(index_dir, append=False, overwrite=overwrite or keep_current)
        encoder = SpladeEncoder() if encoder is None else encoder
        check_encoder(encoder)
        quantizer = quantizer or recommended_quantizer(encoder.layout.location.name)
        manifest = encode_corpus(
            corpus, shown(folder), encoder, quantizer, pruning=pruning, min_impact=min_impact, gzip=gzip,
            overwrite=overwrite or not is_kept, id_field=id_field, text_field=text_field, fields=fields, skip_bad=skip_bad,
            devices=devices, workers=workers, on_problem=on_problem, progress=progress,
        )  # fmt: skip
        if not manifest.documents:
            raise CorpusError(
                f"no document has a term: {counted(len(manifest.empty), 'document', 'is', 'are')} empty", path=corpus,
                remedy="Check that it is the right corpus",
            )  # fmt: skip
        summary = _summary_of_current(index_dir, manifest, bm25=bm25) if keep_current else None
        if summary is None:
            prepare_target(index_dir, append=False, overwrite=overwrite)
            settings = replace(settings, fields=manifest_fields(manifest))
            with local_parts(folder, manifest.parts, index_dir) as files:
                summary = index_files(files, index_dir, settings, manifest, progress)
        if not is_kept:
            shutil.rmtree(work_folder(index_dir, "encoded"))
    return BuildSummary(manifest, replace(summary, unreadable=manifest.skipped), shown(folder) if is_kept else None)


def pseudo_document_folder(pseudo_documents: str | Path | None, index_dir: Path) -> Folder:
    """Where a build writes its pseudo-documents; for None, a temporary folder beside the index.

    Args:
        pseudo_documents: The folder or the URL that the caller gave, or None.
        index_dir: The resolved folder of the index.

    Raises:
        InputError: Both are the same folder.
    """
    folder = work_folder(index_dir, "encoded") if pseudo_documents is None else to_folder(pseudo_documents)
    if isinstance(folder, Path) and folder.resolve() == index_dir:
        raise InputError(
            "pseudo_documents=… and index_dir=… are the same folder", path=index_dir, remedy="Use two folders"
        )
    return folder


def _summary_of_current(index_dir: Path, manifest: Manifest, *, bm25: bool) -> IndexSummary | None:
    """The summary of the existing index if it was built from this very encoding, with or without BM25, else None."""
    existing = read_index_manifest(index_dir) if is_index(index_dir) else None
    if existing is None or existing.encoding != manifest.encoding or bool(existing.bm25) != bm25:
        return None
    with LuceneImpactIndexReader(index_dir) as reader:
        counts = reader.statistics()
    return IndexSummary(counts["documents"], counts["postings"], counts["terms"], (), counts["documents"])
