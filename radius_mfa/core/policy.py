"""Which policy decides a login: the first whose conditions all hold.  None is a refusal.

`evaluate` also returns its trace, one step a policy looked at, so that `explain` can say why.
A step refers to the condition that failed and words it only when somebody reads it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar, Protocol

from radius_mfa.core import usernames
from radius_mfa.core.messages import AccessRequest, FactorKind, ReplyAttribute, User

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@lru_cache(maxsize=16_384)
def fold_group(group: str) -> str:
    """One spelling for all of one group (RFC 4514).

    Case is nothing, nor the space around a DN's `,` and `=`, nor in which way a character is escaped.
    """
    escaped = _ESCAPED.sub(_escaped_one_way, group) if "\\" in group else group
    single = re.sub(r"\s+", " ", escaped.strip())
    return re.sub(r"(?<!\\) ?(?<!\\)([,=]) ?", r"\1", single).casefold()


# Pairs of hexadecimal digits, or one of the characters that can be escaped by themselves (RFC 4514 §3).
_ESCAPED = re.compile(r"(?:\\[0-9A-Fa-f]{2})+|\\[ \"#+,;<=>\\]")
_MUST_BE_ESCAPED = frozenset('"+,;<>\\')


def _escaped_one_way(found: re.Match[str]) -> str:
    """What is escaped as itself: `\\2C` and `\\,` are `\\,`, `\\C3\\BC` is `ü`."""
    written = found[0]
    if len(written) > 2:
        try:
            written = bytes.fromhex(written.replace("\\", "")).decode()
        except UnicodeDecodeError:
            return written
        if any(unicodedata.category(each)[0] == "C" for each in written):
            return found[0]
    else:
        written = written[1]
    return "".join(f"\\{each}" if each in _MUST_BE_ESCAPED else each for each in written)


class SecondFactor(StrEnum):
    """Whether a policy asks for a second factor."""

    REQUIRED = "required"
    WHEN_ENROLLED = "when_enrolled"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Situation:
    """What a policy is asked about.  `now`: seconds since 1970, read in `zone` where days and hours matter."""

    request: AccessRequest
    user: User
    now: float
    zone: tzinfo

    @property
    def local(self) -> datetime:
        return datetime.fromtimestamp(self.now, self.zone)


class Condition(Protocol):
    """One line under `when`.  `key` is its name in the YAML."""

    key: ClassVar[str]

    def holds(self, situation: Situation) -> bool: ...

    @property
    def wanted(self) -> str:
        """What the policy asks for, for a reader."""
        ...

    def found(self, situation: Situation) -> str:
        """What the situation has instead, for a reader."""
        ...


@dataclass(frozen=True, slots=True)
class OneOf:
    """The common shape of a condition that lists names: at least one must be there."""

    names: frozenset[str]

    @property
    def wanted(self) -> str:
        return " or ".join(sorted(self.names))


@dataclass(frozen=True, slots=True)
class ClientIs(OneOf):
    """The client has one of these names."""

    key: ClassVar[str] = "client"

    def holds(self, situation: Situation) -> bool:
        return situation.request.nas.name in self.names

    def found(self, situation: Situation) -> str:
        return situation.request.nas.name


@dataclass(frozen=True, slots=True)
class ClientGroupIs(OneOf):
    """The client is in one of these groups of clients."""

    key: ClassVar[str] = "client_group"

    def holds(self, situation: Situation) -> bool:
        return not self.names.isdisjoint(situation.request.nas.groups)

    def found(self, situation: Situation) -> str:
        return " and ".join(sorted(situation.request.nas.groups)) or "none"


@dataclass(frozen=True, slots=True)
class GroupIs(OneOf):
    """The user is in one of these directory groups; `names` are folded."""

    key: ClassVar[str] = "group"

    def holds(self, situation: Situation) -> bool:
        return not self.names.isdisjoint(situation.user.groups)

    def found(self, situation: Situation) -> str:
        return " and ".join(sorted(situation.user.groups)) or "none"


@dataclass(frozen=True, slots=True)
class UserIs(OneOf):
    """The user has one of these names, as the directory spells it; `names` are folded."""

    key: ClassVar[str] = "user"

    def holds(self, situation: Situation) -> bool:
        return usernames.fold(situation.user.username) in self.names

    def found(self, situation: Situation) -> str:
        return situation.user.username


@dataclass(frozen=True, slots=True)
class DaysAre:
    """Today is one of `days`: 0 is Monday."""

    key: ClassVar[str] = "days"
    days: frozenset[int]

    @property
    def wanted(self) -> str:
        return " or ".join(_DAYS[day] for day in sorted(self.days))

    def holds(self, situation: Situation) -> bool:
        return situation.local.weekday() in self.days

    def found(self, situation: Situation) -> str:
        return _DAYS[situation.local.weekday()]


@dataclass(frozen=True, slots=True)
class HoursAre:
    """The time of day is within one of `ranges`: from the first until before the second, in minutes.

    Past midnight where the second is not later than the first.
    """

    key: ClassVar[str] = "hours"
    ranges: tuple[tuple[int, int], ...]

    @property
    def wanted(self) -> str:
        return " or ".join(f"{_clock(start)}-{_clock(end)}" for start, end in self.ranges)

    def holds(self, situation: Situation) -> bool:
        minute = situation.local.hour * 60 + situation.local.minute
        return any(
            start <= minute < end if start < end else minute >= start or minute < end for start, end in self.ranges
        )

    def found(self, situation: Situation) -> str:
        return f"{situation.local:%H:%M}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@dataclass(frozen=True, slots=True)
class Policy:
    """One rule of the YAML.  `factors`: those that may answer its challenge."""

    name: str
    conditions: tuple[Condition, ...] = ()
    second_factor: SecondFactor = SecondFactor.REQUIRED
    factors: frozenset[FactorKind] = frozenset({FactorKind.TOTP})
    trust_device: bool = False
    reply: tuple[ReplyAttribute, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A policy that was looked at; `failed`: the first condition that did not hold, None where all did."""

    policy: str
    failed: Condition | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The policy that decides, None for a refusal, and how it was come to."""

    policy: Policy | None
    trace: tuple[Step, ...]


def evaluate(policies: Sequence[Policy], situation: Situation) -> Evaluation:
    """The first policy that matches, with the trace up to it."""
    trace = []
    for policy in policies:
        failed = next((each for each in policy.conditions if not each.holds(situation)), None)
        trace.append(Step(policy.name, failed))
        if failed is None:
            return Evaluation(policy, tuple(trace))
    return Evaluation(None, tuple(trace))
