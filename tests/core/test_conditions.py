"""The conditions of a policy: when each holds, and what it says of it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core import conditions
from radius_mfa.core.conditions import (
    All,
    AnyOf,
    AttributeIs,
    ClientGroupIs,
    ClientIs,
    Condition,
    DaysAre,
    GroupIs,
    HoursAre,
    NoneOf,
    RealmIs,
    Situation,
    StationIs,
    UserIs,
)
from radius_mfa.core.messages import AccessRequest, Attribute, Nas, Profile, User

NAS = Nas("vpn", Profile("generic"), groups=frozenset({"gateways", "old"}))
STAFF = "cn=staff,ou=groups,dc=example"
ALICE = User("u-alice", "Alice", "uid=alice", groups=frozenset({STAFF, "cn=all"}))
NOON = datetime(2026, 10, 14, 12, 0, tzinfo=UTC).timestamp()  # a Wednesday
MAC, ADDRESS = b"00-11-22-AA-bb-CC", b"192.0.2.7"
PORT_TYPE, CISCO, AV_PAIR = 61, 9, 1


def situation(
    now: float = NOON,
    zone: str = "UTC",
    nas: Nas = NAS,
    user: User = ALICE,
    attributes: Sequence[tuple[int, bytes]] = ((Attribute.USER_NAME, b"alice"),),
) -> Situation:
    return Situation(AccessRequest(nas, tuple(attributes), None, "127.0.0.1:1", 0.0), user, now, ZoneInfo(zone))


def typed(name: bytes) -> Situation:
    return situation(attributes=[(Attribute.USER_NAME, name)])


def calling(station: bytes, nas: Nas = NAS) -> Situation:
    return situation(nas=nas, attributes=[(Attribute.CALLING_STATION_ID, station)])


def names(*each: str) -> frozenset[str]:
    return frozenset(each)


def station(*written: str) -> StationIs:
    """Of prefixes, and of the digits of MACs."""
    networks = tuple(ip_network(each) for each in written if not each.isalnum())
    return StationIs(networks, tuple(each for each in written if each.isalnum()))


def attribute(*values: bytes, vendor: int = 0, number: int = PORT_TYPE) -> AttributeIs:
    return AttributeIs(
        "NAS-Port-Type",
        vendor,
        number,
        tuple(value.__eq__ for value in values),
        tuple(value.decode() for value in values),
        lambda value: value.decode("ascii", "backslashreplace"),
    )


# --- what each says -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (ClientIs(names("vpn")), "client is vpn"),
        (ClientIs(names("wifi", "lab")), "client is vpn, not lab or wifi"),
        (ClientGroupIs(names("gateways")), "client_group is gateways and old"),
        (ClientGroupIs(names("lab")), "client_group is gateways and old, not lab"),
        (GroupIs(names(STAFF)), f"group is {STAFF} and cn=all"),  # what is asked for comes first
        (GroupIs(names("cn=students")), f"group is cn=all and {STAFF}, not cn=students"),
        (UserIs(names("alice", "bob")), "user is Alice"),
        (UserIs(names("bob")), "user is Alice, not bob"),
        (RealmIs(names("example.org")), "realm is none, not example.org"),
        (DaysAre(frozenset({0, 2})), "days is wed"),
        (DaysAre(frozenset({5, 6})), "days is wed, not sat or sun"),
        (HoursAre(((8 * 60, 20 * 60),)), "hours is 12:00"),
        (
            HoursAre(((13 * 60, 20 * 60 + 30), (22 * 60, 24 * 60))),
            "hours is 12:00, not 13:00-20:30 or 22:00-24:00",
        ),
        (station("192.0.2.0/24", "001122"), "station is none, not 192.0.2.0/24 or 001122*"),
        (attribute(b"5"), "NAS-Port-Type is none, not 5"),
    ],
)
def test_a_condition_says_what_there_is_and_where_that_will_not_do_what_it_asks_for(
    condition: Condition, told: str
) -> None:
    assert condition.told(situation()) == told
    assert condition.holds(situation()) is (", not " not in told)


def test_who_is_in_no_group_is_found_in_none() -> None:
    nobody = situation(nas=Nas("vpn", Profile("generic")), user=User("u", "alice", "dn"))

    assert ClientGroupIs(names("lab")).told(nobody) == "client_group is none, not lab"
    assert GroupIs(names("cn=staff")).told(nobody) == "group is none, not cn=staff"


def test_of_hundreds_of_names_ten_are_shown_and_the_rest_counted() -> None:
    many = [f"g{each:03}" for each in range(200)]
    member = situation(user=User("u", "alice", "dn", groups=names(*many)))

    assert GroupIs(names("g199")).told(member) == f"group is g199 and {' and '.join(many[:9])} and 190 more"
    assert UserIs(names(*many)).told(member) == f"user is alice, not {' or '.join(many[:10])} or 190 more"
    assert attribute(*(each.encode() for each in many)).wanted.endswith("g009 or 190 more")
    assert station(*(f"192.0.2.{each}/32" for each in range(11))).wanted.endswith("192.0.2.9/32 or 1 more")


# --- who ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("username", ["ALICE", "ａｌｉｃｅ", "alice "])
def test_a_user_is_the_same_in_every_spelling(username: str) -> None:
    assert UserIs(names("alice")).holds(situation(user=User("u", username, "dn")))


@pytest.mark.parametrize(
    ("name", "realms"),
    [
        (b"alice@Example.ORG", "example.org"),
        (b"EXAMPLE\\alice@example.org", "example.org"),
        (b"alice@else@example.org", "example.org"),
        ("alice＠example.org".encode(), "example.org"),
    ],
)
def test_a_realm_is_one_that_was_typed(name: bytes, realms: str) -> None:
    """RFC 7542 §2.2: it follows the last @."""
    assert RealmIs(names("example.org", "example")).told(typed(name)) == f"realm is {realms}"
    assert RealmIs(names("*")).holds(typed(name))
    assert not RealmIs(names("else", "alice", "org", "")).holds(typed(name))


@pytest.mark.parametrize(
    "name", [b"alice", b"alice@", b"\\alice", b"b\\alice", b"a\\b\\c", b"", b"\xff@example.org", b"a@b\x00"]
)
def test_a_name_without_a_realm_or_that_is_no_name_is_in_none(name: bytes) -> None:
    assert not RealmIs(names("*")).holds(typed(name))
    assert not RealmIs(names("", "example.org", "b")).holds(typed(name))


def test_without_a_user_name_there_is_no_realm() -> None:
    assert not RealmIs(names("*")).holds(situation(attributes=()))


# --- where --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "asked", "holds"),
    [
        (MAC, ["001122aabbcc"], True),
        (b"0011.22aa.bbcc", ["001122aabbcc"], True),
        (MAC, ["001122"], True),
        (MAC, ["001122aabbcd", "001123"], False),
        (MAC, ["192.0.2.0/24"], False),
        (ADDRESS, ["192.0.2.0/24"], True),
        (ADDRESS, ["192.0.2.7/32", "001122"], True),
        (ADDRESS, ["192.0.3.0/24", "2001:db8::/32"], False),
        (b"::ffff:192.0.2.7", ["192.0.2.0/24"], True),
        (b"2001:DB8::1", ["2001:db8::/32"], True),
        (b"2001:db8::1%1", ["2001:db8::/32"], False),
        (b"the library", ["0.0.0.0/0", "00"], False),
        (b"", ["0.0.0.0/0", "::/0"], False),
    ],
)
def test_a_station_is_in_a_prefix_or_begins_like_a_mac(said: bytes, asked: list[str], holds: bool) -> None:
    condition = station(*asked)

    assert condition.holds(calling(said)) is holds
    assert (", not " in condition.told(calling(said))) is not holds


def test_the_station_is_shown_as_it_is_understood() -> None:
    assert station("001122").told(calling(MAC)) == "station is 001122aabbcc"
    assert station("192.0.2.0/24").told(calling(b"::ffff:192.0.2.7")) == "station is 192.0.2.7"
    assert station("001122aabbcd").told(calling(MAC)) == "station is 001122aabbcc, not 001122aabbcd"


def test_the_station_is_where_the_profile_of_the_client_has_it() -> None:
    palo_alto = Nas("vpn", Profile("palo", station=(25461, 7)))
    request = [(Attribute.VENDOR_SPECIFIC, (25461).to_bytes(4, "big") + bytes([7, 11]) + ADDRESS)]

    assert station("192.0.2.0/24").holds(situation(nas=palo_alto, attributes=request))
    assert not station("192.0.2.0/24").holds(situation(attributes=request))


# --- what else the request has --------------------------------------------------------------------


def test_of_several_values_of_an_attribute_one_will_do() -> None:
    request = situation(attributes=[(PORT_TYPE, b"15"), (PORT_TYPE, b"19")])

    assert attribute(b"19").told(request) == "NAS-Port-Type is 15 and 19"
    assert attribute(b"5", b"15").holds(request)
    assert attribute(b"5", b"6").told(request) == "NAS-Port-Type is 15 and 19, not 5 or 6"


def test_a_vendors_attribute_is_not_the_standard_one_of_that_number() -> None:
    """RFC 2865 §5.26."""
    inside = (Attribute.VENDOR_SPECIFIC, CISCO.to_bytes(4, "big") + bytes([AV_PAIR, 4]) + b"ok")
    request = situation(attributes=[(AV_PAIR, b"no"), inside])

    assert attribute(b"ok", vendor=CISCO, number=AV_PAIR).holds(request)
    assert not attribute(b"no", vendor=CISCO, number=AV_PAIR).holds(request)
    assert not attribute(b"ok", vendor=CISCO + 1, number=AV_PAIR).holds(request)
    assert not attribute(b"ok", number=AV_PAIR).holds(request)


# --- when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "start", "end", "holds"),
    [
        ("08:00", "08:00", "20:00", True),
        ("07:59", "08:00", "20:00", False),
        ("19:59", "08:00", "20:00", True),
        ("20:00", "08:00", "20:00", False),
        ("23:59", "00:00", "24:00", True),
        ("00:00", "00:00", "24:00", True),
    ],
)
def test_hours_run_from_their_start_until_before_their_end(clock: str, start: str, end: str, holds: bool) -> None:
    def minutes(text: str) -> int:
        return int(text[:2]) * 60 + int(text[3:])

    now = NOON + (minutes(clock) - 12 * 60) * 60

    assert HoursAre(((minutes(start), minutes(end)),)).holds(situation(now)) is holds


@pytest.mark.parametrize(
    ("hour", "holds"), [(1, True), (9, True), (12, False), (14, True), (17, False), (23, True)]
)
def test_any_of_several_ranges_of_hours_will_do(hour: int, holds: bool) -> None:
    office = HoursAre(((9 * 60, 12 * 60), (13 * 60, 17 * 60), (22 * 60, 24 * 60), (0, 2 * 60)))

    assert office.holds(situation(NOON + (hour - 12) * 3600)) is holds


def test_days_and_hours_are_read_in_the_configured_zone() -> None:
    evening = NOON + 6 * 3600  # 18:00 on Wednesday in London's winter; 03:00 on Thursday in Tokyo

    assert DaysAre(frozenset({3})).holds(situation(evening, "Asia/Tokyo"))
    assert DaysAre(frozenset({2})).holds(situation(evening, "UTC"))
    assert HoursAre(((180, 181),)).holds(situation(evening, "Asia/Tokyo"))


# --- of other conditions --------------------------------------------------------------------------

YES, NO = ClientIs(names("vpn")), UserIs(names("bob"))
AT_NIGHT = HoursAre(((0, 60),))


@pytest.mark.parametrize(
    ("condition", "holds", "told"),
    [
        (All((YES, NO)), False, "user is Alice, not bob"),
        (All((YES, AT_NIGHT, NO)), False, "hours is 12:00, not 00:00-01:00"),
        (All((YES, UserIs(names("alice")))), True, "client is vpn and user is Alice"),
        (AnyOf((NO, YES)), True, "client is vpn"),
        (AnyOf((NO, AT_NIGHT)), False, "none of any: user is Alice, not bob; hours is 12:00, not 00:00-01:00"),
        (NoneOf((NO, YES)), False, "not is refuted: client is vpn"),
        (NoneOf((NO, AT_NIGHT)), True, "not: user is Alice, not bob; hours is 12:00, not 00:00-01:00"),
        (NoneOf((All((YES, NO)),)), True, "not: user is Alice, not bob"),  # as of one mapping with two keys
        (NoneOf((NoneOf((YES,)),)), True, "not: not is refuted: client is vpn"),
        (AnyOf((All((YES, NO)), NoneOf((NO,)))), True, "not: user is Alice, not bob"),
    ],
)
def test_conditions_of_conditions(condition: Condition, holds: bool, told: str) -> None:
    assert condition.holds(situation()) is holds
    assert condition.told(situation()) == told


def test_what_the_request_does_not_say_is_nothing_but_to_not() -> None:
    for silent in (RealmIs(names("*")), station("0.0.0.0/0", "0"), attribute(b"5")):
        assert not silent.holds(situation(attributes=()))
        assert NoneOf((silent,)).holds(situation(attributes=()))


CONDITIONS: list[Condition] = [
    *(ClientIs(names("vpn")), ClientGroupIs(names("lab")), GroupIs(names(STAFF)), UserIs(names("bob"))),
    *(
        RealmIs(names("*")),
        station("192.0.2.0/24", "00"),
        attribute(b"5"),
        attribute(b"x", vendor=CISCO, number=1),
    ),
    *(DaysAre(frozenset({2})), AT_NIGHT, All((YES, NO)), AnyOf((YES, NO)), NoneOf((YES, RealmIs(names("x"))))),
]


class OfNoTime(Situation):
    """A situation in which nobody may ask what time it is."""

    def __getattribute__(self, name: str) -> object:
        if name in ("now", "local"):
            raise TimeAskedError
        return super().__getattribute__(name)


class TimeAskedError(Exception):
    """Somebody has asked."""


@pytest.mark.parametrize(
    "condition", [*CONDITIONS, AnyOf((NO, All((YES, AT_NIGHT))))], ids=lambda each: type(each).__name__
)
def test_a_condition_says_so_where_it_looks_at_the_time(condition: Condition) -> None:
    asked = situation()
    timeless = OfNoTime(asked.request, asked.user, asked.now, asked.zone)

    with pytest.raises(TimeAskedError) if condition.looks_at_time else nullcontext():
        condition.holds(timeless)


def test_all_conditions_there_are_are_tried() -> None:
    """Else one that looks at the time could keep it to itself."""
    there_are = {each for each in vars(conditions).values() if isinstance(each, type) and hasattr(each, "holds")}
    common = {each for each in there_are if each is Condition or inspect.isabstract(each)}

    assert {type(each) for each in CONDITIONS} == there_are - common


@given(
    st.sampled_from(CONDITIONS),
    st.lists(st.tuples(st.sampled_from([1, PORT_TYPE, 26, 31]), st.binary(max_size=253)), max_size=4),
    st.floats(0, 4_000_000_000),
)
def test_whatever_a_request_holds_a_condition_holds_or_not_and_says_so(
    condition: Condition, attributes: list[tuple[int, bytes]], now: float
) -> None:
    asked = situation(now=now, attributes=attributes)

    assert condition.holds(asked) in (True, False)
    assert condition.told(asked)
    assert NoneOf((condition,)).holds(asked) is not condition.holds(asked)
