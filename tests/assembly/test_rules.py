"""From the YAML to the rules: nothing an administrator asks for may be lost on the way."""

from pathlib import Path

import pytest

from radius_mfa.assembly.rules import policies_of
from radius_mfa.config.load import load
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.policy import Condition
from tests.config.support import spoilt

EVERY_CONDITION = {
    "client": "vpn",
    "client_group": "gateways",
    "user": "[Alice, bob]",
    "group": "CN=Staff, OU=Groups",
    "days": "[mon-tue, sun]",
    "hours": '["08:00-12:00", "22:00-06:00"]',
}
READ = {
    "client": "vpn",
    "client_group": "gateways",
    "user": "alice or bob",
    "group": "cn=staff,ou=groups",
    "days": "mon or tue or sun",
    "hours": "08:00-12:00 or 22:00-06:00",
}


def conditions(folder: Path, when: str) -> tuple[Condition, ...]:
    path = folder / "radius-mfa.yaml"
    path.write_text(spoilt("    when: {client: vpn}\n", when))
    (policy,) = policies_of(load(path, {}).configuration)
    return policy.conditions


def test_every_condition_of_the_yaml_is_one_of_the_policy(tmp_path: Path) -> None:
    lines = "".join(
        f"      {key}: {value if value[0] == '[' else repr(value)}\n" for key, value in EVERY_CONDITION.items()
    )
    built = conditions(tmp_path, f"    when:\n{lines}")

    assert {each.key: each.wanted for each in built} == READ


def test_a_policy_without_conditions_has_none(tmp_path: Path) -> None:
    assert conditions(tmp_path, "") == ()


@pytest.mark.parametrize("key", ["realm", "station", "NAS-Port-Type"])
def test_a_condition_that_cannot_be_built_is_an_error_and_never_left_out(tmp_path: Path, key: str) -> None:
    """Without it the policy would match more than was written."""
    with pytest.raises(ConfigurationError, match=f"policies: when: {key}: "):
        conditions(tmp_path, f"    when: {{client: vpn, {key}: x}}\n")
