"""A run prepared for measuring: its hits with numbers as ids, or the ranks from its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from splade_lucene.defaults import TREC_EVAL, TrecEval
from splade_lucene.run.run import Run, RunSource
from splade_lucene.run.selection import remove_queries


@dataclass(frozen=True)
class Numbered:
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
        self.run = Run.of(run)

    @classmethod
    def of(cls, run: RunLike, *, remove_query: bool = False) -> MeasuredRun:
        """Prepares a run, if wanted without the queries themselves; a run that is already prepared is not read again."""
        prepared = run if isinstance(run, MeasuredRun) else cls(run)
        return cls(remove_queries(prepared.run)) if remove_query else prepared

    def describe_judged(self, judged: Mapping[str, Mapping[str, int]]) -> str:
        """A note if no hit is judged; empty if one is, or if there are no hits."""
        for qid, ranking in self.run.items():
            if any(docid in judged.get(qid, ()) for docid, _ in ranking):
                return ""
        hits = [(docid, qid) for qid in judged for docid, _ in self.run.get(qid, ())[:1]]
        if not hits:
            return ""
        found, qid = hits[0]
        expected = next(iter(judged[qid]), "none")
        return f"no hit is judged. Query {qid!r} has the hit {found!r} and the judged document {expected!r}: compare the docids"

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
                names.get(docid, f"unranked{position}"): relevance
                for position, (docid, relevance) in enumerate(judged[qid].items())
            }
        return Numbered(qrels, hits, qids)

    def ranks(self, judged: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
        """Qid → docid → rank of the judged queries: as written in the file, or 1, 2, 3 … for a run without ranks.

        Raises:
            RunError: A rank is not a positive integer, or is a duplicate.
        """
        return {qid: self.run.ranks(qid) for qid in judged if qid in self.run}


RunLike = RunSource | MeasuredRun
"""A run, rankings by qid, a run file, or a run prepared for measuring."""
