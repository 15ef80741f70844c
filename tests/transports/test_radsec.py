"""RADIUS over TLS (RFC 6614) on loopback: strangers, limits, whatever may come instead of TLS; on both loops."""

from __future__ import annotations

import asyncio
import os
import resource
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.transports.radsec import RadsecLimits, RadsecListener, _neighbourhood
from radius_mfa.wire.clients import Clients
from tests.transports.support import (
    CLOSED,
    CUT,
    LOOPS,
    RESET,
    End,
    House,
    Nas,
    Pki,
    Run,
    listening,
    packet,
    watched,
)
from tests.wire.support import make_client

FEW = RadsecLimits(connections=3, connections_of_client=2, handshakes=4)
QUICK = RadsecLimits(handshake=0.05)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=list(LOOPS))
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with watched(request.param) as run_in_loop:
        yield run_in_loop


def hello(context: ssl.SSLContext) -> bytes:
    """A ClientHello in its record."""
    end = End(context)
    end.shake()
    return end.outgoing.read()


async def is_served(listener: RadsecListener, pki: Pki, house: House) -> None:
    """Whether the next one is."""
    closed = house.meter.counts["radsec_closed", "vpn", "closed_by_peer"]
    with await Nas.of(listener, pki.vpn) as nas:
        await nas.ask(packet())
        await nas.farewell()
        await house.closed("closed_by_peer", closed + 1)


class TestServed:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_a_client_with_its_certificate(self, run: Run, pki: Pki, host: str) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context, host=host) as listener:
                assert listener.address[0] == host
                with await Nas.of(listener, pki.nas("VPN.example.org", "another.example.org")) as nas:
                    await nas.ask(packet())
                    ((link, _),) = house.received
                    assert (link.client, link.source) == ("vpn", nas.sock.getsockname()[:2])
                    assert listener.counted() == {"vpn": 1}
                    await nas.farewell()
                    assert await nas.ended() == CLOSED
                await house.closed("closed_by_peer")
                assert house.gone == [link]
            (line,) = house.said("radsec_connected")
            assert (line["client"], line["source"], line["tls"]) == ("vpn", host, "TLSv1.3")
            assert line["names"] == "another.example.org, vpn.example.org"

        run(play)

    def test_what_a_certificate_says_is_not_more_than_a_line_of_the_log(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            names = [f"{number}.{'x' * 60}.example.org" for number in range(40)]
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.nas(*names)) as nas:
                    assert await nas.ended() in (CUT, RESET)
            (line,) = house.said("radsec_refused")
            assert len(line["names"]) == 200

        run(play)


class TestStrangers:
    def test_leave_no_session_behind(self, run: Run, pki: Pki) -> None:
        """OpenSSL keeps those of TLS 1.2 with all certificates that were sent, 20,480 of them."""

        async def play() -> None:
            house = House(make_client(certificate="vpn.example.org"))
            stranger = pki.nas("other.example.org")
            stranger.maximum_version = ssl.TLSVersion.TLSv1_2
            async with listening(house, pki.context) as listener:
                for _ in range(5):
                    # It may be cut so early that its handshake is not over.
                    with suppress(OSError), await Nas.of(listener, stranger) as nas:
                        await nas.ended()
                await is_served(listener, pki, house)
                assert listener.tls.session_stats()["number"] <= 1

        run(play)

    @pytest.mark.parametrize(
        ("names", "reason"),
        [
            (["other.example.org"], "unknown_name"),
            (["*.example.org"], "unknown_name"),
            ([], "certificate_without_name"),
            (["vpn.example.org", "192.0.2.7"], "names_two_clients"),
            (["far.example.org"], "address_not_of_client"),
        ],
    )
    def test_with_a_certificate_of_our_authority_is_not_yet_a_client(
        self, run: Run, pki: Pki, names: list[str], reason: str
    ) -> None:
        """RFC 6614 §2.3."""

        async def play() -> None:
            house = House(
                make_client(certificate="vpn.example.org"),
                make_client(name="wifi", networks=(), certificate="192.0.2.7"),
                make_client(
                    name="far", networks=(), certificate="far.example.org", radsec_networks=("192.0.2.0/24",)
                ),
            )
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.nas(*names)) as nas:
                    await nas.send(packet())
                    assert await nas.ended() in (CUT, RESET)
                await house.refused(reason)
                await is_served(listener, pki, house)
            assert len(house.received) == 1
            assert [line["reason"] for line in house.said("radsec_refused")] == [reason]

        run(play)

    def test_without_a_certificate_is_refused_with_an_alert(self, run: Run, pki: Pki) -> None:
        """RFC 8446 §6.2: certificate_required, which arrives where TCP lets it."""

        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.client_context(None)) as nas:
                    assert await nas.ended() == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
                await house.refused("handshake_failed")
                await is_served(listener, pki, house)
            (line,) = house.said("radsec_refused")
            assert line["detail"] == "peer did not return a certificate"

        run(play)

    @pytest.mark.parametrize(
        "octets",
        [
            b"GET / HTTP/1.1\r\nHost: radius.example.org\r\n\r\n",
            packet(),
            bytes(5000),
            b"\x16\x03\x01\xff\xff" + bytes(65535),
            b"\x15\x03\x03\x00\x02\x02\x28",
            b"",
        ],
        ids=["HTTP", "RADIUS", "zeros", "longest record", "alert", "nothing"],
    )
    def test_who_speak_no_tls(self, run: Run, pki: Pki, octets: bytes) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with await Nas.silent(listener, pki.vpn) as nas:
                    await nas.raw(octets)
                    nas.sock.shutdown(1)
                    await house.refused("handshake_failed")
                await is_served(listener, pki, house)

        run(play)

    def test_who_are_gone_in_the_middle(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                first = await Nas.silent(listener, pki.vpn)
                await first.raw(hello(pki.vpn)[:100])
                first.sock.close()
                second = await Nas.silent(listener, pki.vpn)
                await second.raw(hello(pki.vpn))
                second.reset()
                await house.refused("handshake_failed", 2)
                await is_served(listener, pki, house)

        run(play)

    @pytest.mark.parametrize("said", [0, 5, 100])
    def test_who_take_too_long(self, run: Run, pki: Pki, said: int) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context, limits=QUICK) as listener:
                with await Nas.silent(listener, pki.vpn) as nas:
                    await nas.raw(hello(pki.vpn)[:said])
                    await house.refused("handshake_failed")
                    assert await nas.ended() in (CUT, RESET)
            (line,) = house.said("radsec_refused")
            assert line["detail"] == "took too long"

        run(play)

    def test_are_few_lines_of_the_log(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                for number in range(1, 150):
                    with await Nas.silent(listener, pki.vpn, f"127.0.{number}.1") as nas:
                        await nas.raw(bytes(16))
                        await nas.ended()
                await house.refused("handshake_failed", 149)
                with await Nas.of(listener, pki.vpn) as nas:
                    await nas.ask(packet())
                    await nas.farewell()
                    await house.closed("closed_by_peer")
            assert len(house.said("radsec_refused")) == 128
            assert len(house.said("radsec_connected")) == 1

        run(play)


class TestHandshakesAtOnce:
    """Silence costs whoever keeps it, and never somebody who means it."""

    def test_the_oldest_is_cut_for_a_new_one(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context, limits=FEW) as listener:
                with ExitStack() as stack:
                    silent = []
                    for number in range(4):
                        nas = await Nas.silent(listener, pki.vpn, f"127.0.0.{number + 2}")
                        silent.append(stack.enter_context(nas))
                    await is_served(listener, pki, house)
                    assert house.meter.counts["radsec_refused", "handshake_cut"] == 1
                    assert listener.handshakes == 3
                    assert await silent[0].ended() in (CUT, RESET)
                    await silent[1].shake()  # the next is still welcome
                    await silent[1].ask(packet())
                    await silent[1].farewell()
                    await house.closed("closed_by_peer", 2)

        run(play)

    def test_no_source_takes_more_than_half(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context, limits=FEW) as listener:
                with ExitStack() as stack:
                    other = stack.enter_context(await Nas.silent(listener, pki.vpn, "127.0.0.9"))
                    many = [stack.enter_context(await Nas.silent(listener, pki.vpn)) for _ in range(6)]
                    await house.refused("handshake_cut", 4)
                    for nas in many[:4]:
                        assert await nas.ended() in (CUT, RESET)
                    await other.shake()
                    await other.ask(packet())
                    await many[5].shake()
                    await many[5].ask(packet())
                    for nas in (other, many[5]):
                        await nas.farewell()
                    await house.closed("closed_by_peer", 2)

        run(play)

    @pytest.mark.parametrize("moment", range(5))
    def test_whoever_is_through_is_not_cut_with_those_who_are_not(self, run: Run, pki: Pki, moment: int) -> None:
        """Whenever it happens, also at the moment when somebody has just come through."""

        async def play() -> None:
            house = House()
            async with listening(house, pki.context, limits=RadsecLimits(handshakes=1)) as listener:
                with await Nas.of(listener, pki.vpn) as nas:
                    for _ in range(moment):
                        await asyncio.sleep(0)
                    with await Nas.silent(listener, pki.vpn):
                        await nas.send(packet())
                        how = b""
                        with suppress(OSError):  # it was not through, as the listener sees it
                            how = await nas.packet()
                        assert how == (packet() if house.said("radsec_connected") else b"")
                        await nas.farewell()
                    await house.until(lambda: len(house.gone) == len(house.said("radsec_connected")))
                await is_served(listener, pki, house)

        run(play)

    @pytest.mark.parametrize(
        ("one", "other", "is_one"),
        [
            ("192.0.2.1", "192.0.2.1", True),
            ("192.0.2.1", "192.0.2.2", False),
            ("192.0.2.1", "::ffff:192.0.2.1", True),
            ("2001:db8::1", "2001:db8::2:0:0:1", True),
            ("2001:db8::1", "2001:db8:0:1::1", False),
            ("fe80::1%eth0", "fe80::2%eth0", True),
            ("nowhere", "elsewhere", False),
        ],
    )
    def test_a_source_is_an_ipv4_address_or_what_somebody_has_all_of(
        self, one: str, other: str, is_one: bool
    ) -> None:
        """RFC 6177 §2: a /64 at least."""
        assert (_neighbourhood(one) == _neighbourhood(other)) == is_one


class TestConnectionsAtOnce:
    def test_of_a_client_and_in_all(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House(
                make_client(certificate="vpn.example.org"),
                make_client(name="wifi", networks=(), certificate="wifi.example.org"),
            )
            wifi = pki.nas("wifi.example.org")
            async with listening(house, pki.context, limits=FEW) as listener:
                with ExitStack() as stack:
                    stays = []
                    for context in (pki.vpn, pki.vpn, wifi):
                        stays.append(stack.enter_context(await Nas.of(listener, context)))
                        await stays[-1].ask(packet())
                        if len(stays) == 2:
                            with await Nas.of(listener, pki.vpn) as third:
                                assert await third.ended() in (CUT, RESET)
                            await house.refused("too_many_of_client")
                    assert listener.counted() == {"vpn": 2, "wifi": 1}
                    with pytest.raises(OSError):  # noqa: PT011 - an end or a reset, as it happens
                        await Nas.of(listener, wifi)
                    await house.refused("too_many_connections")
                    for nas in stays:
                        await nas.ask(packet())
                    await stays[0].farewell()
                    await house.closed("closed_by_peer")
                    stays.append(stack.enter_context(await Nas.of(listener, wifi)))
                    for nas in stays[1:]:
                        await nas.ask(packet())
                        await nas.farewell()
                    await house.until(lambda: len(house.gone) == 4)

        run(play)

    def test_without_a_descriptor_left_it_waits_a_moment(self, run: Run, pki: Pki) -> None:
        """accept(2): EMFILE; the socket stays readable, and looking at it all the time helps nobody."""

        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with (
                    await Nas.silent(listener, pki.vpn) as before,
                    Nas.apart(listener, pki.vpn) as last,
                    Nas.apart(listener, pki.vpn) as late,
                ):
                    with descriptors_left(1):  # for a socket, and none for a handshake
                        await last.connect(listener)
                        await house.refused("handshake_failed")
                        with descriptors_left(0):
                            await late.connect(listener)
                            await house.until(lambda: bool(house.said("accept_failed")))
                    for nas in (late, before):
                        await nas.shake()
                        await nas.ask(packet())
                        await nas.farewell()
                    await house.closed("closed_by_peer", 2)
            assert len(house.said("accept_failed")) == 1

        run(play)


class TestExchanged:
    def test_whoever_is_connected_stays_and_whoever_comes_speaks_the_new(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.vpn) as nas:
                    await nas.ask(packet())
                    listener.tls = pki.server_context()
                    listener.tls.minimum_version = listener.tls.maximum_version = ssl.TLSVersion.TLSv1_2
                    await is_served(listener, pki, house)
                    await nas.ask(packet())
                    await nas.farewell()
                    await house.closed("closed_by_peer", 2)
            assert [line["tls"] for line in house.said("radsec_connected")] == ["TLSv1.3", "TLSv1.2"]
            assert nas.end.tls.version() == "TLSv1.3"

        run(play)

    def test_who_is_configured_out_is_not_let_in_again(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.vpn) as nas:
                    await nas.ask(packet())
                    house.clients = Clients([])
                    listener.review()
                    assert await nas.ended() == CLOSED
                    await nas.farewell()
                    await house.closed("client_removed")
                with await Nas.of(listener, pki.vpn) as nas:
                    assert await nas.ended() in (CUT, RESET)
                await house.refused("unknown_name")

        run(play)


class TestEnd:
    def test_everybody_is_told_farewell(self, run: Run, pki: Pki) -> None:
        """RFC 8446 §6.1: close_notify.  Whoever is only half in is cut."""

        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with (
                    await Nas.of(listener, pki.vpn) as one,
                    await Nas.of(listener, pki.vpn) as other,
                    await Nas.silent(listener, pki.vpn) as half,
                ):
                    for nas in (one, other):
                        await nas.ask(packet())
                    await half.raw(hello(pki.vpn)[:50])
                    await house.until(lambda: listener.handshakes == 1)
                    listener.stop_accepting()
                    listener.stop_accepting()
                    await one.ask(packet())  # until then it is answered
                    with pytest.raises(OSError):  # noqa: PT011 - refused, or reset where it had been waiting
                        await Nas.of(listener, pki.vpn)
                    closing = asyncio.create_task(listener.close())
                    for nas in (one, other):
                        assert await nas.ended() == CLOSED
                        await nas.farewell()
                    assert await half.ended() in (CUT, RESET)
                    await closing
                    await house.closed("stopping", 2)
                    await house.refused("handshake_cut")

        run(play)

    def test_whoever_has_just_been_accepted_is_cut_as_well(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with Nas.apart(listener, pki.vpn) as nas:
                    nas.sock.connect_ex(listener.address)
                    listener._accept()  # as the loop calls it; the handshake has not begun
                    assert listener.handshakes == 1
                    listener.stop_accepting()
                    await house.refused("handshake_cut")
                    assert await nas.ended() in (CUT, RESET)

        run(play)

    def test_nobody_is_waited_for_long(self, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.vpn) as nas:
                    await nas.ask(packet())
                    await listener.close()
                    await house.closed("stopping")
                    assert await nas.ended() == CLOSED

        with watched("uvloop") as run:
            run(play)


@pytest.mark.parametrize("kind", list(LOOPS))
class TestAnyOctets:
    """Nothing that is sent instead of TLS is more than the end of its own connection."""

    def test_instead_of_a_client_hello(self, kind: str, pki: Pki) -> None:
        def whole(run: Run) -> None:
            @settings(deadline=None, max_examples=100)
            @given(mutations(300), st.integers(0, 400), st.booleans())
            def changed(changes: list[tuple[int, int, bytes]], length: int, is_whole: bool) -> None:
                octets = mutated(hello(pki.vpn), changes)

                async def play() -> None:
                    house = House()
                    async with listening(house, pki.context) as listener:
                        with await Nas.silent(listener, pki.vpn) as nas:
                            await nas.raw(octets if is_whole else octets[:length])
                            nas.sock.shutdown(1)
                            await house.refused("handshake_failed")
                        await is_served(listener, pki, house)

                run(play)

            changed()

        with watched(kind) as run:
            whole(run)

    def test_in_the_middle_of_a_handshake(self, kind: str, pki: Pki) -> None:
        def whole(run: Run) -> None:
            @settings(deadline=None, max_examples=60)
            @given(mutations(2000))
            def changed(changes: list[tuple[int, int, bytes]]) -> None:
                async def play() -> None:
                    house = House()
                    async with listening(house, pki.context) as listener:
                        with await Nas.silent(listener, pki.vpn) as nas:
                            with suppress(OSError):
                                while not nas.end.shake():
                                    await nas._carry()
                            await nas.raw(mutated(nas.end.outgoing.read(), changes))  # certificate and Finished
                            nas.sock.shutdown(1)
                            await house.until(
                                lambda: (
                                    house.meter.total("radsec_refused") + house.meter.total("radsec_closed") > 0
                                )
                            )
                        await is_served(listener, pki, house)

                run(play)

            changed()

        with watched(kind) as run:
            whole(run)

    def test_instead_of_records(self, kind: str, pki: Pki) -> None:
        def whole(run: Run) -> None:
            @settings(deadline=None, max_examples=100)
            @given(mutations(600), mutations(100), st.booleans())
            def changed(
                sealed: list[tuple[int, int, bytes]], plain: list[tuple[int, int, bytes]], farewell: bool
            ) -> None:
                packets = b"".join(packet(number, 20 + 10 * number) for number in range(5))

                async def play() -> None:
                    house = House()
                    async with listening(house, pki.context) as listener:
                        with await Nas.of(listener, pki.vpn) as nas:
                            await nas.ask(packet())
                            octets = nas.end.seal(mutated(packets, plain)[:4096] or b"?")
                            await nas.raw(mutated(octets, sealed))
                            if farewell:
                                await nas.farewell()
                            nas.sock.shutdown(1)
                            await house.until(lambda: len(house.gone) == 1)
                        await is_served(listener, pki, house)

                run(play)

            changed()

        with watched(kind) as run:
            whole(run)


def mutations(longest: int) -> st.SearchStrategy[list[tuple[int, int, bytes]]]:
    """Where, how many octets of it go, and what comes in their place."""
    one = st.tuples(st.integers(0, longest), st.integers(0, 8), st.binary(max_size=8))
    return st.lists(one, max_size=4)


def mutated(octets: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, gone, instead in changes:
        octets = octets[:at] + instead + octets[at + gone :]
    return octets


@contextmanager
def descriptors_left(number: int) -> Iterator[None]:
    """For this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 10, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for _ in range(number):
            os.close(taken.pop())
        yield
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
