"""Options of relevance feedback, in our spelling and in Anserini's."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.search_options import SearchEngine
from splade_lucene.errors import QueryError

if TYPE_CHECKING:
    from splade_lucene.search.feedback import FeedbackMethods


def _option(name: str, anserinis: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, anserinis, help=text)
    return option


@dataclass(frozen=True)
class FeedbackOptions:
    """Relevance feedback. None stands for the library's default."""

    rocchio: Annotated[
        bool, typer.Option("--rocchio", help="Expand queries with terms of their top hits, by Rocchio's method.")
    ] = False
    rocchio_top_fb_terms: Annotated[
        int | None, _option("--rocchio-top-fb-terms", "--rocchio.topFbTerms", "Terms to take. Default: 10.")
    ] = None
    rocchio_top_fb_docs: Annotated[
        int | None, _option("--rocchio-top-fb-docs", "--rocchio.topFbDocs", "First hits to use. Default: 10.")
    ] = None
    rocchio_alpha: Annotated[
        float | None, _option("--rocchio-alpha", "--rocchio.alpha", "Weight of the query. Default: 1.")
    ] = None
    rocchio_beta: Annotated[
        float | None, _option("--rocchio-beta", "--rocchio.beta", "Weight of the first hits. Default: 0.75.")
    ] = None
    rocchio_use_negative: Annotated[
        bool,
        _option("--rocchio-use-negative", "--rocchio.useNegative", "Subtract terms of the last of the --hits hits."),
    ] = False
    rocchio_bottom_fb_terms: Annotated[
        int | None,
        _option("--rocchio-bottom-fb-terms", "--rocchio.bottomFbTerms", "Terms to subtract. Default: 10."),
    ] = None
    rocchio_bottom_fb_docs: Annotated[
        int | None,
        _option(
            "--rocchio-bottom-fb-docs",
            "--rocchio.bottomFbDocs",
            "Last hits to use; with --hybrid, the last of --depth. Default: 10.",
        ),
    ] = None
    rocchio_gamma: Annotated[
        float | None,
        _option("--rocchio-gamma", "--rocchio.gamma", "Weight of the last hits. Default, as in Pyserini: 0.15."),
    ] = None
    rm3: Annotated[bool, typer.Option("--rm3", help="Expand queries with terms of their top hits, by RM3.")] = False
    rm3_fb_terms: Annotated[int | None, _option("--rm3-fb-terms", "--rm3.fbTerms", "Terms to take. Default: 10.")] = (
        None
    )
    rm3_fb_docs: Annotated[int | None, _option("--rm3-fb-docs", "--rm3.fbDocs", "First hits to use. Default: 10.")] = (
        None
    )
    rm3_original_query_weight: Annotated[
        float | None,
        _option("--rm3-original-query-weight", "--rm3.originalQueryWeight", "Weight of the query. Default: 0.5."),
    ] = None
    rm3_no_term_filter: Annotated[
        bool,
        _option(
            "--rm3-no-term-filter",
            "--rm3.noTermFilter",
            "Also take terms with characters other than a to z and digits.",
        ),
    ] = False
    feedback_all_terms: Annotated[
        bool,
        typer.Option(
            "--feedback-all-terms", help="Take terms of any length, frequency and characters. See docs/feedback."
        ),
    ] = False

    def check(self, engine: SearchEngine) -> None:
        """Checks for contradictory options, and for values out of range, before anything is loaded."""
        from splade_lucene.search.feedback import FeedbackMethods

        if engine == "pyserini" and self != FeedbackOptions():
            raise typer.BadParameter("--engine pyserini does not support --rocchio and --rm3")
        if self.rocchio and self.rm3:
            raise typer.BadParameter("--rocchio and --rm3 are mutually exclusive")
        for name, method in (("rocchio", self.rocchio), ("rm3", self.rm3)):
            for each in fields(self):
                if each.name.startswith(f"{name}_") and getattr(self, each.name) != each.default and not method:
                    raise typer.BadParameter(f"--{each.name.replace('_', '-')} requires --{name}")
        if self.feedback_all_terms and not (self.rocchio or self.rm3):
            raise typer.BadParameter("--feedback-all-terms requires --rocchio or --rm3")
        for name in ("gamma", "bottom_fb_terms", "bottom_fb_docs"):
            if getattr(self, f"rocchio_{name}") is not None and not self.rocchio_use_negative:
                raise typer.BadParameter(f"--rocchio-{name.replace('_', '-')} requires --rocchio-use-negative")
        try:
            self.turn_on(FeedbackMethods())
        except QueryError as error:  # its message begins with the argument's name
            argument, _, rest = str(error).partition(" ")
            prefix = "rocchio" if self.rocchio else "rm3"
            raise typer.BadParameter(f"--{prefix}-{argument.replace('_', '-')} {rest}") from None

    def turn_on(self, searcher: FeedbackMethods) -> None:
        """Turns the selected feedback of a searcher on."""
        if self.rocchio:
            names = ("top_fb_terms", "top_fb_docs", "bottom_fb_terms", "bottom_fb_docs", "alpha", "beta", "gamma")
            given = {name: getattr(self, f"rocchio_{name}") for name in names}
            if self.rocchio_use_negative and given["gamma"] is None:
                given["gamma"] = 0.15
            searcher.set_rocchio(
                **{name: value for name, value in given.items() if value is not None},
                use_negative=self.rocchio_use_negative, all_terms=self.feedback_all_terms,
            )  # fmt: skip
        if self.rm3:
            given = {name: getattr(self, f"rm3_{name}") for name in ("fb_terms", "fb_docs", "original_query_weight")}
            searcher.set_rm3(
                **{name: value for name, value in given.items() if value is not None},
                filter_terms=not self.rm3_no_term_filter, all_terms=self.feedback_all_terms,
            )  # fmt: skip
