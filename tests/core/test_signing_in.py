"""Signing in to the portal, which is a login like any other."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from radius_mfa.core.acts import Act
from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.messages import FactorKind, Nas, Profile
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy
from radius_mfa.core.signing_in import Asked, Known, Refused
from radius_mfa.core.usernames import Naming
from radius_mfa.core.visits import PORTAL
from tests.adapters import AT_PORTAL, PASSWORD, PERIOD, Fuse, House, fused, house

EVERYWHERE = Policy("everywhere", factors=frozenset(FactorKind))
HERE = "192.0.2.9:50000"


@pytest.fixture
def it() -> Iterator[House]:
    with house((EVERYWHERE,)) as it:
        yield it


def password(
    it: House, username: str = "alice", typed: str = PASSWORD, source: str = HERE
) -> Asked | Known | Refused:
    return it.run(it.signing_in().password(username, typed, source))


def answer(
    it: House, state: bytes, typed: str, username: str = "alice", source: str = HERE
) -> Asked | Known | Refused:
    return it.run(it.signing_in().answer(username, state, typed, source))


def asked(it: House, username: str = "alice") -> bytes:
    """The State of who has shown their password."""
    said = password(it, username)
    assert isinstance(said, Asked)
    return said.state


def mailed(it: House) -> str:
    """The code that was just asked for in the portal."""
    said = answer(it, asked(it), "mail")
    assert isinstance(said, Asked)
    assert said.outcome is Outcome.MAIL_SENT
    return it.mailed()


def why(said: Asked | Known | Refused) -> Outcome:
    assert isinstance(said, Asked | Refused)
    return said.outcome


def known(said: Asked | Known | Refused) -> Known:
    assert isinstance(said, Known), said
    return said


# --- the password -------------------------------------------------------------------------------


def test_who_holds_nothing_is_known_by_the_password_alone(it: House) -> None:
    said = known(password(it))

    assert (said.user.id, said.factor) == ("u-alice", None)
    assert it.audit[-1].outcome is Outcome.UNENROLLED
    assert (it.audit[-1].client, it.audit[-1].source, it.audit[-1].station) == (PORTAL, HERE, "192.0.2.9")


@pytest.mark.parametrize(
    ("username", "typed", "outcome"),
    [
        ("alice", "wrong", Outcome.WRONG_PASSWORD),
        ("alice", "", Outcome.WRONG_PASSWORD),
        ("alice", "p" * 513, Outcome.WRONG_PASSWORD),
        ("nobody", PASSWORD, Outcome.UNKNOWN_USER),
        ("n" * 300, PASSWORD, Outcome.UNKNOWN_USER),
        ("n" + "é" * 127, PASSWORD, Outcome.NAME_UNREADABLE),
        ("", PASSWORD, Outcome.NAME_UNREADABLE),
        ("carol", PASSWORD, Outcome.NOT_ACTIVATED),
    ],
)
def test_every_refusal_before_a_right_password_is_told_alike(
    it: House, username: str, typed: str, outcome: Outcome
) -> None:
    said = password(it, username, typed)

    assert isinstance(said, Refused)
    assert (said.outcome, said.message.key, said.message.language) == (outcome, "refused", "")
    assert [each.outcome for each in it.audit] == [outcome]


def test_the_longest_password_and_name_that_there_are_do(it: House) -> None:
    it.directory.password = b"p" * 512
    it.directory.users["n" * 253] = replace(it.user("alice"), username="n" * 253)

    assert known(password(it, "n" * 253, "p" * 512)).user.id == "u-alice"


def test_what_is_too_long_never_reaches_the_directory_as_a_password(it: House) -> None:
    it.directory.password = b"p" * 512

    assert why(password(it, typed="p" * 513)) is Outcome.WRONG_PASSWORD
    assert all(not typed.startswith("p") for _, typed in it.directory.asked)


def test_a_user_who_is_known_comes_with_all_their_groups(it: House) -> None:
    assert not known(password(it)).user.lacks_groups
    it.directory.keeps_groups_apart = False
    assert known(password(it)).user.groups == {"staff"}


# --- a code -------------------------------------------------------------------------------------


def test_a_right_code_says_who_it_is_and_by_what(it: House) -> None:
    it.enrol("alice")
    state = asked(it)

    said = known(answer(it, state, it.code("alice")))

    assert (said.user.username, said.factor, said.user.lacks_groups) == ("alice", FactorKind.TOTP, False)
    assert [each.outcome for each in it.audit] == [Outcome.CHALLENGED, Outcome.ACCEPTED]
    assert {each.policy for each in it.audit} == {PORTAL}


def test_what_may_answer_is_said(it: House) -> None:
    it.enrol("alice")
    it.register("alice")
    said = password(it)

    assert isinstance(said, Asked)
    assert said.factors == {FactorKind.TOTP, FactorKind.MAIL}
    assert said.outcome is Outcome.CHALLENGED


def test_a_wrong_code_is_asked_for_again_until_the_rounds_are_over(it: House) -> None:
    it.enrol("alice")
    state = asked(it)
    for wrong in it.wrong_codes("alice", 2):
        said = answer(it, state, wrong)
        assert isinstance(said, Asked)
        assert said.outcome is Outcome.CODE_WRONG
        state = said.state

    said = answer(it, state, it.wrong_codes("alice", 3)[2])

    assert isinstance(said, Refused)
    assert said.message.key == "rounds_over"
    assert it.counters("alice").failures == 3


def test_failures_are_those_of_any_login(it: House) -> None:
    it.enrol("alice")
    for wrong in it.wrong_codes("alice", 9):
        it.challenged("alice").says(wrong)

    assert why(answer(it, asked(it), it.wrong_codes("alice", 10)[9])) is Outcome.CODE_WRONG
    assert why(password(it)) is Outcome.LOCKED
    assert it.login("alice").says(PASSWORD) == "reject locked"


def test_who_is_suspended_is_told_so(it: House) -> None:
    it.enrol("alice")
    for number, wrong in enumerate(it.wrong_codes("alice", 50)):
        if number and number % 10 == 0:
            it.clock.advance(90_000)
        it.challenged("alice").says(wrong)
    it.clock.advance(90_000)

    assert why(password(it)) is Outcome.SUSPENDED


def test_a_recovery_code_does(it: House) -> None:
    (code, *_) = it.run(it.enrolment.new_recovery_codes("u-alice", "alice"))
    state = asked(it)

    assert known(answer(it, state, code)).factor is FactorKind.RECOVERY_CODES
    assert why(answer(it, asked(it), code)) is Outcome.CODE_USED


def test_a_mailed_code_that_was_asked_for_here_does(it: House) -> None:
    it.enrol("alice")
    it.register("alice")
    code = mailed(it)

    assert known(answer(it, asked(it), code)).factor is FactorKind.MAIL


def test_a_mailed_code_that_was_asked_for_at_a_vpn_does_not(it: House) -> None:
    """Whoever has talked somebody into reading one out has not got into their portal."""
    it.enrol("alice")
    it.register("alice")
    vpn = it.challenged("alice")
    assert vpn.says("mail") == "challenge mail_sent"
    code = it.mailed()

    assert why(answer(it, asked(it), code)) is Outcome.CODE_WRONG
    assert vpn.says(code) == "accept accepted"


def test_asking_here_just_after_a_vpn_has_brings_a_code_of_its_own(it: House) -> None:
    it.enrol("alice")
    it.register("alice")
    it.challenged("alice").says("mail")
    it.mails()

    assert known(answer(it, asked(it), mailed(it))).factor is FactorKind.MAIL


def test_a_code_is_used_up_for_both(it: House) -> None:
    it.enrol("alice")
    assert it.challenged("alice").says(it.code("alice")) == "accept accepted"
    assert why(answer(it, asked(it), it.code("alice"))) is Outcome.CODE_USED

    it.clock.advance(PERIOD)
    assert known(answer(it, asked(it), it.code("alice")))
    assert it.challenged("alice").says(it.code("alice")) == "challenge code_used"


# --- the State ----------------------------------------------------------------------------------


def test_a_state_of_a_vpn_is_none_of_the_portals_nor_the_other_way_round(it: House) -> None:
    it.enrol("alice")
    vpn = it.challenged("alice")
    assert vpn.state is not None
    assert why(answer(it, vpn.state, it.code("alice"))) is Outcome.STATE_OF_ANOTHER_CLIENT

    vpn.state = asked(it)
    assert vpn.says(it.code("alice")) == "reject state_of_another_client"


def test_a_state_is_of_one_user(it: House) -> None:
    it.enrol("alice")
    it.enrol("bob")

    assert why(answer(it, asked(it), it.code("bob"), "bob")) is Outcome.STATE_OF_ANOTHER_USER


@pytest.mark.parametrize("state", [b"", b"made up", b"x" * 300])
def test_a_state_that_is_none_is_refused(it: House, state: bytes) -> None:
    assert why(answer(it, state, "123456")) is Outcome.STATE_UNREADABLE


def test_a_state_is_good_for_one_answer(it: House) -> None:
    it.enrol("alice")
    state = asked(it)
    answer(it, state, it.wrong_code("alice"))

    assert why(answer(it, state, it.code("alice"))) is Outcome.STATE_SPENT


def test_the_identical_answer_again_lets_nobody_in(it: House) -> None:
    """What it began may have been ended since; a gateway is given it again all the same (RFC 5080 §2.2.2)."""
    it.enrol("alice")
    state = asked(it)
    known(answer(it, state, it.code("alice")))

    assert why(answer(it, state, it.code("alice"))) is Outcome.STATE_SPENT
    assert it.audit[-1].detail == "the same answer again"


def test_from_another_address_it_is_another_answer(it: House) -> None:
    it.enrol("alice")
    state = asked(it)
    known(answer(it, state, it.code("alice"), source="[2001:db8::1]:50000"))
    assert it.audit[-1].station == "2001:db8::1"

    assert why(answer(it, state, it.code("alice"))) is Outcome.STATE_SPENT


# --- who it is in the end -----------------------------------------------------------------------


def test_a_user_who_is_gone_by_now_is_not_let_in(it: House) -> None:
    it.enrol("alice")
    alice = it.user("alice")
    for became in (Outcome.UNKNOWN_USER, replace(alice, active=False), replace(alice, id="u-another")):
        it.directory.users["alice"] = alice
        it.clock.advance(PERIOD)
        state = asked(it)
        it.directory.users["alice"] = became
        assert why(answer(it, state, it.code("alice"))) is Outcome.USER_GONE


def test_a_user_who_is_called_otherwise_by_now_is_let_in(it: House) -> None:
    """What the store has of a name is from when a factor was set up last."""
    it.enrol("alice")
    it.directory.users = {"alice.b": replace(it.user("alice"), username="alice.b")}
    state = asked(it, "alice.b")

    assert known(answer(it, state, it.code("alice"), "alice.b")).user.username == "alice.b"


def test_a_name_with_a_realm_is_looked_up_as_the_client_says(it: House) -> None:
    nas = Nas(PORTAL, Profile("generic"), naming=Naming({"example": ""}))
    said = it.run(it.signing_in(nas).password("alice@example", PASSWORD, HERE))

    assert known(said).user.username == "alice"


# --- the password alone -------------------------------------------------------------------------


def test_the_password_alone_mails_nothing_and_spends_nothing(it: House) -> None:
    it.register("alice")
    said = it.run(it.signing_in().password_alone("alice", PASSWORD, HERE))

    assert isinstance(said, Known)
    assert said.factor is None
    assert it.audit[-1].outcome is Outcome.ACCEPTED_BY_PASSWORD
    assert it.mails() == []
    assert it.spent() == []


@pytest.mark.parametrize(("username", "typed"), [("alice", "wrong"), ("nobody", PASSWORD), ("carol", PASSWORD)])
def test_the_password_alone_has_to_be_right(it: House, username: str, typed: str) -> None:
    said = it.run(it.signing_in().password_alone(username, typed, HERE))

    assert isinstance(said, Refused)
    assert said.message.key == "refused"


def test_what_is_broken_lets_nobody_in() -> None:
    with house((EVERYWHERE,), discard_when_broken=True) as it:
        it.run(it.store.close())
        said = password(it)

        assert isinstance(said, Refused)
        assert (said.outcome, said.message.key) == (Outcome.STORE_FAILED, "store_failed")


def test_a_directory_that_finds_nobody_is_told_and_uses_no_code_up(it: House) -> None:
    it.enrol("alice")
    state, works = asked(it), it.directory

    it.directory = fused(works, Fuse(0, DirectoryError, "find"))
    with pytest.raises(DirectoryError):
        password(it)
    assert it.audit[-1].outcome is Outcome.DIRECTORY_FAILED
    it.directory = fused(works, Fuse(0, DirectoryError, "find"))
    with pytest.raises(DirectoryError):
        answer(it, state, it.code("alice"))

    it.directory = works
    known(answer(it, state, it.code("alice")))


def test_a_directory_that_fails_at_somebodys_password_tells_nothing_of_them(it: House) -> None:
    """It may depend on whose it is: another server, another answer to a bind."""
    it.directory = fused(it.directory, Fuse(0, DirectoryError, "check_password"))
    said = password(it)

    assert isinstance(said, Refused)
    assert said.message.key == "refused"


def test_a_login_is_no_act_in_the_audit_file(it: House) -> None:
    password(it)

    assert not any(isinstance(each.outcome, Act) for each in it.audit)
    assert AT_PORTAL.name == PORTAL
