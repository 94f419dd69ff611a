"""The ranks that a run file gives its hits, which some measures and fusions use instead of the scores."""

from __future__ import annotations

from array import array
from pathlib import Path

from splade_lucene.errors import RunError

_REMEDY = "Number the hits from 1, or use the scores: RR@10, or fusion by score"


class FileRanks:
    """Collects the ranks while a file is read. Ranks that are wrong are errors only when they are asked for.

    Args:
        path: The run file, for error messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._docids: dict[str, list[str]] = {}
        self._ranks: dict[str, array[int]] = {}
        self._lines: dict[str, array[int]] = {}
        self._wrong: dict[int, str] = {}
        """By line, what is not a rank of at least 1."""

    def add(self, qid: str, docid: str, text: str, line: int) -> None:
        """Adds the rank of a hit."""
        is_number = text.isascii() and text.isdigit() and len(text) < 19
        rank = int(text) if is_number else -1
        if rank < 1:
            self._wrong[line] = text
        self._docids.setdefault(qid, []).append(docid)
        self._ranks.setdefault(qid, array("q")).append(rank)
        self._lines.setdefault(qid, array("q")).append(line)

    def of(self, qid: str, *, first: int = 1) -> dict[str, int]:
        """The ranks of a query's hits, docid → rank, in the order of the file.

        Args:
            qid: The query.
            first: The lowest rank that is allowed, 0 or 1.

        Raises:
            RunError: A rank is not an integer of at least ``first``, or is a duplicate.
        """
        ranks: dict[str, int] = {}
        taken: set[int] = set()
        for docid, rank, line in zip(self._docids[qid], self._ranks[qid], self._lines[qid], strict=True):
            if rank < first or rank in taken:
                problem = (
                    f"the rank {self._wrong[line]!r} is not a positive integer"
                    if rank < first
                    else f"duplicate rank {rank} for query {qid!r}"
                )
                raise RunError(
                    f"{problem}, and the ranks in the file are used here", path=self._path, line=line, remedy=_REMEDY
                )
            taken.add(rank)
            ranks[docid] = rank
        return ranks
