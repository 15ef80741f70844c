"""Real datagrams over loopback, on both event loops, and radclient as a client none of us wrote."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine, Hashable
from typing import Literal

import pytest
import uvloop

from radius_mfa.core.messages import AccessRequest, Code, Reply, ReplyAttribute
from radius_mfa.transports.sockets import open_udp
from radius_mfa.transports.udp import UdpListener
from radius_mfa.wire.clients import Clients
from radius_mfa.wire.desk import Send
from radius_mfa.wire.exchange import Exchange
from radius_mfa.wire.request import ServerReply, access_request, read_reply
from radius_mfa.wire.sources import Sources
from tests.peers.ports import free_port
from tests.wire.support import (
    SALT,
    SECRET,
    CountingMeter,
    SmallDictionary,
    capturing_log,
    login,
    make_client,
)

Play = Callable[[], Coroutine[object, object, None]]
Run = Callable[[Play], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_in_loop(play: Play) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(play(), 20))

    return run_in_loop


class LoopClock:
    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class Echo:
    """Keeps what a listener receives, and sends it back."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, tuple[str, int], Hashable]] = []
        self._more = asyncio.Event()

    def receive(self, octets: bytes, source: tuple[str, int], asked: Hashable, send: Send) -> None:
        self.received.append((octets, source, asked))
        self._more.set()
        send(octets)

    async def until(self, count: int) -> None:
        while len(self.received) < count:
            self._more.clear()
            await self._more.wait()


def client_of(listener: UdpListener, host: str) -> socket.socket:
    """A connected socket: the kernel gives it what comes from that very address and port, nothing else."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.connect((host, listener.address[1]))
    return sock


@pytest.mark.parametrize(
    ("bound", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("::1", "::1"), ("::", "::1")],
)
def test_the_reply_leaves_from_the_address_that_was_asked(run: Run, bound: str, asked: str) -> None:
    """ip(7), ipv6(7): IP_PKTINFO."""

    async def play() -> None:
        echo, meter = Echo(), CountingMeter()
        listener = UdpListener(open_udp(bound, 0)[0], echo.receive, meter)
        with client_of(listener, asked) as client:
            client.send(b"hello")
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"hello"
            assert echo.received[0][1] == client.getsockname()[:2]
        listener.close()
        assert not meter.counts

    run(play)


def test_each_address_asked_is_a_socket_of_its_own_to_duplicates(run: Run) -> None:
    """RFC 5080 §2.2.2."""

    async def play() -> None:
        echo = Echo()
        listener = UdpListener(open_udp("0.0.0.0", 0)[0], echo.receive, CountingMeter())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for host in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
                client.sendto(b"hello", (host, listener.address[1]))
            await echo.until(3)
        keys = [hash(asked) for _, _, asked in echo.received]
        assert keys[0] == keys[1] != keys[2]
        listener.close()

    run(play)


def test_so_it_is_where_each_address_has_a_socket(run: Run) -> None:
    async def play() -> None:
        echo, port = Echo(), free_port()
        one = UdpListener(open_udp("127.0.0.1", port)[0], echo.receive, CountingMeter())
        other = UdpListener(open_udp("127.0.0.2", port)[0], echo.receive, CountingMeter())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for listener in (one, other):
                client.sendto(b"hello", listener.address)
            await echo.until(2)
        assert len({asked for _, _, asked in echo.received}) == 2
        one.close()
        other.close()

    run(play)


def test_whoever_asks_several_addresses_in_turn_hears_from_each(run: Run) -> None:
    """What the kernel has said of the datagram before holds for that one alone."""

    async def play() -> None:
        echo, loop = Echo(), asyncio.get_running_loop()
        listener = UdpListener(open_udp("0.0.0.0", 0)[0], echo.receive, CountingMeter())
        with client_of(listener, "127.0.0.1") as one, client_of(listener, "127.0.0.2") as other:
            for client in (one, other, one, one, other):
                client.send(b"hello")
                assert await loop.sock_recv(client, 100) == b"hello"
        asked = [each for _, _, each in echo.received]
        assert asked == [asked[0], asked[1], asked[0], asked[0], asked[1]]
        listener.close()

    run(play)


def test_to_duplicates_it_is_one_socket_however_many_readers_it_has(run: Run) -> None:
    """RFC 5080 §2.2.2: a worker may have to read another's."""

    async def play() -> None:
        echo = Echo()
        listeners = [UdpListener(each, echo.receive, CountingMeter()) for each in open_udp("127.0.0.1", 0, 2)]
        with client_of(listeners[0], "127.0.0.1") as client:
            for authenticator in (bytes(16), bytes(15) + b"\x01", bytes(3) + b"\x01" + bytes(12)):
                client.send(bytes(4) + authenticator)
            await echo.until(3)
        assert len({asked for _, _, asked in echo.received}) == 1
        for listener in listeners:
            listener.close()

    run(play)


def test_ipv6_only_means_ipv6_only() -> None:
    port = free_port()
    with open_udp("::", port)[0] as six, open_udp("0.0.0.0", port)[0] as four:
        assert six.getsockname()[1] == four.getsockname()[1]


def test_an_address_in_use_is_an_oserror_and_nothing_is_left_open() -> None:
    with open_udp("127.0.0.1", 0)[0] as first, pytest.raises(OSError, match="in use"):
        open_udp("127.0.0.1", first.getsockname()[1])[0]


def test_the_receive_buffer_is_raised() -> None:
    with open_udp("127.0.0.1", 0)[0] as ours, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        sizes = [each.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for each in (ours, plain)]
        assert sizes[0] > sizes[1]


def test_the_receive_buffer_is_raised_without_privilege_too() -> None:
    """As far as net.core.rmem_max goes; started as root, the test puts its privilege aside."""
    privileged = os.geteuid() == 0
    if privileged:
        os.seteuid(65534)
    try:
        with open_udp("127.0.0.1", 0)[0] as ours, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
            sizes = [each.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for each in (ours, plain)]
    finally:
        if privileged:
            os.seteuid(0)
    assert sizes[0] >= sizes[1]


def test_a_flood_longer_than_a_batch_is_read_to_its_end_and_others_have_their_turn(run: Run) -> None:
    async def play() -> None:
        echo = Echo()
        listener = UdpListener(open_udp("127.0.0.1", 0)[0], echo.receive, CountingMeter())
        with client_of(listener, "127.0.0.1") as client:
            for number in range(500):
                client.send(b"%d" % number)
            await echo.until(1)
            assert len(echo.received) < 500
            await echo.until(500)
        assert [octets for octets, _, _ in echo.received] == [b"%d" % number for number in range(500)]
        listener.close()

    run(play)


def test_while_others_are_answered_what_comes_waits_for_more_and_is_read_in_a_row(run: Run) -> None:
    async def play() -> None:
        echo, loop = Echo(), asyncio.get_running_loop()
        asked_for: list[int] = []  # how many had been received, each time it was asked who is being answered

        def in_flight() -> int:
            asked_for.append(len(echo.received))
            if len(asked_for) == 2:  # one more comes while the first one waits
                client.send(b"second")
            return 1

        listener = UdpListener(open_udp("127.0.0.1", 0)[0], echo.receive, CountingMeter(), in_flight)
        with client_of(listener, "127.0.0.1") as client:
            client.send(b"first")
            await echo.until(2)
            assert 1 not in asked_for
            assert await loop.sock_recv(client, 100) == b"first"
        listener.close()

    run(play)


@pytest.mark.parametrize("stop", [UdpListener.pause, UdpListener.close])
def test_what_waits_when_the_listener_stops_is_not_read(run: Run, stop: Callable[[UdpListener], None]) -> None:
    async def play() -> None:
        echo, waits = Echo(), asyncio.Event()

        def in_flight() -> int:
            waits.set()
            return 1

        listener = UdpListener(open_udp("127.0.0.1", 0)[0], echo.receive, CountingMeter(), in_flight)
        with client_of(listener, "127.0.0.1") as client:
            client.send(b"hello")
            await waits.wait()
            stop(listener)
            for _ in range(20):  # turns
                await asyncio.sleep(0)
            assert not echo.received
            if stop is UdpListener.pause:
                listener.resume()
                await echo.until(1)
                listener.close()

    run(play)


@pytest.mark.parametrize("length", [0, 20, 4096])
def test_a_datagram_comes_whole(run: Run, length: int) -> None:
    """RFC 2865 §3."""

    async def play() -> None:
        echo = Echo()
        listener = UdpListener(open_udp("127.0.0.1", 0)[0], echo.receive, CountingMeter())
        with client_of(listener, "127.0.0.1") as client:
            client.send(bytes(length))
            await echo.until(1)
        assert echo.received[0][0] == bytes(length)
        listener.close()

    run(play)


@pytest.mark.parametrize("padding", [1, 5000, 60_000])
def test_what_follows_a_packet_is_padding_however_much_it_is(run: Run, padding: int) -> None:
    """RFC 2865 §3: octets outside the range of the Length field are ignored."""

    async def play() -> None:
        listener, exchange = served(CountingMeter())
        with client_of(listener, "127.0.0.1") as client:
            client.send(login() + bytes(padding))
            reply = await asyncio.get_running_loop().sock_recv(client, 4096)
        assert reply[0] == 11
        listener.close()
        await exchange.drain(1)

    run(play)


def test_what_the_kernel_drops_is_counted(run: Run) -> None:
    """SO_MEMINFO: looked at before what comes after is read."""

    async def play() -> None:
        echo, meter = Echo(), CountingMeter()
        sock = open_udp("127.0.0.1", 0)[0]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener = UdpListener(sock, echo.receive, meter)
        with client_of(listener, "127.0.0.1") as client:
            for _ in range(100):
                client.send(bytes(500))
            await echo.until(1)
            received = 0
            while received != len(echo.received):  # until the buffer is empty
                received = len(echo.received)
                await asyncio.sleep(0)
            client.send(b"after")
            client.send(b"once more")
            await echo.until(received + 2)
        assert listener.dropped == 100 - received > 0
        assert meter.total("receive_overflowed") == listener.dropped
        listener.close()

    run(play)


def test_a_reply_that_cannot_be_sent_is_counted_and_no_error(run: Run) -> None:
    async def play() -> None:
        meter = CountingMeter()
        sends: list[Send] = []
        arrived = asyncio.Event()

        def receive(octets: bytes, source: tuple[str, int], asked: Hashable, send: Send) -> None:
            sends.append(send)
            arrived.set()

        listener = UdpListener(open_udp("127.0.0.1", 0)[0], receive, meter)
        with client_of(listener, "127.0.0.1") as client:
            client.send(b"hello")
            await arrived.wait()
        sends[0](bytes(70_000))
        listener.close()
        sends[0](b"too late")
        await asyncio.sleep(0)  # what a turn of the loop has to send leaves at its end
        assert meter.total("send_failed") == 2

    run(play)


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_a_socket_that_does_not_tell_where_it_was_asked_is_served_all_the_same(run: Run, bound: str) -> None:
    async def play() -> None:
        echo = Echo()
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        plain.bind((bound, 0))
        listener = UdpListener(plain, echo.receive, CountingMeter())
        with client_of(listener, "127.0.0.1") as client:
            client.send(b"hello")
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"hello"
        listener.close()

    run(play)


# --- the whole wire -----------------------------------------------------------------------------


async def answer(request: AccessRequest) -> Reply | None:
    """`sesame` is asked for a code, `123456` with the State is right, the rest is wrong."""
    if request.password == b"sesame":
        return Reply(Code.ACCESS_CHALLENGE, b"the state", ("Your code?",))
    if request.password == b"123456" and request.first(24) == b"the state":
        return Reply(Code.ACCESS_ACCEPT, attributes=(ReplyAttribute("Class", "staff"),))
    return Reply(Code.ACCESS_REJECT, messages=("Refused.",), delayed=True)


def served(
    meter: CountingMeter, rule: Literal["require", "auto", "off"] = "auto", host: str = "127.0.0.1"
) -> tuple[UdpListener, Exchange]:
    client = make_client(rule, timeout=0.2)
    log, _ = capturing_log()
    exchange = Exchange(
        Clients([client]),
        answer,
        SmallDictionary(),
        meter,
        LoopClock(),
        log,
        sources=Sources(),
        replies={},
        note=lambda _client, _source: None,
        vouches=lambda _: False,
        is_ready=lambda: True,
        jitter=lambda: 0.5,
    )
    return UdpListener(open_udp(host, 0)[0], exchange.receive, meter), exchange


def test_our_own_test_client_logs_in_round_by_round(run: Run) -> None:
    async def play() -> None:
        listener, exchange = served(CountingMeter(), host="::1")
        codes = []
        with client_of(listener, "::1") as client:
            for identifier, (password, state) in enumerate([(b"sesame", None), (b"123456", b"the state")]):
                octets = access_request(
                    identifier=identifier,
                    authenticator=SALT,
                    secret=SECRET,
                    user_name=b"alice",
                    password=password,
                    nas_identifier=b"test",
                    state=state,
                )
                client.send(octets)
                reply = read_reply(await asyncio.get_running_loop().sock_recv(client, 4096), octets, SECRET)
                assert isinstance(reply, ServerReply)
                codes.append(reply.code)
        assert codes == [Code.ACCESS_CHALLENGE, Code.ACCESS_ACCEPT]
        await exchange.drain(1)
        listener.close()

    run(play)


def test_replies_held_back_are_still_sent_while_draining(run: Run) -> None:
    async def play() -> None:
        meter = CountingMeter()
        listener, exchange = served(meter)
        with client_of(listener, "127.0.0.1") as client:
            client.send(login(b"wrong"))
            client.send(b"?")
            loop = asyncio.get_running_loop()
            before = loop.time()
            while not meter.total("requests"):
                await asyncio.sleep(0)
            await exchange.drain(5)
            assert (await loop.sock_recv(client, 4096))[0] == 3
            assert loop.time() - before >= 0.1 - 0.002
        listener.close()

    run(play)


async def radclient(listener: UdpListener, command: str, attributes: str) -> str:
    """What Debian's radclient says, one try."""
    host, port = listener.address
    process = await asyncio.create_subprocess_exec(
        *("radclient", "-x", "-r", "1", "-t", "2", f"{host}:{port}", command, SECRET.decode()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(attributes.encode())
    return output.decode()


@pytest.mark.parametrize(
    ("rule", "command", "attributes", "expected"),
    [
        ("require", "auth", 'User-Name="alice",User-Password="sesame",Message-Authenticator=0x00', "Challenge"),
        ("auto", "auth", 'User-Name="alice",User-Password="sesame"', "Challenge"),
        (
            "off",
            "auth",
            'User-Name="alice",User-Password="123456",State=0x746865207374617465',
            "Accept",
        ),
        ("auto", "auth", 'User-Name="alice",User-Password="wrong",Message-Authenticator=0x00', "Reject"),
        ("require", "status", "Message-Authenticator=0x00", "Accept"),
        ("require", "auth", 'User-Name="alice",User-Password="sesame"', None),
        ("off", "auth", 'User-Name="alice",User-Password="sesame",Proxy-State=0x01', None),
    ],
    ids=["challenge", "auto", "accept", "reject", "status", "required", "proxied"],
)
def test_radclient(
    rule: Literal["require", "auto", "off"], command: str, attributes: str, expected: str | None
) -> None:
    """FreeRADIUS's client verifies both authenticators of what it is sent."""

    async def play() -> None:
        meter = CountingMeter()
        listener, exchange = served(meter, rule)
        output = await radclient(listener, command, attributes)
        if expected is None:
            assert "Received Access" not in output
            assert meter.total("discarded") == 1
        else:
            assert f"Received Access-{expected}" in output
        await exchange.drain(1)
        listener.close()

    asyncio.run(asyncio.wait_for(play(), 20))
