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
from collections.abc import Awaitable, Callable
from itertools import takewhile

from radius_mfa.core.messages import SESSION, AccessRequest, Attribute, Code, Reply
from radius_mfa.core.ports import Clock, Entropy
from radius_mfa.core.record import record
from radius_mfa.wire.room import Room

_MOST = 20_000
_LOOK_EVERY = 1.0  # seconds until old ones are looked for again: an emptied front is slow to get over
_TOLD_APART_BY = SESSION | {Attribute.STATE}

# What makes two requests the same login: the client, the password, and all that is said but for what differs
# from one sending to the next.
_Said = tuple[str, bytes | None, bytes]
Decide = Callable[[AccessRequest], Awaitable[Reply | None]]


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
    derived from one leaves this process.  Beyond the bound the newest is not remembered; what nobody asks for
    any more is looked for once a second.  While a request is being decided it is known by what it says itself.
    """

    def __init__(self, clock: Clock, entropy: Entropy, is_open: Callable[[bytes], Awaitable[bool]]) -> None:
        """`is_open`: whether a State was answered nowhere yet."""
        self._clock = clock
        self._is_open = is_open
        self._keyed = hashlib.blake2b(key=entropy.octets(32), digest_size=16)
        # None as long as nobody has joined.  Whether it was decided, and to what.
        self._running: dict[_Said, asyncio.Future[tuple[bool, Reply | None]] | None] = {}
        self._answered: dict[bytes, _Answered] = {}
        self._looked = clock.monotonic()  # for what is old
        self._by_state: dict[bytes, bytes] = {}
        self._room = Room(_MOST, shared=True)

    async def once(self, request: AccessRequest, decide: Decide) -> Reply | None:
        """The reply to `request`; `decide` makes it unless the same login has it, or is getting it, already."""
        if not request.has_any(_TOLD_APART_BY):
            return await decide(request)
        said = request.nas.name, request.password, request.said
        while said in self._running:
            is_decided, reply = await self._join(said)
            # Else the connection has ended on which the other one came; its NAS may be asking again on this.
            if is_decided:
                return reply
        self._running[said] = None
        is_decided, reply = False, None
        try:
            reply = await self._first(request, said, decide)
            is_decided = True
        finally:
            joined = self._running.pop(said)
            if joined is not None:
                joined.set_result((is_decided, reply))
        return reply

    async def _first(self, request: AccessRequest, said: _Said, decide: Decide) -> Reply | None:
        """The reply to one that nobody else is getting."""
        state = request.first(Attribute.STATE)
        if state is not None:
            self._is_answered(state)
            return await decide(request)
        key = self._digest(said)
        reply = self._known(key)
        if reply is None or not await self._is_good(reply, key):
            reply = await decide(request)
            self._remember(request, key, reply)
        return reply

    async def _join(self, said: _Said) -> tuple[bool, Reply | None]:
        """Whether the one that is being decided comes to an end, and to which."""
        outcome = self._running[said]
        if outcome is None:
            outcome = self._running[said] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(outcome)

    def _is_answered(self, state: bytes) -> None:
        """Whoever begins anew from here is another login."""
        if (answered := self._by_state.get(state)) is not None:
            self._forget(answered)

    def _known(self, key: bytes) -> Reply | None:
        now = self._clock.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._forget_old(now)
        known = self._answered.get(key)
        if known is None:
            return None
        if known.until <= now:  # not looked for since, or behind a slower NAS's
            self._forget(key)
            return None
        return known.reply

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
        nas = request.nas
        # In one-field mode the first reply is the last as well.
        if reply is None or (reply.code is not Code.ACCESS_CHALLENGE and nas.profile.suffix is None):
            return
        if not self._room.takes(nas.name):
            return
        self._answered[key] = _Answered(reply, request.arrived + nas.window, nas.name)
        if reply.state is not None:
            self._by_state[reply.state] = key

    def _forget_old(self, now: float) -> None:
        """Drop what no NAS asks for any more, oldest first."""
        for key in [*takewhile(lambda key: self._answered[key].until <= now, self._answered)]:
            self._forget(key)

    def _digest(self, said: _Said) -> bytes:
        """Of what makes two requests the same login."""
        client, password, rest = said
        digest = self._keyed.copy()
        digest.update(repr((client, password)).encode() + rest)
        return digest.digest()
