"""The policies of the YAML as the core goes by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from radius_mfa.config import model
from radius_mfa.core import usernames
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
    StationIs,
    UserIs,
)
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.groups import fold_group
from radius_mfa.core.messages import ReplyAttribute
from radius_mfa.core.policy import Policy
from radius_mfa.core.returns import ELSE, Returned, Returns, Template
from radius_mfa.wire.dictionary import Dictionary, DictionaryError
from radius_mfa.wire.matching import attribute_test
from radius_mfa.wire.packet import LONGEST_REPLY


def policies_of(configuration: model.Configuration, dictionary: Dictionary) -> tuple[Policy, ...]:
    """The policies, in the order they decide."""
    return tuple(
        Policy(
            name=policy.name,
            conditions=tuple(_conditions(policy.when, dictionary)),
            second_factor=policy.second_factor,
            factors=configuration.factors_of(policy),
            trust_device=policy.trust_device,
            unenrolled_until=_end_of(policy.unenrolled, configuration.timezone) if policy.unenrolled else 0.0,
            reply=_returns(policy.reply, dictionary),
        )
        for policy in configuration.policies
    )


def entry_attributes_of(configuration: model.Configuration) -> tuple[str, ...]:
    """What policies return of a user's directory entry."""
    names = {name for policy in configuration.policies for name in _returned(policy.reply).entry_attributes}
    return tuple(sorted(names))


def _end_of(day: date, zone: tzinfo) -> float:
    if day == date.max:  # there is none after it
        return math.inf
    return datetime.combine(day + timedelta(days=1), time.min, zone).timestamp()


# --- conditions -----------------------------------------------------------------------------------

# Every condition there is but attributes, by its field, the cheapest to refute first.
_CONDITIONS: dict[str, Callable[[Any, Dictionary], Condition]] = {
    "client": lambda names, _: ClientIs(frozenset(names)),
    "client_group": lambda names, _: ClientGroupIs(frozenset(names)),
    "user": lambda names, _: UserIs(frozenset(map(usernames.fold, names))),
    "group": lambda names, _: GroupIs(frozenset(map(fold_group, names))),
    "realm": lambda names, _: RealmIs(frozenset(map(usernames.fold, names))),
    "station": lambda stations, _: _station(stations),
    "days": lambda days, _: DaysAre(frozenset().union(*days)),
    "hours": lambda hours, _: HoursAre(tuple((each.start, each.end) for each in hours)),
    "all": lambda inner, dictionary: All(_each(inner, dictionary)),
    "any": lambda inner, dictionary: AnyOf(_each(inner, dictionary)),
    "not_": lambda inner, dictionary: NoneOf(_each(inner, dictionary)),
}


def _conditions(when: model.When, dictionary: Dictionary) -> list[Condition]:
    """The conditions of a policy.  One we cannot build is an error: without it the policy would match more."""
    asked = when.model_fields_set - when.attributes.keys()
    if unknown := asked - _CONDITIONS.keys():
        raise ConfigurationError(f"policies: when: {min(unknown)}: there is no such condition")
    attributes = [_attribute(name, values, dictionary) for name, values in when.attributes.items()]
    return [
        build(getattr(when, key), dictionary) for key, build in _CONDITIONS.items() if key in asked
    ] + attributes


def _each(inner: Sequence[model.When], dictionary: Dictionary) -> tuple[Condition, ...]:
    """Of each mapping, one condition."""
    found = (_conditions(each, dictionary) for each in inner)
    return tuple(each[0] if len(each) == 1 else All(tuple(each)) for each in found)


def _station(stations: Sequence[IPv4Network | IPv6Network | str]) -> StationIs:
    networks = tuple(each for each in stations if not isinstance(each, str))
    return StationIs(networks, tuple(each for each in stations if isinstance(each, str)))


def _attribute(name: str, written: Sequence[str], dictionary: Dictionary) -> AttributeIs:
    definition = dictionary.definition(name)

    def shown(value: bytes) -> str:
        return dictionary.show_one(definition.vendor, definition.number, value)[1]

    tests = tuple(attribute_test(dictionary, name, each) for each in written)
    return AttributeIs(definition.name, definition.vendor, definition.number, tests, tuple(written), shown)


# --- what is returned -----------------------------------------------------------------------------


def _returns(reply: Mapping[str, Mapping[str, Sequence[str]]], dictionary: Dictionary) -> Returns:
    def unfit(attributes: Sequence[ReplyAttribute]) -> str:
        try:
            octets = sum(2 + len(dictionary.encode(each.name, each.value)[1]) for each in attributes)
        except DictionaryError as wrong:
            return str(wrong)
        return f"{octets} octets in all; there is room for {LONGEST_REPLY}" if octets > LONGEST_REPLY else ""

    return Returns(_returned(reply).attributes, unfit)


def _returned(reply: Mapping[str, Mapping[str, Sequence[str]]]) -> Returns:
    return Returns(
        tuple(
            Returned(
                name,
                tuple(
                    (fold_group(group), _templates(values))
                    for group, values in by_group.items()
                    if group not in ("", ELSE)
                ),
                _templates(by_group.get("", by_group.get(ELSE, ()))),
            )
            for name, by_group in reply.items()
        )
    )


def _templates(values: Sequence[str]) -> tuple[Template, ...]:
    return tuple(map(Template.read, values))
