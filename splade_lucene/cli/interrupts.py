"""Ctrl-C is heard at once, but for two moments in which it would end the process as a crash does.

While a module is imported, an exception out of nowhere meets C++ code of PyTorch that does not expect one
(``terminate called after throwing an instance of 'pybind11::error_already_set'``, exit code -6), and Python itself
remembers an interrupt that went through an ``exec`` of text, such as dataclasses use, and repeats it when it ends (exit code
-2, whatever was caught). Loading a model meets both, for transformers imports each model's code when it is asked for. So Ctrl-C
waits until the import or the loading is over, some seconds at most; a second one is heard at once.
"""

from __future__ import annotations

import signal
from types import FrameType

_PAUSE = 0.02  # seconds between two looks
_UNINTERRUPTIBLE = ("importlib._bootstrap", "_frozen_importlib", "splade_lucene.encoder.checkpoint")

_is_waiting = False


def install() -> None:
    """Takes over Ctrl-C in the main thread, unless it is ignored there or someone else's."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGALRM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _is_waiting
    if number == signal.SIGALRM and not _is_waiting:
        return  # not ours
    is_second = number == signal.SIGINT and _is_waiting
    _is_waiting = not is_second and _must_wait(frame)
    signal.setitimer(signal.ITIMER_REAL, _PAUSE if _is_waiting else 0)
    if not _is_waiting:
        raise KeyboardInterrupt


def _must_wait(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") in _UNINTERRUPTIBLE:
            return True
        frame = frame.f_back
    return False
