"""Logins inside of FreeRADIUS, as radclient and NASes by hand have them, beside those at our own server."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from select import select
from typing import Any

import pytest

from tests.end_to_end.nas import (
    ACCEPT,
    CALLING_STATION_ID,
    CHALLENGE,
    REJECT,
    ForeignNas,
    Radclient,
    RawNas,
    raw_nas,
)
from tests.end_to_end.site import (
    COMMA,
    REJECT_DELAY,
    SECOND,
    SECRET,
    SIX,
    SLOW,
    STAFF_GETS,
    UNKNOWN,
    VPN,
    Account,
    Site,
    masked,
    told,
)
from tests.end_to_end.test_languages import JAPANESE
from tests.end_to_end.test_mail import code_in
from tests.peers.freeradius_inside import FreeRadiusInside

CLIENTS = {"vpn": VPN, "second": SECOND, "comma": COMMA, "six": SIX, "slow": SLOW, "unlisted": UNKNOWN}

_PATIENCE = 10.0  # seconds until a reply or an audit line must be there

At = Callable[[str], ForeignNas]
"""A NAS at that address, of whichever server."""
Told = list[tuple[str, str]]
"""What is answered, reply by reply: which packet, and what the user reads."""


@pytest.fixture(scope="module")
def freeradius(university: Site) -> Iterator[FreeRadiusInside]:
    """With key, store and audit file of the university's own server."""
    config = university.write("inside.yaml")
    with FreeRadiusInside(config, CLIENTS, SECRET, debugs=False) as freeradius:
        yield freeradius
        said = freeradius.log()
    assert "internal_error" not in said, said
    assert "Unresponsive child" not in said, said


@pytest.fixture
def nas(freeradius: FreeRadiusInside) -> Iterator[RawNas]:
    """At the address of the client `vpn`."""
    with raw_nas(freeradius.port, SECRET, VPN) as nas:
        yield nas


def asking(port: int) -> At:
    return lambda source: Radclient(port, SECRET, source)


def test_two_rounds_return_what_our_own_server_returns(university: Site, freeradius: FreeRadiusInside) -> None:
    user, nas = university.staff(), Radclient(freeradius.port, SECRET)
    challenge = nas.ask(user.name, user.password)
    assert (challenge.code, challenge.message) == (CHALLENGE, told("challenged"))
    accept = nas.ask(user.name, user.code(), challenge.state)
    # Several values of one attribute, and one of a vendor; radclient has seen that the reply is signed first.
    assert (accept.code, accept.values[1:]) == (ACCEPT, STAFF_GETS)
    assert university.outcomes(user.name) == ["challenge challenged", "accept accepted"]
    freeradius.wait_for(f"Login OK (radius_mfa: accepted): [{user.name}] (from client vpn")


def test_mail_is_typed_and_the_code_that_comes_is_let_in(university: Site, freeradius: FreeRadiusInside) -> None:
    user, nas = university.with_address(university.staff()), Radclient(freeradius.port, SECRET)
    asked = nas.ask(user.name, user.password)
    assert asked.message == told("challenged_or_mail")
    sent = nas.ask(user.name, "mail", asked.state)
    assert sent.code == CHALLENGE
    assert nas.ask(user.name, code_in(university.mail_to(user)), sent.state).code == ACCEPT
    assert university.outcomes(user.name) == ["challenge challenged", "challenge mail_sent", "accept accepted"]


# --- what else a login comes to, there as here ----------------------------------------------------


def answered(nas: ForeignNas, user: Account, *answers: str) -> Told:
    """A login of these answers, each to the State of the reply before."""
    reply = nas.ask(user.name, user.password)
    found = [(reply.code, reply.message)]
    for answer in answers:
        reply = nas.ask(user.name, answer, reply.state)
        found.append((reply.code, reply.message))
    return found


def a_wrong_password(at: At, user: Account, _: Account) -> Told:
    return [(reply.code, reply.message) for reply in [at(VPN).ask(user.name, "wrong")]]


def a_wrong_code_and_then_the_right_one(at: At, user: Account, _: Account) -> Told:
    return answered(at(VPN), user, user.wrong_code(), user.code())


def too_many_wrong_codes(at: At, user: Account, _: Account) -> Told:
    """The fifth locks, and then the right password is told so."""
    codes = user.wrong_codes()
    first, second, third, fourth, fifth = (next(codes) for _ in range(5))
    return [
        *answered(at(VPN), user, first, second, third),
        *answered(at(VPN), user, fourth, fifth),
        *answered(at(VPN), user),
    ]


def a_code_that_was_used(at: At, user: Account, _: Account) -> Told:
    code = user.code()
    return [*answered(at(VPN), user, code), *answered(at(VPN), user, code)]


def another_answer_to_a_state_that_was_answered(at: At, user: Account, _: Account) -> Told:
    state = at(VPN).ask(user.name, user.password).state
    replies = [at(VPN).ask(user.name, code, state) for code in (user.code(), user.wrong_code())]
    return [(reply.code, reply.message) for reply in replies]


def the_same_answer_to_a_state_once_more(at: At, user: Account, _: Account) -> Told:
    """From another port, under another Identifier: a NAS that asks again (RFC 5080 §2.2.2)."""
    state, code = at(VPN).ask(user.name, user.password).state, user.code()
    replies = [at(VPN).ask(user.name, code, state) for _ in range(2)]
    return [(reply.code, reply.message) for reply in replies]


def the_state_of_another_client(at: At, user: Account, _: Account) -> Told:
    state = at(VPN).ask(user.name, user.password).state
    replies = [at(source).ask(user.name, user.code(), state) for source in (SECOND, VPN)]
    return [(reply.code, reply.message) for reply in replies]


def the_state_of_another_user(at: At, user: Account, other: Account) -> Told:
    state = at(VPN).ask(other.name, other.password).state
    replies = [at(VPN).ask(user.name, code, state) for code in (user.code(), other.code())]
    return [(reply.code, reply.message) for reply in replies]


def a_forged_state(at: At, user: Account, _: Account) -> Told:
    state = at(VPN).ask(user.name, user.password).state
    forged = [bytes([state[0] ^ 1]) + state[1:], state[:-1] + bytes([state[-1] ^ 1]), state[:-1], b"\0", state]
    replies = [at(VPN).ask(user.name, user.code(), each) for each in forged]
    return [(reply.code, reply.message) for reply in replies]


ASKED, ASKED_AGAIN = (CHALLENGE, told("challenged")), (CHALLENGE, told("code_wrong"))
LET_IN, REFUSED = (ACCEPT, ""), (REJECT, told("refused"))
OVER = (REJECT, told("rounds_over"))
LOCKED = (REJECT, told("locked", minutes="15"))


def events(university: Site, least: int = 0) -> list[dict[str, Any]]:
    """The whole audit file.  `least` are waited for: a reply may come first."""
    end = time.monotonic() + _PATIENCE
    while True:
        lines = (university.folder / "audit.jsonl").read_text().splitlines()
        if len(lines) >= least:
            return [json.loads(line) for line in lines]
        assert time.monotonic() < end, (lines, least)


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (a_wrong_password, [REFUSED]),
        (a_wrong_code_and_then_the_right_one, [ASKED, ASKED_AGAIN, LET_IN]),
        (
            too_many_wrong_codes,
            [ASKED, ASKED_AGAIN, ASKED_AGAIN, OVER, ASKED, ASKED_AGAIN, LOCKED, LOCKED],
        ),
        (a_code_that_was_used, [ASKED, LET_IN, ASKED, (CHALLENGE, told("code_used"))]),
        (another_answer_to_a_state_that_was_answered, [LET_IN, (REJECT, told("state_spent"))]),
        (the_same_answer_to_a_state_once_more, [LET_IN, LET_IN]),
        (the_state_of_another_client, [REFUSED, LET_IN]),
        (the_state_of_another_user, [REFUSED, REFUSED]),
        (a_forged_state, [REFUSED] * 4 + [LET_IN]),
    ],
)
def test_is_told_and_audited_as_at_our_own_server(
    university: Site,
    freeradius: FreeRadiusInside,
    story: Callable[[At, Account, Account], Told],
    expected: Told,
) -> None:
    found = []
    for port in (university.server.port, freeradius.port):
        before = len(events(university))
        assert story(asking(port), university.staff(), university.staff()) == expected
        said = events(university, least=before + len(expected))[before:]
        found.append(
            [(event["decision"], event["outcome"], event["client"], event.get("detail")) for event in said]
        )
    assert found[0] == found[1]


def test_who_has_no_token_is_told_what_to_do(university: Site, freeradius: FreeRadiusInside) -> None:
    user, nas = university.newcomer(), Radclient(freeradius.port, SECRET)
    reply = nas.ask(user.name, user.password)
    assert (reply.code, reply.message) == (REJECT, told("unenrolled"))
    freeradius.wait_for(f"Login incorrect (radius_mfa: unenrolled): [{user.name}] (from client vpn")


@pytest.mark.parametrize("source", [COMMA, SIX])
def test_password_and_code_are_let_in_in_one_round_and_a_code_once(
    university: Site, freeradius: FreeRadiusInside, source: str
) -> None:
    user, nas = university.staff(), Radclient(freeradius.port, SECRET, source)
    text = user.password + ("," if source == COMMA else "") + user.code()
    accept, again = nas.ask(user.name, text), nas.ask(user.name, text)
    assert (accept.code, accept.values[1:]) == (ACCEPT, STAFF_GETS)
    assert again.code == REJECT
    assert university.outcomes(user.name) == ["accept accepted", "reject code_used"]


def test_a_japanese_user_reads_japanese(university: Site, nas: RawNas) -> None:
    user = university.student()
    asked = nas.ask(user.name, user.password)
    again = nas.ask(user.name, user.wrong_code(), state=asked.state)
    assert [asked.message, again.message] == [JAPANESE["challenged"], JAPANESE["code_wrong"]]


def test_a_refusal_takes_its_time(freeradius: FreeRadiusInside) -> None:
    """Half of what the NAS waits."""
    with raw_nas(freeradius.port, SECRET, SECOND) as nas:
        began = time.monotonic()
        assert nas.ask("nobody", "at all").code == REJECT
        assert time.monotonic() - began >= REJECT_DELAY


def test_a_refusal_that_is_held_for_long_holds_nobody_else_up(
    university: Site, freeradius: FreeRadiusInside
) -> None:
    """Where FreeRADIUS lets it wait; no thread of it is held for that: who asks later is answered sooner."""
    user = university.staff()
    with raw_nas(freeradius.port, SECRET, SLOW) as slow, raw_nas(freeradius.port, SECRET) as nas:
        wrong, right = slow.packet(b"nobody", b"at all"), nas.packet(user.name.encode(), user.password.encode())
        began = time.monotonic()
        slow.socket.send(wrong)
        nas.socket.send(right)
        first, _, _ = select([slow.socket, nas.socket], [], [], _PATIENCE)
        assert nas.socket in first
        assert nas.read(nas.socket.recv(4096), right).code == CHALLENGE
        slow.socket.settimeout(_PATIENCE)
        assert slow.read(slow.socket.recv(4096), wrong).code == REJECT
        assert time.monotonic() - began >= 0.7


def test_what_a_nas_sends_again_gets_the_same_reply(university: Site, nas: RawNas) -> None:
    """Octet by octet (RFC 5080 §2.2.2), and is decided once."""
    user = university.staff()
    wrong = nas.packet(user.name.encode(), b"wrong")
    assert nas.exchange(wrong).octets == nas.exchange(wrong).octets
    right = nas.packet(user.name.encode(), user.password.encode())
    assert nas.exchange(right).octets == nas.exchange(right).octets
    assert university.outcomes(user.name) == ["reject wrong_password", "challenge challenged"]


# --- clients and logs ------------------------------------------------------------------------------


def test_a_client_that_only_freeradius_knows_is_refused_and_named_in_the_log(
    university: Site, freeradius: FreeRadiusInside
) -> None:
    user, nas = university.staff(), Radclient(freeradius.port, SECRET, UNKNOWN)
    assert nas.ask(user.name, user.password).code == REJECT
    freeradius.wait_for("radius_mfa: unknown_client: client=unlisted: no client of radius-mfa.yaml has the name")
    freeradius.wait_for(f"Login incorrect (radius_mfa: unknown_client): [{user.name}] (from client unlisted")
    assert university.outcomes(user.name) == []


def test_events_are_those_of_our_own_server(university: Site, freeradius: FreeRadiusInside) -> None:
    """Who has asked, from which port, for which station: as if the packet had come to us."""
    told_of = [(CALLING_STATION_ID, b"198.51.100.7"), (30, b"vpn.example.org"), (32, b"gateway 1"), (4, bytes(4))]
    found = []
    for port in (university.server.port, freeradius.port):
        user = university.staff()
        with raw_nas(port, SECRET, VPN) as nas:
            challenge = nas.ask(user.name, user.password, *told_of)
            assert nas.ask(user.name, user.code(), *told_of, state=challenge.state).code == ACCEPT
            source = "{}:{}".format(*nas.socket.getsockname())
        events = university.audit(user.name)
        assert [event["source"] for event in events] == [source] * 2
        own = ("time", "duration", "login", "source", "user_name", "user_id", "username")
        found.append([{name: value for name, value in each.items() if name not in own} for each in events])
    assert found[0] == found[1]
    assert found[0][1]["station"] == "198.51.100.7"


def test_a_name_that_nobody_has_is_masked_in_our_log_and_not_in_freeradius_s(
    university: Site, freeradius: FreeRadiusInside
) -> None:
    nas = Radclient(freeradius.port, SECRET)
    assert nas.ask("nobody-of-ours", "whatever").code == REJECT
    assert university.outcomes(masked("nobody-of-ours")) == ["reject unknown_user"]
    freeradius.wait_for("Login incorrect (radius_mfa: unknown_user): [nobody-of-ours] (from client vpn")


def test_no_password_code_or_state_is_told_anywhere(university: Site, freeradius: FreeRadiusInside) -> None:
    user, nas = university.staff(), Radclient(freeradius.port, SECRET)
    secrets = ["Wr0ng-p4ssword"]
    assert nas.ask(user.name, secrets[0]).code == REJECT
    reply = nas.ask(user.name, user.password)
    answers = [user.wrong_code(), "n0-such-4nswer", user.code()]
    for answer in answers:
        secrets += [reply.state.hex(), b64encode(reply.state).decode()]
        reply = nas.ask(user.name, answer, reply.state)
    assert reply.code == ACCEPT
    freeradius.wait_for(f"Login OK (radius_mfa: accepted): [{user.name}]")
    said = {"FreeRADIUS": freeradius.log(), "audit": (university.folder / "audit.jsonl").read_text()}
    for where, text in said.items():
        lines = "\n".join(line for line in text.splitlines() if user.name in line)
        for secret in [*secrets, *answers, SECRET]:
            # Six digits may be of a time or a port, in another line.
            assert secret not in (lines if secret.isdecimal() else text), (where, secret)
