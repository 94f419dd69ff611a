"""Handles Ctrl-C: at once, unless a module is being imported; then after the import, or at a second Ctrl-C."""

from __future__ import annotations

import signal

from splade_lucene.imports import DelayedInterrupts

MESSAGE = "interrupted: no incomplete files are left; run the same command again to resume or restart"


def install() -> None:
    """Installs the handler in the main thread, unless Ctrl-C is ignored or already has another handler."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, DelayedInterrupts(signal.default_int_handler, is_hasty=True))
