"""LDAP filters as administrators write them (RFC 4515): read far enough to find a slip before a user does."""

from __future__ import annotations

import re

PLACEHOLDER = "{username}"
GROUP_PLACEHOLDER = "{dn}"

_LONGEST = 4096
_SOUND = "\0"  # stands for a part that was read; NUL itself must be escaped in a filter (RFC 4515 §3)
_ATTRIBUTE = r"[A-Za-z0-9][A-Za-z0-9.;-]*"
_MATCHING_RULE = rf"(?:{_ATTRIBUTE})?(?::dn)?(?::{_ATTRIBUTE})?:="
_ITEM = re.compile(rf"\((?:{_ATTRIBUTE}(?:=|>=|<=|~=)|{_MATCHING_RULE})(?:[^()\\\0]|\\[0-9A-Fa-f]{{2}})*\)")
_COMPOSITE = re.compile(rf"\((?:[&|]{_SOUND}*|!{_SOUND})\)")


def user_filter(written: str) -> str:
    """A filter with the name to look for in it.  Raises ValueError."""
    return _comparing(written, PLACEHOLDER, f"(uid={PLACEHOLDER})")


def group_filter(written: str) -> str:
    """A filter with the DN of a member to look for in it.  Raises ValueError."""
    return _comparing(written, GROUP_PLACEHOLDER, f"(member={GROUP_PLACEHOLDER})")


def plain_filter(written: str) -> str:
    """A filter with no name in it.  Raises ValueError."""
    if PLACEHOLDER in written:
        raise ValueError(f"{PLACEHOLDER} is for user_filter; here the entry is found already")
    return _well_formed(written)


def _comparing(written: str, placeholder: str, example: str) -> str:
    if placeholder not in written:
        raise ValueError(f"must have {placeholder} in it, as in {example}")
    if re.search(rf"\([^()=]*{re.escape(placeholder)}", written):
        raise ValueError(f"must compare something with {placeholder}, as in {example}")
    return _well_formed(written, placeholder)


def _well_formed(written: str, placeholder: str | None = None) -> str:
    if len(written) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    bare = written.replace(placeholder, "x") if placeholder else written
    if "{" in bare or "}" in bare:
        only = f"only {placeholder} can stand in braces; write other braces" if placeholder else "write braces"
        raise ValueError(f"{only} as \\7b and \\7d")
    if "\0" in bare:
        raise ValueError("has a NUL in it")
    if not bare.startswith("("):
        raise ValueError("must stand in parentheses, as in (uid=…)")
    # What has been read is taken for one sound part, from the inside out, until nothing changes.
    before, rest = "", _ITEM.sub(_SOUND, bare)
    while rest != before:
        before, rest = rest, _COMPOSITE.sub(_SOUND, rest)
    if rest != _SOUND:
        even = bare.count("(") == bare.count(")")
        raise ValueError("is not an LDAP filter (RFC 4515)" if even else "has parentheses that do not match")
    return written
