"""What the answer to a bind says of a password: by code, by password policy, in Active Directory's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.protocol.rfc4511 import LDAPMessage
from pyasn1.codec.ber.decoder import decode
from pyasn1.error import PyAsn1Error

from radius_mfa.core.ports import Password
from radius_mfa.directories import ldap_messages as messages
from radius_mfa.directories.ldap_ber import MalformedError
from radius_mfa.directories.ldap_messages import Message, Result
from radius_mfa.directories.ldap_verdict import verdict
from tests.directories.support import BIND_RESPONSE, Run, directory, login, tlv
from tests.peers.slapd import Slapd, strict_slapd

AD = "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {}, v2580"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, Password.RIGHT),
        (49, Password.WRONG),
        (32, Password.WRONG),
        (34, Password.WRONG),
        (48, Password.WRONG),
        (19, Password.LOCKED),
        (53, Password.LOCKED),
        (1, None),
        (51, None),
        (52, None),
        (80, None),
    ],
)
def test_the_code_of_a_result(code: int, said: Password | None) -> None:
    """RFC 4511 appendix A."""
    assert verdict(Result(code)) is said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("52f", Password.WRONG),
        ("525", Password.WRONG),
        ("52e", Password.WRONG),
        ("52E", Password.WRONG),
        ("530", Password.RESTRICTED),
        ("531", Password.RESTRICTED),
        ("532", Password.EXPIRED),
        ("533", Password.DISABLED),
        ("701", Password.DISABLED),
        ("773", Password.MUST_CHANGE),
        ("775", Password.LOCKED),
        ("8009030", Password.WRONG),
        ("", Password.WRONG),
        ("ffffffffffff", Password.WRONG),
    ],
)
def test_active_directory_says_more_in_words(data: str, said: Password) -> None:
    assert verdict(Result(49, AD.format(data))) is said


@given(st.integers(0, 2**32 - 1))
def test_a_sub_code_that_nobody_knows_is_a_wrong_password(code: int) -> None:
    known = {0x530, 0x531, 0x532, 0x533, 0x701, 0x773, 0x775}

    assert (verdict(Result(49, AD.format(f"{code:x}"))) is Password.WRONG) == (code not in known)


@pytest.mark.parametrize("text", ["uid=x, data 532, v", "no such user: data 773", "error, data 775,"])
def test_words_that_are_not_active_directorys_say_nothing(text: str) -> None:
    """A server that quotes the name that was typed must not be made to say that a password was right."""
    assert verdict(Result(49, text)) is Password.WRONG


def test_words_beside_another_code_say_nothing() -> None:
    assert verdict(Result(0, AD.format("532"))) is Password.RIGHT
    assert verdict(Result(51, AD.format("52e"))) is None


@pytest.mark.parametrize(
    ("code", "policy", "said"),
    [
        (0, None, Password.RIGHT),
        (0, 2, Password.MUST_CHANGE),
        (0, 0, Password.EXPIRED),
        (0, 1, Password.LOCKED),
        (0, 8, None),  # it is not about binds: who knows what is meant
        (0, 99, None),
        (49, 0, Password.EXPIRED),
        (49, 1, Password.LOCKED),
        (49, 2, Password.WRONG),
        (49, 7, Password.WRONG),
        (51, 0, None),
    ],
)
def test_the_password_policy_says_more_in_a_control(code: int, policy: int | None, said: Password | None) -> None:
    """draft-behera-ldap-password-policy-10 §6.2."""
    assert verdict(Result(code, "", policy)) is said


@given(st.text())
def test_whatever_the_words_a_refused_bind_is_never_right(text: str) -> None:
    assert verdict(Result(49, text)) is not Password.RIGHT


# --- the control ----------------------------------------------------------------------------------

POLICY_NAME = b"1.3.6.1.4.1.42.2.27.8.5.1"


def bind_response(*controls: bytes) -> bytes:
    answer = tlv(BIND_RESPONSE, tlv(0x0A, b"\0"), tlv(0x04), tlv(0x04))
    listed = (tlv(0xA0, *controls),) if controls else ()
    return tlv(0x30, tlv(0x02, b"\x01"), answer, *listed)


def control(value: bytes, name: bytes = POLICY_NAME) -> bytes:
    return tlv(0x30, tlv(0x04, name), tlv(0x01, b"\xff"), tlv(0x04, value))


@pytest.mark.parametrize(
    ("controls", "policy"),
    [
        ((), None),
        ((control(tlv(0x30)),), None),
        ((control(tlv(0x30, tlv(0x81, b"\x02"))),), 2),
        ((control(tlv(0x30, tlv(0xA0, tlv(0x80, b"\x3c")))),), None),
        ((control(tlv(0x30, tlv(0xA0, tlv(0x81, b"\x03")), tlv(0x81, b"\x00"))),), 0),
        ((control(b"whatever", b"1.2.3"), control(tlv(0x30, tlv(0x81, b"\x01")))), 1),
        ((tlv(0x30, tlv(0x04, POLICY_NAME), tlv(0x04, tlv(0x30, tlv(0x81, b"\x02")))),), 2),
    ],
)
def test_the_error_is_read_out_of_the_control(controls: tuple[bytes, ...], policy: int | None) -> None:
    answer = messages.read(bind_response(*controls))

    assert answer == Message(1, BIND_RESPONSE, Result(0, "", policy))


WARNING, ERROR = tlv(0xA0, tlv(0x80, b"\x3c")), tlv(0x81, b"\x02")
MALFORMED_VALUES = {
    "nothing": b"",
    "cut off": b"\x30",
    "no sequence": b"\x04\x00",
    "overrun": b"\x30\x03\x81\x01",
    "something after it": tlv(0x30) + b"\0",
    "two of them": tlv(0x30) * 2,
    "error of no octets": tlv(0x30, tlv(0x81)),
    "error of five octets": tlv(0x30, tlv(0x81, bytes(5))),
    "two errors": tlv(0x30, ERROR, ERROR),
    "error before warning": tlv(0x30, ERROR, WARNING),
    "an ENUMERATED for an error": tlv(0x30, tlv(0x0A, b"\x02")),
    "error constructed": tlv(0x30, tlv(0xA1, tlv(0x0A, b"\x02"))),
    "warning of nothing": tlv(0x30, tlv(0xA0)),
    "warning of no octets": tlv(0x30, tlv(0xA0, tlv(0x80))),
    "warning that is no choice": tlv(0x30, tlv(0xA0, tlv(0x80, b"\0"), tlv(0x81, b"\0"))),
    "warning of a third kind": tlv(0x30, tlv(0xA0, tlv(0x82, b"\0"))),
    "warning not constructed": tlv(0x30, tlv(0x80, b"\0")),
}
MALFORMED_CONTROLS = {
    "no name": tlv(0x30),
    "no value": tlv(0x30, tlv(0x04, POLICY_NAME)),
    "criticality alone": tlv(0x30, tlv(0x04, POLICY_NAME), tlv(0x01, b"\xff")),
    "no sequence": tlv(0x31, tlv(0x04, POLICY_NAME), tlv(0x04, tlv(0x30))),
    "value before criticality": tlv(0x30, tlv(0x04, POLICY_NAME), tlv(0x04, tlv(0x30)), tlv(0x01, b"\0")),
    "two values": tlv(0x30, tlv(0x04, POLICY_NAME), tlv(0x04, tlv(0x30)), tlv(0x04, tlv(0x30))),
    "value constructed": tlv(0x30, tlv(0x04, POLICY_NAME), tlv(0x24, tlv(0x30))),
    "another's, malformed": tlv(0x30, tlv(0x04, b"1.2.3"), tlv(0x02, b"\0")) + control(tlv(0x30)),
    "two policies": control(tlv(0x30)) + control(tlv(0x30, ERROR)),
}


@pytest.mark.parametrize("value", MALFORMED_VALUES.values(), ids=MALFORMED_VALUES.keys())
def test_a_policy_that_is_none_is_malformed_and_no_success(value: bytes) -> None:
    with pytest.raises(MalformedError):
        messages.read(bind_response(control(value)))


@pytest.mark.parametrize("controls", MALFORMED_CONTROLS.values(), ids=MALFORMED_CONTROLS.keys())
def test_controls_that_are_none_are_malformed_and_no_success(controls: bytes) -> None:
    """RFC 4511 §4.1.11."""
    with pytest.raises(MalformedError):
        messages.read(bind_response(controls))


def test_controls_that_are_no_list_are_malformed() -> None:
    answer = tlv(BIND_RESPONSE, tlv(0x0A, b"\0"), tlv(0x04), tlv(0x04))
    with pytest.raises(MalformedError):
        messages.read(tlv(0x30, tlv(0x02, b"\x01"), answer, tlv(0x80, control(tlv(0x30, ERROR)))))


@given(st.binary(max_size=40))
def test_any_value_of_the_control_is_read_or_malformed(value: bytes) -> None:
    try:
        answer = messages.read(bind_response(control(value)))
    except MalformedError:
        return
    assert isinstance(answer.content, Result)


def has_policy(octets: bytes) -> bool:
    """Whether pyasn1 reads an answer to a bind there that has the control."""
    try:
        message, _ = decode(octets, asn1Spec=LDAPMessage())
    except PyAsn1Error:
        return False
    controls = message["controls"] if message["controls"].hasValue() else ()
    is_bind = message["protocolOp"].getName() == "bindResponse"
    return is_bind and any(bytes(each["controlType"]) == POLICY_NAME for each in controls)


@given(st.data())
def test_a_mutated_policy_never_makes_a_right_password_of_another(data: st.DataObject) -> None:
    """All that can go wrong with one octet is that the control is one of another name, or none."""
    whole = bind_response(control(tlv(0x30, WARNING, ERROR)))
    octets = bytearray(whole)
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        content = messages.read(bytes(octets)).content
    except MalformedError:
        return
    if isinstance(content, Result) and verdict(content) is Password.RIGHT:
        assert not has_policy(bytes(octets))


def test_a_bind_asks_for_it_and_does_not_insist() -> None:
    """§6.1: a control without a value; criticality is left out, which is FALSE (RFC 4511 §4.1.11)."""
    request = messages.bind_message(1, "cn=a", b"pw", messages.POLICY_WANTED)

    assert request.endswith(tlv(0xA0, tlv(0x30, tlv(0x04, POLICY_NAME))))


# --- OpenLDAP's overlay ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict() -> Iterator[Slapd]:
    with strict_slapd() as running:
        yield running


@pytest.mark.parametrize(
    ("uid", "right", "wrong"),
    [
        ("u1", Password.EXPIRED, Password.WRONG),
        ("u2", Password.RIGHT, Password.WRONG),
        ("u3", Password.MUST_CHANGE, Password.WRONG),
        ("u4", Password.LOCKED, Password.LOCKED),
        ("u5", Password.RIGHT, Password.WRONG),
    ],
)
def test_openldap_tells_expired_reset_and_locked_apart(
    run: Run, strict: Slapd, uid: str, right: Password, wrong: Password
) -> None:
    async def play() -> None:
        async with directory(strict) as under_test:
            assert await login(under_test, uid, f"pw{uid[1:]}") is right
            assert await login(under_test, uid, "another") is wrong

    run(play)
