"""Judgments (qrels): which documents are relevant for which queries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from numbers import Integral
from pathlib import Path
from typing import Any

from splade_lucene.counts import counted
from splade_lucene.errors import RunError
from splade_lucene.ids import id_text
from splade_lucene.run.formats import JsonPairs, Lines, looks_like, read_json_pairs
from splade_lucene.run.rankings import text_of_qid
from splade_lucene.run.run import read_lines
from splade_lucene.topics.named import find_qrels

Qrels = Mapping[str, Mapping[str, int]]
"""qid → docid → relevance."""

QrelsSource = Mapping[Any, Mapping[Any, Any]] | str | Path
"""Judgments, whose ids may also be integers, or their file."""

MAX_GRADE = 10_000
"""The largest relevance, positive or negative; trec_eval's time grows with its square."""

_FORM = "Pass {qid: {docid: relevance}}, or the name of a file"
_SMALLER = (
    "Write smaller grades: trec_eval takes memory and time for each up to the largest, and gives 0 without memory"
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Reads judgments.

    ========  ========================================================================================================
    TREC      four columns: qid, iteration, docid and relevance
    BEIR      three columns under a header: qid, docid and relevance
    JSON      one object, ``{qid: {docid: relevance}}``, as in naver/splade's ``qrel.json`` and ranx
    ========  ========================================================================================================

    Lines that begin with ``#`` are comments, as in trec_eval 10.

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
    lines = iter(read_lines(path))
    first = next(lines, None)
    all_lines = chain([] if first is None else [first], lines)
    is_json = first is not None and looks_like(first[1]) == "json"
    qrels = _read_json(path, all_lines) if is_json else _read_columns(path, all_lines)
    if not qrels:
        raise RunError("no judgments found", path=path, remedy="Check that it is the right file")
    return qrels


def _read_columns(path: Path, lines: Lines) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    may_be_header = True
    for number, line in lines:
        columns = line.split()
        is_judgment = len(columns) in (3, 4) and _INTEGER.fullmatch(columns[-1]) is not None
        if line.startswith("#") and (not is_judgment or columns[0] == "#"):
            continue
        if may_be_header and columns[0] in ("query-id", "query_id", "qid") and not is_judgment:
            may_be_header = False
            continue
        may_be_header = False
        if len(columns) not in (3, 4):
            raise RunError(
                f"expected qid, iteration, docid and relevance, got {counted(len(columns), 'column')}", path=path, line=number,
                remedy="Write judgments in TREC, BEIR or JSON format",
            )  # fmt: skip
        if not is_judgment:  # int() accepts 1_0, which trec_eval reads as 1
            raise RunError(
                f"the relevance {columns[-1]!r} is not an integer", path=path, line=number,
                remedy="Write it as an integer",
            )  # fmt: skip
        _add_judgment(qrels, columns[0], columns[-2], int(columns[-1]), path, number)
    return qrels


def _read_json(path: Path, lines: Lines) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for qid, judged in read_json_pairs(path, lines):
        if qid in qrels or not isinstance(judged, JsonPairs):
            problem = "is judged twice" if qid in qrels else f"has no object of docid: relevance ({judged!r:.40})"
            raise RunError(f"query {qid!r} {problem}", path=path, remedy=_FORM)
        qrels[qid] = {}
        for docid, relevance in judged:
            if type(relevance) is not int:
                raise RunError(
                    f"query {qid!r}: the relevance {relevance!r:.40} of {docid!r} is not an integer", path=path,
                    remedy="Write it as an integer",
                )  # fmt: skip
            _add_judgment(qrels, qid, docid, relevance, path, None)
    return qrels


def _add_judgment(
    qrels: dict[str, dict[str, int]], qid: str, docid: str, relevance: int, path: Path, line: int | None
) -> None:
    if abs(relevance) > MAX_GRADE:
        raise RunError(_too_large(qid, docid, relevance), path=path, line=line, remedy=_SMALLER)
    if qrels.setdefault(qid, {}).setdefault(docid, relevance) != relevance:
        raise RunError(
            f"duplicate judgment of document {docid!r} for query {qid!r}, with different relevance", path=path,
            line=line, remedy="Keep one of them",
        )  # fmt: skip


def _too_large(qid: str, docid: str, relevance: int) -> str:
    return (
        f"query {qid!r}: the relevance {relevance!r:.40} of {docid!r} is not between -{MAX_GRADE:,} and {MAX_GRADE:,}"
    )


def as_qrels(source: QrelsSource) -> dict[str, dict[str, int]]:
    """Takes judgments, qid → docid → relevance, or reads their file. Ids that are integers become strings.

    Raises:
        RunError: The file cannot be read, or the judgments are not valid.
    """
    if isinstance(source, str | Path):
        return read_qrels(source)
    if not isinstance(source, Mapping):
        raise RunError(
            f"expected judgments, got {type(source).__name__}",
            remedy=f"{_FORM}; for an object of another package, qrels_from_ranx, qrels_from_ir_measures or "
            "qrels_from_dataframe",
        )
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
        if abs(found[docid]) > MAX_GRADE:
            raise RunError(_too_large(qid, docid, found[docid]), remedy=_SMALLER)
    return found


def line_of_judgment(path: str | Path, qid: str, docid: str) -> int | None:
    """The line number of the first judgment of a document for a query; None if there is none. The file must be valid."""
    for number, line in read_lines(find_qrels(path)):
        columns = line.split()
        if len(columns) in (3, 4) and (columns[0], columns[-2]) == (qid, docid):
            return number
    return None
