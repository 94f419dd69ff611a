"""Step 8: runs to measures."""

from __future__ import annotations

import json
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.options import JsonOption, wrong_usage
from splade_lucene.cli.output import note
from splade_lucene.evaluation import DEFAULT_MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from splade_lucene.evaluation import Table


class TableFormat(str, Enum):
    """Forms of a table."""

    text = "text"
    markdown = "markdown"
    latex = "latex"
    json = "json"


_DEFAULT_MEASURES = " ".join(DEFAULT_MEASURES)

QrelsOption = Annotated[
    Path, typer.Option("--qrels", metavar="FILE", help="Judgments, TREC or BEIR format; or a name as dl19-passage.")
]
MeasuresOption = Annotated[
    str,
    typer.Option(
        "--measures",
        help="As ir_measures spells them; or trec_eval's own names, such as recip_rank, and all_trec for all of them; or "
        "MSMARCO-RR@10.",
    ),
]
FormatOption = Annotated[TableFormat, typer.Option("--format", help="latex needs the package booktabs.")]


def evaluate(
    qrels: QrelsOption,
    run: Annotated[
        list[Path],
        typer.Option("--run", metavar="RUN", help="A TREC, MS MARCO or JSON run; may be given several times."),
    ],
    measures: MeasuresOption = _DEFAULT_MEASURES,
    per_query: Annotated[bool, typer.Option("--per-query", help="Each query's values, too.")] = False,
    table_format: FormatOption = TableFormat.text,
    as_json: JsonOption = False,
) -> None:
    """Evaluate runs against judgments."""
    from splade_lucene.evaluation import MeasuredRun, evaluate_queries, parse_measures, read_qrels

    table_format = choose_format(table_format, as_json)
    with wrong_usage():
        parsed = parse_measures(split_measures(measures))
    judged = read_qrels(qrels)
    means: dict[str, dict[str, float]] = {}
    of_queries: dict[str, dict[str, dict[str, float]]] = {}
    for path in run:
        measured = MeasuredRun(path)
        missing = len(set(judged) - set(measured.run))
        if missing:
            note(f"{path}: {missing} of {len(judged)} judged queries have no hits; each counts as 0")
        values = evaluate_queries(judged, measured, [*parsed])
        means[str(path)] = {name: measure.aggregate(values[name].values()) for name, measure in parsed.items()}
        of_queries[str(path)] = {qid: {name: values[name][qid] for name in parsed} for qid in judged}
    if table_format is TableFormat.json:
        with_queries = {path: {**of_queries[path], "all": row} for path, row in means.items()}
        print(json.dumps(with_queries if per_query else means, ensure_ascii=False))
        return
    for table in _tables(means, of_queries if per_query else {}):
        print(table.render(table_format.value))


def _tables(
    means: Mapping[str, Mapping[str, float]], of_queries: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> list[Table]:  # fmt: skip
    from splade_lucene.evaluation import tabulate_means

    if not of_queries:
        return [tabulate_means(means)]
    return [tabulate_means({**of_queries[path], "all": row}, corner=path, best=False) for path, row in means.items()]


def split_measures(text: str) -> list[str]:
    """Names between white space or commas; those within a measure's parentheses stay."""
    return re.split(r"[,\s]+(?![^()]*\))", text.strip())


def choose_format(chosen: TableFormat, as_json: bool) -> TableFormat:
    """The form of the output, where --json stands for --format json."""
    if as_json and chosen not in (TableFormat.text, TableFormat.json):
        raise typer.BadParameter(f"--json and --format {chosen.value} exclude each other")
    return TableFormat.json if as_json else chosen
