"""The figures of a soak, each with the bound it has to keep: as lines to read, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.  `most`, `least`: what it must keep to; neither: it only tells.  `note`: what more there is."""

    name: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether it keeps its bounds; no number keeps none."""
        if self.most is None and self.least is None:
            return True
        over = self.most is None or self.value <= self.most
        under = self.least is None or self.value >= self.least
        return over and under

    @property
    def bound(self) -> str:
        """The bounds in words, "" for none."""
        words = []
        if self.least is not None:
            words.append(f"at least {_number(self.least)}")
        if self.most is not None:
            words.append(f"at most {_number(self.most)}")
        return ", ".join(words)

    def line(self) -> str:
        value = f"{_number(self.value)} {self.unit}".strip()
        verdict = ("ok" if self.ok else "BROKEN") if self.bound else ""
        return f"{self.name:<58} {value:>14}  {self.bound:<15} {verdict:<7} {self.note}".rstrip()

    def as_record(self) -> dict[str, Any]:
        return asdict(self) | {"ok": self.ok}


def lines(figures: Iterable[Figure]) -> Iterator[str]:
    """A line a figure; the last says whether all keep their bounds."""
    broken = 0
    for figure in figures:
        broken += not figure.ok
        yield figure.line()
    yield f"{broken} bounds BROKEN" if broken else "every bound kept"


def status(figures: Iterable[Figure]) -> int:
    """The exit status: 1 if any bound is broken."""
    return 0 if all(figure.ok for figure in figures) else 1


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"
