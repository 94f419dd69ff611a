"""Options of hybrid search, and a searcher that has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_lucene.cli.options import wrong_usage
from splade_lucene.defaults import HITS_IN_RUN, K1, B
from splade_lucene.search.fusion import RRF_CONSTANT, FusionMethod, Normalization

if TYPE_CHECKING:
    from splade_lucene.search.hybrid import HybridFusion, HybridHits
    from splade_lucene.search.searcher import LuceneImpactSearcher


@dataclass(frozen=True)
class HybridOptions:
    """Whether to search with BM25, too, and how to fuse the rankings."""

    hybrid: Annotated[
        FusionMethod | None,
        typer.Option(
            "--hybrid",
            help="Also search with BM25, and fuse. rrf: reciprocal rank fusion; sum: weighted sum of normalized scores.",
        ),
    ] = None
    weight: Annotated[
        list[float] | None,
        typer.Option("--weight", min=0, help="Hybrid: the weight of the impacts; repeat for BM25's. Default: 1 and 1."),
    ] = None
    depth: Annotated[
        int | None,
        typer.Option("--depth", min=1, help=f"Hybrid: hits of each ranking to fuse. Default: {HITS_IN_RUN:,}."),
    ] = None
    constant: Annotated[
        float | None,
        typer.Option("--rrf-k", min=0, help=f"Hybrid rrf: the constant added to ranks. Default: {RRF_CONSTANT:g}."),
    ] = None
    normalization: Annotated[
        Normalization | None,
        typer.Option("--normalization", help="Hybrid sum: how to normalize each query's scores. Default: min-max."),
    ] = None
    k1: Annotated[
        float | None, typer.Option("--k1", help=f"Hybrid: BM25's term frequency saturation. Default: {K1}.")
    ] = None
    b: Annotated[
        float | None, typer.Option("--b", help=f"Hybrid: BM25's length normalization, from 0 to 1. Default: {B}.")
    ] = None

    def fusion(self) -> HybridFusion | None:
        """The fusion that is asked for; None without --hybrid."""
        from splade_lucene.search.hybrid import HybridFusion

        names = ("depth", "constant", "normalization", "k1", "b")
        given: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.hybrid is None:
            if given or self.weight:
                raise typer.BadParameter("--weight, --depth, --rrf-k, --normalization, --k1 and --b require --hybrid")
            return None
        if self.hybrid == "rrf" and self.normalization is not None:
            raise typer.BadParameter("--normalization requires --hybrid sum")
        if self.hybrid == "sum" and self.constant is not None:
            raise typer.BadParameter("--rrf-k requires --hybrid rrf")
        if self.weight:
            if len(self.weight) != 2:
                raise typer.BadParameter(
                    f"--hybrid requires two weights, --weight IMPACTS --weight BM25, got {len(self.weight)}"
                )
            given["weights"] = tuple(self.weight)
        with wrong_usage():
            return HybridFusion(self.hybrid, **given)


@dataclass(frozen=True)
class HybridSearcher:
    """Searches as a searcher does, with one fusion."""

    searcher: LuceneImpactSearcher
    settings: HybridFusion

    def search(self, query: Any, k: int, **options: Any) -> HybridHits:
        """Hits of one query."""
        return self.searcher.search_hybrid(query, k, self.settings, **options)

    def batch_search(
        self, queries: Sequence[Any], qids: Sequence[str], k: int, threads: int, **options: Any
    ) -> Mapping[str, HybridHits]:
        """Hits of each query."""
        return self.searcher.batch_search_hybrid(queries, qids, k, threads, self.settings, **options)
