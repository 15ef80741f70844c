"""The supplicant at a server that none of us wrote, Debian's FreeRADIUS; and at one that is wrong."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from bench.directory import slapd
from bench.eap import packets
from bench.eap.certificates import certify
from bench.eap.freeradius import Tunnels, freeradius_with_eap
from bench.eap.inner import Inner
from bench.rig import SECRET
from bench.supplicant import (
    ACCESS_ACCEPT,
    ACCESS_CHALLENGE,
    ACCESS_REJECT,
    Login,
    MalformedError,
    Method,
    Nas,
    NoReplyError,
    Outcome,
    Packet,
    Peer,
    access_request,
    crowd,
    leave_half_open,
    reply_of,
    station,
)

HEADER = 4 + 1 + 1 + 4  # octets of an EAP packet before its fragment: EAP, type, flags, length

Result = TypeVar("Result")


@dataclass(frozen=True)
class Served:
    """FreeRADIUS: where, whose certificate it has, and how it speaks."""

    address: tuple[str, int]
    ca_file: Path
    tls: str
    fragment: int

    def login(self, method: Method, *texts: bytes) -> Login:
        fragment = self.fragment + HEADER
        return Login(method, b"u1", texts, tls=self.tls, fragment=fragment, ca_file=self.ca_file)

    def log_in(self, login: Login, session: SSL.Session | None = None) -> tuple[Peer, Outcome]:
        async def main() -> tuple[Peer, Outcome]:
            peer = Peer(login, session)
            async with Nas(self.address, SECRET) as nas:
                return peer, await nas.log_in(peer)

        return run(main())


def run(main: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(main)


@pytest.fixture(scope="module", params=[("1.2", 300), ("1.2", 1400), ("1.3", 300), ("1.3", 1400)])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    tls, fragment = request.param
    certificate, key = certify(tmp_path_factory.mktemp("tls"), "ECDSA P-256")
    tunnels = Tunnels(certificate, key, tls, fragment)
    with slapd(40) as directory, freeradius_with_eap(directory, tunnels) as it:
        yield Served(("127.0.0.1", it.port), certificate, tls, fragment)


@pytest.mark.parametrize("method", Method)
def test_both_ends_have_the_same_keys_after_a_full_handshake_and_after_a_resumed_one(
    served: Served, method: Method
) -> None:
    """RFC 5281 §8, RFC 9427 §2: the MSK is in MS-MPPE-Recv-Key and MS-MPPE-Send-Key."""
    login = served.login(method, b"pw1")

    peer, full = served.log_in(login)
    again, resumed = served.log_in(login, full.session)

    assert (full.failure, full.is_resumed, full.keys_match) == ("", False, True)
    assert peer.longest <= served.fragment + HEADER
    assert peer.inner.prompts == ([b"Password: "] if method is not Method.TTLS_PAP else [])
    assert peer.inner.results == ([True] if method is Method.PEAP_GTC else [])
    assert (resumed.failure, resumed.keys_match) == ("", True)
    # With TLS 1.3 FreeRADIUS 3.2.1 answers TTLS/PAP by Success at once, its ticket unsent.
    assert resumed.is_resumed is not (served.tls == "1.3" and method is Method.TTLS_PAP)
    if resumed.is_resumed:
        assert again.inner.prompts == []
        assert again.is_protected is (served.tls == "1.3")  # RFC 9190 §2.5
        assert peer.msk != again.msk


@pytest.mark.parametrize("method", Method)
def test_a_wrong_password_ends_with_a_reject_and_failure(served: Served, method: Method) -> None:
    peer, outcome = served.log_in(served.login(method, b"not pw1"))

    assert outcome.reply is not None
    assert (outcome.reply.code, peer.is_accepted, outcome.is_accepted) == (ACCESS_REJECT, False, False)
    assert outcome.reply.keys is None


def test_a_server_with_a_certificate_of_somebody_else_gets_no_password(served: Served, tmp_path: Path) -> None:
    certificate, _ = certify(tmp_path, "RSA 2048")
    login = replace(served.login(Method.TTLS_GTC, b"pw1"), ca_file=certificate)

    peer, outcome = served.log_in(login)

    assert "certificate verify failed" in outcome.failure
    assert peer.inner.prompts == []
    assert outcome.reply is not None
    assert outcome.reply.code == ACCESS_REJECT


def test_many_log_in_at_once_and_are_resumed_at_once(served: Served) -> None:
    logins = [
        replace(served.login(Method.TTLS_GTC, b"pw%d" % user), name=b"u%d" % user, station=station(user))
        for user in range(40)
    ]

    full = run(crowd(served.address, SECRET, [(login, None) for login in logins]))
    sessions = [outcome.session for outcome in full]
    resumed = run(crowd(served.address, SECRET, zip(logins, sessions, strict=True)))

    assert [outcome.failure for outcome in (*full, *resumed)] == [""] * 80
    assert {outcome.is_resumed for outcome in resumed} == {True}
    assert len({outcome.reply.keys for outcome in resumed if outcome.reply}) == 40


def test_conversations_are_left_half_open_and_others_log_in_beside_them(served: Served) -> None:
    login = served.login(Method.TTLS_PAP, b"pw1")

    assert run(leave_half_open(served.address, SECRET, 50, login)) == 50
    assert served.log_in(login)[1].is_accepted


def test_any_packet_may_be_bent(served: Served) -> None:
    """RFC 3748 §4.1: a response has the request's Identifier."""
    login = served.login(Method.TTLS_PAP, b"pw1")
    seen: list[bytes] = []

    def bend(eap: bytes) -> bytes:
        seen.append(eap)
        return eap if len(seen) < 3 else bytes((eap[0], eap[1] ^ 0x55)) + eap[2:]

    async def main() -> Outcome:
        async with Nas(served.address, SECRET, timeout=0.5, tries=2) as nas:
            return await nas.log_in(Peer(login), bend)

    outcome = run(main())

    assert not outcome.is_accepted
    assert outcome.rounds == len(seen) == 3


def test_packets_are_sent_one_by_one_where_that_is_wanted(served: Served) -> None:
    login = served.login(Method.TTLS_PAP, b"pw1")

    async def main() -> None:
        peer = Peer(login)
        async with Nas(served.address, SECRET) as nas:
            reply = await nas.ask(login, peer.identity())
            assert reply.code == ACCESS_CHALLENGE
            while reply.code == ACCESS_CHALLENGE:
                reply = await nas.ask(login, peer.answer(reply.eap), reply.state)
            assert reply.code == ACCESS_ACCEPT
            assert reply.keys == (peer.msk[:32], peer.msk[32:])

    run(main())


def test_where_nobody_answers_the_login_ends() -> None:
    async def main() -> Outcome:
        silent, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        address = silent.get_extra_info("sockname")
        async with Nas(address, SECRET, timeout=0.01, tries=3) as nas:
            outcome = await nas.log_in(Peer(Login(Method.TTLS_PAP, b"u1", (b"pw1",))))
            with pytest.raises(NoReplyError):
                await nas.ask(Login(Method.TTLS_PAP, b"u1", ()), b"")
        silent.close()
        return outcome

    outcome = run(main())

    assert (outcome.failure, outcome.rounds, outcome.resent) == ("no reply to 3 packets", 1, 2)


def test_every_request_of_gtc_gets_the_next_text() -> None:
    """A password, then a code."""
    inner = Inner(b"u1", (b"pw1", b"123456"))
    requests = [Packet(packets.REQUEST, number, packets.GTC, prompt) for number, prompt in enumerate((b"P", b"C"))]

    assert [inner.answer(each).data for each in requests] == [b"pw1", b"123456"]
    assert inner.prompts == [b"P", b"C"]
    with pytest.raises(MalformedError):
        inner.answer(requests[0])


def test_inside_peap_eap_has_no_header_but_for_its_tlvs() -> None:
    """[MS-PEAP] §3.1.5.6: EAP-TLV keeps its own."""
    inner = Inner(b"u1", (b"pw1",))

    assert inner.headless(b"\1") == b"\1u1"
    assert inner.headless(b"\6Password: ") == b"\6pw1"
    assert inner.headless(b"\4challenge") == b"\3\6"  # RFC 3748 §5.3.1: Nak, GTC instead
    assert inner.headless(b"\1\7\0\x0b\x21\x80\3\0\2\0\1") == b"\2\7\0\x0b\x21\x80\3\0\2\0\1"
    assert inner.results == [True]


@pytest.mark.parametrize("method", Method)
def test_another_method_is_answered_by_the_one_that_is_wanted(method: Method) -> None:
    """RFC 3748 §5.3.1."""
    peer = Peer(Login(method, b"u1", ()))

    nak = packets.packet_of(peer.answer(Packet(packets.REQUEST, 9, 4, b"challenge").octets()))

    assert nak == Packet(packets.RESPONSE, 9, packets.NAK, bytes((method.number,)))


@given(st.binary(max_size=4000), st.integers(20, 1500))
def test_fragments_are_as_long_as_there_is_room_for_and_make_the_message(message: bytes, room: int) -> None:
    """RFC 5216 §2.1.5: the first says the length of the whole, all but the last that there are more."""
    pieces = packets.fragments(message, room)
    found = [packets.fragment_of(each) for each in pieces]

    assert b"".join(each.data for each in found) == message
    assert max(len(Packet(packets.RESPONSE, 0, packets.TTLS, each).octets()) for each in pieces) <= room
    assert [bool(each.flags & packets.MORE) for each in found] == [True] * (len(found) - 1) + [False]
    assert [each.total for each in found] == [len(message) if len(found) > 1 else None] + [None] * (len(found) - 1)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_avps_are_read_as_they_are_written(one: bytes, other: bytes) -> None:
    """RFC 5281 §10.1: padded to four octets, which their length does not say."""
    octets = packets.avp(1, one) + packets.avp(2, other)

    assert len(octets) % 4 == 0
    assert list(packets.avps(octets)) == [(1, one), (2, other)]


@given(st.lists(st.binary(max_size=60), max_size=5), st.sampled_from(Method))
def test_whatever_comes_instead_of_eap_the_peer_says_so_in_words(datas: list[bytes], method: Method) -> None:
    peer = Peer(Login(method, b"u1", (b"pw1",)))
    for number, data in enumerate(datas):
        for octets in (data, Packet(packets.REQUEST, number, method.number, data).octets()):
            with suppress(MalformedError):
                assert peer.answer(octets) or peer.is_accepted is not None

    assert (peer.msk, peer.is_resumed) == (b"", False)


@given(st.binary(max_size=60))
def test_whatever_is_in_the_tunnel_is_answered_or_malformed(data: bytes) -> None:
    for read in (Inner(b"u1", (b"pw1",)).avps, Inner(b"u1", (b"pw1",)).headless):
        with suppress(MalformedError):
            assert read(data)


@given(st.binary(max_size=100))
def test_only_a_reply_that_is_signed_for_the_request_is_one(octets: bytes) -> None:
    """RFC 2865 §3, RFC 3579 §3.2."""
    login = Login(Method.TTLS_PAP, b"u1", ())
    request = access_request(SECRET, 7, login.outer, b"", b"", login.station)

    assert reply_of(SECRET, request, octets) is None
    assert reply_of(SECRET, request, bytes((2, 7, 0, 20)) + octets) is None


def test_stations_of_a_crowd_have_addresses_of_their_own() -> None:
    """RFC 3580 §3.21; of those that anybody may give himself."""
    found = {station(number).calling for number in islice(range(0, 1 << 40, 12345), 1000)}

    assert len(found) == 1000
    assert all(address.startswith(b"02-") and len(address) == 17 for address in found)
