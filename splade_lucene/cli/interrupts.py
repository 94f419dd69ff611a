"""Ctrl-C is heard at once, unless a module is being imported: then when that is done, or with a second Ctrl-C.

``import torch`` and ``import transformers`` take seconds, and happen where a command first needs them. An exception out of
nowhere meets C++ code of PyTorch there that does not expect one (``terminate called after throwing an instance of
'pybind11::error_already_set'``, exit code -6). And where it goes through an ``exec`` of text, which dataclasses use, Python
notes an interrupt that nobody caught, and ends with the signal (exit code -2) although it was caught further out.
"""

from __future__ import annotations

import signal
from types import FrameType

_PAUSE = 0.02  # seconds between two looks
_IMPORT_SYSTEM = ("importlib._bootstrap", "_frozen_importlib")

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
    _is_waiting = not is_second and _is_importing(frame)
    signal.setitimer(signal.ITIMER_REAL, _PAUSE if _is_waiting else 0)
    if not _is_waiting:
        raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") in _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False
