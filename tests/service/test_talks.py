"""How many 802.1X conversations there are at once, for how long, and whose goes where there is no room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.core.messages import Code, Reply
from radius_mfa.eap.dialogue import Dialogue
from radius_mfa.eap.packet import Response, Type
from radius_mfa.eap.tunnel import Terms
from radius_mfa.observe.metrics import Counts
from radius_mfa.service.talks import Talk, Talks
from tests.adapters import FixedClock, SeededEntropy

MOST, SHARE = 2048, 1024
LASTING = 60.0
_LOOP = asyncio.new_event_loop()  # never run: nobody waits for what is decided here
_LOOP.close()


class Hall:
    """Conversations, with a clock; those that were begun are kept in order."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.counts = Counts()
        self.talks = Talks(self.clock, SeededEntropy(), self.counts, worker=3)
        self.states: set[bytes] = set()

    def begin(self, client: str = "wifi", *, lasting: float = LASTING, past_password: bool = False) -> Talk:
        talk = Talk(client, b"anonymous", None)
        assert self.talks.begin(talk)
        self.states.add(self.talks.turn(talk, lasting, past_password=past_password))
        return talk

    def fill(self, client: str, count: int, *, past_password: bool = False) -> list[Talk]:
        return [self.begin(client, past_password=past_password) for _ in range(count)]

    def is_there(self, talk: Talk) -> bool:
        return bool(talk.states) and self.talks.find(talk.states[-1]) is talk


@pytest.fixture
def hall() -> Iterator[Hall]:
    """Which is empty again once all that was in it is over."""
    it = Hall()
    yield it
    it.clock.advance(10_000)
    last = it.begin()
    assert len(it.talks) == 1
    it.clock.advance(10_000)
    assert it.talks.find(last.states[-1]) is None
    assert len(it.talks) == 0
    assert [state for state in it.states if it.talks.find(state) is not None] == []


def test_a_state_names_the_worker_and_is_another_each_round(hall: Hall) -> None:
    """RFC 2865 §5.24; see `core.homes`."""
    talk = hall.begin()
    first = talk.states[-1]
    second = hall.talks.turn(talk, LASTING)

    assert first[:3] == second[:3] == b"\x00h\x03"
    assert (len(first), len(second), first != second) == (19, 19, True)


def test_the_state_of_the_round_before_is_known_and_no_older_one(hall: Hall) -> None:
    """A NAS that heard no reply asks again with the one that it has."""
    talk = hall.begin()
    first = talk.states[-1]
    second = hall.talks.turn(talk, LASTING)
    assert (hall.talks.find(first), hall.talks.find(second)) == (talk, talk)

    third = hall.talks.turn(talk, LASTING)
    assert [hall.talks.find(each) for each in (first, second, third)] == [None, talk, talk]


def test_a_state_that_nobody_was_given_is_none(hall: Hall) -> None:
    hall.begin()

    assert hall.talks.find(b"\x00h\x03" + bytes(16)) is None


@pytest.mark.parametrize("past_password", [False, True])
def test_it_is_over_when_nobody_has_said_anything_for_its_time(hall: Hall, past_password: bool) -> None:
    """Also where nobody else begins one, by which it would be found out."""
    talk = hall.begin(lasting=60.0, past_password=past_password)
    state = talk.states[-1]
    hall.clock.advance(59.9)
    assert hall.talks.find(state) is talk

    hall.clock.advance(0.1)
    assert hall.talks.find(state) is None
    assert len(hall.talks) == 0


def test_each_round_gives_it_its_time_anew(hall: Hall) -> None:
    talk = hall.begin(lasting=60.0)
    for _ in range(5):
        hall.clock.advance(50.0)
        hall.talks.turn(talk, 60.0)

    assert hall.is_there(talk)


def test_old_ones_go_when_another_begins(hall: Hall) -> None:
    hall.fill("wifi", 10)
    hall.clock.advance(LASTING)

    hall.begin()
    assert len(hall.talks) == 1


def test_after_its_end_it_is_known_for_a_while(hall: Hall) -> None:
    """So that its NAS gets the same reply again."""
    talk = hall.begin()
    state = talk.states[-1]
    talk.reply = Reply(Code.ACCESS_REJECT)
    hall.talks.end(talk, 20.0)
    hall.clock.advance(19.9)
    found = hall.talks.find(state)
    assert found is not None
    assert (found.reply, found.dialogue) == (Reply(Code.ACCESS_REJECT), None)

    hall.clock.advance(0.1)
    assert hall.talks.find(state) is None
    assert len(hall.talks) == 0


def answered(talk: Talk) -> None:
    """Somebody finds out what to reply to it."""
    talk.answering = asyncio.Future(loop=_LOOP)


def test_while_somebody_decides_its_time_is_not_over(hall: Hall) -> None:
    """Its reply goes on with it, or ends it, and must find it there."""
    talk = hall.begin(lasting=60.0)
    state = talk.states[-1]
    answered(talk)
    hall.clock.advance(61.0)
    hall.begin()
    assert hall.talks.find(state) is talk

    talk.answering = None
    hall.talks.end(talk, 20.0)
    assert hall.talks.find(state) is talk
    hall.clock.advance(20.0)
    assert hall.talks.find(state) is None


# --- room -----------------------------------------------------------------------------------------------


def test_one_client_has_half_of_the_room_and_its_own_oldest_goes(hall: Hall) -> None:
    others = hall.fill("other", 10)
    first, second, *_ = hall.fill("wifi", SHARE)
    assert len(hall.talks) == SHARE + 10

    hall.begin("wifi")
    assert len(hall.talks) == SHARE + 10
    assert [hall.is_there(each) for each in (first, second, *others)] == [False, True, *[True] * 10]


def test_where_all_the_room_is_taken_the_oldest_of_all_goes(hall: Hall) -> None:
    oldest, *_ = hall.fill("a", SHARE - 1)
    mine, *_ = hall.fill("b", SHARE - 1)
    hall.fill("c", 2)
    assert len(hall.talks) == MOST

    new = hall.begin("c")
    assert len(hall.talks) == MOST
    assert [hall.is_there(each) for each in (oldest, mine, new)] == [False, True, True]


def test_a_client_that_has_its_half_of_a_full_room_takes_nothing_from_another(hall: Hall) -> None:
    """Or one that is flooded would be the end of the logins at all others."""
    theirs, *_ = hall.fill("other", SHARE)
    own, *_ = hall.fill("wifi", SHARE)
    for _ in range(10):
        hall.begin("wifi")

    assert len(hall.talks) == MOST
    assert (hall.is_there(theirs), hall.is_there(own)) == (True, False)


def test_whoever_has_shown_no_password_goes_first(hall: Hall) -> None:
    """Behind a password somebody may be looking for a code."""
    waiting = hall.begin("wifi", past_password=True)
    early, *_ = hall.fill("wifi", SHARE - 1)

    hall.begin("wifi")
    assert (hall.is_there(waiting), hall.is_there(early)) == (True, False)


def test_an_ended_one_goes_before_one_that_waits_for_a_code(hall: Hall) -> None:
    waiting, ended, *_ = hall.fill("wifi", SHARE, past_password=True)
    hall.talks.end(ended, 20.0)

    hall.begin("wifi")
    assert (hall.is_there(waiting), hall.is_there(ended)) == (True, False)


def test_among_those_with_a_password_the_oldest_goes_last_of_all(hall: Hall) -> None:
    first, second, *_ = hall.fill("wifi", SHARE, past_password=True)

    hall.begin("wifi")
    assert (hall.is_there(first), hall.is_there(second)) == (False, True)


def test_one_that_is_being_decided_on_does_not_go(hall: Hall) -> None:
    first, second, *_ = hall.fill("wifi", SHARE)
    answered(first)

    hall.begin("wifi")
    assert (hall.is_there(first), hall.is_there(second)) == (True, False)
    first.answering = None


def test_where_all_are_being_decided_on_there_is_no_room(hall: Hall) -> None:
    everybody = hall.fill("wifi", SHARE)
    for each in everybody:
        answered(each)

    assert not hall.talks.begin(Talk("wifi", b"anonymous", None))
    assert len(hall.talks) == SHARE
    for each in everybody:
        each.answering = None


_steps = st.lists(
    st.tuples(st.sampled_from(["begin", "turn", "late", "end", "wait"]), st.integers(0, 30), st.sampled_from("ab"))
)


@settings(max_examples=100)
@given(_steps)
def test_nothing_is_left_of_any_of_them(steps: list[tuple[str, int, str]]) -> None:
    hall = Hall()
    begun: list[Talk] = []
    for what, number, client in steps:
        there = [each for each in begun if hall.is_there(each)]
        if what == "begin":
            begun.append(hall.begin(client))
        elif what == "wait":
            hall.clock.advance(number)
        elif there:
            talk = there[number % len(there)]
            if what == "end":
                hall.talks.end(talk, 20.0)
            else:
                hall.talks.turn(talk, LASTING, past_password=what == "late")
    hall.clock.advance(1000.0)
    last = hall.begin()
    assert len(hall.talks) == 1
    assert [each for each in begun if each is not last and each.states] == []
    assert set(hall.talks._by_state) == set(last.states)


def test_a_conversation_does_not_show_what_was_said_in_it() -> None:
    talk = Talk("wifi", b"secret", None, heard=(b"secret", b"secret"), inner_state=b"secret")

    assert "secret" not in repr(talk)


def test_one_that_nobody_goes_on_with_is_counted(hall: Hall, certificate: Path) -> None:
    """Most devices say nothing when they do not trust a certificate."""
    terms = Terms(certificate, certificate, ["1.2"], 0)
    hall.begin().dialogue = Dialogue(Response(0, Type.IDENTITY, b""), (Type.TTLS,), terms, lambda _: None)
    hall.talks.end(hall.begin(), LASTING)

    hall.clock.advance(LASTING)
    hall.begin()

    assert hall.counts.total("eap") == 1
