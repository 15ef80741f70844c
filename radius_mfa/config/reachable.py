"""Policies that never decide: one before them takes all that they would, or what they ask for is never so.

What one policy asks for implies what another does wherever that can be told from the two alone: of two lists of
names the shorter, of two prefixes the longer.  What cannot be told is passed over: a policy that is found here is
hidden for certain, and one that is not may be hidden all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from radius_mfa.config.model import Client, Policy, When
from radius_mfa.config.values import Network
from radius_mfa.core import usernames
from radius_mfa.core.groups import fold_group

_MOST_CLIENTS = 16  # of one policy that are looked at one by one
_MOST_ALTERNATIVES = 100  # of one `any`, likewise
_FOLDS: dict[str, Callable[[str], str]] = {"group": fold_group, "user": usernames.fold, "realm": usernames.fold}
_UNLISTED = ("hours", "not_")  # what implies them cannot be listed
_MAC = 48  # the bits of one, and what marks them
_ONE_OF = ("client", "user", "realm", "days")  # of which there is but one at a time

Fact = tuple[str, Any]
"""A key of `when` with its values, folded, all of `all` among them."""

Groups = Mapping[str, frozenset[str]]
"""Of each client, by its name, the groups it is in."""


def hidden_by(policies: Sequence[Policy], clients: Iterable[Client]) -> dict[int, tuple[int, ...]]:
    """By its place, of every policy that never decides: the places of those before it that hide it."""
    groups = {client.name: frozenset(client.groups) for client in clients}
    facts = [tuple(_facts(policy.when)) for policy in policies]
    before = _Filed(facts, groups)
    hidden: dict[int, tuple[int, ...]] = {}
    for at in range(len(facts)):
        cases = _by_client(facts[at])
        possible = before.that_may_take(cases)
        each = [next((place for place in possible if before.takes(place, case)), None) for case in cases]
        found = tuple(sorted({place for place in each if place is not None}))
        if found and None not in each:
            hidden[at] = found
        before.file(at)
    return hidden


def _by_client(facts: Sequence[Fact]) -> list[Sequence[Fact]]:
    """The same once for each client that it names: what several before it take together, none may take alone."""
    named = next((values for key, values in facts if key == "client"), None)
    if named is None or len(named) > _MOST_CLIENTS:
        return [facts]
    rest = [fact for fact in facts if fact[0] != "client"]
    return [[("client", frozenset({name})), *rest] for name in sorted(named)]


# --- what is never so -----------------------------------------------------------------------------


def never_holds(when: When, clients: Iterable[Client]) -> str:
    """Why what a policy asks for can never be, as the end of a sentence; "" where it may, or cannot be told.

    Names that no client has are passed over: somebody may be about to come.
    """
    return _contradiction(tuple(_facts(when)), {client.name: frozenset(client.groups) for client in clients})


def _contradiction(facts: Sequence[Fact], groups: Groups) -> str:
    given: dict[str, list[Any]] = defaultdict(list)
    for key, values in facts:
        given[key].append(values)
    for key in _ONE_OF:
        each = [values for values in given[key] if usernames.ANY not in values]
        if len(each) > 1 and not frozenset.intersection(*each):
            return f"no {key.removesuffix('s')} is in all that it asks for"
    if any(_are_apart(one, other) for one, other in combinations(given["station"], 2)):
        return "no station is in all that it asks for"
    if not _meet(given["hours"]):
        return "no hour is in all that it asks for"
    if _leave_no_client(given["client"], given["client_group"], groups):
        return "no client that it asks for is in such a client_group"
    plain = [fact for fact in facts if fact[0] not in ("any", "not_")]
    if all(any(_imply(case, each, groups) for each in _excluded(facts)) for case in _by_client(plain)):
        return "its not leaves nothing of what else it asks for"
    for alternatives in given["any"]:
        if len(alternatives) <= _MOST_ALTERNATIVES and all(
            _contradiction([*_but_any(facts), *each], groups) for each in alternatives
        ):
            return "nothing of its any can be beside what else it asks for"
    return ""


def _excluded(facts: Iterable[Fact]) -> Iterator[Sequence[Fact]]:
    return (each for key, values in facts if key == "not_" for each in values)


def _but_any(facts: Iterable[Fact]) -> Iterator[Fact]:
    """What else there is; one `any` at a time, or the cases would multiply."""
    return (fact for fact in facts if fact[0] != "any")


def _are_apart(one: Iterable[tuple[int, int, int]], other: Iterable[tuple[int, int, int]]) -> bool:
    """Whether no station is in both."""
    first, second = frozenset(one), frozenset(other)
    return not any(
        each in wide for few, wide in ((first, second), (second, first)) for one in few for each in _wider(one)
    )


def _meet(hours: Sequence[Sequence[tuple[int, int]]]) -> bool:
    """Whether a minute is in each of them."""
    return not hours or any(
        all(any(start <= begun < end for start, end in each) for each in hours)
        for begun in {start for each in hours for start, _ in each}
    )


def _leave_no_client(named: Sequence[frozenset[str]], in_groups: Sequence[frozenset[str]], groups: Groups) -> bool:
    """Whether of the clients, all of which are known, none is in each of those groups."""
    known = groups.keys() if not named else frozenset.intersection(*named)
    if not in_groups or not known <= groups.keys():
        return False
    if not frozenset().union(*in_groups) & frozenset().union(*groups.values()):
        return False  # said of the groups themselves
    return not any(all(groups[name] & each for each in in_groups) for name in known)


# --- what a policy asks for -----------------------------------------------------------------------


def _facts(when: When) -> Iterator[Fact]:
    for key in sorted(when.model_fields_set - when.attributes.keys()):
        values = getattr(when, key)
        if key == "all":
            for each in values:
                yield from _facts(each)
        elif key == "any":
            yield key, tuple(tuple(_facts(each)) for each in values)
        elif key == "not_":
            yield key, frozenset(tuple(_facts(each)) for each in values)
        elif key == "days":
            yield key, frozenset().union(*values)
        elif key == "hours":
            yield key, tuple((each.start, each.end) for each in values)
        elif key == "station":
            yield key, frozenset(map(_bits, values))
        else:
            yield key, frozenset(map(_FOLDS.get(key, str), values))
    for name, written in sorted(when.attributes.items()):
        yield f"attribute {name.casefold()}", frozenset(written)


def _is_of_clients(fact: Fact) -> bool:
    key, values = fact
    return key.startswith("client") or (
        key == "any" and any(_is_of_clients(one) for each in values for one in each)
    )


def _bits(station: Network | str) -> tuple[int, int, int]:
    """Of which kind it is, how many bits of it are given, and those."""
    if isinstance(station, str):
        return _MAC, 4 * len(station), int(station, 16)
    given = station.prefixlen
    return station.version, given, int(station.network_address) >> (station.max_prefixlen - given)


def _wider(station: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
    """All that take this station: itself, and with ever fewer bits."""
    kind, given, bits = station
    return ((kind, given - fewer, bits >> fewer) for fewer in range(given + 1))


def _imply(known: Sequence[Fact], wanted: Sequence[Fact], groups: Groups) -> bool:
    """Whether all that is wanted holds wherever all that is known does."""
    return all(any(_implies(fact, each, groups) for fact in known) for each in wanted)


def _implies(known: Fact, wanted: Fact, groups: Groups) -> bool:
    (key, values), (asked, by) = known, wanted
    if key == "any":  # whichever of them holds
        return known == wanted or all(_imply(each, (wanted,), groups) for each in values)
    if asked == "any":
        return any(_imply((known,), each, groups) for each in by)
    if key == "client" and asked == "client_group":
        return all(groups.get(name, frozenset()) & by for name in values)
    if key != asked:
        return False
    if key == "station":
        return all(any(each in by for each in _wider(station)) for station in values)
    if key == "hours":
        return all(any(start <= first and last <= end for start, end in by) for first, last in values)
    if key == "not_":
        return bool(by <= values)
    return (key == "realm" and usernames.ANY in by) or bool(values <= by)


# --- found without comparing all with all -----------------------------------------------------------


class _Filed:
    """The policies so far, each filed under one fact of its own: what does not imply that need not be compared.

    It is the fact that the fewest ask for.
    """

    def __init__(self, facts: Sequence[Sequence[Fact]], groups: Groups) -> None:
        self._facts = facts
        self._groups = groups
        self._of_clients = [tuple(fact for fact in each if _is_of_clients(fact)) for each in facts]
        self._elsewhere = [tuple(fact for fact in each if not _is_of_clients(fact)) for each in facts]
        self._asking: dict[Fact, int] = defaultdict(int)
        for each in facts:
            for fact in each:
                for one in self._asked(fact):
                    self._asking[one] += 1
        self._filed: dict[Fact, list[int]] = defaultdict(list)
        self._of_all: list[int] = []

    def file(self, at: int) -> None:
        """This one is among them from now on."""
        asked = [self._asked(fact) for fact in self._facts[at]]
        if not asked:
            self._of_all.append(at)
            return
        for one in min(asked, key=lambda each: max(self._asking[one] for one in each)):
            self._filed[one].append(at)

    def that_may_take(self, cases: Sequence[Sequence[Fact]]) -> list[int]:
        """The places, in order, of those that one of the cases may imply: they differ by their clients alone."""
        given = {one for case in cases for fact in case for one in self._given(fact)}
        found = {place for one in given & self._filed.keys() for place in self._filed[one]}
        known = [fact for fact in cases[0] if fact[0] != "client"]
        implied = (place for place in found if _imply(known, self._elsewhere[place], self._groups))
        return sorted([*self._of_all, *implied])

    def takes(self, place: int, case: Sequence[Fact]) -> bool:
        """Whether the one at `place`, which is among them, takes all that the case would."""
        return _imply(case, self._of_clients[place], self._groups)

    def _asked(self, fact: Fact) -> set[Fact]:
        """Of these, whatever implies the fact gives one."""
        key, values = fact
        if key == "any":
            chosen = (min(each, key=lambda fact: fact[0] in _UNLISTED) for each in values)
            return {one for fact in chosen for one in self._asked(fact)}
        return {(key, None)} if key in _UNLISTED else {(key, each) for each in values}

    def _given(self, fact: Fact) -> Iterator[Fact]:
        """Whatever the fact implies asks for one of these: what follows from any one of its values."""
        key, values = fact
        if key == "any":
            for each in values[0]:
                yield from self._given(each)
        elif key in _UNLISTED:
            yield key, None
        elif key == "station":
            yield from ((key, each) for each in _wider(min(values)))
        else:
            one = min(values)
            yield key, one
            if key == "client":
                yield from (("client_group", group) for group in self._groups.get(one, ()))
            elif key == "realm":
                yield key, usernames.ANY
