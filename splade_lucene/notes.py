"""Notes to the user about how input was interpreted: each is logged once, however often the input is read."""

from __future__ import annotations

import logging
from functools import lru_cache

_log = logging.getLogger(__name__)


@lru_cache(maxsize=4096)
def note(text: str) -> None:
    """Logs a note as a warning, unless this process has logged the same note before."""
    _log.warning(text)
