"""Each type, both ways; its octets as the RFCs have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.wire.values import FORMATS

WRITTEN = [
    ("string", "日本", "e697a5e69cac"),
    ("octets", "0x00ff", "00ff"),
    ("ipaddr", "192.0.2.1", "c0000201"),
    ("ipv6addr", "2001:db8::1", "20010db8000000000000000000000001"),
    ("ipv6prefix", "2001:db8::/32", "002020010db8000000000000000000000000"),  # RFC 3162 §2.3
    ("ifid", "211:22ff:fe33:4455", "021122fffe334455"),  # RFC 3162 §2.2
    ("ether", "00:11:22:aa:bb:cc", "001122aabbcc"),
    ("date", "2030-01-31T12:00:00Z", "71040e40"),
]


@pytest.mark.parametrize(("kind", "text", "octets"), WRITTEN)
def test_a_value_goes_into_octets_and_comes_back(kind: str, text: str, octets: str) -> None:
    assert FORMATS[kind].encode(text).hex() == octets
    assert FORMATS[kind].decode(bytes.fromhex(octets)) == text


@pytest.mark.parametrize(
    ("kind", "text", "octets"),
    [
        ("octets", "staff", b"staff"),
        ("octets", "123456", b"123456"),  # pyrad would make a number of it
        ("octets", "0Xabcd", b"\xab\xcd"),
        ("date", "1900000000", (1_900_000_000).to_bytes(4, "big")),
        ("date", "2030-01-31T21:00:00+09:00", bytes.fromhex("71040e40")),
        ("ether", "00-11-22-AA-BB-CC", bytes.fromhex("001122aabbcc")),
    ],
)
def test_other_ways_to_write_it(kind: str, text: str, octets: bytes) -> None:
    assert FORMATS[kind].encode(text) == octets


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("string", "\ud800"),
        ("octets", "0xabc"),
        ("octets", "0xyz"),
        ("ipaddr", "192.0.2.256"),
        ("ipaddr", "2001:db8::1"),
        ("ipv6addr", "fe80::1%eth0"),
        ("ipv6addr", "192.0.2.1"),
        ("ipv6prefix", "2001:db8::"),
        ("ipv6prefix", "2001:db8::1/64"),
        ("ipv6prefix", "2001:db8::/129"),
        ("ipv6prefix", "fe80::%eth0/64"),
        ("ifid", "1:2:3"),
        ("ether", "00:11:22"),
        ("date", "tomorrow"),
        ("date", "2030-01-31T12:00:00"),
        ("date", "1969-12-31T23:59:59Z"),
        ("date", "4294967296"),
    ],
)
def test_what_is_not_of_the_type_is_a_value_error(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        FORMATS[kind].encode(text)


@pytest.mark.parametrize("kind", ["ipaddr", "ifid", "ether", "date"])
def test_octets_of_another_length_are_a_value_error(kind: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        FORMATS[kind].decode(b"abc")


def test_control_characters_are_shown_escaped() -> None:
    shown = FORMATS["string"].decode("a\r\n\x1b[2J\u202e\u3000日".encode())
    assert shown == "a\\r\\n\\x1b[2J\\u202e\u3000日"


@given(kind=st.sampled_from(sorted(FORMATS)), text=st.text())
def test_any_text_is_a_value_or_a_value_error(kind: str, text: str) -> None:
    try:
        octets = FORMATS[kind].encode(text)
    except ValueError:
        return
    FORMATS[kind].decode(octets)


@given(kind=st.sampled_from(sorted(FORMATS)), octets=st.binary(max_size=253))
def test_any_octets_are_text_or_a_value_error(kind: str, octets: bytes) -> None:
    try:
        text = FORMATS[kind].decode(octets)
    except ValueError:
        return
    assert not any(character in text for character in "\0\r\n\x1b")
