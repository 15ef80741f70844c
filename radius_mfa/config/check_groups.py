"""Groups that no user can be in, since a directory names its groups by their DNs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from radius_mfa.config.document import EACH, Document, KeyPath, quoted
from radius_mfa.core.groups import fold_group

_NAMES_GROUPS_BY_DN = ("memberof", "ismemberof")  # of attributes.groups; another may hold anything

# A distinguished name as text (RFC 4514 §3), with the space around `,` `+` and `=` that people write.
_TYPE = r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)"
_VALUE = r"""(?:\ *\#(?:[0-9A-Fa-f]{2})+\ *|(?!\ *\#)(?:[^\0"+,;<>\\]|\\(?:[ "#+,;<=>\\]|[0-9A-Fa-f]{2}))+)"""
_PART = rf"\ *{_TYPE}\ *={_VALUE}"
_DN = re.compile(rf"{_PART}(?:[,+]{_PART})*")


def check_groups(document: Document, groups: Iterable[tuple[KeyPath, str]]) -> None:
    """Report each of `groups`, where it stands and how it is written, that cannot be one of the directory's."""
    named_by = _named_by(document)
    if named_by is None:
        return
    of_static = {fold_group(name) for _, name in document.texts("directory", "static", "users", EACH, "groups")}
    for path, group in groups:
        if fold_group(group) in of_static or is_dn(group):
            continue
        shown = document.written(path) if path in document.hidden else quoted(group)
        if path in document.hidden or "=" in group:
            how = r'between its parts stand commas; in a name, each of , + " \ < > ; has a \ before it (RFC 4514)'
        else:
            how = "write cn=" + re.sub(r'([,+"\\<>;])', r"\\\1", group) + ",…"
        document.report(f"{shown} is no DN, as {named_by} has them; {how}", *path)


def is_dn(text: str) -> bool:
    """Whether it is a distinguished name, and not an empty one."""
    return _DN.fullmatch(text) is not None


def _named_by(document: Document) -> str | None:
    """What names the groups of a user by their DNs; None where something else may name them by anything."""
    ldap = document.at(("directory", "ldap"))
    if not isinstance(ldap, dict):
        return None
    if document.at(("directory", "ldap", "groups", "by")) in ("search", "in_chain"):
        return "the directory"
    written = document.at(("directory", "ldap", "attributes", "groups"))
    attribute = written if isinstance(written, str) else "memberOf"
    nested = document.at(("directory", "ldap", "groups", "nested")) is True
    return attribute if nested or attribute.casefold() in _NAMES_GROUPS_BY_DN else None
