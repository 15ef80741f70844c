"""What works of the policies and yet cannot be meant: one that never decides, trust that is never given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from radius_mfa.config.check_policies import group_texts
from radius_mfa.config.document import EACH, Document, KeyPath
from radius_mfa.config.model import Client, Configuration, Policy, When
from radius_mfa.config.reachable import hidden_by, never_holds
from radius_mfa.core.groups import fold_group
from radius_mfa.core.policy import SecondFactor
from radius_mfa.core.usernames import ANY, fold


def warn_of_policies(document: Document, configuration: Configuration) -> None:
    """Note what of them works and yet should not stay."""
    never = {at: never_holds(each.when, configuration.clients) for at, each in enumerate(configuration.policies)}
    for at, before in hidden_by(configuration.policies, configuration.clients).items():
        if never[at]:
            continue
        names = ", ".join(f'"{configuration.policies[each].name}"' for each in before)
        line = document.places.line("policies", before[0])
        text = f"never decides: {names}, from line {line} on, comes first and takes all that it would; move it up"
        document.warn(text, "policies", at)
    for at, policy in enumerate(configuration.policies):
        if never[at]:
            document.warn(f"never holds: {never[at]}", "policies", at, "when")
        if policy.trust_device:
            _warn_of_trust(document, ("policies", at, "trust_device"), policy, configuration.clients)
        _warn_of_unenrolled(document, ("policies", at, "unenrolled"), policy, configuration)
        _warn_of_station(document, ("policies", at), policy, configuration.clients)
        _warn_of_realm(document, ("policies", at), policy, configuration.clients)
        for path, text in _of_no_such_station(("policies", at, "when"), policy.when, configuration.clients):
            document.warn(text, *document.as_written(path))
    if configuration.directory.ldap is None:
        _warn_of_groups(document)


def _warn_of_groups(document: Document) -> None:
    """All groups are known where all accounts are in the file."""
    known = {fold_group(name) for _, name in document.texts("directory", "static", "users", EACH, "groups")}
    for path, group in group_texts(document):
        if fold_group(group) not in known:
            shown = f"{document.written(path)}: " if path[2] == "when" else ""
            document.warn(f"{shown}no account is in it, and there is no directory but directory.static", *path)


def _warn_of_unenrolled(document: Document, path: KeyPath, policy: Policy, configuration: Configuration) -> None:
    if policy.unenrolled and policy.unenrolled < datetime.now(configuration.timezone).date():
        document.warn("is over: nobody is let in by it any more; take reject, or another day", *path)


def _warn_of_station(document: Document, path: KeyPath, policy: Policy, clients: Iterable[Client]) -> None:
    """A login without a second factor that rests on what nobody vouches for."""
    spares = policy.second_factor is not SecondFactor.REQUIRED or policy.unenrolled
    if not spares or not _asks_for("station", policy.when):
        return
    worthless = [each.name for each in clients if each.station == "none" and _may_match(policy.when, each)]
    if worthless:
        text = (
            "rests on the station, which is worth nothing at {}; say what it is worth there (station: mac or ip)"
        )
        document.warn(text.format(", ".join(worthless[:3])), *path, "when")


def _of_no_such_station(
    path: KeyPath, when: When, clients: Sequence[Client], *, excluded: bool = False
) -> Iterator[tuple[KeyPath, str]]:
    """Where a MAC is asked for at clients whose stations are addresses, or the reverse, and what to say.

    Among several clients that is as it should be; under `not` (`excluded`) it would let all others be meant.
    """
    matched = [each for each in clients if _may_match(when, each)]
    kinds = {"mac" if isinstance(each, str) else "ip" for each in when.station or ()}
    other = [each for each in matched if kinds and each.station != "none" and each.station not in kinds]
    if other and (excluded or len(other) == len(matched)):
        names, (kind, *_) = ", ".join(each.name for each in other[:3]), kinds
        what = "a MAC" if kind == "mac" else "an address"
        yield (
            (*path, "station"),
            f"never holds at {names}, where no station is {what} (station: {other[0].station})",
        )
    for key, inner in (("all", when.all), ("any", when.any), ("not", when.not_)):
        for at, each in enumerate(inner or ()):
            yield from _of_no_such_station((*path, key, at), each, matched, excluded=excluded or key == "not")


def _warn_of_realm(document: Document, path: KeyPath, policy: Policy, clients: Iterable[Client]) -> None:
    """A realm that never counts, or a login without a second factor that rests on the user's own word."""
    realms = frozenset(_realms(policy.when))
    if not realms:
        return
    matched = [each for each in clients if _may_match(policy.when, each)]
    if matched and all(each.realms is not None and set(each.realms) == {ANY} for each in matched):
        names = ", ".join(each.name for each in matched[:3])
        text = "asks for a realm, and at {} each is dropped unseen (realms: strip); name there those you serve"
        document.warn(text.format(names), *path, "when")
    claimed = [each.name for each in matched if each.realms and _is_users_word(realms, each.realms)]
    if claimed and (policy.second_factor is not SecondFactor.REQUIRED or policy.unenrolled):
        text = "spares a second factor by a realm that users choose at {}: others become the same; take a group"
        document.warn(text.format(", ".join(claimed[:3])), *path, "when")


def _is_users_word(asked: frozenset[str], becomes: Mapping[str, str]) -> bool:
    """Whether somebody else's realm, or none at all, leads to the same account as one that is asked for."""
    named = becomes.keys() - {ANY}
    counted = named if ANY in asked else named & asked
    return any(not becomes[each] or list(becomes.values()).count(becomes[each]) > 1 for each in counted)


def _realms(when: When) -> Iterator[str]:
    """All that it asks for, folded."""
    yield from map(fold, when.realm or ())
    for each in (*(when.all or ()), *(when.any or ()), *(when.not_ or ())):
        yield from _realms(each)


def _asks_for(key: str, when: When) -> bool:
    inner = (*(when.all or ()), *(when.any or ()), *(when.not_ or ()))
    return getattr(when, key) is not None or any(_asks_for(key, each) for each in inner)


def _warn_of_trust(document: Document, path: KeyPath, policy: Policy, clients: Iterable[Client]) -> None:
    """Trust that can never be given.  A policy that matches no client at all is told of where it says so."""
    if policy.second_factor is SecondFactor.NEVER:
        document.warn("is of no use beside second_factor: never, where no code is asked for anyway", *path)
        return
    stations = {client.station for client in clients if _may_match(policy.when, client)}
    if stations == {"none"}:
        text = "no client that it could match says what a station is worth (station: mac or ip): none is trusted"
        document.warn(text, *path)


def _may_match(when: When, client: Client) -> bool:
    named = when.client is None or client.name in when.client
    return named and (when.client_group is None or not set(when.client_group).isdisjoint(client.groups))
