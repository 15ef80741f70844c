"""A request is answered at its home, whichever worker its packet comes to, or it is not answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from radius_mfa.core.homes import home_of, state_of
from radius_mfa.core.messages import AccessRequest, Attribute, Code, Nas, Profile, Reply, ReplyAttribute
from radius_mfa.transports.crew import box
from radius_mfa.transports.handover import Handover
from radius_mfa.transports.neighbours import Neighbours
from tests.adapters import COMMA, VPN, SeededEntropy, access_request
from tests.directories.support import LoopClock
from tests.wire.support import CountingMeter

_PATIENCE = 10.0  # seconds
SECRET = "correct horse"
HASTY = Nas("hasty", Profile("one field", suffix=","), timeout=0.05, retries=0)


class Worker:
    """Answers everything with its number, or with what `reply` says; `asked` is what came here."""

    def __init__(self, street: Street, number: int) -> None:
        self.number = number
        self.meter = CountingMeter()
        self.asked: list[AccessRequest] = []
        self.reply: Callable[[AccessRequest], Reply | None] = lambda _: Reply(
            Code.ACCESS_REJECT, messages=(str(number),)
        )
        self.open = asyncio.Event()
        self.open.set()
        self.neighbours = Neighbours(number, street.boxes)
        self.handover = Handover(
            self.neighbours, street.workers, self.here, street.nases.get, LoopClock(), self.meter
        )
        self.neighbours.listen()

    async def here(self, request: AccessRequest) -> Reply | None:
        self.asked.append(request)
        await self.open.wait()
        return self.reply(request)

    def handed_over(self, outcome: str) -> int:
        return self.meter.counts["handed_over", outcome]


class Street:
    """Workers of one server, and the box of the background process."""

    def __init__(self, stack: ExitStack, workers: int = 3) -> None:
        self.workers = workers
        self.nases = {each.name: each for each in (VPN, COMMA, HASTY)}
        self.boxes = [box() for _ in range(workers + 1)]
        for receive, send in self.boxes:
            stack.enter_context(receive)
            stack.enter_context(send)
        self.houses = [Worker(self, number) for number in range(workers)]
        for house in self.houses:
            stack.callback(house.neighbours.close)


def played(play: Callable[[Street], Coroutine[Any, Any, None]]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(_PATIENCE):
            with ExitStack() as stack:
                await play(Street(stack))

    asyncio.run(in_time())


def now() -> float:
    return asyncio.get_running_loop().time()


def of(worker: int, **said: Any) -> AccessRequest:
    """A request in a conversation that lives in that worker."""
    return access_request(state=state_of(worker, SeededEntropy()), arrived=now(), **said)


def line_of(worker: int, nas: Nas = COMMA, password: str = f"{SECRET},123456") -> AccessRequest:
    """Password and code in one, of somebody whose home that worker is."""
    lines = (access_request(nas, f"user {number}", password, arrived=now()) for number in range(1000))
    return next(line for line in lines if home_of(line, 3) == worker)


def eap_of(worker: int) -> AccessRequest:
    """The beginning of an EAP conversation of a device that is at home in that worker (RFC 3579 §2.1)."""
    eap = ((int(Attribute.EAP_MESSAGE), b""),)
    stations = (b"02-00-00-00-00-%02X" % number for number in range(256))
    begun = (access_request(COMMA, "anonymous", None, station=each, extra=eap, arrived=now()) for each in stations)
    return next(each for each in begun if home_of(each, 3) == worker)


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# --- who answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("home", [0, 1, 2])
@pytest.mark.parametrize("met", [0, 1, 2])
def test_a_conversation_goes_on_where_it_began(met: int, home: int) -> None:
    async def play(street: Street) -> None:
        request = of(home)
        reply = await street.houses[met].handover.answer(request)
        assert reply == Reply(Code.ACCESS_REJECT, messages=(str(home),))
        assert [house.asked for house in street.houses] == [[request] if n == home else [] for n in range(3)]
        assert street.houses[met].handed_over("answered") == (met != home)

    played(play)


def test_what_is_at_home_everywhere_stays_where_it_came() -> None:
    async def play(street: Street) -> None:
        for house in street.houses:
            reply = await house.handover.answer(access_request(arrived=now()))
            assert reply is not None
            assert reply.messages == (str(house.number),)
            assert house.meter.counts == {}

    played(play)


def test_one_line_sent_again_to_another_worker_meets_the_first() -> None:
    async def play(street: Street) -> None:
        for home in range(3):
            line = line_of(home)
            for house in street.houses:
                reply = await house.handover.answer(replace(line, source=f"192.0.2.1:{house.number}"))
                assert reply is not None
                assert reply.messages == (str(home),)

    played(play)


def test_an_eap_conversation_begins_where_the_device_is_at_home() -> None:
    async def play(street: Street) -> None:
        for home in range(3):
            request = eap_of(home)
            for house in street.houses:
                reply = await house.handover.answer(request)
                assert reply is not None
                assert reply.messages == (str(home),)

    played(play)


def test_eap_of_a_worker_that_there_is_none_of_any_more_is_answered_where_it_comes() -> None:
    async def play(street: Street) -> None:
        request = of(3, password=None, extra=((int(Attribute.EAP_MESSAGE), b"\x02\x01\x00\x04"),))
        for house in street.houses:
            reply = await house.handover.answer(request)
            assert reply is not None
            assert reply.messages == (str(house.number),)

    played(play)


def test_many_at_once_get_each_its_own_answer() -> None:
    async def play(street: Street) -> None:
        for house in street.houses:
            house.reply = lambda request: Reply(Code.ACCESS_REJECT, messages=(request.source,))
        requests = [replace(of(number % 3), source=f"source {number}") for number in range(60)]
        replies = await asyncio.gather(*(street.houses[0].handover.answer(each) for each in requests))
        assert [reply and reply.messages for reply in replies] == [(each.source,) for each in requests]
        assert street.houses[0].handed_over("answered") == 40

    played(play)


# --- what goes over ---------------------------------------------------------------------------------

OCTETS = st.binary(max_size=253)
ATTRIBUTES = st.lists(st.tuples(st.integers(0, 255).filter(lambda n: n != Attribute.STATE), OCTETS), max_size=8)
REPLIES = st.none() | st.builds(
    Reply,
    code=st.sampled_from(Code),
    state=st.none() | OCTETS,
    messages=st.lists(st.text(), max_size=3).map(tuple),
    attributes=st.lists(st.builds(ReplyAttribute, st.text(), st.text()), max_size=3).map(tuple),
    delayed=st.booleans(),
    eap=st.binary(max_size=600),
    msk=st.just(b"") | st.binary(min_size=64, max_size=64),
    key_name=OCTETS,
)


@settings(max_examples=60)
@given(attributes=ATTRIBUTES, password=st.none() | OCTETS, source=st.text(), reply=REPLIES)
def test_request_and_reply_survive_the_way(
    attributes: list[tuple[int, bytes]], password: bytes | None, source: str, reply: Reply | None
) -> None:
    async def play(street: Street) -> None:
        state = (int(Attribute.STATE), state_of(2, SeededEntropy()))
        request = AccessRequest(VPN, (state, *attributes), password, source, now())
        street.houses[2].reply = lambda _: reply
        assert await street.houses[0].handover.answer(request) == reply
        (asked,) = street.houses[2].asked
        assert asked == request
        assert asked.nas is VPN

    played(play)


def test_a_packet_of_the_longest_survives_the_way() -> None:
    """RFC 2865 §3: 4096 octets at most."""

    async def play(street: Street) -> None:
        filling = tuple((int(Attribute.PROXY_STATE), bytes(253)) for _ in range(15))
        request = replace(of(1), attributes=(*of(1).attributes, *filling))
        attributes = tuple(ReplyAttribute("Class", "ü" * 126) for _ in range(16))
        reply = Reply(
            Code.ACCESS_ACCEPT, attributes=attributes, eap=bytes(4096), msk=bytes(64), key_name=bytes(253)
        )
        street.houses[1].reply = lambda _: reply
        assert await street.houses[0].handover.answer(request) == reply
        assert street.houses[1].asked == [request]

    played(play)


def test_the_client_is_the_one_that_its_home_knows_by_that_name() -> None:
    """After a reload, between one worker and the next, it may be another one."""

    async def play(street: Street) -> None:
        request = of(1)
        street.nases["vpn"] = replace(VPN, timeout=60.0)
        await street.houses[0].handover.answer(request)
        (asked,) = street.houses[1].asked
        assert asked.nas is street.nases["vpn"]

    played(play)


# --- who does not answer ------------------------------------------------------------------------------


def test_a_home_that_has_died_does_not_answer_and_the_nas_asks_again() -> None:
    async def play(street: Street) -> None:
        street.houses[1].neighbours.close()
        began = now()
        assert await street.houses[0].handover.answer(line_of(1, HASTY)) is None
        assert now() - began >= HASTY.window * 0.9
        assert street.houses[0].handed_over("no_reply") == 1
        assert [house.asked for house in street.houses] == [[], [], []]

    played(play)


def test_where_the_home_is_gone_it_is_answered_here_what_was_asked_already_too() -> None:
    async def play(street: Street) -> None:
        street.houses[1].neighbours.close()
        asking = asyncio.create_task(street.houses[0].handover.answer(line_of(1)))
        await turns()
        street.houses[0].handover.are_here([0, 2])
        for reply in (await asking, await street.houses[0].handover.answer(line_of(1))):
            assert reply is not None
            assert reply.messages == ("0",)
        assert street.houses[0].handed_over("home_gone") == 1
        # Whoever takes that place does not answer once more what waits there.
        replacement = Worker(street, 1)
        await turns()
        assert replacement.asked == []
        replacement.neighbours.close()
        street.houses[0].handover.are_here([0, 1, 2])

    played(play)


def test_what_a_predecessor_has_asked_is_no_answer_to_its_replacement() -> None:
    """Both ask as the same number of worker: a reply to one must not let the other's user in."""

    async def play(street: Street) -> None:
        street.houses[1].open.clear()
        street.houses[1].reply = lambda request: Reply(
            Code.ACCESS_ACCEPT, messages=((request.first(Attribute.USER_NAME) or b"").decode(),)
        )
        before = asyncio.create_task(street.houses[0].handover.answer(line_of(1)))
        await turns()
        street.houses[0].neighbours.close()  # it has died
        replacement = Worker(street, 0)
        theirs = access_request(
            COMMA, "somebody else", f"{SECRET},1", state=state_of(1, SeededEntropy()), arrived=now()
        )
        asking = asyncio.create_task(replacement.handover.answer(theirs))
        await turns()
        street.houses[1].open.set()
        reply = await asking
        assert reply is not None
        assert reply.messages == ("somebody else",)
        assert not before.done()
        before.cancel()
        replacement.neighbours.close()

    played(play)


def test_an_answer_that_comes_too_late_is_none() -> None:
    async def play(street: Street) -> None:
        street.houses[1].open.clear()
        assert await street.houses[0].handover.answer(line_of(1, HASTY)) is None
        street.houses[1].open.set()
        await turns()
        assert street.houses[0].handed_over("no_reply") == 1
        assert await street.houses[0].handover.answer(of(1)) is not None, "and the next one has its own"

    played(play)


def test_what_was_due_when_it_came_is_not_waited_for() -> None:
    async def play(street: Street) -> None:
        street.houses[1].neighbours.close()
        late = replace(of(1), arrived=now() - VPN.window)
        assert await street.houses[0].handover.answer(late) is None

    played(play)


def test_where_there_is_no_room_it_is_answered_here() -> None:
    async def play(street: Street) -> None:
        while street.houses[2].neighbours.tell(1, "ask", {"filling": "x" * 1000}):
            pass
        while street.houses[2].neighbours.tell(1, "ask", {}):
            pass
        reply = await street.houses[0].handover.answer(of(1))
        assert reply is not None
        assert reply.messages == ("0",)
        assert street.houses[0].handed_over("no_room") == 1

    with capture_logs():
        played(play)


def test_of_a_client_that_a_reload_has_removed_nothing_is_answered() -> None:
    async def play(street: Street) -> None:
        request = line_of(1, HASTY)
        del street.nases["hasty"]
        assert await street.houses[0].handover.answer(request) is None
        assert street.houses[1].asked == []

    played(play)


def test_whoever_has_gone_away_meanwhile_is_forgotten() -> None:
    async def play(street: Street) -> None:
        street.houses[1].open.clear()
        asking = asyncio.create_task(street.houses[0].handover.answer(of(1)))
        await turns()
        asking.cancel()
        await asyncio.wait([asking])
        street.houses[1].open.set()
        await turns()
        assert street.houses[0].handover._asked == {}
        assert street.houses[1].handover._answering == set()

    played(play)


def test_of_the_others_only_so_many_are_answered_at_once() -> None:
    """Their number is bounded where they come in; this is in case it is not."""

    async def play(street: Street) -> None:
        home, asking = street.houses[1], street.houses[0]
        home.open.clear()
        with capture_logs() as log:
            message = {**_written(of(1)), "by": 0}
            for number in range(5000):
                while not asking.neighbours.tell(1, "ask", {**message, "number": number}):
                    await asyncio.sleep(0)
            await turns()
            assert len(home.asked) == 4096
            home.open.set()
            while home.handover._answering:
                await asyncio.sleep(0)
        assert log == []

    played(play)


# --- what is no message of ours -------------------------------------------------------------------------


def _written(request: AccessRequest) -> dict[str, Any]:
    return {
        "nas": request.nas.name,
        "attributes": [(number, value.hex()) for number, value in request.attributes],
        "password": (request.password or b"").hex(),
        "source": request.source,
        "arrived": request.arrived,
        "sent": request.arrived + 1000,
    }


GARBAGE: list[dict[str, Any]] = [
    {"what": "ask"},
    {"what": "ask", "nas": "vpn", "password": SECRET.encode().hex()},
    {
        "what": "ask",
        "nas": "vpn",
        "attributes": [[1, "zz"]],
        "password": None,
        "source": SECRET,
        "arrived": 0,
        "sent": 1e18,
    },
    {"what": "ask", "nas": "vpn", "attributes": [1], "password": None, "source": "", "arrived": 0, "sent": 1e18},
    {"what": "ask", "nas": [SECRET], "attributes": [], "password": None, "source": "", "arrived": 0, "sent": 1e18},
    {"what": "reply"},
    {"what": "reply", "number": [SECRET], "reply": None},
]


@pytest.mark.parametrize("message", GARBAGE)
def test_what_is_no_message_is_logged_without_what_is_in_it_and_survived(message: dict[str, Any]) -> None:
    async def play(street: Street) -> None:
        street.boxes[1][1].send(orjson.dumps(message))
        assert await street.houses[0].handover.answer(of(1)) is not None

    with capture_logs() as log:
        played(play)
    assert [(each["event"], each["log_level"]) for each in log] == [("message_not_understood", "error")]
    assert SECRET not in str(log)
    assert SECRET.encode().hex() not in str(log)


@pytest.mark.parametrize(
    "reply", [{}, {"code": 4, "state": None}, {"code": 2, "state": "zz", "messages": [], "attributes": []}, 7]
)
def test_a_reply_that_is_none_leaves_the_request_without(reply: object) -> None:
    async def play(street: Street) -> None:
        street.houses[1].neighbours.close()
        asking = asyncio.create_task(street.houses[0].handover.answer(line_of(1, HASTY)))
        await turns()
        (number,) = street.houses[0].handover._asked
        street.boxes[0][1].send(orjson.dumps({"what": "reply", "number": number, "reply": reply}))
        assert await asking is None

    with capture_logs() as log:
        played(play)
    assert [each["event"] for each in log] == ["message_not_understood"]


def test_a_reply_to_nobody_and_a_second_one_are_passed_over() -> None:
    async def play(street: Street) -> None:
        street.houses[1].open.clear()
        asking = asyncio.create_task(street.houses[0].handover.answer(of(1)))
        await turns()
        (asked,) = street.houses[0].handover._asked
        for number in (99, asked, asked):
            street.houses[2].neighbours.tell(0, "reply", {"number": number, "reply": None})
        assert await asking is None
        street.houses[1].open.set()
        await turns()

    with capture_logs() as log:
        played(play)
    assert log == []


def test_no_password_is_in_the_log_or_in_what_is_shown() -> None:
    async def play(street: Street) -> None:
        def fails(_request: AccessRequest) -> Reply:
            raise RuntimeError("broken")

        street.houses[1].reply = fails
        caught: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context))
        request = line_of(1, HASTY)
        assert await street.houses[0].handover.answer(request) is None
        assert request.password is not None
        shown = f"{request} {street.houses[1].asked} {vars(street.houses[0].handover)} {caught}"
        assert SECRET not in shown
        assert request.password.hex() not in shown

    with capture_logs() as log:
        played(play)
    assert log == []
