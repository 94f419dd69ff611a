"""Step 6: searches for one query or many, and explains scores."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast, get_args

import typer

from splade_lucene.cli.engine_options import EngineOptions, is_foreign
from splade_lucene.cli.feedback_options import FeedbackOptions
from splade_lucene.cli.hybrid_options import HybridOptions, HybridSearcher
from splade_lucene.cli.interactive import converse
from splade_lucene.cli.option_groups import QueryOptions, given_options, takes_options
from splade_lucene.cli.options import (
    DuplicatesOption,
    IndexesOption,
    JsonOption,
    OptionalIndexesOption,
    RemoveQueryOption,
    ThreadsOption,
    check_supported,
)
from splade_lucene.cli.output import ProgressBars, echo, name_some
from splade_lucene.cli.ray_options import RayOptions
from splade_lucene.cli.search_options import (
    EncodedOption,
    HitsOption,
    ManyTopicsOption,
    MinIdfOption,
    RunFormatOption,
    RunOption,
    SearchEngine,
    SearchOptions,
    SingleQueryOption,
    TagOption,
    check_queries,
    check_tag,
)
from splade_lucene.cli.search_report import QUERY, SearchReport
from splade_lucene.cli.topic_options import TopicFieldOption
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_IN_RUN, HITS_SHOWN, thread_count
from splade_lucene.errors import InputError
from splade_lucene.files.json_text import parse_json
from splade_lucene.records import Query
from splade_lucene.run.formats import RunFormat
from splade_lucene.run.run import DEFAULT_TAG
from splade_lucene.search.checks import Engine

if TYPE_CHECKING:
    from splade_lucene.distributed.cluster import RayCluster
    from splade_lucene.search.hits import Hits
    from splade_lucene.search.query_encoder import SpladeQueryEncoder


@takes_options(
    options=QueryOptions,
    choices=SearchOptions,
    feedback=FeedbackOptions,
    hybrid=HybridOptions,
    served=EngineOptions,
    ray=RayOptions,
)
def search(
    options: QueryOptions,
    choices: SearchOptions,
    feedback: FeedbackOptions,
    hybrid: HybridOptions,
    served: EngineOptions,
    ray: RayOptions,
    index_dirs: OptionalIndexesOption = None,
    query: SingleQueryOption = None,
    topics: ManyTopicsOption = None,
    output: RunOption = None,
    output_format: RunFormatOption = "trec",
    hits: HitsOption = None,
    threads: ThreadsOption = None,
    topic_field: TopicFieldOption = "title",
    encoded: EncodedOption = False,
    min_idf: MinIdfOption = None,
    engine: Annotated[
        SearchEngine,
        typer.Option(
            "--engine",
            help="All return the same hits. auto: choose per query; pyserini: Pyserini's searcher; opensearch, elasticsearch "
            "and qdrant: the index at --url.",
        ),
    ] = "auto",
    tag: TagOption = DEFAULT_TAG,
    profile: Annotated[
        bool, typer.Option("--profile", help="Report engines, blocks, postings and times of the search for impacts.")
    ] = False,
    recall: Annotated[
        bool, typer.Option("--recall", help="Measure the loss of --mode approximate against exact search.")
    ] = False,
    remove_query: RemoveQueryOption = False,
    facet: Annotated[
        list[str] | None,
        typer.Option(
            "--facet",
            metavar="FIELD",
            help="With --query: count the --hits best documents by the keywords of this field.",
        ),
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Ask for queries at a prompt, and show their terms and matches.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Search for one query, or write a run."""
    from splade_lucene.topics.reading import read_topics

    if interactive:
        _check_interactive(
            query=query, topics=topics, output=output, encoded=encoded, profile=profile, recall=recall, facet=facet,
            json=as_json, hybrid=hybrid.hybrid, pyserini=engine == "pyserini",
        )  # fmt: skip
        query = ""  # replaced by each query that is typed
    check_queries(
        query, topics, output, remove_query=remove_query, threads=threads is not None, tag=tag != DEFAULT_TAG,
        output_format=output_format != "trec", topic_field=topic_field != "title",
    )  # fmt: skip
    check_tag(tag, output_format, DEFAULT_TAG)
    approximation, folders, cluster = choices.approximation, index_dirs or [], ray.cluster()
    own = {name: is_given for name, is_given in given_options(choices).items() if name != "filter"}
    served.check(
        engine, folders, min_idf=min_idf is not None, profile=profile, recall=recall, interactive=interactive,
        rocchio=feedback.rocchio, rm3=feedback.rm3, hybrid=hybrid.hybrid is not None, **own,
    )  # fmt: skip
    _check_ray(
        cluster, engine, choices, query=query is not None, hybrid=hybrid.hybrid is not None, rocchio=feedback.rocchio,
        rm3=feedback.rm3, profile=profile, recall=recall,
    )  # fmt: skip
    if engine == "pyserini":
        _check_pyserini(folders, is_plain=not (profile or recall or choices != SearchOptions()))
    options.check(encoded=encoded)
    choices.check(engine, min_idf)
    feedback.check(engine)
    fusion = hybrid.fusion()
    if fusion is not None and (engine == "pyserini" or encoded or recall):
        raise typer.BadParameter("--hybrid does not support --engine pyserini, --encoded and --recall")
    if facet and query is None:
        raise typer.BadParameter("--facet requires --query")
    if recall and approximation.is_exact:
        raise typer.BadParameter("--recall requires --mode approximate")
    with _open_searcher(folders, None if encoded else options, min_idf, engine, choices, served, cluster) as searcher:
        feedback.turn_on(searcher)
        search_options = _filter_options(searcher, engine, choices, cluster)
        depth = hits or (HITS_SHOWN if topics is None else HITS_IN_RUN)
        searches = searcher if fusion is None else HybridSearcher(searcher, fusion)
        recall_options = {"k": depth, "threads": thread_count(threads), **search_options}
        report = SearchReport(
            wants_profile=profile,
            measure_recall=partial(searcher.recall, **recall_options) if recall else None,
            is_hybrid=fusion is not None,
        )
        if interactive:
            converse(searcher, depth, search_options)
        elif topics is not None and output is not None:
            queries = read_topics(topics, encoded=encoded, field=topic_field)
            _search_topics(
                searches, queries, _Output(output, output_format, tag, remove_query, as_json), depth, threads, report,
                search_options,
            )  # fmt: skip
        elif query is not None:
            _search_one(
                searches, _json_query(query) if encoded else query, depth, report, search_options, facet or (),
                is_exact=approximation.is_exact, as_json=as_json,
            )  # fmt: skip


def _check_pyserini(index_dirs: Sequence[Path], *, is_plain: bool) -> None:
    if not is_plain:
        raise typer.BadParameter(
            "--engine pyserini does not support --mode, --only, --without, --filter, --duplicates, --profile and --recall: "
            "Pyserini's searcher is exact, has no filters and reports nothing"
        )
    if len(index_dirs) > 1:
        raise typer.BadParameter(
            "--engine pyserini opens a single --index: merge them first, with 'splade-lucene merge'"
        )


def _check_ray(cluster: RayCluster | None, engine: SearchEngine, choices: SearchOptions, **given: bool) -> None:
    """Refuses what has no effect on shards, or other hits there than in the whole index."""
    if cluster is None:
        return
    check_supported(
        "--ray", only=choices.only is not None, without=choices.without is not None, ray_gpus=cluster.gpus > 0, **given
    )
    if engine not in get_args(Engine) or choices.mode != "exact" or choices.duplicates != "refuse":
        raise typer.BadParameter(f"--ray does not support --mode approximate, --duplicates last and --engine {engine}")


def _check_interactive(*, pyserini: bool, **others: object) -> None:
    given = [f"--{name}" for name, value in others.items() if value]
    given += ["--engine pyserini"] if pyserini else []
    if given:
        raise typer.BadParameter(f"--interactive does not support {', '.join(given)}")


NO_APPROXIMATE_HITS = "approximate search found no hits; --mode exact may find some"


class _Output(NamedTuple):
    path: Path
    format: RunFormat
    tag: str
    without_query: bool
    as_json: bool


@takes_options(options=QueryOptions)
def explain(
    index_dirs: IndexesOption,
    options: QueryOptions,
    query: Annotated[
        str, typer.Option("--query", help="The query; with --encoded, a JSON object of terms and impacts.")
    ],
    docid: Annotated[str, typer.Option("--docid", help="The document's id.")],
    encoded: EncodedOption = False,
    min_idf: MinIdfOption = None,
    duplicates: DuplicatesOption = "refuse",
    as_json: JsonOption = False,
) -> None:
    """Explain the score of a document.

    Each term shared by query and document contributes the product of its two impacts.
    """
    from splade_lucene.search.searcher import LuceneImpactSearcher

    options.check(encoded=encoded)
    query_encoder = _open_query_encoder(options, index_dirs) if not encoded else None
    with LuceneImpactSearcher(index_dirs, query_encoder, min_idf, duplicates=duplicates) as searcher:
        vector = searcher.encode(_json_query(query) if encoded else query)
        contributions = searcher.explain(vector, docid)
    score = sum(each.product for each in contributions)
    if as_json:
        rows = [
            {"term": each.term, "query_impact": each.query_impact, "document_impact": each.document_impact,
             "product": each.product}
            for each in contributions
        ]  # fmt: skip
        print(json.dumps({"docid": docid, "score": score, "terms": rows}, ensure_ascii=False))
        return
    print(f"{'term':24} {'query':>8} {'document':>9} {'product':>10} {'share':>7}")
    for each in contributions:
        share = each.product / score
        print(f"{each.term:24} {each.query_impact:>8,} {each.document_impact:>9,} {each.product:>10,} {share:>7.1%}")
    print(f"{'score of ' + docid:24} {'':>8} {'':>9} {score:>10,}")
    print(f"{len(contributions)} of the query's {counted(len(vector), 'term', 'is', 'are')} in the document")


def _open_query_encoder(options: QueryOptions, index_dirs: Sequence[Path]) -> SpladeQueryEncoder:
    """Opens the query encoder; a network in ONNX Runtime is loaded while Java starts."""
    query_encoder = options.open_query_encoder(index_dirs)
    encoder = query_encoder.encoder
    if encoder.query_backend == "onnx":

        def load() -> None:
            with suppress(Exception):  # the first query raises it again
                encoder.load("query")

        threading.Thread(target=load).start()
    return query_encoder


def _open_searcher(
    index_dirs: Sequence[Path],
    queries: QueryOptions | None,
    min_idf: float | None,
    engine: SearchEngine,
    choices: SearchOptions,
    served: EngineOptions,
    cluster: RayCluster | None,
) -> Any:
    if is_foreign(engine):
        return served.open(engine, queries)
    query_encoder = _open_query_encoder(queries, index_dirs) if queries is not None else None
    if cluster is not None:
        from splade_lucene.distributed.searching import ShardedSearcher

        own = cast("Engine", engine)  # other engines were refused above
        return ShardedSearcher(index_dirs, query_encoder, min_idf, cluster=cluster, engine=own)
    if engine == "pyserini":
        from splade_lucene.search.pyserini import PyseriniSearcher

        return PyseriniSearcher(index_dirs[0], query_encoder, min_idf)
    from splade_lucene.search.searcher import LuceneImpactSearcher

    return LuceneImpactSearcher(
        index_dirs, query_encoder, min_idf, engine=cast("Engine", engine), approximation=choices.approximation,
        duplicates=choices.duplicates,
    )  # fmt: skip


def _filter_options(
    searcher: Any, engine: SearchEngine, choices: SearchOptions, cluster: RayCluster | None
) -> dict[str, Any]:
    if cluster is not None or is_foreign(engine):
        return {"filter": choices.filter}
    return {"filter": choices.make_filter(searcher)} if engine in get_args(Engine) else {}


def _search_one(
    searcher: Any, query: Any, hits: int, report: SearchReport, options: Mapping[str, Any], facets: Sequence[str], *,
    is_exact: bool, as_json: bool,
) -> None:  # fmt: skip
    found = searcher.search(query, hits, **options)
    report.add({QUERY: query}, {QUERY: found})
    print_hits(found, facets, report.to_json(), as_json=as_json)
    if not as_json:
        if not found:
            is_filtered = options.get("filter") is not None
            echo_no_hits(
                Query(QUERY, query) if isinstance(query, str) else Query(QUERY, "", query),
                is_filtered=is_filtered,
                is_exact=is_exact,
            )
        report.print(hits)


def print_hits(found: Hits, facets: Sequence[str], facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints hits with their texts and fields, and how many of them have which keyword.

    Args:
        found: The hits.
        facets: The fields whose keywords are counted.
        facts: Added to the JSON.
        as_json: Whether to print JSON.
    """
    rows: list[dict[str, Any]] = []
    columns = (found, _impact_scores(found), found.fields())
    for rank, (hit, score, fields) in enumerate(zip(*columns, strict=True), 1):
        row: dict[str, Any] = {"rank": rank, "docid": hit.docid, **_scores(hit, score), "text": hit.contents or ""}
        rows.append({**row, "fields": fields} if fields else row)
    counts = {name: found.facets(name) for name in facets}
    if as_json:
        facts = {**facts, **({"facets": counts} if counts else {})}
        print(json.dumps({"hits": rows, **facts} if facts else rows, ensure_ascii=False))
        return
    for row in rows:
        text = " ".join(str(row["text"]).split())
        shown = "".join(f"  {name}={_shown(value)}" for name, value in row.get("fields", {}).items())
        number = f"{row['score']:>8,}" if isinstance(row["score"], int) else f"{row['score']:>8.5f}{_parts(row)}"
        print(f"{row['rank']:>3} {number}  {row['docid']}{shown}" + (f"  {text:.90}" if text else ""))
    for name, keywords in counts.items():
        print(f"{name}: " + (", ".join(f"{keyword} {count:,}" for keyword, count in keywords.items()) or "no keywords"))


def _impact_scores(found: Hits) -> list[int]:
    """The exact scores for impacts, which those of a hit, as floats, are only up to 2⁵³."""
    from splade_lucene.search.hybrid import HybridHits

    scores: list[int] = (found.parts["impact_score"] if isinstance(found, HybridHits) else found.scores).tolist()
    return scores


def _scores(hit: Any, score: int) -> dict[str, Any]:
    from splade_lucene.search.hybrid import HybridHit

    if not isinstance(hit, HybridHit):
        return {"score": score}
    impact = {"rank": hit.impact.rank, "score": score} if hit.impact else None
    return {"score": hit.score, "impact": impact, "bm25": hit.bm25._asdict() if hit.bm25 else None}


def _parts(row: Mapping[str, Any]) -> str:
    """The ranks in the two rankings of a hybrid search."""
    ranks = (f"{name} {part['rank'] if (part := row[name]) else '-'}" for name in ("impact", "bm25"))
    return f"  ({', '.join(ranks)})"


def _shown(value: Any) -> str:
    """A value of a field in a line of a table, spelled as in filters."""
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join((",".join(value) if isinstance(value, list) else str(value)).split())


def _search_topics(
    searcher: Any, queries: list[Query], output: _Output, hits: int, threads: int | None, report: SearchReport,
    options: Mapping[str, Any],
) -> None:  # fmt: skip
    from splade_lucene.run.run import open_run_writer
    from splade_lucene.run.searching import search_run
    from splade_lucene.run.selection import remove_query

    with open_run_writer(output.path, format=output.format, tag=output.tag) as writer:
        without_hits = search_run(
            searcher, queries, writer, hits, threads=threads, options=options,
            transform=remove_query if output.without_query else None, on_batch=report.add, progress=ProgressBars(),
        )  # fmt: skip
    echo_run(output.path, queries, without_hits)
    report.print(hits)
    if output.as_json:
        print(run_to_json(output.path, queries, without_hits, report.to_json()))


def echo_run(output: Path, queries: Sequence[Query], without_hits: Sequence[str]) -> None:
    """Reports the number of queries in a run, those without hits, and those that are empty."""
    if without_hits:
        have = counted(len(without_hits), "query", "has", "have")
        echo(f"{have} no hits and thus no lines in the run: {name_some(without_hits)}")
    if empty := _empty(queries):
        echo(f"{counted(len(empty), 'query', 'is', 'are')} empty: {name_some(empty)}")
    echo(f"{counted(len(queries), 'query')} in {output}")


def run_to_json(output: Path, queries: Sequence[Query], without_hits: Sequence[str], facts: Mapping[str, Any]) -> str:
    """Formats the same report as JSON, with further facts."""
    report = {"run": str(output), "queries": len(queries), "without_hits": without_hits, "empty": _empty(queries)}
    return json.dumps({**report, **facts}, ensure_ascii=False)


def _empty(queries: Sequence[Query]) -> list[str]:
    return [query.qid for query in queries if query.is_empty]


def echo_no_hits(query: Query, *, is_filtered: bool = False, is_exact: bool = True) -> None:
    """Says why a single query has no hits."""
    if not (is_exact or query.is_empty):
        echo(NO_APPROXIMATE_HITS)
        return
    which = "no document that the filter accepts" if is_filtered else "no document"
    echo("the query is empty, so it has no hits" if query.is_empty else f"{which} shares a term with the query")


def _json_query(text: str) -> Any:
    try:
        vector = parse_json(text)
    except ValueError:
        vector = None
    if not isinstance(vector, dict):
        raise InputError(f"{text!r:.80} is not an encoded query", remedy='With --encoded, write {"term": impact, …}')
    return vector
