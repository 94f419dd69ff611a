"""Runs against judgments, through ir_measures, whose figures are trec_eval's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splade_lucene.errors import RunError
from splade_lucene.run import Run, read_lines, strictly_falling

Qrels = Mapping[str, Mapping[str, int]]
"""qid → docid → relevance."""

_EXAMPLES = "Examples: nDCG@10 RR@10 R@1000 AP"
DEFAULT_MEASURES = ("nDCG@10", "RR@10", "R@100", "R@1000", "AP")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Reads judgments: TREC's four columns (qid, iteration, docid, relevance) or BEIR's three under a header.

    Raises:
        RunError: The file or a line cannot be read, or a pair is judged twice with different relevance.
    """
    path = Path(path)
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
                f"expected qid, iteration, docid and relevance, found {len(columns)} columns", path=path, line=number,
                remedy="Write judgments in TREC or BEIR format",
            )  # fmt: skip
        try:
            value = int(relevance)
        except ValueError:
            raise RunError(
                f"the relevance {relevance!r} is no integer", path=path, line=number, remedy="Write it as an integer"
            ) from None
        if qrels.setdefault(qid, {}).setdefault(docid, value) != value:
            raise RunError(
                f"document {docid!r} is judged twice for query {qid!r}", path=path, line=number, remedy="Keep one"
            )
    if not qrels:
        raise RunError("no judgment in this file", path=path, remedy="Check that it is the right one")
    return qrels


def evaluate(
    qrels: Qrels | str | Path, run: Mapping[str, Any] | str | Path, measures: Sequence[str] = DEFAULT_MEASURES
) -> dict[str, float]:
    """Means of measures over all judged queries; a judged query that the run lacks counts as 0 (trec_eval's ``-c``).

    Args:
        qrels: Judgments, or their file.
        run: A run (a :class:`Run`, or rankings by qid, best first), or its file.
        measures: Names as ir_measures spells them.

    Returns:
        measure → mean, in the order asked for.

    Raises:
        RunError: A file cannot be read, a measure is unknown, or run and judgments share no query.
    """
    import ir_measures

    judged = qrels if isinstance(qrels, Mapping) else read_qrels(qrels)
    if not measures:
        raise RunError("no measure was asked for", remedy=_EXAMPLES)
    ranked = Run(run) if isinstance(run, Mapping) else Run.read(run)
    if not set(judged) & set(ranked):
        raise RunError(
            f"run and judgments share no query (the run has {next(iter(ranked), 'none')}…, the judgments "
            f"{next(iter(judged), 'none')}…)", remedy="Check that they are of the same collection",
        )  # fmt: skip
    parsed = {name: parse_measure(name) for name in measures}
    scores = {qid: dict(zip(docs, falling, strict=True)) for qid, docs, falling in _columns(ranked)}
    try:
        means = ir_measures.calc_aggregate(list(parsed.values()), {q: dict(d) for q, d in judged.items()}, scores)
    except ValueError as error:
        raise RunError(f"these measures cannot be computed here ({error})", remedy=_EXAMPLES) from error
    return {name: float(means[measure]) for name, measure in parsed.items()}


def parse_measure(name: str) -> Any:
    """ir_measures' measure of a name.

    Raises:
        RunError: There is none.
    """
    import ir_measures

    try:
        measure = ir_measures.parse_measure(name)
        measure.validate_params()
    except (NameError, ValueError, KeyError, TypeError, AssertionError, SyntaxError) as error:
        raise RunError(f"no measure is named {name!r} ({error})", remedy=_EXAMPLES) from None
    if measure.params.get("cutoff", 1) < 1:
        raise RunError(f"the cutoff of {name!r} is below 1", remedy=_EXAMPLES)
    return measure


def _columns(run: Run) -> list[tuple[str, list[str], list[float]]]:
    return [
        (qid, [docid for docid, _ in hits], strictly_falling([score for _, score in hits])) for qid, hits in run.items()
    ]
