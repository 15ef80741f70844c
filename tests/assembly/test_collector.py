"""What the collector of reference cycles looks at: nothing that stays, and all the same what was replaced."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from radius_mfa.assembly.collector import spare_the_collector


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The other tests of this process find the collector as it was."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


class Link:
    """Can be part of a cycle."""

    def __init__(self) -> None:
        self.next: Link | None = None


def cycle() -> Link:
    """Two that hold each other."""
    one, other = Link(), Link()
    one.next, other.next = other, one
    return one


def test_what_is_there_is_not_looked_at_any_more() -> None:
    there = cycle()

    spare_the_collector()

    assert gc.get_freeze_count() > 0
    assert not any(each is there for each in gc.get_objects())


def test_what_was_replaced_since_goes_the_next_time() -> None:
    there = cycle()
    seen = weakref.ref(there)
    spare_the_collector()

    del there
    gc.collect()
    assert seen() is not None
    spare_the_collector()

    assert seen() is None


def test_cycles_made_later_are_collected_as_ever() -> None:
    spare_the_collector()
    seen = weakref.ref(cycle())

    gc.collect()

    assert seen() is None


def test_the_young_are_looked_at_seldom_and_the_older_ones_by_the_same_rule() -> None:
    gc.set_threshold(700, 10, 10)  # Python's own
    for _ in range(2):
        spare_the_collector()

        assert gc.get_threshold() == (20_000, 10, 10)
        assert gc.isenabled()
