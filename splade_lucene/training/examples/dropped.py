"""Counts the examples and passages that are dropped, by kind, and reports them once."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

_log = logging.getLogger(__name__)

BLANK_QUERIES = "examples with blank queries"
BLANK_PASSAGES = "blank passages"
SAME_AS_POSITIVE = "negatives that are their query's positive"
LISTED_TWICE = "passages listed twice for a query"
NO_POSITIVE = "examples without a relevant passage"
NO_SCORE = "passages without a score"
NO_MARGIN = "examples without two passages of different scores"


class Dropped:
    """Counts dropped examples and passages.

    Args:
        path: The file of the examples.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._lines: dict[str, int | None] = {}

    def add(self, kind: str, line: int | None, count: int = 1) -> None:
        """Counts something.

        Args:
            kind: What it is; one of those above.
            line: Its line in the file, if that is known.
            count: How many there are.
        """
        self.counts[kind] += count
        self._lines.setdefault(kind, line)

    def log(self) -> None:
        """Logs each kind once."""
        for kind, count in self.counts.items():
            line = self._lines[kind]
            _log.warning("%s: skipped %s: %d%s", self.path, kind, count, f" (the first on line {line})" if line else "")
