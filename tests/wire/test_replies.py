"""Exact duplicates (RFC 5080 §2.2.2)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.wire.replies import Key, Replies, Seen
from radius_mfa.wire.room import Room

A, B = b"a" * 16, b"b" * 16


def key(identifier: int = 1, port: int = 1024, socket: int = 0, host: str = "192.0.2.1") -> Key:
    return socket, host, port, identifier


def table(window: float = 20, most: int = 10, *, shared: bool = False) -> Replies:
    return Replies(window, Room(most, shared=shared))


def taken(replies: Replies) -> int:
    """How much of its room is taken."""
    return len(replies._room)


def answered(replies: Replies, which: Key, authenticator: bytes = A, now: float = 0.0) -> None:
    assert replies.ask(which, authenticator, now) is Seen.NEW
    replies.answer(which, authenticator, b"reply", now)


def test_in_flight_is_told_and_answered_gets_the_same_octets() -> None:
    replies = table()
    assert replies.ask(key(), A, 0) is Seen.NEW
    assert replies.ask(key(), A, 1) is Seen.IN_FLIGHT
    replies.answer(key(), A, b"reply", 2)
    assert replies.ask(key(), A, 3) == b"reply"
    assert replies.ask(key(), A, 21.9) == b"reply"


@pytest.mark.parametrize("other", [key(2), key(port=1025), key(socket=1), key(host="192.0.2.2")])
def test_another_identifier_port_source_or_socket_is_another_request(other: Key) -> None:
    replies = table()
    answered(replies, key())
    assert replies.ask(other, A, 1) is Seen.NEW


def test_another_authenticator_is_a_new_request_and_the_old_one_forgotten() -> None:
    replies = table()
    answered(replies, key())
    assert replies.ask(key(), B, 1) is Seen.NEW
    assert replies.ask(key(), B, 1) is Seen.IN_FLIGHT
    assert not replies.awaits(key(), A)
    assert taken(replies) == 1
    assert replies.ask(key(), A, 2) is Seen.NEW
    assert not replies.awaits(key(), B)


def test_what_was_given_up_is_tried_anew() -> None:
    replies = table()
    replies.ask(key(), A, 0)
    replies.give_up(key(), A)
    assert replies.ask(key(), A, 0) is Seen.NEW


def test_what_is_not_awaited_any_more_is_not_remembered() -> None:
    replies = table()
    replies.ask(key(), A, 0)
    replies.ask(key(), B, 0)
    assert not replies.answer(key(), A, b"too late", 0)
    assert replies.answer(key(), B, b"reply", 0)
    assert not replies.answer(key(), B, b"again", 0)
    assert replies.ask(key(), B, 0) == b"reply"


def test_giving_up_does_not_touch_who_came_after() -> None:
    replies = table()
    replies.ask(key(), A, 0)
    replies.ask(key(), B, 0)
    replies.give_up(key(), A)
    assert replies.awaits(key(), B)


@pytest.mark.parametrize(("window", "kept"), [(1, 5), (20, 20), (300, 30)])
def test_a_reply_is_kept_for_the_window_but_5_to_30_seconds(window: float, kept: float) -> None:
    replies = table(window)
    answered(replies, key())
    assert replies.ask(key(), A, kept - 0.01) == b"reply"
    assert replies.ask(key(), A, kept) is Seen.NEW


def test_what_is_over_takes_no_room() -> None:
    replies = table(most=100)
    for identifier in range(100):
        answered(replies, key(identifier), now=identifier / 10)
    assert taken(replies) == 100
    replies.ask(key(200), A, 24.95)
    assert taken(replies) == 51


def test_a_full_table_takes_no_new_request() -> None:
    replies = table(most=2)
    answered(replies, key(1))
    replies.ask(key(2), A, 0)
    assert replies.ask(key(3), A, 4.9) is Seen.FULL
    assert taken(replies) == 2
    assert replies.ask(key(1), A, 4.9) == b"reply"
    assert replies.ask(key(2), A, 4.9) is Seen.IN_FLIGHT


def test_a_full_table_gives_up_what_is_older_than_five_seconds() -> None:
    replies = table(most=2)
    answered(replies, key(1), now=0)
    answered(replies, key(2), now=3)
    assert replies.ask(key(3), A, 5.1) is Seen.NEW
    assert replies.ask(key(1), A, 5.1) is Seen.FULL
    assert replies.ask(key(2), A, 5.1) == b"reply"


def test_where_only_a_share_may_be_used_who_is_remembered_needs_none() -> None:
    replies = table(most=4)
    for identifier in range(3):
        assert replies.ask(key(identifier), A, 0, 0.75) is Seen.NEW
    assert replies.ask(key(3), A, 0, 0.75) is Seen.FULL
    assert replies.ask(key(0), A, 0, 0.75) is Seen.IN_FLIGHT
    replies.answer(key(0), A, b"reply", 0)
    assert replies.ask(key(0), A, 4.9, 0.75) == b"reply"
    assert replies.ask(key(3), A, 4.9) is Seen.NEW


def test_a_reused_identifier_needs_no_more_room() -> None:
    replies = table(most=1)
    answered(replies, key())
    assert replies.ask(key(), B, 1) is Seen.NEW


def test_of_several_sources_none_has_more_than_half() -> None:
    replies = table(most=4, shared=True)
    for identifier in (1, 2):
        answered(replies, key(identifier))
    assert replies.ask(key(3), A, 1) is Seen.FULL
    assert replies.ask(key(3, host="192.0.2.2"), A, 1) is Seen.NEW
    # What it has had for five seconds it may give up for something new.
    assert replies.ask(key(3), A, 5.1) is Seen.NEW
    assert replies.ask(key(1), A, 5.1) is Seen.NEW


_HOSTS = st.sampled_from(["192.0.2.1", "192.0.2.2"])
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "answer", "give up"]),
        _HOSTS,
        st.integers(0, 3),
        st.sampled_from([A, B]),
        st.floats(0, 10, allow_nan=False),
    ),
    max_size=60,
)


@given(_STEPS, st.booleans())
def test_room_is_taken_by_what_is_remembered_and_by_nothing_else(
    steps: list[tuple[str, str, int, bytes, float]], shared: bool
) -> None:
    """Bounded per client (RFC 5080 §2.2.2), and no room lost on any way."""
    replies, now = table(most=4, shared=shared), 0.0
    for what, host, identifier, authenticator, later in steps:
        which, now = key(identifier, host=host), now + later
        if what == "ask":
            replies.ask(which, authenticator, now)
        elif what == "give up":
            replies.give_up(which, authenticator)
        elif replies.awaits(which, authenticator):
            replies.answer(which, authenticator, b"reply", now)
        remembered = [*replies._in_flight, *replies._answered]
        assert taken(replies) == len(remembered) == len(set(remembered)) <= 4
        if shared:
            assert max(Counter(host for _, host, _, _ in remembered).values(), default=0) <= 2


@given(_STEPS)
def test_it_remembers_what_a_table_without_any_order_does(
    steps: list[tuple[str, str, int, bytes, float]],
) -> None:
    """RFC 5080 §2.2.2: until its time is over, and not an instant longer."""
    replies, now = table(window=20, most=1000), 0.0
    waiting: dict[Key, bytes] = {}
    answers: dict[Key, tuple[bytes, float]] = {}
    for what, host, identifier, authenticator, later in steps:
        which, now = key(identifier, host=host), now + later
        answers = {each: (salt, at) for each, (salt, at) in answers.items() if now - at < 20 or what != "ask"}
        if what == "ask":
            expected: bytes | Seen = Seen.NEW
            if waiting.get(which) == authenticator:
                expected = Seen.IN_FLIGHT
            elif which in answers and answers[which][0] == authenticator:
                expected = b"reply"
            else:
                answers.pop(which, None)
                waiting[which] = authenticator
            assert replies.ask(which, authenticator, now) == expected
        elif waiting.get(which) == authenticator:
            del waiting[which]
            if what == "answer":
                answers[which] = authenticator, now
                replies.answer(which, authenticator, b"reply", now)
            else:
                replies.give_up(which, authenticator)
        assert taken(replies) == len(waiting) + len(answers)


def test_a_reply_is_awaited_until_it_is_given_or_given_up() -> None:
    replies = table()
    assert not replies.is_awaited
    replies.ask(key(), A, 0)
    assert replies.is_awaited
    replies.answer(key(), A, b"reply", 0)
    assert not replies.is_awaited
    replies.ask(key(2), A, 0)
    assert replies.is_awaited
    replies.give_up(key(2), A)
    assert not replies.is_awaited
