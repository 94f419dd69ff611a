"""Tools for run files: validate, convert, cut, merge and fuse them, and rank documents by their passages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from splade_lucene.cli.command import Command
from splade_lucene.cli.options import JsonOption, check_required
from splade_lucene.cli.output import echo
from splade_lucene.cli.search_options import check_tag
from splade_lucene.counts import counted, part_of
from splade_lucene.defaults import HITS_IN_RUN
from splade_lucene.files.pipes import original_name
from splade_lucene.run.formats import RunFormat
from splade_lucene.run.fusion import RrfBy
from splade_lucene.run.selection import PASSAGE_DELIMITER
from splade_lucene.search.fusion import RRF_CONSTANT, FusionMethod, Normalization

if TYPE_CHECKING:
    from splade_lucene.run.run import Run
    from splade_lucene.run.validation import RunReport

MergeBy = Literal["query", "score"]
"""How to merge the parts of a run: join their queries, or sort their hits by score."""

RunOption = Annotated[Path, typer.Option("--run", metavar="RUN", help="The run file: TREC, MS MARCO or JSON.")]
RunsOption = Annotated[list[Path], typer.Option("--run", metavar="RUN", help="A run file. Repeat for more runs.")]
OutputOption = Annotated[Path, typer.Option("--output", metavar="RUN", help="The run file to write.")]
OutputFormatOption = Annotated[
    RunFormat | None, typer.Option("--output-format", help="Default: the format of the first run.")
]
TagOption = Annotated[str | None, typer.Option("--tag", help="Last column of a TREC run. Default: unchanged.")]

run_tools = typer.Typer(help="Check, convert, cut, merge and fuse runs.", no_args_is_help=True, rich_markup_mode=None)


@run_tools.command(cls=Command)
def validate(
    run: RunsOption,
    input_format: Annotated[
        RunFormat | None, typer.Option("--input-format", help="Default: detect it from the first line.")
    ] = None,
    hits: Annotated[int | None, typer.Option("--hits", min=1, help="Report queries with fewer hits.")] = None,
    topics: Annotated[
        str | None,
        typer.Option("--topics", metavar="FILE", help="Report unknown and missing queries; a file or name."),
    ] = None,
    encoded: Annotated[bool, typer.Option("--encoded", help="The topics are encoded.")] = False,
    qrels: Annotated[
        str | None, typer.Option("--qrels", metavar="FILE", help="Report judged queries without hits; a file or name.")
    ] = None,
    index_dir: Annotated[
        Path | None, typer.Option("--index", metavar="DIR", help="Report documents that are not in the index.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check run files for problems.

    The exit code is 1 if there are any.
    """
    from splade_lucene.run.validation import check_run

    if topics is None:
        check_required("--topics", encoded=encoded)
    known = _known(topics, encoded, qrels, index_dir)
    reports = [check_run(path, format=input_format, k=hits, **known) for path in run]
    if as_json:
        print(json.dumps([_to_json(report) for report in reports], ensure_ascii=False))
    else:
        for report in reports:
            _print_report(report)
    if not all(report.is_valid for report in reports):
        raise typer.Exit(1)


@run_tools.command(cls=Command)
def convert(
    run: RunOption,
    output_format: Annotated[RunFormat, typer.Option("--output-format", help="The format to write.")],
    output: OutputOption,
    tag: TagOption = None,
) -> None:
    """Convert a run to another format.

    The ranks of an MS MARCO run stay as they are.
    """
    from splade_lucene.run.run import Run

    _write(Run.read(run), output, output_format, tag)


@run_tools.command(cls=Command)
def cut(
    run: RunOption,
    output: OutputOption,
    hits: Annotated[int | None, typer.Option("--hits", min=1, help="Hits to keep per query. Default: all.")] = None,
    qids: Annotated[
        Path | None, typer.Option("--qids", metavar="FILE", help="Queries to keep, one qid per line. Default: all.")
    ] = None,
    output_format: OutputFormatOption = None,
    tag: TagOption = None,
) -> None:
    """Keep the top hits, or some queries."""
    from splade_lucene.run.fusion import cut_run
    from splade_lucene.run.run import Run, read_lines

    if hits is None and qids is None:
        raise typer.BadParameter("pass --hits, --qids, or both")
    whole = Run.read(run)
    chosen = [line.strip() for _, line in read_lines(qids)] if qids else None
    kept = cut_run(whole, hits, chosen)
    if chosen and len(kept) < len(set(chosen)):
        asked = f"the {counted(len(set(chosen)), 'query')}"
        echo(f"{part_of(len(set(chosen)) - len(kept), asked, 'is', 'are')} not in the run")
    _write(kept, output, output_format or whole.format, tag)


@run_tools.command(cls=Command)
def merge(
    run: RunsOption,
    output: OutputOption,
    by: Annotated[
        MergeBy,
        typer.Option("--by", help="query: runs of different queries; score: runs of a collection's shards."),
    ] = "query",
    hits: Annotated[int | None, typer.Option("--hits", min=1, help="Hits to keep per query. Default: all.")] = None,
    output_format: OutputFormatOption = None,
    tag: TagOption = None,
) -> None:
    """Merge the parts of a run."""
    from splade_lucene.run.fusion import cut_run, merge_queries, merge_shards

    runs = _read_several(run)
    merged = merge_shards(runs, hits) if by == "score" else cut_run(merge_queries(runs), hits)
    _write(merged, output, output_format or runs[0].format, tag)


@run_tools.command(cls=Command)
def maxp(
    run: RunOption,
    output: OutputOption,
    delimiter: Annotated[
        str, typer.Option("--delimiter", help="Separator between the document's id and the passage's number.")
    ] = PASSAGE_DELIMITER,
    hits: Annotated[
        int | None, typer.Option("--hits", min=1, help="Documents to keep per query. Default: all.")
    ] = None,
    output_format: OutputFormatOption = None,
    tag: TagOption = None,
) -> None:
    """Rank documents by their best passages."""
    from splade_lucene.run.run import Run
    from splade_lucene.run.selection import merge_passages

    passages = Run.read(run)
    _write(merge_passages(passages, delimiter=delimiter, k=hits), output, output_format or passages.format, tag)


@run_tools.command(cls=Command)
def fuse(
    run: RunsOption,
    output: OutputOption,
    method: Annotated[
        FusionMethod,
        typer.Option("--method", help="rrf: reciprocal rank fusion; sum: weighted sum of normalized scores."),
    ] = "rrf",
    weight: Annotated[
        list[float] | None,
        typer.Option("--weight", help="The weight of a run. Repeat for each run, in order. Default: 1."),
    ] = None,
    constant: Annotated[
        float | None,
        typer.Option("--rrf-k", min=0, help=f"rrf: the constant added to ranks. Default: {RRF_CONSTANT:g}."),
    ] = None,
    by: Annotated[
        RrfBy,
        typer.Option("--by", help="rrf: by the ranks in the files, as in Pyserini, or by the order of the scores."),
    ] = "rank",
    normalization: Annotated[
        Normalization,
        typer.Option("--normalization", help="sum: how to normalize each query's scores. max: divide by the best one."),
    ] = "min-max",
    depth: Annotated[
        int | None, typer.Option("--depth", min=1, help="Hits to use per query and run. Default: all.")
    ] = None,
    hits: Annotated[int, typer.Option("--hits", min=1, help="Hits to keep per query.")] = HITS_IN_RUN,
    output_format: OutputFormatOption = None,
    tag: TagOption = None,
) -> None:
    """Fuse the rankings of several systems."""
    from splade_lucene.run.fusion import reciprocal_rank_fusion, weighted_sum

    if weight and len(weight) != len(run):
        raise typer.BadParameter(f"{len(run)} runs require {len(run)} weights, got {len(weight)}")
    if method == "rrf":
        check_required("--method sum", normalization=normalization != "min-max")
    else:
        check_required("--method rrf", rrf_k=constant is not None, by=by != "rank")
    runs = _read_several(run)
    if method == "rrf":
        fused = reciprocal_rank_fusion(
            runs, by=by, weights=weight, constant=RRF_CONSTANT if constant is None else constant, depth=depth, k=hits
        )
    else:
        fused = weighted_sum(runs, weights=weight, normalization=normalization, depth=depth, k=hits)
    _write(fused, output, output_format or runs[0].format, tag)


def _read_several(paths: list[Path]) -> list[Run]:
    from splade_lucene.run.run import Run

    if len(paths) < 2:
        raise typer.BadParameter("pass --run at least twice")
    return [Run.read(path) for path in paths]


def _write(run: Run, output: Path, output_format: RunFormat, tag: str | None) -> None:
    check_tag(tag, output_format)
    run.write(output, format=output_format, tag=tag)
    echo(f"{counted(len(run), 'query')} and {counted(sum(map(len, run.values())), 'hit')} in {output}")


def _known(topics: str | None, encoded: bool, qrels: str | None, index_dir: Path | None) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if topics is not None:
        from splade_lucene.topics.reading import read_topics

        known["topics"] = {query.qid: None for query in read_topics(topics, encoded=encoded)}
    if qrels is not None:
        from splade_lucene.evaluation import read_qrels

        known["judged"] = read_qrels(qrels)
    if index_dir is not None:
        from splade_lucene.index.reader import LuceneImpactIndexReader

        with LuceneImpactIndexReader(index_dir) as reader:
            known["docids"] = frozenset(reader.docids())
    return known


def _to_json(report: RunReport) -> dict[str, Any]:
    return {
        "run": original_name(report.path), "format": report.format, "queries": report.queries, "hits": report.hits,
        "valid": report.is_valid, "counts": dict(report.counts),
        "findings": [finding._asdict() for finding in report.findings], "notes": report.notes,
    }  # fmt: skip


def _print_report(report: RunReport) -> None:
    for finding in report.findings:
        where = f"{report.path}:{finding.line}" if finding.line else str(report.path)
        print(f"{where}: {finding.kind}: {finding.message}")
    shown = {kind: sum(finding.kind == kind for finding in report.findings) for kind in report.counts}
    for kind, count in report.counts.items():
        if count > shown[kind]:
            print(f"{report.path}: {kind}: and {count - shown[kind]:,} more")
    for each in report.notes:
        echo(f"{report.path}: {each}")
    problems = report.counts.total()
    verdict = "no problems found" if not problems else f"{problems:,} problem{'s' if problems > 1 else ''} found"
    print(
        f"{report.path}: {report.format}, {counted(report.queries, 'query')}, {counted(report.hits, 'hit')}: {verdict}"
    )
