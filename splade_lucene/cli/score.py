"""Scores given pairs of queries and documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from splade_lucene.cli.option_groups import QueryOptions, takes_options
from splade_lucene.cli.options import DuplicatesOption, IndexesOption, JsonOption, ThreadsOption
from splade_lucene.cli.output import ProgressBars, echo, name_some
from splade_lucene.cli.search_options import EncodedOption, MinIdfOption, TagOption, check_tag
from splade_lucene.cli.topic_options import TopicFieldOption
from splade_lucene.counts import counted
from splade_lucene.errors import InputError
from splade_lucene.run.formats import RunFormat
from splade_lucene.run.run import DEFAULT_TAG

ScoresFormat = Literal[RunFormat, "tsv"]
"""A run, or lines of qid, docid and score."""


@takes_options(options=QueryOptions)
def score(
    index_dirs: IndexesOption,
    options: QueryOptions,
    pairs: Annotated[
        Path, typer.Option("--pairs", metavar="FILE", help="The pairs: a run, or lines of qid and docid.")
    ],
    topics: Annotated[
        Path, typer.Option("--topics", metavar="FILE", help="The queries: a file, or a name such as dl19-passage.")
    ],
    output: Annotated[Path, typer.Option("--output", metavar="RUN", help="The file to write.")],
    output_format: Annotated[
        ScoresFormat,
        typer.Option(
            "--output-format", help="A run, sorted by score; or tsv: qid, docid and the exact score, as given."
        ),
    ] = "trec",
    threads: ThreadsOption = None,
    topic_field: TopicFieldOption = "title",
    encoded: EncodedOption = False,
    min_idf: MinIdfOption = None,
    duplicates: DuplicatesOption = "refuse",
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out documents that are not in the index.")
    ] = False,
    tag: TagOption = DEFAULT_TAG,
    as_json: JsonOption = False,
) -> None:
    """Score given pairs of queries and documents.

    The scores are those of an exact search, and 0 for a document that shares no term with the query.
    """
    from splade_lucene.run.run import Run
    from splade_lucene.run.scoring import read_pairs, score_pairs, write_scores
    from splade_lucene.search.searcher import LuceneImpactSearcher
    from splade_lucene.topics.reading import read_topics

    options.check(encoded=encoded)
    check_tag(tag, output_format, DEFAULT_TAG)
    wanted = read_pairs(pairs)
    queries = read_topics(topics, encoded=encoded, field=topic_field)
    query_encoder = options.open_query_encoder(index_dirs) if not encoded else None
    with LuceneImpactSearcher(index_dirs, query_encoder, min_idf, duplicates=duplicates) as searcher:
        scored, unknown = score_pairs(searcher, queries, wanted, threads=threads, progress=ProgressBars())
    docids = list(dict.fromkeys(docid for each in unknown.values() for docid in each))
    if docids and not skip_unknown:
        raise InputError(
            f"{counted(len(docids), 'document', 'is', 'are')} not in the index: {name_some(docids)}", path=pairs,
            remedy="Pass skip_unknown=True to leave them out",
        )  # fmt: skip
    if output_format == "tsv":
        write_scores(output, scored)
    else:
        Run({qid: dict(ranking) for qid, ranking in scored.items()}, tag=tag).write(output, format=output_format)
    skipped = sum(map(len, unknown.values()))
    count = sum(map(len, scored.values()))
    if skipped:
        echo(f"{counted(skipped, 'pair', 'was', 'were')} left out; not in the index: {name_some(docids)}")
    echo(f"{counted(count, 'pair')} of {counted(len(scored), 'query')} in {output}")
    if as_json:
        print(json.dumps({"run": str(output), "queries": len(scored), "pairs": count, "skipped": skipped}))
