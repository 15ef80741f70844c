"""What EAP has agreed on with the supplicant, for the NAS: MS-MPPE-Recv-Key and MS-MPPE-Send-Key (RFC 2548 §2.4).

Vendor-Specific attributes of Microsoft's, each with half of the MSK (RFC 5216 §2.3), hidden by the shared secret.
"""

from __future__ import annotations

import os

from radius_mfa.wire.dictionary import on_the_wire
from radius_mfa.wire.walker import md5

_MICROSOFT = 311
_SEND_KEY, _RECV_KEY = 16, 17
_KEY = 32  # octets
_BLOCK = 16  # of a digest
_PADDING = bytes(-(1 + _KEY) % _BLOCK)
_TOP_BIT = 0x8000
_number = int.from_bytes  # its octets from the most significant one on


def mppe_keys(msk: bytes, secret: bytes, authenticator: bytes) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    """Number and value of the two attributes, Recv-Key first; `authenticator`: the Request Authenticator.

    Raises ValueError for an MSK that is not of 64 octets.
    """
    if len(msk) != 2 * _KEY:
        raise ValueError(f"an MSK has {2 * _KEY} octets")
    # RFC 2548 §2.4.2: the top bit is set, and no two Salts of a packet are alike.
    salt = _number(os.urandom(2)) | _TOP_BIT
    received = _hidden(msk[:_KEY], salt, secret, authenticator)
    sent = _hidden(msk[_KEY:], salt ^ 1, secret, authenticator)
    return on_the_wire(_MICROSOFT, _RECV_KEY, received), on_the_wire(_MICROSOFT, _SEND_KEY, sent)


def _hidden(key: bytes, salt: int, secret: bytes, authenticator: bytes) -> bytes:
    """Salt and String of RFC 2548 §2.4.2: a length, the key and padding, each block masked by the one before."""
    plain = bytes((len(key),)) + key + _PADDING
    found = salt.to_bytes(2, "big")
    last = authenticator + found
    for at in range(0, len(plain), _BLOCK):
        pad = md5(secret + last).digest()
        last = (_number(plain[at : at + _BLOCK]) ^ _number(pad)).to_bytes(_BLOCK, "big")
        found += last
    return found
