"""The YAML that answers come to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.compose import Composition, Groups, scalar, sequence
from radius_mfa.config.document import read_document
from radius_mfa.config.load import Loaded, load
from radius_mfa.config.profiles import GATEWAYS
from radius_mfa.wire.dictionary import Dictionary

ANSWERS = {
    "ldap_servers": "ldap://ldap1.example.org, ldap://ldap2.example.org",
    "ldap_start_tls": "true",
    "ldap_bind_dn": "cn=radius,dc=example,dc=org",
    "ldap_bind_password": "of the service",
    "ldap_base_dn": "dc=example,dc=org",
    "ldap_user_filter": "(&(objectClass=person)(uid={username}))",
    "ldap_id": "entryUUID",
    "group": r"cn=staff: all\, of # them,dc=example,dc=org",
    "client_profile": "generic",
    "client_name": "vpn",
    "client_address": "192.0.2.10, 2001:db8::/64",
    "client_secret": "sixteen octets or so",
    "smtp": "smtp://mail.example.org",
    "smtp_start_tls": "true",
    "smtp_username": "mfa",
    "smtp_password": "of the mail server",
    "smtp_sender": "mfa@example.org",
    "issuer": "Example: University",
    "contact": 'Ask "Bob", or #42',
    "listen": "0.0.0.0:1812",
    "state_folder": "/var/lib/radius-mfa",
    "audit_file": "/var/log/radius-mfa/audit.jsonl",
    "user": "",
}
_PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=40)


def loaded(composition: Composition, folder: Path) -> Loaded:
    """As it is read from its file, with the files of its secrets."""
    path = folder / "radius-mfa.yaml"
    path.write_text(composition.text())
    for name, secret in composition.secrets().items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.touch(0o600)
        file.write_text(f"{secret}\n")
    return load(path, {}, Dictionary.shipped())


def test_what_was_answered_is_what_is_loaded_and_nobody_is_warned(tmp_path: Path) -> None:
    under_test = loaded(Composition(ANSWERS, Groups("search", "ou=groups,dc=example,dc=org")), tmp_path)
    configuration = under_test.configuration
    assert under_test.warnings == ()
    assert [client.name for client in configuration.clients] == ["vpn", "here"]
    assert configuration.clients[0].secret[0].reveal() == ANSWERS["client_secret"]
    ldap, mail = configuration.directory.ldap, configuration.factors.mail
    assert ldap is not None
    assert mail is not None
    assert mail.password is not None
    assert (ldap.bind_password.reveal(), mail.password.reveal()) == ("of the service", "of the mail server")
    assert (ldap.user_filter, ldap.groups.by) == (ANSWERS["ldap_user_filter"], "search")
    assert configuration.policies[0].when.group == (ANSWERS["group"],)
    assert configuration.contact == ANSWERS["contact"]
    assert configuration.factors.totp is not None
    assert configuration.factors.totp.issuer == ANSWERS["issuer"]


@pytest.mark.parametrize("profile", GATEWAYS)
def test_no_gateway_is_one_that_anybody_is_warned_of(tmp_path: Path, profile: str) -> None:
    few = {**ANSWERS, "client_profile": profile, "smtp": "", "group": "", "contact": "", "smtp_username": ""}
    slow = ["client_profile: mikrotik"] if profile == "mikrotik" else []
    warnings = loaded(Composition(few), tmp_path).warnings
    assert len(warnings) == len(slow), warnings  # 300 ms are too few, and that is said


def test_a_gateway_on_this_machine_is_the_only_client(tmp_path: Path) -> None:
    answers = {**ANSWERS, "client_address": "127.0.0.0/8"}
    clients = loaded(Composition(answers), tmp_path).configuration.clients
    assert [client.name for client in clients] == ["vpn"]


def test_no_secret_is_in_the_text() -> None:
    text, secrets = Composition(ANSWERS).text(), Composition(ANSWERS).secrets()
    assert sorted(secrets) == ["secrets/client-vpn", "secrets/ldap", "secrets/smtp"]
    assert not [each for each in secrets.values() if each in text]


def test_what_did_not_work_is_noted_where_it_stands() -> None:
    text = Composition(ANSWERS, notes={"directory": "no connection"}).text()
    assert "# DID NOT WORK when this was written: no connection\ndirectory:" in text


@pytest.mark.parametrize("user", ["", "u0"])
def test_an_id_that_no_user_was_looked_up_with_is_marked(user: str) -> None:
    text = Composition({**ANSWERS, "try_user": user}).text()
    assert ("id: entryUUID   # NOT TRIED with a user" in text) is (user == "")


@given(
    _PRINTABLE
    | st.sampled_from(["true", "null", "~", "0123", "off", "a: b", "- a", "[", "{x}", "a #b", "'", "\\"])
)
def test_a_text_is_read_as_that_text(text: str) -> None:
    document = read_document("x", f"key: {scalar(text)}\nlist: {sequence([text, text])}\n")
    assert document.problems == []
    assert document.data == {"key": text, "list": [text, text]}
