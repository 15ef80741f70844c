"""What is said inside the tunnel: a name and a text, by PAP (RFC 5281 §11.2.5) or EAP-GTC (RFC 3748 §5.6).

Each way is fed with what the supplicant says and comes to one of three ends: `Tell` it something, `Asked`, which
has to be decided on, or `GivenUp`.  GTC can ask again, and so carries an Access-Challenge; PAP has one field for
all.
"""

from __future__ import annotations

from dataclasses import field
from typing import Protocol

from radius_mfa.core.messages import Attribute
from radius_mfa.core.record import record
from radius_mfa.eap.avps import Avp, avp, read_avps
from radius_mfa.eap.packet import Response, Type, read_response, request

_PASSWORD = "Password"  # what is asked for first; who it is that reads it is not known yet
_LONGEST_PROMPT = 1024  # octets
# RADIUS, by which the same name is typed elsewhere, can say no more (RFC 2865 §5, §5.1).
_LONGEST_NAME = 253  # octets
_NO_NAME = f"a name within the tunnel of more than {_LONGEST_NAME} octets"
_METHODS = {4: "MD5", 13: "TLS", 26: "MS-CHAPv2", 29: "MS-CHAPv2", Type.TTLS: "TTLS", Type.PEAP: "PEAP"}
# What of RADIUS's a TTLS tunnel may have, if by another method than ours (RFC 5281 §11.2).
_CHAP, _MICROSOFT, _MS_CHAP, _MS_CHAP2 = Attribute.CHAP_PASSWORD, 311, 1, 25

_RESULT = bytes((0x80, 3, 0, 2, 0))  # mandatory, a Result of two octets ([MS-PEAP] §2.2.8.1.2)
_SUCCESS, _FAILURE = 1, 2


@record(frozen=True, slots=True)
class Tell:
    """Say this within the tunnel."""

    octets: bytes = field(repr=False)


@record(frozen=True, slots=True)
class Asked:
    """Somebody asks to be let in.

    `answers`: how many challenges can follow, 0 where password and code have to be in one text; None: any number.
    """

    name: bytes = field(repr=False)
    text: bytes = field(repr=False)
    method: str
    answers: int | None


@record(frozen=True, slots=True)
class GivenUp:
    """Nobody can be let in this way."""

    why: str


class Inner(Protocol):
    """One way of speaking within the tunnel.

    `has_result`: how it has ended is said there, and acknowledged; else the end of the conversation says so.
    `name`: the User-Name that was said there; None: none was, yet.
    """

    has_result: bool

    @property
    def name(self) -> bytes | None: ...

    def begin(self) -> Tell | None:
        """What we say first; None: the supplicant begins."""
        ...

    def hear(self, octets: bytes) -> Tell | Asked | GivenUp:
        """What the supplicant says."""
        ...

    def ask(self, prompt: str) -> bytes:
        """Ask for one text more; never where there can be no answer."""
        ...


class _Gtc:
    """Identity, then texts: what a supplicant says in EAP within the tunnel."""

    def __init__(self, method: str, answers: int | None) -> None:
        self._method = method
        self._answers = answers
        self.name: bytes | None = None

    def hear(self, kind: int, data: bytes) -> tuple[int, bytes] | Asked | GivenUp:
        """What to ask next, as a Type and what follows it."""
        if kind == Type.IDENTITY and self.name is None:
            if len(data) > _LONGEST_NAME:
                return GivenUp(_NO_NAME)
            self.name = data
            return Type.GTC, _PASSWORD.encode()
        if kind == Type.GTC and self.name is not None:
            return Asked(self.name, data, self._method, self._answers)
        if kind == Type.NAK:
            wanted = " or ".join(_METHODS.get(each, f"type {each}") for each in data[:8]) or "nothing"
            return GivenUp(f"the supplicant wants {wanted} within the tunnel, and only GTC is served")
        return GivenUp(f"a response of type {kind} within the tunnel, where it does not belong")


def _prompt(text: str) -> bytes:
    """At most so long; no code point is cut."""
    return text.encode()[:_LONGEST_PROMPT].decode(errors="ignore").encode()


class Ttls:
    """Attribute-value pairs (RFC 5281 §11): User-Name and User-Password, or EAP in an EAP-Message."""

    has_result = False

    def __init__(self) -> None:
        # Measured: wpa_supplicant 2.10 takes two texts here, and lets a third question go unanswered.
        self._gtc = _Gtc("EAP-TTLS/EAP-GTC", answers=1)
        self._identifier = 0
        self._named: bytes | None = None

    @property
    def name(self) -> bytes | None:
        return self._named or self._gtc.name

    def begin(self) -> Tell | None:
        return None

    def hear(self, octets: bytes) -> Tell | Asked | GivenUp:
        pairs = read_avps(octets)
        if pairs is None:
            return GivenUp("attributes within the tunnel that overrun it")
        plain = {each.code: each.data for each in pairs if not each.vendor}
        named = plain.get(Attribute.USER_NAME)
        if named is not None and len(named) > _LONGEST_NAME:
            return GivenUp(_NO_NAME)
        self._named = named
        if wrong := _why_not(pairs):
            return GivenUp(wrong)
        if Attribute.EAP_MESSAGE in plain:
            own = (each.data for each in pairs if (each.vendor, each.code) == (0, Attribute.EAP_MESSAGE))
            return self._hear_eap(b"".join(own))
        if self._gtc.name is not None:
            return GivenUp("PAP within the tunnel, where EAP was begun")
        if Attribute.USER_NAME in plain and Attribute.USER_PASSWORD in plain:
            # Filled up, so that nobody sees how long it is (RFC 5281 §11.2.5).
            text = plain[Attribute.USER_PASSWORD].rstrip(b"\0")
            return Asked(plain[Attribute.USER_NAME], text, "EAP-TTLS/PAP", answers=0)
        return GivenUp("neither a name with a password nor EAP within the tunnel")

    def _hear_eap(self, octets: bytes) -> Tell | Asked | GivenUp:
        response = read_response(octets)
        if response is None:
            return GivenUp("no EAP response within the tunnel")
        self._identifier = response.identifier
        heard = self._gtc.hear(response.type, response.data)
        return heard if isinstance(heard, Asked | GivenUp) else Tell(self._asked(*heard))

    def _asked(self, kind: int, data: bytes) -> bytes:
        self._identifier = (self._identifier + 1) % 256
        return avp(Attribute.EAP_MESSAGE, request(self._identifier, kind, data))

    def ask(self, prompt: str) -> bytes:
        return self._asked(Type.GTC, _prompt(prompt))


def _why_not(pairs: list[Avp]) -> str:
    """What forbids to go on with these; empty: nothing does."""
    names = [(each.vendor, each.code) for each in pairs]
    if (0, _CHAP) in names:
        return "CHAP came within the tunnel, and only PAP and GTC are served"
    if (_MICROSOFT, _MS_CHAP) in names or (_MICROSOFT, _MS_CHAP2) in names:
        return "MS-CHAP came within the tunnel, and only PAP and GTC are served"
    known = {(0, Attribute.USER_NAME), (0, Attribute.USER_PASSWORD), (0, Attribute.EAP_MESSAGE)}
    if any(each.mandatory and (each.vendor, each.code) not in known for each in pairs):
        return "an attribute within the tunnel that must be known and is not"  # RFC 5281 §10.1
    if any(names.count(each) > 1 for each in names if each != (0, Attribute.EAP_MESSAGE)):
        return "an attribute within the tunnel that is there twice"
    return ""


class Peap:
    """EAP without its header ([MS-PEAP] §3.1.5.6), but for the Result: version 0."""

    has_result = True

    def __init__(self) -> None:
        self._gtc = _Gtc("PEAP/EAP-GTC", answers=None)

    @property
    def name(self) -> bytes | None:
        return self._gtc.name

    def begin(self) -> Tell | None:
        return Tell(bytes((Type.IDENTITY,)))

    def hear(self, octets: bytes) -> Tell | Asked | GivenUp:
        response = _without_header(octets)
        if response is None:
            return GivenUp("no EAP response within the tunnel")
        heard = self._gtc.hear(response.type, response.data)
        return heard if isinstance(heard, Asked | GivenUp) else Tell(bytes((heard[0],)) + heard[1])

    def ask(self, prompt: str) -> bytes:
        return bytes((Type.GTC,)) + _prompt(prompt)


def _without_header(octets: bytes) -> Response | None:
    """What a supplicant says, who leaves the header out as it should, or does not."""
    whole = read_response(octets)
    if whole is not None and int.from_bytes(octets[2:4], "big") == len(octets):
        return whole
    return Response(0, octets[0], octets[1:]) if octets else None


def result(*, good: bool) -> bytes:
    """What PEAP says of how it has ended, to be said likewise by the supplicant ([MS-PEAP] §2.2.8.1.2)."""
    return request(0, Type.TLV, _RESULT + bytes((_SUCCESS if good else _FAILURE,)))


def is_good_result(octets: bytes) -> bool:
    """Whether a supplicant says that it has ended well; it need not call that mandatory."""
    response = read_response(octets)
    good = _RESULT[1:] + bytes((_SUCCESS,))
    return response is not None and response.type == Type.TLV and response.data[1:] == good
