"""The same login again: joined while it is being decided, given the same reply afterwards.

A NAS that waits too long sends the request again, often with a new Identifier or from another
port, which the wire cannot know for a duplicate (RFC 5080 §2.2.2).  To the user it is one login: one
password check, one challenge.  What is asked with a State needs no memory here: the store gives the
identical answer its decision.  A challenge may have been answered at another node meanwhile: before one
is given again the store is asked, lest whoever logs in anew be given a State that is spent.

Only a request that says which session it is for can be told from another session's.  Where a NAS says
nothing of the kind, two people at two screens would share a State and then an Access-Accept; so
there every request is a login of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from radius_mfa.core.messages import SESSION, AccessRequest, Attribute, Code, Reply
from radius_mfa.core.ports import Clock, Entropy
from radius_mfa.core.record import record
from radius_mfa.wire.room import Room

_MOST = 20_000
_TOLD_APART_BY = SESSION | {Attribute.STATE}


@record(frozen=True, slots=True)
class _Answered:
    """A reply that was given.  `until`: monotonic seconds for which the NAS may ask again."""

    reply: Reply
    until: float
    client: str


class SameLogin:
    """Remembers challenges, and in one-field mode every reply, for as long as the NAS may repeat the request.

    At most `_MOST` of them, half of that of one client.

    The key of the table is a digest under a key made at start: it holds a password, and nothing
    derived from one leaves this process.  Beyond the bound the newest is not remembered.
    """

    def __init__(self, clock: Clock, entropy: Entropy, is_open: Callable[[bytes], Awaitable[bool]]) -> None:
        """`is_open`: whether a State was answered nowhere yet."""
        self._clock = clock
        self._is_open = is_open
        self._keyed = hashlib.blake2b(key=entropy.octets(32), digest_size=16)
        # None as long as nobody has joined.
        self._running: dict[bytes, asyncio.Future[Reply | None] | None] = {}
        self._answered: OrderedDict[bytes, _Answered] = OrderedDict()
        self._by_state: dict[bytes, bytes] = {}
        self._room = Room(_MOST, shared=True)

    async def once(self, request: AccessRequest, decide: Callable[[], Awaitable[Reply | None]]) -> Reply | None:
        """The reply to `request`; `decide` makes it unless the same login has it, or is getting it, already."""
        if not request.has_any(_TOLD_APART_BY):
            return await decide()
        key = self._digest(request)
        if key in self._running:
            return await self._join(key)
        self._running[key] = None
        reply = None
        try:
            reply = self._known(request, key)
            if reply is None or not await self._is_good(reply, key):
                reply = None
                reply = await decide()
                self._remember(request, key, reply)
        finally:
            joined = self._running.pop(key)
            if joined is not None:
                joined.set_result(reply)
        return reply

    async def _join(self, key: bytes) -> Reply | None:
        """What the one that is being decided comes to."""
        outcome = self._running[key]
        if outcome is None:
            outcome = self._running[key] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(outcome)

    def _known(self, request: AccessRequest, key: bytes) -> Reply | None:
        state = request.first(Attribute.STATE)
        if state is not None:
            # Answered: whoever begins anew from here is another login.
            if (answered := self._by_state.get(state)) is not None:
                self._forget(answered)
            return None
        self._forget_old()
        known = self._answered.get(key)
        if known is not None and known.until <= self._clock.monotonic():  # stood behind a slower NAS's
            self._forget(key)
            return None
        return known.reply if known is not None else None

    async def _is_good(self, reply: Reply, key: bytes) -> bool:
        """Whether it is still to be given; forgotten if not."""
        if reply.state is None or await self._is_open(reply.state):
            return True
        if key in self._answered:
            self._forget(key)
        return False

    def _forget(self, key: bytes) -> None:
        known = self._answered.pop(key)
        self._by_state.pop(known.reply.state or b"", None)
        self._room.give_back(known.client)

    def _remember(self, request: AccessRequest, key: bytes, reply: Reply | None) -> None:
        client = request.nas.name
        if reply is None or request.first(Attribute.STATE) is not None or not self._room.is_left(client):
            return
        # In one-field mode the first reply is the last as well.
        if reply.code is not Code.ACCESS_CHALLENGE and request.nas.profile.suffix is None:
            return
        self._room.take(client)
        self._answered[key] = _Answered(reply, request.arrived + request.nas.window, client)
        if reply.state is not None:
            self._by_state[reply.state] = key

    def _forget_old(self) -> None:
        """Drop what no NAS asks for any more, oldest first: a plain dictionary grows slow at an emptied front."""
        now = self._clock.monotonic()
        while self._answered:
            key, oldest = next(iter(self._answered.items()))
            if oldest.until > now:
                break
            self._forget(key)

    def _digest(self, request: AccessRequest) -> bytes:
        """What makes two requests the same login: all they say but what differs from one sending to the next."""
        digest = self._keyed.copy()
        digest.update(repr((request.nas.name, request.password)).encode() + request.said)
        return digest.digest()
