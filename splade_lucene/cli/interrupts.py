"""Handles Ctrl-C: at once, unless a module is being imported; then after the import, or at a second Ctrl-C.

``import torch`` and ``import transformers`` take seconds, and happen where a command first needs them. An exception during
an import can hit C++ code of PyTorch that does not handle it (``terminate called after throwing an instance of
'pybind11::error_already_set'``, exit code -6). Also, Python remembers an interrupt that passed through an ``exec`` of
source text, as used by dataclasses, and ends with the signal (exit code -2), even if it was caught.
"""

from __future__ import annotations

import signal
from types import FrameType

_POLL_SECONDS = 0.02
_IMPORT_SYSTEM = ("importlib._bootstrap", "_frozen_importlib")

_is_waiting = False


def install() -> None:
    """Installs the handler in the main thread, unless Ctrl-C is ignored or already has another handler."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGALRM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _is_waiting
    if number == signal.SIGALRM and not _is_waiting:
        return  # not ours
    is_second = number == signal.SIGINT and _is_waiting
    _is_waiting = not is_second and _is_importing(frame)
    signal.setitimer(signal.ITIMER_REAL, _POLL_SECONDS if _is_waiting else 0)
    if not _is_waiting:
        raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") in _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False
