"""The JSON Schema for editors: what is shipped is what the model says, and it tells a slip where it is made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from radius_mfa.config.elsewhere import twins_at
from radius_mfa.config.keys import keys_at
from radius_mfa.config.schema import as_json, schema
from radius_mfa.data import CONFIG
from tests.config.support import SLIPS, SMALL, client, ldap, policy, spoilt

CONTRACT = Path(__file__).with_name("contract.yaml")
SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


class Yaml12(yaml.SafeLoader):
    """Reads scalars by the core schema of YAML 1.2 (§10.3.2), as editors do."""


Yaml12.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), list(first))


def problems(text: str) -> Iterator[str]:
    """Where an editor would draw its red lines: the keys and indices of each."""
    for error in VALIDATOR.iter_errors(yaml.load(text, Yaml12)):
        yield "/".join(map(str, error.absolute_path))


def test_the_file_that_is_shipped_is_the_one_that_is_made() -> None:
    """Else: radius-mfa check --schema > config/schema.json"""
    assert (CONFIG / "schema.json").read_text() == as_json()


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(as_json()) == SCHEMA


@pytest.mark.parametrize("path", [*sorted(CONFIG.glob("*.yaml")), CONTRACT], ids=lambda path: path.name)
def test_what_is_shipped_has_no_red_line_in_an_editor(path: Path) -> None:
    assert list(problems(path.read_text())) == []


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_editors_are_told_of_it_by_each_file_that_is_shipped(path: Path) -> None:
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


@pytest.mark.parametrize(
    "text",
    [
        SMALL,
        client("retries: 3", "timeout: 500ms"),
        client('retries: "3"'),
        client("retries: ${RETRIES}", "timeout: ${TIMEOUT}", "station: ${STATION}"),
        spoilt("secret: 0123456789abcdef", "secret: 1234567890123456"),
        spoilt("secret: 0123456789abcdef", "secret_file: vpn.secret"),
        spoilt("secret: 0123456789abcdef", "secret_file: [new, old]"),
        spoilt("address: 192.0.2.1", 'address: ["2001:db8::/32", 192.0.2.0/24]'),
        spoilt(
            "{client: vpn}", "{client: [vpn], NAS-Port-Type: [5, Virtual], days: mon-fri, hours: '08:00-24:00'}"
        ),
        spoilt("{client: vpn}", "{not: {any: [{client: vpn}, {all: {user: alice}}]}}"),
        spoilt("{client: vpn}", "{nas-port-type: Virtual, h323-call-type: x, not: {nas-port: 5}}"),
        spoilt(
            "{client: vpn}", "{days: [' Mon - FRI ,sat', sun], station: [001122334455, 0011.*, '::1', 10.0.0.0/8]}"
        ),
        client("realms: keep"),
        client('realms: {EXAMPLE: "", example.org: example.org}'),
        policy("reply: {Class: [a, 5], Session-Timeout: 3600, Filter-Id: {staff: a, else: [b, c]}}"),
        ldap().replace("bind_password: bind-password", "bind_password_file: bind"),
        SMALL + "lockout: {durations: 15m}\n",
    ],
)
def test_what_loads_has_no_red_line(text: str) -> None:
    assert list(problems(text)) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (SMALL + "wrokers: 1\n", ""),
        (client("timeuot: 5s"), "clients/0"),
        (SMALL[: SMALL.index("policies:")], ""),
        (spoilt("name: vpn\n    address", "address"), "clients/0"),
        (client("timeout: 5"), "clients/0/timeout"),
        (client("timeout: 5 s"), "clients/0/timeout"),
        (client("retries: 21"), "clients/0/retries"),
        (client("retries: many"), "clients/0/retries"),
        (client("station: phone"), "clients/0/station"),
        (client("realm_required: yes"), "clients/0/realm_required"),
        (client("secret_file: vpn.secret"), "clients/0"),
        (spoilt("secret: 0123456789abcdef", "secret: [a, b, c]"), "clients/0/secret"),
        (spoilt("udp: 127.0.0.1:1812", "udp: 1812"), "listen/0/udp"),
        (spoilt("{client: vpn}", "[client]"), "policies/0/when"),
        (spoilt("{client: vpn}", "{clent: vpn}"), "policies/0/when"),
        (spoilt("{client: vpn}", "{client: []}"), "policies/0/when/client"),
        (spoilt("{client: vpn}", "{hours: 8-20}"), "policies/0/when/hours"),
        (spoilt("{client: vpn}", "{days: monday-friday}"), "policies/0/when/days"),
        (spoilt("{client: vpn}", "{days: mon-}"), "policies/0/when/days"),
        (spoilt("{client: vpn}", "{station: '*'}"), "policies/0/when/station"),
        (spoilt("{client: vpn}", "{station: [10.0.0.0/8, 00-11-22]}"), "policies/0/when/station"),
        (SMALL + "profiles: {x: {like: generic, shows_answer: yes}}\n", "profiles/x/shows_answer"),
        (policy("second_factor: off"), "policies/0/second_factor"),
        (policy("factors: [sms]"), "policies/0/factors"),
        (policy("reply: [Class]"), "policies/0/reply"),
        (ldap("bind_password_file: bind"), "directory/ldap"),
        (ldap().replace("    bind_password: bind-password\n", ""), "directory/ldap"),
        (ldap().replace("ldap://127.0.0.1", "ldap.example.org"), "directory/ldap/servers"),
        (SMALL + "contact: true\n", "contact"),
        (SMALL + "log:\n", "log"),
        (SMALL + "when_directory_fails: accept\n", "when_directory_fails"),
    ],
)
def test_a_slip_has_its_red_line_where_it_is(text: str, where: str) -> None:
    assert set(problems(text)) == {where}


def test_most_of_what_check_refuses_has_a_red_line_before() -> None:
    """But for what stands elsewhere, must fit together, or takes a parser of its own."""
    told = sum(bool(list(problems(text))) for text, _ in SLIPS if _is_yaml(text))
    assert told > len(SLIPS) * 0.6


def _is_yaml(text: str) -> bool:
    try:
        yaml.load(text, Yaml12)
    except yaml.YAMLError:
        return False
    return True


@pytest.mark.parametrize(
    "path", [(), ("clients", 0), ("directory", "ldap"), ("policies", 0), ("policies", 0, "when")]
)
def test_it_knows_the_keys_that_the_model_knows(path: tuple[str | int, ...]) -> None:
    found: Any = SCHEMA
    for part in path:
        found = found["items"] if isinstance(part, int) else found["properties"][part]
        found = SCHEMA["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found
    assert set(found["properties"]) == {*keys_at(path), *twins_at(path)}


def test_it_says_what_the_model_says_of_a_key() -> None:
    said = SCHEMA["$defs"]
    assert said["Totp"]["properties"]["window"]["default"] == 1
    assert said["Totp"]["properties"]["window"]["description"].startswith("steps of 30 s")
    assert said["TrustedDevices"]["properties"]["lifetime"]["default"] == "7d"
    assert said["Lockout"]["properties"]["durations"]["default"] == ["15m", "1h", "4h", "1d"]
    assert SCHEMA["properties"]["storage"]["default"] == "sqlite:////var/lib/radius-mfa/state.db"
    assert SCHEMA["properties"]["timezone"]["default"] == "UTC"
    assert "None" not in as_json()  # which is for who wrote the model
