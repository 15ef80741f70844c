"""What a policy returns comes with the Access-Accept of whichever round ends the login, and is never half of it.

Also who is let in without a second factor, until when.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.messages import Accept, FactorKind, Nas, Profile, ReplyAttribute, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.core.returns import VLAN, Returned, Returns, Template
from tests.adapters import COMMA, NOON, PASSWORD, PERIOD, VPN, Fuse, House, Visitor, always, house

DAY = 86400.0
AP = Nas("ap", Profile("generic"), station="mac")
LONG = "x" * 200  # more than a State has room for


def value(written: str) -> tuple[Template, ...]:
    return (Template.read(written),)


def unfit(attributes: Sequence[ReplyAttribute]) -> str:
    return "Filter-Id: too odd" if ReplyAttribute("Filter-Id", "odd") in attributes else ""


RETURNS = Returns(
    (
        Returned("Filter-Id", otherwise=value("{departmentNumber}")),
        Returned("Class", by_group=(("staff", value("s")), ("all", value("a"))), otherwise=value("guest")),
        Returned(VLAN, otherwise=value("{vlanId|99}")),
    ),
    unfit,
)
EVERYTHING = Policy("everything", factors=frozenset(FactorKind), trust_device=True, reply=RETURNS)


@pytest.fixture
def it() -> Iterator[House]:
    with house([EVERYTHING]) as it:
        it.enrol("alice")
        knows(it, departmentnumber=("d7",))
        yield it


def knows(it: House, username: str = "alice", /, **attributes: tuple[str, ...]) -> None:
    """From now on the entry of that user has these."""
    it.directory.users[username] = replace(it.user(username), attributes=attributes)


def returned(login: Visitor) -> dict[str, str]:
    decision = login.last.decision
    assert isinstance(decision, Accept)
    assert len({each.name for each in decision.attributes}) == len(decision.attributes)
    return {each.name: each.value for each in decision.attributes}


FOR_ALICE = {
    "Filter-Id": "d7",
    "Class": "s",
    "Tunnel-Type": "VLAN",
    "Tunnel-Medium-Type": "IEEE-802",
    "Tunnel-Private-Group-Id": "99",
}


# --- in whichever round ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_every_round_that_ends_a_login_returns_the_same(it: House, wrong: int) -> None:
    login = it.challenged("alice")
    for code in it.wrong_codes("alice", wrong):
        assert login.says(code) == "challenge code_wrong"

    assert login.says(it.code("alice")) == "accept accepted"
    assert returned(login) == FOR_ALICE
    assert it.directory.asked.count(("find", "alice")) == 1  # State has all that it takes


def test_a_mailed_code_returns_it_too(it: House) -> None:
    it.register("alice")
    login = it.challenged("alice")
    assert login.says("mail") == "challenge mail_sent"

    assert login.says(it.mailed()) == "accept accepted"
    assert returned(login) == FOR_ALICE


def test_one_field_returns_it_too(it: House) -> None:
    login = it.login("alice", COMMA)

    assert login.says(f"{PASSWORD},{it.code('alice')}") == "accept accepted"
    assert returned(login) == FOR_ALICE


def test_a_trusted_device_returns_it_too(it: House) -> None:
    first = it.challenged("alice", AP)
    assert first.says(f"{it.code('alice')} trust") == "accept accepted"
    again = it.login("alice", AP)

    assert again.says(PASSWORD) == "accept accepted_by_device"
    assert returned(again) == FOR_ALICE


@pytest.mark.parametrize("second_factor", [SecondFactor.NEVER, SecondFactor.WHEN_ENROLLED])
def test_a_login_without_a_second_factor_returns_it_too(it: House, second_factor: SecondFactor) -> None:
    knows(it, "bob", departmentnumber=("d7",))
    it.reload(policies=[replace(EVERYTHING, second_factor=second_factor)])
    login = it.login("bob")

    assert login.says(PASSWORD) == "accept accepted_by_password"
    assert returned(login) == FOR_ALICE | {"Class": "guest"}


def test_the_same_answer_again_is_given_the_same_again(it: House) -> None:
    """RFC 5080 §2.2.2."""
    login = it.challenged("alice")
    code = it.code("alice")
    login.says(code)
    knows(it, departmentnumber=("d8",))

    assert login.says(code) == "accept accepted"
    assert returned(login) == FOR_ALICE


# --- of the entry ----------------------------------------------------------------------------------------


def test_what_round_one_has_found_is_returned_though_the_entry_changes(it: House) -> None:
    login = it.challenged("alice")
    knows(it, departmentnumber=("d8",), vlanid=("5",))

    login.says(it.code("alice"))
    assert returned(login) == FOR_ALICE


def test_what_does_not_fit_into_state_is_looked_up_again(it: House) -> None:
    """RFC 2865 §5: an attribute, and so a State, has 253 octets."""
    knows(it, departmentnumber=(LONG,))
    login = it.challenged("alice")
    assert len(login.state or b"") <= 253

    assert login.says(it.code("alice")) == "accept accepted"
    assert returned(login) == FOR_ALICE | {"Filter-Id": LONG}
    assert it.directory.asked.count(("find", "alice")) == 2
    assert it.directory.asked.count(("groups", "alice")) == 2


def test_where_the_entry_names_all_groups_nobody_is_asked_for_them_again(it: House) -> None:
    it.directory.keeps_groups_apart = False
    knows(it, departmentnumber=(LONG,))
    login = it.challenged("alice")

    assert login.says(it.code("alice")) == "accept accepted"
    assert returned(login) == FOR_ALICE | {"Filter-Id": LONG}
    assert ("groups", "alice") not in it.directory.asked


def test_what_a_policy_returns_since_round_one_is_looked_up(it: House) -> None:
    it.reload(policies=[replace(EVERYTHING, reply=always(ReplyAttribute("Class", "old")))])
    login = it.challenged("alice")
    it.reload(policies=[EVERYTHING])

    assert login.says(it.code("alice")) == "accept accepted"
    assert returned(login) == FOR_ALICE


def test_nobody_is_looked_up_for_an_answer_that_is_decided(it: House) -> None:
    """The decision is kept (RFC 5080 §2.2.2): the directory is neither asked nor need be there."""
    knows(it, departmentnumber=(LONG,))
    login = it.challenged("alice")
    code = it.code("alice")
    assert login.says(code) == "accept accepted"
    it.wire(Fuse(0, DirectoryError, "find"))

    assert login.says(code) == "accept accepted"
    assert returned(login) == FOR_ALICE | {"Filter-Id": LONG}
    assert login.says(it.wrong_code("alice")) == "reject state_spent"


def test_more_values_than_anybody_means_are_a_refusal_and_take_no_time(it: House) -> None:
    """Who may write an attribute of their own entry must not hold up everybody by it."""
    knows(it, departmentnumber=tuple(f"d{number}" for number in range(100_000)))
    login = it.login("alice")

    assert login.says(PASSWORD) == "reject reply_unusable"
    assert login.last.event.detail == "Filter-Id: the entry has more than 100 values"
    assert len(RETURNS.known_of(it.user("alice"))) < 110


@pytest.mark.parametrize(
    "now",
    [
        Outcome.UNKNOWN_USER,
        Outcome.AMBIGUOUS_USER,
        User("u-another", "alice", "uid=alice2"),
        User("u-alice", "alice", "uid=alice", active=False),
    ],
)
def test_who_is_somebody_else_when_looked_up_again_is_refused(it: House, now: User | Outcome) -> None:
    knows(it, departmentnumber=(LONG,))
    login = it.challenged("alice")
    it.directory.users["alice"] = now

    assert login.says(it.code("alice")) == "reject user_gone"
    assert not it.spent()


def test_a_name_that_is_not_served_any_more_when_looked_up_again_is_refused(it: House) -> None:
    knows(it, departmentnumber=(LONG,))
    login = it.challenged("alice")
    login.nas = replace(VPN, naming=replace(VPN.naming, required=True))

    assert login.says(it.code("alice")) == "reject user_gone"


def test_a_directory_that_fails_then_costs_neither_the_state_nor_the_code(it: House) -> None:
    knows(it, departmentnumber=(LONG,))
    login = it.challenged("alice")
    it.wire(Fuse(0, DirectoryError, "find"))
    code = it.code("alice")
    assert login.says(code) == "reject directory_failed"
    assert login.message.key == "store_failed"  # the password was right: what to do next is no secret
    first, last = login.conclusions[0].event, login.last.event
    assert (last.user_name, last.user_id, last.login) == ("alice", "u-alice", first.login)

    it.wire(None)
    assert login.says(code) == "accept accepted"


# --- or not at all ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({}, "Filter-Id: the entry has no departmentnumber; {departmentnumber|…} says what instead"),
        ({"departmentnumber": ("odd",)}, "Filter-Id: too odd"),
        (
            {"departmentnumber": ("d7",), "vlanid": ("1", "2")},
            "vlan: the entry has several values, and a port has one VLAN",
        ),
    ],
)
def test_what_cannot_be_returned_is_a_refusal_and_staff_read_why(
    it: House, attributes: dict[str, tuple[str, ...]], why: str
) -> None:
    """Half of it may be more than is meant: a port without its VLAN, a tunnel without its filter."""
    it.directory.users["alice"] = replace(it.user("alice"), attributes=attributes)
    login = it.login("alice")

    assert login.says(PASSWORD) == "reject reply_unusable"
    assert login.last.event.detail == why
    assert login.last.event.policy == "everything"
    assert why not in repr(login.message)


def test_what_cannot_be_returned_any_more_in_a_later_round_is_a_refusal(it: House) -> None:
    login = it.challenged("alice")
    stricter = Returns((Returned("Filter-Id", otherwise=value("{departmentNumber}")),), lambda _: "no room")
    it.reload(policies=[replace(EVERYTHING, reply=stricter)])

    assert login.says(it.code("alice")) == "reject reply_unusable"
    assert login.last.event.detail == "no room"
    assert not it.spent()


def test_whoever_has_typed_a_wrong_password_learns_nothing_of_it(it: House) -> None:
    knows(it)

    assert it.login("alice").says("wrong") == "reject wrong_password"


# --- who has no second factor yet --------------------------------------------------------------------------

UNTIL = replace(EVERYTHING, reply=Returns(), unenrolled_until=NOON + DAY)


def test_who_has_no_second_factor_is_let_in_until_a_date(it: House) -> None:
    it.reload(policies=[UNTIL])
    assert it.login("bob").says(PASSWORD) == "accept accepted_unenrolled"
    assert it.login("bob").says("wrong") == "reject wrong_password"

    it.clock.advance(DAY - 1)
    assert it.login("bob").says(PASSWORD) == "accept accepted_unenrolled"
    it.clock.advance(1)
    assert it.login("bob").says(PASSWORD) == "reject unenrolled"


def test_who_has_a_second_factor_is_asked_for_it_before_that_date_too(it: House) -> None:
    it.reload(policies=[UNTIL])

    assert it.login("alice").says(PASSWORD) == "challenge challenged"


def test_who_was_reset_is_not_let_in_before_that_date_either(it: House) -> None:
    """Or a reset by somebody who has only the password would be a way round the second factor."""
    it.reload(policies=[UNTIL])
    assert it.run(it.enrolment.reset("u-alice"))

    assert it.login("alice").says(PASSWORD) == "reject unenrolled"


def test_who_has_another_factor_than_the_policy_takes_is_not_let_in_before_that_date(it: House) -> None:
    it.reload(policies=[replace(UNTIL, factors=frozenset({FactorKind.RECOVERY_CODES}))])
    it.clock.advance(PERIOD)

    assert it.login("alice").says(PASSWORD) == "reject unenrolled"


def test_in_one_field_who_has_no_second_factor_is_let_in_by_the_password_that_the_rule_finds(it: House) -> None:
    it.reload(policies=[UNTIL])

    assert it.login("bob", COMMA).says(PASSWORD) == "accept accepted_unenrolled"
    assert it.login("bob", COMMA).says(f"{PASSWORD},123456") == "accept accepted_unenrolled"
    assert it.login("bob", COMMA).says(f"{PASSWORD},nonsense") == "reject wrong_password"
