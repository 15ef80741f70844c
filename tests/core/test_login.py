"""What is known of a login, and what is reported of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.challenge import Content
from radius_mfa.core.login import Login, event_of, masked, shown
from radius_mfa.core.messages import (
    Accept,
    Challenge,
    Decision,
    Discard,
    FactorKind,
    Message,
    Nas,
    Profile,
    Reject,
    User,
)
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy
from tests.adapters import NOON, access_request

LOGIN = Login.of(access_request(), bytes(range(16)))
POLICY = Policy("staff")
REFUSED = Reject(Outcome.UNKNOWN_USER, Message("refused"))


@pytest.mark.parametrize(
    ("decision", "called"),
    [
        (Accept(Outcome.ACCEPTED), "accept"),
        (REFUSED, "reject"),
        (Challenge(Outcome.CHALLENGED, b"state", Message("challenged")), "challenge"),
        (Discard(Outcome.STORE_FAILED), "discard"),
    ],
)
def test_every_decision_has_its_word(decision: Decision, called: str) -> None:
    event = event_of(LOGIN, decision, NOON)

    assert (event.decision, event.outcome) == (called, decision.outcome)


def test_a_request_is_reported_by_what_it_says_of_itself() -> None:
    request = access_request(
        extra=((4, bytes((192, 0, 2, 7))), (32, b"gw-1"), (30, "校内".encode())), station=b"aa\nbb", source="s"
    )
    event = event_of(Login.of(request, bytes(16)), REFUSED, NOON, "why")

    assert (event.nas_address, event.nas_identifier, event.called_station) == ("192.0.2.7", "gw-1", "校内")
    assert (event.station, event.source, event.detail, event.login) == ("aa\ufffdbb", "s", "why", "00" * 16)
    assert event.time == NOON


def test_the_station_is_what_the_profiles_own_attribute_says() -> None:
    nas = Nas("pa", Profile("globalprotect", station=(25461, 7)))
    source_ip = (26, (25461).to_bytes(4, "big") + bytes((7, 9)) + b"192.0.2")
    event = event_of(Login.of(access_request(nas, station=b"x", extra=(source_ip,)), bytes(16)), REFUSED, NOON)
    usual = event_of(Login.of(access_request(nas, station=b"x"), bytes(16)), REFUSED, NOON)

    assert (event.station, usual.station) == ("192.0.2", "x")


def microsoft(number: int) -> tuple[int, bytes]:
    """A response of 50 octets (RFC 2548 §2.1.3, §2.3.2)."""
    return 26, (311).to_bytes(4, "big") + bytes((number, 52)) + bytes(50)


@pytest.mark.parametrize(
    ("attributes", "method"),
    [
        (((3, bytes(17)),), "CHAP"),  # RFC 2865 §5.3
        (((3, bytes(17)), (60, bytes(16))), "CHAP"),
        ((microsoft(11), microsoft(1)), "MS-CHAP"),
        ((microsoft(11), microsoft(25)), "MS-CHAPv2"),
        (((79, b"\x02\x01\x00\x0a\x01alice"),), "EAP"),  # RFC 3579 §3.1
    ],
)
def test_a_method_that_is_not_offered_is_named_with_what_to_change(
    attributes: tuple[tuple[int, bytes], ...], method: str
) -> None:
    nas = Nas("asa", Profile("anyconnect", towards_pap="on the ASA, do this"))
    login = Login.of(access_request(nas, password=None, extra=attributes), bytes(16))
    event = event_of(login, Reject(Outcome.METHOD_NOT_OFFERED, Message("refused")), NOON)

    assert login.text is Outcome.METHOD_NOT_OFFERED
    assert event.detail == f"{method} came, which is not served: on the ASA, do this"


@pytest.mark.parametrize("attributes", [(), (microsoft(11),), ((60, bytes(16)),)])
def test_without_any_credential_no_method_is_named(attributes: tuple[tuple[int, bytes], ...]) -> None:
    login = Login.of(access_request(password=None, extra=attributes), bytes(16))

    assert login.text is Outcome.NO_PASSWORD


@pytest.mark.parametrize("octets", [b"", b"\x01\x02\x03", bytes(16)])
def test_an_address_that_is_none_is_left_out(octets: bytes) -> None:
    """RFC 2865 §5.4: four octets."""
    request = access_request(extra=((4, octets),))

    assert event_of(Login.of(request, bytes(16)), REFUSED, NOON).nas_address == ""


def test_a_name_is_masked_until_somebody_stands_behind_it() -> None:
    found = Login.of(access_request(), bytes(16))
    found.about(User("u-alice", "Alice", "dn"))

    assert event_of(LOGIN, REFUSED, NOON).user_name == "a…(5)"
    assert event_of(found, REFUSED, NOON).user_name == "alice"
    assert event_of(found, REFUSED, NOON).username == "Alice"


def test_what_a_policy_no_longer_takes_may_not_answer() -> None:
    both = frozenset({FactorKind.TOTP, FactorKind.MAIL})
    content = Content(bytes(16), NOON, 2, both, bytes(12), bytes(12), "u-alice", "staff", "ja")
    login = Login.of(access_request(), bytes(16))
    login.goes_on(content)
    login.under(POLICY)

    assert login.factors == frozenset({FactorKind.TOTP})
    assert (login.id, login.round, login.user_id, login.language) == (bytes(16), 2, "u-alice", "ja")


def test_a_message_has_its_parameters() -> None:
    assert LOGIN.message(Outcome.LOCKED, minutes="5") == Message("locked", "", (("minutes", "5"),))


def test_a_masked_name_tells_its_first_character_and_its_length() -> None:
    assert masked("hunter2") == "h…(7)"
    assert masked("") == ""


@given(st.binary(max_size=253))
def test_what_a_stranger_sent_is_shown_on_one_short_line(octets: bytes) -> None:
    text = shown(octets)

    assert text.isprintable()
    assert len(text) <= 128
