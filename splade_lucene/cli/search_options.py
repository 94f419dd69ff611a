"""Options of searching: which queries, what comes out, which engine, how exactly, among which documents."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from splade_lucene.cli.options import wrong_usage
from splade_lucene.errors import InputError
from splade_lucene.run.formats import RunFormat
from splade_lucene.search.searcher import Engine

if TYPE_CHECKING:
    from splade_lucene.search.approximation import Approximation
    from splade_lucene.search.searcher import DocumentFilter, LuceneImpactSearcher


SearchEngine = Literal[Engine, "pyserini"]
"""What searches: one of our engines, or Pyserini's own searcher."""

Mode = Literal["exact", "approximate"]
"""Whether hits may be missing."""

SingleQueryOption = Annotated[str | None, typer.Option("--query", help="One query; its hits are printed.")]
ManyTopicsOption = Annotated[
    Path | None, typer.Option("--topics", metavar="FILE", help="Many queries: a file, or a name such as dl19-passage.")
]
RunOption = Annotated[Path | None, typer.Option("--output", metavar="RUN", help="The run file, for --topics.")]
RunFormatOption = Annotated[RunFormat, typer.Option("--output-format", help="The form of the run file.")]
HitsOption = Annotated[int | None, typer.Option("--hits", min=1, help="Default: 10 for --query, 1000 for --topics.")]
TagOption = Annotated[str, typer.Option("--tag", help="Last column of a TREC run.")]
MinIdfOption = Annotated[
    float | None,
    typer.Option(
        "--min-idf", help="Drop query terms with an idf not above this; Pyserini's default is 0. Default: none."
    ),
]
EncodedOption = Annotated[bool, typer.Option("--encoded", help="The topics are encoded: term tokens, or vectors.")]


def check_queries(query: str | None, topics: Path | None, output: Path | None) -> None:
    """Refuses anything but one query, or topics and the run that they go into."""
    if (query is None) == (topics is None):
        raise typer.BadParameter("give either --query or --topics")
    if (topics is None) != (output is None):
        raise typer.BadParameter("--topics and --output go together")


@dataclass(frozen=True)
class SearchOptions:
    """How our own engines search, and among which documents."""

    mode: Annotated[Mode, typer.Option("--mode", help="approximate: faster, and hits may be missing.")] = "exact"
    alpha: Annotated[
        float | None,
        typer.Option("--alpha", help="Approximate: skip blocks when this share of their bounds is too low for a hit."),
    ] = None
    blocks: Annotated[
        int | None, typer.Option("--blocks", min=1, help="Approximate: score at most so many blocks of 64 documents.")
    ] = None
    beta: Annotated[
        float | None,
        typer.Option("--beta", help="Approximate: search with this share of a query's terms, the heaviest."),
    ] = None
    candidates: Annotated[
        int | None, typer.Option("--candidates", min=1, help="With --beta: score so many hits again with all terms.")
    ] = None
    only: Annotated[
        Path | None, typer.Option("--only", metavar="FILE", help="Only these documents may be hits: a docid a line.")
    ] = None
    without: Annotated[
        Path | None,
        typer.Option("--without", metavar="FILE", help="Leave these documents out of the hits: a docid a line."),
    ] = None

    @property
    def approximation(self) -> Approximation:
        """What may be left out."""
        from splade_lucene.search.approximation import DEFAULT_APPROXIMATION, Approximation

        names = ("alpha", "blocks", "beta", "candidates")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.mode == "exact":
            if given:
                raise typer.BadParameter(f"--{next(iter(given))} needs --mode approximate")
            return Approximation()
        with wrong_usage():
            return Approximation(**given) if given else DEFAULT_APPROXIMATION

    def check(self, engine: SearchEngine, min_idf: float | None) -> None:
        """Refuses what does not go together, before anything is loaded."""
        from splade_lucene.search.searcher import check_settings

        if self.only and self.without:
            raise typer.BadParameter("--only and --without exclude each other")
        if engine == "taat" and self.mode == "approximate" and self.beta is None:
            raise typer.BadParameter("--engine taat scores every block, so --mode approximate needs --beta with it")
        with wrong_usage():
            check_settings("auto" if engine == "pyserini" else engine, self.approximation, min_idf)

    def make_filter(self, searcher: LuceneImpactSearcher) -> DocumentFilter | None:
        """The documents that may be hits; None: all."""
        from splade_lucene.files import open_text

        file = self.only or self.without
        if file is None:
            return None
        try:
            with open_text(file) as lines:
                docids = [line.strip() for line in lines if line.strip()]
        except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
            raise InputError(
                f"cannot be read ({error})", path=file, remedy="Name a text file in UTF-8 with a docid a line"
            ) from error
        if not docids:
            raise InputError("has no docid", path=file, remedy="Write a docid a line")
        return searcher.make_filter(docids, exclude=self.only is None)
