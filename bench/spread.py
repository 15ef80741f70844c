"""A figure of several runs, and how two of them compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
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
    pairs = [_over(this, that) for this, that in zip(these, those, strict=True)]
    return Spread(_over(median(these), median(those)), min(pairs), max(pairs))


def _over(this: float, that: float) -> float:
    """Where no login of a load was accepted there is nothing to compare with."""
    return this / that if that else nan
