"""Room: so much in all, and of several no more than half one's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.wire.room import Room


def fill(room: Room, whose: str, share: float = 1.0) -> int:
    """How many find room."""
    found = 0
    while room.is_left(whose, share):
        room.take(whose)
        found += 1
    assert not room.takes(whose, share)
    return found


def test_one_alone_may_have_it_all() -> None:
    assert fill(Room(10, shared=False), "a") == 10


def test_of_several_each_has_half_at_most() -> None:
    room = Room(10, shared=True)
    assert (fill(room, "a"), fill(room, "b"), fill(room, "c")) == (5, 5, 0)
    room.give_back("a")
    assert (fill(room, "b"), fill(room, "c")) == (0, 1)


@pytest.mark.parametrize("shared", [False, True])
def test_where_only_a_share_may_be_used_the_rest_is_left(shared: bool) -> None:
    room = Room(8, shared=shared)
    most = 4 if shared else 8
    assert fill(room, "a", 0.75) == most * 3 // 4
    assert fill(room, "a") == most // 4


def test_room_for_one_is_room_for_one() -> None:
    assert fill(Room(1, shared=True), "a") == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())), st.integers(1, 6), st.booleans())
def test_what_is_given_back_can_be_taken_again(steps: list[tuple[str, bool]], most: int, shared: bool) -> None:
    room, held = Room(most, shared=shared), {"a": 0, "b": 0, "c": 0}
    for whose, takes in steps:
        if takes:
            left = room.is_left(whose)
            assert room.takes(whose) is left
            held[whose] += left
        elif not takes and held[whose]:
            room.give_back(whose)
            held[whose] -= 1
        assert len(room) == sum(held.values()) <= most
    for whose, count in held.items():
        for _ in range(count):
            room.give_back(whose)
    assert (len(room), dict(room._of)) == (0, {})
