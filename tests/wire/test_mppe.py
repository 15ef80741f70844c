"""The two keys, held to pyrad, and to RFC 2548 §2.4.2 as it is written."""

from __future__ import annotations

from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad.packet import AuthPacket

from radius_mfa.wire.mppe import mppe_keys
from tests.wire.support import SALT, SECRET

MSK = bytes(range(64))
MSKS = st.binary(min_size=64, max_size=64)
SECRETS = st.binary(min_size=1, max_size=80)
AUTHENTICATORS = st.binary(min_size=16, max_size=16)


def parted(attribute: tuple[int, bytes]) -> tuple[int, bytes]:
    """Vendor-Type and Salt with String of one of Microsoft's (RFC 2865 §5.26)."""
    number, value = attribute
    assert number == 26
    assert value[:4] == (311).to_bytes(4, "big")
    assert len(value) == 4 + value[5]
    return value[4], value[6:]


def uncovered(hidden: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """The key, by the equations of RFC 2548 §2.4.2: b(1) = MD5(S + R + A), b(i) = MD5(S + c(i-1))."""
    salt, blocks = hidden[:2], [hidden[at : at + 16] for at in range(2, len(hidden), 16)]
    plain = b""
    for block, before in zip(blocks, [authenticator + salt, *blocks], strict=False):
        plain += bytes(c ^ b for c, b in zip(block, md5(secret + before).digest(), strict=True))
    length, rest = plain[0], plain[1:]
    assert not any(rest[length:])
    return rest[:length]


@given(msk=MSKS, secret=SECRETS, authenticator=AUTHENTICATORS)
def test_the_nas_gets_half_of_the_msk_to_receive_and_half_to_send_with(
    msk: bytes, secret: bytes, authenticator: bytes
) -> None:
    """RFC 3748 §7.10, RFC 5216 §2.3."""
    (recv, received), (send, sent) = map(parted, mppe_keys(msk, secret, authenticator))

    assert (recv, send) == (17, 16)
    assert uncovered(received, secret, authenticator) == msk[:32]
    assert uncovered(sent, secret, authenticator) == msk[32:]


@given(msk=MSKS, secret=SECRETS, authenticator=AUTHENTICATORS)
def test_pyrad_uncovers_them_too(msk: bytes, secret: bytes, authenticator: bytes) -> None:
    theirs = AuthPacket(id=1, secret=secret, authenticator=authenticator)
    received, sent = (theirs.SaltDecrypt(parted(each)[1]) for each in mppe_keys(msk, secret, authenticator))

    assert received + sent == msk


def test_salts_have_their_top_bit_set_and_are_never_alike_in_a_packet() -> None:
    """RFC 2548 §2.4.2."""
    salts = set()
    for _ in range(2000):
        first, second = (parted(each)[1][:2] for each in mppe_keys(MSK, SECRET, SALT))
        assert first[0] & second[0] & 0x80
        assert first != second
        salts |= {first, second}

    assert len(salts) > 1000, "one in 32768 comes again"


@pytest.mark.parametrize("length", [0, 32, 63, 65, 128])
def test_an_msk_of_another_length_is_none(length: int) -> None:
    with pytest.raises(ValueError, match="an MSK has 64 octets"):
        mppe_keys(bytes(length), SECRET, SALT)
