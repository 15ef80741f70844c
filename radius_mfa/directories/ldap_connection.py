"""One connection to an LDAP server: many requests in flight, each with its own number (RFC 4511 §3.1).

It has no time limits of its own: whoever waits puts a deadline round the waiting, and cancelling is safe.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Self, cast

from radius_mfa.core.errors import DirectoryError
from radius_mfa.directories import ldap_messages as messages
from radius_mfa.directories.ldap_messages import Entry, MalformedError, Message, Result
from radius_mfa.directories.ldap_tls import Tls, why

_AS_PART_OF_A_SEARCH = frozenset(
    {messages.SEARCH_ENTRY, messages.SEARCH_REFERENCE, messages.INTERMEDIATE_RESPONSE}
)


class ConnectionLostError(DirectoryError):
    """The connection is of no use any more; whatever was asked may or may not have been done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended, and what was found on the way."""

    result: Result
    entries: tuple[Entry, ...] = ()


@dataclass(slots=True)
class _Waiting:
    """A request in flight.  `final`: the operation that answers it; None comes out when there is no answer.

    `most`: entries that are kept.
    """

    final: int
    most: int
    answer: asyncio.Future[Answer | None]
    entries: list[Entry] = field(default_factory=list)


class LdapConnection(asyncio.Protocol):
    """Made by `connect`.  `name`: the server's, for messages.  `heard`: how many messages came so far."""

    def __init__(self, name: str, timeout: float) -> None:
        self.name = name
        self.heard = 0
        self._timeout = timeout
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport  # from connection_made on, before anybody else has this object
        self._buffer = bytearray()
        self._waiting: dict[int, _Waiting] = {}
        self._last_id = 0
        self._unusable = ""
        self._in_clear_no_more = False

    @classmethod
    async def connect(cls, host: str, port: int, name: str, timeout: float, tls: Tls | None = None) -> Self:
        """A connection to the server, nobody bound on it yet.  Raises DirectoryError.

        `timeout`: seconds in which the server's host must answer, now and whenever something is sent.
        `tls`: None for clear text.
        """
        loop = asyncio.get_running_loop()
        at_once = None if tls is None or tls.start else tls.context
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    lambda: cls(name, timeout), host, port, ssl=at_once, server_hostname=host if at_once else None
                )
                if tls is not None and tls.start:
                    await connection._start_tls(tls, host)
        except TimeoutError:
            raise DirectoryError(f"{name}: no connection within {timeout:g} s") from None
        except (OSError, UnicodeError) as error:
            raise DirectoryError(f"{name}: {why(error)}") from error
        return connection

    async def _start_tls(self, tls: Tls, host: str) -> None:
        """TLS from here on, or no connection (RFC 4511 §4.14)."""
        loop = asyncio.get_running_loop()
        try:
            result = (await self._ask(messages.start_tls_request(), messages.EXTENDED_RESPONSE)).result
            if result.code != messages.SUCCESS:
                raise DirectoryError(f"{self.name}: StartTLS: {result}")
            if self._unusable:
                raise ConnectionLostError(f"{self.name}: {self._unusable}")
            protected = await loop.start_tls(self._transport, self, tls.context, server_hostname=host)
        except BaseException:
            self._abort("StartTLS failed")
            raise
        assert protected is not None  # there was a transport to protect
        self._transport = protected
        self._in_clear_no_more = False

    async def bind(self, dn: str, password: bytes) -> Result:
        """Become `dn`, or, with any other result than SUCCESS, nobody (RFC 4511 §4.2.1).

        Nothing else may be in flight, and after a cancellation nothing be asked here again.
        Raises ConnectionLostError.
        """
        request = messages.bind_request(dn, password)
        return (await self._ask(request, messages.BIND_RESPONSE, controls=messages.POLICY_WANTED)).result

    async def search(self, request: bytes, most: int = messages.MOST_ENTRIES) -> Answer:
        """Run an encoded search; references to other servers are passed over.  Raises ConnectionLostError.

        `most`: entries that are kept.
        """
        return await self._ask(request, messages.SEARCH_DONE, most)

    @property
    def usable(self) -> bool:
        """Whether anything more may be asked here."""
        return not self._unusable

    def retire(self, why: str) -> None:
        """Take nothing more on; close when what is in flight has ended."""
        self._unusable = self._unusable or why
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Unbind and close (RFC 4511 §4.3); `closed` tells when it is done."""
        if not self._transport.is_closing():
            self._transport.write(messages.unbind(self._next_id()))
            self._transport.close()
        self._give_up("closed by us")

    async def _ask(self, request: bytes, final: int, most: int = 0, controls: bytes = b"") -> Answer:
        if self._unusable:
            raise ConnectionLostError(f"{self.name}: {self._unusable}")
        number = self._next_id()
        waiting = _Waiting(final, most, asyncio.get_running_loop().create_future())
        self._waiting[number] = waiting
        self._transport.write(messages.message(number, request, controls))
        try:
            answer = await waiting.answer
        finally:
            self._waiting.pop(number, None)  # if it was cancelled: a late answer is then one to nothing
            if self._unusable:
                self.retire(self._unusable)
        if answer is None:
            raise ConnectionLostError(f"{self.name}: {self._unusable}")
        return answer

    def _next_id(self) -> int:
        self._last_id = self._last_id % messages.LAST_ID + 1
        return self._last_id

    # --- what the server sends ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # A host that is gone, or a firewall that forgot us, would else be noticed after a quarter of an hour.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._timeout * 1000))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while (size := messages.size_of_first(self._buffer)) is not None and size <= len(self._buffer):
                self._still_in_clear()
                octets = bytes(self._buffer[:size])
                del self._buffer[:size]
                self._receive(messages.read(octets))
            if self._buffer:
                self._still_in_clear()
        except MalformedError as malformed:
            self._abort(f"the server sent {malformed}")

    def _still_in_clear(self) -> None:
        """What came before TLS must not be taken for something that came under it."""
        if self._in_clear_no_more:
            raise MalformedError("something in clear after it had agreed to TLS")

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up(f"connection lost: {exc}" if exc else "the server closed the connection")
        self.closed.set_result(None)

    def _receive(self, message: Message) -> None:
        self.heard += 1
        if message.id == 0 and message.operation == messages.EXTENDED_RESPONSE:
            # Notice of Disconnection, the only unsolicited message there is (RFC 4511 §4.4.1).
            self._abort(f"the server disconnects: {message.content}")
            return
        waiting = self._waiting.get(message.id)
        if waiting is None or waiting.answer.done():
            return
        content = message.content
        if message.operation == waiting.final and isinstance(content, Result):
            self._in_clear_no_more = waiting.final == messages.EXTENDED_RESPONSE
            waiting.answer.set_result(Answer(content, tuple(waiting.entries)))
        elif waiting.final != messages.SEARCH_DONE or message.operation not in _AS_PART_OF_A_SEARCH:
            raise MalformedError("an answer to something else")
        elif isinstance(content, Entry) and len(waiting.entries) < waiting.most:
            waiting.entries.append(content)

    def _abort(self, why: str) -> None:
        self._give_up(why)
        self._transport.abort()

    def _give_up(self, why: str) -> None:
        self._unusable = self._unusable or why
        self._buffer.clear()
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_result(None)
