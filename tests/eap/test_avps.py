"""The attribute-value pairs of a TTLS tunnel (RFC 5281 §10)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.eap.avps import Avp, avp, read_avps

MOST = 64


def written(each: Avp) -> bytes:
    """As a supplicant writes it."""
    vendor = each.vendor.to_bytes(4, "big") if each.vendor else b""
    length = 8 + len(vendor) + len(each.data)
    flags = (0x80 if vendor else 0) | (0x40 if each.mandatory else 0)
    head = each.code.to_bytes(4, "big") + bytes((flags,)) + length.to_bytes(3, "big")
    return head + vendor + each.data + bytes(-length % 4)


def test_pairs_are_read() -> None:
    """RFC 5281 §10.1: AVP Code, flags V and M, AVP Length without the padding, Vendor-ID."""
    octets = (
        b"\0\0\0\1\x40\0\0\x0bbob\0"
        b"\0\0\0\x0b\xc0\0\0\x10\0\0\x01\x37abcd"
        b"\0\0\0\2\0\0\0\x0aab\0\0"
    )  # fmt: skip

    assert read_avps(octets) == [Avp(0, 1, True, b"bob"), Avp(311, 11, True, b"abcd"), Avp(0, 2, False, b"ab")]


def test_the_padding_of_the_last_may_be_missing() -> None:
    """RFC 5281 §10.2 pads them all, and some supplicants do not; nothing is behind it that it would move."""
    assert read_avps(b"\0\0\0\1\x40\0\0\x0bbob") == [Avp(0, 1, True, b"bob")]


def test_an_empty_pair_is_one_and_no_octets_are_none() -> None:
    assert read_avps(b"\0\0\0\1\0\0\0\x08") == [Avp(0, 1, False, b"")]
    assert read_avps(b"\0\0\0\1\x80\0\0\x0c\0\0\0\x09") == [Avp(9, 1, False, b"")]
    assert read_avps(b"") == []


@pytest.mark.parametrize(
    "octets",
    [
        b"\0\0\0\1\x40\0\0",  # no whole head
        b"\0\0\0\1\x40\0\0\x07",  # shorter than its head
        b"\0\0\0\1\x40\0\0\x00",
        b"\0\0\0\1\x80\0\0\x0b\0\0\0",  # a vendor that is cut
        b"\0\0\0\1\x80\0\0\x08\0\0\0\x09",  # and one that its length leaves out
        b"\0\0\0\1\x40\0\0\x0cbob",  # overruns
        b"\0\0\0\1\x40\xff\xff\xffbob",
        b"\0\0\0\1\x40\0\0\x0bbob\0\0",  # something behind it
        b"\0\0\0\1\x40\0\0\x08" * (MOST + 1),
    ],
)
def test_pairs_that_do_not_fill_the_message_are_none(octets: bytes) -> None:
    assert read_avps(octets) is None


def test_the_most_pairs_are_read() -> None:
    pairs = read_avps(b"\0\0\0\1\x40\0\0\x08" * MOST)

    assert pairs is not None
    assert len(pairs) == MOST


_pairs = st.builds(
    Avp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.booleans(), st.binary(max_size=30)
)


@given(st.lists(_pairs, max_size=MOST))
def test_what_is_written_is_read(pairs: list[Avp]) -> None:
    assert read_avps(b"".join(map(written, pairs))) == pairs


@given(st.lists(_pairs, min_size=1, max_size=6), st.integers(0, 200), st.integers(0, 255))
def test_written_pairs_with_an_octet_changed_are_pairs_or_none(pairs: list[Avp], where: int, octet: int) -> None:
    octets = bytearray(b"".join(map(written, pairs)))
    octets[where % len(octets)] = octet

    read = read_avps(bytes(octets))
    assert read is None or sum(len(each.data) for each in read) <= len(octets)


@given(st.binary(max_size=200))
def test_any_octets_are_pairs_or_none(octets: bytes) -> None:
    pairs = read_avps(octets)

    if pairs is not None:
        assert sum(8 + len(each.data) for each in pairs) <= len(octets)
        assert len(pairs) <= MOST


@given(st.integers(0, 255), st.binary(max_size=300))
def test_ours_is_mandatory_and_padded(code: int, data: bytes) -> None:
    octets = avp(code, data)

    assert len(octets) % 4 == 0
    assert read_avps(octets) == [Avp(0, code, True, data)]


def test_a_pair_does_not_show_what_is_in_it() -> None:
    """It may be a password."""
    assert "secret" not in repr(Avp(0, 2, True, b"secret"))
