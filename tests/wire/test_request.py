"""The NAS's side, against the server's own codec and against forgeries."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.messages import Code, Reply
from radius_mfa.wire.packet import Packet, encode
from radius_mfa.wire.request import ReplyRefusal, ServerReply, access_request, read_reply
from tests.wire.support import SALT, SECRET, SmallDictionary, make_client, tlv
from tests.wire.test_packet import read


def asked(password: bytes = b"sesame", state: bytes | None = None) -> bytes:
    return access_request(
        identifier=9,
        authenticator=SALT,
        secret=SECRET,
        user_name=b"alice",
        password=password,
        nas_identifier=b"test",
        state=state,
    )


def answer(attributes: bytes = b"", *, code: int = 2, identifier: int = 9, secret: bytes = SECRET) -> bytes:
    """A reply to `asked`, made by hand: Message-Authenticator first, then `attributes`."""
    head = bytes((code, identifier)) + (38 + len(attributes)).to_bytes(2, "big")
    made = hmac.new(secret, head + SALT + tlv(80, bytes(16)) + attributes, "md5").digest()
    return sealed(head, tlv(80, made) + attributes, secret)


def sealed(head: bytes, attributes: bytes, secret: bytes = SECRET) -> bytes:
    return head + hashlib.md5(head + SALT + attributes + secret).digest() + attributes


@given(st.binary(min_size=1, max_size=128).filter(lambda octets: octets[-1] != 0), st.binary(max_size=253))
def test_the_server_reads_what_was_asked(password: bytes, state: bytes) -> None:
    """RFC 2865 §5.2 and RFC 3579 §3.2, Message-Authenticator first."""
    octets = asked(password, state)
    assert octets[20:22] == b"\x50\x12"
    packet = read(octets, make_client("require"))
    assert isinstance(packet, Packet)
    assert packet.request.password == password
    assert packet.request.attributes == ((1, b"alice"), (32, b"test"), (24, state))


def test_there_is_a_state_only_in_round_two() -> None:
    packet = read(asked(), make_client())
    assert isinstance(packet, Packet)
    assert packet.request.first(24) is None


def test_a_password_of_129_octets_is_an_error() -> None:
    """RFC 2865 §5.2."""
    with pytest.raises(ValueError, match="128"):
        asked(bytes(129))


def test_the_servers_reply_is_read() -> None:
    packet = read(asked(), make_client())
    assert isinstance(packet, Packet)
    octets = encode(Reply(Code.ACCESS_CHALLENGE, b"state", ("Code?",)), packet, SmallDictionary())
    assert octets is not None
    reply = read_reply(octets, asked(), SECRET)
    assert isinstance(reply, ServerReply)
    assert reply.code is Code.ACCESS_CHALLENGE
    assert reply.attributes[1:] == ((18, b"Code?"), (24, b"state"))


def test_attributes_keep_their_order() -> None:
    reply = read_reply(answer(tlv(25, b"1") + tlv(18, b"a") + tlv(25, b"2")), asked(), SECRET)
    assert isinstance(reply, ServerReply)
    assert reply.attributes[1:] == ((25, b"1"), (18, b"a"), (25, b"2"))


_UNSIGNED = sealed(b"\x02\x09\x00\x14", b"")
_TWICE = sealed(b"\x02\x09\x00\x38", tlv(80, bytes(16)) * 2)
_SHORT = sealed(b"\x02\x09\x00\x17", tlv(80, b"x"))


@pytest.mark.parametrize(
    ("octets", "refusal"),
    [
        pytest.param(answer()[:-1], ReplyRefusal.MALFORMED, id="cut"),
        pytest.param(answer(code=5), ReplyRefusal.CODE_UNEXPECTED, id="Accounting-Response"),
        pytest.param(answer(identifier=8), ReplyRefusal.IDENTIFIER_OF_ANOTHER, id="another Identifier"),
        pytest.param(_UNSIGNED, ReplyRefusal.NO_MESSAGE_AUTHENTICATOR, id="no Message-Authenticator"),
        pytest.param(_TWICE, ReplyRefusal.NO_MESSAGE_AUTHENTICATOR, id="two Message-Authenticators"),
        pytest.param(_SHORT, ReplyRefusal.FORGED, id="short Message-Authenticator"),
        pytest.param(answer(secret=b"another"), ReplyRefusal.FORGED, id="another secret"),
        pytest.param(answer()[:-1] + b"\x00", ReplyRefusal.FORGED, id="last octet changed"),
        pytest.param(answer(tlv(33, b"x")), ReplyRefusal.FORGED, id="Proxy-State nobody sent"),
    ],
)
def test_what_is_no_reply_to_us_is_refused(octets: bytes, refusal: ReplyRefusal) -> None:
    """RFC 2865 §3, RFC 3579 §3.2, CVE-2024-3596."""
    assert read_reply(octets, asked(), SECRET) is refusal
    assert isinstance(read_reply(answer(), asked(), SECRET), ServerReply)


@given(st.binary(max_size=200))
def test_random_octets_are_never_a_reply(octets: bytes) -> None:
    assert isinstance(read_reply(octets, asked(), SECRET), ReplyRefusal)
