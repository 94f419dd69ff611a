"""What came out beside what was published."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the comparison.

    Attributes:
        name: A measure, or what was counted.
        published: The published figure.
        obtained: What came out.
        tolerance: How far apart they may be.
    """

    name: str
    published: float
    obtained: float
    tolerance: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether the obtained figure, rounded to four digits as published ones are, is near enough."""
        return abs(round(self.obtained, 4) - self.published) <= self.tolerance + 1e-9
