"""The baseline beside the flow: a corpus of texts to a BM25 index, queries to hits and runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_lucene.cli.options import (
    CorpusOption,
    IndexOption,
    JsonOption,
    OverwriteOption,
    SkipBadOption,
    ThreadsOption,
    wrong_usage,
)
from splade_lucene.cli.output import name_some, note, progress_bar
from splade_lucene.cli.search_options import (
    HitsOption,
    ManyTopicsOption,
    RunFormat,
    RunFormatOption,
    RunOption,
    SingleQueryOption,
    TagOption,
    check_queries,
)
from splade_lucene.cli.topic_options import TopicFieldOption

if TYPE_CHECKING:
    from splade_lucene.errors import InputError
    from splade_lucene.records import Document, Query
    from splade_lucene.search.bm25 import Bm25Searcher

bm25 = typer.Typer(
    name="bm25",
    help="BM25 over texts, with Anserini's analyzer: the baseline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class TextStore(str, Enum):
    """What an index of texts keeps of a document."""

    none = "none"
    text = "text"


@bm25.command()
def index(
    corpus: CorpusOption,
    index_dir: IndexOption,
    threads: ThreadsOption = None,
    store: Annotated[TextStore, typer.Option("--store", help="Keep nothing, or the text.")] = TextStore.text,
    overwrite: OverwriteOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build a BM25 index of a corpus' texts, which Pyserini's LuceneSearcher opens."""
    from splade_lucene.corpus.reading import count_documents, read_corpus
    from splade_lucene.index.texts import index_texts, is_blank

    skipped = blank = 0

    def texts() -> Iterator[Document]:
        nonlocal blank
        for document in read_corpus(corpus, skip_bad=skip_bad, on_problem=tell):
            blank += is_blank(document.text)
            yield document

    def tell(problem: InputError) -> None:
        nonlocal skipped
        skipped += 1
        if skipped <= 100:
            note(f"left out: {problem}")

    with progress_bar("indexing", count_documents(corpus) or 0) as advance:
        count = index_texts(
            texts(), index_dir, store=store.value, threads=threads, overwrite=overwrite, progress=advance
        )
    if skipped:
        note(f"{skipped:,} documents were left out")
    if blank:
        note(f"{blank:,} documents are blank and were left out")
    note(f"{count:,} documents in {index_dir}")
    if as_json:
        print(json.dumps({"index": str(index_dir), "documents": count, "blank": blank, "skipped": skipped}))


@bm25.command()
def search(
    index_dir: IndexOption,
    query: SingleQueryOption = None,
    topics: ManyTopicsOption = None,
    output: RunOption = None,
    output_format: RunFormatOption = RunFormat.trec,
    hits: HitsOption = None,
    k1: Annotated[float, typer.Option("--k1", help="How soon further occurrences of a term stop counting.")] = 0.9,
    b: Annotated[float, typer.Option("--b", help="How much a document's length counts.")] = 0.4,
    threads: ThreadsOption = None,
    topic_field: TopicFieldOption = "title",
    tag: TagOption = "bm25",
    as_json: JsonOption = False,
) -> None:
    """Search a BM25 index for one query, or write the run of many."""
    from splade_lucene.search.bm25 import Bm25Searcher, check_parameters
    from splade_lucene.topics.reading import read_topics

    check_queries(query, topics, output)
    with wrong_usage():
        check_parameters(k1, b)
    with Bm25Searcher(index_dir, k1=k1, b=b) as searcher:
        if query is not None:
            _search_one(searcher, query, hits or 10, as_json)
        elif topics is not None and output is not None:
            threads = threads or os.cpu_count() or 1
            queries = read_topics(topics, field=topic_field)
            _search_topics(searcher, queries, output, output_format.value, hits or 1000, threads, tag, as_json)


def _search_one(searcher: Bm25Searcher, query: str, hits: int, as_json: bool) -> None:
    rows = [
        {"rank": rank, "docid": docid, "score": score, "text": searcher.text(docid) or ""}
        for rank, (docid, score) in enumerate(searcher.search(query, hits), 1)
    ]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        text = " ".join(str(row["text"]).split())
        print(f"{row['rank']:>3} {row['score']:>8.4f}  {row['docid']}" + (f"  {text:.90}" if text else ""))
    if not rows:
        note("no document shares a term with the query")


def _search_topics(
    searcher: Bm25Searcher, queries: list[Query], output: Path, output_format: Any, hits: int, threads: int, tag: str,
    as_json: bool,
) -> None:  # fmt: skip
    from splade_lucene.run.run import open_run_writer

    without = []
    with (
        open_run_writer(output, format=output_format, tag=tag) as writer,
        progress_bar("searching", len(queries)) as advance,
    ):
        for start in range(0, len(queries), 64):
            part = queries[start : start + 64]
            found = searcher.batch_search([each.text for each in part], [each.qid for each in part], hits, threads)
            for qid, ranking in found.items():
                writer.add(qid, ranking)
                if not ranking:
                    without.append(qid)
            advance(len(part))
    if without:
        note(f"{len(without)} queries have no hit and so no line in the run: {name_some(without)}")
    note(f"{len(queries):,} queries in {output}")
    if as_json:
        print(json.dumps({"run": str(output), "queries": len(queries), "without_hits": without}, ensure_ascii=False))
