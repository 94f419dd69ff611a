"""Settings of approximate search. Search is exact by default; each of these settings trades hits for speed."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from splade_lucene.errors import QueryError


@dataclass(frozen=True)
class Approximation:
    """Approximations, which can be combined. All are off by default.

    Attributes:
        alpha: Skip a block of documents if its bound times alpha, in (0, 1], is below the k-th best score so far (arXiv
            2405.01117). Scores stay exact, but hits may be missing.
        blocks: Maximum number of blocks of 64 documents to score per segment, those with the largest bounds; 0 for no
            limit.
        beta: Share of the query's terms to search with, in (0, 1]; those with the largest impacts are used.
        candidates: With ``beta``: number of hits to rescore with all terms, which makes their scores exact; 0 keeps the
            scores of the reduced query.

    Raises:
        QueryError: A value is out of range.
    """

    alpha: float = 1.0
    blocks: int = 0
    beta: float = 1.0
    candidates: int = 0

    def __post_init__(self) -> None:
        for name, share in (("alpha", self.alpha), ("beta", self.beta)):
            if not isinstance(share, Real) or not 0 < share <= 1:
                raise QueryError(f"{name} must be above 0 and at most 1, got {share!r}")
        for name, count in (("blocks", self.blocks), ("candidates", self.candidates)):
            if not isinstance(count, Integral) or not 0 <= count < 2**31:
                raise QueryError(f"{name} must be an integer of at least 0, got {count!r}")
        if self.candidates and self.beta == 1:
            raise QueryError("candidates requires beta below 1", remedy="Set beta, or leave out candidates")

    @property
    def is_exact(self) -> bool:
        """Whether the search is exact."""
        return self == Approximation()


DEFAULT_APPROXIMATION = Approximation(alpha=0.85)
"""The default of approximate searches; ``benchmarks/tradeoff.py`` measures its loss."""
