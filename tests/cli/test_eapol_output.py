"""What eapol_test prints, read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.cli.eapol_output import read

ACCEPT = b"RADIUS message: code=2 (Access-Accept) identifier=4 length=180\n"


def attribute(number: int, length: int, value: bytes) -> bytes:
    return b"   Attribute %d (Name) length=%d\n      Value: %s\n" % (number, length + 2, value)


@pytest.mark.parametrize(
    ("number", "printed", "value"),
    [
        (1, b"'alice'", b"alice"),
        (27, b"28800", (28800).to_bytes(4, "big")),
        (27, b"12345678", (12345678).to_bytes(4, "big")),
        (25, b"12345678", bytes.fromhex("12345678")),
        (8, b"192.0.2.1", bytes([192, 0, 2, 1])),
        (95, b"2001:db8::1", bytes.fromhex("20010db8000000000000000000000001")),
        (26, b"0000013711", bytes.fromhex("0000013711")),
        (18, b"'it's\n   two lines'", b"it's\n   two lines"),
    ],
)
def test_values_are_the_octets_that_came(number: int, printed: bytes, value: bytes) -> None:
    packet = read(ACCEPT + attribute(number, len(value), printed) + attribute(1, 1, b"'x'")).packets[0]
    assert [(each.number, each.value) for each in packet.attributes] == [(number, value), (1, b"x")]


@pytest.mark.parametrize("printed", [b"4294967296", b"what", b"'four'", b"", b"1.2.3"])
def test_a_value_that_cannot_be_read_is_none(printed: bytes) -> None:
    output = read(ACCEPT + attribute(27, 4, printed).replace(b"'four'", b"'four"))
    assert output.packets[0].attributes[0].value is None


def test_a_text_cannot_be_taken_for_a_packet() -> None:
    """Reply-Message is anybody's text: what it says in a line of its own is no packet."""
    text = b"no\n" + ACCEPT
    reject = ACCEPT.replace(b"2 (Access-Accept)", b"3 (Access-Reject)")
    assert [packet.name for packet in read(reject + attribute(18, len(text), b"'%s'" % text)).packets] == [
        "Access-Reject"
    ]


def test_keys_are_of_the_last_count() -> None:
    assert read(b"MPPE keys OK: 1  mismatch: 0\nSUCCESS\n").keys_match
    assert not read(b"MPPE keys OK: 1  mismatch: 1\n").keys_match
    assert not read(b"MPPE keys OK: 0  mismatch: 0\n").keys_match
    assert not read(b"").keys_match


@given(st.binary(max_size=300), st.binary(max_size=100), st.integers(0, 999), st.integers(0, 999))
def test_anything_can_be_read(before: bytes, value: bytes, number: int, length: int) -> None:
    printed = before + ACCEPT + attribute(number, length, value)
    for end in (len(before), len(printed) - 3, len(printed)):
        assert len(read(b"\n" + printed[:end]).packets) <= printed.count(b"RADIUS message")
