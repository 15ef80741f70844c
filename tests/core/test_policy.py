"""Which policy decides a login, and why."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.messages import Nas, Profile, User
from radius_mfa.core.policy import (
    ClientGroupIs,
    ClientIs,
    Condition,
    DaysAre,
    GroupIs,
    HoursAre,
    Policy,
    SecondFactor,
    Situation,
    Step,
    UserIs,
    evaluate,
    fold_group,
)
from tests.adapters import access_request

NAS = Nas("vpn", Profile("generic"), groups=frozenset({"gateways", "old"}))
STAFF = "cn=staff,ou=groups,dc=example"
ALICE = User("u-alice", "Alice", "uid=alice", groups=frozenset({STAFF, "cn=all"}))
NOON = datetime(2026, 10, 14, 12, 0, tzinfo=UTC).timestamp()  # a Wednesday


def situation(now: float = NOON, zone: str = "UTC", nas: Nas = NAS, user: User = ALICE) -> Situation:
    return Situation(access_request(nas=nas), user, now, ZoneInfo(zone))


def names(*each: str) -> frozenset[str]:
    return frozenset(each)


@pytest.mark.parametrize(
    ("condition", "holds", "wanted", "found"),
    [
        (ClientIs(names("vpn")), True, "vpn", "vpn"),
        (ClientIs(names("wifi", "lab")), False, "lab or wifi", "vpn"),
        (ClientGroupIs(names("gateways")), True, "gateways", "gateways and old"),
        (ClientGroupIs(names("lab")), False, "lab", "gateways and old"),
        (GroupIs(names(STAFF)), True, STAFF, f"cn=all and {STAFF}"),
        (GroupIs(names("cn=students")), False, "cn=students", f"cn=all and {STAFF}"),
        (UserIs(names("alice", "bob")), True, "alice or bob", "Alice"),
        (UserIs(names("bob")), False, "bob", "Alice"),
        (DaysAre(frozenset({0, 2})), True, "mon or wed", "wed"),
        (DaysAre(frozenset({5, 6})), False, "sat or sun", "wed"),
        (HoursAre(((8 * 60, 20 * 60),)), True, "08:00-20:00", "12:00"),
        (HoursAre(((13 * 60, 20 * 60 + 30),)), False, "13:00-20:30", "12:00"),
    ],
)
def test_a_condition_holds_or_says_what_it_found_instead(
    condition: Condition, holds: bool, wanted: str, found: str
) -> None:
    assert condition.holds(situation()) is holds
    assert (condition.wanted, condition.found(situation())) == (wanted, found)


def test_who_is_in_no_group_is_found_in_none() -> None:
    nobody = situation(nas=Nas("vpn", Profile("generic")), user=User("u", "alice", "dn"))

    assert ClientGroupIs(names("lab")).found(nobody) == "none"
    assert GroupIs(names("cn=staff")).found(nobody) == "none"


@pytest.mark.parametrize(
    ("clock", "start", "end", "holds"),
    [
        ("08:00", "08:00", "20:00", True),
        ("07:59", "08:00", "20:00", False),
        ("19:59", "08:00", "20:00", True),
        ("20:00", "08:00", "20:00", False),
        ("22:00", "22:00", "06:00", True),
        ("23:00", "22:00", "06:00", True),
        ("05:59", "22:00", "06:00", True),
        ("06:00", "22:00", "06:00", False),
        ("21:59", "22:00", "06:00", False),
        ("03:00", "09:00", "09:00", True),
        ("23:59", "00:00", "24:00", True),
    ],
)
def test_hours_run_from_their_start_until_before_their_end(clock: str, start: str, end: str, holds: bool) -> None:
    def minutes(text: str) -> int:
        return int(text[:2]) * 60 + int(text[3:])

    now = NOON + (minutes(clock) - 12 * 60) * 60

    assert HoursAre(((minutes(start), minutes(end)),)).holds(situation(now)) is holds


@pytest.mark.parametrize(("hour", "holds"), [(9, True), (12, False), (14, True), (17, False), (23, True)])
def test_any_of_several_ranges_of_hours_will_do(hour: int, holds: bool) -> None:
    office = HoursAre(((9 * 60, 12 * 60), (13 * 60, 17 * 60), (22 * 60, 2 * 60)))

    assert office.holds(situation(NOON + (hour - 12) * 3600)) is holds


def test_days_and_hours_are_read_in_the_configured_zone() -> None:
    evening = NOON + 6 * 3600  # 18:00 on Wednesday in London's winter; 03:00 on Thursday in Tokyo

    assert DaysAre(frozenset({3})).holds(situation(evening, "Asia/Tokyo"))
    assert DaysAre(frozenset({2})).holds(situation(evening, "UTC"))
    assert HoursAre(((180, 181),)).holds(situation(evening, "Asia/Tokyo"))


STAFF_ONLY = Policy("staff", (ClientIs(names("vpn")), GroupIs(names(STAFF))))
KIOSK = Policy("kiosk", (ClientIs(names("library")), DaysAre(frozenset({6}))), SecondFactor.NEVER)
ANYONE = Policy("anyone")


def test_the_first_policy_whose_conditions_all_hold_decides() -> None:
    evaluation = evaluate([KIOSK, STAFF_ONLY, ANYONE], situation())

    assert evaluation.policy is STAFF_ONLY
    assert evaluation.trace == (Step("kiosk", KIOSK.conditions[0]), Step("staff", None))


def test_a_policy_without_conditions_takes_everybody() -> None:
    assert evaluate([ANYONE, STAFF_ONLY], situation()).policy is ANYONE


def test_no_match_is_a_refusal_with_every_policy_in_the_trace() -> None:
    stranger = situation(user=User("u", "eve", "dn"))
    evaluation = evaluate([KIOSK, STAFF_ONLY], stranger)

    assert evaluation.policy is None
    assert evaluation.trace == (Step("kiosk", KIOSK.conditions[0]), Step("staff", STAFF_ONLY.conditions[1]))


def test_no_policies_are_a_refusal() -> None:
    assert evaluate([], situation()).policy is None


@pytest.mark.parametrize(
    "spelling",
    [
        "CN=Staff,OU=Groups,DC=example",
        "cn=staff, ou=groups, dc=example",
        " cn = staff ,ou = groups , dc=example ",
    ],
)
def test_spellings_of_one_group_fold_together(spelling: str) -> None:
    """RFC 4514 §2: names and attribute types do not differ by case."""
    assert fold_group(spelling) == STAFF


def test_an_escaped_comma_belongs_to_the_name() -> None:
    """RFC 4514 §2.4."""
    assert fold_group("cn=staff\\, old,dc=example") != fold_group("cn=staff\\,old,dc=example")


def test_an_escaped_space_belongs_to_the_name() -> None:
    """RFC 4514 §2.4: an escaped space at the end of a value is no escaped comma within one."""
    assert fold_group("cn=x\\ ,ou=groups") != fold_group("cn=x\\,ou=groups")


def test_folding_takes_no_longer_for_endless_white_space() -> None:
    """A quadratic search would not come back in the time a test run has."""
    assert fold_group("cn=staff" + " " * 1_000_000 + "x") == "cn=staff x"


@pytest.mark.parametrize(
    ("written", "otherwise"),
    [
        (r"cn=Admins\, net,ou=groups", r"cn=Admins\2C net,ou=groups"),
        (r"cn=Admins\, net,ou=groups", r"CN=admins\2c net, OU=Groups"),
        (r"cn=a\+b", r"cn=a\2Bb"),
        (r"cn=M\C3\BCller", "cn=müller"),
        (r"cn=\#1", "cn=#1"),
        (r"cn=x\3Dy", "cn=x=y"),
        (r"cn=x\=y", "cn=x=y"),
        (r"cn=back\\slash", r"cn=back\5cslash"),
        (r"cn=two\20words", "cn=two words"),
    ],
)
def test_a_group_is_the_same_in_whatever_way_it_is_escaped(written: str, otherwise: str) -> None:
    """RFC 4514 §2.4, §3: servers choose; a policy must not be passed over because of it."""
    assert fold_group(written) == fold_group(otherwise)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"cn=a\,b", "cn=a,b"),
        (r"cn=a\2Cb", "cn=a,b"),
        (r"DOM\group", "DOMgroup"),
        (r"cn=a\\,b", r"cn=a\,b"),
        (r"cn=a\FFb", "cn=ab"),
        (r"cn=a\00b", "cn=ab"),
    ],
)
def test_other_groups_stay_other_groups(one: str, other: str) -> None:
    assert fold_group(one) != fold_group(other)


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn"]), max_size=20))
def test_a_server_may_escape_as_much_as_it_likes(name: str) -> None:
    little = "".join(f"\\{each}" if each in '"+,;<>\\' else each for each in name)
    much = "".join(f"\\{octet:02x}" for octet in name.encode())

    assert fold_group(f"cn=x{little}x,ou=g") == fold_group(f"cn=x{much}x,ou=g")
