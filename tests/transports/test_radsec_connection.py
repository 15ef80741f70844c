"""One connection: packets out of a stream, however it is cut, and how it ends (RFC 6614, RFC 6613 §2.6.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.transports.radsec import RadsecLimits
from radius_mfa.wire.clients import Clients
from tests.transports.support import CLOSED, LAST, LOOPS, House, Nas, Pki, Run, listening, packet, watched
from tests.wire.support import make_client

# More than the kernel, the loop and we together keep for somebody who does not read.
_FLOOD = 6000


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=list(LOOPS))
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with watched(request.param) as run_in_loop:
        yield run_in_loop


async def hears_nothing_more(nas: Nas, house: House, reason: str) -> None:
    assert await nas.ended() == CLOSED
    await nas.farewell()
    await house.closed(reason)


class TestStream:
    @pytest.mark.parametrize("kind", list(LOOPS))
    def test_any_way_to_cut_it_gives_the_same_packets(self, kind: str, pki: Pki) -> None:
        """RFC 6613 §2.6: neither a record of TLS nor a segment of TCP says where a packet ends."""

        def whole(run: Run) -> None:
            @settings(deadline=None, max_examples=60)
            @given(
                st.lists(st.integers(20, 60) | st.sampled_from([20, 4095, 4096]), min_size=1, max_size=6),
                st.lists(st.integers(0, 9000), max_size=5),
                st.lists(st.integers(0, 9000), max_size=8),
            )
            def cut(lengths: list[int], records: list[int], segments: list[int]) -> None:
                packets = [packet(number, length) for number, length in enumerate(lengths)]

                async def play() -> None:
                    house = House()
                    async with listening(house, pki.context) as listener:
                        with await Nas.of(listener, pki.vpn) as nas:
                            sealed = b"".join(map(nas.end.seal, pieces(b"".join(packets), records)))
                            for piece in pieces(sealed, segments):
                                await nas.raw(piece)
                                await asyncio.sleep(0)
                            assert [await nas.packet() for _ in packets] == packets
                            assert house.packets == packets
                            assert len(set(map(id, (link for link, _ in house.received)))) == 1
                            await nas.farewell()
                            await house.closed("closed_by_peer")

                run(play)

            cut()

        with watched(kind) as run:
            whole(run)

    def test_a_hundred_in_one_record_are_a_hundred(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house, packets = House(), [packet(number) for number in range(100)]
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.vpn) as nas:
                    await nas.send(b"".join(packets))
                    assert [await nas.packet() for _ in packets] == packets
                    await nas.farewell()
                    await house.closed("closed_by_peer")
            assert house.packets == packets

        run(play)

    @pytest.mark.parametrize("length", [0, 1, 19, 4097, 65535])
    def test_an_impossible_length_ends_it(self, run: Run, pki: Pki, length: int) -> None:
        """RFC 6613 §2.6.4: nobody knows where the next one begins.  What came before is answered."""

        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.vpn) as nas:
                    await nas.send(packet() + b"\x01\x07" + length.to_bytes(2, "big") + packet(1))
                    assert await nas.packet() == packet()
                    await hears_nothing_more(nas, house, "malformed")
            assert house.packets == [packet()]

        run(play)

    def test_a_packet_that_the_house_does_not_want_ends_it(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.vpn) as nas:
                    await nas.send(packet() + LAST + packet(1), packet(2))
                    assert await nas.packet() == packet()
                    await hears_nothing_more(nas, house, "malformed")
            assert house.packets == [packet(), LAST]
            assert [entry["reason"] for entry in house.said("radsec_closed")] == ["malformed"]

        run(play)


class TestEnds:
    def test_by_the_nas(self, run: Run, pki: Pki) -> None:
        """RFC 6613 §2.6.1: its requests and duplicates end with it, whichever way it goes."""

        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                for number in range(3):
                    nas = await Nas.of(listener, pki.vpn)
                    await nas.ask(packet(number))
                    link = house.received[-1][0]
                    if number == 0:
                        await nas.farewell()
                        assert await nas.ended() == CLOSED
                    elif number == 1:
                        nas.reset()
                    nas.sock.close()
                    await house.closed("closed_by_peer", number + 1)
                    assert house.gone[-1] is link
                    link.send(packet())  # too late, and no error
                assert listener.counted() == {}

        run(play)

    def test_for_nothing_said_in_a_long_time(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context, idle=0.1) as listener:
                with await Nas.of(listener, pki.vpn) as nas:
                    await nas.ask(packet())
                    await hears_nothing_more(nas, house, "idle")

        run(play)

    def test_for_a_packet_that_takes_too_long(self, run: Run, pki: Pki) -> None:
        """An octet now and then keeps nobody waiting for ever."""

        async def play() -> None:
            house = House()
            async with listening(house, pki.context, limits=RadsecLimits(packet=0.05)) as listener:
                with await Nas.of(listener, pki.vpn) as slow, await Nas.of(listener, pki.vpn) as quick:
                    await slow.send(packet()[:10])
                    await quick.ask(packet())
                    await hears_nothing_more(slow, house, "packet_took_too_long")
                    await quick.ask(packet())
                    await quick.farewell()
                    await house.closed("closed_by_peer")

        run(play)

    def test_for_a_client_that_is_no_more_or_another(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            vpn = make_client(certificate="vpn.example.org")
            wifi = make_client(name="wifi", networks=("192.0.2.1",), certificate="wifi.example.org")
            house = House(vpn, wifi)
            async with listening(house, pki.context) as listener:
                with (
                    await Nas.of(listener, pki.vpn) as one,
                    await Nas.of(listener, pki.nas("wifi.example.org")) as other,
                ):
                    await one.ask(packet())
                    await other.ask(packet())
                    listener.review()
                    await one.ask(packet())
                    assert listener.counted() == {"vpn": 1, "wifi": 1}
                    house.clients = Clients(
                        [vpn, make_client(name="w", networks=(), certificate="wifi.example.org")]
                    )
                    listener.review()
                    assert await other.ended() == CLOSED
                    await other.farewell()
                    await house.closed("client_removed", client="wifi")
                    await one.ask(packet())
                    house.clients = Clients([make_client(certificate="vpn.example.org", radsec_networks=("::1",))])
                    listener.review()
                    await hears_nothing_more(one, house, "client_removed")

        run(play)


class TestNoRoom:
    """Nobody sends twice what is sent over TCP: it waits."""

    def test_nothing_is_lost_and_nothing_taken(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house, packets = House(), [packet(number, 4096) for number in range(400)]
            house.room = False
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.vpn) as nas, await Nas.of(listener, pki.vpn) as other:
                    sending = asyncio.create_task(nas.send(*packets))
                    await other.send(packet())
                    assert house.received == []
                    house.room = True
                    assert [await nas.packet() for _ in packets] == packets
                    await sending
                    assert await other.packet() == packet()
                    await nas.farewell()
                    await other.farewell()
                    await house.closed("closed_by_peer", 2)

        run(play)

    @pytest.mark.parametrize("farewell", [True, False])
    def test_whoever_is_gone_meanwhile_is_noticed_when_it_has_to_end(
        self, run: Run, pki: Pki, farewell: bool
    ) -> None:
        """While reading is paused, an event loop keeps the end of a stream to itself."""

        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                nas = await Nas.of(listener, pki.vpn)
                await nas.ask(packet())
                house.room = False
                await nas.send(packet(1))
                if farewell:
                    await nas.farewell()
                nas.sock.close()
                with await Nas.of(listener, pki.vpn) as other:  # by then the end of it is there
                    await other.farewell()
                    assert await other.ended() == CLOSED
                house.clients = Clients([])
                listener.review()
                await house.until(lambda: len(house.gone) == 2)
            assert house.packets == [packet()]

        run(play)

    def test_whoever_is_gone_is_not_asked_about_again(self, run: Run, pki: Pki) -> None:
        """The house may not know the client any more: `House` says so."""

        async def play() -> None:
            house = House()
            async with listening(house, pki.context) as listener:
                nas = await Nas.of(listener, pki.vpn)
                await nas.ask(packet())
                house.room = False
                await nas.send(packet(1))
                with await Nas.of(listener, pki.vpn) as other:
                    (gone,) = [each for each in listener.connections if each.source == nas.sock.getsockname()]
                    gone.abort()
                    await house.closed("closed_by_peer")
                    house.room = True
                    await other.send(packet(2))
                    assert await other.packet() == packet(2)
                    # As long as it takes to look again: somebody else is let through meanwhile.
                    for _ in range(10):
                        with await Nas.of(listener, pki.vpn) as another:
                            await another.ask(packet(3))
                nas.sock.close()
            assert packet(1) not in house.packets

        run(play)


class TestDoesNotRead:
    """Whoever takes no replies gets to ask nothing more, and is cut in the end."""

    def test_reading_stops_and_then_it_is_cut(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house = House()
            async with listening(house, pki.context, limits=RadsecLimits(packet=0.1)) as listener:
                with await Nas.of(listener, pki.vpn) as nas, await Nas.of(listener, pki.vpn) as other:
                    await nas.send(*[packet(number, 4096) for number in range(_FLOOD)])
                    await house.closed("does_not_read")
                    assert 0 < len(house.received) < _FLOOD
                    await other.ask(packet())
                    await other.farewell()
                    await house.closed("closed_by_peer")

        run(play)

    def test_whoever_reads_in_time_gets_all_of_it_in_order(self, run: Run, pki: Pki) -> None:
        async def play() -> None:
            house, packets = House(), [packet(number, 4096) for number in range(_FLOOD // 2)]
            async with listening(house, pki.context) as listener:
                with await Nas.of(listener, pki.vpn) as nas:
                    await nas.ask(packets.pop(0))
                    (connection,) = listener.connections
                    sending = asyncio.create_task(nas.send(*packets))
                    await house.until(lambda: connection._times.stuck is not None)
                    assert len(house.received) <= len(packets)
                    assert [await nas.packet() for _ in packets] == packets
                    await sending
                    assert house.packets[1:] == packets
                    await nas.farewell()
                    await house.closed("closed_by_peer")

        run(play)


def test_whoever_asks_much_leaves_others_their_turn(run: Run, pki: Pki) -> None:
    async def play() -> None:
        house = House()
        async with listening(house, pki.context) as listener:
            with await Nas.of(listener, pki.vpn) as much, await Nas.of(listener, pki.vpn) as little:
                await asyncio.gather(
                    much.send(b"".join(packet(number) for number in range(800))), little.send(packet(9999))
                )
                await house.until(lambda: len(house.received) == 801)
                assert house.packets.index(packet(9999)) < 800
                for nas in (much, little):
                    await nas.farewell()
                await house.closed("closed_by_peer", 2)

    run(play)


def pieces(octets: bytes, places: list[int]) -> list[bytes]:
    """Cut at those places."""
    cuts = sorted({place for place in places if 0 < place < len(octets)})
    return [octets[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
