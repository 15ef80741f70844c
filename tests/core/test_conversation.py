"""A login, rule by rule, as the essay in the module has them: the rounds, the refusals, the State.

How guesses are counted stands in `test_conversation_counting`, what happens when something is
broken in `test_conversation_broken`.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radius_mfa.core.conditions import ClientIs, GroupIs
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import (
    Accept,
    FactorKind,
    Message,
    Nas,
    Profile,
    ReplyAttribute,
    User,
)
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.core.ports import Password
from radius_mfa.core.usernames import ANY, Naming
from tests.adapters import COMMA, NOON, PASSWORD, SIX, VPN, WIFI, House, always, house

MICROSOFT = (311).to_bytes(4, "big")
REFUSED = Message("refused")


@pytest.fixture
def it() -> Iterator[House]:
    """A house in which alice has a token and bob has none."""
    with house() as it:
        it.enrol("alice")
        yield it


# --- the whole way ------------------------------------------------------------------------------


def test_password_then_code_is_a_login(it: House) -> None:
    """RFC 2865 §4.4: Access-Challenge, a new Access-Request with its State, Access-Accept."""
    login = it.login("alice")

    assert login.says(PASSWORD) == "challenge challenged"
    assert login.says(it.code("alice")) == "accept accepted"


def test_wrong_codes_get_new_challenges_while_the_rounds_last(it: House) -> None:
    login = it.challenged("alice")
    first, second, third = it.wrong_codes("alice", 3)

    assert login.says(first) == "challenge code_wrong"
    assert login.says(second) == "challenge code_wrong"
    assert login.says(third) == "reject code_wrong"


def test_the_right_code_is_right_in_the_last_round_too(it: House) -> None:
    login = it.challenged("alice")
    for code in it.wrong_codes("alice", 2):
        login.says(code)

    assert login.says(it.code("alice")) == "accept accepted"


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_the_profile_says_how_many_rounds_there_are(it: House, rounds: int) -> None:
    login = it.challenged("alice", Nas("few", Profile("few", rounds=rounds)))
    heard = [login.says(code) for code in it.wrong_codes("alice", rounds)]

    assert heard == ["challenge code_wrong"] * (rounds - 1) + ["reject code_wrong"]


def test_every_round_has_a_state_of_its_own_and_one_login_id(it: House) -> None:
    login = it.challenged("alice")
    states = [login.state]
    for code in it.wrong_codes("alice", 2):
        login.says(code)
        states.append(login.state)
    login.says(it.code("alice"))

    assert len(set(states)) == 3
    assert len({each.event.login for each in login.conclusions}) == 1
    assert [each.event.round for each in login.conclusions] == [1, 1, 2, 3]
    assert all(len(state or b"") <= 253 for state in states)  # RFC 2865 §5.24


def test_the_audit_event_says_who_where_and_by_which_policy(it: House) -> None:
    login = it.challenged("alice")
    login.says(it.code("alice"))
    first, second = (each.event for each in login.conclusions)

    assert (first.time, first.client, first.source) == (NOON, "vpn", "192.0.2.1:1645")
    assert (first.user_name, first.user_id, first.username, first.policy) == ("alice", "u-alice", "alice", "staff")
    assert (second.user_name, second.user_id, second.policy, second.factor) == (
        "alice",
        "u-alice",
        "staff",
        "totp",
    )
    assert first.station == "02-00-00-00-00-01"


def test_an_accept_returns_what_the_policy_says() -> None:
    reply = (ReplyAttribute("Class", "staff"),)
    with house([Policy("staff", reply=always(*reply))]) as it:
        it.enrol("alice")
        login = it.challenged("alice")
        login.says(it.code("alice"))

        assert login.last.decision == Accept(Outcome.ACCEPTED, reply)


def test_a_user_is_told_in_their_own_language_once_the_password_was_right(it: House) -> None:
    it.enrol("bob")
    login = it.challenged("bob")

    assert login.message == Message("challenged", "ja")
    login.says(it.wrong_code("bob"))
    assert login.message == Message("code_wrong", "ja")


# --- rule 1 and 2: refusals before the password was right --------------------------------------------


def test_a_wrong_password_is_refused(it: House) -> None:
    assert it.login("alice").says("wrong") == "reject wrong_password"


def test_trailing_space_and_case_are_part_of_a_password(it: House) -> None:
    for password in (f"{PASSWORD} ", f" {PASSWORD}", PASSWORD.title(), "", PASSWORD + "x" * 115):
        assert it.login("alice").says(password) == "reject wrong_password"


@pytest.mark.parametrize("name", ["eve", "*)(uid=*", "eve@example.org", "山田"])
def test_an_unknown_user_is_refused_at_the_price_of_a_known_one(it: House, name: str) -> None:
    assert it.login(name).says(PASSWORD) == "reject unknown_user"
    assert it.directory.asked == [("find", name), ("dummy", PASSWORD)]


@pytest.mark.parametrize("outcome", [Outcome.AMBIGUOUS_USER, Outcome.USER_ID_UNUSABLE])
def test_a_name_that_is_not_exactly_one_account_is_refused_unasked(it: House, outcome: Outcome) -> None:
    it.directory.users["twins"] = outcome

    assert it.login("twins").says(PASSWORD) == f"reject {outcome}"
    assert it.directory.asked[-1] == ("dummy", PASSWORD)


def test_who_is_not_activated_is_refused_unasked(it: House) -> None:
    assert it.login("carol").says(PASSWORD) == "reject not_activated"
    assert it.directory.asked == [("find", "carol"), ("dummy", PASSWORD)]


def test_who_no_policy_fits_is_refused_and_not_told_so() -> None:
    with house([Policy("staff", (GroupIs(frozenset({"staff"})),))]) as it:
        login = it.login("bob")

        assert login.says(PASSWORD) == "reject no_policy"
        assert login.message == REFUSED


def test_groups_are_asked_for_once_the_password_was_right(it: House) -> None:
    """A group may be in a hundred others: nobody who has merely a name makes the directory look them all up."""
    assert it.login("alice").says("wrong") == "reject wrong_password"
    assert ("groups", "alice") not in it.directory.asked
    it.challenged("alice")
    assert it.directory.asked[-1] == ("groups", "alice")


def test_groups_that_the_entry_has_named_are_not_asked_for(it: House) -> None:
    it.directory.keeps_groups_apart = False
    it.challenged("alice")
    assert ("groups", "alice") not in it.directory.asked


@pytest.mark.parametrize(
    "extra",
    [
        [(3, b"\x01" + bytes(16))],  # CHAP-Password, RFC 2865 §5.3
        [(79, b"\x02\x01\x00\x0a\x01alice")],  # EAP-Message, RFC 3579 §3.1
        [(26, MICROSOFT + bytes((1, 52)) + bytes(50))],  # MS-CHAP-Response, RFC 2548 §2.1.3
        [(26, MICROSOFT + bytes((25, 52)) + bytes(50))],  # MS-CHAP2-Response, RFC 2548 §2.3.2
    ],
)
def test_a_method_that_is_not_offered_is_refused(it: House, extra: list[tuple[int, bytes]]) -> None:
    assert it.login("alice").says(None, extra=extra) == "reject method_not_offered"
    assert it.directory.asked == []


def test_no_password_at_all_is_refused(it: House) -> None:
    """RFC 2865 §5.2; also what is left of a User-Password that cannot be recovered."""
    assert it.login("alice").says(None) == "reject no_password"
    assert it.directory.asked == []


@pytest.mark.parametrize("name", [None, b"", b"  ", b"al\x00ice", b"\xff\xfe"])
def test_a_name_nobody_can_have_is_refused(it: House, name: bytes | None) -> None:
    assert it.login(name).says(PASSWORD) == "reject name_unreadable"
    assert it.directory.asked == []


@pytest.mark.parametrize("octets", [b"\xff\xfe\xfd", b"pass\x00word", b"\x07", b"\xc2\x85"])
def test_octets_nobody_types_never_reach_the_directory(it: House, octets: bytes) -> None:
    """They come out of a wrong shared secret, and would count as wrong passwords there."""
    assert it.login("alice").says(octets) == "reject password_unreadable"
    assert it.directory.asked == []


def test_every_refusal_before_the_right_password_looks_the_same(it: House) -> None:
    it.directory.users["twins"] = Outcome.AMBIGUOUS_USER
    it.directory.users["noid"] = Outcome.USER_ID_UNUSABLE
    it.directory.verdicts["bob"] = Password.LOCKED
    names = ("eve", "twins", "noid", "carol", "alice", b"\xff", "bob")
    refused = [it.login(name) for name in names]
    heard = [login.says(PASSWORD if login.user_name == "bob" else "wrong") for login in refused]

    assert heard == [
        "reject unknown_user",
        "reject ambiguous_user",
        "reject user_id_unusable",
        "reject not_activated",
        "reject wrong_password",
        "reject name_unreadable",
        "reject account_locked",
    ]
    assert {login.message for login in refused} == {REFUSED}
    unreadable = it.login("alice")
    assert unreadable.says(b"\xff") == "reject password_unreadable"
    assert unreadable.message == REFUSED


def test_a_name_that_may_be_a_password_is_masked_in_the_audit_event(it: House) -> None:
    login = it.login("hunter2")
    login.says(PASSWORD)

    assert login.last.event.user_name == "h…(7)"
    assert "hunter2" not in repr(login.last)


# --- the password was right, and yet --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "outcome", "told"),
    [
        (Password.EXPIRED, Outcome.PASSWORD_EXPIRED, "password_expired"),
        (Password.MUST_CHANGE, Outcome.PASSWORD_MUST_CHANGE, "password_must_change"),
        (Password.RESTRICTED, Outcome.ACCOUNT_RESTRICTED, "account_restricted"),
        (Password.DISABLED, Outcome.ACCOUNT_DISABLED, "account_disabled"),
        (Password.LOCKED, Outcome.ACCOUNT_LOCKED, "refused"),  # some directories say so whatever the password
        (Password.WRONG_AGAIN, Outcome.WRONG_PASSWORD_AGAIN, "refused"),
        (Password.TOO_MANY_WRONG, Outcome.TOO_MANY_WRONG_PASSWORDS, "refused"),
    ],
)
def test_what_the_directory_says_of_a_password_or_its_account_is_a_refusal(
    it: House, verdict: Password, outcome: Outcome, told: str
) -> None:
    it.directory.verdicts["alice"] = verdict
    login = it.login("alice")

    assert login.says(PASSWORD) == f"reject {outcome}"
    assert login.message.key == told


def test_who_has_no_factor_is_told_so_after_the_right_password(it: House) -> None:
    login = it.login("bob")

    assert login.says(PASSWORD) == "reject unenrolled"
    assert login.message == Message("unenrolled", "ja")
    assert it.login("bob").says("wrong") == "reject wrong_password"


def test_a_token_that_was_never_confirmed_is_no_factor(it: House) -> None:
    it.enrol("bob", confirmed=False)

    assert it.login("bob").says(PASSWORD) == "reject unenrolled"


EASY = ReplyAttribute("Class", "easy")
WHEN_ENROLLED = Policy("easy", second_factor=SecondFactor.WHEN_ENROLLED, reply=always(EASY))


def test_when_enrolled_asks_who_has_a_factor_and_lets_the_others_in(it: House) -> None:
    it.reload(policies=[WHEN_ENROLLED])
    bob = it.login("bob")

    assert bob.says(PASSWORD) == "accept accepted_by_password"
    assert bob.last.decision == Accept(Outcome.ACCEPTED_BY_PASSWORD, (EASY,))
    assert it.login("bob").says("wrong") == "reject wrong_password"
    assert it.login("alice").says(PASSWORD) == "challenge challenged"


def test_when_enrolled_never_lets_in_who_is_enrolled_with_another_factor(it: House) -> None:
    it.reload(policies=[replace(WHEN_ENROLLED, factors=frozenset({FactorKind.MAIL}))])

    assert it.login("alice").says(PASSWORD) == "reject unenrolled"


def test_never_asks_nobody(it: House) -> None:
    it.reload(policies=[Policy("kiosk", (ClientIs(frozenset({"vpn"})),), SecondFactor.NEVER)])

    assert it.login("alice").says(PASSWORD) == "accept accepted_by_password"
    assert it.login("alice").says("wrong") == "reject wrong_password"
    assert it.login("alice", WIFI).says(PASSWORD) == "reject no_policy"


# --- rule 3: one field, one reading --------------------------------------------------------------------------


@pytest.mark.parametrize(("nas", "between"), [(COMMA, ","), (SIX, "")])
def test_password_and_code_in_one_field_are_a_login(it: House, nas: Nas, between: str) -> None:
    assert it.login("alice", nas).says(f"{PASSWORD}{between}{it.code('alice')}") == "accept accepted"


@pytest.mark.parametrize(("nas", "between"), [(COMMA, ","), (SIX, "")])
def test_a_wrong_code_in_one_field_is_a_counted_refusal(it: House, nas: Nas, between: str) -> None:
    assert it.login("alice", nas).says(f"{PASSWORD}{between}{it.wrong_code('alice')}") == "reject code_wrong"
    assert it.counters("alice").failures == 1


@pytest.mark.parametrize(("nas", "between"), [(COMMA, ","), (SIX, "")])
def test_a_wrong_password_in_one_field_says_nothing_of_the_code(it: House, nas: Nas, between: str) -> None:
    login = it.login("alice", nas)

    assert login.says(f"wrong{between}{it.code('alice')}") == "reject wrong_password"
    assert login.message.key == "refused"
    assert it.counters("alice") == Counters()


@pytest.mark.parametrize(("nas", "key"), [(COMMA, "code_missing"), (SIX, "code_missing_attached")])
def test_a_password_alone_where_a_code_belongs_is_told_so(it: House, nas: Nas, key: str) -> None:
    login = it.login("alice", nas)

    assert login.says(PASSWORD) == "reject code_missing"
    assert login.message.key == key


@pytest.mark.parametrize("password", ["pass123456", "pass,word", "pass,", "123456", ",,"])
@pytest.mark.parametrize(("nas", "between"), [(COMMA, ","), (SIX, "")])
def test_passwords_ending_in_digits_or_commas_work_with_a_code_after_them(
    it: House, nas: Nas, between: str, password: str
) -> None:
    it.directory.password = password.encode()

    assert it.login("alice", nas).says(f"{password}{between}{it.code('alice')}") == "accept accepted"


def test_the_other_reading_is_never_tried(it: House) -> None:
    it.directory.password = b"pass123456"

    assert it.login("alice", SIX).says("pass123456") == "reject wrong_password"
    assert it.directory.asked == [("find", "alice"), ("check", "pass")]


def test_in_one_field_mode_the_rule_holds_where_no_code_is_asked_for(it: House) -> None:
    it.reload(policies=[Policy("kiosk", second_factor=SecondFactor.NEVER)])

    assert it.login("alice", COMMA).says(PASSWORD) == "accept accepted_by_password"
    assert it.login("alice", COMMA).says(f"{PASSWORD},123456") == "accept accepted_by_password"


def test_a_used_code_in_one_field_is_refused_and_not_counted(it: House) -> None:
    text = f"{PASSWORD},{it.code('alice')}"
    it.login("alice", COMMA).says(text)

    assert it.login("alice", COMMA).says(text) == "reject code_used"
    assert it.counters("alice") == Counters()


def test_mail_in_one_field_is_no_factor_here(it: House) -> None:
    assert it.login("alice", COMMA).says(f"{PASSWORD},mail") == "reject factor_not_allowed"
    assert it.login("alice", SIX).says(f"{PASSWORD},mail") == "reject factor_not_allowed"
    assert it.counters("alice") == Counters()


# --- rule 4: the State ------------------------------------------------------------------------------------


def test_round_one_writes_nothing(it: House) -> None:
    before = it.facts("alice")
    it.challenged("alice")

    assert it.facts("alice") == before


@pytest.mark.parametrize("state", [b"", b"\x00", bytes(16), bytes(253), b"\x01" * 253])
def test_a_state_that_was_made_up_is_refused(it: House, state: bytes) -> None:
    login = it.login("alice")
    login.state = state

    assert login.says(it.code("alice")) == "reject state_unreadable"
    assert login.message == REFUSED


def test_two_states_are_none(it: House) -> None:
    """RFC 2865 §5.44: at most one."""
    login = it.challenged("alice")
    state = login.state or b""

    assert login.says(it.code("alice"), extra=[(24, state)]) == "reject state_unreadable"


# A house each, which takes its time on a busy machine.
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(state=st.binary(max_size=253))
def test_no_random_state_is_honoured(state: bytes) -> None:
    with house() as it:
        it.enrol("alice")
        login = it.login("alice")
        login.state = state

        assert login.says(it.code("alice")) == "reject state_unreadable"


def test_a_state_with_any_octet_changed_is_refused_and_spends_nothing(it: House) -> None:
    login = it.challenged("alice")
    state = login.state or b""
    for at in range(len(state)):
        flipped = state[:at] + bytes((state[at] ^ (1 << at % 8),)) + state[at + 1 :]
        assert login.says(it.code("alice"), state=flipped) == "reject state_unreadable"

    assert login.says(it.code("alice")) == "accept accepted"


def test_a_state_cut_or_lengthened_is_refused(it: House) -> None:
    login = it.challenged("alice")
    state = login.state or b""
    for changed in [state[:cut] for cut in range(0, len(state), 7)] + [state + b"\x00", state + state]:
        assert login.says(it.code("alice"), state=changed) == "reject state_unreadable"


def test_a_state_of_another_user_is_refused(it: House) -> None:
    it.enrol("bob")
    login = it.challenged("alice")

    for name in ("bob", "Alice", "alice ", "ａｌｉｃｅ"):
        assert login.says(it.code("bob"), user_name=name) == "reject state_of_another_user"
        assert login.message == REFUSED
        # Somebody may have typed a password for a name: no entry stands behind it.
        assert login.last.event.user_name == f"{name.strip()[0]}…({len(name.strip())})"
    assert login.says(it.code("alice")) == "accept accepted"


def test_a_state_of_another_client_is_refused(it: House) -> None:
    login = it.challenged("alice", VPN)

    assert login.says(it.code("alice"), nas=WIFI) == "reject state_of_another_client"
    assert login.message == REFUSED
    assert login.says(it.code("alice")) == "accept accepted"


def test_a_state_may_come_back_from_another_port_of_its_client(it: House) -> None:
    login = it.challenged("alice")

    assert login.says(it.code("alice"), source="192.0.2.1:40000") == "accept accepted"


def test_a_state_expires(it: House) -> None:
    early, late = it.challenged("alice"), it.challenged("alice")
    it.clock.advance(299.9)
    assert early.says(it.code("alice")) == "accept accepted"

    it.clock.advance(0.1)
    assert late.says(it.code("alice", 1)) == "reject state_expired"


def test_each_round_has_its_time_anew(it: House) -> None:
    login = it.challenged("alice")
    it.clock.advance(200)
    login.says(it.wrong_code("alice"))
    it.clock.advance(200)

    assert login.says(it.code("alice")) == "accept accepted"


def test_a_spent_state_takes_no_other_answer(it: House) -> None:
    login = it.challenged("alice")
    spent = login.state
    login.says(it.wrong_code("alice"))

    assert login.says(it.code("alice"), state=spent) == "reject state_spent"


def test_a_state_completes_no_second_login(it: House) -> None:
    login = it.challenged("alice")
    assert login.says(it.code("alice")) == "accept accepted"

    assert login.says(it.code("alice", 1)) == "reject state_spent"
    assert login.says(it.code("alice"), station=b"02-00-00-00-00-99") == "reject state_spent"


def test_a_later_round_needs_a_readable_name_and_answer(it: House) -> None:
    login = it.challenged("alice")

    assert login.says(b"\xff\xff") == "reject password_unreadable"
    assert login.says(None) == "reject no_password"
    assert login.says(None, extra=[(3, bytes(17))]) == "reject method_not_offered"
    assert login.says(it.code("alice")) == "accept accepted"


# --- rule 7: the identical answer again ---------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["{}", " {} ", "{} "])
def test_the_identical_wrong_answer_again_gets_the_identical_challenge(it: House, spelling: str) -> None:
    """RFC 5080 §2.2.2: a duplicate is answered as before; here under any Identifier and port."""
    login = it.challenged("alice")
    again = login.request(spelling.format(it.wrong_code("alice")), source="192.0.2.1:40000")
    login.says(it.wrong_code("alice"))
    it.clock.advance(3)
    repeated = it.ask(again)

    assert repeated.decision == login.last.decision
    assert repeated.event.detail == "the same answer again"
    assert it.counters("alice").failures == 1


def test_the_identical_right_answer_again_is_accepted_once_more(it: House) -> None:
    login = it.challenged("alice")
    again = login.request(it.code("alice"))
    login.says(it.code("alice"))

    assert it.ask(again).decision == login.last.decision
    assert it.counters("alice") == Counters()


def test_once_no_nas_asks_any_more_the_identical_right_answer_is_refused(it: House) -> None:
    login = it.challenged("alice")
    again = login.request(it.code("alice"))
    login.says(it.code("alice"))
    it.clock.advance(VPN.window)

    assert it.ask(again).decision.outcome is Outcome.STATE_SPENT


def test_a_clock_set_back_makes_no_repetition_of_long_ago_good(it: House) -> None:
    login = it.challenged("alice")
    again = login.request(it.code("alice"))
    login.says(it.code("alice"))
    it.clock.advance(-VPN.window)

    assert it.ask(again).decision.outcome is Outcome.STATE_SPENT


def test_the_same_code_from_another_port_of_the_nas_is_another_answer(it: House) -> None:
    """NAS-Port (RFC 2865 §5.5) tells two people at one gateway apart, where it is sent."""
    login = it.challenged("alice")
    again = login.request(it.code("alice"))
    again = replace(again, attributes=(*again.attributes, (5, b"\x00\x00\x00\x02")))
    login.says(it.code("alice"))

    assert it.ask(again).decision.outcome is Outcome.STATE_SPENT


def test_the_identical_last_answer_again_gets_the_identical_reject(it: House) -> None:
    login = it.challenged("alice", Nas("one", Profile("one", rounds=1)))
    again = login.request(it.wrong_code("alice"))
    login.says(it.wrong_code("alice"))

    assert it.ask(again).decision == login.last.decision


def test_the_challenge_that_was_repeated_goes_on_as_one(it: House) -> None:
    login = it.challenged("alice")
    again = login.request(it.wrong_code("alice"))
    login.says(it.wrong_code("alice"))
    it.ask(again)

    assert login.says(it.code("alice")) == "accept accepted"


# --- rule 8: the current configuration -------------------------------------------------------------------------


def test_a_policy_that_is_gone_is_a_refusal(it: House) -> None:
    login = it.challenged("alice")
    it.reload(policies=[Policy("another")])

    assert login.says(it.code("alice")) == "reject policy_gone"


def test_a_policy_that_no_longer_takes_the_factor_takes_no_code_of_it(it: House) -> None:
    login = it.challenged("alice")
    it.reload(policies=[Policy("staff", factors=frozenset({FactorKind.MAIL}))])

    assert login.says(it.code("alice")) == "challenge factor_not_allowed"
    assert it.counters("alice") == Counters()


def test_a_policy_that_takes_more_since_does_not_widen_an_old_state(it: House) -> None:
    it.reload(policies=[Policy("staff", factors=frozenset({FactorKind.TOTP, FactorKind.MAIL}))])
    login = it.challenged("alice")

    assert login.says("12345678") == "challenge factor_not_allowed"


def test_what_is_returned_is_what_the_policy_says_now(it: House) -> None:
    login = it.challenged("alice")
    reply = (ReplyAttribute("Class", "new"),)
    it.reload(policies=[Policy("staff", reply=always(*reply))])
    login.says(it.code("alice"))

    assert login.last.decision == Accept(Outcome.ACCEPTED, reply)


def test_a_user_whose_id_and_policy_are_as_long_as_they_may_be_fits_a_state() -> None:
    """RFC 2865 §5.24: 253 octets."""
    with house([Policy("p" * 64)]) as it:
        it.enrol("alice")
        it.directory.users["alice"] = User("u" * 64, "alice", "uid=alice", language="de-CH-1901")
        it.enrol("alice", user_id="u" * 64)
        login = it.challenged("alice")

        assert len(login.state or b"") <= 253
        assert login.says(it.code("alice", token=1)) == "accept accepted"


# --- names --------------------------------------------------------------------------------------


def test_every_spelling_of_a_name_is_one_user_with_one_used_code(it: House) -> None:
    stripping = replace(VPN, naming=Naming({ANY: ""}))
    code = it.code("alice")
    names = ("alice", "ALICE", "alice ", "EXAMPLE\\alice", "alice@example.org", "ａｌｉｃｅ")
    for number, name in enumerate(names):
        login = it.challenged(name, stripping)
        assert login.says(code) == ("challenge code_used" if number else "accept accepted")
        assert login.last.event.user_id == "u-alice"


@pytest.mark.parametrize(
    ("name", "said"),
    [("alice", "reject realm_missing"), ("alice@elsewhere.org", "reject realm_not_served")],
)
def test_a_name_whose_realm_is_not_served_never_reaches_the_directory(it: House, name: str, said: str) -> None:
    strict = replace(VPN, naming=Naming({"example.org": ""}, required=True))
    login = it.login(name, strict)

    assert login.says(PASSWORD) == said
    assert login.message == REFUSED
    assert it.directory.asked == []
