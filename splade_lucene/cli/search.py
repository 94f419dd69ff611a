"""Step 6: queries to hits and runs, and what a hit's score consists of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_lucene.cli.option_groups import QueryOptions, takes_options
from splade_lucene.cli.options import IndexOption, JsonOption, ThreadsOption
from splade_lucene.cli.output import name_some, note, progress_bar
from splade_lucene.cli.search_options import (
    EncodedOption,
    Engine,
    HitsOption,
    ManyTopicsOption,
    MinIdfOption,
    RunFormat,
    RunFormatOption,
    RunOption,
    SearchOptions,
    SingleQueryOption,
    TagOption,
    check_queries,
)
from splade_lucene.cli.search_report import QUERY, SearchReport
from splade_lucene.cli.topic_options import TopicFieldOption
from splade_lucene.errors import InputError
from splade_lucene.json_text import parse_json
from splade_lucene.run.run import DEFAULT_TAG

if TYPE_CHECKING:
    from splade_lucene.records import Query
    from splade_lucene.search.approximation import Approximation
    from splade_lucene.search.query_encoder import SpladeQueryEncoder


@takes_options(options=QueryOptions, ways=SearchOptions)
def search(
    index_dir: IndexOption,
    options: QueryOptions,
    ways: SearchOptions,
    query: SingleQueryOption = None,
    topics: ManyTopicsOption = None,
    output: RunOption = None,
    output_format: RunFormatOption = RunFormat.trec,
    hits: HitsOption = None,
    threads: ThreadsOption = None,
    topic_field: TopicFieldOption = "title",
    encoded: EncodedOption = False,
    min_idf: MinIdfOption = None,
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine", help="The same hits from each: auto chooses; pyserini goes through Pyserini's own searcher."
        ),
    ] = Engine.auto,
    tag: TagOption = DEFAULT_TAG,
    profile: Annotated[
        bool, typer.Option("--profile", help="Tell what the search did: engine, blocks, postings, times.")
    ] = False,
    recall: Annotated[
        bool, typer.Option("--recall", help="Tell what --mode approximate loses, by an exact search beside it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Search for one query, or write the run of many."""
    from splade_lucene.topics.reading import read_topics

    check_queries(query, topics, output)
    approximation = ways.approximation
    if engine is Engine.pyserini and (profile or recall or ways != SearchOptions()):
        raise typer.BadParameter("Pyserini's searcher knows no --mode, --only, --without, --profile or --recall")
    ways.check(engine, min_idf)
    if recall and approximation.is_exact:
        raise typer.BadParameter("--recall is for --mode approximate")
    query_encoder = options.open_query_encoder(index_dir) if not encoded else None
    report = SearchReport(profile, recall)
    with _open_searcher(index_dir, query_encoder, min_idf, engine, approximation) as searcher:
        how = {} if engine is Engine.pyserini else {"filter": ways.make_filter(searcher)}
        if topics is not None and output is not None:
            threads = threads or os.cpu_count() or 1
            queries = read_topics(topics, encoded=encoded, field=topic_field)
            _search_topics(
                searcher, queries, output, output_format.value, hits or 1000, threads, tag, how, report, as_json
            )
        elif query is not None:
            _search_one(searcher, query, hits or 10, encoded, how, report, as_json)


@takes_options(options=QueryOptions)
def explain(
    index_dir: IndexOption,
    options: QueryOptions,
    query: Annotated[str, typer.Option("--query", help="The query; with --encoded a JSON object of term: impact.")],
    docid: Annotated[str, typer.Option("--docid", help="The document.")],
    encoded: EncodedOption = False,
    min_idf: MinIdfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each shared term adds to a document's score."""
    from splade_lucene.search.searcher import LuceneImpactSearcher

    query_encoder = options.open_query_encoder(index_dir) if not encoded else None
    with LuceneImpactSearcher(index_dir, query_encoder, min_idf) as searcher:
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
    print(f"{len(contributions)} of the query's {len(vector)} terms are in the document")


def _open_searcher(
    index_dir: Path,
    query_encoder: SpladeQueryEncoder | None,
    min_idf: float | None,
    engine: Engine,
    approximation: Approximation,
) -> Any:
    if engine is Engine.pyserini:
        from splade_lucene.search.pyserini import PyseriniSearcher

        return PyseriniSearcher(index_dir, query_encoder, min_idf)
    from splade_lucene.search.searcher import LuceneImpactSearcher

    return LuceneImpactSearcher(index_dir, query_encoder, min_idf, engine=engine.value, approximation=approximation)


def _search_one(
    searcher: Any, query: str, hits: int, encoded: bool, how: dict[str, Any], report: SearchReport, as_json: bool
) -> None:
    vector = _json_query(query) if encoded else query
    found = searcher.search(vector, hits, **how)
    report.add(searcher, {QUERY: vector}, {QUERY: found}, hits, 1, how)
    rows = []
    for rank, hit in enumerate(found, 1):
        rows.append({"rank": rank, "docid": hit.docid, "score": int(hit.score), "text": hit.contents or ""})
    if as_json:
        facts = report.to_json()
        print(json.dumps({"hits": rows, **facts} if facts else rows, ensure_ascii=False))
        return
    for row in rows:
        text = " ".join(str(row["text"]).split())
        print(f"{row['rank']:>3} {row['score']:>8,}  {row['docid']}" + (f"  {text:.90}" if text else ""))
    if not rows:
        note("no document shares a term with the query")
    report.print(hits)


def _search_topics(
    searcher: Any, queries: list[Query], output: Path, output_format: Any, hits: int, threads: int, tag: str,
    how: dict[str, Any], report: SearchReport, as_json: bool,
) -> None:  # fmt: skip
    from splade_lucene.run.run import open_run_writer

    without = []
    with (
        open_run_writer(output, format=output_format, tag=tag) as writer,
        progress_bar("searching", len(queries)) as advance,
    ):
        for start in range(0, len(queries), 64):
            part = queries[start : start + 64]
            contents = {query.qid: query.content for query in part}
            found = searcher.batch_search([*contents.values()], [*contents], hits, threads, **how)
            report.add(searcher, contents, found, hits, threads, how)
            for qid, ranking in found.items():
                writer.add(qid, ranking)
                if not len(ranking):
                    without.append(qid)
            advance(len(part))
    if without:
        note(f"{len(without)} queries have no hit and so no line in the run: {name_some(without)}")
    note(f"{len(queries):,} queries in {output}")
    report.print(hits)
    if as_json:
        facts = {"run": str(output), "queries": len(queries), "without_hits": without, **report.to_json()}
        print(json.dumps(facts, ensure_ascii=False))


def _json_query(text: str) -> Any:
    try:
        vector = parse_json(text)
    except ValueError:
        vector = None
    if not isinstance(vector, dict):
        raise InputError(f"{text!r} is no encoded query", remedy='With --encoded write {"term": impact, …}')
    return vector
