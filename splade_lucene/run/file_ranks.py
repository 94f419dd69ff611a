"""The ranks in a run file, which some measures and fusions use instead of the scores."""

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
        self._hits: dict[str, tuple[list[str], array[int], array[int]]] = {}
        """By qid, the docids, ranks and lines of its hits."""
        self._wrong: dict[int, str] = {}
        """By line, what is not a rank of at least 1."""

    def add(self, qid: str, docid: str, text: str, line: int) -> None:
        """Adds the rank of a hit."""
        rank = int(text) if text.isdigit() and text.isascii() and len(text) < 19 else -1
        if rank < 1:
            self._wrong[line] = text
        hits = self._hits.get(qid)
        if hits is None:
            hits = self._hits[qid] = [], array("q"), array("q")
        docids, ranks, lines = hits
        docids.append(docid)
        ranks.append(rank)
        lines.append(line)

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
        for docid, rank, line in zip(*self._hits[qid], strict=True):
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
