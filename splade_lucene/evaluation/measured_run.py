"""A run prepared for measuring: its hits with numbers as ids, or the ranks from its file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from splade_lucene.defaults import TREC_EVAL, TrecEval
from splade_lucene.errors import RunError
from splade_lucene.run.formats import parse_rank, trec_columns, without_comments
from splade_lucene.run.run import Run, RunSource, read_lines


class Numbered(NamedTuple):
    """Judgments and hits in a form that every evaluator takes: numbers as ids, no ties, no scores that it could round.

    Attributes:
        qrels: Number of the query → name of the document → relevance, for all judged queries.
        hits: Number of the query → name of the document → n, n-1 … 1, best first; without queries that have no hits.
        qids: Number of the query → qid.
    """

    qrels: dict[str, dict[str, int]]
    hits: dict[str, dict[str, float]]
    qids: dict[str, str]


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

    def number(self, judged: Mapping[str, Mapping[str, int]], version: TrecEval = TREC_EVAL) -> Numbered:
        """The hits of the judged queries beside their judgments, with numbers as ids.

        Args:
            judged: The judgments.
            version: The version of trec_eval: 9 reads scores in single precision, as our runs are ordered, 10 in double.
        """
        qids = {str(number): qid for number, qid in enumerate(judged, 1)}
        qrels, hits = {}, {}
        for number, qid in qids.items():
            ranking = self.run.get(qid, [])
            if version == 10:
                ranking = sorted(ranking, key=lambda hit: -hit[1])
            names = {docid: str(rank) for rank, (docid, _) in enumerate(ranking, 1)}
            if names:
                hits[number] = {name: float(len(names) + 1 - rank) for rank, name in enumerate(names.values(), 1)}
            qrels[number] = {
                names.get(docid, f"unranked{place}"): relevance
                for place, (docid, relevance) in enumerate(judged[qid].items())
            }
        return Numbered(qrels, hits, qids)

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
    for number, line in without_comments(read_lines(path)):
        qid, docid, written = _columns(line, path, number)
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


def _columns(line: str, path: Path, number: int) -> tuple[str, str, str]:
    match trec_columns(line) or line.split():
        case [qid, _, docid, rank, _, _]:
            return qid, docid, rank
        case [qid, docid, rank]:
            return qid, docid, rank
        case other:
            raise RunError(
                f"expected the six columns of a TREC run or the three of an MS MARCO run, got {len(other)}",
                path=path, line=number, remedy="Write the run in one of these formats",
            )  # fmt: skip
