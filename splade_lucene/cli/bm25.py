"""The BM25 baseline: indexes texts and searches them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.command import Command
from splade_lucene.cli.options import (
    CorpusOption,
    IdFieldOption,
    IndexOption,
    JsonOption,
    OverwriteOption,
    RemoveQueryOption,
    SkipBadOption,
    TextFieldOption,
    ThreadsOption,
    wrong_usage,
)
from splade_lucene.cli.output import ProgressBars, Skipped, echo, echo_empty
from splade_lucene.cli.search import echo_no_hits, echo_run, run_to_json
from splade_lucene.cli.search_options import (
    HitsOption,
    ManyTopicsOption,
    RunFormatOption,
    RunOption,
    SingleQueryOption,
    TagOption,
    check_queries,
    check_tag,
)
from splade_lucene.cli.topic_options import TopicFieldOption
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_IN_RUN, HITS_SHOWN, K1, B
from splade_lucene.index.texts import TextStore
from splade_lucene.records import Query

if TYPE_CHECKING:
    from splade_lucene.records import Document
    from splade_lucene.search.bm25 import Bm25Searcher

_TAG = "bm25"

bm25 = typer.Typer(
    name="bm25",
    help="Index and search texts with BM25.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@bm25.command(cls=Command)
def index(
    corpus: CorpusOption,
    index_dir: IndexOption,
    threads: ThreadsOption = None,
    store: Annotated[TextStore, typer.Option("--store", help="Store nothing, or the text.")] = "text",
    overwrite: OverwriteOption = False,
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Index a corpus for BM25.

    Pyserini's LuceneSearcher can also open the index.
    """
    from splade_lucene.corpus.reading import read_corpus
    from splade_lucene.index.texts import index_texts, is_skipped

    blank: list[str] = []
    skipped = Skipped()

    def texts() -> Iterator[Document]:
        for document in read_corpus(
            corpus, id_field=id_field, text_field=text_field, skip_bad=skip_bad, on_problem=skipped
        ):
            if is_skipped(document.text):
                blank.append(document.docid)
            yield document

    count = index_texts(texts(), index_dir, store=store, threads=threads, overwrite=overwrite, progress=ProgressBars())
    if skipped.count:
        echo(f"{counted(skipped.count, 'document', 'was', 'were')} skipped")
    echo_empty(blank, count + len(blank))
    echo(f"{counted(count, 'document')} in {index_dir}")
    if as_json:
        print(json.dumps({"index": str(index_dir), "documents": count, "blank": len(blank), "skipped": skipped.count}))


@bm25.command(cls=Command)
def search(
    index_dir: IndexOption,
    query: SingleQueryOption = None,
    topics: ManyTopicsOption = None,
    output: RunOption = None,
    output_format: RunFormatOption = "trec",
    hits: HitsOption = None,
    k1: Annotated[float, typer.Option("--k1", help="Term frequency saturation.")] = K1,
    b: Annotated[float, typer.Option("--b", help="Length normalization, from 0 to 1.")] = B,
    threads: ThreadsOption = None,
    topic_field: TopicFieldOption = "title",
    tag: TagOption = _TAG,
    remove_query: RemoveQueryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search for one query, or write a run."""
    from splade_lucene.run import selection
    from splade_lucene.run.run import open_run_writer
    from splade_lucene.run.searching import search_run
    from splade_lucene.search.bm25 import Bm25Searcher, check_parameters
    from splade_lucene.topics.reading import read_topics

    check_queries(
        query, topics, output, remove_query=remove_query, threads=threads is not None, tag=tag != _TAG,
        output_format=output_format != "trec", topic_field=topic_field != "title",
    )  # fmt: skip
    check_tag(tag, output_format, _TAG)
    with wrong_usage():
        check_parameters(k1, b)
    with Bm25Searcher(index_dir, k1=k1, b=b) as searcher:
        if query is not None:
            _search_one(searcher, query, hits or HITS_SHOWN, as_json=as_json)
        elif topics is not None and output is not None:
            queries = read_topics(topics, field=topic_field)
            with open_run_writer(output, format=output_format, tag=tag) as writer:
                without_hits = search_run(
                    searcher, queries, writer, hits or HITS_IN_RUN, threads=threads,
                    transform=selection.remove_query if remove_query else None, progress=ProgressBars(),
                )  # fmt: skip
            echo_run(output, queries, without_hits)
            if as_json:
                print(run_to_json(output, queries, without_hits, {}))


def _search_one(searcher: Bm25Searcher, query: str, hits: int, *, as_json: bool) -> None:
    rows = [
        {"rank": rank, "docid": hit.docid, "score": hit.score, "text": hit.contents or ""}
        for rank, hit in enumerate(searcher.search(query, hits), 1)
    ]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        text = " ".join(str(row["text"]).split())
        print(f"{row['rank']:>3} {row['score']:>8.4f}  {row['docid']}" + (f"  {text:.90}" if text else ""))
    if not rows:
        echo_no_hits(Query("query", query))
