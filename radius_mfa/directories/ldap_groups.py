"""Which groups a user is in, in the three ways that directories tell it.

- **attribute**: an entry names its groups (`memberOf`); nested: so do the groups' own entries.
- **search**: groups are searched that have the entry for a member; nested: then those that have these.
- **in_chain**: the server follows the chain itself, in one search (Active Directory's
  LDAP_MATCHING_RULE_TRANSITIVE_EVAL, [MS-ADTS] 3.1.1.3.4.4.3).

A group is its DN.  A policy decides by all groups or it decides wrongly: where there are too many, or they
are nested too deeply, that is an error and never a part of them.  Circles end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.groups import fold_group
from radius_mfa.directories.at_once import of_each
from radius_mfa.directories.ldap_connection import Answer
from radius_mfa.directories.ldap_failover import UnfitAnswerError, unfit
from radius_mfa.directories.ldap_messages import (
    HOLE,
    NO_SUCH_OBJECT,
    REFERRAL,
    SIZE_LIMIT_EXCEEDED,
    SUCCESS,
    Entry,
    Search,
    has_place,
    read_entry_request,
)
from radius_mfa.directories.ldap_server import LdapServer

_MEMBER = "{dn}"
_IN_CHAIN = "(member:1.2.840.113556.1.4.1941:={dn})"
_DEEPEST = 10  # levels: the user's groups are the first
_MOST = 1000
_AT_ONCE = 16  # searches for one user
_NAMES_ONLY = ("1.1",)  # RFC 4511 §4.5.1.8
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """Where groups are found.  `by`: see above.  `nested`: the groups that these are in, too.

    `base_dn`: what they are searched below, None: what users are.  `filter` has a member's `{dn}` in it.
    """

    by: Literal["attribute", "search", "in_chain"] = "attribute"
    base_dn: str | None = None
    filter: str = "(&(objectClass=groupOfNames)(member={dn}))"
    nested: bool = False


class Groups:
    """Finds them.  `attribute`: where an entry names its groups; `base_dn`: what users are below.

    `are_in_the_entry`: nobody has to be asked, `named_in` has all of them.
    Raises ConfigurationError when the settings cannot work.
    """

    def __init__(self, settings: GroupSettings, attribute: str, base_dn: str) -> None:
        self._attribute = attribute
        self._lower = attribute.lower()
        self._part = f"{self._lower};range="
        self._named = settings.by == "attribute"  # by the entries themselves
        self._nested = settings.nested and settings.by != "in_chain"
        self.are_in_the_entry = self._named and not self._nested
        self._search = _search(settings, base_dn)

    @property
    def attributes(self) -> tuple[str, ...]:
        """What a user's entry must be asked for."""
        return (self._attribute,) if self._named else ()

    def named_in(self, entry: Entry) -> frozenset[str]:
        """The folded DNs of the groups that an entry names.  Raises DirectoryError."""
        values = self._values(entry)
        return frozenset(map(fold_group, values)) if values else _NONE

    async def of(self, dn: str, server: LdapServer) -> frozenset[str]:
        """The folded DNs of all groups that the user called `dn` is in.  Raises DirectoryError."""
        groups: dict[str, str] = {}
        frontier = [dn]
        level = 0
        while frontier and (self._nested or not level):
            above = await of_each(partial(self._above, server, level > 0), frontier, _AT_ONCE)
            found = {fold_group(each): each for several in above for each in several}
            frontier = [each for folded, each in found.items() if folded not in groups]
            level += bool(frontier)
            groups |= found
            if len(groups) > _MOST:
                raise UnfitAnswerError(f"{server.name}: {dn} is in more than {_MOST} groups")
            if level > _DEEPEST:
                raise UnfitAnswerError(f"{server.name}: {dn} is in groups nested deeper than {_DEEPEST}")
        return frozenset(groups)

    def _values(self, entry: Entry) -> tuple[str, ...]:
        """Active Directory shows the first 1,500 values, and says so in their name ([MS-ADTS] 3.1.1.3.1.3.3)."""
        # All names are looked at together, which costs less than one after another.
        if self._part in "\n".join(entry.attributes) and any(map(self._is_part, entry.attributes)):
            raise UnfitAnswerError(f"{entry.dn}: {self._attribute} has only some of its groups; take by: in_chain")
        return entry.texts(self._lower)

    def _is_part(self, name: str) -> bool:
        return name.startswith(self._part)

    async def _above(self, server: LdapServer, is_group: bool, dn: str) -> Iterable[str]:
        """The groups that `dn` is in itself, as written."""
        if self._named:
            request, most = read_entry_request(dn.encode(), [self._attribute]), 1
        else:
            request, most = self._search.request(dn.encode()), self._search.most
        answer = await server.search(request, most)
        if self._named and _is_absent(answer):
            if is_group:
                return ()
            # Renamed since it was found, or not with this server yet: it may well name groups.
            raise UnfitAnswerError(f"{server.name}: {dn} is not there to name its groups")
        if answer.result.code == SIZE_LIMIT_EXCEEDED:
            raise UnfitAnswerError(f"{server.name}: {dn} is in more groups than {_MOST}, or than the server gives")
        if answer.result.code != SUCCESS:
            raise unfit(server, f"groups of {dn}", answer.result)
        if self._named:
            return [value for entry in answer.entries for value in self._values(entry)]
        return [entry.dn for entry in answer.entries]


def _is_absent(answer: Answer) -> bool:
    """Whether the entry asked for is gone, not for us to see, or kept elsewhere."""
    code = answer.result.code
    return code in (NO_SUCH_OBJECT, REFERRAL) or (code == SUCCESS and not answer.entries)


def _search(settings: GroupSettings, base_dn: str) -> Search:
    """For the groups of a member; made in any case, so that a wrong filter is told at once."""
    written = _IN_CHAIN if settings.by == "in_chain" else settings.filter
    if not has_place(written, _MEMBER):
        raise ConfigurationError(f"groups.filter: must compare something with {_MEMBER}")
    try:
        return Search(settings.base_dn or base_dn, written.replace(_MEMBER, HOLE), _NAMES_ONLY, _MOST + 1)
    except ValueError as error:
        raise ConfigurationError(f"groups.filter: {error} (RFC 4515)") from error
