"""A policy's condition on an attribute: the text of the YAML, and the octets that it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.data import DICTIONARIES
from radius_mfa.wire.dictionary import Dictionary, DictionaryError
from radius_mfa.wire.matching import attribute_test, sent
from radius_mfa.wire.values import FORMATS, WIDTHS

OURS = Dictionary.shipped()


def takes(name: str, written: str, octets: bytes | str) -> bool:
    """`octets`: of the value alone, without vendor and type; as they are, or in hexadecimal digits."""
    return attribute_test(OURS, name, written)(bytes.fromhex(octets) if isinstance(octets, str) else octets)


@pytest.mark.parametrize(
    ("name", "written", "octets"),
    [
        ("NAS-Port-Type", "Virtual", "00000005"),
        ("nas-port-type", "wireless-802.11", "00000013"),
        ("NAS-Port-Type", "5", "00000005"),
        ("NAS-Port-Type", "0x05", "00000005"),
        ("NAS-Port-Type", "4294967295", "ffffffff"),
        ("NAS-Identifier", "ap1", b"ap1"),
        ("NAS-Identifier", "山田", "山田".encode()),
        ("Class", "0x00ff", "00ff"),
        ("Class", "a*b", b"a*b"),  # of octets, * is one
        ("NAS-IP-Address", "192.0.2.1", "c0000201"),
        ("NAS-IPv6-Address", "2001:DB8::1", "20010db8000000000000000000000001"),
        ("Event-Timestamp", "2030-01-31T12:00:00Z", "71040e40"),
        ("Cisco-AVPair", "audit-session-id=1", b"audit-session-id=1"),
        ("Fortinet-WirelessController-Device-MAC", "00:11:22:33:44:55", "001122334455"),
    ],
)
def test_a_value_is_taken_as_it_is_on_the_wire_and_no_other(name: str, written: str, octets: bytes | str) -> None:
    """RFC 2865 §5: an attribute of another length is another value."""
    value = bytes.fromhex(octets) if isinstance(octets, str) else octets

    assert takes(name, written, value)
    for other in (
        b"",
        value[:-1],
        value + b"\0",
        b"\0" + value,
        value[:-1] + bytes([value[-1] ^ 1]),
        value.swapcase(),
    ):
        assert not takes(name, written, other) or other == value


@pytest.mark.parametrize(
    ("written", "value", "taken"),
    [
        ("*", "", True),
        ("*", "anything", True),
        ("ap-*", "ap-1", True),
        ("ap-*", "ap-", True),
        ("ap-*", "map-1", False),
        ("*-ap", "1-ap", True),
        ("*-ap", "1-ap ", False),
        ("*lab*", "the lab here", True),
        ("*lab*", "lab", True),
        ("*lab*", "LAB", False),
        ("a*a", "a", False),  # the two are not one
        ("a*a", "aa", True),
        ("a*b*c", "abbc", True),
        ("a*b*c", "acb", False),
        ("*ab*ab*", "aab", False),
        ("*ab*ab*", "xabyab", True),
        ("a**b", "a-b", True),
        ("**", "", True),
        ("00-11-22-*:guest", "00-11-22-33-44-55:guest", True),
        (".*", "x", False),  # all else is itself
        ("[ab]*", "a", False),
        ("a*", "a\nb", True),
        ("*é", "café", True),
    ],
)
def test_a_text_may_have_anything_where_it_has_a_star(written: str, value: str, taken: bool) -> None:
    assert takes("Called-Station-Id", written, value.encode()) is taken


@given(st.text("ab*", max_size=8).filter(lambda text: "*" in text), st.text("ab", max_size=10))
def test_stars_take_what_trying_everything_would(written: str, value: str) -> None:
    def tried(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(tried(pattern[1:], text[at:]) for at in range(len(text) + 1))
        return text[:1] == pattern[0] and tried(pattern[1:], text[1:])

    assert takes("Filter-Id", written, value.encode()) is tried(written, value)


def test_no_value_takes_long() -> None:
    """Whoever is asked for it may send what they like: trying everything would not come back."""
    assert not takes("Calling-Station-Id", "*a" * 100 + "*b", b"a" * 253)
    assert not takes("Calling-Station-Id", "*" * 200 + "b", b"a" * 253)


@pytest.mark.parametrize(
    ("name", "written", "octets", "taken"),
    [
        ("NAS-IP-Address", "192.0.2.0/24", "c0000207", True),
        ("NAS-IP-Address", "192.0.2.0/24", "c0000307", False),
        ("NAS-IP-Address", "192.0.2.7/32", "c0000207", True),
        ("NAS-IP-Address", "0.0.0.0/0", "c0000207", True),
        ("NAS-IP-Address", "0.0.0.0/0", "c00002", False),
        ("NAS-IP-Address", "0.0.0.0/0", "20010db8000000000000000000000001", False),
        ("NAS-IP-Address", "0.0.0.0/0", "", False),
        ("NAS-IPv6-Address", "2001:db8::/32", "20010db8000000000000000000000001", True),
        ("NAS-IPv6-Address", "2001:db8::/32", "20010db9000000000000000000000001", False),
        ("NAS-IPv6-Address", "::/0", "c0000207", False),
        # The same prefix with its zeros, and without (RFC 3162 §2.3).
        ("Framed-IPv6-Prefix", "2001:db8::/32", "0020 20010db8", True),
        ("Framed-IPv6-Prefix", "2001:db8::/32", "0020 20010db8000000000000000000000000", True),
        ("Framed-IPv6-Prefix", "2001:db8::/32", "0020 20010db8 01", False),
        ("Framed-IPv6-Prefix", "2001:db8::/32", "0021 20010db8", False),
        ("Framed-IPv6-Prefix", "::/0", "0000", True),
        ("Framed-IPv6-Prefix", "::/0", "00", False),
        ("Framed-IPv6-Prefix", "::/0", "", False),
    ],
)
def test_an_address_may_be_a_prefix(name: str, written: str, octets: str, taken: bool) -> None:
    assert takes(name, written, octets) is taken


@pytest.mark.parametrize(
    ("name", "written", "octets", "taken"),
    [
        ("Tunnel-Type", "VLAN", "0000000d", True),
        ("Tunnel-Type", "VLAN", "0100000d", True),
        ("Tunnel-Type", "VLAN", "1f00000d", True),
        ("Tunnel-Type", "VLAN", "2000000d", False),  # no tag is that large
        ("Tunnel-Type", "VLAN", "00000d", False),
        ("Tunnel-Private-Group-Id", "100", b"\x01100", True),
        ("Tunnel-Private-Group-Id", "100", b"\x00100", True),
        ("Tunnel-Private-Group-Id", "100", b"100", True),
        ("Tunnel-Private-Group-Id", "1*", b"\x02100", True),
        ("Tunnel-Private-Group-Id", "1*", b" 100", False),
        ("Tunnel-Private-Group-Id", "*", b"", True),
    ],
)
def test_a_tag_is_passed_over(name: str, written: str, octets: bytes | str, taken: bool) -> None:
    """RFC 2868 §3."""
    assert takes(name, written, octets) is taken


def test_no_policy_looks_at_a_name_that_users_spell_as_they_like() -> None:
    with pytest.raises(DictionaryError, match="take user or realm"):
        takes("User-Name", "alice*", b"alice")


@pytest.mark.parametrize(
    "name",
    [
        *("User-Password", "CHAP-Password", "State", "Proxy-State", "EAP-Message", "Message-Authenticator"),
        *("Tunnel-Password", "MS-MPPE-Send-Key", "MS-CHAP2-Response", "state"),
    ],
)
def test_no_policy_looks_at_secrets_or_at_what_is_the_servers_own(name: str) -> None:
    with pytest.raises(DictionaryError, match="is nothing that a policy may look at"):
        attribute_test(OURS, name, "x")


@pytest.mark.parametrize(
    ("name", "written", "problem"),
    [
        ("NAS-PortType", "5", "unknown attribute 'NAS-PortType' (did you mean NAS-Port-Type?)"),
        ("", "5", "unknown attribute ''"),
        (
            "NAS-Port-Type",
            "Virtuel",
            "'Virtuel' is not a number or one of its named values (did you mean Virtual?)",
        ),
        ("NAS-Port-Type", "*", "'*' is not a number"),
        ("NAS-Port", "4294967296", "is too large"),
        ("NAS-Identifier", "", "empty"),
        ("NAS-Identifier", "\ud800", "is not text that UTF-8 can hold"),
        ("NAS-Identifier", "\ud800*", "is not text that UTF-8 can hold"),
        ("NAS-IP-Address", "192.0.2.*", "is not an IPv4 address"),
        (
            "NAS-IP-Address",
            "10.1.2.3/8",
            "'10.1.2.3/8' has bits set beyond the prefix; write 10.0.0.0/8, or the address alone",
        ),
        ("NAS-IPv6-Address", "2001:DB8::1/32", "beyond the prefix; write 2001:db8::/32, or the address alone"),
        ("NAS-IP-Address", "10.1.2.3/40", "'10.1.2.3/40' is no address or prefix"),
        ("NAS-IP-Address", "2001:db8::/32", "'2001:db8::/32' is not of IPv4"),
        ("NAS-IPv6-Address", "192.0.2.0/24", "'192.0.2.0/24' is not of IPv6"),
        ("NAS-IPv6-Address", "fe80::%1/64", "'fe80::%1/64' is no address or prefix"),
        ("NAS-IPv6-Address", "/", "'/' is no address or prefix"),
        ("Tunnel-Type:1", "VLAN", "unknown attribute 'Tunnel-Type:1'"),
        ("Tunnel-Private-Group-Id", "5000", "VLAN 5000 is not in 1-4094"),
    ],
)
def test_what_no_value_can_be_is_said_in_one_line(name: str, written: str, problem: str) -> None:
    with pytest.raises(DictionaryError) as raised:
        attribute_test(OURS, name, written)

    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


NAMES = sorted(
    line.split()[1]
    for path in Path(DICTIONARIES).iterdir()
    if path.is_file()
    for line in path.read_text(encoding="utf-8").splitlines()
    if line.startswith("ATTRIBUTE")
)


@given(
    st.sampled_from(NAMES),
    st.text(max_size=40) | st.sampled_from(["1", "*", "a*b", "::/0", "0.0.0.0/0"]),
    st.data(),
)
def test_any_text_is_a_test_of_any_octets_or_a_dictionary_error(
    name: str, written: str, data: st.DataObject
) -> None:
    assert {OURS.definition(name).kind} <= {*FORMATS, *WIDTHS}
    try:
        test = attribute_test(OURS, name, written)
    except DictionaryError:
        return
    assert test(data.draw(st.binary(max_size=253))) in (True, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("State", "x"), ("CHAP-Password", "x"), ("No-Such", "x"), ("NAS-Port", "x"), ("Filter-Id", "x" * 254)],
)
def test_what_no_policy_looks_at_is_not_sent(name: str, value: str) -> None:
    with pytest.raises(DictionaryError):
        sent(OURS, name, value)
