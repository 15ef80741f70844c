"""The conditions of a policy, each a key under its `when`.

A condition holds or does not, and can say in words what it was up against.  What the request or the directory
does not say is nothing: no condition holds of it, but for `not`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import ClassVar, Protocol

from radius_mfa.core import usernames
from radius_mfa.core.messages import AccessRequest, Attribute, User
from radius_mfa.core.record import once, record
from radius_mfa.core.stations import device_of

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHOLE_MAC = 12  # digits
_MOST_SHOWN = 10  # names of one condition, or groups of a user: there may be hundreds


@record(frozen=True, slots=False)
class Situation:
    """What a policy is asked about.  `now`: seconds since 1970, read in `zone` where days and hours matter.

    What many policies look at is worked out once.
    """

    request: AccessRequest
    user: User
    now: float
    zone: tzinfo

    @once
    def local(self) -> datetime:
        return datetime.fromtimestamp(self.now, self.zone)

    @once
    def username(self) -> str:
        """As the directory spells it, folded."""
        return usernames.fold(self.user.username)

    @once
    def realm(self) -> str:
        """The realm that the name was typed with, folded, as far as it is to be believed; "" for none."""
        typed = usernames.read(self.request.first(Attribute.USER_NAME))
        return usernames.realm_of(typed, self.request.nas.naming) if typed else ""

    @once
    def device(self) -> IPv4Address | IPv6Address | str | None:
        return device_of(self.request)

    def values(self, vendor: int, number: int) -> tuple[bytes, ...]:
        """Every value of an attribute of the request."""
        found = self._values.get((vendor, number))
        if found is None:
            found = self._values[vendor, number] = self.request.values(vendor, number)
        return found

    @once
    def _values(self) -> dict[tuple[int, int], tuple[bytes, ...]]:
        return {}


class Condition(Protocol):
    """One line under `when`.  `looks_at_time`: whether it may hold at one time and not at another."""

    @property
    def looks_at_time(self) -> bool: ...

    def holds(self, situation: Situation) -> bool: ...

    def told(self, situation: Situation) -> str:
        """What there is, and where it does not hold also what the policy asks for; for a reader."""
        ...


class _Compared(ABC):
    """The common shape of a condition that looks at one thing.  `key` is its name in the YAML."""

    __slots__ = ()
    key: ClassVar[str] = ""
    looks_at_time: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """What it is called for a reader."""
        return self.key

    @abstractmethod
    def holds(self, situation: Situation) -> bool:
        """Whether what the situation has will do."""

    @property
    @abstractmethod
    def wanted(self) -> str:
        """What the policy asks for, for a reader."""

    @abstractmethod
    def found(self, situation: Situation) -> str:
        """What the situation has, for a reader; empty for nothing."""

    def told(self, situation: Situation) -> str:
        found = self.found(situation) or "none"
        return f"{self.label} is {found}" + ("" if self.holds(situation) else f", not {self.wanted}")


def _some(names: Sequence[str], between: str) -> str:
    more = len(names) - _MOST_SHOWN
    return between.join([*names[:_MOST_SHOWN], *([f"{more} more"] if more > 0 else [])])


@dataclass(frozen=True, slots=True)
class OneOf(_Compared):
    """The common shape of a condition that lists names: at least one must be there."""

    names: frozenset[str]

    @property
    def wanted(self) -> str:
        return _some(sorted(self.names), " or ")


# --- who and where --------------------------------------------------------------------------------


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
        return " and ".join(sorted(situation.request.nas.groups))


@dataclass(frozen=True, slots=True)
class GroupIs(OneOf):
    """The user is in one of these directory groups; `names` are folded."""

    key: ClassVar[str] = "group"

    def holds(self, situation: Situation) -> bool:
        return not self.names.isdisjoint(situation.user.groups)

    def found(self, situation: Situation) -> str:
        return _some(sorted(situation.user.groups, key=lambda group: (group not in self.names, group)), " and ")


@dataclass(frozen=True, slots=True)
class UserIs(OneOf):
    """The user has one of these names, as the directory spells it; `names` are folded."""

    key: ClassVar[str] = "user"

    def holds(self, situation: Situation) -> bool:
        return situation.username in self.names

    def found(self, situation: Situation) -> str:
        return situation.user.username


@dataclass(frozen=True, slots=True)
class RealmIs(OneOf):
    """The user's name was typed with one of these realms (`usernames.realm_of`); `names` are folded.

    `*` is any realm.
    """

    key: ClassVar[str] = "realm"

    def holds(self, situation: Situation) -> bool:
        return bool(situation.realm) and not self.names.isdisjoint((situation.realm, usernames.ANY))

    def found(self, situation: Situation) -> str:
        return situation.realm


@dataclass(frozen=True, slots=True)
class StationIs(_Compared):
    """The device that the NAS names has an address in one of `networks`, or a MAC that begins like one of `macs`.

    `macs`: hexadecimal digits in lower case; all 12 of them are one device.
    """

    key: ClassVar[str] = "station"
    networks: tuple[IPv4Network | IPv6Network, ...]
    macs: tuple[str, ...]

    @property
    def wanted(self) -> str:
        macs = (mac if len(mac) == _WHOLE_MAC else f"{mac}*" for mac in self.macs)
        return _some([*map(str, self.networks), *macs], " or ")

    def holds(self, situation: Situation) -> bool:
        device = situation.device
        if device is None:
            return False
        if isinstance(device, str):
            return device.startswith(self.macs)
        return any(device in network for network in self.networks)

    def found(self, situation: Situation) -> str:
        device = situation.device
        return "" if device is None else str(device)


@dataclass(frozen=True, slots=True)
class AttributeIs(_Compared):
    """The request has the attribute with a value that one of `tests` takes.

    `name` and `written`: as the YAML has them.  `vendor`, 0 for none, and `number`: what it is on the wire.
    `show`: a value for a reader.
    """

    name: str
    vendor: int
    number: int
    tests: tuple[Callable[[bytes], bool], ...]
    written: tuple[str, ...]
    show: Callable[[bytes], str]

    @property
    def label(self) -> str:
        return self.name

    @property
    def wanted(self) -> str:
        return _some(self.written, " or ")

    def holds(self, situation: Situation) -> bool:
        for value in situation.values(self.vendor, self.number):
            for test in self.tests:
                if test(value):
                    return True
        return False

    def found(self, situation: Situation) -> str:
        return " and ".join(map(self.show, situation.values(self.vendor, self.number)))


# --- when -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DaysAre(_Compared):
    """Today is one of `days`: 0 is Monday."""

    key: ClassVar[str] = "days"
    looks_at_time: ClassVar[bool] = True
    days: frozenset[int]

    @property
    def wanted(self) -> str:
        return " or ".join(DAYS[day] for day in sorted(self.days))

    def holds(self, situation: Situation) -> bool:
        return situation.local.weekday() in self.days

    def found(self, situation: Situation) -> str:
        return DAYS[situation.local.weekday()]


@dataclass(frozen=True, slots=True)
class HoursAre(_Compared):
    """The time of day is within one of `ranges`: from the first until before the second, in minutes of one day."""

    key: ClassVar[str] = "hours"
    looks_at_time: ClassVar[bool] = True
    ranges: tuple[tuple[int, int], ...]

    @property
    def wanted(self) -> str:
        return " or ".join(f"{_clock(start)}-{_clock(end)}" for start, end in self.ranges)

    def holds(self, situation: Situation) -> bool:
        minute = situation.local.hour * 60 + situation.local.minute
        return any(start <= minute < end for start, end in self.ranges)

    def found(self, situation: Situation) -> str:
        return f"{situation.local:%H:%M}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# --- of other conditions --------------------------------------------------------------------------


def first(conditions: Iterable[Condition], situation: Situation, *, holds: bool) -> Condition | None:
    """The first that holds, or that does not; a loop, since a login may look at hundreds."""
    for condition in conditions:
        if condition.holds(situation) is holds:
            return condition
    return None


@dataclass(frozen=True, slots=True)
class _OfOthers:
    """The common shape of a condition that is made of others."""

    conditions: tuple[Condition, ...]

    @property
    def looks_at_time(self) -> bool:
        return any(each.looks_at_time for each in self.conditions)


@dataclass(frozen=True, slots=True)
class All(_OfOthers):
    """All of them hold, as of one mapping under `all`, `any` or `not`."""

    def holds(self, situation: Situation) -> bool:
        return first(self.conditions, situation, holds=False) is None

    def told(self, situation: Situation) -> str:
        failed = first(self.conditions, situation, holds=False)
        if failed is not None:
            return failed.told(situation)
        return " and ".join(each.told(situation) for each in self.conditions)


@dataclass(frozen=True, slots=True)
class AnyOf(_OfOthers):
    """At least one of them holds."""

    def holds(self, situation: Situation) -> bool:
        return first(self.conditions, situation, holds=True) is not None

    def told(self, situation: Situation) -> str:
        held = first(self.conditions, situation, holds=True)
        if held is not None:
            return held.told(situation)
        return "none of any: " + "; ".join(each.told(situation) for each in self.conditions)


@dataclass(frozen=True, slots=True)
class NoneOf(_OfOthers):
    """None of them holds."""

    def holds(self, situation: Situation) -> bool:
        return first(self.conditions, situation, holds=True) is None

    def told(self, situation: Situation) -> str:
        held = first(self.conditions, situation, holds=True)
        if held is not None:
            return f"not is refuted: {held.told(situation)}"
        return "not: " + "; ".join(each.told(situation) for each in self.conditions)
