"""A way to a PostgreSQL that can be cut where it hurts.  It lives in the event loop of whoever connects by it."""

from __future__ import annotations

import asyncio
from typing import Self

_MOST = 1 << 16


class Proxy:
    """Passes on what comes, from `start` to `close`.

    `cut_at`: the next connection to send these octets is cut: before they reach the server, or with `answered`
    when it has answered, of which the client hears nothing.  `cuts`: how often that was.  `deaf`: who connects
    hears nothing.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self.cut_at: bytes | None = None
        self.answered = False
        self.cuts = 0
        self.deaf = False
        self._to = port
        self._silent: set[int] = set()
        self._pairs: dict[int, tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def silence(self) -> None:
        """Of the connections there are nothing comes through any more, either way."""
        self._silent.update(self._pairs)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for pair in list(self._pairs.values()):
            for writer in pair:
                writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        number = id(writer)
        self._pairs[number] = (writer, back)
        if self.deaf:
            self._silent.add(number)
        answers = asyncio.create_task(self._pass(there, writer, number))
        try:
            while octets := await reader.read(_MOST):
                if number in self._silent:
                    continue
                lost = self.cut_at is not None and self.cut_at in octets
                if lost:
                    self.cut_at = None
                    self.cuts += 1
                    answers.cancel()
                    if not self.answered:
                        break
                back.write(octets)
                if lost:
                    await asyncio.wait([answers])
                    await there.read(_MOST)
                    break
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            del self._pairs[number]
            self._silent.discard(number)
            writer.transport.abort()
            back.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            while octets := await reader.read(_MOST):
                if number not in self._silent:
                    writer.write(octets)
        except ConnectionError:
            pass
        writer.transport.abort()
