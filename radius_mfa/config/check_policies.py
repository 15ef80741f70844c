"""What must hold of the policies: what they name is there, and what they ask for can be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator

from radius_mfa.config.check_replies import check_replies, is_meant_for_else, report_value, warn_of_quotes
from radius_mfa.config.document import EACH, Document, KeyPath, quoted
from radius_mfa.config.model import Policy, When
from radius_mfa.config.section import fields_of
from radius_mfa.config.unknown import unknown_key
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.policy import SecondFactor
from radius_mfa.core.returns import ELSE
from radius_mfa.core.usernames import ANY
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.matching import attribute_test

_CONDITIONS = tuple(fields_of(When))
_OF_OTHERS = ("all", "any", "not")
_OF_ONE = {
    "any": "all of whose conditions must hold; for any of them write each with a dash",
    "not": "and holds unless all of its conditions do; for none of them write each with a dash, "
    "for not all {all: …}",
}
_BESIDE = fields_of(Policy).keys() - {"when"}
_REGULAR = re.compile(r"\^[^*]|\.\*|.*[^\w*]\.\*|.*\]\+")  # "vpn.example.*" is a name and a star


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
    check_replies(document, dictionary)


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
                if group != ELSE and not is_meant_for_else(document, group, by_group):
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
                what = f"{document.written(path)} is taken for a whole name, and * for itself; name each {key}"
                document.report(what, *path)
    for path, realm in condition_texts(document, "realm"):
        if realm != ANY and set(realm) & set("*@\\"):
            how = "write it without @ or \\, and whole: * stands for any"
            document.report(f"{document.written(path)} is no realm; {how}", *path)


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
    _warn_of_one(document, path, when)
    for key in (key for key in when if key not in _CONDITIONS):
        if key in _BESIDE:
            document.report("belongs beside when, not under it", *path, key)
        elif not (key[0].isupper() or (dictionary is not None and dictionary.has(key))):
            text = unknown_key((*path, key))
            or_else = "" if text.endswith("?") else ", or an attribute such as NAS-Port-Type"
            document.report(text + or_else, *path, key)
        elif dictionary is not None:
            for place, value in document.texts_at((*path, key)):
                _attribute(document, place, dictionary, key, value)


def _warn_of_one(document: Document, path: KeyPath, when: dict[str, object]) -> None:
    """Where several are meant and their dashes were forgotten, or but one of these was written."""
    for key, why in _OF_ONE.items():
        inner = when.get(key)
        (only,) = inner if isinstance(inner, list) and len(inner) == 1 else (inner,)
        if isinstance(only, dict) and len(only) > 1:
            document.warn(f"is one mapping, {why}", *path, key)


def _attribute(document: Document, path: KeyPath, dictionary: Dictionary, name: str, value: str) -> None:
    try:
        attribute_test(dictionary, name, value)
    except ValueError as wrong:
        report_value(document, path, name, wrong)
        return
    if not warn_of_quotes(document, path, value) and _REGULAR.match(value):
        document.warn("is no regular expression, but taken as written; * is anything, and else nothing is", *path)
