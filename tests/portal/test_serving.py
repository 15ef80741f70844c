"""The portal's web server: who is waited for, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from starlette.types import Receive, Scope, Send

from radius_mfa.portal.serving import served
from radius_mfa.transports.sockets import open_tcp

WHOLE = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
SHORT = 0.2  # seconds


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says who it was asked by, once it has all of the request."""
    while (await receive()).get("more_body"):
        pass
    body = f"{scope['scheme']} {scope['client'][0]}".encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connected(
    patience: float = 30.0, host: str = "127.0.0.1", proxies: Sequence[IPv4Network | IPv6Network] = ()
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    sock = open_tcp(host, 0, both=True)
    async with served(who, sock, None, proxies, patience):
        reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
        try:
            yield reader, writer
        finally:
            writer.close()


async def body(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length: ")[2].partition("\r\n")[0]
    return (await reader.readexactly(int(length))).decode()


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n1234"]
)
def test_whoever_sends_too_slowly_is_not_waited_for(begun: bytes) -> None:
    async def main() -> None:
        async with connected(SHORT) as (reader, writer), asyncio.timeout(30):
            writer.write(begun)
            with suppress(ConnectionError):
                assert b"200 OK" not in await reader.read()

    asyncio.run(main())


def test_whoever_begins_another_request_is_not_waited_for_either() -> None:
    """What keeps a connection alive is an octet now and then: not for longer than a first request may take."""

    async def main() -> None:
        async with connected(SHORT) as (reader, writer), asyncio.timeout(30):
            writer.write(WHOLE)
            assert await body(reader) == "http 127.0.0.1"
            writer.write(WHOLE[:5])
            with suppress(ConnectionError):
                assert await reader.read() == b""

    asyncio.run(main())


def test_a_connection_is_good_for_many_requests() -> None:
    async def main() -> None:
        async with connected() as (reader, writer), asyncio.timeout(30):
            for _ in range(3):
                writer.write(WHOLE)
                assert await body(reader) == "http 127.0.0.1"

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
@pytest.mark.parametrize(("proxy", "said"), [("127.0.0.0/8", "https 203.0.113.9"), ("192.0.2.0/24", "http")])
def test_a_proxys_word_is_taken_at_a_socket_for_both_kinds_of_addresses_too(
    host: str, proxy: str, said: str
) -> None:
    async def main() -> None:
        async with connected(host=host, proxies=[ip_network(proxy)]) as (reader, writer), asyncio.timeout(30):
            writer.write(
                b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n"
            )
            assert (await body(reader)).startswith(said)

    asyncio.run(main())


def test_a_head_without_an_end_is_refused() -> None:
    async def main() -> None:
        async with connected() as (reader, writer), asyncio.timeout(30):
            writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")

    asyncio.run(main())
