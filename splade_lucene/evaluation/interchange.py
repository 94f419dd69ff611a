"""Judgments as objects of other packages: data frames of pandas, qrels of ranx, and the ``Qrel`` of ir_measures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from splade_lucene.errors import RunError
from splade_lucene.evaluation.judgments import QrelsSource, as_qrels
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.run.interchange import DOCID_COLUMNS, QID_COLUMNS, column, triples

_RELEVANCE_COLUMNS = ("relevance", "label", "score")
"""The column of the grades: in ir_measures and here, in PyTerrier, in ranx."""


@uninterrupted_imports()
def qrels_to_dataframe(qrels: QrelsSource) -> Any:
    """Judgments as a data frame with the columns ``qid``, ``docid`` and ``relevance``.

    Args:
        qrels: Judgments, or their file.

    Returns:
        A ``pandas.DataFrame``. Queries without judgments are not in it.

    Raises:
        RunError: The judgments cannot be read.
    """
    import pandas

    rows = [(qid, docid, grade) for qid, judged in as_qrels(qrels).items() for docid, grade in judged.items()]
    return pandas.DataFrame(rows, columns=["qid", "docid", "relevance"]).astype({"relevance": "int64"})


@uninterrupted_imports()
def qrels_to_ranx(qrels: QrelsSource) -> Any:
    """Judgments as ``ranx.Qrels``.

    Args:
        qrels: Judgments, or their file.

    Raises:
        RunError: The judgments cannot be read, or there are none.
        MissingDependencyError: ranx is not installed.
    """
    import ranx

    judgments = as_qrels(qrels)
    if not any(judgments.values()):
        raise RunError(
            "there are no judgments, which ranx.Qrels cannot hold", remedy="Check that these are the right ones"
        )
    return ranx.Qrels(judgments)


@uninterrupted_imports()
def qrels_to_ir_measures(qrels: QrelsSource) -> list[Any]:
    """Judgments as a list of ``ir_measures.Qrel``.

    Args:
        qrels: Judgments, or their file.

    Raises:
        RunError: The judgments cannot be read.
    """
    import ir_measures

    return [
        ir_measures.Qrel(qid, docid, grade)
        for qid, judged in as_qrels(qrels).items()
        for docid, grade in judged.items()
    ]


def qrels_from_dataframe(frame: Any) -> dict[str, dict[str, int]]:
    """Judgments from a data frame.

    Args:
        frame: A ``pandas.DataFrame`` with the columns of :func:`qrels_to_dataframe`, of PyTerrier (``qid``, ``docno``,
            ``label``), ir_measures (``query_id``, ``doc_id``, ``relevance``) or ranx (``q_id``, ``doc_id``, ``score``).

    Returns:
        qid → docid → relevance.

    Raises:
        RunError: A column is missing, a value is not valid, or a document is judged twice with different relevance.
    """
    grades = column(frame, _RELEVANCE_COLUMNS)
    return _collected(zip(column(frame, QID_COLUMNS), column(frame, DOCID_COLUMNS), grades, strict=True))


def qrels_from_ranx(qrels: Any) -> dict[str, dict[str, int]]:
    """Judgments from ``ranx.Qrels``.

    Returns:
        qid → docid → relevance.

    Raises:
        RunError: It is not a ``ranx.Qrels``, or a relevance is out of range.
    """
    if not hasattr(qrels, "qrels"):
        raise RunError(f"expected qrels of ranx, got {type(qrels).__name__}", remedy="Pass ranx.Qrels")
    return as_qrels({qid: dict(judged) for qid, judged in qrels.qrels.items()})


def qrels_from_ir_measures(qrels: Iterable[Any]) -> dict[str, dict[str, int]]:
    """Judgments from ``Qrel`` objects of ir_measures, or any others with a ``query_id``, a ``doc_id`` and a ``relevance``.

    Args:
        qrels: The objects; an iterator is read to its end. Their ``iteration`` is ignored, as it is by all measures here.

    Returns:
        qid → docid → relevance.

    Raises:
        RunError: An object has the wrong type, a value is not valid, or a document is judged twice with different relevance.
    """
    return _collected(triples(qrels, "Qrel", "relevance", "qrels_from_dataframe"))


def _collected(triples: Iterable[tuple[Any, Any, Any]]) -> dict[str, dict[str, int]]:
    found: dict[Any, dict[Any, Any]] = {}
    for qid, docid, relevance in triples:
        if found.setdefault(qid, {}).setdefault(docid, relevance) != relevance:
            raise RunError(
                f"duplicate judgment of document {docid!r} for query {qid!r}, with different relevance",
                remedy="Keep one of them",
            )
    return as_qrels(found)
