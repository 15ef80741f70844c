"""Which groups a user is in, in the three ways that directories tell it.

- **attribute**: the user's entry says so (`memberOf`); nested: the groups' own entries say so of them.
- **search**: groups are searched that have the user for a member; nested: that have such a group for one.
- **in_chain**: Active Directory follows the chain itself, in one search (LDAP_MATCHING_RULE_IN_CHAIN).

A group is its DN.  Circles end, and depth and number are bounded, since a directory may hold anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from radius_mfa.core.errors import ConfigurationError, DirectoryError
from radius_mfa.core.policy import fold_group
from radius_mfa.directories.ldap_connection import Answer
from radius_mfa.directories.ldap_messages import (
    HOLE,
    NO_SUCH_OBJECT,
    SUCCESS,
    Entry,
    Search,
    has_place,
    read_entry_request,
)

BY_ATTRIBUTE, BY_SEARCH, IN_CHAIN = "attribute", "search", "in_chain"

_MEMBER = "{dn}"
_IN_CHAIN_FILTER = "(member:1.2.840.113556.1.4.1941:={dn})"
_DEEPEST = 10
_MOST = 1000
_NO_ATTRIBUTES = ("1.1",)  # RFC 4511 §4.5.1.8: only the names

Ask = Callable[[bytes, int], Awaitable[Answer]]
"""Runs an encoded search of which so many entries are wanted."""


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """`by`: attribute, search or in_chain.  `base_dn`: where groups are; `filter` has a member's `{dn}` in it."""

    by: str = BY_ATTRIBUTE
    base_dn: str | None = None
    filter: str = "(&(objectClass=groupOfNames)(member={dn}))"
    nested: bool = False


class Groups:
    """Finds the groups of entries.  Raises ConfigurationError when the settings cannot work.

    `attribute`: what an entry's own groups are in; `base_dn`: where to search unless the settings say.
    """

    def __init__(self, settings: GroupSettings, attribute: str, base_dn: str) -> None:
        self._attribute = attribute
        self._by = settings.by
        self._levels = _DEEPEST if settings.nested and settings.by != IN_CHAIN else 1
        written = _IN_CHAIN_FILTER if settings.by == IN_CHAIN else settings.filter
        if not has_place(written, _MEMBER):
            raise ConfigurationError(f"groups.filter: must compare something with {_MEMBER}")
        try:
            base = settings.base_dn or base_dn
            self._search = Search(base, written.replace(_MEMBER, HOLE), _NO_ATTRIBUTES, _MOST + 1)
        except ValueError as error:
            raise ConfigurationError(f"groups.filter: {error} (RFC 4515)") from error

    @property
    def are_in_the_entry(self) -> bool:
        """Whether nobody has to be asked: `named_in` has all of them."""
        return self._by == BY_ATTRIBUTE and self._levels == 1

    def named_in(self, entry: Entry) -> frozenset[str]:
        """The folded DNs of the groups that an entry names.  Raises DirectoryError."""
        return frozenset(map(fold_group, self._values(entry)))

    async def of(self, dn: str, ask: Ask) -> frozenset[str]:
        """The folded DNs of all groups that the user called `dn` is in.  Raises DirectoryError."""
        groups: dict[str, str] = {}
        newest = [dn]
        for _ in range(self._levels):
            above = await asyncio.gather(*(self._above(each, ask) for each in newest))
            found = self._new(groups, (each for several in above for each in several))
            groups |= found
            newest = list(found.values())
            if len(groups) > _MOST:
                raise DirectoryError(f"{dn} is in more than {_MOST} groups")
        return frozenset(groups)

    async def _above(self, dn: str, ask: Ask) -> Iterable[str]:
        """The groups that `dn` itself is in."""
        if self._by == BY_ATTRIBUTE:
            answer = await ask(read_entry_request(dn.encode(), [self._attribute]), 1)
            if answer.result.code == NO_SUCH_OBJECT:  # a group that is gone, or that we may not see
                return ()
            found = [value for entry in answer.entries for value in self._values(entry)]
        else:
            answer = await ask(self._search.request(dn.encode()), self._search.most)
            found = [entry.dn for entry in answer.entries]
        if answer.result.code != SUCCESS:
            raise DirectoryError(f"search for the groups of {dn}: {answer.result}")
        return found

    def _values(self, entry: Entry) -> tuple[str, ...]:
        """Active Directory shows the first 1,500 values, and says so in their name ([MS-ADTS] 3.1.1.3.1.3.3)."""
        part = f"{self._attribute.lower()};range="
        if any(name.startswith(part) for name in entry.attributes):
            raise DirectoryError(f"{entry.dn}: {self._attribute} has only some of its groups; take by: in_chain")
        return entry.values(self._attribute)

    def _new(self, known: Iterable[str], found: Iterable[str]) -> dict[str, str]:
        """Those that are not known yet, as written, by their folded names."""
        folded = {fold_group(dn): dn for dn in found}
        for each in known:
            folded.pop(each, None)
        return folded
