"""Selects hits of a run: without the queries themselves, or one passage for each document."""

from __future__ import annotations

from typing import Any

from splade_lucene.errors import RunError
from splade_lucene.notes import note
from splade_lucene.run.rankings import read_ranking
from splade_lucene.run.run import Run, RunSource

PASSAGE_DELIMITER = "#"
"""Separates a document's id from the number of a passage, as in Anserini."""


def remove_query(qid: str, ranking: Any) -> list[tuple[str, float]]:
    """Drops the hit whose docid is the qid: BEIR's rule, for collections in which queries are documents (ArguAna, Quora).

    Args:
        qid: The query.
        ranking: Its hits, in any form that :class:`splade_lucene.Run` takes.
    """
    return [hit for hit in read_ranking(qid, ranking) if hit[0] != qid]


def remove_queries(run: RunSource) -> Run:
    """Drops the hits whose docid is the qid, and ranks the others again.

    See :func:`splade_lucene.run.selection.remove_query`.

    Args:
        run: A run, rankings by qid as for :class:`splade_lucene.Run`, or a run file.

    Example:
        >>> dict(remove_queries({"q": {"q": 9, "d": 3}}))
        {'q': [('d', 3.0)]}
    """
    whole = Run.of(run)
    return Run({qid: remove_query(qid, ranking) for qid, ranking in whole.items()}, tag=whole.tag, format=whole.format)


def merge_passages(run: RunSource, *, delimiter: str = PASSAGE_DELIMITER, k: int | None = None) -> Run:
    """Ranks documents by their best passages (MaxP), as Anserini's ``-selectMaxPassage`` does.

    Args:
        run: A run of passages: a run, rankings by qid as for :class:`splade_lucene.Run`, or a run file.
        delimiter: Separates the document's id from the rest of a passage's id, at its first occurrence. Ids without it are
            ids of documents.
        k: Number of documents to keep per query; None for all.

    Raises:
        RunError: The delimiter is empty, a passage's id begins with it, or k is below 1.

    Example:
        >>> dict(merge_passages({"q": [("d1#2", 9), ("d2#0", 7), ("d1#0", 5)]}))
        {'q': [('d1', 9.0), ('d2', 7.0)]}
    """
    if not delimiter:
        raise RunError("the delimiter of passages is empty", remedy="Pass what follows the document's id, such as #")
    if k is not None and k < 1:
        raise RunError(f"k must be at least 1, got {k}")
    whole = Run.of(run)
    if whole and not any(delimiter in docid for ranking in whole.values() for docid, _ in ranking):
        note(f"no docid of the run has the delimiter {delimiter!r}, so none of them names a passage")
    merged = {}
    for qid, ranking in whole.items():
        best: dict[str, float] = {}
        for passage, score in ranking:
            docid = passage.partition(delimiter)[0]
            if not docid:
                raise RunError(
                    f"the passage {passage!r} of query {qid!r} begins with the delimiter {delimiter!r}",
                    remedy="Pass the delimiter of these passages",
                )
            best.setdefault(docid, score)  # the first is the best
        merged[qid] = list(best.items())[:k]
    return Run(merged, tag=whole.tag, format=whole.format)
