"""A run prepared for measuring: strictly descending scores, or the ranks from its file."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from splade_lucene.errors import RunError
from splade_lucene.run.formats import parse_rank
from splade_lucene.run.run import Run, RunSource, read_lines, strictly_falling


class MeasuredRun:
    """A run prepared for measuring; its file is read only once, no matter how many measures are computed.

    Args:
        run: A :class:`Run`, rankings by qid as for :class:`Run`, or a run file.

    Attributes:
        run: The run.

    Raises:
        RunError: The file cannot be read, or the rankings are not valid.
    """

    def __init__(self, run: RunSource) -> None:
        self._path = Path(run) if isinstance(run, str | Path) else None
        self.run = Run.of(run)

    @classmethod
    def of(cls, run: RunLike) -> MeasuredRun:
        """Prepares a run; a run that is already prepared is returned unchanged."""
        return run if isinstance(run, MeasuredRun) else cls(run)

    @cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """Qid → docid → score, strictly descending so that evaluators have no ties to break; without empty rankings."""
        return {
            qid: dict(zip([docid for docid, _ in hits], strictly_falling([score for _, score in hits]), strict=True))
            for qid, hits in self.run.items()
            if hits
        }

    @cached_property
    def ranks(self) -> dict[str, dict[str, int]]:
        """Qid → docid → rank as written in the file; for a run without a file, the position of the hit, from 1.

        Raises:
            RunError: A rank is not a positive integer, or is a duplicate.
        """
        if self._path is not None and self.run.format != "json":  # JSON runs have no ranks
            return _read_ranks(self._path)
        return {qid: {docid: rank for rank, (docid, _) in enumerate(hits, 1)} for qid, hits in self.run.items()}


RunLike = RunSource | MeasuredRun
"""A run, rankings by qid, a run file, or a run prepared for measuring."""


def _read_ranks(path: Path) -> dict[str, dict[str, int]]:
    """Reads the ranks of a TREC run (six columns) or an MS MARCO run (three columns)."""
    ranks: dict[str, dict[str, int]] = {}
    taken: set[tuple[str, int]] = set()
    for number, line in read_lines(path):
        qid, docid, written = _columns(line.split(), path, number)
        rank = parse_rank(written)
        if rank is None:
            raise RunError(
                f"the rank {written!r} is not a positive integer, and this measure uses the ranks in the file",
                path=path, line=number, remedy="Number the hits from 1, or choose RR@10, which uses scores",
            )  # fmt: skip
        if (qid, rank) in taken:
            raise RunError(
                f"duplicate rank {rank} for query {qid!r}, and this measure uses the ranks in the file",
                path=path, line=number, remedy="Number the hits from 1, or choose RR@10, which uses scores",
            )  # fmt: skip
        taken.add((qid, rank))
        ranks.setdefault(qid, {})[docid] = rank
    return ranks


def _columns(columns: Iterable[str], path: Path, number: int) -> tuple[str, str, str]:
    match [*columns]:
        case [qid, _, docid, rank, _, _]:
            return qid, docid, rank
        case [qid, docid, rank]:
            return qid, docid, rank
        case other:
            raise RunError(
                f"expected the six columns of a TREC run or the three of an MS MARCO run, got {len(other)}",
                path=path, line=number, remedy="Write the run in one of these formats",
            )  # fmt: skip
