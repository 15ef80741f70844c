"""Accounts in LDAP: one search finds the user, one bind checks the password (RFC 4511 §4.2, §4.5)."""

from __future__ import annotations

import re
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from radius_mfa.core import usernames
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock, Password
from radius_mfa.directories import ldap_messages as messages
from radius_mfa.directories.ldap_connection import Answer
from radius_mfa.directories.ldap_failover import Failover, unfit
from radius_mfa.directories.ldap_groups import Groups, GroupSettings
from radius_mfa.directories.ldap_messages import (
    MOST_ENTRIES,
    SIZE_LIMIT_EXCEEDED,
    SUCCESS,
    Entry,
    Result,
    Search,
    read_entry_request,
)
from radius_mfa.directories.ldap_server import LdapAddress, LdapServer
from radius_mfa.directories.ldap_text import text_of
from radius_mfa.directories.ldap_tls import Tls, trust
from radius_mfa.directories.ldap_verdict import verdict

_T = TypeVar("_T")

_PLACEHOLDER = "{username}"
_NO_ATTRIBUTE = "NONE"  # no entry has it: descriptions are kept in lower case
_LONGEST_ID = 64  # octets: an id goes into the State, which has few
_STATIC = "static:"  # begins the ids of the static directory, and nobody else's


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """Where the accounts are and what they look like.

    `servers`: in the order they are tried.  `start_tls`: at those that do not speak TLS at once.
    `ca_file`: whom to trust, None for whom the system does.  `user_filter` has `{username}` in it;
    `active_filter` says who is activated, None: everybody.  `extra_attributes`: what else of an
    entry is wanted, for `User.attributes`.  `bind_connections`: passwords that are tried at once at
    one server.  `connect_timeout`: seconds.
    """

    servers: tuple[LdapAddress, ...]
    bind_dn: str
    bind_password: bytes = field(repr=False)
    base_dn: str
    start_tls: bool = False
    ca_file: Path | None = None
    user_filter: str = "(uid={username})"
    active_filter: str | None = None
    id_attribute: str = "entryUUID"
    name_attribute: str = "cn"
    language_attribute: str = "preferredLanguage"
    groups_attribute: str = "memberOf"
    groups: GroupSettings = field(default_factory=GroupSettings)
    extra_attributes: tuple[str, ...] = ()
    bind_connections: int = 16
    connect_timeout: float = 3.0


class LdapDirectory:
    """The `Directory` port over LDAP servers that hold the same accounts.

    Raises ConfigurationError when the settings cannot work.  Belongs to one event loop, whose time
    is `clock.monotonic()`.
    """

    def __init__(self, settings: LdapSettings, clock: Clock) -> None:
        if not settings.bind_dn or not settings.bind_password:
            # Either one empty would be an anonymous bind, which succeeds (RFC 4513 §5.1).
            raise ConfigurationError("bind_dn and bind_password must both be given")
        self._settings = settings
        self._name_attribute = _name_attribute(settings.user_filter)
        # What is read of an entry, in lower case: as in `_user`.
        self._names = (
            settings.id_attribute.lower(),
            settings.name_attribute.lower(),
            settings.language_attribute.lower(),
            self._name_attribute.lower() if self._name_attribute else _NO_ATTRIBUTE,
        )
        self._extra = {name: name.lower() for name in settings.extra_attributes}
        self._groups = Groups(settings.groups, settings.groups_attribute, settings.base_dn)
        self._search, self._search_inactive = self._searches()
        probe = read_entry_request(settings.base_dn.encode(), ["1.1"])
        self._servers = Failover(list(_servers(settings)), clock, probe)

    def find(self, username: str, deadline: float) -> Coroutine[Any, Any, User | Outcome]:
        """The one entry of that name.  One search; a second where nobody activated was found."""
        if not username:
            return _answer(Outcome.UNKNOWN_USER)
        if self._search_inactive is None:
            return self._one(self._search, username, True, deadline)
        return self._one_of_two(self._search_inactive, username, deadline)

    async def with_groups(self, user: User, deadline: float) -> User:
        """The user with the groups that their entry does not name."""
        if self._groups.are_in_the_entry:
            return user
        groups = await self._servers.first_answer(partial(self._groups.of, user.handle), deadline)
        return replace(user, groups=groups, lacks_groups=False)

    def check_password(self, user: User, password: bytes, deadline: float) -> Coroutine[Any, Any, Password]:
        """Bind as the user's entry."""
        dn = user.handle
        if not dn or not password:
            return _answer(Password.WRONG)
        return self._servers.first_in_time(
            lambda server, until: server.bind(dn, password, until), _password, deadline
        )

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        """Nothing: only a bind costs what a bind does, and every refusal leaves after the same delay anyway."""

    def servers_up(self) -> Mapping[str, bool]:
        """Which servers answered last."""
        return self._servers.up()

    @property
    def answered(self) -> int:
        """How many questions the servers have answered so far."""
        return self._servers.answered

    async def close(self) -> None:
        """Close all connections, and look at no server any more."""
        await self._servers.close()

    async def _one(self, search: Search, username: str, active: bool, deadline: float) -> User | Outcome:
        """The user whose entry there is; UNKNOWN_USER for none, AMBIGUOUS_USER for several."""
        request = search.request(username.encode(errors="surrogatepass"))
        found = await self._servers.first_in_time(
            lambda server, until: server.search(request, MOST_ENTRIES, until), self._entry, deadline
        )
        return found if isinstance(found, Outcome) else self._user(found, username, active)

    def _entry(self, server: LdapServer, answer: Answer) -> Entry | Outcome:
        code, entries = answer.result.code, answer.entries
        if code == SUCCESS and len(entries) == 1:
            return entries[0]
        if code == SIZE_LIMIT_EXCEEDED or len(entries) > 1:
            return Outcome.AMBIGUOUS_USER  # the limit may be the server's own, and one
        if code != SUCCESS:
            raise unfit(server, f"search below {self._settings.base_dn}", answer.result)
        return Outcome.UNKNOWN_USER

    async def _one_of_two(self, inactive: Search, username: str, deadline: float) -> User | Outcome:
        """The user who is activated; where that is nobody, whoever has the name."""
        found = await self._one(self._search, username, True, deadline)
        if found is Outcome.UNKNOWN_USER:
            found = await self._one(inactive, username, False, deadline)
        return found

    def _searches(self) -> tuple[Search, Search | None]:
        """For whoever is activated, and for anybody if that is not the same."""
        settings = self._settings
        by_name = settings.user_filter.replace(_PLACEHOLDER, messages.HOLE)
        attributes = dict.fromkeys(
            (
                settings.id_attribute,
                settings.name_attribute,
                settings.language_attribute,
                *self._groups.attributes,
                *([self._name_attribute] if self._name_attribute else []),
                *settings.extra_attributes,
            )
        )
        try:
            anybody = Search(settings.base_dn, by_name, list(attributes))
            if settings.active_filter is None:
                return anybody, None
            # It must be a filter by itself: an empty one would be lost between the others, and activate everybody.
            Search(settings.base_dn, settings.active_filter, list(attributes))
            both = f"(&{by_name}{settings.active_filter})"
            return Search(settings.base_dn, both, list(attributes)), anybody
        except ValueError as error:
            raise ConfigurationError(f"user_filter, active_filter: {error} (RFC 4515)") from error

    def _user(self, entry: Entry, typed: str, active: bool) -> User | Outcome:
        ids, names, languages, spellings = map(entry.attributes.get, self._names)
        if ids is None or len(ids) != 1:
            return Outcome.USER_ID_UNUSABLE
        id_ = text_of(ids[0])
        if not 1 <= len(id_.encode()) <= _LONGEST_ID or id_.startswith(_STATIC):
            return Outcome.USER_ID_UNUSABLE
        groups = self._groups
        are_in_the_entry = groups.are_in_the_entry
        extra = self._extra
        return User(
            id_,
            text_of(spellings[0]) if spellings and len(spellings) == 1 else _meant(spellings or (), typed),
            entry.dn,
            text_of(names[0]) if names else "",
            active,
            groups.named_in(entry) if are_in_the_entry else frozenset(),
            text_of(languages[0]) if languages else "",
            {name: entry.texts(lower) for name, lower in extra.items()} if extra else {},
            not are_in_the_entry,
        )


async def _answer(answer: _T) -> _T:
    """For which nobody is asked."""
    return answer


def _password(server: LdapServer, result: Result) -> Password:
    """What the answer to a bind as a user says of their password."""
    said = verdict(result)
    if said is None:
        raise unfit(server, "bind as a user", result)
    return said


def _servers(settings: LdapSettings) -> Iterator[LdapServer]:
    service = (settings.bind_dn, settings.bind_password)
    encrypted = settings.start_tls or any(address.tls for address in settings.servers)
    context = trust(settings.ca_file) if encrypted else None
    for address in settings.servers:
        starts = settings.start_tls and not address.tls
        tls = Tls(context, starts) if context is not None and (address.tls or starts) else None
        yield LdapServer(address, service, settings.bind_connections, settings.connect_timeout, tls)


def _name_attribute(user_filter: str) -> str | None:
    """The attribute that the name is compared with, None where it is not simply one.

    A name is a value to look for and nothing else: ConfigurationError for a filter with the
    placeholder missing, or where an attribute should be.
    """
    if not messages.has_place(user_filter, _PLACEHOLDER):
        raise ConfigurationError(f"user_filter: must compare something with {_PLACEHOLDER}")
    found = re.search(rf"\(\s*([A-Za-z0-9.;-]+)\s*=\s*{re.escape(_PLACEHOLDER)}\s*\)", user_filter)
    return found[1] if found else None


def _meant(spellings: tuple[bytes, ...], typed: str) -> str:
    """The name as the directory has it; of several the one that was typed, of none that."""
    names = list(map(text_of, spellings))
    meant = (name for name in names if usernames.fold(name) == usernames.fold(typed))
    return next(meant, names[0] if names else typed)
