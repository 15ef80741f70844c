"""The portal's web server: who is waited for, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET, socket
from ssl import SSLContext, SSLEOFError, create_default_context

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from radius_mfa.portal.serving import Limits, served
from radius_mfa.transports.loop_thread import new_loop
from radius_mfa.transports.sockets import open_tcp
from radius_mfa.transports.tls import web_context
from tests.peers.certificates import Authority

PATIENT = Limits(patience=300.0, unread=300.0, handshake=300.0)
WHOLE = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
HALF = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n1234"
SHORT = 0.1  # seconds
HASTY = Limits(patience=0.2)
PROMPT = Limits(patience=0.6)  # long enough to be asked in first, by a busy machine
MUCH = 8 << 20  # octets: more than the system takes before anybody has read any


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says who it was asked by, once it has all of the request."""
    while (await receive()).get("more_body"):
        pass
    body = f"{scope['scheme']} {scope['client'][0]}".encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def much(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says more than is taken unread; at `/last`, and nothing after it."""
    headers = [(b"content-length", str(MUCH).encode())]
    headers += [(b"connection", b"close")] if scope["path"] == "/last" else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(MUCH)})


def played(main: Coroutine[object, object, None]) -> None:
    """On the loop that the portal itself runs on, and not for ever."""

    async def within() -> None:
        async with asyncio.timeout(30):
            await main

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(within())


@asynccontextmanager
async def listening(
    limits: Limits = PATIENT, app: ASGIApp = who, tls: SSLContext | None = None
) -> AsyncIterator[tuple[str, int]]:
    sock = open_tcp("127.0.0.1", 0)
    async with served(app, sock, tls, (), limits):
        yield sock.getsockname()


@asynccontextmanager
async def connected(
    limits: Limits = PATIENT, host: str = "127.0.0.1", proxies: Sequence[IPv4Network | IPv6Network] = ()
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    sock = open_tcp(host, 0, both=True)
    async with served(who, sock, None, proxies, limits):
        reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
        try:
            yield reader, writer
        finally:
            writer.close()


async def body(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length: ")[2].partition("\r\n")[0]
    return (await reader.readexactly(int(length))).decode()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", HALF])
def test_whoever_sends_too_slowly_is_not_waited_for(begun: bytes) -> None:
    async def main() -> None:
        async with connected(HASTY) as (reader, writer):
            writer.write(begun)
            with suppress(ConnectionError):
                assert b"200 OK" not in await reader.read()

    played(main())


def test_whoever_begins_another_request_is_not_waited_for_either() -> None:
    """What keeps a connection alive is an octet now and then: not for longer than a first request may take."""

    async def main() -> None:
        async with connected(PROMPT) as (reader, writer):
            writer.write(WHOLE)
            assert await body(reader) == "http 127.0.0.1"
            writer.write(WHOLE[:5])
            with suppress(ConnectionError):
                assert await reader.read() == b""

    played(main())


def test_half_a_request_that_comes_with_a_whole_one_is_not_waited_for_either() -> None:
    async def main() -> None:
        async with connected(PROMPT) as (reader, writer):
            writer.write(WHOLE + HALF)
            assert await body(reader) == "http 127.0.0.1"
            with suppress(ConnectionError):
                assert await reader.read() == b""

    played(main())


def test_a_connection_is_good_for_many_requests() -> None:
    async def main() -> None:
        async with connected() as (reader, writer):
            for _ in range(3):
                writer.write(WHOLE)
                assert await body(reader) == "http 127.0.0.1"

    played(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
@pytest.mark.parametrize(("proxy", "said"), [("127.0.0.0/8", "https 203.0.113.9"), ("192.0.2.0/24", "http")])
def test_a_proxys_word_is_taken_at_a_socket_for_both_kinds_of_addresses_too(
    host: str, proxy: str, said: str
) -> None:
    async def main() -> None:
        async with connected(host=host, proxies=[ip_network(proxy)]) as (reader, writer):
            writer.write(
                b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n"
            )
            assert (await body(reader)).startswith(said)

    played(main())


def test_a_head_without_an_end_is_refused() -> None:
    async def main() -> None:
        async with connected() as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")

    played(main())


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
        "HTTP/1.0\r\nTransfer-Encoding: chunked",
        "HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6",
    ],
)
def test_a_request_that_may_end_here_or_there_is_refused(head: str) -> None:
    """What is a body to one and the next request to another is how one browser gets the answer of another's."""

    async def main() -> None:
        async with connected() as (reader, writer):
            writer.write(f"POST / {head}\r\nHost: h\r\n\r\n0\r\n\r\n".encode() + WHOLE)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 400")
            assert answer.count(b"HTTP/1.1") == 1

    played(main())


def test_a_request_in_pieces_is_read() -> None:
    async def main() -> None:
        async with connected() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
            assert await body(reader) == "http 127.0.0.1"

    played(main())


class TestUnread:
    """Answers that somebody has asked for, and does not fetch."""

    @pytest.mark.parametrize("asked", [WHOLE, WHOLE.replace(b"GET /", b"GET /last")])
    @pytest.mark.parametrize("is_tls", [False, True])
    def test_are_not_kept(self, asked: bytes, is_tls: bool, tls: SSLContext, trusting: SSLContext) -> None:
        async def main() -> None:
            limits = Limits(patience=300.0, unread=SHORT, handshake=300.0)
            async with listening(limits, much, tls if is_tls else None) as address:
                with socket() as raw:
                    raw.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
                    raw.settimeout(10)
                    await asyncio.to_thread(hung_up, raw, address, asked, trusting if is_tls else None)

        played(main())

    def test_are_kept_for_who_takes_a_while(self) -> None:
        async def main() -> None:
            async with listening(PATIENT, much) as (host, port):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(WHOLE)
                await reader.readuntil(b"\r\n\r\n")
                assert len(await reader.readexactly(MUCH)) == MUCH
                writer.close()

        played(main())

    def test_are_not_made_for_ever_more_requests(self) -> None:
        async def main() -> None:
            async with connected(Limits(queued=3)) as (reader, writer):
                writer.write(WHOLE * 4)
                for _ in range(4):
                    assert await body(reader) == "http 127.0.0.1"
                writer.write(WHOLE * 100)
                assert (await reader.read()).count(b"200 OK") == 4

        played(main())


def hung_up(raw: socket, address: tuple[str, int], asked: bytes, tls: SSLContext | None) -> None:
    """Ask, and go on asking until nobody is there, without reading.  Raises TimeoutError if that has no end."""
    raw.connect(address)
    sock = tls.wrap_socket(raw, server_hostname="h") if tls else raw
    with sock, suppress(ConnectionError, SSLEOFError):
        while True:
            sock.sendall(asked * 100)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def tls(authority: Authority) -> SSLContext:
    own = authority.certify("h")
    return web_context(own, own)


@pytest.fixture
def trusting(authority: Authority) -> SSLContext:
    return create_default_context(cafile=str(authority.ca_file))


class TestHandshakes:
    def test_that_do_not_end_are_not_waited_for(self, tls: SSLContext) -> None:
        async def main() -> None:
            async with listening(Limits(handshake=SHORT), tls=tls) as (host, port):
                for begun in (b"", b"\x16\x03\x01\x02\x00"):
                    reader, writer = await asyncio.open_connection(host, port)
                    writer.write(begun)
                    with suppress(ConnectionError):
                        assert await reader.read() == b""
                    writer.close()

        played(main())

    def test_are_so_many_at_once_and_the_oldest_gives_way(self, tls: SSLContext, trusting: SSLContext) -> None:
        async def main() -> None:
            async with listening(Limits(handshake=300.0, handshakes=2), tls=tls) as (host, port):
                mute = [await asyncio.open_connection(host, port) for _ in range(3)]
                with suppress(ConnectionError):
                    assert await mute[0][0].read() == b""
                reader, writer = await asyncio.open_connection(host, port, ssl=trusting, server_hostname="h")
                writer.write(WHOLE)
                assert await body(reader) == "https 127.0.0.1"
                for _, each in (*mute, (reader, writer)):
                    each.close()

        played(main())

    def test_of_who_speaks_no_tls_are_nobodys_trouble(self, tls: SSLContext, trusting: SSLContext) -> None:
        async def main() -> None:
            async with listening(tls=tls) as (host, port):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(WHOLE)
                with suppress(ConnectionError):
                    assert b"200 OK" not in await reader.read()
                writer.close()
                reader, writer = await asyncio.open_connection(host, port, ssl=trusting, server_hostname="h")
                writer.write(WHOLE)
                assert await body(reader) == "https 127.0.0.1"
                writer.close()

        played(main())


def test_more_connections_than_there_is_room_for_are_turned_away() -> None:
    async def main() -> None:
        async with listening(Limits(patience=300.0, most=2)) as (host, port):
            idle = [await asyncio.open_connection(host, port) for _ in range(20)]
            ended = [asyncio.ensure_future(reader.read()) for reader, _ in idle]
            await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
            for _, writer in idle:
                writer.close()
            await asyncio.wait(ended)

    played(main())
