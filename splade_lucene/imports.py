"""Imports of heavy and optional packages inside calls: never interrupted, and with a remedy for missing packages.

``import torch`` and ``import transformers`` take seconds and happen where a call first needs them. An exception during an
import can hit C++ code of PyTorch that does not handle it (``terminate called after throwing an instance of
'pybind11::error_already_set'``, exit code -6), or leaves half a package behind, which cannot be imported again. Also, Python
remembers an interrupt that passed through an ``exec`` of source text, as used by dataclasses, and ends with the signal (exit
code -2), even if it was caught. So Ctrl-C waits until the import is over.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from splade_lucene.errors import MissingDependencyError

_POLL_SECONDS = 0.02
_IMPORT_SYSTEM = ("importlib._bootstrap", "_frozen_importlib")

EXTRAS = {
    "accelerate": "train",
    "beir": "beir",
    "elasticsearch": "elasticsearch",
    "fastapi": "serve",
    "fastmcp": "serve",
    "haystack": "haystack",
    "ir_datasets": "irds",
    "langchain_core": "langchain",
    "llama_index": "llamaindex",
    "matplotlib": "plots",
    "mteb": "mteb",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "opensearchpy": "opensearch",
    "peft": "lora",
    "prometheus_client": "serve",
    "pydantic": "train",
    "pyterrier": "pyterrier",
    "qdrant_client": "qdrant",
    "ranx": "ranx",
    "ray": "ray",
    "sentence_transformers": "train",
    "starlette": "serve",
    "uvicorn": "serve",
    "yaml": "train",
}
"""Optional package → the extra that installs it."""

LEFT_OUT = frozenset(("datasets", "fsspec", "scipy", "torch", "transformers"))
"""Required packages that a light installation (``requirements-search.txt``) leaves out."""

_CHECKPOINTS = frozenset(("torch", "transformers"))
"""Those that a checkpoint with an ONNX file does not need."""

_DISTRIBUTIONS = {
    "jnius": "pyjnius", "jnius_config": "pyjnius", "opensearchpy": "opensearch-py", "pytrec_eval": "pytrec-eval-terrier",
}  # fmt: skip


@contextmanager
def uninterrupted_imports(extra: str | None = None, *, required_by: str | None = None) -> Iterator[None]:
    """Lets Ctrl-C wait for imports to end, in a ``with`` block or, as a decorator, in a function.

    Between imports Ctrl-C is handled at once, so that a block may also load or compute. The handler of the caller is kept:
    it is called later, and is back in place after the block. Threads other than the main one get no signals.

    Args:
        extra: The extra that installs what the block imports, where that is not the one in :data:`EXTRAS`.
        required_by: The package that the block imports and whose requirements may be missing.

    Raises:
        MissingDependencyError: A package is not installed; says how to install it.
    """
    handler: Any = None
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGINT)
    delayed = None
    if callable(handler) and not isinstance(handler, DelayedInterrupts):
        delayed = DelayedInterrupts(handler, outside=sys._getframe(2))
        signal.signal(signal.SIGINT, delayed)
    try:
        yield
    except ModuleNotFoundError as error:
        raise _missing(error, extra, required_by) from error
    finally:
        if delayed is not None:
            if signal.getsignal(signal.SIGINT) is delayed:
                signal.signal(signal.SIGINT, handler)
            if delayed.take_pending():
                handler(signal.SIGINT, sys._getframe())


def turn_off_telemetry() -> None:
    """Keeps ONNX Runtime from reporting its use to Microsoft, as it does by default since version 1.29.

    It has to be called before ONNX Runtime is imported, by us or by Pyserini. A user who sets the variable decides.
    Source: Privacy.md in the package onnxruntime.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class DelayedInterrupts:
    """A handler of SIGINT that calls another one: at once, unless a module is being imported; then after the import.

    Args:
        handler: The other handler.
        outside: The frame at which to stop looking for imports: those around a call do not count. None: all count.
        is_hasty: Whether a second SIGINT is handled at once.
    """

    def __init__(
        self, handler: Callable[[int, FrameType | None], Any], *, outside: FrameType | None = None, is_hasty: bool = False
    ) -> None:  # fmt: skip
        self._handler, self._outside, self._is_hasty = handler, outside, is_hasty
        self._waiting: list[int] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handles the signal, or has a thread send it again after the import."""
        is_second = bool(self._waiting)
        if self._is_importing(frame) and not (is_second and self._is_hasty):
            if not is_second:
                self._waiting.append(number)
                _thread.start_new_thread(self._send_again, ())  # the interrupted code may hold threading's locks
            return
        self._waiting.clear()
        self._handler(number, frame)

    def take_pending(self) -> bool:
        """Whether an interrupt is waiting; it then no longer waits."""
        try:
            return bool(self._waiting.pop())
        except IndexError:
            return False

    def _send_again(self) -> None:
        main = threading.main_thread().ident or 0
        while self._waiting and self._is_importing(sys._current_frames().get(main)):
            time.sleep(_POLL_SECONDS)
        if self.take_pending():
            signal.pthread_kill(main, signal.SIGINT)

    def _is_importing(self, frame: FrameType | None) -> bool:
        while frame is not None and frame is not self._outside:
            if frame.f_globals.get("__name__") in _IMPORT_SYSTEM:
                return True
            frame = frame.f_back
        return False


def _missing(error: ModuleNotFoundError, extra: str | None, required_by: str | None) -> Exception:
    package = _package(error)
    if package in ("", "splade_lucene"):
        return error
    if required_by not in (None, package):
        return MissingDependencyError(
            f"{package}, which {required_by} requires, is not installed. Install it with 'pip install {required_by}'."
        )
    if package in LEFT_OUT:
        return MissingDependencyError(f"{package} is not installed. {_light_remedy(package, extra)}.")
    extra = EXTRAS.get(package) and (extra or EXTRAS[package])
    install = f"splade-lucene[{extra}]" if extra else _DISTRIBUTIONS.get(package, package.replace("_", "-"))
    return MissingDependencyError(f"{package} is not installed. Install it with 'pip install {install}'.")


def _light_remedy(package: str, extra: str | None) -> str:
    remedy = (
        f"A light installation leaves it out; 'pip install splade-lucene{f'[{extra}]' if extra else ''}' adds the rest"
    )
    if extra is None and package in _CHECKPOINTS:
        remedy += (
            ". A checkpoint with an ONNX file needs none: run 'splade-lucene models NAME --save DIR --onnx' where torch is "
            "installed"
        )
    return remedy


def _package(error: BaseException | None) -> str:
    """The package that is missing; transformers raises errors without its name, from those with it."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        error = error.__cause__
    return ""
