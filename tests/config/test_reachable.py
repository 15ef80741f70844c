"""Policies that never decide: told for certain, and in no time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.assembly.policies import policies_of
from radius_mfa.config import reachable
from radius_mfa.config.model import Client, Configuration, Policy
from radius_mfa.config.reachable import hidden_by, never_holds
from radius_mfa.core.conditions import Situation
from radius_mfa.core.messages import AccessRequest, Attribute, Nas, Profile, User
from radius_mfa.core.policy import evaluate
from tests.config.support import DICTIONARY, HASH

When = dict[str, Any]

CLIENT_GROUPS = {"a": ["edge"], "b": ["edge", "lab"], "c": [], "d": ["lab"]}
CLIENTS = [
    {"name": name, "address": f"192.0.2.{at}", "secret": "0123456789abcdef", "groups": groups}
    for at, (name, groups) in enumerate(CLIENT_GROUPS.items(), start=1)
]


def hidden(*whens: When) -> dict[int, tuple[int, ...]]:
    """By its place, of every policy that never decides: the places of those that hide it."""
    policies = [Policy.model_validate({"name": f"p{at}", "when": when}) for at, when in enumerate(whens)]
    return hidden_by(policies, [Client.model_validate(each) for each in CLIENTS])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({}, {"client": "a"}),
        ({}, {"not": {"client": "a"}}),
        ({"client": "a"}, {"client": "a"}),
        ({"client": ["a", "b"]}, {"client": "a", "days": "mon"}),
        ({"client_group": "edge"}, {"client": ["a", "b"]}),
        ({"client_group": ["edge", "lab"]}, {"client_group": "lab"}),
        ({"group": "CN=Staff, OU=g"}, {"group": "cn=staff,ou=g"}),
        ({"group": ["x", "y"]}, {"group": "y", "user": "alice"}),
        ({"user": "Alice"}, {"user": "ＡＬＩＣＥ"}),
        ({"realm": "*"}, {"realm": "example.org"}),
        ({"realm": ["Example.ORG", "x"]}, {"realm": "example.org"}),
        ({"station": "10.0.0.0/8"}, {"station": ["10.1.0.0/16", "10.2.3.4"]}),
        ({"station": ["::/0", "0.0.0.0/0"]}, {"station": ["2001:db8::/32", "192.0.2.1"]}),
        ({"station": "00-11-22-*"}, {"station": ["00-11-22-33-44-55", "0011.2233.*"]}),
        ({"days": "mon-fri"}, {"days": ["tue", "wed"]}),
        ({"hours": "08:00-20:00"}, {"hours": ["08:00-09:00", "19:00-20:00"]}),
        ({"NAS-Port-Type": ["5", "Virtual"]}, {"nas-port-type": "5"}),
        ({"all": [{"group": "x"}, {"days": "mon-sun"}]}, {"days": "mon", "all": {"group": "x"}}),
        ({"any": [{"group": "x"}, {"group": "y"}]}, {"group": "y"}),
        ({"any": [{"group": "x"}, {"group": "y"}]}, {"any": [{"group": "y"}, {"group": "x"}]}),
        (
            {"any": [{"group": "x", "user": "u"}, {"group": "y"}]},
            {"any": [{"user": "u", "group": "x"}, {"group": "y"}]},
        ),
        ({"group": ["x", "y"]}, {"any": [{"group": "x"}, {"all": {"group": "y", "days": "mon"}}]}),
        ({"any": {"client": ["a", "b"]}}, {"client": ["a", "b"]}),
        ({"not": {"group": "x"}}, {"not": [{"group": "x"}, {"group": "y"}]}),
        ({"not": {"group": "x", "user": "u"}}, {"not": {"user": "u", "group": "x"}, "days": "mon"}),
    ],
)
def test_a_policy_is_hidden_by_one_that_takes_all_that_it_would(first: When, second: When) -> None:
    assert hidden(first, second) == {1: (0,)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"client": "a"}, {}),
        ({"client": "a"}, {"client": ["a", "b"]}),
        ({"client": "a", "days": "mon"}, {"client": "a"}),
        ({"client_group": "edge"}, {"client": ["a", "c"]}),
        ({"client_group": "edge"}, {"client": "nobody"}),  # who may come, in whatever groups
        ({"client": ["a", "b"]}, {"client_group": "edge"}),  # likewise
        ({"client_group": "lab"}, {"client_group": ["edge", "lab"]}),
        ({"group": "x"}, {"user": "x"}),
        ({"realm": "example.org"}, {"realm": "*"}),
        ({"realm": "*"}, {"user": "alice@example.org"}),
        ({"realm": "*"}, {"not": {"realm": "example.org"}}),
        ({"station": "10.0.0.0/8"}, {"station": ["10.0.0.0/7", "10.0.0.1"]}),
        ({"station": "0.0.0.0/0"}, {"station": "::/0"}),
        ({"station": ["0.0.0.0/0", "::/0"]}, {"station": "00-11-22-33-44-55"}),
        ({"station": "00-11-22-33-*"}, {"station": "00-11-22-*"}),
        ({"station": "00-11-*"}, {"station": "0.17.0.0/16"}),  # the same bits, of another kind
        ({"days": "mon-fri"}, {"days": "fri-sat"}),
        ({"hours": "08:00-20:00"}, {"hours": ["08:00-09:00", "19:00-20:01"]}),
        ({"NAS-Port-Type": "5"}, {"NAS-Port-Type": ["5", "15"]}),
        ({"NAS-Port-Type": "5"}, {"NAS-Port": "5"}),
        ({"any": [{"group": "x"}, {"group": "y"}]}, {"any": [{"group": "x"}, {"group": "z"}]}),
        ({"group": "x"}, {"any": [{"group": "x"}, {"days": "mon"}]}),
        ({"any": [{"group": "x", "user": "u"}]}, {"group": "x"}),
        ({"not": [{"group": "x"}, {"group": "y"}]}, {"not": {"group": "x"}}),
        ({"not": {"group": "x", "user": "u"}}, {"group": "y"}),
        ({"not": {"group": "x"}}, {"group": "y"}),  # one may be in both
    ],
)
def test_a_policy_is_not_hidden_by_one_that_leaves_it_something(first: When, second: When) -> None:
    assert hidden(first, second) == {}


def test_what_several_take_together_is_told_by_client() -> None:
    by_one: list[When] = [{"client": "a"}, {"client_group": "lab"}, {"client": ["a", "b"], "group": "x"}]

    assert hidden(*by_one) == {2: (0, 1)}
    assert hidden(*by_one, {"client": ["a", "c"]}) == {2: (0, 1)}
    assert hidden({"client": ["a", "b"], "days": "mon"}, {"client": "a"}, {"client": ["a", "b"]}) == {}


def test_the_first_that_takes_it_is_named() -> None:
    assert hidden({"group": "x"}, {"days": "mon"}, {}, {"group": "x", "days": "mon"}, {"user": "u"}) == {
        3: (0,),
        4: (2,),
    }


def test_of_many_clients_one_before_it_must_take_all() -> None:
    many = [f"c{each}" for each in range(17)]

    assert hidden({"client": many}, {"client": many, "days": "mon"}) == {1: (0,)}
    assert hidden({"client": many[:9]}, {"client": many[9:]}, {"client": many}) == {}
    assert hidden({"client": many[:8]}, {"client": many[8:16]}, {"client": many[:16]}) == {2: (0, 1)}


# --- what can never be so ---------------------------------------------------------------------------


def never(when: When) -> str:
    policy = Policy.model_validate({"name": "p", "when": when})
    return never_holds(policy.when, [Client.model_validate(each) for each in CLIENTS])


NO_CLIENT_IN_IT = "no client that it asks for is in such a client_group"
EXCLUDED = "its not leaves nothing of what else it asks for"


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ({"client": "a", "client_group": "lab"}, NO_CLIENT_IN_IT),
        ({"client": ["a", "b"], "all": [{"client_group": "lab"}, {"client": "a"}]}, NO_CLIENT_IN_IT),
        ({"all": [{"client": ["c", "d"]}, {"client_group": "edge"}]}, NO_CLIENT_IN_IT),
        ({"client": "a", "not": {"client": "a"}}, EXCLUDED),
        ({"client": "a", "all": [{"not": {"client": ["a", "b"]}}]}, EXCLUDED),
        ({"client": ["a", "b"], "not": [{"client": "a"}, {"client_group": "lab"}]}, EXCLUDED),
        ({"group": "x", "days": "mon", "not": {"any": [{"group": "X"}, {"user": "u"}]}}, EXCLUDED),
        ({"realm": "r", "not": {"realm": "*"}}, EXCLUDED),
        ({"client": ["a", "b"], "all": {"client": "c"}}, "no client is in all that it asks for"),
        ({"user": "alice", "all": [{"user": ["bob", "carol"]}]}, "no user is in all that it asks for"),
        ({"realm": "r", "all": {"realm": "s"}}, "no realm is in all that it asks for"),
        ({"days": "mon-fri", "all": {"days": ["sat", "sun"]}}, "no day is in all that it asks for"),
        ({"hours": "08:00-12:00", "all": {"hours": "12:00-13:00"}}, "no hour is in all that it asks for"),
        (
            {"hours": ["01:00-02:00", "05:00-06:00"], "all": [{"hours": "02:00-05:00"}, {"hours": "01:00-06:00"}]},
            "no hour is in all that it asks for",
        ),
        ({"station": "10.0.0.0/8", "all": {"station": "00-11-*"}}, "no station is in all that it asks for"),
        (
            {"client": "a", "any": [{"client": "b"}, {"days": "mon", "any": [{"client_group": "lab"}]}]},
            "nothing of its any can be beside what else it asks for",
        ),
    ],
)
def test_what_contradicts_itself_never_holds(when: When, why: str) -> None:
    assert never(when) == why


@pytest.mark.parametrize(
    "when",
    [
        {},
        {"client": "a", "client_group": "edge"},
        {"client": ["a", "b"], "client_group": "lab"},
        {"client": "nobody", "client_group": "edge"},  # who may come
        {"client": "a", "client_group": "no-such"},  # which is told where it stands
        {"client": ["a", "b"], "not": {"client": "a"}},
        {"client": "a", "not": {"client": "a", "days": "mon"}},
        {"user": "alice", "all": {"user": ["Alice", "bob"]}},
        {"realm": "r", "all": {"realm": "*"}},
        {"group": "x", "all": {"group": "y"}},  # one may be in both
        {"NAS-Port-Type": "5", "all": {"NAS-Port-Type": "15"}},  # as a request may have two
        {"days": "mon-wed", "all": {"days": "wed-fri"}},
        {"hours": "08:00-12:00", "all": {"hours": "11:59-13:00"}},
        {"station": "10.0.0.0/8", "all": {"station": ["00-11-*", "10.1.0.0/16"]}},
        {"client": "a", "any": [{"client": "b"}, {"days": "mon"}]},
        {"user": "u", "any": [{"user": f"u{each}"} for each in range(101)]},  # more than are looked at
    ],
)
def test_what_may_be_so_is_not_said_never_to_hold(when: When) -> None:
    assert never(when) == ""


# --- nothing is hidden that decides -----------------------------------------------------------------


def some(*values: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


CONDITIONS: dict[str, st.SearchStrategy[Any]] = {
    "client": some("a", "b", "c", "d"),
    "client_group": some("edge", "lab"),
    "group": some("x", "X", "y", "cn=z, ou=g"),
    "user": some("alice", "Alice", "bob"),
    "realm": some("*", "r", "R.example"),
    "station": some("10.0.0.0/8", "10.1.0.0/16", "10.1.1.1", "::/0", "00-11-*", "00-11-22-33-44-55"),
    "days": some("mon-fri", "tue", "sat,sun"),
    "hours": some("00:00-12:00", "08:00-09:00", "12:00-24:00"),
    "NAS-Port-Type": some("5", "Virtual", "15"),
    "Called-Station-Id": some("*", "ap*", "ap1"),
}
PLAIN = st.sampled_from(sorted(CONDITIONS)).flatmap(lambda key: st.fixed_dictionaries({key: CONDITIONS[key]}))
WHENS: st.SearchStrategy[When] = st.recursive(
    st.lists(PLAIN, min_size=1, max_size=2).map(
        lambda each: {key: value for one in each for key, value in one.items()}
    ),
    lambda inner: st.builds(
        lambda key, within, beside: {**beside, key: within},
        st.sampled_from(["all", "any", "not"]),
        st.lists(inner, min_size=1, max_size=2),
        st.one_of(st.just({}), inner),
    ),
    max_leaves=4,
)


@st.composite
def policies(draw: st.DrawFn) -> list[When]:
    """Several, of which some are made from others, so that often one hides another."""
    whens = draw(st.lists(WHENS, min_size=1, max_size=4))
    for _ in range(draw(st.integers(1, 3))):
        other, more = draw(st.sampled_from(whens)), draw(WHENS)
        whens.append(draw(st.sampled_from([other, {**other, **more}, {**more, **other}, {"any": [other, more]}])))
    return whens


def situation(
    client: str, groups: list[str], user: str, typed: str, station: str, called: str, hour: int
) -> Situation:
    attributes = [
        (Attribute.USER_NAME, typed.encode()),
        (Attribute.CALLING_STATION_ID, station.encode()),
        (Attribute.CALLED_STATION_ID, called.encode()),
        (61, (5 if hour % 2 else 15).to_bytes(4, "big")),
    ]
    nas = Nas(client, Profile("generic"), groups=frozenset(CLIENT_GROUPS[client]))
    request = AccessRequest(nas, tuple(attributes[hour % 5 :]), None, "192.0.2.1:1", 0.0)
    now = datetime(2026, 10, 14, tzinfo=UTC).timestamp() + hour * 3600
    return Situation(request, User("u", user, "dn", groups=frozenset(groups)), now, ZoneInfo("UTC"))


SITUATIONS = st.builds(
    situation,
    st.sampled_from(sorted(CLIENT_GROUPS)),
    st.lists(st.sampled_from(["x", "y", "cn=z,ou=g"])),
    st.sampled_from(["alice", "ALICE", "bob", "eve"]),
    st.sampled_from(["alice", "R\\alice", "alice@r", "alice@other", "R.EXAMPLE\\alice@r"]),
    st.sampled_from(
        ["10.1.1.1", "10.1.2.3", "10.9.9.9", "192.0.2.1", "2001:db8::1", "00:11:22:33:44:55", "0011.ffff.ffff"]
    ),
    st.sampled_from(["ap1", "ap2", "x"]),
    st.integers(0, 24 * 7),
)


def configuration(whens: list[When]) -> Configuration:
    return Configuration.model_validate(
        {
            "listen": [{"udp": "127.0.0.1:1812"}],
            "clients": CLIENTS,
            "directory": {"static": {"users": [{"username": "alice", "password": HASH}]}},
            "policies": [{"name": f"p{at}", "when": when} for at, when in enumerate(whens)],
        }
    )


@given(policies(), st.lists(SITUATIONS, min_size=5, max_size=20))
def test_a_policy_that_is_said_to_be_hidden_never_decides(whens: list[When], situations: list[Situation]) -> None:
    found = configuration(whens)
    built = policies_of(found, DICTIONARY)

    for at, before in hidden_by(found.policies, found.clients).items():
        for each in situations:
            assert evaluate(built, each).policy is not built[at]
            # And those that are named are to blame.
            assert built[at].failed(each) or any(built[place].failed(each) is None for place in before)


@given(WHENS, WHENS, st.lists(SITUATIONS, min_size=5, max_size=20))
def test_what_is_said_never_to_hold_never_does(one: When, other: When, situations: list[Situation]) -> None:
    found = configuration([{"all": [one, other]}])
    (built,) = policies_of(found, DICTIONARY)

    if never_holds(found.policies[0].when, found.clients):
        assert all(built.failed(each) for each in situations)


@given(policies())
def test_filing_finds_what_comparing_all_with_all_would(whens: list[When]) -> None:
    found = configuration(whens)
    groups = {name: frozenset(groups) for name, groups in CLIENT_GROUPS.items()}
    facts = [tuple(reachable._facts(policy.when)) for policy in found.policies]
    expected = {}
    for at, own in enumerate(facts):
        each = [
            next((place for place in range(at) if reachable._imply(case, facts[place], groups)), None)
            for case in reachable._by_client(own)
        ]
        if None not in each:
            expected[at] = tuple(sorted({place for place in each if place is not None}))

    assert hidden_by(found.policies, found.clients) == expected


# --- in no time -------------------------------------------------------------------------------------


def nested(when: When, depth: int) -> When:
    for _ in range(depth):
        when = {"any": [when, {"user": "u"}]}
    return when


SIXTEEN = [f"c{each}" for each in range(16)]


MANY: dict[str, Callable[[int], When]] = {
    "of a group": lambda at: {"group": f"g{at}"},
    "of a client and a group": lambda at: {"client": f"c{at % 50}", "group": f"g{at}"},
    "of what all share and a group": lambda at: {
        "client": SIXTEEN,
        "group": [f"g{at}", f"g{at + 1}"],
        "days": "mon-fri",
        "station": "10.0.0.0/8",
    },
    "of alternatives": lambda at: {
        "client": SIXTEEN,
        "group": "g",
        "any": [{"group": f"g{at + each}"} for each in range(10)],
    },
    "of users": lambda at: {"user": [f"u{at * 37 % 5000 + each}" for each in range(100)]},
    "of stations": lambda at: {"station": [f"10.{at % 250}.{each}.{at // 250}" for each in range(50)]},
    "of one within another": lambda at: nested({"group": [f"g{at}", f"h{at}"]}, 5),
    "of none": lambda at: {"client": SIXTEEN, "not": {"group": f"g{at}"}},
    "of hours": lambda at: {
        "client": SIXTEEN,
        "hours": f"{at // 60:02}:{at % 60:02}-{12 + at // 60:02}:{at % 60:02}",
    },
}


@pytest.mark.parametrize("kind", MANY)
def test_five_hundred_policies_take_no_time(kind: str) -> None:
    """Comparing all with all, client by client, would take a minute."""
    many = [Policy.model_validate({"name": f"p{at}", "when": MANY[kind](at)}) for at in range(500)]
    begun = time.process_time()

    assert hidden_by(many, []) == {}

    assert time.process_time() - begun < 2.0  # 0.5 s at most where nothing else is going on
