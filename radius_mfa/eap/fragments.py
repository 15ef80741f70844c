"""TLS messages in pieces, as EAP-TTLS and PEAP carry them (RFC 5281 §9, as of RFC 5216 §2.1.5 and §3.1).

    octets  what
    1       flags: L, M and S from the top; the version in the lowest three bits
    4       only with L: octets of the whole message
    n       a piece of it

Each piece is answered by one without octets, until there is one without M.  There are no offsets: what is sent
twice is known by its Identifier, and so never comes here twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from radius_mfa.core.record import record

_LENGTH, _MORE, START = 0x80, 0x40, 0x20
_VERSION = 0x07
_HEAD, _TOTAL = 1, 4
# Without a certificate of its own, which nobody asks it for, a supplicant's longest message is one TLS record.
LONGEST_MESSAGE = 16_384 + 512


@record(frozen=True, slots=True)
class Fragment:
    """A piece that has come.  `total`: what the whole message is said to have; None: it is not said."""

    version: int
    total: int | None
    more: bool
    data: bytes = field(repr=False)


class FragmentsError(Exception):
    """Pieces that make no message, in words."""


def read_fragment(data: bytes) -> Fragment:
    """What follows the Type of a response.  Raises FragmentsError."""
    if not data:
        raise FragmentsError("no flags")
    flags, at = data[0], _HEAD
    total = None
    if flags & _LENGTH:
        at += _TOTAL
        if len(data) < at:
            raise FragmentsError("a length that is cut")
        total = int.from_bytes(data[_HEAD:at], "big")
    if flags & START:
        raise FragmentsError("a supplicant does not start")
    return Fragment(flags & _VERSION, total, bool(flags & _MORE), data[at:])


class Message:
    """One message of the supplicant's, as far as it has come."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._octets = b""

    @property
    def has_begun(self) -> bool:
        return bool(self._octets)

    def add(self, piece: Fragment) -> bytes | None:
        """The message, once that was the last piece of it; None: there is more to come.  Raises FragmentsError."""
        if piece.total is not None:
            if self._total not in (None, piece.total):
                raise FragmentsError("two lengths of one message")
            if self.has_begun and self._total is None:
                raise FragmentsError("a length in the middle of a message")
            self._total = piece.total
        if piece.more and not piece.data:
            raise FragmentsError("a piece of nothing with more to come")
        self._octets += piece.data
        if len(self._octets) > LONGEST_MESSAGE or (self._total or 0) > LONGEST_MESSAGE:
            raise FragmentsError(f"a message of more than {LONGEST_MESSAGE} octets")
        if self._total is not None and len(self._octets) > self._total:
            raise FragmentsError("more octets than were announced")
        if piece.more:
            return None
        if self._total is not None and len(self._octets) < self._total:
            raise FragmentsError("fewer octets than were announced")
        whole, self._octets, self._total = self._octets, b"", None
        return whole


def pieces(message: bytes, room: int) -> Iterator[bytes]:
    """What follows the Type in each request that carries a piece of `message`; `room`: octets of one of them."""
    if len(message) <= room - _HEAD:
        yield bytes(_HEAD) + message
        return
    at = room - _HEAD - _TOTAL
    yield bytes((_LENGTH | _MORE,)) + len(message).to_bytes(_TOTAL, "big") + message[:at]
    while at < len(message):
        end = at + room - _HEAD
        yield bytes((_MORE if end < len(message) else 0,)) + message[at:end]
        at = end


ACKNOWLEDGEMENT = bytes(_HEAD)
"""What asks for the next piece, or says that the last one has come."""
