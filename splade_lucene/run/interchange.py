"""Runs as objects of other packages: data frames of pandas, runs of ranx, and the ``ScoredDoc`` of ir_measures.

Imported runs keep the order of their own package, so that every measure has the same value on both sides:

=================  ===================================================================================================
object             order
=================  ===================================================================================================
``ScoredDoc``      as in run files: by score in single precision, descending; ties by docid, descending, as in trec_eval
data frame         by its column ``rank``, if it has one; else like ``ScoredDoc``
run of ranx        that of its lists, which ranx sorts by score
=================  ===================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from splade_lucene.arguments import several
from splade_lucene.errors import RunError
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.run.rankings import evaluation_order, read_ranking, text_of_qid

QID_COLUMNS = ("qid", "query_id", "q_id")
"""The column of the qids: in PyTerrier and here, in ir_measures and ir_datasets, in ranx."""

DOCID_COLUMNS = ("docno", "doc_id", "docid")
"""The column of the docids. PyTerrier's ``docno`` comes first, because ``docid`` is the number of a document there."""

Scores = Mapping[str, Mapping[str, float]]
"""qid → docid → score, best first, strictly falling."""


@uninterrupted_imports()
def to_dataframe(scores: Scores) -> Any:
    """A data frame with the columns ``qid``, ``docid``, ``rank`` (from 1) and ``score``."""
    import pandas

    rows = [
        (qid, docid, rank, score) for qid, hits in scores.items() for rank, (docid, score) in enumerate(hits.items(), 1)
    ]
    frame = pandas.DataFrame(rows, columns=["qid", "docid", "rank", "score"])
    return frame.astype({"rank": "int64", "score": "float64"})  # also if there is no row


@uninterrupted_imports()
def to_ranx(scores: Scores, name: str) -> Any:
    """A run of ranx. If no query has a hit, it has no queries."""
    import ranx

    return ranx.Run({qid: dict(hits) for qid, hits in scores.items()} if any(scores.values()) else None, name=name)


@uninterrupted_imports()
def to_ir_measures(scores: Scores) -> list[Any]:
    """The ``ScoredDoc`` of each hit."""
    import ir_measures

    return [ir_measures.ScoredDoc(qid, docid, score) for qid, hits in scores.items() for docid, score in hits.items()]


def rankings_of_dataframe(frame: Any) -> dict[str, Any]:
    """The rankings in a data frame.

    Raises:
        RunError: It is not a data frame, lacks a column, or a value is not valid.
    """
    qids, docids = column(frame, QID_COLUMNS), column(frame, DOCID_COLUMNS)
    scores = column(frame, ("score",))
    if "rank" not in frame.columns:
        return _by_score(zip(qids, docids, scores, strict=True))
    ranked: dict[Any, list[tuple[Any, Any, Any]]] = {}
    for qid, docid, score, rank in zip(qids, docids, scores, column(frame, ("rank",)), strict=True):
        ranked.setdefault(qid, []).append((rank, docid, score))
    return {qid: [(docid, score) for _, docid, score in _by_rank(qid, hits)] for qid, hits in ranked.items()}


def _by_rank(qid: Any, hits: list[tuple[Any, Any, Any]]) -> list[tuple[Any, Any, Any]]:
    ranks = [rank for rank, _, _ in hits]
    if any(rank != rank or isinstance(rank, str) or rank is None for rank in ranks) or len({*ranks}) < len(ranks):
        raise RunError(
            f"query {qid!r}: the column rank has a duplicate or a value that is not a number",
            remedy="Number the hits of each query, or drop the column to rank them by score",
        )
    return sorted(hits, key=lambda hit: hit[0])


def rankings_of_ranx(run: Any) -> dict[str, Any]:
    """The rankings of a run of ranx, which is sorted first, as ranx does before it evaluates.

    Raises:
        RunError: It is not a ``ranx.Run``.
    """
    if not (hasattr(run, "run") and hasattr(run, "sorted") and hasattr(run, "sort")):
        raise RunError(f"expected a run of ranx, got {type(run).__name__}", remedy="Pass a ranx.Run")
    if not run.sorted:
        run.sort()
    return {qid: [*hits.items()] for qid, hits in run.run.items()}


def rankings_of_ir_measures(scored: Iterable[Any]) -> dict[str, Any]:
    """The rankings of ``ScoredDoc`` objects, or any others with a ``query_id``, a ``doc_id`` and a ``score``.

    Raises:
        RunError: An object has the wrong type, or a value is not valid.
    """
    return _by_score(triples(scored, "ScoredDoc", "score", "from_dataframe"))


def triples(objects: Iterable[Any], kind: str, value: str, frame_reader: str) -> Iterator[tuple[Any, Any, Any]]:
    """The qid, docid and value of objects of ir_measures, or any others with attributes of these names.

    Args:
        objects: The objects.
        kind: The name of their class.
        value: The name of the attribute beside ``query_id`` and ``doc_id``.
        frame_reader: The function that takes data frames instead.

    Raises:
        RunError: An object has the wrong type.
    """
    for each in several(objects, f"{kind} objects", error=RunError):
        try:
            yield each.query_id, each.doc_id, getattr(each, value)
        except AttributeError:
            raise RunError(
                f"expected an object with query_id, doc_id and {value}, got {each!r:.80}",
                remedy=f"Pass ir_measures.{kind} objects; a data frame is taken by {frame_reader}",
            ) from None


def _by_score(triples: Iterable[tuple[Any, Any, Any]]) -> dict[str, Any]:
    found: dict[Any, dict[Any, Any]] = {}
    for qid, docid, score in triples:
        hits = found.setdefault(qid, {})
        if docid in hits:
            raise RunError(f"document {docid!r} is ranked twice for query {qid!r}", remedy="Rank each document once")
        hits[docid] = score
    rankings: dict[str, Any] = {}
    for given, hits in found.items():
        qid = text_of_qid(given)
        if qid in rankings:
            raise RunError(f"two rankings have the qid {qid!r}", remedy="Rank each query once")
        rankings[qid] = evaluation_order(qid, dict(read_ranking(qid, hits)))
    return rankings


def column(frame: Any, names: tuple[str, ...]) -> list[Any]:
    """The values of the first of several columns that a data frame has.

    Raises:
        RunError: It is not a data frame, has none of the columns, or several of the same name.
    """
    if not (hasattr(frame, "columns") and hasattr(frame, "itertuples")):
        raise RunError(f"expected a data frame, got {type(frame).__name__}", remedy="Pass a pandas.DataFrame")
    name = next((name for name in names if name in frame.columns), None)
    if name is None or getattr(frame[name], "ndim", 1) > 1:
        problem = f"no column {' or '.join(names)}" if name is None else f"several columns {name}"
        raise RunError(
            f"the data frame has {problem}, but {', '.join(map(str, frame.columns)) or 'no columns'}",
            remedy=f"Rename a column: frame.rename(columns={{…: {names[-1]!r}}})",
        )
    values: list[Any] = frame[name].tolist()
    return values
