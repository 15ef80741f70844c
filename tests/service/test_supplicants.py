"""802.1X: whole logins through a tunnel, decided on as those of a VPN are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.eap import packets
from bench.eap.packets import Packet, packet_of
from bench.eap.peer import Method
from radius_mfa.core.errors import StoreError
from radius_mfa.core.messages import AccessRequest, Attribute, Code, FactorKind, Reply, ReplyAttribute
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy
from radius_mfa.eap.packet import Type
from radius_mfa.service.talks import Talk
from tests.adapters import MAIL_POLICY, PASSWORD, PERIOD, Fuse, always
from tests.peers.certificates import Authority
from tests.service.lan import (
    AP,
    CHALLENGE_LIFETIME,
    HANDSHAKE,
    LAPTOP,
    OTHER_AP,
    Device,
    Lan,
    is_accept,
    lan,
    rounds_of,
)

PAP, GTC, PEAP = Method.TTLS_PAP, Method.TTLS_GTC, Method.PEAP_GTC
METHODS = (PAP, GTC, PEAP)
CLASS = ReplyAttribute("Class", "staff")
FAILURE = (Code.ACCESS_REJECT, packets.FAILURE)


@pytest.fixture
def it(certificate: Path) -> Iterator[Lan]:
    with lan(certificate, policies=[Policy("staff", reply=always(CLASS))]) as it:
        yield it
    ended(it)


def ended(it: Lan) -> None:
    """Nothing is left of any conversation, once nobody asks for it."""
    it.house.clock.advance(CHALLENGE_LIFETIME + 1)
    assert it.talks.begin(Talk("ap", b"", None))
    assert len(it.talks) == 1


def typed(it: Lan, method: Method) -> tuple[str, ...]:
    """All that alice has to type."""
    code = it.house.code("alice")
    return (f"{PASSWORD},{code}",) if method is PAP else (PASSWORD, code)


def device(it: Lan, method: Method, *texts: str) -> Device:
    return Device(it, it.login(method, *(texts or typed(it, method))))


def refused(reply: Reply | None) -> tuple[Code, int]:
    assert reply is not None
    return reply.code, packet_of(reply.eap).code


# --- logins -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("method", METHODS)
def test_a_login_with_password_and_code_is_accepted(it: Lan, method: Method, tls: str) -> None:
    login = device(it, method)
    login.peer = type(login.peer)(replace(login.peer.login, tls=tls))
    reply = login.log_in()

    assert is_accept(login)
    assert (reply.attributes, reply.delayed) == ((CLASS,), False)
    rounds = ["accept accepted"] if method is PAP else ["challenge challenged", "accept accepted"]
    assert it.heard() == rounds
    assert {(event.user_name, event.user_id, event.client, event.policy) for event in it.events} == {
        ("alice", "u-alice", "ap", "staff")
    }
    assert (it.became("began"), it.became("accepted"), it.became("failed")) == (1, 1, 0)


def test_in_peap_the_code_is_asked_for_in_our_words_and_once_more(it: Lan) -> None:
    login = device(it, PEAP, PASSWORD, it.house.wrong_code("alice"), it.house.code("alice"))
    login.log_in()

    assert is_accept(login)
    password, first, second = [each.decode() for each in login.peer.inner.prompts]
    assert (password, first) == ("Password", "Enter the 6-digit code from your authenticator app")
    assert second.startswith("That code is not right.")
    assert it.heard() == ["challenge challenged", "challenge code_wrong", "accept accepted"]


@pytest.mark.parametrize(("method", "answers"), [(GTC, 1), (PEAP, 3)])
def test_a_wrong_code_is_answered_late_and_the_first_question_at_once(
    it: Lan, method: Method, answers: int
) -> None:
    """Guessing takes its time; within TTLS a supplicant may leave a third question unanswered."""
    login = device(it, method, PASSWORD, *it.house.wrong_codes("alice", 3))
    login.log_in()

    assert not is_accept(login)
    assert [reply.delayed for reply in login.replies if reply.delayed] == [True] * answers
    assert it.heard()[0] == "challenge challenged"
    assert it.heard()[-1].startswith("reject")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("wrong,{code}", "wrong_password"),
        (f"{PASSWORD},{{wrong}}", "code_wrong"),
        (PASSWORD, "code_missing"),
        ("", "wrong_password"),
        ("x" * 254, "no_password"),  # RFC 2865 §5.2 could not carry it
        ("\x00\x01", "password_unreadable"),
    ],
)
def test_in_one_field_whatever_is_wrong_is_a_refusal_and_late(it: Lan, text: str, outcome: str) -> None:
    text = text.format(code=it.house.code("alice"), wrong=it.house.wrong_code("alice"))
    login = device(it, PAP, text)
    reply = login.log_in()

    assert not is_accept(login)
    assert (reply.code, reply.delayed) == (Code.ACCESS_REJECT, True)
    assert it.heard() == [f"reject {outcome}"]
    assert it.became("refused") == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_password_is_a_refusal_and_late(it: Lan, method: Method) -> None:
    login = device(it, method, "wrong")
    login.log_in()

    assert not is_accept(login)
    assert it.heard() == ["reject wrong_password"]
    assert [reply.delayed for reply in login.replies].count(True) == 1


@pytest.mark.parametrize("name", [b"", b"eve", b"\xff", b"a" * 254, b"carol"])
@pytest.mark.parametrize("method", METHODS)
def test_nobody_else_is_let_in(it: Lan, method: Method, name: bytes) -> None:
    login = Device(it, it.login(method, *typed(it, method), name=name))
    login.log_in()

    assert not is_accept(login)
    assert len(it.events) == 1
    assert it.events[0].decision == "reject"


def test_a_profile_with_a_separator_of_its_own_keeps_it(certificate: Path) -> None:
    nas = replace(AP, profile=replace(AP.profile, suffix=6))
    with lan(certificate) as it:
        login = Device(it, it.login(PAP, PASSWORD + it.house.code("alice")), nas=nas)
        login.log_in()
        assert is_accept(login)

        it.house.clock.advance(PERIOD)
        asked = Device(it, it.login(GTC, PASSWORD, it.house.code("alice")), nas=nas)
        asked.log_in()
        assert is_accept(asked)


def test_a_device_that_is_trusted_is_asked_for_no_code(certificate: Path) -> None:
    policy = Policy("trusting", factors=frozenset(FactorKind), trust_device=True)
    with lan(certificate, policies=[policy]) as it:
        first = Device(it, it.login(PAP, f"{PASSWORD},{it.house.code('alice')} trust"))
        first.log_in()
        again = [Device(it, it.login(method, PASSWORD)) for method in METHODS]
        for each in again:
            each.log_in()
        elsewhere = Device(it, it.login(PAP, PASSWORD), station=LAPTOP)
        elsewhere.log_in()

        assert [is_accept(each) for each in (first, *again, elsewhere)] == [True, True, True, True, False]
        assert it.heard() == ["accept accepted", *["accept accepted_by_device"] * 3, "reject code_missing"]


def test_a_code_may_come_by_mail(certificate: Path) -> None:
    with lan(certificate, policies=[MAIL_POLICY]) as it:
        it.house.register("alice")
        asking = Device(it, it.login(PAP, f"{PASSWORD},mail"))
        asking.log_in()
        typing = Device(it, it.login(PAP, f"{PASSWORD},{it.house.mailed()}"))
        typing.log_in()
        assert (is_accept(asking), is_accept(typing)) == (False, True)

        it.house.clock.advance(100)
        ended = Device(it, it.login(GTC, PASSWORD, "mail"))
        ended.log_in()
        assert not is_accept(ended)
        both = Device(it, it.login(PEAP, PASSWORD, "mail", it.house.mailed))
        both.log_in()
        assert is_accept(both)
        assert it.heard() == [
            "reject mail_sent",
            "accept accepted",
            "challenge challenged",
            "challenge mail_sent",
            "challenge challenged",
            "challenge mail_sent",
            "accept accepted",
        ]


# --- who may go on with it ---------------------------------------------------------------------------


def test_another_clients_state_is_refused_and_left_to_its_own(it: Lan) -> None:
    login = device(it, PAP)
    login.goes_to(2)
    stolen = login.request(nas=OTHER_AP)

    assert not it.service.vouches(stolen)
    assert refused(it.answer(stolen)) == FAILURE
    assert it.heard() == ["reject state_of_another_client"]
    login.log_in()
    assert is_accept(login)


@pytest.mark.parametrize("name", ["eve", None, b"", "ANONYMOUS"])
def test_a_user_name_that_changes_is_refused(it: Lan, name: str | bytes | None) -> None:
    """RFC 3579 §3.1: it is that of the Identity, in all requests."""
    login = device(it, PAP)
    login.goes_to(2)

    assert refused(it.answer(login.request(user_name=name))) == FAILURE
    assert it.heard() == ["reject state_of_another_user"]
    login.log_in()
    assert is_accept(login)


@pytest.mark.parametrize("state", [b"", b"x", b"\x00h\x00" + bytes(16), bytes(100)])
def test_a_state_that_nobody_knows_is_refused_at_once(it: Lan, state: bytes) -> None:
    """The supplicant begins anew, and is not to wait for it."""
    login = device(it, PAP)
    login.goes_to(2)
    unknown = login.request(state=state)
    reply = it.answer(unknown)

    assert refused(reply) == FAILURE
    assert reply is not None
    assert packet_of(reply.eap).identifier == packet_of(login.eap).identifier
    assert not reply.delayed
    assert it.heard() == ["reject eap_gone"]
    assert (it.service.vouches(unknown), it.service.vouches(login.request())) == (False, True)


@pytest.mark.parametrize("eap", [Packet(packets.RESPONSE, 9, Type.TTLS, b"\0x"), Packet(2, 9, Type.NAK, b"\x15")])
def test_a_conversation_does_not_begin_in_the_middle(it: Lan, eap: Packet) -> None:
    assert refused(it.answer(device(it, PAP).request(eap=eap.octets()))) == FAILURE
    assert it.heard() == ["reject eap_gone"]


def test_after_its_time_it_is_gone(it: Lan) -> None:
    login = device(it, PAP)
    login.goes_to(2)
    it.house.clock.advance(HANDSHAKE)

    assert refused(it.answer(login.request())) == FAILURE


def test_behind_the_password_there_is_time_to_look_for_a_code(it: Lan) -> None:
    login = Device(it, it.login(GTC, PASSWORD, lambda: it.house.code("alice")))
    while not it.events:
        login.goes_on()
    it.house.clock.advance(CHALLENGE_LIFETIME - 1)
    # What was typed was read off before; the supplicant types it now.
    late = Device(it, it.login(GTC, PASSWORD))
    late.goes_to(1)
    assert it.service.vouches(login.request())


# --- EAP ----------------------------------------------------------------------------------------------


def test_whoever_does_not_ask_for_the_identity_is_asked_for_it(it: Lan) -> None:
    """RFC 3579 §2.1: EAP-Start, an EAP-Message of nothing."""
    login = device(it, PAP)
    reply = it.answer(login.request(eap=b""))
    assert reply is not None
    asked = packet_of(reply.eap)

    assert (reply.code, reply.state, asked.code, asked.type) == (Code.ACCESS_CHALLENGE, None, 1, Type.IDENTITY)
    login.eap = login.peer.answer(reply.eap)
    login.log_in()
    assert is_accept(login)


@pytest.mark.parametrize(
    "eap", [b"\x02", b"\x02\x01\x00\x04", b"\x01\x01\x00\x05\x01", b"\x02\x01\xff\xff\x01", b"x" * 300]
)
@pytest.mark.parametrize("rounds", [0, 2])
def test_what_is_no_response_is_met_with_silence(it: Lan, rounds: int, eap: bytes) -> None:
    """RFC 3748 §4.1; and it goes on as if nothing had come."""
    login = device(it, PAP)
    login.goes_to(rounds)

    assert it.answer(login.request(eap=eap)) is None
    assert it.heard() == ["discard eap_failed"]
    assert it.events[0].detail.startswith("no EAP response")
    login.log_in()
    assert is_accept(login)


def test_a_response_to_something_else_is_met_with_silence(it: Lan) -> None:
    login = device(it, PAP)
    login.goes_to(2)
    other = packet_of(login.eap)

    eap = Packet(other.code, other.identifier ^ 1, other.type, other.data).octets()
    assert it.answer(login.request(eap=eap)) is None
    login.log_in()
    assert is_accept(login)


def test_what_is_spoken_and_not_served_is_said_to_staff(certificate: Path) -> None:
    with lan(certificate, methods=[Type.TTLS]) as it:
        login = Device(it, it.login(PEAP, PASSWORD))
        reply = login.log_in()

        assert not is_accept(login)
        assert reply.delayed
        assert it.heard() == ["reject eap_failed"]
        assert it.events[0].detail == "the supplicant wants type 25; served: EAP-TTLS"
        assert it.became("failed") == 1


def test_a_certificate_that_is_not_trusted_is_said_to_staff(it: Lan, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    login = Device(it, it.login(PAP, PASSWORD, ca_file=stranger.ca_file))
    login.log_in()

    assert not is_accept(login)
    assert [(event.outcome, event.detail) for event in it.events] == [
        (Outcome.EAP_FAILED, "the supplicant says: unknown ca")
    ]


def test_framed_mtu_bounds_the_eap_packets(it: Lan) -> None:
    """RFC 3579 §2.4."""
    login = Device(it, it.login(PAP, *typed(it, PAP)), extra=[(12, (500).to_bytes(4, "big"))])
    login.log_in()

    assert is_accept(login)
    assert login.peer.longest <= 496


@pytest.mark.parametrize("mtu", [b"", b"\0\0\0\0", b"\xff" * 4, b"\xff" * 200])
def test_a_framed_mtu_that_is_none_is_no_matter(it: Lan, mtu: bytes) -> None:
    login = Device(it, it.login(PAP, *typed(it, PAP)), extra=[(12, mtu)])
    login.log_in()

    assert is_accept(login)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(METHODS),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255), st.integers(0, 3)), max_size=8),
)
def test_whatever_a_supplicant_says_it_is_a_reply_or_silence_and_never_an_accept(
    it: Lan, method: Method, changes: list[tuple[int, int, int]]
) -> None:
    """With a wrong password; the first octets are those of EAP and of the pieces."""
    login = device(it, method, "wrong")
    for place, octet, how in changes:
        if not login.eap:
            break
        spoilt = bytearray(login.eap)
        spoilt[place % (len(spoilt) if how else min(len(spoilt), 11))] = octet
        reply = it.answer(login.request(eap=bytes(spoilt[:place] if how == 2 else spoilt)))
        assert reply is None or (reply.code is not Code.ACCESS_ACCEPT and not reply.msk)
        if (meant := it.answer(login.request())) is None:
            break  # it has gone on, or has ended, with the other
        login.hears(meant)
    assert all(reply.code is not Code.ACCESS_ACCEPT for reply in login.replies)
    assert not any(event.decision == "accept" for event in it.events)


# --- the same again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_each_request_again_gets_the_same_reply(it: Lan, method: Method) -> None:
    """RFC 3748 §4.1, RFC 5080 §2.2.2: under another Identifier or from another port, which is not seen here."""
    login = device(it, method)
    while login.eap:
        again = login.request(source="192.0.2.9:1")
        reply = login.goes_on()
        if again.first(Attribute.STATE) is not None:
            assert it.answer(again) == reply
    assert is_accept(login)
    assert len(it.events) == (1 if method is PAP else 2)

    it.house.clock.advance(AP.window)
    assert refused(it.answer(login.asked[-1])) == FAILURE  # nobody asks for it any more


def test_what_is_late_or_second_is_met_with_silence(it: Lan) -> None:
    """Another NAS's packet, or one that was long on its way: the conversation has gone on without it."""
    login = device(it, PAP)
    login.goes_to(3)
    late = login.request(state=login.asked[-1].first(Attribute.STATE))
    assert it.answer(late) is None

    login.log_in()
    last = login.asked[-1]
    other = Packet(packets.RESPONSE, packet_of(last.eap or b"").identifier, Type.TTLS, b"\0else").octets()
    assert it.answer(login.request(state=last.first(Attribute.STATE), eap=other)) is None
    assert it.answer(last) == login.replies[-1]


@pytest.mark.parametrize("method", METHODS)
def test_sent_again_while_it_is_decided_it_is_decided_once(certificate: Path, method: Method) -> None:
    with lan(certificate, interleaves=True) as it:
        rounds = rounds_of(it, it.login(method, *typed(it, method)))
        it.house.clock.advance(PERIOD)
        it.events.clear()
        login = device(it, method)
        login.goes_to(rounds - (2 if method is PEAP else 1))
        before = len(it.events)
        request = login.request()

        async def all_of_them() -> list[Reply | None]:
            return await asyncio.gather(*(it.service.answer(request) for _ in range(5)))

        replies = it.house.run(all_of_them())
        assert replies[0] is not None
        assert replies == [replies[0]] * 5
        assert len(it.events) == before + 1
        login.hears(replies[0])
        login.log_in()
        assert is_accept(login)


def test_another_response_while_it_is_decided_is_met_with_silence(certificate: Path) -> None:
    with lan(certificate, interleaves=True) as it:
        rounds = rounds_of(it, it.login(PAP, *typed(it, PAP)))
        it.house.clock.advance(PERIOD)
        login = device(it, PAP)
        login.goes_to(rounds - 1)
        other = Packet(packets.RESPONSE, packet_of(login.eap).identifier, Type.TTLS, b"\0").octets()

        async def both() -> list[Reply | None]:
            requests = login.request(), login.request(eap=other)
            return await asyncio.gather(*map(it.service.answer, requests))

        first, second = it.house.run(both())
        assert (first and first.code, second) == (Code.ACCESS_ACCEPT, None)


def test_who_gives_up_while_it_is_decided_leaves_it_to_be_decided_again(certificate: Path) -> None:
    """The connection on which it came has ended; the NAS asks again on another."""
    with lan(certificate, interleaves=True) as it:
        rounds = rounds_of(it, it.login(PAP, *typed(it, PAP)))
        it.house.clock.advance(PERIOD)
        login = device(it, PAP)
        login.goes_to(rounds - 1)
        request = login.request()

        async def given_up() -> Reply | None:
            task = asyncio.create_task(it.service.answer(request))
            joined = asyncio.create_task(it.service.answer(request))
            for _ in range(3):
                await asyncio.sleep(0)
            task.cancel()
            return await joined

        assert it.house.run(given_up()) is None
        login.log_in()
        assert login.replies[-1].code is Code.ACCESS_ACCEPT


# --- when something is broken -------------------------------------------------------------------------


def test_silence_where_the_store_has_failed_is_decided_anew_when_the_nas_asks_again(certificate: Path) -> None:
    with lan(certificate, fuse=Fuse(0, StoreError, "facts"), discard_when_broken=True) as it:
        login = device(it, PAP)
        while not it.events:
            reply = it.answer(request := login.request())
            if reply is not None:
                login.hears(reply)
        assert reply is None
        other = Packet(packets.RESPONSE, packet_of(login.eap).identifier, Type.TTLS, b"\0").octets()
        assert it.answer(login.request(eap=other)) is None

        reply = it.answer(request)
        assert reply is not None
        login.hears(reply)
        assert is_accept(login)
        assert it.heard() == ["discard store_failed", "discard eap_failed", "accept accepted"]


@pytest.mark.parametrize("method", METHODS)
def test_where_the_store_has_failed_it_is_a_refusal(certificate: Path, method: Method) -> None:
    with lan(certificate, fuse=Fuse(0, StoreError, "facts")) as it:
        login = device(it, method)
        with structlog.testing.capture_logs():
            login.log_in()

        assert not is_accept(login)
        assert it.heard() == ["reject store_failed"]


@pytest.mark.parametrize("method", METHODS)
def test_whatever_goes_wrong_ends_in_a_refusal_and_no_secret_is_seen(certificate: Path, method: Method) -> None:
    """Each call of a login fails in turn, with an exception that quotes all it was given."""
    ports = ("find", "check_password", "facts", "spend", "settle", "open", "seal", "digest", "usable", "judge")
    for at in range(100):
        fuse = Fuse(at, RuntimeError, *ports)
        with lan(certificate, fuse=fuse) as it, structlog.testing.capture_logs() as logged:
            texts = typed(it, method)
            login = device(it, method, *texts)
            login.log_in()
            seen = f"{logged} {it.events} {login.replies} {it.counts.counted}"
            secrets = {PASSWORD, it.house.code("alice"), repr(login.peer.msk)[2:12]}
            assert not any(secret in seen for secret in secrets)
            if not fuse.blown:
                assert is_accept(login)
                break
            assert not is_accept(login)
            assert it.events[-1].outcome is Outcome.INTERNAL_ERROR
    assert at > 5


# --- who it is, for the NAS ---------------------------------------------------------------------------

CHARGEABLE, NUL = 89, b"\0"


def accepted(certificate: Path, identity: str, extra: list[tuple[int, bytes]], policy: Policy) -> Reply:
    with lan(certificate, identity=identity, policies=[policy]) as it:
        login = Device(it, it.login(PAP, *typed(it, PAP)), extra=extra)
        reply = login.log_in()
        assert is_accept(login)
        return reply


@pytest.mark.parametrize("identity", ["none", "user-name", "chargeable-user-identity"])
@pytest.mark.parametrize("asks", [True, False])
def test_who_it_is_is_said_as_configured(certificate: Path, identity: str, asks: bool) -> None:
    """RFC 2865 §5.1, §4.2; RFC 4372 §2.1: a Chargeable-User-Identity only to who asks for one."""
    extra = [(CHARGEABLE, NUL)] if asks else []
    said = accepted(certificate, identity, extra, Policy("staff")).attributes

    if identity == "user-name":
        assert said == (ReplyAttribute("User-Name", "alice"),)
    elif identity == "none" or not asks:
        assert said == ()
    else:
        (alias,) = said
        assert alias.name == "Chargeable-User-Identity"
        assert len(bytes.fromhex(alias.value)) == 16
        assert "alice" not in alias.value


def test_a_policys_own_user_name_stays(certificate: Path) -> None:
    own = ReplyAttribute("User-Name", "staff")
    policy = Policy("staff", reply=always(own))

    assert accepted(certificate, "user-name", [], policy).attributes == (own,)


def test_the_chargeable_user_identity_of_a_user_is_the_same_each_time(certificate: Path) -> None:
    """RFC 4372 §2.1: so that it can be accounted by."""
    with lan(certificate, identity="chargeable-user-identity") as it:
        replies = []
        for _ in range(2):
            it.house.clock.advance(PERIOD)
            login = Device(it, it.login(PAP, *typed(it, PAP)), extra=[(CHARGEABLE, NUL)])
            replies.append(login.log_in())

        assert replies[0].attributes == replies[1].attributes != ()


# --- beside it ----------------------------------------------------------------------------------------


def test_what_is_not_eap_is_answered_as_ever(it: Lan) -> None:
    login = device(it, PAP)
    reply = it.answer(plain(login))

    assert reply is not None
    assert (reply.code, reply.eap) == (Code.ACCESS_CHALLENGE, b"")
    assert it.service.vouches(plain(login, reply.state))


def plain(login: Device, state: bytes | None = None) -> AccessRequest:
    return login.request(user_name="alice", password=PASSWORD, state=state, extra=())


def test_where_there_is_no_room_it_is_silence(it: Lan) -> None:
    """All that there are are being decided on."""
    other, begun = device(it, PAP), []
    for _ in range(4096):
        reply = it.answer(other.request(eap=other.peer.identity(1)))
        assert reply is not None
        talk = it.talks.find(reply.state or b"")
        assert talk is not None
        begun.append(talk)
    decided = it.house.run(undecided())
    for each in begun:
        each.answering = decided

    assert it.answer(other.request()) is None
    assert (it.heard(), it.events[0].detail) == (["discard eap_failed"], "too many conversations at once")
    for each in begun:
        each.answering = None


async def undecided() -> asyncio.Future[Reply | None]:
    return asyncio.get_running_loop().create_future()
