"""Checks run files line by line for problems, especially those that evaluators silently misinterpret.

=============  =======================================================================================================
kind           problem
=============  =======================================================================================================
mark           the file begins with a byte order mark
columns        a line has the wrong number of columns, or a query of a JSON run is not an object
white-space    carriage returns, white space around a line, or characters at which only some programs split
number         a rank is not an integer, or a score is not a finite number
duplicate      a document is ranked twice for a query
rank           a query's ranks are not 1 to n
score          a score is higher than that of the previous rank
tie            hits with equal scores in single precision, as trec_eval reads them, are not ordered by docid descending
tag            the tag differs from that of the first line
few-hits       a query has fewer hits than requested
unknown-qid    a query is not among the topics
missing-qid    a query of the topics or the judgments has no hits
unknown-docid  a document is not in the index
=============  =======================================================================================================
"""

from __future__ import annotations

import codecs
import re
from array import array
from collections import Counter
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splade_lucene.arguments import several, to_path
from splade_lucene.counts import counted, part_of
from splade_lucene.errors import RunError
from splade_lucene.files.compression import open_bytes
from splade_lucene.ids import docid_order
from splade_lucene.run.formats import (
    JsonPairs,
    Lines,
    RunFormat,
    check_format,
    finite_number,
    looks_like,
    parse_score,
    read_json_pairs,
    without_comments,
)
from splade_lucene.run.run import read_lines

SHOWN = 20
"""Number of findings of each kind that a report keeps; further ones are only counted."""

_SPACE = " \t\v\f\r\n"
_COLUMNS = re.compile(f"[^{_SPACE}]+")
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)


class Finding(NamedTuple):
    """A problem; ``line`` is None if it does not concern a single line."""

    kind: str
    message: str
    line: int | None = None


@dataclass
class RunReport:
    """The result of :func:`check_run`.

    Attributes:
        path: The file.
        format: Its format.
        queries: Number of queries with hits.
        hits: Number of hits.
        counts: Number of findings of each kind.
        findings: The first findings of each kind, in the order in which they were found.
        notes: Observations that may be intended.
    """

    path: Path
    format: RunFormat
    queries: int = 0
    hits: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_valid(self) -> bool:
        """Whether there are no findings."""
        return not self.counts

    def add(self, kind: str, message: str, line: int | None = None) -> None:
        """Counts a finding, and keeps it if it is one of the first of its kind."""
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN:
            self.findings.append(Finding(kind, message, line))


def check_run(
    path: str | Path, *, format: RunFormat | None = None, k: int | None = None, topics: Iterable[str] | None = None,  # noqa: A002
    judged: Iterable[str] | None = None, docids: Iterable[str] | None = None,
) -> RunReport:  # fmt: skip
    """Checks a run file.

    Args:
        path: The file.
        format: Its format; None to detect it from the first line.
        k: Number of hits that each query should have; None for any number.
        topics: The qids of the topics; None to skip this check.
        judged: The qids of judged queries, each of which should have hits; None to skip this check.
        docids: The docids of the collection; None to skip this check.

    Raises:
        RunError: The file cannot be read at all, or is empty.
    """
    path = to_path(path, error=RunError)
    lines = without_comments(read_lines(path))
    first = next(lines, None)
    if first is None:
        raise RunError("the run is empty", path=path, remedy="Check that it is the right file")
    report = RunReport(path, check_format(format) if format else looks_like(first[1]))
    with open_bytes(path) as file:
        if file.read(3) == codecs.BOM_UTF8:
            report.add(
                "mark", "the file begins with a byte order mark, which trec_eval reads as part of the first qid", 1
            )
    all_lines = chain([first], lines)
    queries = _read_json(path, all_lines, report) if report.format == "json" else _read_columns(all_lines, report)
    collection = None if docids is None else frozenset(map(str, several(docids, "docids", error=RunError)))
    for qid, query in queries.items():
        _check_query(qid, query, report, k)
        if collection is not None:
            _check_docids(query, collection, report)
    report.queries = sum(1 for query in queries.values() if query.docids)
    report.hits = sum(len(query.docids) for query in queries.values())
    _check_qids(
        {qid: query.lines[0] for qid, query in queries.items() if query.docids},
        _qids(topics, "topics"),
        _qids(judged, "judged"),
        report,
    )
    return report


def _qids(given: Iterable[str] | None, name: str) -> list[str] | None:
    return None if given is None else [str(qid) for qid in several(given, name, error=RunError)]


class _Query:
    """The hits of a query in file order; line 0 means no line."""

    def __init__(self) -> None:
        self.docids: list[str] = []
        self.seen: set[str] = set()
        self.lines, self.ranks, self.scores = array("q"), array("q"), array("d")
        self.is_damaged = False

    def add(self, docid: str, line: int, rank: int, score: float) -> bool:
        """Adds a hit unless its document is a duplicate; returns whether it was added."""
        if docid in self.seen:
            self.is_damaged = True
            return False
        self.seen.add(docid)
        self.docids.append(docid)
        self.lines.append(line)
        self.ranks.append(rank)
        self.scores.append(score)
        return True


# ---- lenient reading ----


def _read_columns(lines: Lines, report: RunReport) -> dict[str, _Query]:
    queries: dict[str, _Query] = {}
    first_tag = None
    expected = 6 if report.format == "trec" else 3
    for number, line in lines:
        _check_white_space(line, number, report)
        columns = _COLUMNS.findall(line)
        if len(columns) != expected:
            report.add("columns", f"expected {counted(expected, 'column')}, found {len(columns)}", number)
            continue
        qid, docid = columns[0], columns[2 if expected == 6 else 1]
        query = queries.setdefault(qid, _Query())
        rank, score = columns[3 if expected == 6 else 2], columns[4] if expected == 6 else "0"
        is_integer, value = _INTEGER.fullmatch(rank), parse_score(score)
        if is_integer is None or value is None:
            problem = (
                f"the rank {rank!r} is not an integer"
                if is_integer is None
                else f"the score {score!r} is not a finite number"
            )
            report.add("number", problem, number)
            query.is_damaged = True
        elif not query.add(docid, number, int(rank), value):
            report.add("duplicate", f"document {docid!r} is ranked again for query {qid!r}", number)
        if expected == 6:
            first_tag = first_tag or columns[5]
            if columns[5] != first_tag:
                report.add("tag", f"the tag {columns[5]!r} differs from {first_tag!r} in the first line", number)
    return queries


def _read_json(path: Path, lines: Lines, report: RunReport) -> dict[str, _Query]:
    queries: dict[str, _Query] = {}
    for qid, hits in read_json_pairs(path, lines):
        if qid in queries or not isinstance(hits, JsonPairs):
            is_duplicate = qid in queries
            problem = "is a duplicate" if is_duplicate else "has no object of docid: score"
            report.add("duplicate" if is_duplicate else "columns", f"query {qid!r} {problem}")
            continue
        query = queries[qid] = _Query()
        for rank, (docid, value) in enumerate(hits, 1):
            score = finite_number(value)
            if score is None:
                report.add("number", f"query {qid!r}: the score {value!r:.40} of {docid!r} is not a finite number")
                query.is_damaged = True
            elif not query.add(docid, 0, rank, score):
                report.add("duplicate", f"document {docid!r} is ranked again for query {qid!r}")
        for name in (qid, *query.docids):
            if not name or name.split() != [name]:
                report.add(
                    "white-space", f"the id {name!r} is empty or contains white space, so TREC runs cannot hold it"
                )
    return queries


def _check_white_space(line: str, number: int, report: RunReport) -> None:
    text = line.removesuffix("\n")
    if text.endswith("\r"):
        report.add("white-space", "the line ends in a carriage return", number)
    elif text.strip(_SPACE) != text:
        report.add("white-space", "white space before the first or after the last column", number)
    if not line.isascii() and line.split() != _COLUMNS.findall(line):
        report.add("white-space", "a non-ASCII space, at which only some programs split", number)


# ---- checks ----


def _check_query(qid: str, query: _Query, report: RunReport, k: int | None) -> None:
    if k is not None and len(query.docids) < k:
        report.add("few-hits", f"query {qid!r} has {counted(len(query.docids), 'hit')}, not {k}", _line(query, -1))
    ranks = np.frombuffer(query.ranks, np.int64) if query.ranks else np.zeros(0, np.int64)
    order = np.argsort(ranks, kind="stable")
    wrong = np.flatnonzero(ranks[order] != np.arange(1, len(ranks) + 1))
    if len(wrong) and not query.is_damaged:
        first = int(wrong[0])
        found, line = ranks[order[first]], _line(query, int(order[first]))
        report.add("rank", f"query {qid!r}: expected rank {first + 1}, found {found}", line)
    if report.format != "msmarco" and query.docids:
        scores = np.frombuffer(query.scores, np.float64)[order].astype(np.float32)
        _check_scores(qid, query, order, scores, report)


def _check_scores(
    qid: str, query: _Query, order: NDArray[np.int64], scores: NDArray[np.float32], report: RunReport
) -> None:
    steps = np.diff(scores)
    for i in np.flatnonzero(steps > 0).tolist():
        line = _line(query, int(order[i + 1]))
        report.add("score", f"query {qid!r}: the score rises from {scores[i]:g} to {scores[i + 1]:g}", line)
    tied = np.flatnonzero(steps == 0)
    for group in np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1) if len(tied) else []:
        tied_hits = order[group[0] : group[-1] + 2]
        docids = [docid_order(query.docids[hit]) for hit in tied_hits]
        if docids != sorted(docids, reverse=True):
            message = (
                f"query {qid!r}: {len(docids)} hits have the score {scores[group[0]]:g} in single precision; evaluators "
                "sort them by docid descending, which is not their order here"
            )
            report.add("tie", message, _line(query, int(tied_hits[0])))


def _check_docids(query: _Query, docids: Container[str], report: RunReport) -> None:
    for position, docid in enumerate(query.docids):
        if docid not in docids:
            report.add("unknown-docid", f"the index has no document with the id {docid!r}", _line(query, position))


def _check_qids(
    found: dict[str, int], topics: Collection[str] | None, judged: Collection[str] | None, report: RunReport
) -> None:
    known = set(topics or ())
    for qid, line in found.items():
        if topics is not None and qid not in known:
            report.add("unknown-qid", f"no topic has the qid {qid!r}", line or None)
    expected: Iterable[str] = dict.fromkeys([*(topics or ()), *(judged or ())])
    for qid in expected:
        if qid not in found:
            origin = "topics" if qid in known else "judgments"
            report.add("missing-qid", f"query {qid!r} of the {origin} has no hits and counts as 0")
    if judged is not None:
        unjudged = len(found.keys() - set(judged))
        if unjudged:
            report.notes.append(
                part_of(
                    unjudged,
                    counted(len(found), "query"),
                    "has no judgments and is not evaluated",
                    "have no judgments and are not evaluated",
                )
            )


def _line(query: _Query, position: int) -> int | None:
    """The line of a hit; None if unknown."""
    return (query.lines[position] or None) if query.lines else None
