"""What moved the query that changed most: the relevant document that rose or fell, and the terms that it was found by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from splade_lucene.errors import InputError
from splade_lucene.evaluation.comparison import QueryDifference
from splade_lucene.evaluation.judgments import Qrels
from splade_lucene.evaluation.measured_run import MeasuredRun, RunLike
from splade_lucene.records import Contribution, Query


class Explainer(Protocol):
    """What takes a score apart: :class:`splade_lucene.LuceneImpactSearcher`."""

    def explain(self, q: Any, docid: str) -> list[Contribution]:
        """What each shared term adds to a document's score."""
        ...

    def doc(self, docid: str) -> Any:
        """The stored document, or None."""
        ...


@dataclass(frozen=True)
class Change:
    """The query that changed most, and the relevant document that changed it most.

    Attributes:
        query: The query's values in both runs.
        text: Its text; None if it is not among the topics.
        docid: The document; None if no relevant document is ranked differently.
        relevance: How it is judged.
        rank: Its rank in the run; None if it is not there.
        rank_against: Its rank in the other run.
        contents: The document's text as the index stores it, if it does.
        score: The document's score for the query in the index; None if it has not the document, or there is no query.
        contributions: What the score consists of, largest first.
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
    differences: Sequence[QueryDifference], qrels: Qrels, run: RunLike, against: RunLike, searcher: Explainer,
    topics: Mapping[str, Query],
) -> Change | None:  # fmt: skip
    """Explains the query with the largest gain or loss.

    Its document is the relevant one whose discount as in nDCG, 1 / log2(1 + rank), times its relevance changed most in the
    query's direction: from rank 12 to 1 is more than from 900 to 300.

    Args:
        differences: All queries of two runs.
        qrels: Judgments.
        run: The run.
        against: The other.
        searcher: The index in which the score is taken apart; as a rule the run's.
        topics: Queries by qid.

    Returns:
        The change; None if no query differs.
    """
    top = max(differences, key=lambda each: abs(each.difference), default=None)
    if top is None or top.difference == 0:
        return None
    query = topics.get(top.qid)
    text = None if query is None else query.text or " ".join(query.vector or ())
    ranks, others = _ranks(run, top.qid), _ranks(against, top.qid)
    docid = _moved_most(qrels[top.qid], ranks, others, rose=top.difference > 0)
    if docid is None:
        return Change(top, text, None, None, None, None)
    contents, score, contributions = _look_up(searcher, query, docid)
    return Change(
        top, text, docid, qrels[top.qid][docid], ranks.get(docid), others.get(docid), contents, score, contributions
    )


def _ranks(run: RunLike, qid: str) -> dict[str, int]:
    return {docid: rank for rank, (docid, _) in enumerate(MeasuredRun.of(run).run.get(qid, ()), 1)}


def _moved_most(judged: Mapping[str, int], ranks: dict[str, int], others: dict[str, int], *, rose: bool) -> str | None:
    def discount(found: dict[str, int], docid: str) -> float:
        return 1 / math.log2(1 + found[docid]) if docid in found else 0.0

    sign = 1 if rose else -1
    moves = {
        docid: sign * relevance * (discount(ranks, docid) - discount(others, docid))
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
            f"the query {query.qid!r} cannot be explained in this index ({error})",
            remedy="Name the index and the topics that the run was made from",
        ) from error
    return document.contents(), sum(each.product for each in contributions), contributions


def describe_change(change: Change, names: tuple[str, str], measure: str, terms: int = 10) -> str:
    """A change in words, with the terms that add most to the document's score.

    Args:
        change: The change.
        names: Names of the run and of that which it is compared with.
        measure: The measure's name.
        terms: How many terms are shown.
    """
    query = change.query
    lines = [
        f"largest change in {measure}: query {query.qid}, {names[1]} {query.against:.4f}, {names[0]} {query.value:.4f} "
        f"({query.difference:+.4f})",
        f"  {_shorten(change.text)}" if change.text else "  (not among the topics)",
    ]
    if change.docid is None:
        return "\n".join([*lines, "  no relevant document is ranked differently"])
    way = "rose" if query.difference > 0 else "fell"
    ranks = f"{names[1]} {_rank(change.rank_against)}, {names[0]} {_rank(change.rank)}"
    lines.append(f"relevant document that {way} most: {change.docid} (judged {change.relevance}), {ranks}")
    if change.contents:
        lines.append(f"  {_shorten(change.contents)}")
    if change.score is None:
        return "\n".join(
            [*lines, "  its score cannot be taken apart: the index lacks it, or the topics lack the query"]
        )
    lines.append(f"  {'term':24} {'query':>8} {'document':>9} {'product':>10} {'share':>7}")
    for each in change.contributions[:terms]:
        lines.append(
            f"  {each.term:24} {each.query_impact:>8,} {each.document_impact:>9,} {each.product:>10,} "
            f"{each.product / change.score:>7.1%}"
        )
    lines.append(f"  score {change.score:,} of {len(change.contributions)} shared terms")
    return "\n".join(lines)


def _rank(rank: int | None) -> str:
    return "not ranked" if rank is None else f"rank {rank}"


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 300 else f"{flat[:300]}…"
