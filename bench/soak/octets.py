"""RADIUS packets as octets, taken apart and put together by RFC 2865 and 3579, with none of the server's code."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

Attributes = tuple[tuple[int, bytes], ...]

PROXY_STATE, STATE, EAP_MESSAGE, SIGNATURE = 33, 24, 79, 80


def attributes_of(octets: bytes) -> Attributes | None:
    """The attributes of exactly one packet, which padding may follow; None where it is none (RFC 2865 §3, §5)."""
    length = int.from_bytes(octets[2:4], "big")
    if len(octets) < 20 or not 20 <= length <= min(len(octets), 4096):
        return None
    rest, found = octets[20:length], []
    while rest:
        if len(rest) < 2 or rest[0] == 0 or not 2 <= rest[1] <= len(rest):
            return None
        found.append((rest[0], rest[2 : rest[1]]))
        rest = rest[rest[1] :]
    return tuple(found)


def is_signed(octets: bytes, secret: bytes, authenticator: bytes | None = None) -> bool:
    """Whether its one Message-Authenticator is right (RFC 3579 §3.2).

    `authenticator`: of a reply, the one that was asked with.
    """
    attributes = attributes_of(octets) or ()
    signatures = [value for number, value in attributes if number == SIGNATURE]
    if len(signatures) != 1 or len(signatures[0]) != 16:
        return False
    body = b"".join(
        bytes((number, len(value) + 2)) + (bytes(16) if number == SIGNATURE else value)
        for number, value in attributes
    )
    head = octets[:4] + (authenticator or octets[4:20])
    return hmac.compare_digest(hmac.new(secret, head + body, "md5").digest(), signatures[0])


def signature(octets: bytes, secret: bytes) -> bytes:
    """The Message-Authenticator of a packet whose own is 16 zeros (RFC 3579 §3.2)."""
    return hmac.new(secret, octets, "md5").digest()


def packet(code: int, identifier: int, authenticator: bytes, attributes: Iterable[tuple[int, bytes]]) -> bytes:
    """A packet; Length is what it must be, as far as two octets can say it."""
    body = b"".join(bytes((number, min(len(value) + 2, 255))) + value for number, value in attributes)
    return bytes((code, identifier)) + min(20 + len(body), 65535).to_bytes(2, "big") + authenticator + body


def hidden(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """User-Password, block by block (RFC 2865 §5.2); a last block that is not full stays as short as it is."""
    found, last = b"", authenticator
    for at in range(0, len(password), 16):
        pad = hashlib.md5(secret + last).digest()
        last = bytes(a ^ b for a, b in zip(password[at : at + 16], pad, strict=False))
        found += last
    return found


def padded(password: bytes) -> bytes:
    """With NULs to full blocks, one at least."""
    return password.ljust(max(-(-len(password) // 16), 1) * 16, b"\0")
