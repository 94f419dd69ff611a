"""Searches with a document of the index as the query."""

from __future__ import annotations

from typing import Annotated

import typer

from splade_lucene.cli.option_groups import takes_options
from splade_lucene.cli.options import IndexesOption, JsonOption
from splade_lucene.cli.output import echo
from splade_lucene.cli.search import NO_APPROXIMATE_HITS, print_hits
from splade_lucene.cli.search_options import SearchOptions
from splade_lucene.defaults import HITS_SHOWN


@takes_options(choices=SearchOptions)
def more_like_this(
    index_dirs: IndexesOption,
    docid: Annotated[str, typer.Option("--docid", help="The document's id.")],
    choices: SearchOptions,
    hits: Annotated[int, typer.Option("--hits", min=1, help="Number of hits.")] = HITS_SHOWN,
    max_terms: Annotated[
        int | None, typer.Option("--max-terms", min=1, help="Use only the terms of its largest impacts. Default: all.")
    ] = None,
    facet: Annotated[
        list[str] | None,
        typer.Option("--facet", metavar="FIELD", help="Count the hits by the keywords of this field."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find documents like a document of the index.

    The document is the query, with its own impacts, and is not among the hits. No model is needed.
    """
    from splade_lucene.search.searcher import LuceneImpactSearcher

    choices.check("auto", None)
    with LuceneImpactSearcher(
        index_dirs, approximation=choices.approximation, duplicates=choices.duplicates
    ) as searcher:
        found = searcher.more_like_this(docid, hits, max_terms=max_terms, filter=choices.make_filter(searcher))
        print_hits(found, facet or (), {}, as_json=as_json)
    if not found:
        exact = "no other document that may be a hit shares a term with this one"
        echo(exact if choices.approximation.is_exact else NO_APPROXIMATE_HITS)
