"""What a RADIUS server meets with silence, sent to a real one."""

from __future__ import annotations

import hmac
import os

from tests.end_to_end.nas import (
    ACCEPT,
    CHALLENGE,
    MESSAGE_AUTHENTICATOR,
    PROXY_STATE,
    STATUS_SERVER,
    USER_NAME,
    USER_PASSWORD,
    RawNas,
)
from tests.end_to_end.site import SECRET, UNKNOWN, Account, Site
from tests.wire.support import assemble, tlv

SALT = bytes(range(16))


def malformed(nas: RawNas, user: Account) -> dict[str, bytes]:
    """By what is wrong with it (RFC 2865 §3, §5; RFC 3579 §3.2, §3.3; RFC 5997 §3)."""
    name = user.name.encode()
    good = nas.packet(name, user.password.encode())
    attributes = good[38:]
    signature = tlv(MESSAGE_AUTHENTICATOR, bytes(16))
    coded = {f"code {code}": bytes((code,)) + good[1:] for code in (0, 2, 3, 4, 5, 11, 13, 40, 43, 255)}
    return {
        **coded,
        "nothing": b"",
        "an octet": b"\x01",
        "half a header": good[:19],
        "a datagram shorter than Length": good[:-1],
        "Length below 20": good[:2] + b"\x00\x13" + good[4:],
        "Length of 0": good[:2] + b"\x00\x00" + good[4:],
        "Length over 4096": good[:2] + b"\x10\x01" + good[4:] + bytes(4096),
        "a datagram of 5,000 octets": good[:2] + (5000).to_bytes(2, "big") + good[4:] + bytes(5000 - len(good)),
        "an attribute without a length": assemble(attributes + b"\x04", salt=SALT),
        "an attribute of length 0": assemble(attributes + b"\x04\x00", salt=SALT),
        "an attribute of length 1": assemble(attributes + b"\x04\x01", salt=SALT),
        "an attribute that overruns": assemble(attributes + b"\x04\x06\x7f", salt=SALT),
        "type 0": assemble(attributes + b"\x00\x03\x00", salt=SALT),
        "201 attributes": nas.raw([(18, b"x")] * 200),
        "no Message-Authenticator": nas.packet(name, user.password.encode(), sign=False),
        "Message-Authenticator of zeros": good[:22] + bytes(16) + good[38:],
        "Message-Authenticator that is wrong": good[:22] + bytes((good[22] ^ 1,)) + good[23:],
        "something else changed": good[:-1] + bytes((good[-1] ^ 1,)),
        "two Message-Authenticators": twice_signed(attributes),
        "a short Message-Authenticator": assemble(tlv(MESSAGE_AUTHENTICATOR, bytes(15)) + attributes),
        "a long Message-Authenticator": assemble(tlv(MESSAGE_AUTHENTICATOR, bytes(17)) + attributes),
        "an empty Message-Authenticator": assemble(tlv(MESSAGE_AUTHENTICATOR, b"") + attributes),
        "Message-Authenticator and nothing to go by": assemble(signature),
        "EAP-Message without one": nas.raw([(USER_NAME, name), (79, b"\x02\x01\x00\x05\x01")], sign=False),
        "EAP-Message beside User-Password": nas.raw([(79, b"\x02\x01\x00\x05\x01"), (USER_PASSWORD, bytes(16))]),
        "EAP-Message beside CHAP-Password": nas.raw([(79, b"\x02\x01\x00\x05\x01"), (3, bytes(17))]),
        "Status-Server without one": nas.raw([], code=STATUS_SERVER, sign=False),
        "accounting": nas.raw([(USER_NAME, name), (40, b"\0\0\0\1")], code=4, sign=False),
        "a reply": nas.raw([], code=2),
    }


def twice_signed(attributes: bytes) -> bytes:
    """Both right, where each is computed with the other zeroed."""
    zeroed = assemble(tlv(MESSAGE_AUTHENTICATOR, bytes(16)) * 2 + attributes)
    signature = tlv(MESSAGE_AUTHENTICATOR, hmac.digest(SECRET.encode(), zeroed, "md5"))
    return assemble(signature * 2 + attributes)


def test_what_must_be_discarded_gets_silence_and_the_next_login_is_served(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        packets = malformed(nas, user)
        assert university.unanswered(nas, *packets.values())
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
    assert university.outcomes(user.name) == ["challenge challenged", "accept accepted"]


def test_rubbish_gets_silence(university: Site) -> None:
    with university.nas() as nas:
        assert university.unanswered(nas, *(os.urandom(length) for length in range(0, 1500, 3)))
        assert university.unanswered(nas, *(b"\x01" + os.urandom(length) for length in range(0, 1500, 3)))


def test_an_unknown_source_gets_silence_whatever_it_says_it_is(university: Site) -> None:
    """The source address alone chooses the secret; NAS-IP-Address and NAS-Identifier never do."""
    user = university.staff()
    with university.nas(UNKNOWN) as nas:
        name, password = user.name.encode(), user.password.encode()
        plain = nas.packet(name, password)
        pretending = nas.packet(name, password, (4, bytes((127, 0, 0, 1))), (32, b"vpn"))
        assert university.unanswered(nas, plain, pretending, nas.raw([], code=STATUS_SERVER))
    assert university.audit(user.name) == []


def test_octets_past_length_are_padding(university: Site) -> None:
    """RFC 2865 §3."""
    user = university.staff()
    with university.nas() as nas:
        packet = nas.packet(user.name.encode(), user.password.encode())
        nas.socket.send(packet + b"padding")
        assert nas.read(nas.socket.recv(4096), packet).code == CHALLENGE


def test_unknown_and_badly_typed_attributes_are_nothing(university: Site) -> None:
    """RFC 6929 §2.8."""
    user = university.staff()
    typed = [(4, b"five!"), (5, b""), (61, b"x"), (26, b"\0"), (26, b"\0\0\0\x09\x01\xff")]
    unknown = [(241, b""), (255, b"x" * 253)]
    with university.nas() as nas:
        assert nas.ask(user.name, user.password, *typed, *unknown).code == CHALLENGE


def test_status_server_is_answered_and_does_nothing_else(university: Site) -> None:
    """RFC 5997 §4.2."""
    with university.nas() as nas:
        accept = nas.exchange(nas.raw([(PROXY_STATE, b"proxy")], code=STATUS_SERVER))
        assert accept.code == ACCEPT
        assert [number for number, _ in accept.attributes] == [MESSAGE_AUTHENTICATOR, PROXY_STATE]
