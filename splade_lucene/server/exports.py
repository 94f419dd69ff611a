"""A search as a TREC run, as JSON or as Python, and a run as a list of its queries, the worst first."""

from __future__ import annotations

import io
import math
import pprint
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.evaluation import evaluate_queries, read_qrels
from splade_lucene.evaluation.measures import parse_measure
from splade_lucene.files.json_text import indented_json
from splade_lucene.run.run import DEFAULT_TAG, Run, RunWriter
from splade_lucene.search.cancellation import check_cancelled
from splade_lucene.server.answers import find, list_hits
from splade_lucene.server.registry import OpenIndex
from splade_lucene.server.schemas import ExportBody, RunsBody
from splade_lucene.topics.reading import read_topics

_LISTED = 20


def export(index: OpenIndex, body: ExportBody, vector: Mapping[str, int]) -> str:
    """The hits of a search as a text.

    Args:
        index: The index.
        body: The request.
        vector: Its query, encoded.
    """
    if body.format == "python":
        return as_python(index, body, vector)
    hits = find(index, body, vector, body.k, body)
    if body.format == "json":
        terms = dict(sorted(vector.items(), key=lambda pair: -pair[1]))
        found = {"qid": body.qid, "query": body.query, "vector": terms, "hits": list_hits(hits, body.fields)}
        return indented_json(found)
    file = io.StringIO()
    RunWriter(file, "trec", DEFAULT_TAG).add(body.qid, hits)
    return file.getvalue()


def as_python(index: OpenIndex, body: ExportBody, vector: Mapping[str, int]) -> str:
    """The lines of Python that find the same hits."""
    names, options = ["LuceneImpactSearcher"], ""
    if body.filter:
        options += f", filter={body.filter!r}"
    if body.engine == "hybrid":
        call = f"search_hybrid(query, {body.k}, text={body.query!r}{options})"
    elif body.engine == "bm25":
        names.append("HybridFusion")
        alone = f'HybridFusion("sum", (0.0, 1.0), depth={body.k}, normalization="none")'
        call = f"search_hybrid({{}}, {body.k}, {alone}, text={body.query!r}{options})"
    else:
        if body.alpha is not None or not body.exact:
            names.append("Approximation")
            options += f", approximation=Approximation(alpha={0.85 if body.alpha is None else body.alpha})"
        call = f"search(query, {body.k}{options})"
    query = pprint.pformat(dict(vector), width=100, sort_dicts=False) if body.vector is not None else repr(body.query)
    lines = [f"from splade_lucene import {', '.join(sorted(names))}", ""]
    lines += [f"searcher = LuceneImpactSearcher({index.folder.name!r})  # the folder of the index {index.name}"]
    lines += [] if body.engine == "bm25" else [f"query = {query}"]
    return "\n".join([*lines, f"for hit in searcher.{call}:", "    print(hit.docid, hit.score)", ""])


def look_through(body: RunsBody) -> dict[str, Any]:
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
            return _look_through(paths, body.measure)
        except InputError as error:
            message = str(error).removesuffix(error.remedy).removesuffix(". ").replace(f"{folder}/", "")
            raise InputError(message, remedy=error.remedy) from error


def _look_through(paths: Mapping[str, Path], measure: str) -> dict[str, Any]:
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
    return {"measure": measure if values else None, "mean": mean, "queries": rows}


def _row(qid: str, run: Run, judged: Mapping[str, int], text: str | None, value: float | None) -> dict[str, Any]:
    ranking = run.get(qid, [])
    ranks = {docid: rank for rank, (docid, _) in enumerate(ranking, 1)}
    relevant = [docid for docid, relevance in judged.items() if relevance > 0]
    missed = [docid for docid in relevant if not 0 < ranks.get(docid, 0) <= _LISTED]
    missed.sort(key=lambda docid: (ranks.get(docid, len(ranks) + 1), docid))
    return {
        "qid": qid,
        "query": text,
        "value": None if value is None or math.isnan(value) else value,
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
