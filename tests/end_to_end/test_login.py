"""The main job, seen by radclient and by pyrad: password, Access-Challenge, TOTP, Access-Accept."""

from __future__ import annotations

import time

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, ForeignNas
from tests.end_to_end.site import (
    KIOSK,
    LENIENT,
    REJECT_DELAY,
    SECOND,
    SLOW,
    STRANGER,
    Account,
    Site,
    masked,
    odd,
    told,
)

REFUSED = told("refused")


def rounds(nas: ForeignNas, account: Account, *answers: str) -> list[str]:
    """What a login came to, round by round."""
    reply = nas.ask(account.name, account.password)
    codes = [reply.code]
    for answer in answers:
        reply = nas.ask(account.name, answer, reply.state)
        codes.append(reply.code)
    return codes


def test_password_and_code_are_let_in_with_what_the_policy_returns(university: Site, foreign: ForeignNas) -> None:
    user = university.staff()
    challenge = foreign.ask(user.name, user.password)
    assert challenge.code == CHALLENGE
    assert challenge.message == told("challenged")
    assert 16 <= len(challenge.state) <= 253  # RFC 2865 §5.24
    accept = foreign.ask(user.name, user.code(), challenge.state)
    assert accept.code == ACCEPT
    # Both clients verify the Message-Authenticator; that it comes first is CVE-2024-3596.
    assert accept.values[0][0] == "Message-Authenticator"
    assert accept.values[1:] == (
        ("Class", "0x" + b"staff".hex()),
        ("Session-Timeout", "28800"),
        ("Filter-Id", "first"),
        ("Filter-Id", "second"),
        ("Fortinet-Group-Name", "vpn-staff"),
    )
    assert university.outcomes(user.name) == ["challenge challenged", "accept accepted"]


def test_the_first_policy_whose_conditions_hold_decides(university: Site, foreign: ForeignNas) -> None:
    user = university.student()
    state = foreign.ask(user.name, user.password).state
    accept = foreign.ask(user.name, user.code(), state)
    assert accept.values[1:] == (("Class", "0x" + b"everybody".hex()),)


def test_a_user_is_spoken_to_in_their_language(university: Site) -> None:
    user = university.student()
    reply = university.foreign("pyrad").ask(user.name, user.password)
    assert "6桁" in reply.message or "６桁" in reply.message


@pytest.mark.parametrize("wrong", ["pw", "{}x", "{} ", " {}", "P{}", "x" * 128])
def test_a_wrong_password_is_refused(university: Site, foreign: ForeignNas, wrong: str) -> None:
    user = university.staff()
    reply = foreign.ask(user.name, wrong.format(user.password))
    assert (reply.code, reply.message, reply.state) == (REJECT, REFUSED, b"")
    assert university.outcomes(user.name) == ["reject wrong_password"]


@pytest.mark.parametrize(
    ("name", "password", "outcome"),
    [
        ("nobody at all", "secret", "unknown_user"),
        ("inactive", "asleep", "not_activated"),
        ("inactive", "wrong", "not_activated"),
        ("twin@example.org", "twin", "ambiguous_user"),
        ("nopassword", "any", "wrong_password"),
    ],
)
def test_who_cannot_log_in_is_told_nothing_more(
    university: Site, foreign: ForeignNas, name: str, password: str, outcome: str
) -> None:
    reply = foreign.ask(name, password)
    assert (reply.code, reply.message, reply.state) == (REJECT, REFUSED, b"")
    known = outcome in ("not_activated", "wrong_password")
    said = university.outcomes(name if known else masked(name))[-1]
    assert said.removesuffix("_again") == f"reject {outcome}"  # another client may have asked the same before


def test_who_has_no_token_is_told_so_after_the_right_password_only(university: Site, foreign: ForeignNas) -> None:
    user = university.unenrolled()
    reply = foreign.ask(user.name, user.password)
    assert (reply.code, reply.message) == (REJECT, told("unenrolled"))
    assert foreign.ask(user.name, "wrong").message == REFUSED


@pytest.mark.parametrize("kind", ["radclient", "pyrad"])
def test_where_no_policy_holds_nobody_is_let_in(university: Site, kind: str) -> None:
    user = university.staff()
    reply = university.foreign(kind, STRANGER).ask(user.name, user.password)
    assert (reply.code, reply.message) == (REJECT, REFUSED)
    assert university.outcomes(user.name) == ["reject no_policy"]


def test_wrong_codes_are_asked_again_until_the_rounds_are_over(university: Site, foreign: ForeignNas) -> None:
    user = university.staff()
    codes = user.wrong_codes()
    wrong = [next(codes) for _ in range(3)]
    assert rounds(foreign, user, *wrong) == [CHALLENGE, CHALLENGE, CHALLENGE, REJECT]
    outcomes = university.outcomes(user.name)
    assert outcomes[1:] == ["challenge code_wrong", "challenge code_wrong", "reject code_wrong"]


def test_a_right_code_after_wrong_ones_is_let_in_and_clears_what_was_counted(
    university: Site, foreign: ForeignNas
) -> None:
    user = university.staff()
    codes = user.wrong_codes()
    assert rounds(foreign, user, next(codes), next(codes), user.code())[-1] == ACCEPT
    assert university.show(user)["failures"] == 0


def test_a_state_is_another_in_each_round(university: Site, foreign: ForeignNas) -> None:
    user = university.staff()
    first = foreign.ask(user.name, user.password)
    second = foreign.ask(user.name, user.wrong_code(), first.state)
    assert second.message == told("code_wrong")
    assert second.state not in (b"", first.state)


@pytest.mark.parametrize("answer", ["mail", "12345678", "12345", "", "correct horse", "123456 trust me"])
def test_what_is_no_code_of_an_app_is_asked_again_and_not_counted(university: Site, answer: str) -> None:
    user = university.staff()
    assert rounds(university.foreign("pyrad"), user, answer) == [CHALLENGE, CHALLENGE]
    assert university.show(user)["failures"] == 0


@pytest.mark.parametrize("form", [" {}{} ", "{} {}", "{}-{}", "full width"])
def test_codes_are_read_leniently(university: Site, form: str) -> None:
    user = university.staff()
    code = user.code()
    typed = form.format(code[:3], code[3:])
    if form == "full width":
        typed = "".join(chr(ord("０") + int(digit)) for digit in code)
    assert rounds(university.foreign("pyrad"), user, typed)[-1] == ACCEPT


def test_too_many_wrong_codes_lock_the_second_factor_and_the_right_one_does_not_open_it(
    university: Site,
) -> None:
    user, nas = university.staff(), university.foreign("pyrad")
    codes = user.wrong_codes()
    assert rounds(nas, user, *(next(codes) for _ in range(3)))[-1] == REJECT
    state = nas.ask(user.name, user.password).state
    state = nas.ask(user.name, next(codes), state).state
    fifth = nas.ask(user.name, next(codes), state)
    assert (fifth.code, fifth.message) == (REJECT, told("locked", minutes="15"))
    again = nas.ask(user.name, user.password)
    assert (again.code, again.message) == (REJECT, fifth.message)
    shown = university.show(user)
    assert (shown["failures"], shown["since_success"]) == (5, 5)
    assert shown["locked_until"] is not None
    # The lock is told to whoever has the password, and to nobody else.
    assert nas.ask(user.name, "wrong").message == REFUSED


@pytest.mark.parametrize("kind", ["radclient", "pyrad"])
def test_a_policy_may_ask_for_the_password_only(university: Site, kind: str) -> None:
    user = university.staff()
    assert university.foreign(kind, KIOSK).ask(user.name, user.password).code == ACCEPT
    assert university.foreign(kind, KIOSK).ask(user.name, "wrong").code == REJECT
    assert university.outcomes(user.name) == ["accept accepted_by_password", "reject wrong_password"]


def test_a_policy_may_ask_for_a_code_only_of_who_has_a_token(university: Site) -> None:
    nas = university.foreign("pyrad", LENIENT)
    user, unenrolled = university.staff(), university.unenrolled()
    assert nas.ask(user.name, user.password).code == CHALLENGE
    assert nas.ask(unenrolled.name, unenrolled.password).code == ACCEPT
    assert nas.ask(unenrolled.name, "wrong").code == REJECT


def test_names_that_mean_the_same_are_one_user(university: Site) -> None:
    user, nas = university.staff(), university.foreign("pyrad")
    code = user.code()
    assert rounds(nas, user, code) == [CHALLENGE, ACCEPT]
    shouted = Account(user.name.upper(), user.password, user.seed)
    assert rounds(nas, shouted, code) == [CHALLENGE, CHALLENGE]
    assert university.outcomes(shouted.name)[-1] == "challenge code_used"


def test_an_ambiguous_name_is_refused_though_each_of_the_two_can_log_in_by_their_own(university: Site) -> None:
    twin = odd("twin1")
    nas = university.foreign("pyrad")
    assert nas.ask("twin@example.org", twin.password).code == REJECT
    assert rounds(nas, twin, twin.code()) == [CHALLENGE, ACCEPT]


def test_ipv6(university: Site) -> None:
    user = university.staff()
    with university.nas("::1") as nas:
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
    assert university.audit(user.name)[-1]["source"].startswith("[::1]:")


@pytest.mark.parametrize(("source", "delay"), [(SECOND, REJECT_DELAY), (SLOW, 1.0)])
def test_a_refusal_takes_its_time(university: Site, source: str, delay: float) -> None:
    """Half of what the NAS waits, one second at most."""
    with university.nas(source) as nas:
        nas.socket.settimeout(30)
        began = time.monotonic()
        assert nas.ask("nobody", "at all").code == REJECT
        assert time.monotonic() - began >= delay


def test_a_challenge_after_a_wrong_code_takes_its_time_too(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        state = nas.ask(user.name, user.password).state
        began = time.monotonic()
        assert nas.ask(user.name, user.wrong_code(), state=state).code == CHALLENGE
        assert time.monotonic() - began >= REJECT_DELAY
