"""Which policy decides a login, and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.conditions import (
    DAYS,
    All,
    AnyOf,
    AttributeIs,
    ClientGroupIs,
    ClientIs,
    Condition,
    DaysAre,
    GroupIs,
    NoneOf,
    RealmIs,
    Situation,
    StationIs,
    UserIs,
)
from radius_mfa.core.messages import Nas, Profile, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policies, Policy, SecondFactor, Step, evaluate
from tests.adapters import access_request

NAS = Nas("vpn", Profile("generic"), groups=frozenset({"gateways", "old"}))
STAFF = "cn=staff,ou=groups,dc=example"
ALICE = User("u-alice", "Alice", "uid=alice", groups=frozenset({STAFF, "cn=all"}))
NOON = datetime(2026, 10, 14, 12, 0, tzinfo=UTC).timestamp()  # a Wednesday


def situation(
    nas: Nas = NAS,
    user: User = ALICE,
    typed: str = "alice",
    station: bytes | None = None,
    said: Iterable[tuple[int, bytes]] = (),
) -> Situation:
    return Situation(access_request(nas, typed, station=station, extra=said), user, NOON, ZoneInfo("UTC"))


def names(*each: str) -> frozenset[str]:
    return frozenset(each)


STAFF_ONLY = Policy("staff", (ClientIs(names("vpn")), GroupIs(names(STAFF))))
KIOSK = Policy("kiosk", (ClientIs(names("library")), DaysAre(frozenset({6}))), SecondFactor.NEVER)
ANYONE = Policy("anyone")


class TestEvaluate:
    def test_the_first_policy_whose_conditions_all_hold_decides(self) -> None:
        evaluation = evaluate([KIOSK, STAFF_ONLY, ANYONE], situation())

        assert evaluation.policy is STAFF_ONLY
        assert evaluation.trace == (Step(KIOSK, KIOSK.conditions[0]), Step(STAFF_ONLY, None))

    def test_a_policy_without_conditions_takes_everybody(self) -> None:
        assert evaluate([ANYONE, STAFF_ONLY], situation()).policy is ANYONE

    def test_no_match_is_a_refusal_with_every_policy_in_the_trace(self) -> None:
        stranger = situation(user=User("u", "eve", "dn"))
        evaluation = evaluate([KIOSK, STAFF_ONLY], stranger)

        assert evaluation.policy is None
        assert evaluation.trace == (
            Step(KIOSK, KIOSK.conditions[0]),
            Step(STAFF_ONLY, STAFF_ONLY.conditions[1]),
        )

    def test_no_policies_are_a_refusal(self) -> None:
        assert evaluate([], situation()).policy is None


class TestUnenrolled:
    @pytest.mark.parametrize(
        ("second_factor", "until", "let_in"),
        [
            (SecondFactor.REQUIRED, 0.0, None),
            (SecondFactor.REQUIRED, NOON + 1, Outcome.ACCEPTED_UNENROLLED),
            (SecondFactor.REQUIRED, NOON, None),
            (SecondFactor.WHEN_ENROLLED, 0.0, Outcome.ACCEPTED_BY_PASSWORD),
            (SecondFactor.WHEN_ENROLLED, NOON - 1, Outcome.ACCEPTED_BY_PASSWORD),
        ],
    )
    def test_are_let_in_where_no_factor_is_asked_of_them_or_until_a_day_is_over(
        self, second_factor: SecondFactor, until: float, let_in: Outcome | None
    ) -> None:
        policy = Policy("p", second_factor=second_factor, unenrolled_until=until)

        assert policy.lets_in_unenrolled(NOON) is let_in


# --- Policies: the same, without looking at all of them --------------------------------------------

CLIENTS, CLIENT_GROUPS, USERS, GROUPS = ("vpn", "wifi"), ("edge", "lab"), ("alice", "bob", "eve"), ("a", "b", "c")
REALMS = ("example.org", "other.org", "*")
NETWORKS = [
    ip_network(each) for each in ("10.0.0.0/8", "10.1.2.3", "10.1.2.2/31", "0.0.0.0/0", "2001:db8::/32", "::/0")
]
MACS = ("02", "020000000001", "03")
STATIONS = (
    None,
    b"10.1.2.3",
    b"::ffff:10.1.2.2",
    b"192.0.2.1",
    b"2001:db8::1",
    b"02-00-00-00-00-01",
    b"0300.0000.0001",
)
PORTS = st.tuples(st.sampled_from([5, 61]), st.sampled_from([b"\0\0\0\1", b"\0\0\0\5"]))


def some(each: Iterable[str], least: int = 1) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(sorted(each)), min_size=least)


CONDITION: st.SearchStrategy[Condition] = st.recursive(
    st.one_of(
        some(CLIENTS).map(ClientIs),
        some(CLIENT_GROUPS).map(ClientGroupIs),
        some(USERS).map(UserIs),
        some(GROUPS).map(GroupIs),
        some(REALMS).map(RealmIs),
        st.builds(StationIs, st.lists(st.sampled_from(NETWORKS), max_size=2).map(tuple), some(MACS, 0).map(tuple)),
        PORTS.map(lambda said: AttributeIs("NAS-Port", 0, said[0], (said[1].__eq__,), (), repr)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(lambda each: AnyOf(tuple(each))),
        st.lists(inner, min_size=1, max_size=2).map(lambda each: All(tuple(each))),
        st.lists(inner, min_size=1, max_size=2).map(lambda each: NoneOf(tuple(each))),
    ),
    max_leaves=3,
)
POLICIES = st.lists(st.lists(CONDITION, max_size=3), max_size=8).map(
    lambda each: [Policy(f"p{at}", tuple(conditions)) for at, conditions in enumerate(each)]
)
NAMES = st.sampled_from([*USERS, "Alice", "ＢＯＢ", "nobody"])
SITUATIONS = st.builds(
    lambda client, client_groups, user, groups, *said: situation(
        Nas(client, Profile("generic"), groups=client_groups), User("u", user, "dn", groups=groups), *said
    ),
    st.sampled_from(CLIENTS),
    some(CLIENT_GROUPS, 0),
    NAMES,
    some(GROUPS, 0),
    st.sampled_from(["alice", "alice@example.org", "alice@Other.org", "alice@none.org"]),
    st.sampled_from(STATIONS),
    st.lists(PORTS, max_size=2),
)


class TestPolicies:
    @given(POLICIES, st.lists(SITUATIONS, min_size=1, max_size=6))
    def test_find_the_one_that_looking_at_all_of_them_finds(
        self, policies: list[Policy], situations: list[Situation]
    ) -> None:
        found = Policies(policies)

        for each in situations:
            assert found.deciding(each) is evaluate(policies, each).policy

    def test_of_many_only_those_are_looked_at_that_something_leads_to(self) -> None:
        """Whatever they ask for; an attribute that is there all the same leads to none that asks for more."""
        looked_at: list[str] = []

        class Told(DaysAre):
            def holds(self, situation: Situation) -> bool:
                looked_at.append(DAYS[min(self.days)])
                return True

        port = AttributeIs("NAS-Port", 0, 5, (b"1".__eq__,), (), repr)
        monday, sunday = Told(frozenset({0})), Told(frozenset({6}))
        policies = [
            Policy("a", (AnyOf((StationIs((ip_network("10.0.0.0/8"),), ("02",)), All((port,)))), monday)),
            Policy("b", (port, AnyOf((UserIs(names("eve")), RealmIs(names("other.org")))), monday)),
            Policy("c", (sunday,)),
        ]
        found = Policies(policies)

        assert found.deciding(situation(station=b"192.0.2.1")) is policies[2]
        assert looked_at == ["sun"]
        assert found.deciding(situation(station=b"10.1.2.3")) is policies[0]

    def test_of_a_condition_on_nobody_are_never_found(self) -> None:
        for condition in (UserIs(frozenset()), GroupIs(frozenset()), ClientIs(frozenset())):
            assert Policies([Policy("p", (condition,)), ANYONE]).deciding(situation()) is ANYONE

    def test_are_found_in_their_order_wherever_they_are_filed(self) -> None:
        by_user, by_group = Policy("u", (UserIs(names("alice")),)), Policy("g", (GroupIs(names("cn=all", STAFF)),))
        all_of_them = (by_user, by_group, Policy("r", (RealmIs(names("example.org")),)), ANYONE)

        for first in all_of_them:
            others = [each for each in all_of_them if each is not first]
            assert Policies([first, *others]).deciding(situation(typed="alice@example.org")) is first

    def test_that_do_not_match_make_way_for_the_next(self) -> None:
        elsewhere = Policy("elsewhere", (UserIs(names("alice")), GroupIs(names("cn=none"))))

        assert Policies([elsewhere, STAFF_ONLY]).deciding(situation()) is STAFF_ONLY
        assert Policies([elsewhere]).deciding(situation()) is None

    def test_have_names(self) -> None:
        policies = Policies([KIOSK, STAFF_ONLY])

        assert policies.named("kiosk") is KIOSK
        assert policies.named("anyone") is None
