"""Exact duplicates (RFC 5080 §2.2.2): the same packet again is dropped or gets the same octets again.

A NAS tells its requests apart by socket and Identifier, and reuses both; the Request Authenticator
says whether it is the same request.  Only verified requests may come here: otherwise anybody
could make us forget.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum, auto
from math import inf

from radius_mfa.wire.room import Room

# RFC 5080 §2.2.2: a reply is kept for 5 to 30 seconds.
SHORTEST = 5.0
LONGEST = 30.0

Key = tuple[Hashable, str, int, int]
"""Our socket, the source's address and port, the Identifier."""


class Seen(Enum):
    """What the table says of a request that has no reply to be sent again."""

    NEW = auto()
    IN_FLIGHT = auto()
    FULL = auto()


_NEW = Seen.NEW  # looked up once: see `walker`

_Answered = tuple[bytes, bytes, float]
"""The Request Authenticator, what answered it, and when."""


class Replies:
    """The requests of one client: those in flight, and what was answered for `lifetime` seconds.

    `room`: how many are remembered.  A full table gives up what is older than 5 s; where nothing is,
    it takes no new request, so that one remembered is never forgotten too soon.
    """

    def __init__(self, lifetime: float, room: Room) -> None:
        self._lifetime = min(max(lifetime, SHORTEST), LONGEST)
        self._room = room
        self._in_flight: dict[Key, bytes] = {}
        self._answered: OrderedDict[Key, _Answered] = OrderedDict()  # by time of answer
        self._oldest = inf  # no answer is older: until its time is over, none of them needs to be looked at

    @property
    def is_awaited(self) -> bool:
        """Whether a request has no reply yet."""
        return bool(self._in_flight)

    def ask(self, key: Key, authenticator: bytes, now: float, share: float = 1.0) -> bytes | Seen:
        """The octets that answered this very request, or how it stands; NEW: it is in flight from here on.

        `share`: how much of the room a new request may use; one that is remembered needs none.
        """
        if self._oldest <= now - self._lifetime:
            self._forget_before(now - self._lifetime)
        if key in self._in_flight or key in self._answered:
            known = self._again(key, authenticator)
            if known is not None:
                return known
        if not self._room.takes(key[1], share):
            self._forget_before(now - SHORTEST)
            if not self._room.takes(key[1], share):
                return Seen.FULL
        self._in_flight[key] = authenticator
        return _NEW

    def _again(self, key: Key, authenticator: bytes) -> bytes | Seen | None:
        """What is known of this very request; None: there was another under its key, which is forgotten."""
        # With another authenticator the NAS uses the Identifier for something else, and has given up what was.
        if (waiting := self._in_flight.get(key)) is not None:
            if waiting == authenticator:
                return Seen.IN_FLIGHT
            del self._in_flight[key]
        else:
            asked, octets, _ = self._answered[key]
            if asked == authenticator:
                return octets
            del self._answered[key]
        self._room.give_back(key[1])
        return None

    def give_up(self, key: Key, authenticator: bytes) -> None:
        """Let the same request, sent again, be a new one."""
        if self.awaits(key, authenticator):
            del self._in_flight[key]
            self._room.give_back(key[1])

    def awaits(self, key: Key, authenticator: bytes) -> bool:
        """Whether this request is still in flight, and not given up for another with the same key."""
        return self._in_flight.get(key) == authenticator

    def answer(self, key: Key, authenticator: bytes, octets: bytes, now: float) -> bool:
        """Remember what answers this request; False where it is not awaited any more."""
        if self._in_flight.get(key) != authenticator:
            return False
        del self._in_flight[key]
        if not self._answered:
            self._oldest = now
        self._answered[key] = authenticator, octets, now
        return True

    def _forget_before(self, then: float) -> None:
        while self._answered:
            key, (_, _, self._oldest) = next(iter(self._answered.items()))
            if self._oldest > then:
                break
            del self._answered[key]
            self._room.give_back(key[1])
