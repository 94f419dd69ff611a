"""Step 8 for several runs: compares them with significance tests and query by query, and explains the largest change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_lucene.cli.evaluate import (
    FormatOption,
    MeasuresOption,
    QrelsOption,
    TrecEvalOption,
    choose_format,
    split_measures,
    to_version,
)
from splade_lucene.cli.option_groups import QueryOptions, takes_options
from splade_lucene.cli.options import JsonOption, RemoveQueryOption, check_required, wrong_usage
from splade_lucene.cli.output import echo
from splade_lucene.cli.search_options import EncodedOption
from splade_lucene.defaults import QUICK_MEASURES, TREC_EVAL
from splade_lucene.evaluation.comparison import ALPHA
from splade_lucene.evaluation.significance import SAMPLES, SEED, Correction, PairedTest
from splade_lucene.evaluation.tables import TableFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from splade_lucene.evaluation import Change, Comparison, MeasuredRun
    from splade_lucene.records import Query


_MEASURES = " ".join(QUICK_MEASURES)


@takes_options(options=QueryOptions)
def compare(
    qrels: QrelsOption,
    run: Annotated[
        list[Path],
        typer.Option("--run", metavar="RUN", help="A run file: TREC, MS MARCO or JSON. Repeat for more runs."),
    ],
    options: QueryOptions,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="RUN", help="The run to test the others against. Default: test all pairs."),
    ] = None,
    measures: MeasuresOption = _MEASURES,
    test: Annotated[PairedTest, typer.Option("--test", help="The paired significance test.")] = "t",
    correction: Annotated[
        Correction, typer.Option("--correction", help="Correction for multiple comparisons within a measure.")
    ] = "holm",
    alpha: Annotated[
        float,
        typer.Option("--alpha", min=0, max=1, help="Significance level of the corrected p-values."),
    ] = ALPHA,
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Samples of the bootstrap and randomization tests.")
    ] = SAMPLES,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed of these tests.")] = SEED,
    per_query: Annotated[
        int,
        typer.Option(
            "--per-query",
            metavar="N",
            min=0,
            help="For each run, show the N queries with the largest gains and losses.",
        ),
    ] = 0,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Plot the gain or loss of each query: .png, .pdf or .svg."),
    ] = None,
    index_dir: Annotated[
        Path | None,
        typer.Option("--index", metavar="DIR", help="Use this index to explain the query that changed most."),
    ] = None,
    topics: Annotated[Path | None, typer.Option("--topics", metavar="FILE", help="The queries.")] = None,
    encoded: EncodedOption = False,
    trec_eval: TrecEvalOption = TREC_EVAL,
    remove_query: RemoveQueryOption = False,
    table_format: FormatOption = "text",
    as_json: JsonOption = False,
) -> None:
    """Compare runs, with significance tests.

    Also shows gains and losses per query, and explains the query that changed most. Queries are sorted by the first
    measure. Each run is compared with the baseline, or with the first run if there is none.
    """
    from splade_lucene.evaluation import MeasuredRun, draw_differences, parse_measures, read_qrels
    from splade_lucene.evaluation import compare as compare_runs
    from splade_lucene.evaluation.plots import check_figure
    from splade_lucene.topics.reading import read_topics

    table_format = choose_format(table_format, as_json=as_json)
    version = to_version(trec_eval)
    if index_dir and not topics:
        raise typer.BadParameter("--index requires --topics")
    options.check(encoded=encoded, missing=None if index_dir else "--index")
    if topics is None:
        check_required("--topics", encoded=encoded)
    if test == "t":
        check_required("--test bootstrap or --test randomization", samples=samples != SAMPLES, seed=seed != SEED)
    paths = run if baseline is None or baseline in run else [baseline, *run]
    if len(set(paths)) < max(2, len(paths)):
        raise typer.BadParameter("pass two or more different runs")
    measure_names = split_measures(measures)
    with wrong_usage():
        if figure:
            check_figure(figure)
        parse_measures(measure_names, version)
    names = _names(paths)
    judged = read_qrels(qrels)
    queries = {query.qid: query for query in read_topics(topics, encoded=encoded)} if topics else {}
    runs = {name: MeasuredRun.of(path, remove_query=remove_query) for path, name in names.items()}
    comparison = compare_runs(
        judged, runs, measure_names, None if baseline is None else names[baseline], test,
        correction, alpha=alpha, samples=samples, seed=seed, trec_eval=version, on_note=echo,
    )  # fmt: skip
    changes = _explain(comparison, judged, runs, index_dir, options, queries, encoded) if index_dir else {}
    if figure:
        draw_differences(comparison, figure)
        echo(f"gains and losses in {comparison.measures[0]}: {figure}")
    _show(comparison, changes, per_query, queries, table_format)


def _names(paths: list[Path]) -> dict[Path, str]:
    """The names of the runs: file names if they are unique, else paths."""
    short = [path.name for path in paths]
    return {path: path.name if len(set(short)) == len(short) else str(path) for path in paths}


def _explain(
    comparison: Comparison, judged: Mapping[str, Mapping[str, int]], runs: Mapping[str, MeasuredRun], index_dir: Path,
    options: QueryOptions, queries: Mapping[str, Query], encoded: bool,
) -> dict[str, Change]:  # fmt: skip
    from splade_lucene.evaluation import explain_top_change
    from splade_lucene.search.searcher import LuceneImpactSearcher

    query_encoder = options.open_query_encoder(index_dir) if not encoded else None
    changes = {}
    with LuceneImpactSearcher(index_dir, query_encoder) as searcher:
        for run in comparison.others:
            differences = comparison.differences(comparison.measures[0], run)
            against = runs[comparison.reference]
            change = explain_top_change(differences, judged, runs[run], against, searcher, queries)
            if change is not None:
                changes[run] = change
    return changes


def _show(
    comparison: Comparison, changes: Mapping[str, Change], count: int, queries: Mapping[str, Query], form: TableFormat
) -> None:
    from splade_lucene.evaluation import describe_change, tabulate, tabulate_queries, tabulate_tests, to_json
    from splade_lucene.evaluation.tables import pick_extremes

    measure = comparison.measures[0]
    extremes = {run: pick_extremes(comparison.differences(measure, run), count) for run in comparison.others}
    if form == "json":
        facts: dict[str, Any] = to_json(comparison)
        if changes:
            facts["changes"] = {run: change.to_json() for run, change in changes.items()}
        print(json.dumps(facts, ensure_ascii=False))
        return
    texts = {qid: query.text for qid, query in queries.items()}
    tables = [tabulate(comparison), tabulate_tests(comparison)]
    tables += [
        tabulate_queries(found, (run, comparison.reference), measure, texts) for run, found in extremes.items() if found
    ]
    parts = [table.render(form) for table in tables]
    parts += [
        _set_apart(describe_change(change, (run, comparison.reference), measure), form)
        for run, change in changes.items()
    ]
    print("\n\n".join(parts))


def _set_apart(text: str, form: TableFormat) -> str:
    """Formats text so that it can appear between tables."""
    if form == "markdown":
        return f"```text\n{text}\n```"
    return "\n".join(f"% {line}" for line in text.splitlines()) if form == "latex" else text
