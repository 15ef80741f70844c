"""What is said inside the tunnel: AVPs of TTLS, EAP of PEAP, and what may not be said there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.eap import packets
from bench.eap.packets import Packet
from radius_mfa.eap.avps import Avp
from radius_mfa.eap.inner import Asked, GivenUp, Inner, Peap, Tell, Ttls, is_good_result, result
from radius_mfa.eap.packet import Type
from tests.eap.test_avps import written

RESPONSE = packets.RESPONSE
NAME, PASSWORD, CHAP, EAP = 1, 2, 3, 79


def avps(*pairs: tuple[int, bytes]) -> bytes:
    return b"".join(packets.avp(code, value) for code, value in pairs)


def eap(kind: int, data: bytes, identifier: int = 0) -> bytes:
    return Packet(RESPONSE, identifier, kind, data).octets()


def within(kind: int, data: bytes, identifier: int = 0) -> bytes:
    """EAP in an AVP (RFC 5281 §11.2.1)."""
    return packets.eap_message(eap(kind, data, identifier))


def given_up(inner: Inner, octets: bytes) -> str:
    heard = inner.hear(octets)
    assert isinstance(heard, GivenUp)
    return heard.why


def told(inner: Inner, octets: bytes) -> bytes:
    heard = inner.hear(octets)
    assert isinstance(heard, Tell)
    return heard.octets


# --- TTLS: PAP --------------------------------------------------------------------------------------


def test_pap_is_a_name_and_a_text_in_one_field() -> None:
    """RFC 5281 §11.2.5: the password is filled up with NULs, so that its length is not seen."""
    asked = Ttls().hear(packets.pap(b"alice", b"correct horse,123456"))

    assert asked == Asked(b"alice", b"correct horse,123456", "EAP-TTLS/PAP", answers=0)


def test_the_order_of_the_pairs_is_the_supplicants_and_others_may_stand_between() -> None:
    """RFC 5281 §10.1: who does not know a pair without M passes over it."""
    octets = (
        written(Avp(0, 2, True, b"word")) + written(Avp(9, 77, False, b"x")) + written(Avp(0, 1, True, b"bob"))
    )

    assert Ttls().hear(octets) == Asked(b"bob", b"word", "EAP-TTLS/PAP", answers=0)


def test_a_pair_of_a_vendor_is_not_the_standard_one_of_that_number() -> None:
    """RFC 5281 §10.1."""
    name, password = written(Avp(0, 1, True, b"bob")), written(Avp(9, 2, False, b"word"))
    assert "neither a name with a password" in given_up(Ttls(), name + password)

    asked = Ttls().hear(name + written(Avp(9, 1, False, b"eve")) + avps((PASSWORD, b"word")))
    assert asked == Asked(b"bob", b"word", "EAP-TTLS/PAP", answers=0)


def test_eap_of_a_vendors_pair_is_no_part_of_the_supplicants() -> None:
    identity = eap(Type.IDENTITY, b"alice")
    both = written(Avp(9, EAP, False, b"\x02\x00\x00\x06\x01x")) + avps((EAP, identity))

    inner = Ttls()
    told(inner, both)
    asked = inner.hear(within(Type.GTC, b"word"))
    assert asked == Asked(b"alice", b"word", "EAP-TTLS/EAP-GTC", answers=1)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"\0\0\0\1\x40\0\0\xff", "overrun"),
        (avps((NAME, b"alice")), "neither a name with a password nor EAP"),
        (avps((PASSWORD, b"word")), "neither a name with a password nor EAP"),
        (avps((NAME, b"alice"), (NAME, b"bob"), (PASSWORD, b"word")), "there twice"),
        (avps((NAME, b"alice"), (PASSWORD, b"word"), (PASSWORD, b"word")), "there twice"),
        (avps((NAME, b"alice"), (PASSWORD, b"word"), (25, b"x")), "must be known and is not"),
        (avps((NAME, b"alice"), (CHAP, bytes(17)), (60, bytes(16))), "CHAP came within the tunnel"),
        (avps((NAME, b"alice")) + written(Avp(311, 1, True, bytes(50))), "MS-CHAP came within the tunnel"),
        (avps((NAME, b"alice")) + written(Avp(311, 25, True, bytes(50))), "MS-CHAP came within the tunnel"),
        (avps((NAME, b"alice"), (PASSWORD, b"w")) + written(Avp(311, 2, True, b"")), "must be known and is not"),
        (avps((EAP, b"")), "no EAP response"),
        (avps((EAP, b"\x01\x00\x00\x05\x01")), "no EAP response"),
    ],
)
def test_what_cannot_be_decided_on_is_given_up(octets: bytes, words: str) -> None:
    """RFC 5281 §10.1, §11.2."""
    assert words in given_up(Ttls(), octets)


@pytest.mark.parametrize("length", [253, 254])
def test_a_name_is_as_long_as_one_can_be_in_radius(length: int) -> None:
    """RFC 2865 §5, §5.1: what is longer is nobody's, and is kept nowhere."""
    name = b"a" * length
    pap, gtc, peap = Ttls(), Ttls(), Peap()
    heard = [
        pap.hear(packets.pap(name, b"word")),
        gtc.hear(within(Type.IDENTITY, name)),
        peap.hear(bytes((Type.IDENTITY,)) + name),
    ]
    if length <= 253:
        assert [inner.name for inner in (pap, gtc, peap)] == [name] * 3
    else:
        assert heard == [GivenUp("a name within the tunnel of more than 253 octets")] * 3
        assert [inner.name for inner in (pap, gtc, peap)] == [None] * 3


def test_a_password_of_nothing_is_one_all_the_same() -> None:
    """What that is worth, the conversation knows."""
    assert Ttls().hear(packets.pap(b"alice", b"")) == Asked(b"alice", b"", "EAP-TTLS/PAP", answers=0)


# --- GTC --------------------------------------------------------------------------------------------


def test_in_ttls_gtc_asks_for_the_password_and_then_whatever_is_to_be_asked() -> None:
    """RFC 3748 §5.6; each request has an Identifier of its own (§4.1)."""
    inner = Ttls()
    assert inner.begin() is None
    first = packets.packet_of(packets.inner_packet(told(inner, within(Type.IDENTITY, b"alice", 255))))
    assert first == Packet(packets.REQUEST, 0, Type.GTC, b"Password")

    password = inner.hear(within(Type.GTC, b"correct horse", 0))
    assert password == Asked(b"alice", b"correct horse", "EAP-TTLS/EAP-GTC", answers=1)
    second = packets.packet_of(packets.inner_packet(inner.ask("The code, please")))
    assert second == Packet(packets.REQUEST, 1, Type.GTC, b"The code, please")
    code = inner.hear(within(Type.GTC, b"123456", 1))
    assert code == Asked(b"alice", b"123456", "EAP-TTLS/EAP-GTC", answers=1)


def test_in_peap_it_is_the_same_without_a_header() -> None:
    """[MS-PEAP] §3.1.5.6."""
    inner = Peap()
    assert inner.begin() == Tell(bytes((Type.IDENTITY,)))
    assert told(inner, b"\x01alice") == b"\x06Password"

    assert inner.hear(b"\x06correct horse") == Asked(b"alice", b"correct horse", "PEAP/EAP-GTC", answers=None)
    assert inner.ask("The code, please") == b"\x06The code, please"
    assert inner.hear(b"\x06123456") == Asked(b"alice", b"123456", "PEAP/EAP-GTC", answers=None)


def test_in_ttls_pap_does_not_follow_where_eap_was_begun() -> None:
    """Its one field has other rules than an answer to a challenge."""
    inner = Ttls()
    inner.hear(avps((79, eap(Type.IDENTITY, b"alice"))))
    assert inner.hear(packets.pap(b"alice", b"123456")) == GivenUp("PAP within the tunnel, where EAP was begun")


@pytest.mark.parametrize("inner", [Peap(), Ttls()])
def test_who_is_said_to_be_there_is_known_though_nobody_can_be_let_in(inner: Peap | Ttls) -> None:
    """So that the help desk finds whose device wants another method."""
    assert inner.name is None
    for octets in (b"\x01alice", b"\x03\x1a"):
        said = avps((79, eap(octets[0], octets[1:]))) if isinstance(inner, Ttls) else octets
        heard = inner.hear(said)
    assert isinstance(heard, GivenUp)
    assert inner.name == b"alice"


def test_a_peap_supplicant_may_leave_the_header_where_it_is() -> None:
    inner = Peap()
    assert told(inner, eap(Type.IDENTITY, b"alice", 9)) == b"\x06Password"

    assert inner.hear(eap(Type.GTC, b"word", 9)) == Asked(b"alice", b"word", "PEAP/EAP-GTC", answers=None)


def test_eap_may_be_in_several_pairs() -> None:
    """RFC 5281 §11.2.1, as in RADIUS (RFC 3579 §3.1)."""
    octets = eap(Type.IDENTITY, b"a" * 250)
    parts = avps((EAP, octets[:100]), (EAP, octets[100:]))

    assert told(Ttls(), parts) == told(Ttls(), avps((EAP, octets)))


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (Type.NAK, bytes((26,)), "wants MS-CHAPv2 within the tunnel, and only GTC is served"),
        (Type.NAK, bytes((4, 13, 29)), "wants MD5 or TLS or MS-CHAPv2"),
        (Type.NAK, bytes((99,)), "wants type 99"),
        (Type.NAK, b"", "wants nothing"),
        (Type.GTC, b"word", "a response of type 6 within the tunnel, where it does not belong"),
        (Type.TLV, b"\x80\x03\x00\x02\x00\x01", "a response of type 33"),
        (2, b"", "a response of type 2"),
        (254, b"", "a response of type 254"),
    ],
)
def test_nobody_is_let_in_who_says_something_else(kind: int, data: bytes, words: str) -> None:
    assert words in given_up(Ttls(), within(kind, data))
    assert words in given_up(Peap(), bytes((kind,)) + data)


def test_a_name_is_said_once() -> None:
    """Or a code would be that of another than the password."""
    ttls, peap = Ttls(), Peap()
    told(ttls, within(Type.IDENTITY, b"alice"))
    told(peap, b"\x01alice")

    assert "a response of type 1" in given_up(ttls, within(Type.IDENTITY, b"bob"))
    assert "a response of type 1" in given_up(peap, b"\x01bob")


def test_peap_says_something() -> None:
    assert given_up(Peap(), b"") == "no EAP response within the tunnel"


@pytest.mark.parametrize("inner", [Ttls(), Peap()])
def test_a_prompt_is_cut_between_code_points(inner: Inner) -> None:
    asked = inner.ask("x" + "コード" * 200)
    text = packets.packet_of(packets.inner_packet(asked)).data if isinstance(inner, Ttls) else asked[1:]

    assert 1020 < len(text) <= 1024
    assert ("x" + "コード" * 200).startswith(text.decode())


# --- the Result of PEAP -----------------------------------------------------------------------------


@pytest.mark.parametrize("good", [True, False])
def test_the_result_is_what_a_supplicant_knows_as_one(good: bool) -> None:
    """[MS-PEAP] §2.2.8.1.2."""
    packet = packets.packet_of(result(good=good))

    assert packet.type == Type.TLV
    assert packets.result(packet) is good


@pytest.mark.parametrize(
    ("octets", "good"),
    [
        (packets.acknowledged(0, True).octets(), True),
        (packets.acknowledged(7, True).octets(), True),
        (eap(Type.TLV, b"\x00\x03\x00\x02\x00\x01"), True),  # which it does not call mandatory
        (packets.acknowledged(0, False).octets(), False),
        (eap(Type.TLV, b"\x80\x03\x00\x02\x00\x03"), False),
        (eap(Type.TLV, b"\x80\x03\x00\x02\x00\x01\x00"), False),
        (eap(Type.TLV, b""), False),
        (eap(Type.GTC, b"\x80\x03\x00\x02\x00\x01"), False),
        (result(good=True), False),  # our own request
        (b"\x21\x80\x03\x00\x02\x00\x01", False),  # without the header that this one has ([MS-PEAP] §3.1.5.6)
        (b"", False),
    ],
)
def test_only_a_success_is_a_good_result(octets: bytes, good: bool) -> None:
    assert is_good_result(octets) is good


# --- whatever else -----------------------------------------------------------------------------------

_kinds = st.sampled_from([1, 2, 3, 4, 6, 21, 33, 254]) | st.integers(0, 255)
_eap = st.builds(eap, _kinds, st.binary(max_size=40), st.integers(0, 255))
_codes = st.sampled_from([1, 2, 3, 25, 79]) | st.integers(0, 2**32 - 1)
_pair = st.builds(
    Avp, st.sampled_from([0, 0, 9, 311]), _codes, st.booleans(), st.one_of(st.binary(max_size=40), _eap)
)
_pairs = st.lists(_pair, max_size=8).map(lambda pairs: b"".join(map(written, pairs)))


@st.composite
def _spoilt(draw: st.DrawFn, octets: st.SearchStrategy[bytes]) -> bytes:
    """With an octet changed, or cut."""
    made = bytearray(draw(octets))
    if made and draw(st.booleans()):
        made[draw(st.integers(0, len(made) - 1))] = draw(st.integers(0, 255))
    return bytes(made[: draw(st.integers(0, len(made)))]) if draw(st.booleans()) else bytes(made)


@given(st.lists(st.one_of(st.binary(max_size=60), _pairs, _spoilt(_pairs)), max_size=5))
def test_in_ttls_whatever_is_said_comes_to_one_of_three_ends(said: list[bytes]) -> None:
    inner = Ttls()
    for octets in said:
        assert isinstance(inner.hear(octets), Tell | Asked | GivenUp)


@given(st.lists(st.one_of(st.binary(max_size=60), _eap, _spoilt(_eap)), max_size=5))
def test_in_peap_whatever_is_said_comes_to_one_of_three_ends(said: list[bytes]) -> None:
    inner = Peap()
    for octets in said:
        assert isinstance(inner.hear(octets), Tell | Asked | GivenUp)
        is_good_result(octets)


def test_who_asks_does_not_show_what_was_typed() -> None:
    asked = Asked(b"alice", b"secret", "EAP-TTLS/PAP", answers=0)

    assert "secret" not in repr((asked, Tell(b"secret")))
