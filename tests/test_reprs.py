"""Nothing secret is in the repr of a value of ours: that is what ends in a log, a traceback, a failed test."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import radius_mfa
from radius_mfa.config.values import Secret

# What the name of a field says of it, a word of it being enough; octets are taken for secret whatever their name.
_SECRET = re.compile(
    "(^|_)(answer|authenticator|attributes|codes?|credentials|fingerprint|hash|octets|passwords?|sealed|"
    "secrets?|seed|state)($|_)"
)
# Fields that may be seen, with the reason.
SHOWN = {
    "Accept.attributes": "what a policy returns, which stands in the YAML for everybody who reads that",
    "AttributeIs.tests": "functions",
    "AttributeIs.show": "a function",
    "Attempt.digest": "made with a key that nobody sees",
    "Attempt.login": "the number of a login",
    "Attempt.other_digests": "made with keys that nobody sees",
    "Client.message_authenticator": "a rule",
    "Content.client": "made of a client's name",
    "Content.login": "the number of a login",
    "Content.name": "made of a user's name",
    "Key.id": "names the key",
    "KnownKey.id": "names the key",
    "Ldap.attributes": "the names of attributes",
    "Ldap.password_url": "where people go",
    "Ldap.wrong_passwords": "how many",
    "LdapSettings.extra_attributes": "the names of attributes",
    "LdapSettings.groups_attribute": "the name of an attribute",
    "LdapSettings.id_attribute": "the name of an attribute",
    "LdapSettings.language_attribute": "the name of an attribute",
    "LdapSettings.name_attribute": "the name of an attribute",
    "Login.id": "the number of a login",
    "MailCodeUse.code_id": "the number of a row",
    "Node.keys": "the ids of keys",
    "PortalSettings.password_url": "where people go",
    "RecoveryCodeUse.code_id": "the number of a row",
    "Reply.attributes": "what a policy returns",
    "Returns.entry_attributes": "the names of attributes",
    "StaticUser.attributes": "what policies return, as of a directory",
    "Static.wrong_passwords": "how many",
    "User.attributes": "what a directory says of a user; never a password",
}
_OPENS = "the secret that must not be seen"


def _classes() -> Iterator[type]:
    for found in pkgutil.walk_packages(radius_mfa.__path__, f"{radius_mfa.__name__}."):
        # FreeRADIUS's side has no class, and begins with the module `radiusd`, which is within FreeRADIUS only.
        if "__main__" in found.name or ".migrations" in found.name or found.name == "radius_mfa.freeradius":
            continue
        module = importlib.import_module(found.name)
        for _, each in inspect.getmembers(module, inspect.isclass):
            if each.__module__ == found.name:
                yield each


CLASSES = tuple(_classes())
MODELS = tuple(each for each in CLASSES if issubclass(each, BaseModel))


def _fields() -> Iterator[tuple[type, str, str, bool]]:
    """Each field of a dataclass or model: whose, its name, its type, whether its value is seen."""
    for each in CLASSES:
        if dataclasses.is_dataclass(each):
            for field in dataclasses.fields(each):
                yield each, field.name, str(field.type), field.repr
        elif issubclass(each, BaseModel):
            for name, about in each.model_fields.items():
                yield each, name, str(about.annotation), about.repr


def _may_be_secret(name: str, kind: str) -> bool:
    """`Secret` hides itself, as values of other classes of ours do, which are looked at by themselves."""
    if re.search(r"\bbytes\b", kind):
        return True
    return re.search(r"\bstr\b", kind) is not None and _SECRET.search(name) is not None


def test_a_field_that_may_be_secret_is_not_seen() -> None:
    seen = [
        f"{owner.__module__}: {owner.__name__}.{name}"
        for owner, name, kind, shown in _fields()
        if shown and _may_be_secret(name, kind) and f"{owner.__name__}.{name}" not in SHOWN
    ]
    assert seen == []


def test_what_is_excepted_is_there() -> None:
    there = {f"{owner.__name__}.{name}" for owner, name, _, shown in _fields() if shown}
    assert SHOWN.keys() - there == set()


@pytest.mark.parametrize("owner", sorted({owner for owner, *_, shown in _fields() if not shown}, key=str))
def test_a_hidden_field_is_hidden_in_the_repr_too(owner: type) -> None:
    """Whoever writes a repr of their own has to mind it themselves."""
    assert dataclasses.is_dataclass(owner)
    value = object.__new__(owner)
    for field in dataclasses.fields(owner):
        object.__setattr__(value, field.name, None if field.repr else _OPENS)
    assert _OPENS not in repr(value) + str(value)


@pytest.mark.parametrize("model", MODELS)
def test_secrets_of_the_configuration_hide_themselves(model: type[BaseModel]) -> None:
    values: dict[str, Any] = {
        name: Secret(_OPENS) for name, about in model.model_fields.items() if "Secret" in str(about.annotation)
    }
    value = model.model_construct(**values)
    assert _OPENS not in repr(value) + str(value) + str(Secret(_OPENS))


def test_every_secret_of_the_configuration_is_one() -> None:
    """A password that is a mere text would be seen wherever the configuration is."""
    texts = [
        f"{model.__name__}.{name}"
        for model in MODELS
        for name, about in model.model_fields.items()
        if not {"password", "secret"}.isdisjoint(name.split("_"))
        and "Secret" not in str(about.annotation)
        and f"{model.__name__}.{name}" not in SHOWN
    ]
    assert texts == []
