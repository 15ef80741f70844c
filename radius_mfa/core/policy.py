"""Which policy decides a login: the first whose conditions all hold.  None is a refusal.

`Policies` finds it for a login, and looks at those alone that may match; `evaluate` looks at one after another
and keeps its trace, so that `explain` can say why.  A test holds that both come to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from radius_mfa.core import usernames
from radius_mfa.core.conditions import (
    ClientGroupIs,
    ClientIs,
    Condition,
    GroupIs,
    OneOf,
    RealmIs,
    Situation,
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


@dataclass(slots=True)
class _OfClient:
    """The policies that may match at a client, by their places in the list.

    Each stands once: with the users, the groups or the realms that it names, or with the rest.
    """

    by_user: dict[str, list[int]] = field(default_factory=dict)
    by_group: dict[str, list[int]] = field(default_factory=dict)
    by_realm: dict[str, list[int]] = field(default_factory=dict)
    rest: list[int] = field(default_factory=list)

    def file(self, place: int, policy: Policy) -> None:
        """Where it is found by what it asks of the user."""
        for condition in policy.conditions:
            filed = self._where(condition)
            if filed is not None and isinstance(condition, OneOf):
                for name in condition.names:
                    filed.setdefault(name, []).append(place)
                return
        self.rest.append(place)

    def _where(self, condition: Condition) -> dict[str, list[int]] | None:
        match condition:
            case UserIs():
                return self.by_user
            case GroupIs():
                return self.by_group
            case RealmIs(names) if usernames.ANY not in names:
                return self.by_realm
        return None

    def places(self, situation: Situation) -> list[int]:
        """Of those that its user may match, in order."""
        found = [*self.by_user.get(situation.username, ())] if self.by_user else []
        found += self.by_realm.get(situation.realm, ()) if self.by_realm else ()
        for group in self.by_group.keys() & situation.user.groups:
            found += self.by_group[group]
        return sorted({*self.rest, *found}) if found else self.rest


class Policies:
    """The policies of a configuration, found without looking at all of them.

    What a policy asks of the client is looked at once a client, and of what it asks of users, groups or realms the
    first such condition leads to it: a login costs what those cost that are about its user.
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
