"""What is exactly a packet, and what is not (RFC 2865 §3, §5)."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radius_mfa.wire.walker import DiscardReason, Frame, cut, message_authenticator, walk
from tests.wire.support import SALT, SECRET, assemble, request, tlv
from tests.wire.test_packet import mutated

_LONGEST = assemble(tlv(26, bytes(253)) * 15 + tlv(26, bytes(249)))
_FILLED = tlv(1, b"a")

_attribute = st.tuples(st.sampled_from([1, 2, 24, 33, 55, 80, 255]) | st.integers(1, 255), st.binary(max_size=40))


def test_a_packet_is_cut_at_its_seams() -> None:
    frame = walk(assemble(tlv(1, b"alice") + tlv(33, b"") + tlv(1, b"b"), code=1, identifier=9))
    assert isinstance(frame, Frame)
    assert (frame.code, frame.identifier) == (1, 9)
    assert frame.attributes == ((1, b"alice"), (33, b""), (1, b"b"))


def test_octets_past_length_are_padding() -> None:
    """RFC 2865 §3."""
    octets = assemble(_FILLED)
    assert walk(octets + b"\x00\xff" * 40) == walk(octets)


@pytest.mark.parametrize(
    "octets",
    [assemble(b""), _LONGEST, assemble(tlv(255, b"") * 200)],
    ids=["no attribute", "4096 octets", "200 attributes"],
)
def test_the_limits_themselves_are_within(octets: bytes) -> None:
    """RFC 2865 §3: 20 to 4096 octets."""
    assert isinstance(walk(octets), Frame)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        pytest.param(b"", DiscardReason.SHORTER_THAN_HEADER, id="nothing"),
        pytest.param(assemble(b"")[:19], DiscardReason.SHORTER_THAN_HEADER, id="19 octets"),
        pytest.param(b"\x01\x07\x00\x13" + SALT, DiscardReason.LENGTH_OUT_OF_RANGE, id="Length 19"),
        pytest.param(b"\x01\x07\x00\x00" + SALT, DiscardReason.LENGTH_OUT_OF_RANGE, id="Length 0"),
        pytest.param(assemble(bytes(4077)), DiscardReason.LENGTH_OUT_OF_RANGE, id="Length 4097"),
        pytest.param(b"\x01\x07\xff\xff" + bytes(65531), DiscardReason.LENGTH_OUT_OF_RANGE, id="Length 65535"),
        pytest.param(assemble(_FILLED)[:-1], DiscardReason.SHORTER_THAN_LENGTH, id="last octet missing"),
        pytest.param(assemble(b"\x00\x03a"), DiscardReason.ATTRIBUTE_TYPE_ZERO, id="type 0"),
        pytest.param(assemble(b"\x01\x00"), DiscardReason.ATTRIBUTE_TOO_SHORT, id="length 0"),
        pytest.param(assemble(b"\x01\x01"), DiscardReason.ATTRIBUTE_TOO_SHORT, id="length 1"),
        pytest.param(assemble(_FILLED + b"\x01"), DiscardReason.ATTRIBUTE_OVERRUN, id="half a header"),
        pytest.param(assemble(_FILLED + b"\x01\x04a"), DiscardReason.ATTRIBUTE_OVERRUN, id="overrun by one"),
        pytest.param(
            assemble(b"\x01\x04a") + b"b", DiscardReason.ATTRIBUTE_OVERRUN, id="overrun into the padding"
        ),
        pytest.param(assemble(tlv(9, b"") * 201), DiscardReason.TOO_MANY_ATTRIBUTES, id="201 attributes"),
        pytest.param(assemble(tlv(9, b"") * 200 + b"\x09"), DiscardReason.ATTRIBUTE_OVERRUN, id="200 and a half"),
        pytest.param(
            assemble(tlv(9, b"") * 200 + b"\x09\x03"), DiscardReason.ATTRIBUTE_OVERRUN, id="the 201st overruns"
        ),
        pytest.param(
            assemble(tlv(9, b"") * 200 + b"\x00\x02"), DiscardReason.ATTRIBUTE_TYPE_ZERO, id="the 201st has type 0"
        ),
        pytest.param(assemble(b"\x00"), DiscardReason.ATTRIBUTE_OVERRUN, id="half a header of type 0"),
        pytest.param(assemble(b"\x00\x00"), DiscardReason.ATTRIBUTE_TYPE_ZERO, id="type 0, length 0"),
        pytest.param(assemble(b"\x00\xff"), DiscardReason.ATTRIBUTE_TYPE_ZERO, id="type 0, overrun"),
        pytest.param(assemble(_FILLED + b"\x01\xff"), DiscardReason.ATTRIBUTE_OVERRUN, id="overrun by 253"),
        pytest.param(
            assemble(b"\x01\x05a") + _FILLED, DiscardReason.ATTRIBUTE_OVERRUN, id="overrun, a good one behind"
        ),
    ],
)
def test_what_is_not_exactly_a_packet_is_discarded(octets: bytes, reason: DiscardReason) -> None:
    """RFC 2865 §3, §5."""
    assert walk(octets) is reason


@given(mutated() | st.binary(max_size=300))
def test_any_octets_are_a_frame_or_a_reason(octets: bytes) -> None:
    found = walk(octets)
    if isinstance(found, Frame):
        assert found.octets == octets[: len(found.octets)]
        assert assemble(
            b"".join(tlv(number, value) for number, value in found.attributes),
            code=found.code,
            identifier=found.identifier,
            salt=found.octets[4:20],
        ) == (found.octets)


_PACKETS = mutated() | st.lists(_attribute, max_size=20).map(request)


@given(_PACKETS)
def test_whatever_is_cut_is_cut_as_whoever_walks_it_finds_it(octets: bytes) -> None:
    frame, pieces = walk(octets), cut(octets)
    if isinstance(frame, DiscardReason):
        assert pieces is frame
        return
    assert not isinstance(pieces, DiscardReason)
    packet, code, identifier, authenticator, (attributes, firsts, *_) = pieces
    assert (packet, code, identifier, authenticator) == (
        frame.octets,
        frame.code,
        frame.identifier,
        frame.octets[4:20],
    )
    assert attributes == tuple(each for each in frame.attributes if each[0] not in {2, 80})
    assert firsts == dict(reversed(attributes))


@given(_PACKETS)
@example(request([(1, b"alice"), (2, b""), (2, b"x" * 16), (80, b"")]))
def test_it_is_noted_where_passwords_and_message_authenticators_are(octets: bytes) -> None:
    frame, pieces = walk(octets), cut(octets)
    if isinstance(frame, Frame) and not isinstance(pieces, DiscardReason):
        passwords, signed_at = pieces[4][2:4]
        assert passwords == [value for number, value in frame.attributes if number == 2]
        signatures = [value for number, value in frame.attributes if number == 80]
        assert signatures == [frame.octets[at : at + len(v)] for at, v in zip(signed_at, signatures, strict=True)]
        assert all(frame.octets[at - 2] == 80 for at in signed_at)


@given(_PACKETS)
def test_what_is_said_of_a_login_is_every_other_octet_in_packet_order(octets: bytes) -> None:
    """Without User-Password, Message-Authenticator, Proxy-State and Event-Timestamp, whoever keeps the rest."""
    frame, pieces = walk(octets), cut(octets)
    if isinstance(frame, Frame):
        said = [tlv(number, value) for number, value in frame.attributes if number not in {2, 80, 33, 55}]
        assert not isinstance(pieces, DiscardReason)
        assert pieces[4][-1] == b"".join(said)


@given(st.binary(max_size=200), st.binary(max_size=300))
@example(b"x" * 64, b"")
@example(b"x" * 65, b"")
def test_a_message_authenticator_is_hmac_md5_whatever_the_secret(secret: bytes, octets: bytes) -> None:
    """RFC 2104 §2: a secret longer than a block of 64 octets is digested first."""
    expected = hmac.new(secret, octets, "md5").digest()
    assert [message_authenticator(octets, secret) for _ in range(2)] == [expected] * 2


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_message_authenticator_is_computed_with_zeros_in_its_place(place: int) -> None:
    """RFC 3579 §3.2: anywhere in a request."""
    octets = request([(1, b"alice"), (80 - 1, b"x")], sign_at=place)
    frame, pieces = walk(octets), cut(octets)
    assert isinstance(frame, Frame)
    assert not isinstance(pieces, DiscardReason)
    made, (at,) = dict(frame.attributes)[80], pieces[4][3]
    expected = octets.replace(made, bytes(16))
    assert octets[:at] + bytes(16) + octets[at + 16 :] == expected
    assert message_authenticator(expected, SECRET) == made == hmac.new(SECRET, expected, "md5").digest()
