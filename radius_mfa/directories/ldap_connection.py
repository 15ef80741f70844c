"""One connection to an LDAP server: many requests in flight, each with its own number (RFC 4511 §3.1).

It has no time limits of its own: whoever asks says until when they wait, or puts a deadline round the waiting,
and cancelling is safe.  What is asked is a future at once, with no coroutine between it and who waits for it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from itertools import chain, cycle, repeat
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
from radius_mfa.directories.ldap_quick import BIND_SUCCESSES, read_found, read_usual
from radius_mfa.directories.ldap_tls import Tls, why
from radius_mfa.directories.time_limits import TimeLimits

_AS_PART_OF_A_SEARCH = frozenset(
    {messages.SEARCH_ENTRY, messages.SEARCH_REFERENCE, messages.INTERMEDIATE_RESPONSE}
)
_SUCCEEDED = Result(messages.SUCCESS)


class ConnectionLostError(DirectoryError):
    """The connection is of no use any more; whatever was asked may or may not have been done."""


class TooLargeError(DirectoryError):
    """An answer that is too large to be kept."""


@record(frozen=True, slots=True)
class Answer:
    """How a request ended, and what was found on the way."""

    result: Result
    entries: tuple[Entry, ...] = ()


_Waiting = tuple[asyncio.Future[Any], int, int, float | None]
"""Of a request in flight: its answer to come, the operation which that is, the entries kept of it, until when."""


@dataclass(slots=True)
class _Found:
    """What has come for a search before its end: entries, and how many octets in all."""

    entries: list[Entry] = field(default_factory=list)
    size: int = 0


class LdapConnection(asyncio.Protocol):
    """Made by `connect`.  `name`: the server's, for messages.  `heard`: how many messages came so far.

    `usable`: whether anything more may be asked here.
    """

    def __init__(self, name: str, timeout: float) -> None:
        self.name = name
        self.heard = 0
        self._timeout = timeout
        self._limits = TimeLimits(self._futures)
        self._loop = asyncio.get_running_loop()
        self._new_future = self._loop.create_future
        self.closed: asyncio.Future[None] = self._new_future()
        self._transport: asyncio.Transport  # from connection_made on, before anybody else has this object
        self._buffer = bytearray()
        self._left_out = 0  # octets to come of a message that is passed over
        self._waiting: dict[int, _Waiting] = {}
        self._found: dict[int, _Found] = {}  # only where the end did not come with it
        self._to_send: list[bytes] = []
        self._next_id = chain.from_iterable(repeat(range(1, LAST_ID + 1))).__next__
        # Of what is asked alone: a number may come again once it has been answered (RFC 4511 §4.1.1.1).
        self._next_id_alone = cycle(range(1, len(BIND_SUCCESSES))).__next__
        self._alone = 0  # the number of the last bind
        self._success = b""  # its response in octets if it succeeds, while it is in flight
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
    ) -> Self:
        """A connection to the server, nobody bound on it yet.  Raises DirectoryError.

        `timeout`: seconds in which the server's host must answer, now and whenever something is sent.
        `tls`: None for clear text.
        """
        loop = asyncio.get_running_loop()
        at_once: dict[str, Any] = {}
        if tls is not None and not tls.start:
            at_once = {"ssl": tls.context, "server_hostname": host, "ssl_shutdown_timeout": timeout}
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(lambda: cls(name, timeout), host, port, **at_once)
                if tls is not None and tls.start:
                    await connection._start_tls(tls.context, host)
        except TimeoutError:
            raise DirectoryError(f"{name}: no connection within {timeout:g} s") from None
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            raise DirectoryError(f"{name}: {why(error)}") from error
        return connection

    async def _start_tls(self, trusted: ssl.SSLContext, host: str) -> None:
        """TLS from here on (RFC 4511 §4.14), or no connection: whoever refuses may be somebody in between."""
        loop, number = asyncio.get_running_loop(), self._next_id_alone()
        try:
            self._transport.write(message(number, messages.start_tls_request()))
            result: Result = await self._answer_to(number, EXTENDED_RESPONSE, 0, None)
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

    @property
    def certificate(self) -> bytes | None:
        """The one that the server has shown, in DER; None in clear text."""
        tls = self._transport.get_extra_info("ssl_object")
        shown: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
        return shown

    def bind(
        self, dn: str, password: bytes, controls: bytes = b"", until: float | None = None
    ) -> asyncio.Future[Result]:
        """Become `dn`, or, with any other result than SUCCESS, nobody (RFC 4511 §4.2.1).

        Nothing else may be in flight, and after a cancellation or at a TimeoutError nothing be asked here again.
        The future's errors: ConnectionLostError; TimeoutError at `until`, which is the loop's time.
        """
        number = self._alone = self._next_id_alone()
        octets = messages.bind_message(number, dn, password, controls)
        if not self._unusable:
            self._transport.write(octets)  # at once: there is nothing that it could be sent with
            self._success = BIND_SUCCESSES[number]
        return self._answer_to(number, BIND_RESPONSE, 0, until)

    def search(
        self, request: bytes, most: int = messages.MOST_ENTRIES, until: float | None = None
    ) -> asyncio.Future[Answer]:
        """Run an encoded search; references to other servers are passed over.

        `most`: entries that are kept.  The future's errors: ConnectionLostError; TimeoutError at `until`,
        which is the loop's time.
        """
        number = self._next_id()
        if not self._unusable:
            # With all else of this turn of the loop, at its end: in a row, so that the server is woken once.
            if not self._to_send:
                self._loop.call_soon(self._send_together)
            self._to_send.append(message(number, request))
        return self._answer_to(number, SEARCH_DONE, most, until)

    def given_up(self) -> None:
        """Whoever asked something waits no longer, whether they were cancelled or their time is over.

        What stands behind a question that is still waited for is forgotten with that.
        """
        while self._waiting:
            number, (answer, *_) = next(iter(self._waiting.items()))
            if not answer.done():
                return
            self._forget(number)
        if self._unusable:
            self.close()

    def retire(self, why: str) -> None:
        """Take nothing more on; close when what is in flight has ended."""
        self.usable = False
        self._unusable = self._unusable or why
        self.given_up()

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

    def _answer_to(self, number: int, final: int, most: int, until: float | None) -> asyncio.Future[Any]:
        """How it will end, `final` being the operation that says so; a late answer is one to nothing."""
        answer: asyncio.Future[Any] = self._new_future()
        if self._unusable:
            answer.set_exception(self._lost())
            return answer
        self._waiting[number] = answer, final, most, until
        if until is not None and until < self._limits.rings:
            self._limits.ring(until)
        return answer

    def _futures(self) -> list[tuple[asyncio.Future[Any], float | None]]:
        return [(answer, until) for answer, _, _, until in self._waiting.values()]

    def _send_together(self) -> None:
        if self._to_send:  # else it was closed meanwhile
            octets = b"".join(self._to_send)
            self._to_send.clear()
            self._transport.write(octets)

    def _forget(self, number: int) -> None:
        del self._waiting[number]
        self._found.pop(number, None)
        self._success = b""

    def _lost(self) -> ConnectionLostError:
        return ConnectionLostError(f"{self.name}: {self._unusable}")

    # --- what the server sends ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # A host that is gone, or a firewall that forgot us, would else be noticed after a quarter of an hour.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._timeout * 1000))

    def data_received(self, data: bytes) -> None:
        if data == self._success:
            self.heard += 1
            self._end(self._alone, self._waiting[self._alone][0], _SUCCEEDED)
        else:
            midway = self._buffer or self._left_out or self._clear_text_is_over
            try:
                at = 0 if midway else self._receive_usual(data)
                if at < len(data):
                    self._receive_any(data[at:])
            except MalformedError as malformed:
                self.abort(f"the server sent {malformed}")
        if self._unusable:
            self.given_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up(f"connection lost: {exc}" if exc else "the server closed the connection")
        self.closed.set_result(None)

    def _receive_usual(self, data: bytes) -> int:
        """Take whole messages as they usually are from the start of `data`; how far they go."""
        at, end = 0, len(data)
        while at < end:
            found = read_found(data, at)
            if found:
                number, entry, stop = found
                waiting = self._waiting.get(number)
                if waiting and waiting[1] == SEARCH_DONE and number not in self._found:
                    self.heard += 1
                    self._end(number, waiting[0], Answer(_SUCCEEDED, (entry,)))
                    at = stop
                    continue
            usual = read_usual(data, at)
            if usual is None:
                break
            number, operation, content, stop = usual
            self._take(number, operation, content, stop - at)
            at = stop
        return at

    def _receive_any(self, data: bytes) -> None:
        self._success = b""  # it would not come by itself
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
        if waiting is not None and not waiting[0].done():
            waiting[0].set_exception(TooLargeError(f"{self.name}: {why}"))

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
        if waiting is None:
            return False
        answer, final, _, _ = waiting
        if operation == final and isinstance(content, Result):
            if final != SEARCH_DONE:
                return self._end(number, answer, content)
            found = self._found.pop(number, None)
            return self._end(number, answer, Answer(content, tuple(found.entries) if found else ()))
        if not answer.done():
            self._take_part(number, operation, content, size)
        return False

    def _take_part(self, number: int, operation: int, content: Result | Entry | None, size: int) -> None:
        """Keep what is not the end of an answer that somebody waits for."""
        _, final, most, _ = self._waiting[number]
        found = self._found.setdefault(number, _Found())
        found.size += size
        if found.size > LONGEST_ANSWER:
            self._fail(number, f"an answer of more than {LONGEST_ANSWER} octets")
        elif final != SEARCH_DONE or operation not in _AS_PART_OF_A_SEARCH:
            raise MalformedError("an answer to something else")
        elif isinstance(content, Entry) and len(found.entries) < most:
            found.entries.append(content)

    def _end(self, number: int, answer: asyncio.Future[Any], content: Answer | Result) -> bool:
        """This is the answer to what has that number; whether anybody still waits for it."""
        del self._waiting[number]
        self._success = b""
        if answer.done():
            return False
        answer.set_result(content)
        return True

    def _give_up(self, why: str) -> None:
        self.usable = False
        self._unusable = self._unusable or why
        self._buffer.clear()
        self._to_send.clear()
        self._success = b""
        waiting = [answer for answer, *_ in self._waiting.values()]
        self._found.clear()
        self._waiting.clear()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(self._lost())
