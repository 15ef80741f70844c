"""Exact duplicates (RFC 5080 §2.2.2): the same packet again is dropped or gets the same octets again.

A NAS tells its requests apart by socket and Identifier, and reuses both; the Request Authenticator
says whether it is the same request.  Only verified requests may come here: otherwise anybody
could make us forget.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
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


# Not frozen, like `walker.Frame`.
@dataclass(slots=True)
class _Answered:
    authenticator: bytes = field(repr=False)
    octets: bytes = field(repr=False)
    at: float


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
        room, host = self._room, key[1]
        # With another authenticator the NAS uses the Identifier for something else, and has given up what was.
        if (waiting := self._in_flight.get(key)) is not None:
            if waiting == authenticator:
                return Seen.IN_FLIGHT
            del self._in_flight[key]
            room.give_back(host)
        elif (answered := self._answered.get(key)) is not None:
            if answered.authenticator == authenticator:
                return answered.octets
            del self._answered[key]
            room.give_back(host)
        if not room.is_left(host, share):
            self._forget_before(now - SHORTEST)
            if not room.is_left(host, share):
                return Seen.FULL
        room.take(host)
        self._in_flight[key] = authenticator
        return Seen.NEW

    def give_up(self, key: Key, authenticator: bytes) -> None:
        """Let the same request, sent again, be a new one."""
        if self.awaits(key, authenticator):
            del self._in_flight[key]
            self._room.give_back(key[1])

    def awaits(self, key: Key, authenticator: bytes) -> bool:
        """Whether this request is still in flight, and not given up for another with the same key."""
        return self._in_flight.get(key) == authenticator

    def answer(self, key: Key, octets: bytes, now: float) -> None:
        """Remember what answers the request in flight."""
        if not self._answered:
            self._oldest = now
        self._answered[key] = _Answered(self._in_flight.pop(key), octets, now)

    def _forget_before(self, then: float) -> None:
        while self._answered:
            key, oldest = next(iter(self._answered.items()))
            self._oldest = oldest.at
            if oldest.at > then:
                break
            del self._answered[key]
            self._room.give_back(key[1])
