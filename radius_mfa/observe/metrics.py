"""The counts: what happened how often, and how long it took."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass


@dataclass(slots=True)
class Duration:
    """How often, and how long in all and at the longest, in seconds."""

    count: int = 0
    total: float = 0.0
    longest: float = 0.0


Labels = tuple[tuple[str, str], ...]


class Counts:
    """Counts in memory; `core.ports.Meter`."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, Labels]] = Counter()
        self.durations: defaultdict[tuple[str, Labels], Duration] = defaultdict(Duration)

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counted[name, tuple(labels.items())] += amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        duration = self.durations[name, tuple(labels.items())]
        duration.count += 1
        duration.total += seconds
        duration.longest = max(duration.longest, seconds)

    def total(self, name: str) -> int:
        """How often `name` was counted, whatever its labels."""
        return sum(times for (each, _), times in self.counted.items() if each == name)
