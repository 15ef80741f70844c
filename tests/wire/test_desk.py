"""What a connection has asked, and what becomes of it when the connection ends (RFC 6614, RFC 6613)."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrad.packet import AuthPacket

from radius_mfa.core.messages import AccessRequest, Code, Reply
from radius_mfa.wire.desk import KnownReplies, Limits, Link
from tests.wire.support import RADSEC, SECRET, login, login_over_tls, make_client, request
from tests.wire.test_exchange import ACCEPT, REJECT, SOURCE, Rig, run, turns
from tests.wire.test_packet import must_be_silent, mutated

ALICE = (1, b"alice")
EAP = (79, b"\x02\x01\x00\x0a\x01alice")
STATUS = request([], code=12, sign=RADSEC)


class TestVerified:
    """RFC 6614 §2.3: TLS has verified it, and `radsec` is the shared secret."""

    def test_a_request_is_answered_with_the_secret_radsec(self) -> None:
        async def play() -> None:
            rig = Rig()
            assert rig.over(rig.link(), login_over_tls(b"sesame", (31, b"station"))) == [True]
            await turns()
            (asked,) = rig.decider.requests
            assert (asked.nas.name, asked.source, asked.arrived) == ("vpn", "127.0.0.1:40000", 1000.0)
            assert (asked.password, asked.first(1), asked.first(31)) == (b"sesame", b"alice", b"station")
            rig.decider.say(Reply(Code.ACCESS_CHALLENGE, b"state", ("Code?",)))
            await turns()
            theirs = AuthPacket(packet=login_over_tls(), secret=RADSEC)
            assert theirs.VerifyReply(AuthPacket(packet=rig.sent[0], secret=RADSEC), enforce_ma=True)
            assert rig.meter.counts["requests", "vpn", "access_request"] == 1
            assert rig.meter.counts["replies", "vpn", "access_challenge"] == 1

        run(play)

    @pytest.mark.parametrize("rule", ["require", "auto", "off"])
    @pytest.mark.parametrize("extra", [(), ((33, b"proxy"),)], ids=["plain", "Proxy-State"])
    def test_it_needs_no_message_authenticator_whatever_the_rule_for_datagrams(
        self, rule: Literal["require", "auto", "off"], extra: tuple[tuple[int, bytes], ...]
    ) -> None:
        """CVE-2024-3596 is of datagrams.  Nothing is counted of who sends it, nor noted for `auto`."""

        async def play() -> None:
            rig = Rig(make_client(rule), signers=[("vpn", "127.0.0.1")])
            rig.over(rig.link(), login_over_tls(b"sesame", *extra, sign=None))
            rig.over(rig.link(source=("127.0.0.9", 1)), login_over_tls(b"sesame", *extra))
            await turns()
            assert [asked.password for asked in rig.decider.requests] == [b"sesame"] * 2
            assert (rig.sources.take(), rig.noted) == ([], 0)
            assert not rig.sources.signs("vpn", "127.0.0.9")
            await rig.exchange.drain(0)

        run(play)

    def test_the_source_address_chooses_nothing(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(), make_client(name="wifi", networks=("192.0.2.0/24",)))
            rig.over(rig.link("wifi", ("::1", 7)), login_over_tls())
            await turns()
            assert [(asked.nas.name, asked.source) for asked in rig.decider.requests] == [("wifi", "[::1]:7")]
            await rig.exchange.drain(0)

        run(play)

    def test_status_server_is_answered_at_once_where_the_node_is_ready(self) -> None:
        """RFC 5997 §4.2; RFC 6613 §2.6.2."""

        async def play() -> None:
            rig = Rig()
            link = rig.link()
            assert rig.over(link, STATUS) == [True]
            assert rig.codes == [2]
            rig.ready = False
            assert rig.over(link, STATUS) == [True]
            assert (rig.codes, rig.meter.discarded("not_ready")) == ([2], 1)

        run(play)

    def test_whoever_is_on_his_way_out_takes_nothing_new_and_closes_nothing(self) -> None:
        async def play() -> None:
            rig = Rig()
            await rig.exchange.drain(0)
            assert rig.over(rig.link(), login_over_tls()) == [True]
            assert rig.meter.discarded("closing") == 1

        run(play)


class TestDiscards:
    """RFC 6613 §2.6.4: what is no packet ends the connection, and a good one that is not answered does not."""

    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            (b"\x01\x07\x00\x13" + bytes(15), "shorter_than_header"),
            (login_over_tls()[:-1], "shorter_than_length"),
            (b"\x01\x07\x00\x13" + bytes(16), "length_out_of_range"),
            (request([ALICE, (0, b"")], sign=None), "attribute_type_zero"),
            (b"\x01\x07\x00\x16" + bytes(16) + b"\x01\x01", "attribute_too_short"),
            (b"\x01\x07\x00\x16" + bytes(16) + b"\x01\x03", "attribute_overrun"),
            (request([ALICE] * 201, sign=None), "too_many_attributes"),
            (request([ALICE, (80, bytes(16))], sign=RADSEC), "message_authenticator_duplicated"),
            (request([ALICE, (80, bytes(15))], sign=None), "message_authenticator_malformed"),
            (login_over_tls(sign=b"another secret"), "message_authenticator_wrong"),
            (login(), "message_authenticator_wrong"),
            (request([ALICE, EAP], sign=SECRET), "message_authenticator_wrong"),
        ],
    )
    def test_these_close(self, octets: bytes, reason: str) -> None:
        async def play() -> None:
            rig = Rig()
            assert rig.over(rig.link(), octets) == [False]
            assert rig.meter.discarded(reason) == 1
            assert rig.logged == [("discarded", reason, "127.0.0.1")]
            assert rig.sent == []

        run(play)

    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            (request([ALICE], code=4, sign=None), "code_not_served"),
            (request([ALICE], code=40, sign=RADSEC), "code_not_served"),
            (request([ALICE, EAP], sign=None), "eap_without_message_authenticator"),
            (request([], code=12, sign=None), "status_server_without_message_authenticator"),
            (request([ALICE, (2, bytes(16)), EAP], sign=RADSEC), "eap_with_password"),
            (request([ALICE, (33, b"proxy")], sign=None), "no_credential"),
        ],
    )
    def test_these_do_not(self, octets: bytes, reason: str) -> None:
        """RFC 6613 §2.6.4: such as an invalid Code; RFC 3579 §3.2 and RFC 5997 §3 hold over TLS as well."""

        async def play() -> None:
            rig = Rig()
            assert rig.over(rig.link(), octets, login_over_tls()) == [True, True]
            assert rig.meter.discarded(reason) == 1
            await turns()
            assert len(rig.decider.requests) == 1
            assert rig.sources.take() == []
            await rig.exchange.drain(0)

        run(play)


class TestDuplicates:
    """RFC 5080 §2.2.2; RFC 6613 §2.6.1: of one connection, and no longer than it."""

    def test_in_flight_is_dropped_and_answered_gets_the_same_octets(self) -> None:
        async def play() -> None:
            rig = Rig()
            link = rig.link()
            assert rig.over(link, login_over_tls(), login_over_tls()) == [True, True]
            await turns()
            assert (len(rig.decider.requests), rig.meter.discarded("duplicate_in_flight")) == (1, 1)
            rig.decider.say(ACCEPT)
            await turns()
            rig.over(link, login_over_tls())
            assert rig.sent[1:] == rig.sent[:1]
            assert rig.meter.counts["repeated", "vpn"] == 1

        run(play)

    def test_the_same_packet_on_another_connection_or_as_a_datagram_is_another_request(self) -> None:
        """Also where the source's port is the same, after a NAS has lost its power."""

        async def play() -> None:
            rig = Rig(make_client(secrets=(RADSEC,)))
            links = [rig.link(), rig.link()]
            for link in links:
                rig.over(link, login_over_tls())
            rig.receive(login_over_tls())
            await turns()
            assert len(rig.decider.requests) == 3
            rig.decider.say(ACCEPT, 0)
            await turns()
            rig.over(links[1], login_over_tls())
            rig.receive(login_over_tls())
            assert (len(rig.sent), rig.meter.discarded("duplicate_in_flight")) == (1, 2)
            await rig.exchange.drain(0)

        run(play)

    def test_they_end_with_the_connection(self) -> None:
        async def play() -> None:
            rig = Rig()
            before = rig.link()
            rig.over(before, login_over_tls())
            await turns()
            rig.decider.say(ACCEPT)
            await turns()
            rig.exchange.hang_up(before)
            rig.over(rig.link(), login_over_tls())
            await turns()
            assert len(rig.decider.requests) == 2
            await rig.exchange.drain(0)

        run(play)

    def test_all_256_identifiers_are_in_flight_on_one_connection(self) -> None:
        """RFC 6613 §2.6.1: as many as there are, each answered in its turn."""

        async def play() -> None:
            rig = Rig(make_client(networks=()))
            link = rig.link()
            packets = [login_over_tls(identifier=number) for number in range(256)]
            assert all(rig.exchange.has_room_for(link) and rig.over(link, each) == [True] for each in packets)
            await turns()
            assert rig.exchange.in_flight == len(rig.decider.requests) == 256
            for number in reversed(range(256)):
                rig.decider.say(ACCEPT, number)
                await turns()
            assert [octets[1] for octets in rig.sent] == list(reversed(range(256)))
            # And again, each Identifier for something else.
            assert all(rig.over(link, login_over_tls(identifier=n, salt=bytes(16))) == [True] for n in range(256))
            await turns()
            assert rig.exchange.in_flight == 256
            assert rig.meter.total("discarded") == 0
            await rig.exchange.drain(0)

        run(play)

    def test_a_reused_identifier_gives_up_the_old_request(self) -> None:
        async def play() -> None:
            rig = Rig()
            rig.over(rig.link(), login_over_tls())
            link = rig.link()
            rig.over(link, login_over_tls(), login_over_tls(salt=bytes(16)))
            await turns()
            rig.decider.say(ACCEPT, 1)
            await turns()
            assert (rig.sent, rig.meter.discarded("superseded")) == ([], 1)
            rig.decider.say(ACCEPT, 2)
            rig.decider.say(ACCEPT, 0)
            await turns()
            assert rig.codes == [2, 2]

        run(play)

    def test_a_reload_between_changes_nothing_for_a_connection(self) -> None:
        async def play() -> None:
            known: KnownReplies = {}
            before = Rig(replies=known)
            link = before.link()
            before.over(link, login_over_tls(identifier=1), login_over_tls(identifier=2))
            await turns()
            before.decider.say(ACCEPT, 0)
            await turns()
            after = Rig(make_client(timeout=1.0), replies=known)
            after.over(link, login_over_tls(identifier=1), login_over_tls(identifier=2))
            assert before.sent[1:] == before.sent[:1]
            assert after.meter.discarded("duplicate_in_flight") == 1
            before.decider.say(ACCEPT, 1)
            await turns()
            after.over(link, login_over_tls(identifier=2))
            assert before.sent[2] == before.sent[3]
            assert after.decider.requests == []
            # And both hear that it ends.
            before.over(link, login_over_tls(identifier=3))
            after.over(link, login_over_tls(identifier=4))
            await turns()
            for rig in (before, after):
                assert rig.exchange.in_flight == 1
                rig.exchange.hang_up(link)
            await turns()
            assert (before.exchange.in_flight, after.exchange.in_flight) == (0, 0)

        run(play)


class TestHangUp:
    """RFC 6613 §2.6.1: whose connection has ended cannot be answered, and is not."""

    def test_what_is_in_flight_is_cancelled_and_gives_back_its_room(self) -> None:
        async def play() -> None:
            rig = Rig()
            gone, other = rig.link(), rig.link()
            rig.over(gone, login_over_tls(identifier=1), login_over_tls(identifier=2))
            rig.over(other, login_over_tls(identifier=1))
            rig.receive(login(identifier=1))
            await turns()
            rig.exchange.hang_up(gone)
            await turns()
            assert len(rig.decider.waiting) == rig.exchange.in_flight == 2
            assert len(rig.exchange._desks["vpn"].in_flight) == 2
            assert (rig.meter.discarded("connection_closed"), rig.log.entries) == (2, [])
            for reply in rig.decider.waiting:
                reply.set_result(ACCEPT)
            await turns()
            assert rig.codes == [2, 2]

        run(play)

    def test_also_what_had_not_begun(self) -> None:
        async def play() -> None:
            rig = Rig()
            gone = rig.link()
            rig.over(gone, login_over_tls())
            assert rig.exchange.in_flight == 1
            rig.exchange.hang_up(gone)
            await turns()
            assert (rig.decider.requests, rig.exchange.in_flight, len(gone.replies._room)) == ([], 0, 0)
            assert (rig.meter.discarded("connection_closed"), rig.log.entries) == (1, [])

        run(play)

    def test_what_is_held_is_not_sent_and_its_timers_are_gone(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(timeout=0.02))
            gone, other = rig.link(), rig.link()
            for link in (gone, other):
                rig.over(link, login_over_tls())
            await turns()
            for number in range(2):
                rig.decider.say(REJECT, number)
            await turns()
            handles = {asked.link: handle for asked, handle in rig.exchange._held.items()}
            rig.exchange.hang_up(gone)
            assert (handles[gone].cancelled(), handles[other].cancelled()) == (True, False)
            assert rig.exchange.held == len(rig.exchange._desks["vpn"].held) == 1
            await rig.arrived.wait()
            assert (rig.codes, rig.meter.discarded("connection_closed")) == ([3], 1)
            assert rig.exchange.held == 0

        run(play)

    @pytest.mark.parametrize("reply", [ACCEPT, REJECT, None])
    def test_an_answer_that_is_there_at_the_same_moment_is_not_sent(self, reply: Reply | None) -> None:
        async def play() -> None:
            rig = Rig()
            gone = rig.link()
            rig.over(gone, login_over_tls())
            await turns()
            rig.decider.say(reply)
            rig.exchange.hang_up(gone)
            await turns()
            assert (rig.sent, rig.exchange.in_flight, rig.exchange.held) == ([], 0, 0)

        run(play)

    def test_whatever_goes_wrong_afterwards_is_of_no_interest(self) -> None:
        async def play() -> None:
            async def stubborn(_: AccessRequest) -> Reply:
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    raise RuntimeError

            rig = Rig(answer=stubborn)
            gone = rig.link()
            rig.over(gone, login_over_tls())
            await turns()
            rig.exchange.hang_up(gone)
            await turns()
            assert (rig.meter.discarded("connection_closed"), rig.meter.discarded("answer_failed")) == (1, 0)
            assert rig.log.entries == []

        run(play)

    def test_whoever_waits_for_the_end_need_not_wait_for_it(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(timeout=1000))
            gone = rig.link()
            rig.over(gone, login_over_tls(identifier=1), login_over_tls(identifier=2))
            await turns()
            rig.decider.say(REJECT, 0)
            await turns()
            draining = asyncio.create_task(rig.exchange.drain(1000))
            await turns()
            assert not draining.done()
            rig.exchange.hang_up(gone)
            await draining
            assert rig.meter.discarded("connection_closed") == 2

        run(play)

    def test_only_what_is_held_keeps_nobody_waiting_either(self) -> None:
        async def play() -> None:
            rig = Rig(make_client(timeout=1000))
            gone = rig.link()
            rig.over(gone, login_over_tls())
            await turns()
            rig.decider.say(REJECT)
            await turns()
            draining = asyncio.create_task(rig.exchange.drain(1000))
            await turns()
            rig.exchange.hang_up(gone)
            await draining

        run(play)


class TestRoom:
    """Nobody sends twice what is sent over TCP, so that it waits where it is."""

    def test_of_a_client(self) -> None:
        async def play() -> None:
            client = make_client(networks=("127.0.0.1/32",))
            other = make_client(name="wifi", networks=("192.0.2.1/32",))
            rig = Rig(client, other, good_states=[b"state"], limits=Limits(in_flight_per_client=4))
            link, wifi = rig.link(), rig.link("wifi")
            for identifier in range(3):
                assert rig.exchange.has_room_for(link)
                rig.over(link, login_over_tls(identifier=identifier))
            assert not rig.exchange.has_room_for(link)
            assert not rig.exchange.has_room_for(rig.link())
            assert rig.exchange.has_room_for(wifi)
            # What comes all the same is dropped as a datagram is, but for a login half-way.
            rig.over(link, login_over_tls(identifier=3), login_over_tls(b"1", (24, b"state"), identifier=4))
            assert (rig.meter.discarded("client_busy"), rig.exchange.in_flight) == (1, 4)
            await turns()
            for number in range(2):
                rig.decider.say(ACCEPT, number)
            await turns()
            assert rig.exchange.has_room_for(link)
            await rig.exchange.drain(0)

        run(play)

    def test_in_all(self) -> None:
        async def play() -> None:
            other = make_client(name="wifi", networks=("192.0.2.0/24",))
            rig = Rig(make_client(), other, limits=Limits(in_flight=4))
            link, wifi = rig.link(), rig.link("wifi")
            for identifier in range(3):
                assert rig.exchange.has_room_for(wifi)
                rig.over(link, login_over_tls(identifier=identifier))
            assert not rig.exchange.has_room_for(wifi)
            rig.exchange.hang_up(link)
            await turns()
            assert rig.exchange.has_room_for(wifi)

        run(play)

    def test_a_source_of_several_leaves_half_to_the_others(self) -> None:
        async def play() -> None:
            rig = Rig(limits=Limits(in_flight_per_client=8))
            one, other = rig.link(), rig.link(source=("127.0.0.2", 1))
            for identifier in range(3):
                rig.over(one, login_over_tls(identifier=identifier))
            assert not rig.exchange.has_room_for(one)
            assert rig.exchange.has_room_for(other)
            await rig.exchange.drain(0)

        run(play)


_SALTS = st.sampled_from([bytes(16), bytes([1]) * 16])
_ASKED = st.tuples(st.integers(0, 2), st.integers(0, 2), _SALTS)
_SAID = st.tuples(st.integers(0, 3), st.sampled_from([ACCEPT, REJECT, None, RuntimeError()]))
_GONE = st.integers(0, 1)


@settings(deadline=None)
@given(st.lists(_ASKED | _SAID | _GONE, max_size=30))
def test_whatever_becomes_of_connections_all_the_room_is_given_back(
    steps: list[tuple[int, int, bytes] | tuple[int, Reply | BaseException | None] | int],
) -> None:
    """Requests on two connections and as datagrams, answers, and ends of connections, at any moment."""

    async def play() -> None:
        limits = Limits(in_flight=5, in_flight_per_client=4, held_per_client=2, remembered=6)
        rig = Rig(make_client(timeout=0.02, secrets=(RADSEC,)), limits=limits)
        links: list[Link] = [rig.link(), rig.link()]
        desk = rig.exchange._desks["vpn"]
        for step in steps:
            if isinstance(step, int):
                rig.exchange.hang_up(links[step])
                links[step] = rig.link()
            elif len(step) == 3:
                way, identifier, salt = step
                octets = login_over_tls(identifier=identifier, salt=salt)
                if way == 2:
                    rig.receive(octets, SOURCE)
                else:
                    rig.over(links[way], octets)
                    continue  # the next step may come before it has begun
            elif step[0] < len(rig.decider.waiting):
                waiting, reply = rig.decider.waiting[step[0]], step[1]
                if isinstance(reply, BaseException):
                    waiting.set_exception(reply)
                else:
                    waiting.set_result(reply)
            await turns()
            assert rig.exchange.in_flight == len(rig.decider.waiting) == len(desk.in_flight)
            assert rig.exchange.held == len(desk.held)
        for link in links:
            rig.exchange.hang_up(link)
        await turns()
        for reply_of in rig.decider.waiting:
            reply_of.set_result(REJECT)
        await rig.exchange.drain(5)
        assert (rig.exchange.in_flight, len(desk.in_flight), len(desk.held)) == (0, 0, 0)
        assert len(desk.replies._room) == len(desk.replies._answered)
        for link in links:
            assert not link.replies._in_flight
            assert len(link.replies._room) == len(link.replies._answered)

    run(play)


@settings(deadline=None)
@given(st.lists(mutated() | st.binary(max_size=100), max_size=6))
def test_whatever_comes_on_a_connection_nothing_is_raised_and_silence_is_kept(packets: list[bytes]) -> None:
    async def accept(_: AccessRequest) -> Reply:
        return ACCEPT

    async def play() -> None:
        rig = Rig(make_client("require"), answer=accept)
        for octets in packets:
            before = len(rig.sent)
            stays = rig.over(rig.link(), octets)[0]
            await turns()
            answered = len(rig.sent) - before
            assert answered == (0 if must_be_silent(octets, "optional", True, RADSEC) else 1)
            assert stays or not answered
        assert rig.meter.total("discarded") + len(rig.sent) == len(packets)

    run(play)
