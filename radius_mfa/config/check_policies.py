"""What must hold of the policies: what they name is there, and what they return can be returned."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from radius_mfa.config.document import EACH, Document, KeyPath, quoted
from radius_mfa.config.model import When
from radius_mfa.config.section import fields_of
from radius_mfa.config.unknown import unknown_key
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.policy import SecondFactor
from radius_mfa.core.returns import ELSE, VLAN, Template
from radius_mfa.core.usernames import ANY
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.matching import attribute_test

LONGEST_REPLY = 3000  # octets of a policy's attributes: 4096 less messages and the Proxy-States of others
_CONDITIONS = tuple(fields_of(When))
_OF_OTHERS = ("all", "any", "not")
_TUNNEL = ("Tunnel-Type", "Tunnel-Medium-Type", "Tunnel-Private-Group-Id")


def check_policies(document: Document, dictionary: Dictionary | None) -> None:
    """Report what does not fit together.  `dictionary`: what attributes there are; None: not checked."""
    document.unique(document.texts("policies", EACH, "name"), "names another policy")
    _known(document, "client", {name for _, name in document.texts("clients", EACH, "name")})
    _known(document, "client_group", {group for _, group in document.texts("clients", EACH, "groups")})
    _exact_names(document)
    _configured_factors(document)
    for path in document.each("policies", EACH):
        _second_factor(document, path)
    for path in whens(document):
        _conditions(document, path, dictionary)
    for path in document.each("policies", EACH, "reply"):
        _reply(document, path, dictionary)


def whens(document: Document) -> Iterator[KeyPath]:
    """The path of every mapping of conditions, those within others included."""
    for path in document.each("policies", EACH, "when"):
        yield from _within(document, path)


def _within(document: Document, path: KeyPath) -> Iterator[KeyPath]:
    when = document.at(path)
    if not isinstance(when, dict):
        return
    yield path
    for key in _OF_OTHERS:
        inner = when.get(key)
        if isinstance(inner, list):
            for at in range(len(inner)):
                yield from _within(document, (*path, key, at))
        else:
            yield from _within(document, (*path, key))


def condition_texts(document: Document, key: str) -> Iterator[tuple[KeyPath, str]]:
    """Every text that a condition `key` has, wherever it stands."""
    for path in whens(document):
        yield from document.texts_at((*path, key))


def group_texts(document: Document) -> Iterator[tuple[KeyPath, str]]:
    """Every group that a condition, or what a policy returns, asks for."""
    yield from condition_texts(document, "group")
    for path in document.each("policies", EACH, "reply"):
        reply = document.at(path)
        for name, by_group in reply.items() if isinstance(reply, dict) else ():
            for group in by_group if isinstance(by_group, dict) else ():
                if group != ELSE:
                    yield (*path, name, group), group


def configured_factors(document: Document) -> Collection[str] | None:
    """The factors that are configured; None where they are not to be read."""
    if not document.has("factors"):
        return [FactorKind.TOTP]
    written = document.at(("factors",))
    return written if isinstance(written, dict) else None


def _known(document: Document, condition: str, names: set[str]) -> None:
    """A condition on nobody is no error: it refuses, and its client may be about to come or just gone."""
    what = condition.replace("_", " ")
    for path, name in condition_texts(document, condition):
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {quoted(near[0])}?" if near and path not in document.hidden else ""
            hint = "; several are a list, [a, b]" if "," in name else hint
            document.warn(f"there is no {what} {document.written(path)}, so this never holds{hint}", *path)


def _exact_names(document: Document) -> None:
    """A name that nobody can have: under `not` it would hold of everybody."""
    for key in ("user", "group"):
        for path, name in condition_texts(document, key):
            if "*" in name:
                document.report(f"is a whole name, and * is nothing else than itself; name each {key}", *path)
    for path, realm in condition_texts(document, "realm"):
        if realm != ANY and set(realm) & set("*@\\"):
            document.report("is a realm without @ or \\, whole, or * for any", *path)


def _configured_factors(document: Document) -> None:
    configured = configured_factors(document)
    for path, factor in document.texts("policies", EACH, "factors"):
        if configured is not None and factor in list(FactorKind) and factor not in configured:
            document.report(f"{quoted(factor)} is not configured; add factors.{factor}", *path)


def _second_factor(document: Document, path: KeyPath) -> None:
    second_factor = document.at((*path, "second_factor"))
    if second_factor == SecondFactor.NEVER and not document.has(*path, "when", "client"):
        document.report("never must name a client; add when: {client: …}", *path, "second_factor")
    if not document.has(*path, "unenrolled"):
        return
    if second_factor == SecondFactor.WHEN_ENROLLED:
        text = "has no say beside second_factor: when_enrolled, which lets them in; take required, or remove it"
        document.report(text, *path, "unenrolled")
    elif second_factor == SecondFactor.NEVER:
        document.report("has no say beside second_factor: never; remove it", *path, "unenrolled")


# --- conditions -----------------------------------------------------------------------------------


def _conditions(document: Document, path: KeyPath, dictionary: Dictionary | None) -> None:
    """A key of `when` that is no condition must be an attribute, `NAS-Port-Type`, with a value of its type."""
    when = document.at(path)
    assert isinstance(when, dict)  # or it would not be one of `whens`
    for key in (key for key in when if key not in _CONDITIONS):
        if not (key[0].isupper() or (dictionary is not None and dictionary.has(key))):
            text = unknown_key((*path, key))
            or_else = "" if text.endswith("?") else ", or an attribute such as NAS-Port-Type"
            document.report(text + or_else, *path, key)
        elif dictionary is not None:
            for place, value in document.texts_at((*path, key)):
                _attribute(document, place, dictionary, key, value)


def _attribute(document: Document, path: KeyPath, dictionary: Dictionary, name: str, value: str) -> None:
    try:
        attribute_test(dictionary, name, value)
    except ValueError as wrong:
        _report_value(document, path, name, wrong)


def _report_value(document: Document, path: KeyPath, name: str, wrong: ValueError) -> None:
    hidden = path in document.hidden  # the reason may show the value
    reason = str(wrong).removeprefix(f"{name}: ")
    document.report(f"{document.written(path)} cannot be its value" if hidden else reason, *path)


# --- what is returned -----------------------------------------------------------------------------


def _reply(document: Document, path: KeyPath, dictionary: Dictionary | None) -> None:
    reply = document.at(path)
    if not isinstance(reply, dict):
        return
    if VLAN in reply:
        for name in reply:
            if name.partition(":")[0].title() in _TUNNEL:
                document.report("is what vlan writes; remove one of the two", *path, name)
        _one_vlan(document, (*path, VLAN))
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


def _values(document: Document, path: KeyPath, dictionary: Dictionary | None, name: str, value: object) -> int:
    """How many octets the attribute takes in a packet at most; what cannot be one is reported."""
    if not isinstance(value, dict):
        return sum(_encoded(document, place, dictionary, name, each) for place, each in document.texts_at(path))
    longest = 0
    for group in value:
        if group != ELSE and group.casefold() == ELSE:
            document.report("is taken for a group; for everybody else write else", *path, group)
        texts = document.texts_at((*path, group))
        longest = max(longest, sum(_encoded(document, place, dictionary, name, each) for place, each in texts))
    return longest


def _encoded(document: Document, path: KeyPath, dictionary: Dictionary | None, name: str, value: str) -> int:
    """How many octets; 0 for what depends on the user, or is reported."""
    attribute = "Tunnel-Private-Group-Id" if name == VLAN else name
    try:
        template = Template.read(value)
        if dictionary is None:
            return 0
        if not template.fields:
            return 2 + len(dictionary.encode(attribute, "".join(map(str, template.parts)))[1])
        dictionary.must_be_a_policys(attribute)
    except ValueError as wrong:
        _report_value(document, path, attribute, wrong)
    return 0
