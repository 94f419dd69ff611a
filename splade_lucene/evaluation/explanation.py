"""Explains the query that changed most: which relevant document rose or fell, and its matching terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from splade_lucene.errors import InputError
from splade_lucene.evaluation.comparison import QueryDifference
from splade_lucene.evaluation.judgments import QrelsSource, as_qrels
from splade_lucene.evaluation.measured_run import MeasuredRun, RunLike
from splade_lucene.records import Contribution, Query


class Explainer(Protocol):
    """Explains scores; implemented by :class:`splade_lucene.LuceneImpactSearcher`."""

    def explain(self, q: Any, docid: str) -> list[Contribution]:
        """The contribution of each shared term to a document's score."""
        ...

    def doc(self, docid: str) -> Any:
        """The stored document, or None."""
        ...


@dataclass(frozen=True)
class Change:
    """The query that changed most, and the relevant document most responsible for it.

    Attributes:
        query: The query's values in both runs.
        text: The query's text; None if it is not among the topics.
        docid: The document; None if no relevant document is ranked differently.
        relevance: The document's relevance.
        rank: Rank of the document in the run; None if it is not ranked.
        rank_against: Rank of the document in the other run; None if it is not ranked.
        contents: The document's text, if the index stores it.
        score: The document's score for the query in the index; None if the index does not have the document or the topics
            do not have the query.
        contributions: The contributions to the score, largest first.
    """

    query: QueryDifference
    text: str | None
    docid: str | None
    relevance: int | None
    rank: int | None
    rank_against: int | None
    contents: str | None = None
    score: int | None = None
    contributions: tuple[Contribution, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The change as plain data."""
        terms = [{**asdict(each), "product": each.product} for each in self.contributions]
        return {**asdict(self), "contributions": terms, "difference": self.query.difference}


def explain_top_change(
    differences: Sequence[QueryDifference], qrels: QrelsSource, run: RunLike, against: RunLike, searcher: Explainer,
    topics: Mapping[str, Query],
) -> Change | None:  # fmt: skip
    """Explains the query with the largest gain or loss.

    The document is the relevant one for which the discount of nDCG, 1 / log2(1 + rank), times the relevance changed most in
    the direction of the query: a move from rank 12 to 1 counts more than one from 900 to 300.

    Args:
        differences: Differences of all queries between two runs.
        qrels: Judgments.
        run: The run.
        against: The other run.
        searcher: Searcher of the index used to explain the score; usually the index of the run.
        topics: Queries by qid.

    Returns:
        The change; None if no query differs.
    """
    top = max(differences, key=lambda each: abs(each.difference), default=None)
    if top is None or top.difference == 0:
        return None
    query = topics.get(top.qid)
    text = None if query is None else query.text or " ".join(query.vector or ())
    ranks, ranks_against = _ranks(run, top.qid), _ranks(against, top.qid)
    judged = as_qrels(qrels)[top.qid]
    docid = _find_most_moved(judged, ranks, ranks_against, rose=top.difference > 0)
    if docid is None:
        return Change(top, text, None, None, None, None)
    contents, score, contributions = _look_up(searcher, query, docid)
    return Change(
        top, text, docid, judged[docid], ranks.get(docid), ranks_against.get(docid), contents, score,
        contributions,
    )  # fmt: skip


def _ranks(run: RunLike, qid: str) -> dict[str, int]:
    return {docid: rank for rank, (docid, _) in enumerate(MeasuredRun.of(run).run.get(qid, ()), 1)}


def _find_most_moved(
    judged: Mapping[str, int], ranks: dict[str, int], ranks_against: dict[str, int], *, rose: bool
) -> str | None:
    def discount(ranked: dict[str, int], docid: str) -> float:
        return 1 / math.log2(1 + ranked[docid]) if docid in ranked else 0.0

    sign = 1 if rose else -1
    moves = {
        docid: sign * relevance * (discount(ranks, docid) - discount(ranks_against, docid))
        for docid, relevance in judged.items()
        if relevance > 0
    }
    most = max(moves, key=lambda docid: moves[docid], default=None)
    return most if most is not None and moves[most] > 0 else None


def _look_up(
    searcher: Explainer, query: Query | None, docid: str
) -> tuple[str | None, int | None, tuple[Contribution, ...]]:
    document = searcher.doc(docid)
    if document is None:
        return None, None, ()
    if query is None:
        return document.contents(), None, ()
    try:
        contributions = tuple(searcher.explain(query.content, docid))
    except InputError as error:
        raise InputError(
            f"cannot explain query {query.qid!r} with this index ({error})",
            remedy="Use the index and the topics that the run was created with",
        ) from error
    return document.contents(), sum(each.product for each in contributions), contributions


def describe_change(change: Change, names: tuple[str, str], measure: str, terms: int = 10) -> str:
    """Describes a change as text, with the terms that contribute most to the document's score.

    Args:
        change: The change.
        names: Names of the run and of the run that it is compared with.
        measure: Name of the measure.
        terms: Number of terms to show.
    """
    query = change.query
    lines = [
        f"largest change in {measure}: query {query.qid}, {names[1]} {query.against:.4f}, {names[0]} {query.value:.4f} "
        f"({query.difference:+.4f})",
        f"  {_shorten(change.text)}" if change.text else "  (not among the topics)",
    ]
    if change.docid is None:
        return "\n".join([*lines, "  no relevant document is ranked differently"])
    direction = "rose" if query.difference > 0 else "fell"
    ranks = f"{names[1]} {_rank(change.rank_against)}, {names[0]} {_rank(change.rank)}"
    lines.append(f"relevant document that {direction} most: {change.docid} (judged {change.relevance}), {ranks}")
    if change.contents:
        lines.append(f"  {_shorten(change.contents)}")
    if change.score is None:
        return "\n".join(
            [*lines, "  cannot explain the score: the document is not in the index, or the query is not in the topics"]
        )
    lines.append(f"  {'term':24} {'query':>8} {'document':>9} {'product':>10} {'share':>7}")
    for each in change.contributions[:terms]:
        lines.append(
            f"  {each.term:24} {each.query_impact:>8,} {each.document_impact:>9,} {each.product:>10,} "
            f"{each.product / change.score:>7.1%}"
        )
    lines.append(f"  score {change.score:,} from {len(change.contributions)} shared terms")
    return "\n".join(lines)


def _rank(rank: int | None) -> str:
    return "not ranked" if rank is None else f"rank {rank}"


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 300 else f"{flat[:300]}…"
