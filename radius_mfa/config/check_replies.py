"""What must hold of what policies return: it can be returned to everybody whom the policy lets in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection

from radius_mfa.config.document import EACH, Document, KeyPath, quoted
from radius_mfa.core.groups import fold_group
from radius_mfa.core.returns import ELSE, TUNNEL, VLAN, Field, Template
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.packet import LONGEST_REPLY

_TUNNEL = {name.casefold(): name for name in TUNNEL}
_MEANT_VLAN = ("vlan", "vlans", "vlan-id", "vlanid")  # with - for _
# What else everybody else is called, folded.
_MEANT_ELSE = frozenset({
    "else", "default", "fallback", "other", "others", "otherwise", "rest", "*",
    "any", "all", "anyone", "anybody", "everyone", "everybody",
})  # fmt: skip
# What people write for no value, folded, and what a switch would look for among the names of its VLANs.
_MEANT_NOTHING = frozenset({
    "none", "no", "never", "null", "nil", "n/a", "na", "false", "off", "empty", "unknown", "undefined", "-", "~",
})  # fmt: skip
_ELSEWHERE = re.compile(r"[%$]\{(?!\{)")  # how FreeRADIUS begins what is put in
_CURLY = "“”„‟‘’‚"

# By name, folded, what is called so here and is no attribute of an entry.
_WORDS = {
    "username": "is a word of user_filter; take the attribute, as {uid}",
    "user": "is no attribute; take the one that has the name, as {uid}",
    "dn": "is a word of groups.filter; take an attribute that has it, as {entryDN}",
    "group": "is no attribute; write values by group, or take the attribute, as {memberOf}",
    "groups": "is no attribute; write values by group, or take the attribute, as {memberOf}",
}
_PASSWORDS = frozenset({
    "password", "userpassword", "authpassword", "pwdhistory", "krbprincipalkey", "ipanthash",
    "sambantpassword", "sambalmpassword", "sambapasswordhistory", "unicodepwd", "dbcspwd", "lmpwdhistory",
    "ntpwdhistory", "supplementalcredentials", "msds-managedpassword", "ms-mcs-admpwd", "mslaps-password",
    "mslaps-encryptedpassword",
})  # fmt: skip


def check_replies(document: Document, dictionary: Dictionary | None) -> None:
    """Report what cannot be returned.  `dictionary`: what attributes there are; None: not checked."""
    for path in document.each("policies", EACH, "reply"):
        reply = document.at(path)
        if isinstance(reply, dict):
            _reply(document, path, reply, dictionary)


def is_meant_for_else(document: Document, group: str, beside: Collection[str]) -> bool:
    """Whether what stands for a group can only mean everybody else.

    A group that the file itself names is one, and so is whatever stands `beside` a true `else`.
    """
    if ELSE in beside or group.strip(" :").casefold() not in _MEANT_ELSE:
        return False
    named = document.texts("directory", "static", "users", EACH, "groups")
    return fold_group(group) not in {fold_group(each) for _, each in named}


def report_value(document: Document, path: KeyPath, name: str, wrong: ValueError, where: str = "") -> None:
    """Report why a value makes no attribute `name`.  `where`: what begins the sentence."""
    hidden = path in document.hidden  # the reason may show the value
    reason = str(wrong).removeprefix(f"{name}: ")
    document.report(where + (f"{document.written(path)} cannot be its value" if hidden else reason), *path)


def warn_of_quotes(document: Document, path: KeyPath, value: str) -> bool:
    """Whether the value stands in quotes that YAML has not taken away; warns of them."""
    curly = len(value) > 1 and value[0] in _CURLY and value[-1] in _CURLY
    if curly:
        document.warn('is taken with its curly quotes; write "…", or none', *path)
    return curly


def _reply(document: Document, path: KeyPath, reply: dict[str, object], dictionary: Dictionary | None) -> None:
    if VLAN in reply:
        for name in reply:
            if name.partition(":")[0].casefold() in _TUNNEL:
                document.report("is what vlan writes; remove one of the two", *path, name)
        _one_vlan(document, (*path, VLAN))
    else:
        _one_tunnel(document, path, reply)
    lengths = [_values(document, (*path, name), dictionary, name, value) for name, value in reply.items()]
    if sum(lengths) > LONGEST_REPLY:
        text = f"is {sum(lengths)} octets in all; there is room for {LONGEST_REPLY} (RFC 2865 §3)"
        document.report(text, *path)


def _one_vlan(document: Document, path: KeyPath) -> None:
    written = document.at(path)
    of_each = [(*path, group) for group in written] if isinstance(written, dict) else [path]
    for place in of_each:
        if len(list(document.texts_at(place))) > 1:
            document.report("has several, and a port has one VLAN; take one", *place)


def _one_tunnel(document: Document, path: KeyPath, reply: dict[str, object]) -> None:
    """Warn of what stands in two tunnels by its tags, and makes neither of them whole."""
    tunnels: dict[str, dict[str, str]] = defaultdict(dict)  # by tag, each as written, by its name
    for written in reply:
        bare, _, tag = written.partition(":")
        if bare.casefold() in _TUNNEL:
            tunnels[tag.lstrip("0")][_TUNNEL[bare.casefold()]] = written
    needed = {name for each in tunnels.values() for name in each}
    for tag, found in tunnels.items():
        if missing := [name for name in TUNNEL if name in needed - found.keys()]:
            first = next(iter(found.values()))
            lacks = " and ".join(f"{name}:{tag}" if tag else name for name in missing)
            document.warn(f"has no {lacks} beside it, and one tunnel has one tag (RFC 2868 §3)", *path, first)


def _values(document: Document, path: KeyPath, dictionary: Dictionary | None, name: str, value: object) -> int:
    """How many octets the attribute takes in a packet at most; what cannot be one is reported."""
    meant_vlan = name != VLAN and name.casefold().replace("_", "-") in _MEANT_VLAN
    if meant_vlan and dictionary is not None and not dictionary.has(name):
        document.report(f"unknown attribute {name!r} (did you mean {VLAN}?)", *path)
        return 0
    if not isinstance(value, dict):
        return sum(_encoded(document, place, dictionary, name, each) for place, each in document.texts_at(path))
    longest = 0
    for group in value:
        if is_meant_for_else(document, group, value):
            document.report("is taken for a group; for everybody else write else", *path, group)
        texts = document.texts_at((*path, group))
        longest = max(longest, sum(_encoded(document, place, dictionary, name, each) for place, each in texts))
    return longest


def _encoded(document: Document, path: KeyPath, dictionary: Dictionary | None, name: str, value: str) -> int:
    """How many octets; 0 for what depends on the user, or is reported."""
    attribute = TUNNEL[-1] if name == VLAN else name
    where = ""
    try:
        template = _read(document, value)
        text = _without_entry(template)
        if text and not warn_of_quotes(document, path, text):
            _warn_of_vlan(document, path, attribute, text)
        if dictionary is None:
            return 0
        dictionary.must_be_a_policys(attribute)
        if not template.fields:
            return 2 + len(dictionary.encode(attribute, text or "")[1])
        where = "where the entry has no value: "
        if text:
            dictionary.encode(attribute, text)
    except ValueError as wrong:
        report_value(document, path, attribute, wrong, where)
    return 0


def _read(document: Document, value: str) -> Template:
    """Raises ValueError for what is no template, or asks for what nobody's entry has, or nobody is told."""
    if found := _ELSEWHERE.search(value):
        raise ValueError(f"FreeRADIUS's {found[0]}…}} is {{…}} here")
    template = Template.read(value)
    for each in template.fields:
        name = each.attribute.partition(";")[0]
        if name in _PASSWORDS:
            raise ValueError(f"{{{each.attribute}}} is a password, and a policy returns none")
        if name in _WORDS and name not in _own_attributes(document):
            raise ValueError(f"{{{each.attribute}}} {_WORDS[name]}")
    return template


def _own_attributes(document: Document) -> set[str]:
    """Those of the accounts in the file, in lower case."""
    holders = document.each("directory", "static", "users", EACH, "attributes")
    return {name.lower() for path in holders if isinstance(given := document.at(path), dict) for name in given}


def _without_entry(template: Template) -> str | None:
    """The value of whoever's entry has nothing for it; None where there is none then."""
    parts = [part.instead if isinstance(part, Field) else part for part in template.parts]
    given = [part for part in parts if part is not None]
    return "".join(given) if len(given) == len(parts) else None


def _warn_of_vlan(document: Document, path: KeyPath, attribute: str, text: str) -> None:
    bare = attribute.partition(":")[0].casefold()
    if (bare == TUNNEL[-1].casefold() or "vlan" in bare) and text.strip().casefold() in _MEANT_NOTHING:
        said = "" if path in document.hidden else f"{quoted(text)} "
        document.warn(f"{said}is taken for the name of a VLAN; for none leave it out, or write {{…|}}", *path)
