"""Merges indexes into a new one, equal to an index built from all their documents at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from splade_lucene import jvm
from splade_lucene.arguments import check_choice, to_flag, to_path
from splade_lucene.defaults import thread_count
from splade_lucene.errors import IndexVersionError, InputError
from splade_lucene.files.files import new_folder, path_text, work_folder
from splade_lucene.index.accelerator import FOLDER, accelerate_segments
from splade_lucene.index.bm25_field import common_bm25, describe_bm25
from splade_lucene.index.commits import ManifestKeeper, timestamp
from splade_lucene.index.indexer import Order
from splade_lucene.index.joined import Duplicates, IndexDirs, JoinedIndexReader, open_joined, to_index_paths
from splade_lucene.index.publish import prepare_target, publish, sole_builder
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.jvm import wire
from splade_lucene.manifest import Change, Manifest
from splade_lucene.progress import NO_PROGRESS, Progress


@dataclass(frozen=True)
class MergeSummary:
    """The result of a merge.

    Attributes:
        sources: For each index, the documents that it added and replaced, as in the history of the new index.
    """

    sources: tuple[Change, ...]

    @property
    def documents(self) -> int:
        """Number of documents in the new index."""
        return self.sources[-1].documents

    @property
    def replaced(self) -> int:
        """Number of documents that were left out, because a later index has one with the same docid."""
        return sum(each.deleted for each in self.sources)


def merge_indexes(
    indexes: IndexDirs,
    output: str | Path,
    *,
    duplicates: Duplicates = "refuse",
    threads: int | None = None,
    order: Order = "bp",
    accelerator: bool = True,
    overwrite: bool = False,
    progress: Progress = NO_PROGRESS,
) -> MergeSummary:
    """Merges indexes into a new one, without their deleted documents. The sources are not changed.

    The new index has one segment, and gets its name only when it is complete. The sources may be searched and changed
    meanwhile: the merge reads the commits that are current when it starts.

    Args:
        indexes: The folders of the indexes, in the order of their documents: ours, Anserini's or Pyserini's.
        output: The folder of the new index.
        duplicates: Handling of duplicate docids: ``refuse`` raises an error, ``last`` keeps the last document.
        threads: Number of threads that order documents. Default: one per core.
        order: See :func:`splade_lucene.index_pseudo_documents`; ``input`` keeps the order of the indexes.
        accelerator: Likewise.
        overwrite: Replace an existing index.
        progress: Reports the progress.

    Raises:
        InputError: The indexes were made with different models, settings or quantizers, or store a field in different ways;
            some have texts for BM25 and others none; two documents have the same docid; ``output`` is one of them, or exists
            and ``overwrite`` is not set.
        IndexAccessError: A folder is not an impact index, or the indexes are of different versions of Lucene.
        StorageError: A disk error.

    Example:
        >>> from splade_lucene import LuceneImpactIndexer, PseudoDocument, merge_indexes
        >>> folder = getfixture("tmp_path")
        >>> for name in ("a", "b"):
        ...     with LuceneImpactIndexer(folder / name) as indexer:
        ...         indexer.add(PseudoDocument(f"{name}1", "", {"cat": 3}))
        >>> merge_indexes([folder / "a", folder / "b"], folder / "both").documents
        2
    """
    paths, output = to_index_paths(indexes), to_path(output).resolve()
    check_choice(order, Order, "order")
    accelerator, overwrite = to_flag(accelerator, "accelerator"), to_flag(overwrite, "overwrite")
    threads = thread_count(threads)
    _check_output(output, paths)
    with sole_builder(output):
        prepare_target(output, append=False, overwrite=overwrite)
        with open_joined(paths, duplicates) as source, new_folder(work_folder(output, "building")) as target:
            common_bm25(source.parts)
            _check_formats(source.parts)
            with progress.step("merging", source.num_docs, "documents") as advance:
                changes = _write(source, target, order, threads)
                advance(source.num_docs)
            if accelerator:
                with LuceneImpactIndexReader(target) as reader:
                    accelerate_segments(reader, target / FOLDER, rebuild=False)
            publish(target, output, overwrite=overwrite)
    return MergeSummary(changes)


def _check_output(output: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        folder = path.resolve()
        if output == folder or folder in output.parents or output in folder.parents:
            raise InputError(
                f"the new index would overwrite {path}, which is one of those to merge",
                path=output,
                remedy="Name another folder with output=…",
            )


def _check_formats(parts: Sequence[LuceneImpactIndexReader]) -> None:
    """Refuses indexes that Lucene cannot merge.

    Raises:
        InputError: Two store a field in different ways.
        IndexVersionError: Two were created by different versions of Lucene.
    """
    java = jvm.facade("Join")
    with jvm.translated_exceptions():
        rows = wire.unpack_rows(wire.to_bytes(java.formatDifference([each.java for each in parts])), 5)
        majors = [int(java.createdMajor(each.java)) for each in parts]
    for field, first, one, second, other in rows:
        raise InputError(
            f"the field {field!r} is stored in different ways, which Lucene cannot merge: in "
            f"{parts[int(first)].index_dir} {one}; in {parts[int(second)].index_dir} {other}",
            remedy="Search the indexes together instead of merging them, or build one of them again",
        )
    for part, major in zip(parts, majors, strict=True):
        if major != majors[0]:
            raise IndexVersionError(
                f"{parts[0].index_dir} was created by Lucene {majors[0]}, {part.index_dir} by Lucene {major}, and Lucene "
                "merges only indexes of the same version. Search them together, or build the older one again."
            )


def _write(source: JoinedIndexReader, target: Path, order: Order, threads: int) -> tuple[Change, ...]:
    """Writes the documents of the source to a new index, and commits them; returns the history of the new index."""
    changes = _changes(source)
    writer = _run_merge(source, target, order, threads)
    try:
        manifest = replace(
            source.manifest() or Manifest(),
            fields=dict(source.fields),
            history=changes[:-1],
            bm25=describe_bm25(bm25=source.has_bm25),
        )
        keeper = ManifestKeeper(target, writer, manifest)
        last = keeper.commit("merge", changes[-1].added, changes[-1].source)
        assert last is not None  # a new index always has a change in its history
        return (*changes[:-1], last)
    finally:
        with jvm.translated_exceptions(target):
            jvm.facade("Index").rollback(writer)


def _changes(source: JoinedIndexReader) -> tuple[Change, ...]:
    """The history of the new index: what each index adds, and what it replaces."""
    found, documents = [], 0
    for part, deleted in zip(source.parts, source.replaced, strict=True):
        documents += part.num_docs - deleted
        found.append(Change(timestamp(), "merge", part.num_docs, deleted, documents, path_text(part.index_dir)))
    return tuple(found)


def _run_merge(source: JoinedIndexReader, target: Path, order: Order, threads: int) -> Any:
    """Runs Java's merge to its end.

    Returns:
        Java's writer, with the documents.
    """
    java = jvm.facade("Join")
    with jvm.translated_exceptions(target):
        memory = int(jvm.facade("Runtime").maxMemory()) // 4
        major = int(java.createdMajor(source.parts[0].java))
        merge = java.startMerge(source.java, jvm.java_path(target), major, order, threads, memory)
        try:
            while not java.awaitMerge(merge, 300):  # milliseconds; short waits keep Ctrl-C responsive
                pass
            return java.writerOf(merge)
        except BaseException:
            java.cancelMerge(merge)
            java.awaitMerge(merge, 60_000)
            raise
