"""Judgments (qrels): which documents are relevant for which queries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

from splade_lucene.errors import RunError
from splade_lucene.ids import id_text
from splade_lucene.run.rankings import text_of_qid
from splade_lucene.run.run import read_lines
from splade_lucene.topics.named import find_qrels

Qrels = Mapping[str, Mapping[str, int]]
"""qid → docid → relevance."""

QrelsSource = Mapping[Any, Mapping[Any, Any]] | str | Path
"""Judgments, whose ids may also be integers, or their file."""

_FORM = "Pass {qid: {docid: relevance}}, or the name of a file"
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Reads judgments: TREC's four columns (qid, iteration, docid, relevance), or BEIR's three columns with a header.

    Args:
        path: A file, a name known to Anserini or Pyserini, or ``irds:NAME`` (see :mod:`splade_lucene.topics.named`).

    Raises:
        RunError: The file or a line cannot be read, a document is judged twice with different relevance for a query, or the
            name is unknown.
        MissingDependencyError: The name starts with ``irds:`` and ir_datasets is not installed.
    """
    if not isinstance(path, str | Path):
        raise RunError(f"expected the name of a file of judgments, got {type(path).__name__}", remedy=_FORM)
    path = find_qrels(path)
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        columns = line.split()
        if number == 1 and columns[0] in ("query-id", "query_id", "qid"):
            continue
        if len(columns) == 4:
            qid, _, docid, relevance = columns
        elif len(columns) == 3:
            qid, docid, relevance = columns
        else:
            raise RunError(
                f"expected qid, iteration, docid and relevance, got {len(columns)} columns", path=path, line=number,
                remedy="Write judgments in TREC or BEIR format",
            )  # fmt: skip
        if not _INTEGER.fullmatch(relevance):  # int() accepts 1_0, which trec_eval reads as 1
            raise RunError(
                f"the relevance {relevance!r} is not an integer",
                path=path,
                line=number,
                remedy="Write it as an integer",
            )
        value = int(relevance)
        if qrels.setdefault(qid, {}).setdefault(docid, value) != value:
            raise RunError(
                f"duplicate judgment of document {docid!r} for query {qid!r}, with different relevance",
                path=path,
                line=number,
                remedy="Keep one of them",
            )
    if not qrels:
        raise RunError("no judgments found", path=path, remedy="Check that it is the right file")
    return qrels


def as_qrels(source: QrelsSource) -> dict[str, dict[str, int]]:
    """Takes judgments, qid → docid → relevance, or reads their file. Ids that are integers become strings.

    Raises:
        RunError: The file cannot be read, or the judgments are not valid.
    """
    if isinstance(source, str | Path):
        return read_qrels(source)
    if not isinstance(source, Mapping):
        raise RunError(f"expected judgments, got {type(source).__name__}", remedy=_FORM)
    qrels: dict[str, dict[str, int]] = {}
    for given, judged in source.items():
        qid = text_of_qid(given)
        if qid in qrels or not isinstance(judged, Mapping):
            problem = "is judged twice" if qid in qrels else f"has no judgments by docid ({judged!r:.40})"
            raise RunError(f"query {qid!r} {problem}", remedy=_FORM)
        qrels[qid] = _judgments(qid, judged)
    return qrels


def _judgments(qid: str, judged: Mapping[Any, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for given, relevance in judged.items():
        docid = id_text(given)
        if docid is None or docid in found:
            problem = "is judged twice" if docid else "is neither a string nor an integer"
            raise RunError(f"query {qid!r}: the docid {given!r:.60} {problem}", remedy=_FORM)
        if not isinstance(relevance, Integral):
            raise RunError(
                f"query {qid!r}: the relevance {relevance!r:.60} of {docid!r} is not an integer",
                remedy="Write it as an integer",
            )
        found[docid] = int(relevance)
    return found


def line_of_judgment(path: str | Path, qid: str, docid: str) -> int | None:
    """The line number of the first judgment of a document for a query; None if there is none. The file must be valid."""
    for number, line in read_lines(find_qrels(path)):
        columns = line.split()
        if (columns[0], columns[-2]) == (qid, docid):
            return number
    return None
