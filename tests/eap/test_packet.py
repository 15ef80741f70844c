"""EAP packets (RFC 3748 §4): what is read of a supplicant, and what is said to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.eap.packet import Code, Response, Type, failure, read_response, request, success


def test_a_response_is_read() -> None:
    """RFC 3748 §4.1."""
    assert read_response(b"\x02\x07\x00\x08\x01bob") == Response(7, Type.IDENTITY, b"bob")


def test_a_response_may_have_nothing_behind_its_type() -> None:
    assert read_response(b"\x02\x07\x00\x05\x03") == Response(7, Type.NAK, b"")


def test_what_is_behind_the_length_is_padding() -> None:
    """RFC 3748 §4.1: octets outside the range of the Length field are ignored."""
    assert read_response(b"\x02\x07\x00\x06\x01ab") == Response(7, Type.IDENTITY, b"a")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x02",
        b"\x02\x07\x00",
        b"\x02\x07\x00\x04",  # no Type
        b"\x02\x07\x00\x04\x01",
        b"\x02\x07\x00\x00\x01",
        b"\x02\x07\x00\x06\x01",  # cut
        b"\x02\x07\xff\xff\x01",
        b"\x01\x07\x00\x05\x01",  # a request
        b"\x03\x07\x00\x05\x01",
        b"\x00\x07\x00\x05\x01",
    ],
)
def test_what_is_no_response_is_none(octets: bytes) -> None:
    """RFC 3748 §4.1: silently discarded."""
    assert read_response(octets) is None


@given(st.binary(max_size=64) | st.builds(lambda rest: b"\x02" + rest, st.binary(max_size=64)))
def test_any_octets_are_a_response_or_none(octets: bytes) -> None:
    response = read_response(octets)

    if response is not None:
        length = 5 + len(response.data)
        again = bytes((Code.RESPONSE, response.identifier)) + length.to_bytes(2, "big") + bytes((response.type,))
        assert octets[:length] == again + response.data


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=1500))
def test_a_request_says_how_long_it_is(identifier: int, kind: int, data: bytes) -> None:
    octets = request(identifier, kind, data)

    assert octets[:2] == bytes((Code.REQUEST, identifier))
    assert int.from_bytes(octets[2:4], "big") == len(octets)
    assert octets[4:] == bytes((kind,)) + data


def test_success_and_failure_have_no_type() -> None:
    """RFC 3748 §4.2."""
    assert (success(9), failure(9)) == (b"\x03\x09\x00\x04", b"\x04\x09\x00\x04")
