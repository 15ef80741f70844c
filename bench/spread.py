"""A figure of several runs, and how two of them compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """`median`, lowest and highest over the runs."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 1 if self.median >= 10 else 2
        return f"{self.median:.{digits}f} ({self.lowest:.{digits}f} to {self.highest:.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def ratio(these: Sequence[float], those: Sequence[float]) -> Spread:
    """These over those, which were measured in turn: the medians', with the lowest and highest of all pairs."""
    pairs = [this / that for this, that in zip(these, those, strict=True)]
    return Spread(median(these) / median(those), min(pairs), max(pairs))
