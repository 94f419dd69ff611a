"""Builds an index in shards on a Ray cluster: encodes the corpus, indexes the shards in parallel, merges them on request."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from splade_lucene.arguments import to_count, to_flag
from splade_lucene.counts import counted
from splade_lucene.distributed.cluster import RayCluster, Session
from splade_lucene.distributed.encoding import RayWorkers
from splade_lucene.distributed.java import JAVA_PROCESS_BYTES, limit_heap, processes_per_node
from splade_lucene.distributed.pool import Outcome, WorkPool, outcome_of
from splade_lucene.distributed.sharing import check_shared
from splade_lucene.encoder import Pruning, SpladeEncoder
from splade_lucene.errors import CorpusError, InputError, StorageError
from splade_lucene.fields.schema import Fields
from splade_lucene.files.exchange import replace_folder
from splade_lucene.files.files import file_digest, sole_writer, storage_error, work_folder
from splade_lucene.files.remote import Folder, shown, to_index_folder
from splade_lucene.index.build import BuildSummary, pseudo_document_folder
from splade_lucene.index.indexer import IndexSettings, IndexSummary, Order, Store, index_files, manifest_fields
from splade_lucene.index.merging import merge_indexes
from splade_lucene.index.publish import prepare_target, sole_builder
from splade_lucene.index.reader import LuceneImpactIndexReader, is_index, read_index_manifest
from splade_lucene.index.shards import Shards, is_sharded, shard_encoding, write_shards
from splade_lucene.manifest import Manifest, Part
from splade_lucene.models import recommended_quantizer
from splade_lucene.progress import NO_PROGRESS, Advance, Progress, Unit
from splade_lucene.pseudo_documents.encoding import encode_corpus
from splade_lucene.pseudo_documents.fetching import local_parts
from splade_lucene.quantizer import Quantizer


def build_sharded_index(  # noqa: PLR0913 - all but the first five are keywords with defaults
    corpus: str | Path,
    index_dir: str | Path,
    cluster: RayCluster,
    encoder: SpladeEncoder | None = None,
    quantizer: Quantizer | None = None,
    *,
    shards: int,
    merge: bool = False,
    pruning: Pruning = Pruning(),
    min_impact: int = 1,
    pseudo_documents: str | Path | None = None,
    gzip: bool = False,
    store: Store = "text",
    order: Order = "bp",
    accelerator: bool = True,
    overwrite: bool = False,
    id_field: str | None = None,
    text_field: str | None = None,
    fields: Fields = None,
    bm25: bool = False,
    skip_bad: bool = False,
    on_problem: Callable[[CorpusError], None] | None = None,
    progress: Progress = NO_PROGRESS,
) -> BuildSummary:
    """Encodes a corpus, and indexes it in shards, on a Ray cluster. An interrupted build resumes.

    The shards have consecutive parts of the corpus, about the same number of documents each. Whether they are
    merged, searched as one index or with :class:`splade_lucene.ShardedSearcher`, the hits are those of an index built on
    one machine.

    Args:
        corpus: A corpus, which only this process reads; see :mod:`splade_lucene.corpus.reading`.
        index_dir: The folder of the shards, or of the merged index. All nodes must see it under the same path.
        cluster: The cluster.
        encoder: The encoder; None for the embedded model.
        quantizer: The quantizer; None for the model's recommended one.
        shards: Number of shards; at most one per part of 2,000 documents.
        merge: Merge the shards into a single index, on this machine.
        pruning: See :func:`splade_lucene.build_index`.
        min_impact: Likewise.
        pseudo_documents: Likewise; all nodes must see this folder, or reach this URL.
        gzip: Likewise.
        store: Likewise.
        order: Likewise.
        accelerator: Likewise.
        overwrite: Replace an existing index or folder of shards, and an encoding with other settings.
        id_field: Likewise.
        text_field: Likewise.
        fields: Likewise.
        bm25: Likewise.
        skip_bad: Likewise.
        on_problem: Likewise.
        progress: Reports the progress.

    Raises:
        CorpusError: A document cannot be read, or there are fewer parts than shards.
        InputError: Something exists there and ``overwrite`` is not set, another process is building it, or the cluster cannot
            do the work; see :class:`splade_lucene.RayCluster`.
        StorageError: A disk error.
    """
    shards, merge = to_count(shards, "shards"), to_flag(merge, "merge")
    index_dir = to_index_folder(index_dir).resolve()
    folder = pseudo_document_folder(pseudo_documents, index_dir)
    settings = IndexSettings(
        cluster.threads, store, order, append=False, overwrite=True, skip_bad=False, accelerator=accelerator, memory=None,
        bm25=bm25,
    )  # fmt: skip
    built = work_folder(index_dir, "shards")
    with sole_builder(index_dir), cluster.connected() as session:
        prepare_shards(index_dir, overwrite=overwrite)
        encoder = encoder or SpladeEncoder(device="cpu")
        manifest = encode_corpus(
            corpus, shown(folder), encoder, quantizer or recommended_quantizer(encoder.layout.location.name), pruning=pruning,
            min_impact=min_impact, gzip=gzip, overwrite=overwrite or pseudo_documents is None, id_field=id_field,
            text_field=text_field, fields=fields, skip_bad=skip_bad, workers=RayWorkers(cluster), on_problem=on_problem,
            progress=progress,
        )  # fmt: skip
        described = shard_manifests(manifest, shards)
        check_shared(session, built)
        there = folder.resolve() if isinstance(folder, Path) else folder
        summaries = _build(session, there, built, described, settings, progress)
        names = tuple(map(_name, range(1, shards + 1), [shards] * shards))
        write_shards(built, Shards(manifest.encoding, names, tuple(each.documents for each in summaries)))
        if not merge:
            _publish(built, index_dir, overwrite=overwrite)
    if merge:
        merge_indexes(built, index_dir, order=order, accelerator=accelerator, overwrite=overwrite, progress=progress)
        shutil.rmtree(built, ignore_errors=True)
    if pseudo_documents is None:
        shutil.rmtree(work_folder(index_dir, "encoded"), ignore_errors=True)
    documents = sum(each.documents for each in summaries)
    terms = len(set().union(*(each.terms for each in summaries)))
    summary = IndexSummary(
        documents, sum(each.postings for each in summaries), terms, (), documents, empty=manifest.empty,
        unreadable=manifest.skipped,
    )  # fmt: skip
    return BuildSummary(manifest, summary, None if pseudo_documents is None else shown(folder))


def prepare_shards(index_dir: Path, *, overwrite: bool) -> None:
    """Checks, before any work is done, that a folder of shards may be written here.

    Raises:
        InputError: Something else is here, or shards or an index that must not be replaced.
    """
    if not is_sharded(index_dir):
        prepare_target(index_dir, append=False, overwrite=overwrite)
    elif not overwrite:
        raise InputError("a folder of shards exists here", path=index_dir, remedy="Pass overwrite=True to replace it")


def _publish(built: Path, index_dir: Path, *, overwrite: bool) -> None:
    prepare_shards(index_dir, overwrite=overwrite)
    try:
        replace_folder(built, index_dir)
    except OSError as error:
        raise storage_error(index_dir, error) from error


def _name(number: int, count: int) -> str:
    return f"shard-{number}of{count}"


def shard_manifests(manifest: Manifest, count: int) -> list[Manifest]:
    """For each shard, the manifest of its parts.

    Raises:
        CorpusError: There are not enough parts.
    """
    groups = split(manifest.parts, count)
    if not groups:
        filled = sum(_documents(part) > 0 for part in manifest.parts)
        raise CorpusError(
            f"the corpus has {counted(filled, 'part')} with documents, which cannot be divided into "
            f"{counted(count, 'shard')}", remedy=f"Use shards={max(1, filled)} or fewer",
        )  # fmt: skip
    return [
        replace(
            manifest, parts=parts, documents=sum(map(_documents, parts)),
            empty=tuple(docid for part in parts for docid in part.empty),
            encoding=shard_encoding(manifest.encoding, number, count),
        )
        for number, parts in enumerate(groups, 1)
    ]  # fmt: skip


def _documents(part: Part) -> int:
    """Number of documents with a term."""
    return part.documents - len(part.empty)


def split(parts: Sequence[Part], count: int) -> list[tuple[Part, ...]]:
    """Divides parts into consecutive groups with about the same number of documents, and at least one, each.

    Args:
        parts: The parts, in their order.
        count: Number of groups.

    Returns:
        The groups; none if there are not enough parts.
    """
    filled = sum(_documents(part) > 0 for part in parts)
    if filled < count:
        return []
    total = sum(map(_documents, parts))
    groups: list[list[Part]] = [[]]
    done = 0
    for part in parts:
        size = _documents(part)
        is_full = 2 * done + size > 2 * total * len(groups) / count  # most of the part would go to the next shard
        must_begin = filled <= count - len(groups)
        has_some = any(map(_documents, groups[-1]))
        if size and has_some and len(groups) < count and (is_full or must_begin):
            groups.append([])
        groups[-1].append(part)
        done += size
        filled -= size > 0
    return [tuple(group) for group in groups]


@dataclass(frozen=True)
class _Built:
    """A shard that has been built."""

    documents: int
    postings: int
    terms: frozenset[str]


def _build(
    session: Session,
    folder: Folder,
    built: Path,
    manifests: Sequence[Manifest],
    settings: IndexSettings,
    progress: Progress,
) -> list[_Built]:
    session = Session(session.cluster.without_gpus(), session.ray)
    count = session.worker_count(JAVA_PROCESS_BYTES, most=len(manifests))
    names = [_name(number, len(manifests)) for number in range(1, len(manifests) + 1)]
    for other in built.glob("*") if built.is_dir() else ():
        if other.name not in names and not other.name.startswith("."):
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    found: dict[int, _Built] = {}
    pool = WorkPool(
        session, ShardWorker, (folder, built, settings, processes_per_node(session, count)), count=count,
        memory=JAVA_PROCESS_BYTES, noun="shard",
    )  # fmt: skip
    with progress.step("indexing", sum(each.documents for each in manifests), "documents") as advance:

        def record(number: int, shard: _Built) -> None:
            found[number] = shard
            advance(shard.documents)

        pool.run(iter([*enumerate(zip(names, manifests, strict=True), 1)]), record)
    return [found[number] for number in sorted(found)]


class _Counting:
    """Counts the documents that a worker has indexed."""

    def __init__(self, worker: ShardWorker) -> None:
        self._worker = worker

    @contextmanager
    def step(self, title: str, total: int | None, unit: Unit) -> Iterator[Advance]:  # noqa: ARG002
        """Counts what is done."""

        def advance(count: int, *, tokens: int = 0, resumed: bool = False) -> None:  # noqa: ARG001
            self._worker.count(count)

        yield advance


class ShardWorker:
    """A worker that indexes shards.

    Args:
        folder: The place of the pseudo-documents.
        built: The folder in which the shards are made.
        settings: How to index.
        processes: Number of workers of this node.
    """

    def __init__(self, folder: Folder, built: Path, settings: IndexSettings, processes: int) -> None:
        self._folder, self._built, self._settings, self._processes = folder, built, settings, processes
        self._documents = 0

    def start(self) -> Outcome:
        """Prepares Java; returns the node's id."""
        return outcome_of(self._start)

    def _start(self) -> str:
        import ray

        limit_heap(self._processes)
        return str(ray.get_runtime_context().get_node_id())

    def work(self, key: int, task: tuple[str, Manifest]) -> Outcome:  # noqa: ARG002 - the number is in the name
        """Indexes a shard, unless it is there already."""
        return outcome_of(lambda: self._index(self._built / task[0], task[1]))

    def _index(self, shard: Path, manifest: Manifest) -> _Built:
        with sole_writer(shard):  # waits until a lost worker has let go of it
            existing = read_index_manifest(shard) if is_index(shard) else None
            if existing is None or existing.encoding != manifest.encoding or bool(existing.bm25) != self._settings.bm25:
                self._index_parts(shard, manifest)
        with LuceneImpactIndexReader(shard) as reader:
            counts = reader.statistics()
            return _Built(counts["documents"], counts["postings"], frozenset(each.term for each in reader.terms()))

    def _index_parts(self, shard: Path, manifest: Manifest) -> None:
        settings = replace(self._settings, fields=manifest_fields(manifest))
        with local_parts(self._folder, manifest.parts, shard) as files:
            for part, path in zip(manifest.parts, files, strict=True):
                if not path.is_file() or file_digest(path) != part.sha256:
                    raise StorageError(f"{path}: this is not the file that was written. Check the shared file system.")
            prepare_target(shard, append=False, overwrite=True)
            index_files(files, shard, settings, manifest, _Counting(self))

    def count(self, documents: int) -> None:
        """Notes progress."""
        self._documents += documents

    def progress(self) -> int:
        """The number of documents indexed so far."""
        return self._documents
