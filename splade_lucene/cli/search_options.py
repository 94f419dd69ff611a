"""Options of the search commands: queries, output, engine, approximation and filters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from splade_lucene.cli.options import DuplicatesOption, check_required, read_docids, wrong_usage
from splade_lucene.cli.output import echo
from splade_lucene.counts import counted, part_of
from splade_lucene.defaults import HITS_IN_RUN, HITS_SHOWN
from splade_lucene.engines.names import SearchedEngine
from splade_lucene.fields.grammar import parse_filter
from splade_lucene.run.formats import RunFormat
from splade_lucene.search.checks import Engine

if TYPE_CHECKING:
    from splade_lucene.search.approximation import Approximation
    from splade_lucene.search.searcher import DocumentFilter, LuceneImpactSearcher


SearchEngine = Literal[Engine, "pyserini", SearchedEngine]
"""One of our engines, Pyserini's own searcher, or another engine at a URL."""

Mode = Literal["exact", "approximate"]
"""Whether hits may be missing."""

SingleQueryOption = Annotated[str | None, typer.Option("--query", help="A single query, whose hits are printed.")]
ManyTopicsOption = Annotated[
    Path | None, typer.Option("--topics", metavar="FILE", help="A file of queries, or a name such as dl19-passage.")
]
RunOption = Annotated[Path | None, typer.Option("--output", metavar="RUN", help="The run file, for --topics.")]
RunFormatOption = Annotated[RunFormat, typer.Option("--output-format", help="The format of the run file.")]
HitsOption = Annotated[
    int | None,
    typer.Option("--hits", min=1, help=f"Default: {HITS_SHOWN} for --query, {HITS_IN_RUN} for --topics."),
]
TagOption = Annotated[str, typer.Option("--tag", help="Last column of a TREC run.")]
MinIdfOption = Annotated[
    float | None,
    typer.Option("--min-idf", help="Drop query terms unless their idf is above this (Pyserini: 0). Default: keep all."),
]
EncodedOption = Annotated[bool, typer.Option("--encoded", help="The queries are already encoded.")]


def check_queries(query: str | None, topics: Path | None, output: Path | None, **of_runs: bool) -> None:
    """Checks that there is either one query, or topics and an output file.

    Args:
        query: The single query.
        topics: The file of queries.
        output: The run file.
        of_runs: Argument that only a run needs → whether it is given.
    """
    if (query is None) == (topics is None):
        raise typer.BadParameter("pass either --query or --topics")
    if (topics is None) != (output is None):
        raise typer.BadParameter("--topics and --output must be used together")
    if topics is None:
        check_required("--topics", **of_runs)


def check_tag(tag: str | None, output_format: str, default: str | None = None) -> None:
    """Checks that the output has a column for the tag, if one is given."""
    if tag != default and output_format != "trec":
        raise typer.BadParameter(f"--tag requires --output-format trec: {output_format} has no tag")


@dataclass(frozen=True)
class SearchOptions:
    """Approximation and filters of our own engines."""

    mode: Annotated[Mode, typer.Option("--mode", help="approximate: faster, but hits may be missing.")] = "exact"
    alpha: Annotated[
        float | None,
        typer.Option("--alpha", help="Approximate: skip blocks whose bound times alpha is too low for a hit."),
    ] = None
    blocks: Annotated[
        int | None, typer.Option("--blocks", min=1, help="Approximate: score at most this many blocks of 64 documents.")
    ] = None
    beta: Annotated[
        float | None,
        typer.Option("--beta", help="Approximate: search with this share of the query's terms, by impact."),
    ] = None
    candidates: Annotated[
        int | None, typer.Option("--candidates", min=1, help="With --beta: rescore this many hits with all terms.")
    ] = None
    only: Annotated[
        Path | None, typer.Option("--only", metavar="FILE", help="Return only these documents: one docid per line.")
    ] = None
    without: Annotated[
        Path | None,
        typer.Option("--without", metavar="FILE", help="Exclude these documents: one docid per line."),
    ] = None

    filter: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="TEXT",
            help="""Return only documents with such fields: 'lang = "de" and year >= 2019'.""",
        ),
    ] = None

    duplicates: DuplicatesOption = "refuse"

    @property
    def approximation(self) -> Approximation:
        """The selected approximation."""
        from splade_lucene.search.approximation import DEFAULT_APPROXIMATION, Approximation

        names = ("alpha", "blocks", "beta", "candidates")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.mode == "exact":
            if given:
                raise typer.BadParameter(f"--{next(iter(given))} requires --mode approximate")
            return Approximation()
        with wrong_usage():
            return Approximation(**given) if given else DEFAULT_APPROXIMATION

    def check(self, engine: SearchEngine, min_idf: float | None) -> None:
        """Checks for contradictory options before anything is loaded."""
        from splade_lucene.search.checks import check_settings

        if self.only and self.without:
            raise typer.BadParameter("--only and --without are mutually exclusive")
        if engine == "taat" and self.mode == "approximate" and self.beta is None:
            raise typer.BadParameter("--engine taat scores every block, so --mode approximate requires --beta")
        with wrong_usage():
            if self.filter is not None:
                parse_filter(self.filter)
            check_settings(engine if engine in get_args(Engine) else "auto", self.approximation, min_idf)

    def make_filter(self, searcher: LuceneImpactSearcher) -> DocumentFilter | None:
        """The filter for --only, --without and --filter; None if none is given."""
        by_docid = self._filter_by_docid(searcher)
        if self.filter is None:
            return by_docid
        with wrong_usage():
            by_fields = searcher.filter_by(self.filter)
        return by_fields if by_docid is None else by_docid & by_fields

    def _filter_by_docid(self, searcher: LuceneImpactSearcher) -> DocumentFilter | None:
        file = self.only or self.without
        if file is None:
            return None
        docids = read_docids(file)
        chosen = searcher.make_filter(docids, exclude=self.only is None)
        wanted = len(set(docids))
        found = len(chosen) if self.only else searcher.num_docs - len(chosen)
        if found < wanted:
            docids_in_file = f"the {counted(wanted, 'docid')} in {file}"
            echo(f"{part_of(wanted - found, docids_in_file, 'is', 'are')} not in the index")
        return chosen
