"""Obtained figures compared with published ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure of the comparison.

    Attributes:
        name: Name of the measure or count.
        published: The published figure.
        obtained: The obtained figure.
        tolerance: Maximum difference between the two.
    """

    name: str
    published: float
    obtained: float
    tolerance: float = 0.0

    @property
    def is_within_tolerance(self) -> bool:
        """Whether the obtained figure, rounded to four digits like published ones, is within the tolerance."""
        return abs(round(self.obtained, 4) - self.published) <= self.tolerance + 1e-9
