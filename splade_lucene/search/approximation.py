"""What an approximate search leaves out. Exact search is the default; each of these trades hits for speed."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from splade_lucene.errors import QueryError


@dataclass(frozen=True)
class Approximation:
    """How far a search may go from exact. All off by default; they can be combined.

    Attributes:
        alpha: Skip a block of documents when this share of its bound, in (0, 1], does not reach the k-th best score so
            far (arXiv 2405.01117). Scores stay exact; hits may be missing.
        blocks: Score at most so many blocks of 64 documents of each segment, those with the largest bounds; 0 for any
            number.
        beta: Search with this share, in (0, 1], of a query's terms, those with the largest impacts.
        candidates: With ``beta``: fetch so many hits and score them again with all terms, so that their scores are exact;
            0 leaves the scores of the cut query.

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
                raise QueryError(f"{name} is a share above 0, at most 1, got {share!r}")
        for name, count in (("blocks", self.blocks), ("candidates", self.candidates)):
            if not isinstance(count, Integral) or not 0 <= count < 2**31:
                raise QueryError(f"{name} is a count from 0 on, got {count!r}")
        if self.candidates and self.beta == 1:
            raise QueryError("candidates are scored again only if beta cuts the query", remedy="Set beta below 1")

    @property
    def is_exact(self) -> bool:
        """Whether nothing is left out."""
        return self == Approximation()


DEFAULT_APPROXIMATION = Approximation(alpha=0.85)
"""What an approximate search does if it is told no more; ``benchmarks/tradeoff.py`` shows what it loses."""
