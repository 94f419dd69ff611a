"""A run as a list of its queries, the worst first."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.evaluation import evaluate_queries, read_qrels
from splade_lucene.evaluation.measures import parse_measure
from splade_lucene.run.run import Run
from splade_lucene.search.cancellation import check_cancelled
from splade_lucene.server.problems import hide_folder
from splade_lucene.server.schemas import RunsBody
from splade_lucene.topics.reading import read_topics

_LISTED = 20


def inspect_run(body: RunsBody) -> dict[str, Any]:
    """The queries of a run with the values of a measure, the worst first; without judgments, in the order of the run.

    Args:
        body: The run, the judgments and the topics.

    Raises:
        RunError: A line cannot be read, or the measure is unknown.
    """
    texts = {"run": body.run, "qrels": body.qrels, "topics": body.topics}
    with tempfile.TemporaryDirectory(prefix="splade-lucene-") as folder:
        paths = {name: Path(folder) / name for name, text in texts.items() if text is not None}
        for name, path in paths.items():
            path.write_text(texts[name] or "", encoding="utf-8")
        try:
            return _inspect_run(paths, body.measure)
        except InputError as error:
            hide_folder(error, folder)
            raise


def _inspect_run(paths: Mapping[str, Path], measure: str) -> dict[str, Any]:
    run = Run.read(paths["run"])
    check_cancelled()
    qrels = read_qrels(paths["qrels"]) if "qrels" in paths else {}
    queries = {query.qid: query.text for query in read_topics(paths["topics"])} if "topics" in paths else {}
    check_cancelled()
    values = evaluate_queries(qrels, run, [measure])[measure] if qrels else {}
    check_cancelled()
    rows = [_row(qid, run, qrels.get(qid, {}), queries.get(qid), values.get(qid)) for qid in {**run, **values}]
    if values:
        rows.sort(key=lambda row: (row["value"] is None, row["value"] or 0.0))
    mean = parse_measure(measure).aggregate(values) if values else None
    return {"measure": measure if values else None, "mean": _number(mean), "queries": rows}


def _number(value: float | None) -> float | None:
    """A value; none where a measure is not defined, for which JSON has no number."""
    return None if value is None or math.isnan(value) else value


def _row(qid: str, run: Run, judged: Mapping[str, int], text: str | None, value: float | None) -> dict[str, Any]:
    ranking = run.get(qid, [])
    ranks = {docid: rank for rank, (docid, _) in enumerate(ranking, 1)}
    relevant = [docid for docid, relevance in judged.items() if relevance > 0]
    missed = [docid for docid in relevant if not 0 < ranks.get(docid, 0) <= _LISTED]
    missed.sort(key=lambda docid: (ranks.get(docid, len(ranks) + 1), docid))
    return {
        "qid": qid,
        "query": text,
        "value": _number(value),
        "hits": len(ranking),
        "relevant": len(relevant),
        "found": sum(docid in ranks for docid in relevant),
        "best": [
            {"rank": rank, "docid": docid, "score": score, "relevance": judged.get(docid)}
            for rank, (docid, score) in enumerate(ranking[:_LISTED], 1)
        ],
        "missed": [
            {"docid": docid, "relevance": judged[docid], "rank": ranks.get(docid)} for docid in missed[:_LISTED]
        ],
    }
