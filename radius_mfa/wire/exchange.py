"""One request's way through the wire: client, packet, duplicates, limits, answer, delay, reply.

Transports bring octets and a way to send some back; `answer` brings the decision.  Nothing here
waits but `answer` itself and the delay of a Reject.  Every table is bounded: what there is no room
for is dropped and counted, and the NAS tries again.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator, Hashable

from structlog.typing import FilteringBoundLogger

from radius_mfa.core.messages import AccessRequest, Attribute, Code, Reply
from radius_mfa.core.ports import Clock, Meter
from radius_mfa.core.seldom import Seldom
from radius_mfa.wire.clients import Clients
from radius_mfa.wire.desk import Asked, AskedOver, Desk, KnownReplies, Limits, Link, Send
from radius_mfa.wire.packet import Encoder, bare_reject, decode, encode
from radius_mfa.wire.replies import Replies, Seen
from radius_mfa.wire.sources import Sources
from radius_mfa.wire.walker import DiscardReason

Answer = Callable[[AccessRequest], Awaitable[Reply | None]]
"""Decides on a request; None: there is to be no reply."""

Note = Callable[[str, str], None]
"""Told of a client and source under `auto` that has sent its first Message-Authenticator: to be kept soon."""

Vouch = Callable[[AccessRequest], bool]
"""Whether the State of a request is one of ours that its client may still answer."""

_MOST_LOGGED = 1024  # lines in a minute about clients,
_MOST_LOGGED_OF_STRANGERS = 128  # and about sources that are none: both can be made up
_MOST_FOUND = 65_536  # addresses that need not be looked at again; then they are forgotten, all at once
_UNPROVEN_SHARE = 0.75  # of what is in flight or remembered, for requests without a good State

_CODES = {int(code): code.name.lower() for code in Code}  # as metrics call them
# Looked up once: see `walker`.
_STATUS_SERVER, _NEW = int(Code.STATUS_SERVER), Seen.NEW

# Without a Message-Authenticator, and refused for it.
_UNSIGNED = frozenset(
    {
        DiscardReason.MESSAGE_AUTHENTICATOR_REQUIRED,
        DiscardReason.MESSAGE_AUTHENTICATOR_DOWNGRADED,
        DiscardReason.PROXY_STATE_UNSIGNED,
    }
)
# Everyday: a NAS repeats itself, or closes its connection.  What `answer` withholds, the audit file tells, or
# `probes` is counted.
_NOT_LOGGED = frozenset(
    {
        DiscardReason.DUPLICATE_IN_FLIGHT,
        DiscardReason.SUPERSEDED,
        DiscardReason.WITHHELD,
        DiscardReason.CONNECTION_CLOSED,
    }
)
# Where a stream has such a packet, nobody knows where the next one begins, or it was not for us (RFC 6613 §2.6.4).
_CLOSING = frozenset(
    {
        DiscardReason.SHORTER_THAN_HEADER,
        DiscardReason.SHORTER_THAN_LENGTH,
        DiscardReason.LENGTH_OUT_OF_RANGE,
        DiscardReason.ATTRIBUTE_TYPE_ZERO,
        DiscardReason.ATTRIBUTE_TOO_SHORT,
        DiscardReason.ATTRIBUTE_OVERRUN,
        DiscardReason.TOO_MANY_ATTRIBUTES,
        DiscardReason.MESSAGE_AUTHENTICATOR_DUPLICATED,
        DiscardReason.MESSAGE_AUTHENTICATOR_MALFORMED,
        DiscardReason.MESSAGE_AUTHENTICATOR_WRONG,
    }
)


class Exchange:
    """Answers the octets that any transport receives.

    `replies`: what an exchange before this one has answered, which is known here as well; it has this one's
    from now on.  `jitter`: a number from 0 to 1, another one each time.  `is_ready`: whether Status-Server
    is to be answered now.
    """

    def __init__(
        self,
        clients: Clients,
        answer: Answer,
        encoder: Encoder,
        meter: Meter,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        sources: Sources,
        replies: KnownReplies,
        note: Note,
        vouches: Vouch,
        is_ready: Callable[[], bool],
        jitter: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self._clients = clients
        self._answer = answer
        self._encoder = encoder
        self._meter = meter
        self._requests, self._given = meter.counter("requests"), meter.counter("replies")
        self._monotonic, self._wall = clock.monotonic, clock.wall
        self._log = log
        self._sources, self._signs = sources, sources.signs
        self._note, self._vouches = note, vouches
        self._is_ready, self._jitter = is_ready, jitter
        self._limits = limits or Limits()
        self._most_unproven = self._limits.in_flight * _UNPROVEN_SHARE
        self._desks = {each.nas.name: Desk(each, self._limits, replies) for each in clients}
        replies.clear()
        replies |= {desk.table: desk.replies for desk in self._desks.values()}
        self._found: dict[str, Desk] = {}  # of clients alone: strangers can make up as many as they like
        self._held: dict[Asked, asyncio.TimerHandle] = {}
        self._tasks: dict[Asked, asyncio.Task[None]] = {}
        self._lines = Seldom(_MOST_LOGGED)
        self._lines_of_strangers = Seldom(_MOST_LOGGED_OF_STRANGERS)
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None  # kept: to ask which one runs is a system call
        self._idle = asyncio.Event()

    def receive(self, octets: bytes, source: tuple[str, int], socket: Hashable, send: Send) -> None:
        """One datagram from `source` at one of our sockets: `send` gets the reply now, later or never.

        Called within the running event loop.  Never raises, whatever the octets are.
        """
        host, port = source
        desk = self._found.get(host) or self._find(host)
        if desk is None:
            return self._discard(DiscardReason.UNKNOWN_SOURCE, "", host)
        if self._closing:
            return self._discard(DiscardReason.CLOSING, desk.name, host)
        asked = decode(octets, desk.client, source, self._monotonic(), Asked, self._signs)
        if not isinstance(asked, Asked):
            if asked in _UNSIGNED:
                self._sources.saw(desk.name, host, self._wall(), False)
            return self._discard(asked, desk.name, host)
        signs = asked.signs
        if signs is not None and self._sources.saw(desk.name, host, self._wall(), signs) and desk.is_auto:
            self._note(desk.name, host)  # whoever does must from now on
        asked.key = socket, host, port, asked.identifier
        asked.send = send
        return self._begin(asked, desk, desk.replies)

    def _find(self, host: str) -> Desk | None:
        """The desk of the client at an address that is not remembered; it is from now on, if there is one."""
        client = self._clients.find(host)
        if client is None:
            return None
        if len(self._found) >= _MOST_FOUND:
            self._found.clear()
        desk = self._found[host] = self._desks[client.nas.name]
        return desk

    def receive_over(self, link: Link, octets: bytes) -> bool:
        """One packet of a connection; False: after such a one the connection has to be closed.

        Likewise.  The client is one of ours: whoever makes the link sees to that, also after a reload.
        """
        desk, (host, port) = self._desks[link.client], link.source
        if self._closing:
            self._discard(DiscardReason.CLOSING, link.client, host)
            return True
        asked = decode(octets, desk.over_tls, link.source, self._monotonic(), AskedOver)
        if not isinstance(asked, AskedOver):
            self._discard(asked, link.client, host)
            return asked not in _CLOSING
        asked.key = link, host, port, asked.identifier
        asked.send, asked.link = link.send, link
        self._begin(asked, desk, link.replies)
        return True

    def has_room_for(self, link: Link) -> bool:
        """Whether one more request of that connection would be taken.

        Nobody sends twice what is sent over TCP: what there is no room for had better wait where it is.
        """
        busy = len(self._tasks) >= self._most_unproven
        return not busy and self._desks[link.client].in_flight.is_left(link.source[0], _UNPROVEN_SHARE)

    def hang_up(self, link: Link) -> None:
        """Its connection has ended: what it has asked is dropped, and what would be sent is not."""
        link.closed = True
        for asked in [each for each in self._held if each.link is link]:
            self._held.pop(asked).cancel()
            asked.desk.held.give_back(asked.host)
            self._drop(asked, DiscardReason.CONNECTION_CLOSED)
        for asked, task in self._tasks.items():
            if asked.link is link:
                task.cancel()
        self._notice_idle()

    async def drain(self, seconds: float) -> None:
        """Take nothing new and finish what is under way, delayed replies included; `seconds` at most."""
        self._closing = True
        self._notice_idle()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            self._log.warning("drain_cut_short", in_flight=len(self._tasks), held=len(self._held))
        for handle in self._held.values():
            handle.cancel()
        self._held.clear()
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- a request ------------------------------------------------------------------------------

    def _begin(self, asked: Asked, desk: Desk, replies: Replies) -> None:
        """Have a verified packet answered."""
        asked.desk = desk
        asked.replies = replies
        code = asked.code
        self._requests[desk.name, _CODES[code]] += 1
        if code == _STATUS_SERVER:
            return self._say_whether_ready(asked)
        key = asked.key
        seen = replies.ask(key, asked.authenticator, asked.request.arrived, _UNPROVEN_SHARE)
        if (
            seen is _NEW
            and len(self._tasks) < self._most_unproven
            and desk.in_flight.takes(key[1], _UNPROVEN_SHARE)
        ) or self._takes(asked, seen):
            serving = self._serve(asked)
            # As far as to its first yield, so that also a task that is cancelled before its turn ends in `_serve`.
            serving.send(None)
            # With a name: to make one up, as it is done otherwise, takes a sixth of what the task does.
            self._tasks[asked] = asyncio.Task(serving, loop=self._loop or self._running_loop(), name="request")
        return None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _say_whether_ready(self, asked: Asked) -> None:
        """RFC 5997 §4.2: we are there, and nothing else is done."""
        if not self._is_ready():
            return self._discard(DiscardReason.NOT_READY, asked.client, asked.host)
        octets = self._encode(asked, Reply(Code.ACCESS_ACCEPT))
        self._given[asked.client, _CODES[octets[0]]] += 1
        return asked.send(octets)

    def _takes(self, asked: Asked, seen: bytes | Seen) -> bool:
        """Take room for what `_begin` could not take at once; False: a duplicate, or there is none even so."""
        if isinstance(seen, bytes):
            self._meter.count("repeated", client=asked.client)
            asked.send(seen)
            return False
        if seen is Seen.IN_FLIGHT:
            self._discard(DiscardReason.DUPLICATE_IN_FLIGHT, asked.client, asked.host)
            return False
        busy = self._busy(asked, seen, _UNPROVEN_SHARE)
        # Whoever goes on with a login of ours may use all there is.
        if busy and asked.request.first(Attribute.STATE) is not None and self._vouches(asked.request):
            if seen is Seen.FULL:
                seen = asked.replies.ask(asked.key, asked.authenticator, asked.request.arrived)
            busy = self._busy(asked, seen, 1.0)
        if busy:
            self._drop(asked, busy)
            return False
        asked.desk.in_flight.take(asked.host)
        return True

    def _busy(self, asked: Asked, seen: bytes | Seen, share: float) -> DiscardReason | None:
        """What has no room left of this share, if anything."""
        if seen is Seen.FULL or not asked.desk.in_flight.is_left(asked.host, share):
            return DiscardReason.CLIENT_BUSY
        return DiscardReason.SERVER_BUSY if len(self._tasks) >= self._limits.in_flight * share else None

    async def _serve(self, asked: Asked) -> None:
        has_begun = False
        try:
            await _turn()
            has_begun = True
            reply = await self._answer(asked.request)
        # A cancellation, wherever it came from, must not leave the request in flight for ever;
        # the task ends here in any case.
        except (Exception, asyncio.CancelledError) as error:
            if asked.is_gone:
                self._drop(asked, DiscardReason.CONNECTION_CLOSED)
            elif has_begun:
                self._drop(asked, DiscardReason.ANSWER_FAILED, error=type(error).__name__)
            else:
                self._drop(asked, DiscardReason.CLOSING)
        else:
            if reply is None:
                self._drop(asked, DiscardReason.WITHHELD)
            elif reply.delayed:
                self._hold(asked, self._encode(asked, reply))
            else:
                self._finish(asked, self._encode(asked, reply))
        finally:
            del self._tasks[asked]
            asked.desk.in_flight.give_back(asked.key[1])
            if self._closing:
                self._notice_idle()

    def _encode(self, asked: Asked, reply: Reply) -> bytes:
        """The reply in octets; a bare Access-Reject where it cannot be one as it is."""
        try:
            octets = encode(reply, asked, self._encoder)
        except Exception as broken:
            error = type(broken).__name__
        else:
            if octets is not None:
                return octets
            error = "ReplyTooLong"
        self._meter.count("unencodable", client=asked.client)
        if self._lines.may_say(("reply_unencodable", asked.client), self._monotonic()):
            self._log.error("reply_unencodable", client=asked.client, error=error)
        octets = encode(bare_reject(asked.request), asked, self._encoder)
        assert octets is not None  # `encode` says so: nothing in it is longer than the request was
        return octets

    # --- its reply ------------------------------------------------------------------------------

    def _hold(self, asked: Asked, octets: bytes) -> None:
        """Finish with `octets` once the delay, counted from arrival, is over."""
        desk = asked.desk
        if len(self._held) >= self._limits.held or not desk.held.takes(asked.host):
            return self._drop(asked, DiscardReason.TOO_MANY_HELD)
        remaining = asked.request.arrived + desk.client.nas.refusal_delay(self._jitter()) - self._monotonic()
        self._held[asked] = asyncio.get_running_loop().call_later(remaining, self._release, asked, octets)
        return None

    def _release(self, asked: Asked, octets: bytes) -> None:
        asked.desk.held.give_back(asked.host)
        del self._held[asked]
        self._finish(asked, octets)
        self._notice_idle()

    def _finish(self, asked: Asked, octets: bytes) -> None:
        """Remember the reply for duplicates and send it."""
        if not asked.replies.answer(asked.key, asked.authenticator, octets, self._monotonic()):
            return self._discard(DiscardReason.SUPERSEDED, asked.client, asked.host)
        self._given[asked.desk.name, _CODES[octets[0]]] += 1
        return asked.send(octets)

    # --- what is not answered -------------------------------------------------------------------

    def _drop(self, asked: Asked, reason: DiscardReason, **details: str) -> None:
        """Leave a request unanswered; the same one, sent again, is tried anew."""
        asked.replies.give_up(asked.key, asked.authenticator)
        self._discard(reason, asked.client, asked.host, **details)

    def _discard(self, reason: DiscardReason, client: str, host: str, **details: str) -> None:
        self._meter.count("discarded", reason=reason.value, client=client)
        if reason not in _NOT_LOGGED and self._may_say(reason, client, host):
            self._log.warning("discarded", reason=reason.value, client=client, source=host, **details)

    def _may_say(self, reason: DiscardReason, client: str, host: str) -> bool:
        what, now = (reason, host), self._monotonic()
        if not client:
            return self._lines_of_strangers.may_say(what, now)
        return self._desks[client].lines.may_say(what, now) and self._lines.may_say(what, now)

    # --- what goes on beside --------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Requests that are being decided."""
        return len(self._tasks)

    @property
    def held(self) -> int:
        """Delayed replies that have not left yet."""
        return len(self._held)

    def _notice_idle(self) -> None:
        if self._closing and not self._tasks and not self._held:
            self._idle.set()


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """The next turn of the event loop."""
    yield
