"""Supplicants that do what they should not: each conversation ends, in a few words, and never in a success."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from bench.eap import packets
from bench.eap.packets import LENGTH, MORE, START, Packet, fragment_of, packet_of
from radius_mfa.eap.avps import Avp
from radius_mfa.eap.dialogue import End, Event, Say
from radius_mfa.eap.inner import Asked
from radius_mfa.eap.packet import Type
from radius_mfa.eap.tunnel import Terms
from tests.eap.support import ACKNOWLEDGED, BOTH, SESSION, Bare, Verdict, cut, terms_of, why
from tests.eap.test_avps import written
from tests.peers.certificates import Authority

TLS = ("1.2", "1.3")
MOST_ROUNDS = 120
PAP = packets.pap(b"alice", b"correct horse,123456")


@pytest.fixture(scope="module")
def terms(certificate: Path) -> Terms:
    return terms_of(certificate)


def bare(terms: Terms, kind: Type = Type.TTLS, tls: str = "1.2") -> Bare:
    """A supplicant whose tunnel is open."""
    it = Bare(terms, kind, tls)
    it.shake_hands()
    return it


# --- responses that are none ----------------------------------------------------------------------------


def test_a_response_to_something_else_is_met_with_silence(terms: Terms) -> None:
    """RFC 3748 §4.1: and the conversation goes on."""
    it = bare(terms)
    it.tunnel.put(PAP)
    record = it.tunnel.records()
    for identifier in (it.identifier - 1, it.identifier + 1, it.identifier + 128):
        assert it.send(ACKNOWLEDGED + record, identifier=identifier % 256) is None

    assert isinstance(it.tell(record), Asked)


def test_nothing_is_heard_while_somebody_decides(terms: Terms) -> None:
    it = bare(terms)
    it.say(PAP)

    assert it.send(ACKNOWLEDGED) is None
    assert isinstance(it.judged(Verdict.ACCEPT), End)


@pytest.mark.parametrize("kind", [Type.IDENTITY, 2, Type.GTC, Type.PEAP, 13, 254])
@pytest.mark.parametrize("is_open", [False, True])
def test_a_response_of_another_type_ends_it(terms: Terms, kind: int, is_open: bool) -> None:
    it = bare(terms) if is_open else Bare(terms, Type.TTLS)

    assert why(it.send(b"", kind=kind)) == f"a response of type {kind}, where TTLS is spoken"


def test_a_nak_comes_before_the_handshake_or_not_at_all(terms: Terms) -> None:
    assert why(bare(terms).send(bytes((25,)), kind=Type.NAK)) == "a response of type 3, where TTLS is spoken"


@pytest.mark.parametrize("version", [1, 2, 7])
@pytest.mark.parametrize("kind", BOTH)
def test_another_version_is_not_spoken(terms: Terms, kind: Type, version: int) -> None:
    """RFC 5281 §9.1; PEAPv1 and 2 are other protocols."""
    it = Bare(terms, kind)

    assert why(it.send(bytes((version,)) + it.hello())) == f"version {version} of {kind.name}, and 0 is served"


# --- pieces -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [1, 50, 10_000])
def test_a_hello_may_come_in_pieces(terms: Terms, room: int) -> None:
    it = Bare(terms, Type.TTLS)
    *others, last = cut(it.hello(), room)[:100]
    for piece in others:
        said = it.send(piece)
        assert isinstance(said, Say)
        assert packet_of(said.packet).data == ACKNOWLEDGED
    assert isinstance(it.send(last), Say)


def hello_said(total: int) -> Callable[[bytes], list[bytes]]:
    """In two pieces, the first of which says so many octets more than there are."""

    def pieces(hello: bytes) -> list[bytes]:
        first, second = hello[:50], hello[50:]
        head = bytes((LENGTH | MORE,)) + (len(hello) + total).to_bytes(4, "big")
        return [head + first, ACKNOWLEDGED + second]

    return pieces


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (lambda hello: [b""], "no flags"),
        (lambda hello: [bytes((LENGTH,)) + b"\0\0"], "a length that is cut"),
        (lambda hello: [bytes((START,))], "a supplicant does not start"),
        (lambda hello: [bytes((START,)) + hello], "a supplicant does not start"),
        (hello_said(+1), "fewer octets than were announced"),
        (hello_said(-1), "more octets than were announced"),
        (
            lambda hello: [bytes((MORE,)) + hello[:9], bytes((LENGTH,)) + b"\0\0\1\0" + hello[9:]],
            "a length in the middle of a message",
        ),
        (
            lambda hello: [bytes((LENGTH | MORE,)) + b"\0\0\1\0" + hello[:9], bytes((LENGTH,)) + b"\0\0\1\1"],
            "two lengths of one message",
        ),
        (lambda hello: [bytes((MORE,))], "a piece of nothing with more to come"),
        (lambda hello: [bytes((LENGTH | MORE,)) + b"\xff" * 4 + hello], "a message of more than 16896 octets"),
        (lambda hello: [bytes((MORE,)) + bytes(4000)] * 5, "a message of more than 16896 octets"),
    ],
)
def test_pieces_that_make_no_message_end_it(
    terms: Terms, pieces: Callable[[bytes], list[bytes]], words: str
) -> None:
    """RFC 5216 §2.1.5, §3.1."""
    it = Bare(terms, Type.TTLS)
    *others, last = pieces(it.hello())
    for piece in others:
        assert isinstance(it.send(piece), Say)

    assert why(it.send(last)) == words


@pytest.mark.parametrize("data", [b"\0octets", bytes((MORE,)), bytes((MORE,)) + b"octets"])
def test_our_pieces_are_heard_to_the_end(terms: Terms, data: bytes) -> None:
    """RFC 5216 §2.1.5: each is acknowledged, and by nothing else."""
    it = Bare(terms, Type.TTLS)
    said = it.send(ACKNOWLEDGED + it.hello())
    assert isinstance(said, Say)
    assert fragment_of(packet_of(said.packet).data).flags & MORE

    assert why(it.send(data)) == "a message before ours was heard to the end"


# --- the handshake ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.0\r\n\r\n", bytes(100), b"\x16\x03\x01\x00\x05\x02\0\0\1\0"])
def test_what_is_no_tls_ends_it(terms: Terms, garbage: bytes) -> None:
    it = Bare(terms, Type.TTLS)
    event = it.send(ACKNOWLEDGED + garbage)
    if isinstance(event, Say):  # an alert, which is heard first (RFC 5216 §2.1.3), if it ever is
        assert 4 < len(event.why) < 60
        assert fragment_of(packet_of(event.packet).data).data[0] == 21  # RFC 5246 §6.2.1
        assert why(it.send(ACKNOWLEDGED)) == ""
    else:
        assert 4 < len(why(event)) < 60


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("kind", BOTH)
def test_a_supplicant_that_does_not_trust_the_certificate_says_so(
    terms: Terms, tmp_path: Path, kind: Type, tls: str
) -> None:
    """RFC 5246 §7.2.2: what staff has to know first."""
    it = Bare(terms, kind, tls, ca_file=Authority(tmp_path / "stranger").ca_file)
    event = it.send(ACKNOWLEDGED + it.hello())
    received = b""
    while isinstance(event, Say) and (piece := fragment_of(packet_of(event.packet).data)).data:
        received += piece.data
        if not piece.flags & MORE:
            break
        event = it.send(ACKNOWLEDGED)
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        it.tunnel.take(received)
    event = it.tell(it.tunnel.records())

    assert why(event) == "the supplicant says: unknown ca"


def test_a_version_of_tls_that_is_not_served_ends_it(certificate: Path) -> None:
    it = Bare(terms_of(certificate, "1.3"), Type.TTLS, "1.2")
    alert = it.send(ACKNOWLEDGED + it.hello())
    assert isinstance(alert, Say)
    assert fragment_of(packet_of(alert.packet).data).data == b"\x15\x03\x03\x00\x02\x02\x46"  # protocol_version

    assert "unsupported protocol" in alert.why
    assert why(it.send(ACKNOWLEDGED)) == ""


# --- without an end -----------------------------------------------------------------------------------------


def rounds_of(it: Bare, response: Callable[[Bare], Event | None]) -> int:
    """How many are answered until it is over."""
    for rounds in range(10 * MOST_ROUNDS):
        event = response(it)
        if isinstance(event, End):
            assert why(event) == f"no end after {MOST_ROUNDS} rounds"
            return rounds
    return -1


def answered_with_a_text(it: Bare) -> Event | None:
    event = it.say(b"\x06a wrong code")
    return it.judged("Try again") if isinstance(event, Asked) else event


def naks(it: Bare) -> Event | None:
    assert isinstance(it.event, Say)
    other = Type.PEAP if packet_of(it.event.packet).type == Type.TTLS else Type.TTLS
    return it.send(bytes((other,)), kind=Type.NAK)


def test_acknowledgements_for_ever_end(terms: Terms) -> None:
    assert rounds_of(Bare(terms, Type.TTLS), lambda it: it.send(ACKNOWLEDGED)) == MOST_ROUNDS
    assert 0 < rounds_of(bare(terms), lambda it: it.send(ACKNOWLEDGED)) < MOST_ROUNDS


def test_pieces_of_an_octet_for_ever_end(terms: Terms) -> None:
    assert rounds_of(Bare(terms, Type.TTLS), lambda it: it.send(bytes((MORE,)) + b"a")) == MOST_ROUNDS


def test_texts_for_ever_end(terms: Terms) -> None:
    """The conversation behind it has its own limit, and reaches that earlier."""
    it = bare(terms, Type.PEAP)
    it.say(b"\x01alice")

    assert 0 < rounds_of(it, answered_with_a_text) < MOST_ROUNDS


def test_wishes_for_another_method_for_ever_end(terms: Terms) -> None:
    assert rounds_of(Bare(terms, Type.TTLS, methods=BOTH), naks) == MOST_ROUNDS


# --- within the tunnel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("tls", TLS)
def test_a_tunnel_that_is_closed_ends_it(terms: Terms, tls: str, kind: Type) -> None:
    """RFC 5246 §7.2.1."""
    it = bare(terms, kind, tls)

    assert why(it.tell(it.tunnel.closing())) == "the supplicant has closed the tunnel"


def test_no_handshake_is_begun_anew_within_it(terms: Terms) -> None:
    """The supplicant is told so (RFC 5246 §7.2.2), and may go on as it was."""
    it = bare(terms)
    with pytest.raises(SSL.Error, match="no renegotiation"):
        it.tell(it.tunnel.negotiating_anew())

    assert isinstance(it.event, Say)


def test_octets_that_do_not_decrypt_end_it(terms: Terms) -> None:
    it = bare(terms)
    it.tunnel.put(PAP)
    record = it.tunnel.records()

    assert "record" in why(it.tell(record[:-1] + bytes((record[-1] ^ 1,))))


def test_more_than_a_record_at_once_ends_it(terms: Terms) -> None:
    it = bare(terms)
    it.tunnel.put(bytes(16_384))
    it.tunnel.put(bytes(100))

    assert why(it.tell(it.tunnel.records())) == "more than a record at once"


NAME, PASSWORD = packets.avp(1, b"alice"), packets.avp(2, b"correct horse")


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (NAME + b"\0\0\0\2\x40\xff\xff\xff" + bytes(12), "attributes within the tunnel that overrun it"),
        (NAME + PASSWORD + packets.avp(25, b"x"), "an attribute within the tunnel that must be known and is not"),
        (NAME + NAME + PASSWORD, "an attribute within the tunnel that is there twice"),
        (NAME + packets.avp(3, bytes(17)), "CHAP came within the tunnel, and only PAP and GTC are served"),
        (
            NAME + written(Avp(311, 25, True, bytes(50))),
            "MS-CHAP came within the tunnel, and only PAP and GTC are served",
        ),
        (b"\0", "attributes within the tunnel that overrun it"),
    ],
)
def test_in_ttls_what_cannot_be_decided_on_ends_it(terms: Terms, octets: bytes, words: str) -> None:
    """RFC 5281 §10, §11."""
    assert why(bare(terms).say(octets)) == words


def test_in_peap_the_result_says_so_first(terms: Terms) -> None:
    """[MS-PEAP] §2.2.8.1.2; the supplicant need not agree."""
    it = bare(terms, Type.PEAP)
    event = it.say(Packet(packets.RESPONSE, 0, Type.NAK, bytes((26,))).octets())
    assert isinstance(event, Say)
    assert packets.result(packet_of(it.heard)) is False
    assert event.why == "the supplicant wants MS-CHAPv2 within the tunnel, and only GTC is served"

    assert why(it.say(packets.acknowledged(0, True).octets())) == ""


@pytest.mark.parametrize("last", ["closed", "garbage", "agrees"])
def test_after_a_refusal_it_is_a_refusal_whatever_the_supplicant_says(terms: Terms, last: str) -> None:
    """Somebody has decided, and staff is told nothing else."""
    it = bare(terms, Type.PEAP)
    it.say(b"\x01alice")
    it.say(b"\x06a wrong password")
    it.judged(Verdict.REFUSE)
    assert packets.result(packet_of(it.heard)) is False
    if last == "agrees":
        it.tunnel.put(packets.acknowledged(0, True).octets())
    message = {"closed": it.tunnel.closing, "garbage": lambda: b"octets", "agrees": it.tunnel.records}[last]()

    assert why(it.tell(message)) == ""


@pytest.mark.parametrize(
    "said",
    [
        packets.acknowledged(0, False).octets(),
        Packet(packets.RESPONSE, 0, Type.GTC, b"word").octets(),
        b"\x01alice",
        b"",
    ],
)
def test_nobody_is_let_in_who_does_not_agree_that_it_is(terms: Terms, said: bytes) -> None:
    """[MS-PEAP] §3.1.5.2: somebody in the middle may have cut the tunnel short."""
    it = bare(terms, Type.PEAP)
    it.say(b"\x01alice")
    it.say(b"\x06correct horse")
    it.judged(Verdict.ACCEPT)
    event = it.say(said) if said else it.tell(b"")

    assert why(event) == "the supplicant does not agree that it is let in"


@pytest.mark.parametrize("tls", TLS)
def test_after_a_good_result_a_closed_tunnel_is_no_success(terms: Terms, tls: str) -> None:
    it = bare(terms, Type.PEAP, tls)
    it.say(b"\x01alice")
    it.say(b"\x06correct horse")
    it.judged(Verdict.ACCEPT)

    assert why(it.tell(it.tunnel.closing())) == "the supplicant has closed the tunnel"


def test_after_a_name_peap_is_asked_for_nothing_else_by_an_empty_message(terms: Terms) -> None:
    """It is asked who it is, as after the handshake, and may not be somebody else."""
    it = bare(terms, Type.PEAP)
    it.say(b"\x01alice")
    it.tell(b"")
    assert it.heard == bytes((Type.IDENTITY,))

    event = it.say(b"\x01bob")
    assert isinstance(event, Say)
    assert packets.result(packet_of(it.heard)) is False
    assert event.why == "a response of type 1 within the tunnel, where it does not belong"
    assert why(it.tell(b"")) == ""


@pytest.mark.parametrize("tls", TLS)
def test_who_takes_up_a_session_and_says_something_is_heard(terms: Terms, tls: str) -> None:
    """RFC 9427 §4: what the peer begins within must be followed, and is not skipped."""
    first = bare(terms, Type.TTLS, tls)
    first.say(PAP)
    event = first.judged(Verdict.ACCEPT)
    if isinstance(event, Say):  # the tickets of TLS 1.3
        event = first.tell(b"")
    assert isinstance(event, End)

    again = Bare(terms, Type.TTLS, tls, first.tunnel.close(), find=lambda _: SESSION)
    again.tell(again.hello())
    again.tunnel.put(packets.pap(b"eve", b"word"))
    heard = again.tell(again.tunnel.records())
    assert again.tunnel.is_resumed
    assert isinstance(heard, Asked)
    assert heard.name == b"eve"
    assert isinstance(again.judged(Verdict.REFUSE), End)


def test_a_session_is_taken_up_only_once_the_handshake_is_over(terms: Terms) -> None:
    """Who knows merely its name has no secret of it."""
    first = bare(terms)
    first.say(PAP)
    first.judged(Verdict.ACCEPT)

    again = Bare(terms, Type.TTLS, "1.2", first.tunnel.close(), find=lambda _: SESSION)
    assert isinstance(again.tell(again.hello()), Say)
    finished = bytearray(again.tunnel.records())
    finished[-1] ^= 1
    with pytest.raises(SSL.Error, match="alert"):
        again.tell(bytes(finished))

    assert isinstance(again.event, Say)
    assert "record" in again.event.why
    assert why(again.send(ACKNOWLEDGED)) == ""


def test_a_session_worth_nothing_is_not_asked_for_whatever_was_heard_before_it(terms: Terms) -> None:
    """As where we have to ask for another group first (RFC 8446 §4.1.4): here, a first message cut in two."""
    first = Bare(terms, Type.TTLS, "1.3")
    first.shake_hands()
    first.say(PAP)
    first.judged(Verdict.ACCEPT)

    again = Bare(terms, Type.TTLS, "1.3", first.tunnel.close())
    hello = again.hello()
    again.send(ACKNOWLEDGED + hello[:50])
    again.tell(hello[50:])
    finished = again.tunnel.records()
    again.tell(finished)
    assert isinstance(again.say(PAP), Asked)


# --- whatever else ------------------------------------------------------------------------------------------

_types = st.sampled_from([21, 21, 21, 25, 3, 1, 254])
_data = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda rest: ACKNOWLEDGED + rest),
    st.binary(max_size=60).map(lambda rest: bytes((LENGTH | MORE,)) + len(rest).to_bytes(4, "big") + rest),
    st.just(ACKNOWLEDGED),
)


@settings(max_examples=50)
@given(st.lists(st.tuples(_types, _data), max_size=12), st.booleans())
def test_whatever_comes_before_the_tunnel_is_answered_or_ends_it(
    terms: Terms, responses: list[tuple[int, bytes]], with_hello: bool
) -> None:
    it = Bare(terms, Type.TTLS, methods=BOTH)
    event: Event | None = it.send(ACKNOWLEDGED + it.hello()) if with_hello else it.event
    for kind, data in responses:
        if isinstance(event, End):
            break
        event = it.send(data, kind=kind)
        assert isinstance(event, Say | End)
    assert not isinstance(event, End) or event.keys is None


@settings(max_examples=50)
@given(
    st.sampled_from(BOTH),
    st.sampled_from(TLS),
    st.lists(st.binary(max_size=60) | st.sampled_from([PAP, b"\x01alice", b"\x06text"]), max_size=6),
)
def test_whatever_comes_within_is_answered_or_ends_it(
    terms: Terms, kind: Type, tls: str, said: list[bytes]
) -> None:
    it = bare(terms, kind, tls)
    for octets in said:
        event = it.say(octets) if octets else it.tell(b"")
        if isinstance(event, Asked):
            event = it.judged("And now?")
        if isinstance(event, End):
            assert event.keys is None
            break
        assert isinstance(event, Say)
