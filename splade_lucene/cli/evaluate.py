"""Step 8: evaluates runs."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.options import JsonOption, RemoveQueryOption, wrong_usage
from splade_lucene.cli.output import echo
from splade_lucene.counts import counted, part_of
from splade_lucene.defaults import MEASURES, TREC_EVAL, TrecEval
from splade_lucene.evaluation.tables import TableFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from splade_lucene.evaluation import Table


_DEFAULT_MEASURES = " ".join(MEASURES)

QrelsOption = Annotated[
    Path,
    typer.Option("--qrels", metavar="FILE", help="Judgments in TREC or BEIR format, or a name such as dl19-passage."),
]
MeasuresOption = Annotated[
    str,
    typer.Option(
        "--measures",
        help="Measures of ir_measures or trec_eval (recip_rank, all_trec …), or MSMARCO-RR@10.",
    ),
]
TrecEvalOption = Annotated[
    int, typer.Option("--trec-eval", min=9, max=10, help="The version of trec_eval to agree with: 9 or 10.")
]
FormatOption = Annotated[TableFormat, typer.Option("--output-format", help="latex requires the booktabs package.")]


def evaluate(
    qrels: QrelsOption,
    run: Annotated[
        list[Path],
        typer.Option("--run", metavar="RUN", help="A run file: TREC, MS MARCO or JSON. Repeat for more runs."),
    ],
    measures: MeasuresOption = _DEFAULT_MEASURES,
    per_query: Annotated[bool, typer.Option("--per-query", help="Also show the values of each query.")] = False,
    trec_eval: TrecEvalOption = TREC_EVAL,
    remove_query: RemoveQueryOption = False,
    table_format: FormatOption = "text",
    as_json: JsonOption = False,
) -> None:
    """Evaluate runs against judgments."""
    from splade_lucene.evaluation import MeasuredRun, evaluate_queries, parse_measures, read_qrels

    table_format = choose_format(table_format, as_json=as_json)
    version = to_version(trec_eval)
    with wrong_usage():
        parsed = parse_measures(split_measures(measures), version)
    judged = read_qrels(qrels)
    means: dict[str, dict[str, float]] = {}
    values_by_query: dict[str, dict[str, dict[str, float]]] = {}
    for path in run:
        measured = MeasuredRun.of(path, remove_query=remove_query)
        missing = sum(not measured.run.get(qid) for qid in judged)
        if missing:
            queries = counted(len(judged), "judged query")
            echo(f"{path}: {part_of(missing, queries, 'has', 'have')} no hits; each counts as 0")
        values = evaluate_queries(judged, measured, [*parsed], trec_eval=version, on_note=_echo_about(path))
        means[str(path)] = {name: measure.aggregate(values[name]) for name, measure in parsed.items()}
        values_by_query[str(path)] = {qid: {name: values[name][qid] for name in parsed} for qid in judged}
    if table_format == "json":
        rows = {path: _to_json(row) for path, row in means.items()}
        with_queries = {
            path: {**{qid: _to_json(each) for qid, each in values_by_query[path].items()}, "all": row}
            for path, row in rows.items()
        }
        print(json.dumps(with_queries if per_query else rows, ensure_ascii=False))
        return
    for table in _tables(means, values_by_query if per_query else {}):
        print(table.render(table_format))


def _echo_about(path: Path) -> Callable[[str], None]:
    return lambda note: echo(f"{path}: {note}")


def _to_json(row: Mapping[str, float]) -> dict[str, float | None]:
    """The values of a row; null where a measure is not defined."""
    return {name: None if math.isnan(value) else value for name, value in row.items()}


def _tables(
    means: Mapping[str, Mapping[str, float]], values_by_query: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> list[Table]:  # fmt: skip
    from splade_lucene.evaluation import tabulate_means

    if not values_by_query:
        return [tabulate_means(means)]
    return [
        tabulate_means({**values_by_query[path], "all": row}, corner=path, best=False) for path, row in means.items()
    ]


def to_version(number: int) -> TrecEval:
    """The version of trec_eval that an option selects."""
    return 10 if number == 10 else 9


def split_measures(text: str) -> list[str]:
    """Splits names at white space and commas, but not within parentheses."""
    return re.split(r"[,\s]+(?![^()]*\))", text.strip())


def choose_format(chosen: TableFormat, *, as_json: bool) -> TableFormat:
    """The output format; --json means --output-format json."""
    if as_json and chosen not in ("text", "json"):
        raise typer.BadParameter(f"--json and --output-format {chosen} are mutually exclusive")
    return "json" if as_json else chosen
