"""The 802.1X conversations of a process, by State: so many at once, and each for so long.

A conversation lives here and nowhere else; its State (`core.homes`) names the worker.  Each round has a State of
its own, and the one before is still known, since a NAS that heard no reply asks again with it.

What strangers can open is bounded: where there is no room, the oldest goes, of those first that have shown no
password yet.  Behind a password somebody may be looking for a code.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import chain

from radius_mfa.core import homes
from radius_mfa.core.messages import Reply
from radius_mfa.core.ports import Clock, Entropy, Meter
from radius_mfa.core.sessions import Session
from radius_mfa.eap.dialogue import Dialogue, Event
from radius_mfa.eap.sessions import Sessions
from radius_mfa.wire.room import Room

_MOST = 2048  # at some 50 kB, while their handshake is under way
_SHARE = _MOST // 2  # of one client (`wire.room`)
_LOOK_EVERY = 1.0  # seconds until those are looked for that are past their time


@dataclass(slots=True, eq=False)
class Talk:
    """One conversation.

    `client`, `outer_name`: who it is bound to.  `until`: monotonic seconds.  `states`: the last two it was given.
    `heard`: what was heard last, after the State it came with; `event`: what it led to, until there is the `reply`
    to it; `answering`: while somebody finds out.  `inner_state`: of the last of the `challenges` in the tunnel.
    `accepted`: what the NAS is told at the end, and `session`, what the TLS session is worth then; `is_resumed`:
    it was one.  `has_failed`: there is no tunnel, or no method.
    """

    client: str
    outer_name: bytes = field(repr=False)
    dialogue: Dialogue | None = field(repr=False)
    until: float = 0.0
    states: tuple[bytes, ...] = field(default=(), repr=False)
    heard: tuple[bytes | None, bytes] = field(default=(None, b""), repr=False)
    event: Event | None = field(default=None, repr=False)
    reply: Reply | None = field(default=None, repr=False)
    answering: asyncio.Future[Reply | None] | None = None
    inner_state: bytes | None = field(default=None, repr=False)
    challenges: int = 0
    accepted: Reply | None = field(default=None, repr=False)
    session: Session | None = None
    is_resumed: bool = False
    has_failed: bool = False


class Talks:
    """`worker`: our number among those of the server."""

    def __init__(self, clock: Clock, entropy: Entropy, meter: Meter, worker: int = 0) -> None:
        self._clock = clock
        self._meter = meter
        self._entropy = entropy
        self._worker = worker
        self._by_state: dict[bytes, Talk] = {}
        self._early: dict[Talk, None] = {}  # without a password, or over
        self._late: dict[Talk, None] = {}
        self._room = Room(_MOST, shared=True)
        self._looked = clock.monotonic()
        self.sessions = Sessions()

    def __len__(self) -> int:
        return len(self._early) + len(self._late)

    def find(self, state: bytes) -> Talk | None:
        """The conversation that was given this State."""
        talk = self._by_state.get(state)
        if talk is not None and self._is_over(talk, self._clock.monotonic()):
            self._drop(talk)
            return None
        return talk

    def begin(self, talk: Talk) -> bool:
        """Whether there is room for one more."""
        now = self._clock.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            for old in [each for each in chain(self._early, self._late) if self._is_over(each, now)]:
                self._drop(old)
        if not self._room.is_left(talk.client) and not self._make_room(talk.client):
            return False
        self._room.take(talk.client)
        self._early[talk] = None
        return True

    @staticmethod
    def _is_over(talk: Talk, now: float) -> bool:
        """Whether nobody waits for it any more; while somebody finds out, its NAS does."""
        return talk.until <= now and talk.answering is None

    def _make_room(self, client: str) -> bool:
        """Another of the client goes where it has its share; else whoever's, oldest first."""
        own = [each for each in chain(self._early, self._late) if each.client == client]
        others = chain(self._early, self._late) if len(own) < _SHARE else own
        oldest = next((each for each in others if each.answering is None), None)
        if oldest is not None:
            self._drop(oldest, "evicted")
        return oldest is not None and self._room.is_left(client)

    def turn(self, talk: Talk, lasting: float, *, past_password: bool = False) -> bytes:
        """A new State, good for `lasting` seconds."""
        state = homes.state_of(self._worker, self._entropy)
        for forgotten in talk.states[:-1]:
            del self._by_state[forgotten]
        talk.states = (*talk.states[-1:], state)
        self._by_state[state] = talk
        talk.until = self._clock.monotonic() + lasting
        if past_password and talk in self._early:
            del self._early[talk]
            self._late[talk] = None
        return state

    def end(self, talk: Talk, lasting: float) -> None:
        """It is over; for `lasting` seconds more its NAS gets the same reply."""
        talk.dialogue = None
        talk.until = self._clock.monotonic() + lasting
        self._late.pop(talk, None)
        self._early[talk] = None

    def _drop(self, talk: Talk, how: str = "abandoned") -> None:
        assert talk in self._early or talk in self._late  # or somebody would be given room for it once more
        if talk.dialogue is not None:
            self._meter.count("eap", event=how)
        self._early.pop(talk, None)
        self._late.pop(talk, None)
        self._room.give_back(talk.client)
        for state in talk.states:
            del self._by_state[state]
        talk.states = ()
