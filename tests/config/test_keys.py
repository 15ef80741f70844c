"""Which keys may stand where."""

from __future__ import annotations

import pytest

from radius_mfa.config.document import KeyPath
from radius_mfa.config.keys import keys_at
from radius_mfa.config.model import Client, Configuration, Listener, OwnProfile, When
from radius_mfa.config.section import Section, fields_of


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ((), Configuration),
        (("listen", 0), Listener),
        (("clients", 3), Client),
        (("profiles", "anything"), OwnProfile),
        (("policies", 0, "when"), When),
        (("policies", 0, "when", "any", 1, "not", "all", 0), When),
    ],
)
def test_a_section_has_its_own_keys_however_deep(path: KeyPath, section: type[Section]) -> None:
    assert keys_at(path) == tuple(fields_of(section))


def test_a_key_is_as_it_is_written_and_not_as_the_model_calls_it() -> None:
    assert "not" in keys_at(("policies", 0, "when"))
    assert "not_" not in keys_at(("policies", 0, "when"))


@pytest.mark.parametrize(
    "path",
    [("nowhere",), ("timezone",), ("profiles",), ("clients", 0, "realms"), ("clients", 0, "secret", "x"),
     ("policies", 0, "reply"), ("policies", 0, "reply", "Class")],
)  # fmt: skip
def test_what_is_no_mapping_of_fixed_keys_has_none(path: KeyPath) -> None:
    assert keys_at(path) == ()
