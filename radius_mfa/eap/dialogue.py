"""One supplicant's conversation in EAP (RFC 3748), from its Identity to Success or Failure.

It has no socket, no clock and no table: each response goes in, and what is to be done about it comes out.

    Say      send this request; the next response goes in
    Asked    decide on a name and a text, and say so: `challenge`, `accept` or `refuse`
    TakenUp  decide whether the TLS session is still worth something, and say so: `accept` or `refuse`
    End      send this, and it is over
    None     that was no response to what was asked: silence (RFC 3748 §4.1)

What it goes through:

    1. The method: we propose one of ours; a supplicant that wants another says which (Nak, RFC 3748 §5.3.1).
    2. The handshake, in pieces both ways (`eap.fragments`).
    3. A session that is taken up again, and is still worth it, ends it here, unless the supplicant says more.
       Over TLS 1.3 an octet within the tunnel says so first (RFC 9427 §4, RFC 9190 §2.5), and in PEAP its Result.
    4. Within the tunnel: a name and texts (`eap.inner`).
    5. The end, which PEAP has acknowledged within the tunnel first.

A supplicant can make it neither long nor large: rounds and messages are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from enum import Enum, auto

from radius_mfa.core.record import record
from radius_mfa.core.sessions import Session
from radius_mfa.eap.fragments import (
    ACKNOWLEDGEMENT,
    START,
    FragmentsError,
    Message,
    pieces,
    read_fragment,
)
from radius_mfa.eap.inner import Asked, GivenUp, Inner, Peap, Ttls, is_good_result, result
from radius_mfa.eap.packet import HEADER, Response, Type, failure, request, success
from radius_mfa.eap.tunnel import Keys, Terms, Tunnel, TunnelError

METHODS = {"ttls": Type.TTLS, "peap": Type.PEAP}
"""By their names in the YAML."""

_CALLED = {Type.TTLS: "EAP-TTLS", Type.PEAP: "PEAP"}
_INNER: dict[Type, Callable[[], Inner]] = {Type.TTLS: Ttls, Type.PEAP: Peap}
_MOST_ROUNDS = 120  # a chain of certificates in the smallest pieces, and a login
_DEFAULT_MTU, _LEAST_MTU, _MOST_MTU = 1024, 100, 1400
_AROUND = 4  # octets of a frame that are not EAP's: EAPOL's header (IEEE 802.1X)
_PROTECTED_SUCCESS = b"\0"  # RFC 9190 §2.5


@record(frozen=True, slots=True)
class Say:
    """Send this request.  `why`: nothing will come of it, in words for staff; nobody may ever answer it."""

    packet: bytes = field(repr=False)
    why: str = ""


@record(frozen=True, slots=True)
class TakenUp:
    """The TLS session of an earlier login is taken up again."""

    session: Session


@record(frozen=True, slots=True)
class End:
    """It is over.  `keys`: after a success.  `session`: the name by which it may be taken up again, if it may.

    `why`: in words for staff, where it ends otherwise than anybody has decided.
    """

    packet: bytes = field(repr=False)
    keys: Keys | None = field(default=None, repr=False)
    session: bytes = field(default=b"", repr=False)
    why: str = ""


Event = Say | Asked | TakenUp | End


class _Phase(Enum):
    PROPOSED = auto()  # a method
    HANDSHAKE = auto()
    INNER = auto()
    DECIDING = auto()  # somebody else does
    RESULT = auto()  # was said, and is to be acknowledged
    ALERT = auto()  # was sent, and nothing else will be


class Dialogue:
    """`identity`: the response it begins with.  `methods`: what is served, the first of them proposed.

    `find`: the session of that name, if it is worth anything.  `mtu`: Framed-MTU of the NAS, if it says one
    (RFC 2865 §5.12, RFC 3579 §2.4).
    """

    def __init__(
        self,
        identity: Response,
        methods: Sequence[Type],
        terms: Terms,
        find: Callable[[bytes], Session | None],
        mtu: int | None = None,
    ) -> None:
        self._methods = methods
        self._terms = terms
        self._find = find
        self._room = min(max(mtu or _DEFAULT_MTU, _LEAST_MTU), _MOST_MTU) - _AROUND - HEADER
        self._identifier = identity.identifier
        self._rounds = 0
        self._phase = _Phase.PROPOSED
        self._kind = methods[0]
        self._incoming = Message()
        self._heard: list[bytes] = []  # messages of the handshake
        self._unsent: Iterator[bytes] = iter(())
        self._next: bytes | None = None
        self._tunnel: Tunnel
        self._inner: Inner = _INNER[self._kind]()
        self._good = self._keep = False

    @property
    def name(self) -> bytes | None:
        """Who is said to be there, within the tunnel; None: nobody has been, so far."""
        return self._inner.name

    @property
    def method(self) -> str:
        """What is spoken, as people call it."""
        return _CALLED[self._kind]

    def begin(self) -> Say:
        """Propose a method."""
        return self._propose(self._methods[0])

    def hear(self, response: Response) -> Event | None:
        """What a response leads to."""
        if response.identifier != self._identifier or self._phase is _Phase.DECIDING:
            return None
        self._rounds += 1
        if self._rounds > _MOST_ROUNDS:
            return self._fail(f"no end after {_MOST_ROUNDS} rounds")
        if response.type == Type.NAK and self._phase is _Phase.PROPOSED and not self._incoming.has_begun:
            return self._take_another(response.data)
        if response.type != self._kind:
            return self._fail(f"a response of type {response.type}, where {self._kind.name} is spoken")
        try:
            return self._hear_piece(response.data)
        except (FragmentsError, TunnelError) as wrong:
            return self._fail(str(wrong))

    # --- which method -----------------------------------------------------------------------------

    def _propose(self, kind: Type) -> Say:
        self._kind = kind
        return self._request(bytes((START,)))

    def _take_another(self, wanted: bytes) -> Say | End:
        """RFC 3748 §5.3.1: the one of ours that it would rather have."""
        for kind in wanted:
            if kind in self._methods and kind != self._kind:
                return self._propose(Type(kind))
        names = " or ".join(f"type {each}" for each in wanted[:8] if each) or "none of them"
        served = ", ".join(_CALLED[each] for each in self._methods)
        return self._fail(f"the supplicant wants {names}; served: {served}")

    # --- pieces -----------------------------------------------------------------------------------

    def _hear_piece(self, data: bytes) -> Event:
        piece = read_fragment(data)
        if piece.version:
            return self._fail(f"version {piece.version} of {self._kind.name}, and 0 is served")
        if self._next is not None:
            if piece.data or piece.more:
                return self._fail("a message before ours was heard to the end")
            return self._send_piece()
        message = self._incoming.add(piece)
        if message is None:
            return self._request(ACKNOWLEDGEMENT)
        return self._hear_message(message)

    def _send(self, message: bytes) -> Say:
        self._unsent = pieces(message, self._room)
        self._next = next(self._unsent)
        return self._send_piece()

    def _send_piece(self) -> Say:
        assert self._next is not None  # or whoever asks would ask something else
        piece, self._next = self._next, next(self._unsent, None)
        return self._request(piece)

    def _request(self, data: bytes) -> Say:
        self._identifier = (self._identifier + 1) % 256
        return Say(request(self._identifier, self._kind, data))

    # --- messages ---------------------------------------------------------------------------------

    def _hear_message(self, message: bytes) -> Event:
        match self._phase:
            case _Phase.PROPOSED:
                self._tunnel = self._terms.tunnel()
                self._inner = _INNER[self._kind]()
                self._phase = _Phase.HANDSHAKE
                return self._shake_hands(message)
            case _Phase.HANDSHAKE:
                return self._shake_hands(message)
            case _Phase.INNER:
                self._tunnel.take(message)
                return self._hear_within(self._tunnel.read())
            case _Phase.RESULT:
                return self._hear_acknowledgement(message)
        return self._fail("")  # our alert was heard

    def _shake_hands(self, message: bytes) -> Event:
        try:
            self._tunnel.take(message)
        except TunnelError as failed:
            return self._send_alert(str(failed))
        name = self._tunnel.taken_up
        session = None if name is None else self._find(name)
        if not self._tunnel.is_open:
            if name is not None and session is None:
                return self._shake_hands_anew(message)
            self._heard.append(message)
            return self._send(self._tunnel.outgoing())
        # It may have said something already, right behind its Finished.
        said = self._tunnel.read()
        if session is not None and not said:
            self._phase = _Phase.DECIDING
            return TakenUp(session)
        self._phase = _Phase.INNER
        if said:  # what it begins within is followed, whatever session it has taken up (RFC 9427 §4)
            self._tunnel.taken_up = None
            return self._hear_within(said)
        outgoing = self._tunnel.outgoing()
        return self._send(outgoing) if outgoing else self._begin_within()

    def _shake_hands_anew(self, message: bytes) -> Event:
        """A session that is worth nothing any more: as if it had not been asked for.

        What was answered before, where we had to ask for another group (RFC 8446 §4.1.4), was the same.
        """
        self._tunnel = self._terms.tunnel(anew=True)
        for earlier in self._heard:
            self._tunnel.take(earlier)
            self._tunnel.outgoing()
        return self._shake_hands(message)

    def _send_alert(self, why: str) -> Say | End:
        """RFC 5216 §2.1.3: so that the supplicant learns why; what it says to that is nothing."""
        alert = self._tunnel.outgoing()
        if not alert:
            return self._fail(why)
        self._phase = _Phase.ALERT
        return replace(self._send(alert), why=why)

    # --- within the tunnel ------------------------------------------------------------------------

    def _begin_within(self) -> Say:
        first = self._inner.begin()
        return self._say_within(first.octets) if first else self._send(self._tunnel.outgoing())

    def _hear_within(self, octets: bytes) -> Event:
        if not octets:  # it has heard the end of our handshake
            return self._begin_within()
        heard = self._inner.hear(octets)
        if isinstance(heard, Asked):
            self._phase = _Phase.DECIDING
            return heard
        if isinstance(heard, GivenUp):
            return replace(self._end_within(good=False), why=heard.why)
        return self._say_within(heard.octets)

    def _say_within(self, octets: bytes) -> Say:
        self._tunnel.write(octets)
        return self._send(self._tunnel.outgoing())

    # --- what was decided -------------------------------------------------------------------------

    def challenge(self, prompt: str) -> Say:
        """One text more is wanted."""
        self._phase = _Phase.INNER
        return self._say_within(self._inner.ask(prompt))

    def accept(self, *, keep: bool) -> Say | End:
        """Let it in.  `keep`: its TLS session may be taken up again."""
        self._keep = keep
        return self._end_within(good=True)

    def refuse(self) -> Say | End:
        """Do not."""
        return self._end_within(good=False)

    def _end_within(self, *, good: bool) -> Say | End:
        self._good = good
        if self._inner.has_result:
            self._tunnel.write(result(good=good))
        elif not good:
            return self._fail("")
        elif self._tunnel.taken_up and self._tunnel.is_tls13:
            self._tunnel.write(_PROTECTED_SUCCESS)
        elif not self._keep:
            return self._succeed()
        # Whoever says all in one go over TLS 1.3 has not been given yet what takes the session up again.
        outgoing = self._tunnel.outgoing()
        if not outgoing:
            return self._succeed()
        self._phase = _Phase.RESULT
        return self._send(outgoing)

    def _hear_acknowledgement(self, message: bytes) -> End:
        if not self._good:
            return self._fail("")
        self._tunnel.take(message)
        said = self._tunnel.read()
        if self._inner.has_result and not is_good_result(said):
            return self._fail("the supplicant does not agree that it is let in")
        return self._succeed()

    def _succeed(self) -> End:
        session = self._tunnel.keep() if self._keep else b""
        return End(success(self._identifier), self._tunnel.keys(self._kind), session)

    def _fail(self, why: str) -> End:
        return End(failure(self._identifier), why=why)
