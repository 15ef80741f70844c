"""What a policy returns with the Access-Accept: attributes whose values may depend on who logs in.

A value is a text, in which `{attribute}` stands for what the user's directory entry has there, and may differ by
the groups of the user.  All that it takes to fill it in is taken from the entry once the password was right, and
travels in State as pairs, so that whichever round ends the login returns the same:

    (attribute, value)      a value of the entry; (attribute, "") where it has none
    ("", digest)            a group that the policy asks for, and the user is in; that of all it asks for ends them
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from radius_mfa.core.messages import ReplyAttribute, User

VLAN = "vlan"  # in a policy's `reply`: the three attributes that a switch wants (RFC 3580 §3.31)
TUNNEL = ("Tunnel-Type", "Tunnel-Medium-Type", "Tunnel-Private-Group-Id")  # those three, in order
ELSE = "else"  # of values by group: for who is in none of them

Values = tuple[tuple[str, str], ...]
"""What is known of a user, as pairs: see above."""

_MOST_VALUES = 100  # of one attribute of an entry: a user may be who writes them

_FIELD = re.compile(r"\{([A-Za-z][A-Za-z0-9;-]*)(?:\|([^{}]*))?\}")
_TOKEN = re.compile(r"\{\{|\}\}|[{}]|[^{}]+")


@dataclass(frozen=True, slots=True)
class Field:
    """`{attribute}`, its name in lower case.  `instead`: of `{attribute|…}`, which need not be there."""

    attribute: str
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A value as the YAML has it, read: texts and fields in order."""

    parts: tuple[str | Field, ...]

    @classmethod
    def read(cls, written: str) -> Template:
        """`{{` and `}}` are braces.  Raises ValueError for a brace that is neither."""
        parts: list[str | Field] = []
        at = 0
        while at < len(written):
            found = None if written.startswith("{{", at) else _FIELD.match(written, at)
            token = found or _TOKEN.match(written, at)
            assert token is not None  # one of them matches everything
            if found is None and token[0] in ("{", "}"):
                raise ValueError("has a { or } that is no {attribute}; a brace itself is written twice")
            parts.append(Field(found[1].lower(), found[2]) if found else _unescaped(token[0]))
            at = token.end()
        return cls(tuple(parts))

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(part for part in self.parts if isinstance(part, Field))

    def filled(self, entry: Mapping[str, Sequence[str]]) -> list[str]:
        """Its values, one for each of the entry's; of nothing, none.  Raises _UnfitError."""
        found = [entry.get(each.attribute) or _instead(each) for each in self.fields]
        if any(len(each) > _MOST_VALUES for each in found):
            raise _UnfitError(f"the entry has more than {_MOST_VALUES} values")
        if len(found) > 1 and any(len(each) > 1 for each in found):
            raise _UnfitError("an attribute beside another must have one value, and the entry has several")
        values = [self._with(each) for each in zip(*found, strict=True)] if found else [self._with(())]
        return [value for value in values if value]

    def _with(self, values: Sequence[str]) -> str:
        following = iter(values)
        return "".join(next(following) if isinstance(part, Field) else part for part in self.parts)


def _unescaped(token: str) -> str:
    return token[0] if token in ("{{", "}}") else token


def _instead(of: Field) -> tuple[str, ...]:
    if of.instead is None:
        raise _UnfitError(f"the entry has no {of.attribute}; {{{of.attribute}|…}} says what instead")
    return (of.instead,)


class _UnfitError(Exception):
    """Says why an attribute cannot be returned."""


@dataclass(frozen=True, slots=True)
class Returned:
    """One attribute of a policy's `reply`, by its dictionary name or VLAN.

    `by_group`: the values of whoever is in a group, folded; the first that the user is in decides.
    `otherwise`: of everybody else; none where it is not returned then.
    """

    name: str
    by_group: tuple[tuple[str, tuple[Template, ...]], ...] = ()
    otherwise: tuple[Template, ...] = ()

    @property
    def templates(self) -> Iterator[Template]:
        for _, templates in self.by_group:
            yield from templates
        yield from self.otherwise

    def filled(self, entry: Mapping[str, Sequence[str]], groups: frozenset[str]) -> Iterator[ReplyAttribute]:
        chosen = next((each for group, each in self.by_group if digest_of(group) in groups), self.otherwise)
        values = [value for template in chosen for value in template.filled(entry)]
        if self.name != VLAN:
            yield from (ReplyAttribute(self.name, value) for value in values)
        elif len(values) > 1:
            raise _UnfitError("the entry has several values, and a port has one VLAN")
        elif values:
            yield from map(ReplyAttribute, TUNNEL, ("VLAN", "IEEE-802", values[0]))


@lru_cache(maxsize=4096)
def digest_of(group: str) -> str:
    """What stands for a group in State: a DN would take half of it."""
    return b64encode(hashlib.sha256(group.encode()).digest()[:6]).decode()


def _fits(_attributes: Sequence[ReplyAttribute]) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Returns:
    """All that a policy returns.  `unfit`: why attributes cannot go into a packet; empty where they can.

    `entry_attributes`, folded, and `groups`: what it takes of the user.
    """

    attributes: tuple[Returned, ...] = ()
    unfit: Callable[[Sequence[ReplyAttribute]], str] = _fits
    entry_attributes: frozenset[str] = field(init=False)
    groups: frozenset[str] = field(init=False)
    _all_groups: str = field(init=False)
    _fixed: tuple[ReplyAttribute, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        templates = [template for each in self.attributes for template in each.templates]
        fields = (each.attribute for template in templates for each in template.fields)
        object.__setattr__(self, "entry_attributes", frozenset(fields))
        groups = (group for each in self.attributes for group, _ in each.by_group)
        object.__setattr__(self, "groups", frozenset(groups))
        # No group begins with a line's end, and so none is taken for all of them.
        object.__setattr__(self, "_all_groups", digest_of("\n".join(["", *sorted(self.groups)])))
        if not (self.entry_attributes or self.groups):
            given = (attribute for each in self.attributes for attribute in each.filled({}, frozenset()))
            object.__setattr__(self, "_fixed", tuple(given))

    def known_of(self, user: User) -> Values:
        """All that it takes of this user."""
        if not (self.entry_attributes or self.groups):
            return ()
        pairs: list[tuple[str, str]] = []
        for name in sorted(self.entry_attributes):
            values = (value for value in user.attributes.get(name, ()) if value)
            pairs += [(name, value) for value in islice(values, _MOST_VALUES + 1)] or [(name, "")]
        if groups := self.groups:
            pairs += [("", digest_of(group)) for group in sorted(groups & user.groups)] + [("", self._all_groups)]
        return tuple(pairs)

    def is_known_by(self, values: Values) -> bool:
        """Whether that is all it takes: a policy may ask for more since round one."""
        if not (self.entry_attributes or self.groups):
            return True
        names = {name for name, _ in values}
        return self.entry_attributes <= names and (not self.groups or ("", self._all_groups) in values)

    def filled(self, values: Values) -> tuple[ReplyAttribute, ...] | str:
        """The attributes for a user of whom that is known; why not, for staff, where they cannot be returned."""
        if not (self.entry_attributes or self.groups):
            return self._fixed
        entry: dict[str, list[str]] = {}
        for name, value in values:
            if value:
                entry.setdefault(name, []).append(value)
        groups = frozenset(entry.pop("", ()))
        filled: list[ReplyAttribute] = []
        for each in self.attributes:
            try:
                filled += each.filled(entry, groups)
            except _UnfitError as unfit:
                return f"{each.name}: {unfit}"
        return self.unfit(filled) or tuple(filled)


NOTHING = Returns()
