"""One request's way through the wire, seen from both its ends: octets in, octets out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable
from time import monotonic
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrad.packet import AuthPacket

from radius_mfa.core.messages import AccessRequest, Code, Reply, ReplyAttribute
from radius_mfa.wire.clients import Client, Clients
from radius_mfa.wire.desk import KnownReplies, Limits, Link
from radius_mfa.wire.exchange import Exchange
from radius_mfa.wire.sources import Sources
from tests.wire.support import (
    SECRET,
    CountingMeter,
    HandClock,
    SmallDictionary,
    capturing_log,
    login,
    make_client,
    request,
    tlv,
)
from tests.wire.test_packet import must_be_silent, mutated

SOURCE = ("127.0.0.1", 40000)
REJECT = Reply(Code.ACCESS_REJECT, messages=("no",), delayed=True)
ACCEPT = Reply(Code.ACCESS_ACCEPT)


class Decider:
    """An `answer` that waits to be told: `await desk.asked()`, then `desk.say(...)`."""

    def __init__(self) -> None:
        self.requests: list[AccessRequest] = []
        self._replies: list[asyncio.Future[Reply | None]] = []

    async def answer(self, request: AccessRequest) -> Reply | None:
        self.requests.append(request)
        reply: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._replies.append(reply)
        return await reply

    def say(self, reply: Reply | None, number: int = -1) -> None:
        self._replies[number].set_result(reply)

    def fail(self, error: BaseException) -> None:
        self._replies[-1].set_exception(error)

    @property
    def waiting(self) -> list[asyncio.Future[Reply | None]]:
        """The replies it was not told yet."""
        return [reply for reply in self._replies if not reply.done()]


class Rig:
    """An exchange with everything around it; `sent` is what would go over the network, in order."""

    def __init__(
        self,
        *clients: Client,
        answer: Callable[[AccessRequest], Awaitable[Reply | None]] | None = None,
        jitter: float = 0.0,
        signers: Iterable[tuple[str, str]] = (),
        good_states: Container[bytes] = (),
        limits: Limits | None = None,
        replies: KnownReplies | None = None,
    ) -> None:
        self.decider = Decider()
        self.meter = CountingMeter()
        self.clock = HandClock()
        log, self.log = capturing_log()
        self.noted = 0
        self.sources = Sources(signers)
        self.good_states = good_states
        self.vouched = 0  # how often it was asked
        self.ready = True
        self.sent: list[bytes] = []
        self.arrived = asyncio.Event()
        self.exchange = Exchange(
            Clients(clients or (make_client(),)),
            answer or self.decider.answer,
            SmallDictionary(),
            self.meter,
            self.clock,
            log,
            sources=self.sources,
            replies={} if replies is None else replies,
            note=self.note,
            vouches=self.vouches,
            is_ready=lambda: self.ready,
            jitter=lambda: jitter,
            limits=limits,
        )

    def note(self, _client: str, _source: str) -> None:
        self.noted += 1

    def vouches(self, request: AccessRequest) -> bool:
        self.vouched += 1
        return request.first(24) in self.good_states

    def send(self, octets: bytes) -> None:
        self.sent.append(octets)
        self.arrived.set()

    def receive(self, octets: bytes, source: tuple[str, int] = SOURCE, socket: int = 0) -> None:
        self.exchange.receive(octets, source, socket, self.send)

    def link(self, client: str = "vpn", source: tuple[str, int] = SOURCE) -> Link:
        """A connection of that client."""
        return Link(client, source, self.send)

    def over(self, link: Link, *packets: bytes) -> list[bool]:
        """Whether the connection may stay, after each of them."""
        return [self.exchange.receive_over(link, octets) for octets in packets]

    @property
    def codes(self) -> list[int]:
        return [octets[0] for octets in self.sent]

    @property
    def logged(self) -> list[tuple[object, ...]]:
        return [(entry["event"], entry.get("reason"), entry.get("source")) for entry in self.log.entries]


async def turns() -> None:
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


def run(play: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(asyncio.wait_for(play(), 10))


class TestAnswered:
    def test_a_request_becomes_a_decision_and_its_reply_octets(self) -> None:
        async def play() -> None:
            rig = Rig()
            rig.receive(login(b"sesame", (31, b"station")))
            await turns()
            (asked,) = rig.decider.requests
            assert (asked.nas.name, asked.source, asked.arrived) == ("vpn", "127.0.0.1:40000", 1000.0)
            assert (asked.password, asked.first(1), asked.first(31)) == (b"sesame", b"alice", b"station")
            assert rig.sent == []
            rig.decider.say(Reply(Code.ACCESS_CHALLENGE, b"state", ("Code?",)))
            await turns()
            theirs = AuthPacket(packet=login(), secret=SECRET)
            reply = AuthPacket(packet=rig.sent[0], secret=SECRET)
            assert theirs.VerifyReply(reply, enforce_ma=True)
            assert (rig.codes, reply[24], reply[18]) == ([11], [b"state"], [b"Code?"])
            assert rig.meter.counts["requests", "vpn", "access_request"] == 1
            assert rig.meter.counts["replies", "vpn", "access_challenge"] == 1

        run(play)

    def test_what_is_said_of_a_login_is_cut_out_of_the_packet(self) -> None:
        """Without what differs from one sending to the next (RFC 2865 §5.33, RFC 2869 §5.3)."""

        async def play() -> None:
            rig = Rig()
            rig.receive(login(b"sesame", (33, b"proxy"), (31, b"station"), (55, bytes(4))))
            await turns()
            (asked,) = rig.decider.requests
            assert asked.said == tlv(1, b"alice") + tlv(31, b"station")
            await rig.exchange.drain(0)

        run(play)

    def test_an_ipv6_source_is_written_with_brackets(self) -> None:
        async def play() -> None:
            rig = Rig()
            rig.receive(login(), ("::1", 40000))
            await turns()
            assert rig.decider.requests[0].source == "[::1]:40000"
            await rig.exchange.drain(0)

        run(play)

    def test_status_server_is_answered_at_once_and_nothing_else_done(self) -> None:
        """RFC 5997 §4.2."""

        async def play() -> None:
            rig = Rig()
            rig.receive(request([], code=12))
            assert rig.codes == [2]
            await turns()
            assert rig.decider.requests == []
            assert rig.sources.take() == []

        run(play)

    def test_a_node_that_is_not_ready_leaves_status_server_unanswered(self) -> None:
        """RFC 5997 §4.2: who hears nothing asks another server."""

        async def play() -> None:
            rig = Rig()
            rig.ready = False
            rig.receive(request([], code=12))
            assert rig.codes == []
            assert rig.meter.discarded("not_ready") == 1
            rig.ready = True
            rig.receive(request([], code=12))  # the same packet: it was not remembered
            assert rig.codes == [2]

        run(play)


class TestSilence:
    def test_an_unknown_source_is_met_with_silence(self) -> None:
        """RFC 2865 §3: without a shared secret."""

        async def play() -> None:
            rig = Rig()
            rig.receive(login(), ("192.0.2.1", 1))
            await turns()
            assert (rig.sent, rig.decider.requests) == ([], [])
            assert rig.meter.discarded("unknown_source", "") == 1
            assert rig.logged == [("discarded", "unknown_source", "192.0.2.1")]

        run(play)

    def test_addresses_of_clients_are_remembered_within_bounds(self) -> None:
        """Whatever a client's network allows its hosts, or a stranger, to make up."""

        async def play() -> None:
            there = make_client(name="wifi", networks=("192.0.2.0/24",))
            rig = Rig(make_client(networks=("2001:db8::/64",)), there)
            found = rig.exchange._found
            for number in range(70_000):
                rig.receive(b"?", (f"2001:db8::{number & 0xFFFF:x}:{number >> 16:x}", 1))
                assert len(found) <= 65_536
            assert rig.meter.discarded("shorter_than_header") == 70_000
            before = len(found)
            for number in range(100):
                rig.receive(b"?", (f"198.51.100.{number}", 1))
            assert len(found) == before
            for _ in range(2):
                rig.receive(b"?", ("192.0.2.1", 1))
            assert rig.meter.discarded("shorter_than_header", "wifi") == 2

        run(play)

    def test_only_the_source_address_chooses_the_secret(self) -> None:
        """RFC 2865 §3: neither NAS-IP-Address nor NAS-Identifier does."""

        async def play() -> None:
            theirs = b"the secret of another"
            other = make_client(name="wifi", networks=("192.0.2.0/24",), secrets=(theirs,))
            rig = Rig(make_client(), other)
            said = ((4, bytes((192, 0, 2, 1))), (32, b"wifi"))
            rig.receive(login(b"sesame", *said, sign=theirs))
            assert rig.meter.discarded("message_authenticator_wrong", "vpn") == 1
            rig.receive(login(b"sesame", *said))
            await turns()
            assert [asked.nas.name for asked in rig.decider.requests] == ["vpn"]
            await rig.exchange.drain(0)

        run(play)

    def test_none_from_answer_is_silence_and_a_retransmission_is_tried_anew(self) -> None:
        async def play() -> None:
            rig = Rig()
            for expected in (1, 2):
                rig.receive(login())
                await turns()
                rig.decider.say(None)
                await turns()
                assert len(rig.decider.requests) == expected
            assert rig.sent == []
            assert rig.meter.discarded("withheld") == 2
            assert rig.log.entries == []

        run(play)

    @pytest.mark.parametrize("error", [RuntimeError("sesame"), asyncio.CancelledError("sesame")])
    def test_an_exception_is_never_an_accept_and_tells_its_class_only(self, error: BaseException) -> None:
        async def play() -> None:
            rig = Rig()
            rig.receive(login())
            await turns()
            rig.decider.fail(error)
            await turns()
            assert rig.sent == []
            assert rig.meter.discarded("answer_failed") == 1
            (entry,) = rig.log.entries
            assert entry["error"] == type(error).__name__
            assert "sesame" not in repr(entry)
            rig.receive(login())
            await turns()
            assert len(rig.decider.requests) == 2
            await rig.exchange.drain(0)

        run(play)

    def test_a_line_about_one_source_and_reason_comes_once_a_minute(self) -> None:
        async def play() -> None:
            rig = Rig()
            for _ in range(3):
                rig.receive(b"?")
                rig.receive(b"?", ("127.0.0.2", 1))
            rig.clock.now += 59
            rig.receive(b"?")
            assert len(rig.log.entries) == 2
            rig.receive(request([], code=4))  # another reason
            rig.clock.now += 1
            rig.receive(b"?")
            assert [line[1:] for line in rig.logged] == [
                ("shorter_than_header", "127.0.0.1"),
                ("shorter_than_header", "127.0.0.2"),
                ("code_not_served", "127.0.0.1"),
                ("shorter_than_header", "127.0.0.1"),
            ]
            assert rig.meter.discarded("shorter_than_header") == 8

        run(play)

    def test_made_up_sources_do_not_keep_what_is_said_of_clients_from_the_log(self) -> None:
        async def play() -> None:
            rig = Rig()
            for number in range(2000):
                rig.receive(login(), (f"192.0.{number >> 8}.{number & 255}", 1))
            assert len(rig.log.entries) == 128
            assert rig.meter.discarded("unknown_source", "") == 2000
            rig.receive(b"?")
            assert rig.logged[-1] == ("discarded", "shorter_than_header", "127.0.0.1")

        run(play)

    def test_made_up_sources_of_a_client_do_not_keep_what_is_said_of_others_from_the_log(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(), make_client(name="wifi", networks=("192.0.2.1/32",)))
            for number in range(2000):
                rig.receive(b"?", (f"127.1.{number >> 8}.{number & 255}", 1))
            assert len(rig.log.entries) == 128
            rig.receive(b"?", ("192.0.2.1", 1))
            assert rig.logged[-1] == ("discarded", "shorter_than_header", "192.0.2.1")
            rig.clock.now += 60
            rig.receive(b"?", ("127.2.0.1", 1))
            assert len(rig.log.entries) == 130

        run(play)

    def test_all_clients_together_do_not_fill_the_log(self) -> None:
        async def play() -> None:
            networks = [f"10.{number}.0.0/16" for number in range(10)]
            rig = Rig(*[make_client(name=each, networks=(each,)) for each in networks])
            for number in range(2000):
                rig.receive(b"?", (f"10.{number % 10}.0.{number // 10}", 1))
            assert len(rig.log.entries) == 1024

        run(play)


class TestAuto:
    """CVE-2024-3596: who once sent a Message-Authenticator must go on."""

    def test_the_first_one_is_noted_and_then_demanded(self) -> None:
        async def play() -> None:
            rig = Rig()
            for octets in (login(), login(identifier=8), login(sign=None, identifier=9)):
                rig.receive(octets)
            await turns()
            assert rig.noted == 1
            assert rig.sources.signs("vpn", "127.0.0.1")
            assert len(rig.decider.requests) == 2
            assert rig.meter.discarded("message_authenticator_downgraded") == 1
            rig.receive(login(sign=None, identifier=9), ("127.0.0.2", 1))
            await turns()
            assert len(rig.decider.requests) == 3
            await rig.exchange.drain(0)

        run(play)

    def test_what_another_worker_has_seen_holds_here(self) -> None:
        async def play() -> None:
            rig = Rig()
            rig.sources.learn("vpn", "127.0.0.1")
            rig.receive(login(sign=None))
            assert rig.meter.discarded("message_authenticator_downgraded") == 1
            assert rig.sources.take() != []

        run(play)

    def test_what_was_noted_before_holds_from_the_start(self) -> None:
        async def play() -> None:
            rig = Rig(signers=[("vpn", "127.0.0.1")])
            rig.receive(login(sign=None))
            assert rig.meter.discarded("message_authenticator_downgraded") == 1

        run(play)

    @pytest.mark.parametrize("rule", ["require", "off"])
    def test_the_other_rules_note_nothing(self, rule: Literal["require", "off"]) -> None:
        async def play() -> None:
            rig = Rig(make_client(rule))
            rig.receive(login())
            await turns()
            assert rig.noted == 0
            await rig.exchange.drain(0)

        run(play)

    @pytest.mark.parametrize(
        ("octets", "rule", "counted"),
        [
            (login(), "require", (1, 0)),
            (login(), "off", (1, 0)),
            (login(sign=None), "off", (0, 1)),
            (login(sign=None), "auto", (0, 1)),
            (login(sign=None), "require", (0, 1)),
            (login(b"x", (33, b"proxy"), sign=None), "off", (0, 1)),
            # EAP and Status-Server must have one, whoever sends them (RFC 3579 §3.2, RFC 5997 §3).
            (request([(1, b"alice"), (79, b"eap")]), "auto", None),
            (request([(1, b"alice"), (79, b"eap")], sign=None), "auto", None),
            (request([], code=12), "auto", None),
            (request([], code=12, sign=None), "off", None),
            (request([(1, b"alice")]), "auto", None),
            (request([(1, b"alice")], sign=None), "off", None),
            (login(sign=b"another secret"), "auto", None),
            (login()[:-1], "auto", None),
        ],
    )
    def test_it_is_counted_who_sends_one_of_their_own_accord_and_who_does_not(
        self, octets: bytes, rule: Literal["require", "auto", "off"], counted: tuple[int, int] | None
    ) -> None:
        async def play() -> None:
            rig = Rig(make_client(rule))
            rig.receive(octets)
            seen = [(each.client, each.source, each.signed, each.unsigned) for each in rig.sources.take()]
            assert seen == ([("vpn", "127.0.0.1", *counted)] if counted else [])
            assert rig.noted == (1 if rule == "auto" and counted == (1, 0) else 0)
            await rig.exchange.drain(0)

        run(play)


class TestDuplicates:
    """RFC 5080 §2.2.2."""

    @pytest.mark.parametrize("is_answered", [False, True])
    @pytest.mark.parametrize(
        "octets",
        [
            login(salt=bytes(16), sign=b"forged"),
            login(salt=bytes(16))[:-1],
            request([(1, b"alice")], salt=bytes(16), sign=None),
            request([(1, b"alice"), (2, bytes(16)), (33, b"proxy")], salt=bytes(16), sign=None),
            request([], code=12, salt=bytes(16)),
        ],
        ids=["wrong Message-Authenticator", "cut", "no credential", "unsigned Proxy-State", "Status-Server"],
    )
    def test_what_does_not_verify_or_is_no_login_never_touches_the_table(
        self, octets: bytes, is_answered: bool
    ) -> None:
        """Or anybody could make us forget, with the same port and Identifier."""

        async def play() -> None:
            rig = Rig()
            rig.receive(login(sign=None))
            await turns()
            if is_answered:
                rig.decider.say(ACCEPT)
                await turns()
            rig.receive(octets)
            rig.sent.clear()
            rig.receive(login(sign=None))
            if not is_answered:
                assert rig.meter.discarded("duplicate_in_flight") == 1
                rig.decider.say(ACCEPT)
                await turns()
            assert (rig.codes, len(rig.decider.requests)) == ([2], 1)

        run(play)

    def test_in_flight_is_dropped_and_answered_gets_the_same_octets(self) -> None:
        async def play() -> None:
            rig = Rig()
            rig.receive(login())
            rig.receive(login())
            await turns()
            assert len(rig.decider.requests) == 1
            assert rig.meter.discarded("duplicate_in_flight") == 1
            rig.decider.say(ACCEPT)
            await turns()
            rig.receive(login())
            assert len(rig.sent) == 2
            assert rig.sent[0] == rig.sent[1]
            assert rig.meter.counts["repeated", "vpn"] == 1
            assert rig.log.entries == []

        run(play)

    def test_after_its_time_it_is_a_new_request(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(timeout=2, retries=2))
            rig.receive(login())
            await turns()
            rig.decider.say(ACCEPT)
            await turns()
            rig.clock.now += 6
            rig.receive(login())
            await turns()
            assert len(rig.decider.requests) == 2
            await rig.exchange.drain(0)

        run(play)

    def test_another_port_or_socket_is_another_request(self) -> None:
        async def play() -> None:
            rig = Rig()
            rig.receive(login())
            rig.receive(login(), (SOURCE[0], 40001))
            rig.receive(login(), socket=1)
            await turns()
            assert len(rig.decider.requests) == 3
            await rig.exchange.drain(0)

        run(play)

    def test_a_reused_identifier_gives_up_the_old_request(self) -> None:
        async def play() -> None:
            rig = Rig()
            rig.receive(login())
            rig.receive(login(salt=bytes(16)))
            await turns()
            rig.decider.say(ACCEPT, 0)
            await turns()
            assert rig.sent == []
            assert rig.meter.discarded("superseded") == 1
            rig.decider.say(Reply(Code.ACCESS_REJECT), 1)
            await turns()
            assert rig.codes == [3]

        run(play)

    def test_a_reused_identifier_after_the_answer_is_a_new_request(self) -> None:
        async def play() -> None:
            rig = Rig()
            for number, salt in enumerate((login()[4:20], bytes(16))):
                rig.receive(login(salt=salt))
                await turns()
                assert len(rig.decider.requests) == number + 1
                rig.decider.say(ACCEPT)
                await turns()
            assert len(set(rig.sent)) == 2

        run(play)

    def test_what_was_answered_before_a_reload_is_answered_alike_after_it(self) -> None:
        async def play() -> None:
            known: KnownReplies = {}
            before = Rig(replies=known)
            before.receive(login(identifier=1))
            before.receive(login(identifier=2))
            await turns()
            before.decider.say(ACCEPT, 0)
            await turns()
            after = Rig(replies=known)
            after.receive(login(identifier=1))
            assert after.sent == before.sent
            # What was under way ends there, and is not begun again here.
            after.receive(login(identifier=2))
            assert after.meter.discarded("duplicate_in_flight") == 1
            before.decider.say(ACCEPT, 1)
            await turns()
            after.receive(login(identifier=2))
            assert after.sent == before.sent
            assert after.decider.requests == []

        run(play)

    def test_what_a_reload_has_changed_begins_anew(self) -> None:
        async def play() -> None:
            known: KnownReplies = {}
            Rig(make_client(), make_client(name="wifi", networks=("192.0.2.0/24",)), replies=known)
            assert len(known) == 2
            Rig(make_client(timeout=1.0), replies=known)
            assert [(name, window) for name, window, _ in known] == [("vpn", 4.0)]

        run(play)


class TestLimits:
    def test_per_client_a_quarter_is_left_to_logins_half_way(self) -> None:
        async def play() -> None:
            client = make_client(networks=("127.0.0.1/32",))
            rig = Rig(client, good_states=[b"state"], limits=Limits(in_flight_per_client=4))
            for identifier in range(5):
                rig.receive(login(identifier=identifier))
            for identifier, state in enumerate([b"made up", b"state", b"state"], 5):
                rig.receive(login(b"123456", (24, state), identifier=identifier))
            await turns()
            assert [asked.first(24) for asked in rig.decider.requests] == [None] * 3 + [b"state"]
            assert rig.vouched == 3
            assert rig.meter.discarded("client_busy") == 4
            # Once there is room, what was dropped is taken.
            rig.decider.say(ACCEPT, 0)
            rig.decider.say(ACCEPT, 1)
            await turns()
            rig.receive(login(identifier=4))
            await turns()
            assert len(rig.decider.requests) == 5
            await rig.exchange.drain(0)

        run(play)

    def test_a_state_is_not_looked_into_while_there_is_room(self) -> None:
        async def play() -> None:
            rig = Rig()
            rig.receive(login(b"123456", (24, b"made up")))
            await turns()
            assert (len(rig.decider.requests), rig.vouched) == (1, 0)
            await rig.exchange.drain(0)

        run(play)

    @pytest.mark.parametrize("state", [[], [(24, b"state")]])
    def test_a_source_of_several_leaves_half_to_the_others(self, state: list[tuple[int, bytes]]) -> None:
        async def play() -> None:
            rig = Rig(good_states=[b"state"], limits=Limits(in_flight_per_client=8))
            for identifier in range(8):
                rig.receive(login(b"sesame", *state, identifier=identifier))
            most = 4 if state else 3
            await turns()
            assert len(rig.decider.requests) == most
            rig.receive(login(), ("127.0.0.2", 1))
            await turns()
            assert len(rig.decider.requests) == most + 1
            # And has all of it back once its own are answered.
            for number in range(most):
                rig.decider.say(ACCEPT, number)
            await turns()
            for identifier in range(8, 8 + most):
                rig.receive(login(b"sesame", *state, identifier=identifier))
            await turns()
            assert len(rig.decider.requests) == 2 * most + 1
            await rig.exchange.drain(0)

        run(play)

    def test_delayed_replies_of_a_source_of_several_leave_half_to_the_others(self) -> None:
        async def refuse(_: AccessRequest) -> Reply:
            return REJECT

        async def play() -> None:
            rig = Rig(make_client(timeout=0.1), answer=refuse, limits=Limits(held_per_client=4))
            for identifier in range(3):
                rig.receive(login(identifier=identifier))
            rig.receive(login(), ("127.0.0.2", 1))
            await turns()
            assert rig.meter.discarded("too_many_held") == 1
            await rig.exchange.drain(5)
            assert rig.codes == [3, 3, 3]

        run(play)

    def test_in_all(self) -> None:
        async def play() -> None:
            other = make_client(name="wifi", networks=("192.0.2.0/24",))
            rig = Rig(make_client(), other, good_states=[b"state"], limits=Limits(in_flight=4))
            for identifier in range(3):
                rig.receive(login(identifier=identifier))
            rig.receive(login(), ("192.0.2.1", 1))
            rig.receive(login(b"123456", (24, b"made up")), ("192.0.2.1", 2))
            assert rig.exchange.in_flight == 3
            assert rig.meter.discarded("server_busy", "wifi") == 2
            for port in (3, 4):
                rig.receive(login(b"123456", (24, b"state")), ("192.0.2.1", port))
            await turns()
            assert len(rig.decider.requests) == rig.exchange.in_flight == 4
            assert rig.meter.discarded("server_busy", "wifi") == 3
            await rig.exchange.drain(0)

        run(play)

    def test_remembered(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(networks=("127.0.0.1/32",)), limits=Limits(remembered=2))
            for identifier in range(2):
                rig.receive(login(identifier=identifier))
                await turns()
                rig.decider.say(ACCEPT)
                await turns()
            rig.receive(login(identifier=2))
            assert rig.codes == [2, 2]
            assert rig.meter.discarded("client_busy") == 1

        run(play)

    def test_of_what_is_remembered_a_quarter_is_left_to_logins_half_way(self) -> None:
        """RFC 5080 §2.2.2: no reply is forgotten within five seconds, so something has to wait."""

        async def play() -> None:
            client = make_client(networks=("127.0.0.1/32",))
            rig = Rig(
                client,
                make_client(name="wifi", networks=("127.0.0.2/32",)),
                good_states=[b"state"],
                limits=Limits(remembered=4),
            )

            async def answered(octets: bytes, host: str = "127.0.0.1") -> bool:
                before = len(rig.sent)
                rig.receive(octets, (host, 1))
                await turns()
                if rig.exchange.in_flight:
                    rig.decider.say(ACCEPT)
                    await turns()
                return len(rig.sent) > before

            assert [await answered(login(identifier=each)) for each in range(4)] == [True] * 3 + [False]
            assert not await answered(login(b"123456", (24, b"made up"), identifier=4))
            good = [login(b"123456", (24, b"state"), identifier=each) for each in (5, 6)]
            assert [await answered(each) for each in good] == [True, False]
            # Who is remembered is answered again, and another client has room of its own.
            assert await answered(login(identifier=0))
            assert await answered(good[0])
            assert await answered(login(identifier=4), "127.0.0.2")
            rig.clock.now += 5
            assert await answered(login(identifier=4))

        run(play)


class TestUnencodable:
    @pytest.mark.parametrize(
        ("attributes", "error"),
        [
            ((ReplyAttribute("Nobody-Knows", "x"),), "KeyError"),
            ((ReplyAttribute("State", "x"),), "ValueError"),
            ((ReplyAttribute("Class", "x" * 250),) * 17, "ReplyTooLong"),
        ],
    )
    def test_what_cannot_be_said_is_a_bare_reject(
        self, attributes: tuple[ReplyAttribute, ...], error: str
    ) -> None:
        async def play() -> None:
            rig = Rig()
            for identifier in (1, 2):
                rig.receive(login(b"sesame", (33, b"p"), identifier=identifier))
                await turns()
                rig.decider.say(Reply(Code.ACCESS_ACCEPT, attributes=attributes))
                await turns()
            assert rig.codes == [3, 3]
            assert rig.sent[0][20] == 80
            assert rig.sent[0][38:] == b"\x21\x03p"
            assert rig.meter.counts["unencodable", "vpn"] == 2
            assert [entry["error"] for entry in rig.log.entries] == [error]

        run(play)

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ([b"\x02\x07\x00\x0a\x01alice"], b"\x4f\x06\x04\x07\x00\x04"),
            ([b"\x02", b"\x07\x00", b"\x0a\x01alice"], b"\x4f\x06\x04\x07\x00\x04"),
            ([b"\x02\x07\x00"], b""),
            ([b""], b""),
        ],
        ids=["a response", "in pieces", "cut short", "EAP-Start"],
    )
    def test_of_eap_it_says_so_in_eap_too(self, asked: list[bytes], said: bytes) -> None:
        """RFC 3579 §2.6.3, RFC 3748 §4.2: EAP-Failure, with the identifier of the response."""

        async def play() -> None:
            rig = Rig()
            rig.receive(request([(1, b"alice"), *((79, piece) for piece in asked), (33, b"p")]))
            await turns()
            rig.decider.say(Reply(Code.ACCESS_ACCEPT, eap=b"\x03\x07\x00\x04", msk=bytes(63)))
            await turns()
            assert rig.codes == [3]
            assert rig.sent[0][20] == 80
            assert rig.sent[0][38:] == said + b"\x21\x03p"
            assert [entry["error"] for entry in rig.log.entries] == ["ValueError"]

        run(play)

    def test_a_failure_of_eap_fits_beside_all_that_a_request_can_bring(self) -> None:
        """RFC 2865 §3: 4096 octets."""

        async def play() -> None:
            rig = Rig()
            octets = request([(79, b"\x02\x07\x00\x04"), *[(33, bytes(253))] * 15, (33, bytes(225))])
            assert len(octets) == 4096
            rig.receive(octets)
            await turns()
            rig.decider.say(Reply(Code.ACCESS_CHALLENGE, b"state", eap=bytes(1400)))
            await turns()
            assert rig.codes == [3]
            assert rig.sent[0][38:44] == b"\x4f\x06\x04\x07\x00\x04"
            assert len(rig.sent[0]) == 4096

        run(play)


class TestDelay:
    """Rejects come later, counted from arrival: min(1 s, half the client's timeout), and jitter."""

    @pytest.mark.parametrize("jitter", [0.0, 1.0])
    def test_a_delayed_reply_is_really_later(self, jitter: float) -> None:
        async def play() -> None:
            rig = Rig(make_client(timeout=0.2), jitter=jitter)
            before = monotonic()
            rig.receive(login())
            await turns()
            rig.decider.say(REJECT)
            await turns()
            rig.receive(login())
            assert rig.meter.discarded("duplicate_in_flight") == 1
            await rig.arrived.wait()
            # The loop's timer may be early by its resolution.
            assert monotonic() - before >= 0.1 * (1 + 0.1 * jitter) - 0.002
            assert rig.codes == [3]
            rig.receive(login())
            assert rig.sent[0] == rig.sent[1]

        run(play)

    @pytest.mark.parametrize(("timeout", "delay"), [(0.5, 0.25), (2, 1), (60, 1)])
    def test_it_is_counted_from_arrival(self, timeout: float, delay: float) -> None:
        async def play() -> None:
            rig = Rig(make_client(timeout=timeout), jitter=1.0)
            rig.receive(login())
            await turns()
            rig.clock.now += 1.1 * delay
            rig.decider.say(REJECT)
            await turns()
            assert rig.codes == [3]

        run(play)

    def test_the_held_are_bounded_and_the_rest_is_not_sent(self) -> None:
        async def refuse(_: AccessRequest) -> Reply:
            return REJECT

        async def play() -> None:
            other = make_client(name="wifi", networks=("192.0.2.0/24",), timeout=0.1)
            limits = Limits(held=3, held_per_client=2)
            rig = Rig(make_client(timeout=0.1, networks=("127.0.0.1/32",)), other, answer=refuse, limits=limits)
            for identifier in range(3):
                rig.receive(login(identifier=identifier))
            await turns()
            for identifier in range(2):
                rig.receive(login(identifier=identifier), ("192.0.2.1", 1))
            await turns()
            assert rig.meter.discarded("too_many_held") == 1
            assert rig.meter.discarded("too_many_held", "wifi") == 1
            await rig.exchange.drain(5)
            assert rig.codes == [3, 3, 3]

        run(play)

    def test_a_held_reply_gives_way_to_a_reused_identifier(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(timeout=0.1))
            rig.receive(login())
            await turns()
            rig.decider.say(REJECT)
            await turns()
            rig.receive(login(salt=bytes(16)))
            await turns()
            rig.decider.say(ACCEPT)
            await rig.exchange.drain(5)
            assert rig.codes == [2]
            assert rig.meter.discarded("superseded") == 1

        run(play)


class TestDrain:
    def test_it_finishes_what_is_in_flight_and_held_and_takes_nothing_new(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(timeout=0.1))
            rig.receive(login(identifier=1))
            rig.receive(login(identifier=2))
            await turns()
            rig.decider.say(REJECT, 0)
            draining = asyncio.create_task(rig.exchange.drain(5))
            await turns()
            rig.receive(login(identifier=3))
            assert rig.meter.discarded("closing") == 1
            assert not draining.done()
            rig.decider.say(ACCEPT, 1)
            await draining
            assert rig.codes == [2, 3]

        run(play)

    def test_with_nothing_to_do_it_is_over_at_once(self) -> None:
        async def play() -> None:
            await Rig().exchange.drain(1000)

        run(play)

    def test_whoever_is_cancelled_before_their_turn_gives_everything_back(self) -> None:
        async def play() -> None:
            rig, others = Rig(), asyncio.all_tasks()
            rig.receive(login())
            for task in asyncio.all_tasks() - others:
                task.cancel()
            await turns()
            assert (rig.decider.requests, rig.sent) == ([], [])
            assert (rig.exchange.in_flight, len(rig.exchange._desks["vpn"].in_flight)) == (0, 0)
            assert rig.meter.discarded("closing") == 1
            rig.receive(login())
            await turns()
            assert len(rig.decider.requests) == 1
            await rig.exchange.drain(0)

        run(play)

    def test_it_does_not_wait_longer_than_it_may(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(timeout=1000))
            rig.receive(login(identifier=1))
            rig.receive(login(identifier=2))
            await turns()
            rig.decider.say(REJECT, 0)
            await turns()
            assert (rig.exchange.in_flight, rig.exchange.held) == (1, 1)
            await rig.exchange.drain(0.01)
            await turns()
            assert rig.sent == []
            assert (rig.exchange.in_flight, rig.exchange.held) == (0, 0)
            cut, failed = rig.log.entries
            assert (cut["event"], cut["in_flight"], cut["held"]) == ("drain_cut_short", 1, 1)
            assert failed["error"] == "CancelledError"

        run(play)


@settings(deadline=None)
@given(
    st.lists(st.tuples(mutated() | st.binary(max_size=100), st.booleans()), max_size=6),
    st.sampled_from(["require", "auto", "off"]),
)
def test_whatever_comes_in_nothing_is_raised_and_silence_is_kept(
    packets: list[tuple[bytes, bool]], rule: Literal["require", "auto", "off"]
) -> None:
    async def accept(request: AccessRequest) -> Reply:
        return ACCEPT if request.eap is None else Reply(Code.ACCESS_ACCEPT, eap=request.eap, msk=bytes(64))

    async def play() -> None:
        rig = Rig(make_client(rule), answer=accept)
        for port, (octets, other_host) in enumerate(packets):
            host = "127.0.0.2" if other_host else "127.0.0.1"
            before, signer = len(rig.sent), rig.sources.signs("vpn", host)
            rig.receive(octets, (host, port))
            await turns()
            answered = len(rig.sent) - before
            assert answered == (0 if must_be_silent(octets, rule, signer) else 1)
        await rig.exchange.drain(1)
        assert rig.meter.total("discarded") + len(rig.sent) == len(packets)

    run(play)


_IN_EAP = Reply(Code.ACCESS_CHALLENGE, b"state", eap=bytes(1400))
_REPLIES = st.sampled_from([ACCEPT, REJECT, _IN_EAP, None, RuntimeError(), asyncio.CancelledError()])
_ASKED = st.tuples(st.integers(1, 2), st.integers(0, 2), st.sampled_from([bytes(16), bytes([1]) * 16]))


@settings(deadline=None)
@given(st.lists(_ASKED | st.tuples(st.integers(0, 3), _REPLIES), max_size=30), st.booleans())
def test_whatever_becomes_of_requests_they_give_back_all_the_room_they_took(
    steps: list[tuple[int, int, bytes] | tuple[int, Reply | BaseException | None]], shared: bool
) -> None:
    """Duplicates, Identifiers used anew, silence, failures and delays, in any order, with little room."""

    async def play() -> None:
        client = make_client(timeout=0.02, networks=("127.0.0.0/8",) if shared else ("127.0.0.1/32",))
        rig = Rig(client, limits=Limits(in_flight=3, in_flight_per_client=4, held_per_client=2, remembered=6))
        for step in steps:
            waiting = rig.decider.waiting
            if len(step) == 3:
                host, identifier, salt = step
                rig.receive(login(identifier=identifier, salt=salt), (f"127.0.0.{host if shared else 1}", 1))
            elif step[0] < len(waiting):
                number, reply = step
                if isinstance(reply, BaseException):
                    waiting[number].set_exception(reply)
                else:
                    waiting[number].set_result(reply)
            await turns()
            assert rig.exchange.in_flight == len(rig.decider.waiting) == len(rig.exchange._desks["vpn"].in_flight)
            assert rig.exchange.held == len(rig.exchange._desks["vpn"].held)
        for reply_of in rig.decider.waiting:
            reply_of.set_result(REJECT)
        await rig.exchange.drain(5)
        desk = rig.exchange._desks["vpn"]
        assert (rig.exchange.in_flight, len(desk.in_flight), len(desk.held)) == (0, 0, 0)
        assert not desk.replies._in_flight
        assert len(desk.replies._room) == len(desk.replies._answered)

    run(play)
