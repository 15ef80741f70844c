"""Whole conversations, our end and a supplicant's that is none of ours: the three methods, in all their ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.eap import packets
from bench.eap.packets import MORE, packet_of
from bench.eap.peer import Login, Method
from radius_mfa.core.sessions import Session
from radius_mfa.eap.dialogue import Dialogue, End, Say, TakenUp
from radius_mfa.eap.inner import Asked
from radius_mfa.eap.packet import Code, Response, Type
from radius_mfa.eap.tunnel import Terms
from tests.eap.support import BOTH, SESSION, Table, Verdict, nobody, terms_of

TLS = ("1.2", "1.3")
ROOMS = (500, 1400, 100)
ACCEPT, ACCEPT_ONCE, REFUSE = Verdict.ACCEPT, Verdict.ACCEPT_ONCE, Verdict.REFUSE

PAP = Login(Method.TTLS_PAP, b"alice", (b"correct horse,123456",))
GTC = Login(Method.TTLS_GTC, b"alice", (b"correct horse", b"123456"))
PEAP = Login(Method.PEAP_GTC, b"alice", (b"correct horse", b"123456"))
LOGINS = {"pap": PAP, "ttls-gtc": GTC, "peap": PEAP}
PROMPT = "Enter the 6-digit code, コード"
VERDICTS: dict[str, tuple[Verdict | str, ...]] = {
    "pap": (ACCEPT,),
    "ttls-gtc": (PROMPT, ACCEPT),
    "peap": (PROMPT, ACCEPT),
}


@pytest.fixture(scope="module")
def terms(certificate: Path) -> Terms:
    return terms_of(certificate)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", LOGINS)
def test_a_login_ends_in_success_and_the_same_keys(terms: Terms, name: str, tls: str, room: int) -> None:
    """RFC 5281 §8, RFC 9427 §2.1."""
    played = Table(terms, replace(LOGINS[name], tls=tls, fragment=room), mtu=room)
    end = played.play(*VERDICTS[name])

    assert end.keys is not None
    assert (played.peer.is_accepted, end.keys.msk) == (True, played.peer.msk)
    assert len(end.session) == 32
    assert end.why == ""
    asked = [(each.name, each.text, each.answers) for each in played.asked if isinstance(each, Asked)]
    if name == "pap":
        assert asked == [(b"alice", b"correct horse,123456", 0)]
    else:
        answers = 1 if name == "ttls-gtc" else None
        assert asked == [(b"alice", b"correct horse", answers), (b"alice", b"123456", answers)]
        assert played.peer.inner.prompts == [b"Password", PROMPT.encode()]
    assert played.peer.inner.results == ([True] if name == "peap" else [])
    assert played.peer.longest <= room - 4  # a frame has EAPOL's header as well


@pytest.mark.parametrize(("name", "method"), [("pap", "ttls"), ("ttls-gtc", "ttls"), ("peap", "peap")])
def test_who_is_there_is_known_once_it_was_said_within_the_tunnel(terms: Terms, name: str, method: str) -> None:
    played = Table(terms, LOGINS[name])
    before = played.dialogue.name
    played.play(*VERDICTS[name])

    assert (before, played.dialogue.name) == (None, b"alice")
    assert method in played.dialogue.method.lower()


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", LOGINS)
def test_a_refusal_has_no_keys_and_no_session(terms: Terms, name: str, tls: str) -> None:
    played = Table(terms, replace(LOGINS[name], tls=tls))
    end = played.play(*VERDICTS[name][:-1], REFUSE)

    assert (played.peer.is_accepted, end.keys, end.session, end.why) == (False, None, b"", "")
    assert played.peer.inner.results == ([False] if name == "peap" else [])


@pytest.mark.parametrize("verdict", [ACCEPT_ONCE, ACCEPT, REFUSE])
@pytest.mark.parametrize("name", ["ttls-gtc", "peap"])
def test_one_text_may_be_all_that_is_wanted(terms: Terms, name: str, verdict: Verdict) -> None:
    end = Table(terms, LOGINS[name]).play(verdict)

    assert (end.keys is None) is (verdict is REFUSE)
    assert bool(end.session) is (verdict is ACCEPT)


def test_a_third_and_a_fourth_text_may_be_asked_for(terms: Terms) -> None:
    played = Table(terms, replace(GTC, texts=(b"a", b"b", b"c", b"d")))
    played.play("1", "2", "3", ACCEPT)

    assert played.peer.inner.prompts == [b"Password", b"1", b"2", b"3"]


def test_each_request_has_the_identifier_after_the_last(terms: Terms) -> None:
    """RFC 3748 §4.1; the end has that of the response it answers (§4.2)."""
    played = Table(terms, GTC)
    end = played.play(PROMPT, ACCEPT)

    identifiers = [packet_of(each).identifier for each in played.sent]
    assert identifiers == [*range(len(identifiers))]  # after 255, which the Identity had
    assert packet_of(end.packet) == packets.Packet(packets.SUCCESS, identifiers[-1])


@pytest.mark.parametrize("mtu", [None, 0, 1, 99, 100, 576, 1024, 1400, 9000, 2**31])
def test_no_frame_is_longer_than_the_nas_says(terms: Terms, mtu: int | None) -> None:
    """RFC 3579 §2.4; and none is so short that it would never end, nor so long that RADIUS could not carry it."""
    played = Table(terms, GTC, mtu=mtu)
    played.play(PROMPT, ACCEPT)

    assert played.peer.longest == min(max(mtu or 1024, 100), 1400) - 4


# --- which method -------------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", [BOTH, BOTH[::-1]])
@pytest.mark.parametrize("name", LOGINS)
def test_a_supplicant_says_which_method_it_wants(terms: Terms, name: str, methods: tuple[Type, ...]) -> None:
    """RFC 3748 §5.3.1."""
    played = Table(terms, LOGINS[name], methods=methods)
    played.play(*VERDICTS[name])

    assert packet_of(played.sent[0]).type == methods[0]
    assert played.peer.is_accepted


@pytest.mark.parametrize(
    ("login", "methods", "why"),
    [
        (PEAP, (Type.TTLS,), "the supplicant wants type 25; served: EAP-TTLS"),
        (GTC, (Type.PEAP,), "the supplicant wants type 21; served: PEAP"),
    ],
)
def test_a_method_that_is_not_served_ends_it(
    terms: Terms, login: Login, methods: tuple[Type, ...], why: str
) -> None:
    played = Table(terms, login, methods=methods)
    end = played.play()

    assert (end.why, end.keys, played.peer.is_accepted) == (why, None, False)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (b"", "the supplicant wants none of them; served: EAP-TTLS, PEAP"),
        (b"\0", "the supplicant wants none of them; served: EAP-TTLS, PEAP"),
        (bytes((13, 4)), "the supplicant wants type 13 or type 4; served: EAP-TTLS, PEAP"),
        (bytes((21,)), "the supplicant wants type 21; served: EAP-TTLS, PEAP"),  # what we have proposed
        (bytes(range(100, 200)), "type 107; served"),
    ],
)
def test_a_nak_that_wants_nothing_of_ours_ends_it(terms: Terms, wanted: bytes, why: str) -> None:
    """RFC 3748 §5.3.1: a zero says that there is no other it would have."""
    dialogue, number = begun(terms)
    end = dialogue.hear(Response(number, Type.NAK, wanted))

    assert isinstance(end, End)
    assert why in end.why
    assert packet_of(end.packet) == packets.Packet(Code.FAILURE, number)


def begun(terms: Terms, methods: tuple[Type, ...] = BOTH) -> tuple[Dialogue, int]:
    """One that has proposed a method, and the Identifier of that."""
    dialogue = Dialogue(Response(7, Type.IDENTITY, b"anonymous"), methods, terms, nobody)
    return dialogue, packet_of(dialogue.begin().packet).identifier


def test_the_wanted_method_may_stand_anywhere_in_a_nak(terms: Terms) -> None:
    dialogue, number = begun(terms)
    said = dialogue.hear(Response(number, Type.NAK, bytes((13, 0, 25, 21))))

    assert isinstance(said, Say)
    assert packet_of(said.packet).type == Type.PEAP


def test_a_method_is_not_changed_once_a_message_has_begun(terms: Terms) -> None:
    """RFC 3748 §2.1: it answers the proposal, and nothing else."""
    dialogue, number = begun(terms)
    said = dialogue.hear(Response(number, Type.TTLS, bytes((MORE,)) + b"half"))
    assert isinstance(said, Say)
    end = dialogue.hear(Response(packet_of(said.packet).identifier, Type.NAK, bytes((25,))))

    assert isinstance(end, End)
    assert end.why == "a response of type 3, where TTLS is spoken"


# --- TLS sessions of earlier logins -------------------------------------------------------------------


class Kept:
    """The sessions of earlier logins, by name."""

    def __init__(self) -> None:
        self.by_name: dict[bytes, Session] = {}

    def log_in(self, terms: Terms, login: Login) -> Table:
        """A whole login, after which the session may be taken up again."""
        played = Table(terms, login)
        end = played.play(*VERDICTS[next(name for name, each in LOGINS.items() if each.method is login.method)])
        self.by_name[end.session] = SESSION
        return played


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", LOGINS)
def test_a_session_is_taken_up_again_without_name_and_text(terms: Terms, name: str, tls: str, room: int) -> None:
    """RFC 5281 §7.6, RFC 9427 §4: over TLS 1.3 TTLS says so with an octet of 0."""
    kept = Kept()
    login = replace(LOGINS[name], tls=tls, fragment=room)
    first = kept.log_in(terms, login)
    again = Table(terms, login, first.peer.session, find=kept.by_name.get, mtu=room)
    end = again.play(ACCEPT)

    assert again.asked == [TakenUp(SESSION)]
    assert (again.peer.is_resumed, again.peer.is_accepted) == (True, True)
    assert end.keys is not None
    assert end.keys.msk == again.peer.msk != first.peer.msk
    assert again.peer.is_protected is (tls == "1.3" and name != "peap")
    assert again.peer.inner.results == ([True] if name == "peap" else [])
    kept.by_name[end.session] = SESSION

    third = Table(terms, login, again.peer.session, find=kept.by_name.get, mtu=room)
    third.play(ACCEPT)
    assert third.peer.is_resumed


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", LOGINS)
def test_a_session_that_is_worth_nothing_is_answered_with_a_whole_handshake(
    terms: Terms, name: str, tls: str
) -> None:
    """As if it had not been asked for, however often it is."""
    login = replace(LOGINS[name], tls=tls)
    first = Kept().log_in(terms, login)
    for _ in range(2):
        again = Table(terms, login, first.peer.session)
        again.play(*VERDICTS[name])
        assert (again.peer.is_resumed, again.peer.is_accepted) == (False, True)


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", LOGINS)
def test_a_session_that_was_taken_up_may_be_refused(terms: Terms, name: str, tls: str) -> None:
    kept, login = Kept(), replace(LOGINS[name], tls=tls)
    first = kept.log_in(terms, login)
    again = Table(terms, login, first.peer.session, find=kept.by_name.get)
    end = again.play(REFUSE)

    assert again.asked == [TakenUp(SESSION)]
    assert (again.peer.is_resumed, again.peer.is_accepted, end.keys) == (True, False, None)


@pytest.mark.parametrize("verdict", [REFUSE, ACCEPT_ONCE])
@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", LOGINS)
def test_the_session_of_a_login_that_is_not_kept_cannot_be_taken_up(
    terms: Terms, name: str, tls: str, verdict: Verdict
) -> None:
    login = replace(LOGINS[name], tls=tls)
    first = Table(terms, login)
    first.play(*VERDICTS[name][:-1], verdict)
    del first.dialogue

    again = Table(terms, login, first.peer.session)
    again.play(*VERDICTS[name])
    assert not again.peer.is_resumed


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", LOGINS)
def test_without_a_lifetime_every_login_is_a_whole_one(certificate: Path, name: str, tls: str) -> None:
    terms, login = terms_of(certificate, lifetime=0), replace(LOGINS[name], tls=tls)
    first = Kept().log_in(terms, login)
    again = Table(terms, login, first.peer.session)
    again.play(*VERDICTS[name])

    assert not again.peer.is_resumed


def test_nothing_shows_what_was_said(terms: Terms) -> None:
    played = Table(terms, GTC)
    end = played.play(PROMPT, ACCEPT)

    assert end.keys is not None
    said = repr((played.asked, end, Say(b"secret")))
    for secret in ("correct horse", "123456", "secret", repr(end.keys.msk)[2:10], repr(end.session)[2:10]):
        assert secret not in said
