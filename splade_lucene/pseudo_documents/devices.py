"""Encoding on several devices: one process per device; each of the N processes takes every N-th part."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty
from typing import TYPE_CHECKING, Any

from splade_lucene.defaults import thread_count
from splade_lucene.errors import CorpusError, SpladeLuceneError
from splade_lucene.files.remote import Folder
from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    from splade_lucene.encoder import SpladeEncoder
    from splade_lucene.manifest import Part
    from splade_lucene.pseudo_documents.parts import Job

_POLL_SECONDS = 2.0


class DeviceWorkers:
    """Encodes parts on several devices of this machine.

    Args:
        devices: The device of each process; a device may appear several times.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self.devices = devices

    @contextmanager
    def opened(self, output: Folder, encoder: SpladeEncoder) -> Iterator[None]:  # noqa: ARG002 - as others
        """Checks the devices.

        Raises:
            InputError: A device is not available.
        """
        with uninterrupted_imports():
            from splade_lucene.encoder.precision import choose_device

        for device in self.devices:
            choose_device(device)
        yield

    def settle(self, encoder: SpladeEncoder) -> None:
        """Leaves the settings to the encoder."""

    def encode_parts(
        self, job: Job, encoder: SpladeEncoder, finished: set[int], on_part: Callable[[Part], None],
        on_problem: Callable[[CorpusError], None], progress: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        """See :func:`encode_on_devices`."""
        encode_on_devices(job, encoder, self.devices, finished, on_part, on_problem, progress)


def encode_on_devices(  # noqa: C901 - one branch per kind of message
    job: Job,
    encoder: SpladeEncoder,
    devices: Sequence[str],
    finished: set[int],
    on_part: Callable[[Part], None],
    on_problem: Callable[[CorpusError], None],
    progress: Callable[[int, int], None],
) -> None:
    """Encodes and writes the unfinished parts of a job.

    Args:
        job: The job.
        encoder: The processes' encoders get the settings of this one.
        devices: The device of each process; a device may appear several times.
        finished: Numbers of the finished parts.
        on_part: Called with each part after it is written to disk, in order of completion.
        on_problem: Called with the error for each skipped document.
        progress: Called after each batch with the number of new documents and of tokens in them.

    Raises:
        SpladeLuceneError: A process failed or died.
    """
    context = multiprocessing.get_context("spawn")  # CUDA and the JVM do not survive a fork
    messages = context.Queue()
    workers = [
        context.Process(
            target=_run_worker,
            args=(job, encoder.settings_on(device), finished, (number, len(devices)), messages),
            daemon=True,
        )
        for number, device in enumerate(devices)
    ]
    running = len(workers)
    last_check = time.monotonic()
    try:
        _start(workers)
        while running:
            if time.monotonic() - last_check > _POLL_SECONDS:
                _check_alive(workers, devices)
                last_check = time.monotonic()
            try:
                kind, content = messages.get(timeout=_POLL_SECONDS)
            except Empty:
                continue
            if kind == "part":
                on_part(content)
            elif kind == "progress":
                progress(*content)
            elif kind == "problem":
                on_problem(content)
            elif kind == "error":
                raise content
            elif kind == "done":
                running -= 1
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.terminate()
                worker.join()


def _start(workers: Sequence[Any]) -> None:
    """Starts processes that ignore Ctrl-C; this process handles it and terminates them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        for worker in workers:
            worker.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _check_alive(workers: Sequence[Any], devices: Sequence[str]) -> None:
    for worker, device in zip(workers, devices, strict=True):
        if worker.exitcode:
            raise SpladeLuceneError(
                f"the process on {device} died (exit code {worker.exitcode}). Run the same command again to resume."
            )


@uninterrupted_imports()
def _run_worker(job: Job, settings: dict[str, Any], finished: set[int], share: tuple[int, int], messages: Any) -> None:
    """The main function of a worker process. All workers read the whole corpus; only the first reports its problems."""
    import torch

    from splade_lucene.encoder import SpladeEncoder
    from splade_lucene.pseudo_documents.parts import encode_parts

    threading.Thread(target=_end_with_parent, daemon=True).start()
    if settings["device"] == "cpu":
        torch.set_num_threads(max(1, thread_count() // share[1]))
    try:
        on_problem = (lambda problem: messages.put(("problem", problem))) if share[0] == 0 else None
        encode_parts(
            job, SpladeEncoder(**settings), finished, lambda part: messages.put(("part", part)), on_problem,
            lambda documents, tokens: messages.put(("progress", (documents, tokens))), share,
        )  # fmt: skip
        messages.put(("done", None))
    except SpladeLuceneError as error:
        messages.put(("error", error))
    except Exception as error:  # a bug; report it to the parent with its class
        messages.put(("error", SpladeLuceneError(f"{type(error).__name__} on {settings['device']}: {error}")))


def _end_with_parent() -> None:
    """Ends this process immediately if its parent dies, even by ``kill -9``."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
