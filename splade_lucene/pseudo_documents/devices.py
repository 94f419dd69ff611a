"""One encoding on several devices: a process each, which takes every N-th part."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty
from typing import TYPE_CHECKING, Any

from splade_lucene.errors import CorpusError, SpladeLuceneError

if TYPE_CHECKING:
    from splade_lucene.encoder import SpladeEncoder
    from splade_lucene.manifest import Part
    from splade_lucene.pseudo_documents.parts import Job

_PATIENCE = 2.0


def encode_on_devices(  # noqa: C901 - a branch for each kind of message
    job: Job,
    encoder: SpladeEncoder,
    devices: Sequence[str],
    finished: set[int],
    on_part: Callable[[Part], None],
    on_problem: Callable[[CorpusError], None],
    progress: Callable[[int, int], None],
) -> None:
    """Encodes and writes the parts of a job that are not finished.

    Args:
        job: What is encoded.
        encoder: What the processes' encoders are like.
        devices: The device of each process; one may be named several times.
        finished: Numbers of the parts that are there already.
        on_part: Called with each part once it is on the disk, in the order in which they are ready.
        on_problem: Called with each document that is left out.
        progress: Called after each batch with the number of documents just finished, and of their tokens.

    Raises:
        SpladeLuceneError: What went wrong in a process, or that one died.
    """
    context = multiprocessing.get_context("spawn")  # CUDA and the JVM do not survive a fork
    messages = context.Queue()
    workers = [
        context.Process(
            target=_work,
            args=(job, encoder.settings_on(device), finished, (number, len(devices)), messages),
            daemon=True,
        )
        for number, device in enumerate(devices)
    ]
    working = len(workers)
    looked = time.monotonic()
    try:
        _start(workers)
        while working:
            if time.monotonic() - looked > _PATIENCE:
                _check_alive(workers, devices)
                looked = time.monotonic()
            try:
                kind, content = messages.get(timeout=_PATIENCE)
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
                working -= 1
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.terminate()
                worker.join()


def _start(workers: Sequence[Any]) -> None:
    """Starts processes that Ctrl-C does not reach: it is for this one, which ends them."""
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


def _work(job: Job, settings: dict[str, Any], finished: set[int], share: tuple[int, int], messages: Any) -> None:
    """What a process does. Problems of the corpus, which all processes read, are told by the first."""
    import torch

    from splade_lucene.encoder import SpladeEncoder
    from splade_lucene.pseudo_documents.parts import encode_parts

    threading.Thread(target=_end_with_parent, daemon=True).start()
    if settings["device"] == "cpu":
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // share[1]))
    try:
        on_problem = (lambda problem: messages.put(("problem", problem))) if share[0] == 0 else None
        encode_parts(
            job, SpladeEncoder(**settings), finished, lambda part: messages.put(("part", part)), on_problem,
            lambda documents, tokens: messages.put(("progress", (documents, tokens))), share,
        )  # fmt: skip
        messages.put(("done", None))
    except SpladeLuceneError as error:
        messages.put(("error", error))
    except Exception as error:  # a defect: the parent is to see it, with its class
        messages.put(("error", SpladeLuceneError(f"{type(error).__name__} on {settings['device']}: {error}")))


def _end_with_parent() -> None:
    """Ends this process, in the middle of whatever it does, once the one that started it is gone (kill -9)."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
