"""Which policy decides a login: the first whose conditions all hold.  None is a refusal.

`Policies` finds it for a login, and looks at those alone that may match; `evaluate` looks at one after another
and keeps its trace, so that `explain` can say why.  A test holds that both come to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from itertools import chain
from typing import Any

from radius_mfa.core import usernames
from radius_mfa.core.conditions import (
    All,
    AnyOf,
    AttributeIs,
    ClientGroupIs,
    ClientIs,
    Condition,
    GroupIs,
    RealmIs,
    Situation,
    StationIs,
    UserIs,
    first,
)
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.returns import NOTHING, Returns


class SecondFactor(StrEnum):
    """Whether a policy asks for a second factor."""

    REQUIRED = "required"
    WHEN_ENROLLED = "when_enrolled"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Policy:
    """One rule of the YAML.  `factors`: those that may answer its challenge.

    `unenrolled_until`: wall seconds until which who has never had a second factor is let in without;
    0: never.  `reply`: what an Access-Accept returns.
    """

    name: str
    conditions: tuple[Condition, ...] = ()
    second_factor: SecondFactor = SecondFactor.REQUIRED
    factors: frozenset[FactorKind] = frozenset({FactorKind.TOTP})
    trust_device: bool = False
    unenrolled_until: float = 0.0
    reply: Returns = NOTHING

    def lets_in_unenrolled(self, now: float) -> Outcome | None:
        """How whoever has never had a second factor is let in by the password; None: not at all."""
        if self.second_factor is SecondFactor.WHEN_ENROLLED:
            return Outcome.ACCEPTED_BY_PASSWORD
        return Outcome.ACCEPTED_UNENROLLED if now < self.unenrolled_until else None

    def failed(self, situation: Situation) -> Condition | None:
        """The first condition that does not hold; None where the policy matches."""
        return first(self.conditions, situation, holds=False)


@dataclass(frozen=True, slots=True)
class Step:
    """A policy that was looked at; `failed`: the first condition that did not hold, None where all did."""

    policy: Policy
    failed: Condition | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The policy that decides, None for a refusal, and how it was come to."""

    policy: Policy | None
    trace: tuple[Step, ...]


def evaluate(policies: Iterable[Policy], situation: Situation) -> Evaluation:
    """The first policy that matches, with the trace up to it."""
    trace = []
    for policy in policies:
        failed = policy.failed(situation)
        trace.append(Step(policy, failed))
        if failed is None:
            return Evaluation(policy, tuple(trace))
    return Evaluation(None, tuple(trace))


_Filed = dict[Any, list[int]]
_Leads = list[tuple[_Filed, Any]]
_NO_ADDRESS = 0  # a MAC, where an address has its version


@dataclass(slots=True)
class _OfClient:
    """The policies that may match at a client, by their places in the list.

    Each is filed under all that leads to one of its conditions, which does not hold without any of it; or it
    stands with the rest.  `by_station`: under how a MAC or an address begins; `beginnings`: what of, and how much.
    `by_attribute`: under vendor and number, whatever the value.
    """

    by_user: _Filed = field(default_factory=dict)
    by_group: _Filed = field(default_factory=dict)
    by_realm: _Filed = field(default_factory=dict)
    by_station: _Filed = field(default_factory=dict)
    beginnings: set[tuple[int, int]] = field(default_factory=set)
    by_attribute: _Filed = field(default_factory=dict)
    rest: list[int] = field(default_factory=list)

    def file(self, place: int, policy: Policy) -> None:
        """Where it is found by what it asks for."""
        leads = self._leads_to_all(policy.conditions)
        if leads is None:
            self.rest.append(place)
            return
        for filed, key in leads:
            filed.setdefault(key, []).append(place)
            if filed is self.by_station:
                self.beginnings.add(key[:2])

    def _leads_to_all(self, conditions: Iterable[Condition]) -> _Leads | None:
        """What leads to one of them; an attribute only where nothing else does: it may be in every request."""
        found = [leads for each in conditions if (leads := self._leads(each)) is not None]
        return min(found, key=lambda leads: any(filed is self.by_attribute for filed, _ in leads), default=None)

    def _leads(self, condition: Condition) -> _Leads | None:
        match condition:
            case UserIs(names):
                return [(self.by_user, name) for name in names]
            case GroupIs(names):
                return [(self.by_group, name) for name in names]
            case RealmIs(names) if usernames.ANY not in names:
                return [(self.by_realm, name) for name in names]
            case StationIs(networks, macs):
                addresses = [_beginning(each.network_address, each.prefixlen) for each in networks]
                return [
                    (self.by_station, key) for key in [*addresses, *(_beginning(mac, len(mac)) for mac in macs)]
                ]
            case AttributeIs():
                return [(self.by_attribute, (condition.vendor, condition.number))]
            case All(conditions):
                return self._leads_to_all(conditions)
            case AnyOf(conditions):
                found = [leads for each in conditions if (leads := self._leads(each)) is not None]
                return [*chain(*found)] if len(found) == len(conditions) else None
        return None

    def places(self, situation: Situation) -> list[int]:
        """Of those that what is known of the login leads to, in order."""
        found = [*self.by_user.get(situation.username, ())] if self.by_user else []
        found += self.by_realm.get(situation.realm, ()) if self.by_realm else ()
        for group in self.by_group.keys() & situation.user.groups:
            found += self.by_group[group]
        if self.by_station and (device := situation.device) is not None:
            for what, length in self.beginnings:
                if what == _kind_of(device):
                    found += self.by_station.get(_beginning(device, length), ())
        for attribute, places in self.by_attribute.items():
            if situation.values(*attribute):
                found += places
        return sorted({*self.rest, *found}) if found else self.rest


def _kind_of(device: IPv4Address | IPv6Address | str) -> int:
    return _NO_ADDRESS if isinstance(device, str) else device.version


def _beginning(device: IPv4Address | IPv6Address | str, length: int) -> tuple[int, int, str | int]:
    """The first so many digits of a MAC, or bits of an address, and what they are of."""
    if isinstance(device, str):
        return _NO_ADDRESS, length, device[:length]
    return device.version, length, int(device) >> (device.max_prefixlen - length)


class Policies:
    """The policies of a configuration, found without looking at all of them.

    What a policy asks of the client is looked at once a client.  Of what else it asks for one condition leads to
    it: the first on users, groups, realms or stations, or else on an attribute that has to be there.  A login
    costs what those cost that are about it.
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = tuple(policies)
        self._named = {policy.name: policy for policy in policies}
        self._of_client: dict[tuple[str, frozenset[str]], _OfClient] = {}

    def named(self, name: str) -> Policy | None:
        """The policy of that name."""
        return self._named.get(name)

    def deciding(self, situation: Situation) -> Policy | None:
        """The first that matches."""
        nas = situation.request.nas
        client = (nas.name, nas.groups)
        of_client = self._of_client.get(client)
        if of_client is None:
            of_client = self._of_client[client] = self._filed(situation)
        for place in of_client.places(situation):
            policy = self._policies[place]
            if policy.failed(situation) is None:
                return policy
        return None

    def _filed(self, situation: Situation) -> _OfClient:
        filed = _OfClient()
        for place, policy in enumerate(self._policies):
            about_client = (each for each in policy.conditions if isinstance(each, ClientIs | ClientGroupIs))
            if all(each.holds(situation) for each in about_client):
                filed.file(place, policy)
        return filed
