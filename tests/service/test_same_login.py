"""The same login again, under another Identifier or from another port (RFC 5080 §2.2.2)."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.messages import AccessRequest, Code, Nas, Profile, Reply
from radius_mfa.service import same_login
from radius_mfa.service.same_login import Decide, SameLogin
from tests.adapters import COMMA, VPN, WIFI, FixedClock, SeededEntropy, access_request

SLOW = Nas("slow", Profile("generic"), timeout=60.0)
REQUEST = access_request()
ACCEPT = Reply(Code.ACCESS_ACCEPT)
REJECT = Reply(Code.ACCESS_REJECT, messages=("no",))


class Desk:
    """Decides, once asked, with a challenge of a new State each time, or with the reply it is given."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.clock = FixedClock()
        self.same_login = SameLogin(self.clock, SeededEntropy(), self.is_open)
        self.decided = 0
        self.spent: set[bytes] = set()
        self._reply = reply

    async def is_open(self, state: bytes) -> bool:
        await asyncio.sleep(0)
        return state not in self.spent

    async def decide(self, _: AccessRequest) -> Reply | None:
        await asyncio.sleep(0)
        self.decided += 1
        return self._reply or Reply(Code.ACCESS_CHALLENGE, b"state %d" % self.decided)

    def ask(self, *requests: AccessRequest, decide: Decide | None = None) -> list[Reply | None]:
        async def at_once() -> list[Reply | None]:
            once = self.same_login.once
            return await asyncio.gather(*(once(each, decide or self.decide) for each in requests))

        return asyncio.run(at_once())


def answering(state: bytes, password: str = "123456") -> AccessRequest:
    return access_request(password=password, state=state)


def test_a_login_sent_again_while_it_is_decided_joins_it() -> None:
    desk = Desk()
    replies = desk.ask(*[replace(REQUEST, source=f"192.0.2.1:{port}") for port in range(1000, 1010)])

    assert desk.decided == 1
    assert len(set(replies)) == 1


@pytest.mark.parametrize("reply", [ACCEPT, REJECT])
def test_a_joined_login_gets_whatever_the_first_one_gets(reply: Reply) -> None:
    desk = Desk(reply)

    assert desk.ask(REQUEST, REQUEST, REQUEST) == [reply] * 3
    assert desk.decided == 1


def test_a_challenge_that_was_answered_at_another_node_is_not_given_again() -> None:
    desk = Desk()
    (first,) = desk.ask(REQUEST)
    assert first is not None
    assert first.state is not None
    desk.spent.add(first.state)

    second, again = desk.ask(REQUEST, replace(REQUEST, source="192.0.2.1:40000"))
    assert second == again != first
    assert desk.decided == 2
    assert desk.ask(REQUEST) == [second]


def test_a_challenge_is_given_again_while_the_nas_may_ask() -> None:
    desk = Desk()
    (first,) = desk.ask(REQUEST)
    desk.clock.advance(VPN.window - 0.1)

    assert desk.ask(replace(REQUEST, source="192.0.2.1:40000")) == [first]
    assert desk.decided == 1


def test_after_the_window_it_is_another_login() -> None:
    desk = Desk()
    (first,) = desk.ask(REQUEST)
    desk.clock.advance(VPN.window)

    assert desk.ask(REQUEST) != [first]
    assert desk.decided == 2


@pytest.mark.parametrize("reply", [ACCEPT, REJECT])
def test_in_one_field_mode_the_first_reply_is_the_last_and_is_given_again(reply: Reply) -> None:
    """Its code is used up: judged once more, it would be refused, or counted twice."""
    desk = Desk(reply)
    request = access_request(nas=COMMA)
    assert desk.ask(request) == [reply]
    assert desk.ask(replace(request, source="192.0.2.1:40000")) == [reply]
    assert desk.decided == 1

    desk.clock.advance(COMMA.window)
    desk.ask(request)
    assert desk.decided == 2


@pytest.mark.parametrize("reply", [ACCEPT, REJECT])
def test_what_is_no_challenge_is_decided_anew(reply: Reply) -> None:
    desk = Desk(reply)
    desk.ask(REQUEST)
    desk.ask(REQUEST)

    assert desk.decided == 2


@pytest.mark.parametrize(
    "other",
    [
        access_request(password="another"),
        access_request(password=None),
        access_request(user_name="bob"),
        access_request(nas=WIFI),
        access_request(station=b"02-00-00-00-00-02"),
        access_request(extra=((32, b"gw-2"),)),
    ],
)
def test_whoever_says_anything_else_is_another_login(other: AccessRequest) -> None:
    desk = Desk()
    desk.ask(REQUEST)
    desk.ask(other)

    assert desk.decided == 2


@pytest.mark.parametrize(
    "other",
    [
        access_request(extra=((33, b"of this sending"),)),
        access_request(extra=((55, b"\x00\x00\x00\x01"),)),  # Event-Timestamp, RFC 2869 §5.3
        access_request(source="192.0.2.1:9999"),
        access_request(arrived=1003.0),
    ],
)
def test_what_differs_from_one_sending_to_the_next_is_no_difference(other: AccessRequest) -> None:
    desk = Desk()
    desk.ask(REQUEST)
    desk.ask(other)

    assert desk.decided == 1


def test_once_the_challenge_is_answered_the_same_password_begins_another_login() -> None:
    desk = Desk()
    (first,) = desk.ask(REQUEST)
    assert first is not None
    desk.ask(answering(first.state or b""))
    (again,) = desk.ask(REQUEST)

    assert desk.decided == 3
    assert again != first


def test_an_answer_is_never_remembered_here() -> None:
    """The store gives the identical answer its decision, at whichever node."""
    desk = Desk()
    desk.ask(answering(b"a state"))
    desk.ask(answering(b"a state"))

    assert desk.decided == 2


def test_answers_with_one_state_at_once_join_only_if_identical() -> None:
    desk = Desk()
    desk.ask(answering(b"s", "111111"), answering(b"s", "111111"), answering(b"s", "222222"))

    assert desk.decided == 2


def test_who_joined_a_login_that_broke_tries_it_too_and_may_ask_again() -> None:
    desk = Desk()

    async def breaks(_: AccessRequest) -> Reply | None:
        await asyncio.sleep(0)
        raise RuntimeError("broken")

    async def both() -> tuple[Reply | BaseException | None, ...]:
        once = desk.same_login.once
        return await asyncio.gather(once(REQUEST, breaks), once(REQUEST, breaks), return_exceptions=True)

    assert [type(each) for each in asyncio.run(both())] == [RuntimeError, RuntimeError]
    assert desk.ask(REQUEST)[0] is not None


def test_who_gives_up_waiting_does_not_take_the_others_along() -> None:
    desk = Desk()

    async def story() -> Reply | None:
        go_on = asyncio.Event()

        async def decide(_: AccessRequest) -> Reply | None:
            await go_on.wait()
            return ACCEPT

        first = asyncio.create_task(desk.same_login.once(REQUEST, decide))
        second = asyncio.create_task(desk.same_login.once(REQUEST, decide))
        await asyncio.sleep(0)
        second.cancel()
        go_on.set()
        return await first

    assert asyncio.run(story()) == ACCEPT


def test_who_has_joined_one_that_ends_with_its_connection_is_decided_by_itself() -> None:
    """RFC 6614 §2.1: over TCP the NAS does not send it once more."""
    desk = Desk()

    async def story() -> list[Reply | None]:
        gone = asyncio.create_task(desk.same_login.once(REQUEST, desk.decide))
        joined = [asyncio.create_task(desk.same_login.once(REQUEST, desk.decide)) for _ in range(3)]
        await asyncio.sleep(0)
        gone.cancel()
        return await asyncio.gather(*joined)

    replies = asyncio.run(story())

    assert replies[0] is not None
    assert len(set(replies)) == 1
    assert desk.decided == 1


def test_the_table_is_bounded_until_what_no_nas_asks_for_any_more_makes_room() -> None:
    """Beyond the bound the newest is not remembered: who fills it pushes nobody out."""
    desk = Desk()

    async def fill() -> None:
        for number in range(same_login._MOST):
            nas = (VPN, WIFI)[number % 2]
            await desk.same_login.once(access_request(nas, user_name=f"user{number}"), desk.decide)

    def remembered(request: AccessRequest) -> bool:
        (first,) = desk.ask(request)
        return desk.ask(request) == [first]

    asyncio.run(fill())
    assert remembered(access_request(user_name="user0"))
    assert not remembered(access_request(user_name="one too many"))

    desk.clock.advance(VPN.window)
    assert remembered(access_request(user_name="late", arrived=desk.clock.monotonic()))


def test_one_client_has_half_of_the_table_and_what_was_answered_makes_room() -> None:
    desk = Desk()

    async def fill() -> None:
        for number in range(same_login._MOST // 2 + 1):
            await desk.same_login.once(access_request(user_name=f"user{number}"), desk.decide)

    asyncio.run(fill())
    assert len(desk.same_login._answered) == same_login._MOST // 2
    desk.ask(access_request(WIFI))
    assert len(desk.same_login._answered) == same_login._MOST // 2 + 1
    desk.ask(answering(b"state 1"))  # of user0
    (first,) = desk.ask(access_request(user_name="late"))
    assert desk.ask(access_request(user_name="late")) == [first]


_STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "answer", "spend", "wait"]), st.integers(0, 5), st.sampled_from([VPN, SLOW]))
)


@given(_STEPS)
def test_room_is_taken_by_what_is_remembered_and_by_nothing_else(steps: list[tuple[str, int, Nas]]) -> None:
    desk = Desk()
    table = desk.same_login
    for what, number, nas in steps:
        if what == "ask":
            now = desk.clock.monotonic()
            desk.ask(*[access_request(nas, user_name=f"user{number}", arrived=now)] * 2)
        elif what == "answer":
            desk.ask(answering(b"state %d" % number))
        elif what == "spend":
            desk.spent.add(b"state %d" % number)
        else:
            desk.clock.advance(VPN.window / 2)
        clients = Counter(each.client for each in table._answered.values())
        assert (len(table._room), table._room._of) == (len(table._answered), clients)
        assert table._by_state == {each.reply.state: key for key, each in table._answered.items()}
        assert not table._running


def test_a_quick_gateways_login_is_forgotten_behind_a_slow_ones() -> None:
    desk = Desk()
    desk.ask(access_request(nas=SLOW))
    (first,) = desk.ask(REQUEST)
    desk.clock.advance(VPN.window)
    later = replace(REQUEST, arrived=desk.clock.monotonic())
    (second,) = desk.ask(later)

    assert second != first
    assert desk.ask(later) == [second]


@pytest.mark.parametrize(
    "said",
    [(5, b"\x00\x00\x00\x01"), (31, b"198.51.100.7"), (44, b"session"), (87, b"port")],
    ids=lambda each: str(each[0]),
)
def test_only_who_says_which_session_it_is_shares_a_challenge(said: tuple[int, bytes]) -> None:
    """Two people behind a NAS that says nothing would share a State, and then an Access-Accept."""
    silent = access_request(station=None)
    desk = Desk()
    assert len(set(desk.ask(silent, silent, silent))) == 3
    assert desk.ask(silent) != desk.ask(silent)

    telling = access_request(station=None, extra=(said,))
    assert len(set(desk.ask(telling, telling, telling))) == 1
