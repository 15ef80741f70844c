"""From the YAML to the policies: nothing an administrator asks for may be lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from radius_mfa.assembly.policies import entry_attributes_of, policies_of
from radius_mfa.config.load import load
from radius_mfa.config.model import Configuration, When
from radius_mfa.config.section import fields_of
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
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.messages import AccessRequest, Attribute, FactorKind, Nas, Profile, ReplyAttribute, User
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.wire.dictionary import DictionaryError
from tests.config.support import DICTIONARY, SMALL, policy, spoilt

# Every key of `when`, with what it becomes and is read as, and a condition that holds nowhere.
EVERY_CONDITION: dict[str, tuple[str, type[Condition], str]] = {
    "client": ("vpn", ClientIs, "vpn"),
    "client_group": ("gateways", ClientGroupIs, "gateways"),
    "user": ("[Alice, bob]", UserIs, "alice or bob"),
    "group": ("'CN=Staff, OU=Groups'", GroupIs, "cn=staff,ou=groups"),
    "realm": ("[Example.ORG, '*']", RealmIs, "* or example.org"),
    "station": ("[10.0.0.0/8, 00-11-22-*]", StationIs, "10.0.0.0/8 or 001122*"),
    "days": ("[mon-tue, sun]", DaysAre, "mon or tue or sun"),
    "hours": ('["08:00-12:00", "22:00-24:00"]', HoursAre, "08:00-12:00 or 22:00-24:00"),
}
OF_OTHERS = {"all": All, "any": AnyOf, "not": NoneOf}


def loaded(folder: Path, text: str) -> Configuration:
    path = folder / "radius-mfa.yaml"
    path.write_text(text)
    return load(path, {}, DICTIONARY).configuration


def built(folder: Path, text: str) -> Policy:
    (found,) = policies_of(loaded(folder, text), DICTIONARY)
    return found


def conditions(folder: Path, when: str) -> tuple[Condition, ...]:
    return built(folder, spoilt("{client: vpn}", when)).conditions


def situation(*attributes: tuple[int, bytes], groups: frozenset[str] = frozenset()) -> Situation:
    request = AccessRequest(Nas("vpn", Profile("generic")), attributes, None, "192.0.2.1:1", 0.0)
    return Situation(request, User("u", "Alice", "dn", groups=groups), 0.0, ZoneInfo("UTC"))


# --- conditions -----------------------------------------------------------------------------------


def test_every_key_of_when_is_here() -> None:
    assert {*EVERY_CONDITION, *OF_OTHERS} == {*fields_of(When)}


@pytest.mark.parametrize("key", EVERY_CONDITION)
def test_every_key_of_when_becomes_a_condition(tmp_path: Path, key: str) -> None:
    written, kind, wanted = EVERY_CONDITION[key]
    (found,) = conditions(tmp_path, f"{{{key}: {written}}}")

    assert isinstance(found, kind)
    assert (getattr(found, "key", None), getattr(found, "wanted", None)) == (key, wanted)


@pytest.mark.parametrize("key", EVERY_CONDITION)
@pytest.mark.parametrize("outer", OF_OTHERS)
@pytest.mark.parametrize(
    "form", ["{%s}", "[{%s}]", "[{days: mon}, {%s}]", "{days: mon, %s}", "{all: {any: {%s}}}"]
)
def test_every_key_within_others_becomes_one_too(tmp_path: Path, key: str, outer: str, form: str) -> None:
    if key == "days":
        form = form.replace("days: mon", "user: u")
    written, kind, wanted = EVERY_CONDITION[key]
    (found,) = conditions(tmp_path, f"{{{outer}: {form % f'{key}: {written}'}}}")

    assert isinstance(found, OF_OTHERS[outer])
    within = [each for each in innermost(found) if isinstance(each, kind)]
    assert [getattr(each, "wanted", None) for each in within] == [wanted]


def innermost(condition: Condition) -> list[Condition]:
    if isinstance(condition, All | AnyOf | NoneOf):
        return [one for each in condition.conditions for one in innermost(each)]
    return [condition]


def test_of_all_that_is_written_nothing_is_left_out(tmp_path: Path) -> None:
    lines = "".join(f"      {key}: {written}\n" for key, (written, *_) in EVERY_CONDITION.items())
    others = "".join(f"      {key}: {{client: vpn}}\n" for key in OF_OTHERS)
    found = conditions(tmp_path, f"\n{lines}{others}      NAS-Port: 1\n      Service-Type: [2, Login-User]\n")

    kinds = [kind for _, kind, _ in EVERY_CONDITION.values()]
    assert list(map(type, found)) == [*kinds, *OF_OTHERS.values(), AttributeIs, AttributeIs]


def test_what_stands_in_one_mapping_must_hold_together(tmp_path: Path) -> None:
    """`not: {a, b}` is refuted by both, and `not: [{a}, {b}]` by either."""
    (together,) = conditions(tmp_path, "{not: {user: alice, group: staff}}")
    (either,) = conditions(tmp_path, "{not: [{user: alice}, {group: staff}]}")

    assert together.holds(situation())
    assert not together.holds(situation(groups=frozenset({"staff"})))
    assert not either.holds(situation())


def test_a_policy_without_conditions_has_none(tmp_path: Path) -> None:
    assert conditions(tmp_path, "{}") == ()
    assert built(tmp_path, spoilt("    when: {client: vpn}\n", "")).conditions == ()


def test_a_condition_that_cannot_be_built_is_an_error_and_never_left_out(tmp_path: Path) -> None:
    """Without it the policy would match more than was written."""

    class Later(When):
        weather: str = ""

    configuration = loaded(tmp_path, SMALL)
    (policy,) = configuration.policies

    def under(when: When) -> Configuration:
        return configuration.model_copy(update={"policies": (policy.model_copy(update={"when": when}),)})

    with pytest.raises(ConfigurationError, match="policies: when: weather: there is no such condition"):
        policies_of(under(Later.model_validate({"client": "vpn", "weather": "rain"})), DICTIONARY)
    with pytest.raises(DictionaryError, match="unknown attribute 'weather'"):
        policies_of(under(When.model_validate({"client": "vpn", "weather": "rain"})), DICTIONARY)


def test_an_attribute_is_looked_at_by_its_number_and_shown_by_its_names(tmp_path: Path) -> None:
    (found,) = conditions(tmp_path, "{nas-port-type: [virtual, 15]}")

    assert isinstance(found, AttributeIs)
    assert found.holds(situation((61, bytes(3) + b"\x05")))
    assert found.told(situation((61, bytes(3) + b"\x13"))) == "NAS-Port-Type is Wireless-802.11, not virtual or 15"
    assert found.told(situation((61, b"\x1b"))) == "NAS-Port-Type is 0x1b, not virtual or 15"
    assert found.told(situation()) == "NAS-Port-Type is none, not virtual or 15"


def test_a_vendors_attribute_is_looked_at_within_the_vendors(tmp_path: Path) -> None:
    """RFC 2865 §5.26."""
    (found,) = conditions(tmp_path, "{Cisco-AVPair: 'a=*'}")
    inside = (Attribute.VENDOR_SPECIFIC, (9).to_bytes(4, "big") + bytes([1, 5]) + b"a=\x1b")

    assert found.told(situation(inside)) == "Cisco-AVPair is a=\\x1b"
    assert not found.holds(situation((1, b"a=b")))


# --- the rest of a policy ---------------------------------------------------------------------------


def test_a_policy_is_what_is_written(tmp_path: Path) -> None:
    lines = ("second_factor: when_enrolled", "factors: recovery_codes", "trust_device: true")
    found = built(tmp_path, policy(*lines) + "factors: {totp: {}, recovery_codes: {}}\n")

    assert (found.name, found.second_factor, found.trust_device) == ("vpn", SecondFactor.WHEN_ENROLLED, True)
    assert found.factors == {FactorKind.RECOVERY_CODES}
    assert (found.unenrolled_until, found.reply.attributes) == (0.0, ())


@pytest.mark.parametrize(
    ("zone", "day", "until"),
    [
        ("UTC", "2027-03-31", datetime(2027, 4, 1, tzinfo=UTC)),
        ("Asia/Tokyo", "2027-03-31", datetime(2027, 3, 31, 15, tzinfo=UTC)),
        ("Europe/Vienna", "2027-03-28", datetime(2027, 3, 28, 22, tzinfo=UTC)),  # a day of 23 hours
        ("America/Los_Angeles", "2027-12-31", datetime(2028, 1, 1, 8, tzinfo=UTC)),
    ],
)
def test_who_is_not_enrolled_is_let_in_until_the_day_is_over_where_the_server_is(
    tmp_path: Path, zone: str, day: str, until: datetime
) -> None:
    text = policy(f"unenrolled: allow_until {day}") + f"timezone: {zone}\n"

    assert built(tmp_path, text).unenrolled_until == until.timestamp()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
@pytest.mark.parametrize(("day", "over"), [("9999-12-31", False), ("0001-01-01", True)])
def test_the_last_day_there_is_and_the_first_are_days(tmp_path: Path, zone: str, day: str, over: bool) -> None:
    until = built(tmp_path, policy(f"unenrolled: allow_until {day}") + f"timezone: {zone}\n").unenrolled_until

    assert (until < datetime(2026, 1, 1, tzinfo=UTC).timestamp()) is over
    assert over or until > datetime.max.replace(tzinfo=ZoneInfo(zone)).timestamp()  # the whole of that day


# --- what is returned -------------------------------------------------------------------------------

BY_GROUP = "reply: {Class: {'CN=Staff, OU=g': [a, '{Mail}'], cn=all: b, else: c}, Filter-Id: '{l|x}', vlan: 7}"


def returned(
    policy: Policy, groups: frozenset[str] = frozenset(), **attributes: tuple[str, ...]
) -> list[str] | str:
    user = User("u", "alice", "dn", groups=groups, attributes=attributes)
    found = policy.reply.filled(policy.reply.known_of(user))
    return found if isinstance(found, str) else [f"{each.name}={each.value}" for each in found]


def test_all_that_is_written_is_returned(tmp_path: Path) -> None:
    found = built(tmp_path, policy(BY_GROUP))
    vlan = ["Tunnel-Type=VLAN", "Tunnel-Medium-Type=IEEE-802", "Tunnel-Private-Group-Id=7"]

    assert returned(found) == ["Class=c", "Filter-Id=x", *vlan]
    assert returned(found, frozenset({"cn=all"}), l=("Wien",)) == ["Class=b", "Filter-Id=Wien", *vlan]
    staff = frozenset({"cn=all", "cn=staff,ou=g"})
    assert returned(found, staff, mail=("m", "n")) == ["Class=a", "Class=m", "Class=n", "Filter-Id=x", *vlan]


def test_who_is_in_no_group_is_returned_nothing_where_nothing_is_said(tmp_path: Path) -> None:
    assert returned(built(tmp_path, policy("reply: {Class: {staff: a}}"))) == []


def test_what_is_the_same_for_everybody_is_as_it_is_written(tmp_path: Path) -> None:
    found = built(tmp_path, policy("reply: {Class: [a, '{{b}}'], Session-Timeout: 0060}"))

    assert found.reply.filled(()) == (
        ReplyAttribute("Class", "a"),
        ReplyAttribute("Class", "{b}"),
        ReplyAttribute("Session-Timeout", "0060"),
    )


@pytest.mark.parametrize(
    ("reply", "value", "why"),
    [
        ("Session-Timeout: '{l}'", "an hour", "Session-Timeout: 'an hour' is not a number"),
        ("Session-Timeout: '{l}'", "3600", ""),
        ("vlan: '{l}'", "5000", "Tunnel-Private-Group-Id: VLAN 5000 is not in 1-4094"),
        ("Framed-IP-Address: '{l}'", "10.0.0", "Framed-IP-Address: '10.0.0' is not an IPv4 address"),
        ("Filter-Id: '{l}'", "x" * 254, "Filter-Id: 254 octets are too many: 253 fit in"),
        (
            "Filter-Id: ['{l}', " + ", ".join(["'{l}'"] * 11) + "]",
            "x" * 250,
            "3024 octets in all; there is room for",
        ),
        ("Class: '{l}'", "0x0", "Class: '0x0' is not text, or 0x and pairs of hexadecimal digits"),
    ],
)
def test_what_an_entry_has_must_make_an_attribute(tmp_path: Path, reply: str, value: str, why: str) -> None:
    found = returned(built(tmp_path, policy(f"reply: {{{reply}}}")), l=(value,))

    assert found.startswith(why) if isinstance(found, str) else not why


def test_the_directory_is_asked_for_what_all_policies_return_of_an_entry(tmp_path: Path) -> None:
    more = (
        "  - {name: b, reply: {Class: '{departmentNumber}-{MAIL|none}'}}\n  - {name: c, reply: {Class: '{{x}}'}}\n"
    )

    assert entry_attributes_of(loaded(tmp_path, policy(BY_GROUP) + more)) == ("departmentnumber", "l", "mail")
    assert entry_attributes_of(loaded(tmp_path, SMALL)) == ()
