"""One connection to an LDAP server: many requests in flight, each with its own number (RFC 4511 §3.1).

It has no time limits of its own: whoever asks says until when they wait, or puts a deadline round the waiting,
and cancelling is safe.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Self, cast

from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.record import record
from radius_mfa.directories import ldap_messages as messages
from radius_mfa.directories.ldap_ber import MalformedError
from radius_mfa.directories.ldap_messages import (
    BIND_RESPONSE,
    EXTENDED_RESPONSE,
    LAST_ID,
    LONGEST_ANSWER,
    SEARCH_DONE,
    Entry,
    Result,
    message,
)
from radius_mfa.directories.ldap_quick import read_usual
from radius_mfa.directories.ldap_tls import Tls, why
from radius_mfa.directories.time_limits import TimeLimits

_AS_PART_OF_A_SEARCH = frozenset(
    {messages.SEARCH_ENTRY, messages.SEARCH_REFERENCE, messages.INTERMEDIATE_RESPONSE}
)


class ConnectionLostError(DirectoryError):
    """The connection is of no use any more; whatever was asked may or may not have been done."""


class TooLargeError(DirectoryError):
    """An answer that is too large to be kept."""


@record(frozen=True, slots=True)
class Answer:
    """How a request ended, and what was found on the way."""

    result: Result
    entries: tuple[Entry, ...] = ()


@dataclass(slots=True)
class _Waiting:
    """A request in flight.  `final`: the operation that answers it; None comes out when there is no answer.

    `most`: entries that are kept; `size`: octets that have come for it before its end.
    """

    final: int
    answer: asyncio.Future[Result | None]
    entries: list[Entry]
    most: int
    size: int = 0


class LdapConnection(asyncio.Protocol):
    """Made by `connect`.  `name`: the server's, for messages.  `heard`: how many messages came so far.

    `usable`: whether anything more may be asked here.
    """

    def __init__(self, name: str, timeout: float, limits: TimeLimits | None = None) -> None:
        self.name = name
        self.heard = 0
        self._timeout = timeout
        self._limits = limits or TimeLimits()
        self._loop = asyncio.get_running_loop()
        self._new_future = self._loop.create_future
        self.closed: asyncio.Future[None] = self._new_future()
        self._transport: asyncio.Transport  # from connection_made on, before anybody else has this object
        self._buffer = bytearray()
        self._left_out = 0  # octets to come of a message that is passed over
        self._waiting: dict[int, _Waiting] = {}
        self._to_send: list[bytes] = []
        self._next_id = chain.from_iterable(repeat(range(1, LAST_ID + 1))).__next__
        self.usable = True
        self._unusable = ""  # why, once it is so
        self._clear_text_is_over = False

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        name: str,
        timeout: float,
        tls: Tls | None = None,
        limits: TimeLimits | None = None,
    ) -> Self:
        """A connection to the server, nobody bound on it yet.  Raises DirectoryError.

        `timeout`: seconds in which the server's host must answer, now and whenever something is sent.
        `tls`: None for clear text.  `limits`: None for some of its own.
        """
        loop = asyncio.get_running_loop()
        at_once: dict[str, Any] = {}
        if tls is not None and not tls.start:
            at_once = {"ssl": tls.context, "server_hostname": host, "ssl_shutdown_timeout": timeout}
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    lambda: cls(name, timeout, limits), host, port, **at_once
                )
                if tls is not None and tls.start:
                    await connection._start_tls(tls.context, host)
        except TimeoutError:
            raise DirectoryError(f"{name}: no connection within {timeout:g} s") from None
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            raise DirectoryError(f"{name}: {why(error)}") from error
        return connection

    async def _start_tls(self, trusted: ssl.SSLContext, host: str) -> None:
        """TLS from here on (RFC 4511 §4.14), or no connection: whoever refuses may be somebody in between."""
        loop = asyncio.get_running_loop()
        try:
            result = await self._ask(messages.start_tls_request(), EXTENDED_RESPONSE, [])
            if result.code != messages.SUCCESS:
                raise DirectoryError(f"{self.name}: StartTLS was refused: {result}")
            if self._unusable:
                raise ConnectionLostError(f"{self.name}: {self._unusable}")
            self._clear_text_is_over = False  # all there is to read is for TLS now
            transport = await loop.start_tls(
                self._transport, self, trusted, server_hostname=host, ssl_shutdown_timeout=self._timeout
            )
        except BaseException:
            self.abort("StartTLS failed")
            raise
        assert transport is not None  # only a transport that cannot write has none
        self._transport = transport

    def bind(
        self, dn: str, password: bytes, controls: bytes = b"", until: float | None = None
    ) -> Coroutine[Any, Any, Result]:
        """Become `dn`, or, with any other result than SUCCESS, nobody (RFC 4511 §4.2.1).

        Nothing else may be in flight, and after a cancellation or at a TimeoutError nothing be asked here again.
        Raises ConnectionLostError; TimeoutError at `until`, which is the loop's time.
        """
        return self._ask(messages.bind_request(dn, password) + controls, BIND_RESPONSE, [], 0, until)

    async def search(
        self, request: bytes, most: int = messages.MOST_ENTRIES, until: float | None = None
    ) -> Answer:
        """Run an encoded search; references to other servers are passed over.  Raises ConnectionLostError.

        `most`: entries that are kept.  TimeoutError at `until`, which is the loop's time.
        """
        entries: list[Entry] = []
        result = await self._ask(request, SEARCH_DONE, entries, most, until)
        return Answer(result, tuple(entries))

    def retire(self, why: str) -> None:
        """Take nothing more on; close when what is in flight has ended."""
        self.usable = False
        self._unusable = self._unusable or why
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Unbind and close (RFC 4511 §4.3); `closed` tells when it is done."""
        if not self._transport.is_closing():
            self._transport.write(messages.unbind(self._next_id()))
            self._transport.close()
        self._give_up("closed by us")

    def abort(self, why: str) -> None:
        """Close without a word, and without waiting for anybody to hear it."""
        self._give_up(why)
        self._transport.abort()

    async def _ask(
        self, request: bytes, final: int, entries: list[Entry], most: int = 0, until: float | None = None
    ) -> Result:
        """How it ended; what is found on the way is put to the `entries`, `most` of them."""
        if self._unusable:
            raise ConnectionLostError(f"{self.name}: {self._unusable}")
        number = self._next_id()
        answering: asyncio.Future[Result | None] = self._new_future()
        self._waiting[number] = _Waiting(final, answering, entries, most)
        self._send(message(number, request))
        if until is not None:
            self._limits.begin(answering, until)
        try:
            result = await answering
        finally:
            # If it was cancelled, or its time is over: a late answer is then one to nothing.
            del self._waiting[number]
            if until is not None:
                self._limits.end(answering)
            if self._unusable:
                self.retire(self._unusable)
        if result is None:
            raise ConnectionLostError(f"{self.name}: {self._unusable}")
        return result

    def _send(self, octets: bytes) -> None:
        """With all else of this turn of the loop, at its end: in a row, so that the server is woken once."""
        if not self._to_send:
            self._loop.call_soon(self._send_together)
        self._to_send.append(octets)

    def _send_together(self) -> None:
        octets = b"".join(self._to_send)
        self._to_send.clear()
        if not self._transport.is_closing():  # or nobody waits for an answer any more
            self._transport.write(octets)

    # --- what the server sends ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # A host that is gone, or a firewall that forgot us, would else be noticed after a quarter of an hour.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._timeout * 1000))

    def data_received(self, data: bytes) -> None:
        at, end = 0, len(data)
        try:
            if not (self._buffer or self._left_out or self._clear_text_is_over):
                while at < end:
                    usual = read_usual(data, at)
                    if usual is None:
                        break
                    number, operation, content, stop = usual
                    self._take(number, operation, content, stop - at)
                    at = stop
            if at < end:
                self._receive_any(data[at:])
        except MalformedError as malformed:
            self.abort(f"the server sent {malformed}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up(f"connection lost: {exc}" if exc else "the server closed the connection")
        self.closed.set_result(None)

    def _receive_any(self, data: bytes) -> None:
        left_out = min(self._left_out, len(data))
        self._left_out -= left_out
        self._buffer += data[left_out:]
        while (size := messages.size_of_first(self._buffer)) is not None:
            if size > messages.LONGEST:
                if not self._passes_over(size):
                    break
                continue
            if size > len(self._buffer):
                break
            octets = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._receive(*messages.read(octets), size)
        if self._clear_text_is_over and self._buffer:
            # Somebody's in between, meant to be taken for what came over TLS.
            raise MalformedError("more in clear text than its answer to StartTLS")

    def _passes_over(self, size: int) -> bool:
        """Leave out the message at the start of the buffer; False while it cannot be told whose it is."""
        if self._clear_text_is_over:
            raise MalformedError("more in clear text than its answer to StartTLS")
        number = messages.number_of_first(self._buffer)
        if number is None:
            return False
        self.heard += 1
        self._fail(number, f"an entry of more than {messages.LONGEST} octets")
        self._left_out = max(size - len(self._buffer), 0)
        del self._buffer[:size]
        return True

    def _fail(self, number: int, why: str) -> None:
        """What asked for this gets no answer; nobody else is harmed by it."""
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.answer.done():
            waiting.answer.set_exception(TooLargeError(f"{self.name}: {why}"))

    def _receive(self, number: int, operation: int, content: Result | Entry | None, size: int) -> None:
        if self._clear_text_is_over:
            raise MalformedError("more in clear text than its answer to StartTLS")
        if number == 0 and operation == EXTENDED_RESPONSE:
            # Notice of Disconnection, the only unsolicited message there is (RFC 4511 §4.4.1).
            self.heard += 1
            self.abort(f"the server disconnects: {content}")
        else:
            ended = self._take(number, operation, content, size)
            self._clear_text_is_over = ended and operation == EXTENDED_RESPONSE

    def _take(self, number: int, operation: int, content: Result | Entry | None, size: int) -> bool:
        """Take it for part of the answer to what has that number; whether that has an end by it."""
        self.heard += 1
        waiting = self._waiting.get(number)
        if waiting is None or waiting.answer.done():
            return False
        if operation == waiting.final and isinstance(content, Result):
            waiting.answer.set_result(content)
            return True
        waiting.size += size
        if waiting.size > LONGEST_ANSWER:
            self._fail(number, f"an answer of more than {LONGEST_ANSWER} octets")
        elif waiting.final != SEARCH_DONE or operation not in _AS_PART_OF_A_SEARCH:
            raise MalformedError("an answer to something else")
        elif isinstance(content, Entry) and len(waiting.entries) < waiting.most:
            waiting.entries.append(content)
        return False

    def _give_up(self, why: str) -> None:
        self.usable = False
        self._unusable = self._unusable or why
        self._buffer.clear()
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_result(None)
