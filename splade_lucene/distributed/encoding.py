"""Encodes the parts of a corpus on a Ray cluster; the result is the same as on one machine, byte for byte.

This process reads the corpus, so that order, duplicates and bad documents are handled as on one machine, and keeps the journal.
The workers encode whole parts, and write them to the output folder, which all nodes share, or to a store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_lucene.distributed.cluster import RayCluster, Session
from splade_lucene.distributed.pool import Outcome, WorkPool, outcome_of, result_of
from splade_lucene.distributed.sharing import check_equal, check_reachable, check_shared, versions
from splade_lucene.errors import CorpusError, InputError, SpladeLuceneError, first_line
from splade_lucene.files.outputs import delete_abandoned
from splade_lucene.files.remote import Folder, RemoteFolder
from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    from splade_lucene.encoder import SpladeEncoder
    from splade_lucene.manifest import Part
    from splade_lucene.pseudo_documents.parts import Job
    from splade_lucene.records import Document

_SLOTS = 2
"""Parts that a worker has at a time: while one is encoded, the next is tokenized or the previous one written."""

_PROCESS_BYTES = 1 << 30
"""Memory of a worker beside its model: Python, PyTorch and a batch."""

_PATIENCE = 5.0  # seconds to wait until an ended process has released its files


class RayWorkers:
    """Encodes parts on a cluster; pass it to :func:`splade_lucene.encode_corpus` as ``workers``.

    Args:
        cluster: The cluster.
    """

    def __init__(self, cluster: RayCluster) -> None:
        self.cluster = cluster
        self._session: Session | None = None

    @contextmanager
    def opened(self, output: Folder, encoder: SpladeEncoder) -> Iterator[None]:
        """Connects to the cluster for the duration of the block, and checks that it can do the work.

        Args:
            output: The output folder, perhaps of a store.
            encoder: The encoder.

        Raises:
            InputError: The workers do not fit, the nodes do not share the folder, or they have other versions.
        """
        with self.cluster.connected() as session:
            session.worker_count(_memory(encoder))
            check_equal("versions", versions(), session.on_every_node(versions))
            if isinstance(output, RemoteFolder):
                check_reachable(session, output)
            else:
                check_shared(session, output)
            self._session = session
            try:
                yield
            finally:
                self._session = None

    def settle(self, encoder: SpladeEncoder) -> None:
        """Chooses precision and batch size for a GPU of the cluster, as this machine may have none."""
        if not self.cluster.gpus:
            return
        session = self._opened()
        settings = session.ray.remote(
            num_cpus=self.cluster.cpus, num_gpus=self.cluster.gpus, memory=_memory(encoder)
        )(_settings_on_gpu)  # fmt: skip
        reference = settings.remote(encoder.requested_on("cuda"))
        try:
            outcome = session.ray.get(reference, timeout=self.cluster.timeout)
        except session.ray.exceptions.RayError as error:
            raise SpladeLuceneError(
                f"no GPU of the Ray cluster could report its settings: {first_line(error)}"
            ) from error
        encoder.settle(*result_of(outcome))

    def encode_parts(
        self, job: Job, encoder: SpladeEncoder, finished: set[int], on_part: Callable[[Part], None],
        on_problem: Callable[[CorpusError], None], progress: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        """Encodes and writes the unfinished parts of a job; see :func:`splade_lucene.pseudo_documents.parts.encode_parts`."""
        session = self._opened()
        settings = encoder.settings_on("cuda" if self.cluster.gpus else "cpu")
        expected = _facts(encoder)
        there = job if isinstance(job.output, RemoteFolder) else replace(job, output=job.output.resolve())
        memory = _memory(encoder)

        def record(_: int, part: Part) -> None:
            on_part(part)
            progress(part.documents, part.tokens)

        tasks = (each for each in job.read_parts(on_problem) if each[0] not in finished)
        first = [
            *islice(tasks, session.worker_count(memory))
        ]  # a worker without a part would load the model for nothing
        if not first:
            return
        pool = WorkPool(
            session, PartWorker, (there, settings, self.cluster.threads, expected), memory=memory, noun="part", slots=_SLOTS,
            count=len(first), repeats=True,
        )  # fmt: skip
        try:
            pool.run(chain(first, tasks), record)
        finally:
            if isinstance(there.output, Path):
                _clean([there.output / there.part_name(number) for number in pool.repeated])

    def _opened(self) -> Session:
        assert self._session is not None, "encode_corpus opens it"
        return self._session


def _facts(encoder: SpladeEncoder) -> dict[str, str]:
    """What decides the results, and has to be the same on all nodes."""
    from splade_lucene.pseudo_documents.encoding import library_versions

    weights = encoder.layout.documents.location.digest()
    return {f"the digest of the weights of {encoder.layout.location.name}": weights, **library_versions("torch")}


def _memory(encoder: SpladeEncoder) -> int:
    """Bytes of main memory of a worker: in float32, a model takes about twice the bytes of its file while it is loaded."""
    files = encoder.layout.documents.location.weight_files()
    return _PROCESS_BYTES + 2 * sum(path.stat().st_size for path in files)


def _clean(waiting: list[Path]) -> None:
    """Deletes the unfinished files of workers that were ended, as soon as they have released them."""
    end = time.monotonic() + _PATIENCE
    while waiting and time.monotonic() < end:
        for path in waiting:
            delete_abandoned(path)
        waiting = [path for path in waiting if [*path.parent.glob(f"{path.name}.*.partial")]]
        if waiting:
            time.sleep(0.1)


@uninterrupted_imports()
def _settings_on_gpu(arguments: dict[str, Any]) -> Outcome:
    """Runs on a node with a GPU."""
    from splade_lucene.encoder import SpladeEncoder

    def settings() -> tuple[str, int, str]:
        encoder = SpladeEncoder(**arguments)
        return encoder.dtype, encoder.batch_tokens, encoder.document_backend

    return outcome_of(settings)


class PartWorker:
    """A worker that encodes parts.

    Args:
        job: The job, with an absolute path.
        settings: The arguments of the encoder.
        threads: Threads for the network, if it runs on a CPU.
        expected: What the driver computes with, which has to be the same here: name → value.
    """

    def __init__(self, job: Job, settings: dict[str, Any], threads: int, expected: dict[str, str]) -> None:
        self._job, self._settings, self._threads, self._expected = job, settings, threads, expected
        self._documents = 0
        self._reading, self._encoding = threading.Lock(), threading.Lock()

    def start(self) -> Outcome:
        """Loads the model; returns the node's id."""
        return outcome_of(self._start)

    def _start(self) -> str:
        import ray

        with uninterrupted_imports():
            import torch

            from splade_lucene.encoder import SpladeEncoder
        from splade_lucene.pseudo_documents.format import ImpactWriter

        torch.set_num_threads(self._threads)
        context = ray.get_runtime_context()
        self._encoder = SpladeEncoder(**self._settings)
        for name, found in _facts(self._encoder).items():
            if found != self._expected[name]:
                raise InputError(
                    f"{name} is {self._expected[name]} here and {found} on node {context.get_node_id()[:8]}",
                    remedy="Install the same libraries and copy the same model to all nodes: the results must not depend on "
                    "where they are computed",
                )
        self._encoder.load("document")
        self._writer = ImpactWriter(self._encoder.terms)
        return str(context.get_node_id())

    def work(self, key: int, task: list[Document]) -> Outcome:
        """Encodes and writes the documents of a part; the result is its entry in the journal."""
        return outcome_of(lambda: self._encode(key, task))

    def _encode(self, number: int, documents: list[Document]) -> Part:
        from splade_lucene.pseudo_documents.parts import write_part

        with self._reading:
            sequences = self._encoder.tokenize_documents([document.text for document in documents])
        with self._encoding:
            impacts = self._encoder.encode_impacts(
                sequences, self._job.quantizer, pruning=self._job.pruning, min_impact=self._job.min_impact,
                progress=self._count,
            )  # fmt: skip
        return write_part(self._job, self._writer, number, documents, impacts, sequences)

    def _count(self, documents: int, _: int) -> None:
        self._documents += documents

    def progress(self) -> int:
        """The number of documents encoded so far."""
        return self._documents
