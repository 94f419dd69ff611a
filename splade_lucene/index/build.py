"""A corpus → an impact index: encoding and indexing as one job, which resumes where it was interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from splade_lucene.defaults import thread_count
from splade_lucene.encoder import Pruning, SpladeEncoder
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.files import work_folder
from splade_lucene.index.indexer import IndexSettings, IndexSummary, Order, Store, index_files
from splade_lucene.index.publish import prepare_target
from splade_lucene.index.reader import LuceneImpactIndexReader, is_index, read_index_manifest
from splade_lucene.manifest import Manifest
from splade_lucene.models import recommended_rule
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.pseudo_documents.encoding import encode_corpus
from splade_lucene.quantizer import Quantizer


@dataclass(frozen=True)
class BuildSummary:
    """What a build did.

    Attributes:
        manifest: What was encoded, and how.
        index: What was indexed.
        pseudo_documents: The folder of pseudo-documents, if it was kept.
    """

    manifest: Manifest
    index: IndexSummary
    pseudo_documents: Path | None


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
    devices: Sequence[str] = (),
    threads: int | None = None,
    store: Store = "text",
    order: Order = "bp",
    accelerator: bool = True,
    overwrite: bool = False,
    keep_current: bool = False,
    skip_bad: bool = False,
    on_problem: Callable[[CorpusError], None] | None = None,
    progress: Progress = NO_PROGRESS,
) -> BuildSummary:
    r"""Encodes a corpus and indexes it. An interrupted build resumes with what it has encoded already.

    The corpus is read twice: once to check it, before hours of work, and once to encode it.

    Args:
        corpus: A corpus; see :mod:`splade_lucene.corpus.reading`.
        index_dir: Where the index goes.
        encoder: The model; None: the embedded one.
        quantizer: The rule; None: the one that is usual for the model.
        pruning: Which terms of a document are kept.
        min_impact: Least impact to keep.
        pseudo_documents: A folder to keep the pseudo-documents in; None: do not keep them.
        gzip: Compress the pseudo-documents.
        devices: See :func:`splade_lucene.encode_corpus`.
        threads: Threads that index; None: all cores.
        store: See :func:`splade_lucene.index_pseudo_documents`, as for ``order`` and ``accelerator``.
        order: How documents are numbered.
        accelerator: Make the index's accelerator.
        overwrite: Replace an index, and an encoding with other settings in ``pseudo_documents``.
        keep_current: Leave an index as it is if it was built from the very same encoding.
        skip_bad: Leave out documents that cannot be read.
        on_problem: Called with each document that is left out.
        progress: Follows the work.

    Raises:
        CorpusError: A document cannot be read.
        InputError: The index exists and ``overwrite`` is not set, or the folder of pseudo-documents holds something else.
        StorageError: The disk refused.

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
    index_dir = Path(index_dir).resolve()
    keeps = pseudo_documents is not None
    folder = Path(pseudo_documents) if pseudo_documents is not None else work_folder(index_dir, "encoded")
    if folder.resolve() == index_dir:
        raise InputError(
            "pseudo_documents and index_dir are the same folder", path=index_dir, remedy="Name two folders"
        )
    settings = IndexSettings(
        thread_count(threads), store, order, append=False, skip_bad=False, accelerator=accelerator, memory=None
    )
    prepare_target(index_dir, append=False, overwrite=overwrite or keep_current)
    encoder = encoder or SpladeEncoder()
    quantizer = quantizer or Quantizer.named(recommended_rule(encoder.layout.location.name))
    manifest = encode_corpus(
        corpus, folder, encoder, quantizer, pruning=pruning, min_impact=min_impact, gzip=gzip,
        overwrite=overwrite or not keeps, skip_bad=skip_bad, devices=devices, on_problem=on_problem, progress=progress,
    )  # fmt: skip
    summary = _summary_of_current(index_dir, manifest) if keep_current else None
    if summary is None:
        prepare_target(index_dir, append=False, overwrite=overwrite)
        files = [folder / part.name for part in manifest.parts]
        summary = index_files(files, index_dir, settings, manifest, progress)
    if not keeps:
        shutil.rmtree(folder)
    return BuildSummary(manifest, summary, folder if keeps else None)


def _summary_of_current(index_dir: Path, manifest: Manifest) -> IndexSummary | None:
    """The counts of an index that was built from just this encoding; None if there is no such index."""
    existing = read_index_manifest(index_dir) if is_index(index_dir) else None
    if existing is None or existing.encoding != manifest.encoding:
        return None
    with LuceneImpactIndexReader(index_dir) as reader:
        counts = reader.statistics()
    return IndexSummary(counts["documents"], counts["postings"], counts["terms"], ())
