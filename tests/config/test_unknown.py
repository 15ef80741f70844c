"""What an administrator may have meant by a key that cannot stand where it does."""

from __future__ import annotations

import pytest

from radius_mfa.config.document import KeyPath
from radius_mfa.config.unknown import misnamed_condition, unknown_key

POLICY = ("policies", 0)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("timezoen",), "unknown key; did you mean timezone?"),
        (("clients", 0, "secret_fil"), "unknown key; did you mean secret_file?"),
        (("clients", 0, "secret…"), "unknown key; behind secret belong a colon and a space"),
        (("clients", 0, "bind_password…"), "unknown key here; bind_password belongs under directory.ldap"),
        (("clients", 0, "psk", "…"), "unknown key; here can stand identity, key, key_file"),
        (
            ("portal", "xyz"),
            "unknown key; here can stand listen, url, trusted_proxies, certificate, key, help_desk, idle_timeout, "
            "visit_lifetime, user, health",
        ),
        ((*POLICY, "client"), "unknown key here; client belongs under policies.when"),
        (("secret",), "unknown key here; secret belongs under clients"),
        (("secret_file",), "unknown key here; secret_file belongs under clients"),
        (("directory", "ldap", "policies"), "unknown key here; policies belongs at the beginning of a line"),
        ((*POLICY, "Class"), "unknown key here; an attribute such as Class belongs under when or reply"),
    ],
)
def test_a_key_is_told_by_what_is_near_or_by_where_it_belongs(path: KeyPath, said: str) -> None:
    assert unknown_key(path) == said


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("none", "not"),
        ("nor", "not"),
        ("NOT", "not"),
        ("or", "any"),
        ("Any", "any"),
        ("and", "all"),
        ("ALL", "all"),
    ],
)
def test_what_other_languages_call_a_combination_is_understood(written: str, meant: str) -> None:
    for when in ((*POLICY, "when"), (*POLICY, "when", "any", 1), (*POLICY, "when", "not")):
        assert unknown_key((*when, written)) == f"unknown key; did you mean {meant}?"
        assert misnamed_condition((*when, written, 0, "client")) == (*when, written)


def test_a_combination_by_its_own_name_or_an_attribute_is_none_of_those() -> None:
    for path in (
        (*POLICY, "when", "not", "client"),
        (*POLICY, "when", "Class"),
        (*POLICY, "reply", "None"),
        ("or",),
    ):
        assert misnamed_condition(path) == ()
