"""PyTerrier: runs of ours as results, and back, such as for ``pt.Experiment``."""

from __future__ import annotations

from typing import Any

from splade_lucene.imports import uninterrupted_imports
from splade_lucene.run.run import DEFAULT_TAG, Run, RunSource, strictly_falling

with uninterrupted_imports(extra="pyterrier"):
    import pandas as pd
    import pyterrier as pt


def run_to_results(source: RunSource) -> pd.DataFrame:
    """A run as a frame of PyTerrier, for ``pt.Experiment`` and ``pt.Transformer.from_df``.

    Args:
        source: A :class:`splade_lucene.Run`, rankings by qid, or a run file.

    Returns:
        A frame with ``qid``, ``docno``, ``score`` and ``rank``, from 0. Scores fall strictly, as in our run files.

    Raises:
        RunError: The file cannot be read, or the rankings are not valid.

    Example:
        >>> print(run_to_results({"q1": {"d1": 2, "d2": 3}}).to_string(index=False))
        qid docno  score  rank
         q1    d2    3.0     0
         q1    d1    2.0     1
    """
    columns: dict[str, list[Any]] = {"qid": [], "docno": [], "score": [], "rank": []}
    for qid, ranking in Run.of(source).items():
        columns["qid"] += [qid] * len(ranking)
        columns["docno"] += [docid for docid, _ in ranking]
        columns["score"] += strictly_falling([score for _, score in ranking])
        columns["rank"] += range(len(ranking))
    types = {"qid": object, "docno": object, "score": "float64", "rank": "int64"}
    return pd.DataFrame(columns).astype(types)


def results_to_run(results: pd.DataFrame, *, tag: str = DEFAULT_TAG) -> Run:
    """A frame of PyTerrier as a run, by its ranks, or without ranks by score; see :meth:`splade_lucene.Run.from_dataframe`.

    Args:
        results: A frame with ``qid``, ``docno`` and ``score``, such as a retriever returns.
        tag: The name of the system.

    Raises:
        InputValidationError: A column is missing.
        RunError: A value is missing or not valid, a document is ranked twice for a query, or the ranks contradict the scores.
    """
    pt.validate.result_frame(results, extra_columns=["score"])
    return Run.from_dataframe(results, tag=tag)
