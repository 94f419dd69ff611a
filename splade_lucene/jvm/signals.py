"""The signal handlers of the JVM, which other libraries replace.

Java code reads through null pointers on purpose: the JVM handles the SIGSEGV, and throws a NullPointerException or takes
another path. Ray sets handlers of its own when a process connects to a cluster, and none when it disconnects (seen with Ray
2.60), after which the next such signal ends the process.
"""

from __future__ import annotations

import ctypes
import signal

_SIGNALS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
_SIZE = 256  # bytes, more than any system's struct sigaction
_handlers: dict[int, ctypes.Array[ctypes.c_char]] = {}


def remember_handlers() -> None:
    """Remembers the handlers that are set now; call it when the JVM has been started."""
    library = ctypes.CDLL(None)
    for number in _SIGNALS:
        found = ctypes.create_string_buffer(_SIZE)
        if library.sigaction(int(number), None, found) == 0:
            _handlers[int(number)] = found


def restore_handlers() -> None:
    """Sets the JVM's handlers again; without a JVM it does nothing."""
    if _handlers:
        library = ctypes.CDLL(None)
        for number, handler in _handlers.items():
            library.sigaction(number, handler, None)
