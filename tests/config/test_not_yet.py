"""Keys whose feature this version does not have: one clear line each, and none for what is absent."""

from __future__ import annotations

import pytest

from tests.config.support import SMALL, Folder, client, ldap, policy, spoilt
from tests.peers.certificates import Authority

REMOVE = "not available in this version; remove it"
MAIL = "factors: {totp: {}, mail: {smtp: 'smtp://localhost', sender: a@example.org}, recovery_codes: {}}\n"


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (SMALL + "workers: 2\n", 14, "workers"),
        (client("certificate: gw.example.org"), 7, "clients[0].certificate"),
        (SMALL + "enrolment: {networks: [192.0.2.0/24]}\n", 14, "enrolment.networks"),
        (SMALL + "portal: {listen: 127.0.0.1:8080, url: https://example.org}\n", 14, "portal"),
        (SMALL + "eap: {certificate: radius-mfa.yaml, key: radius-mfa.yaml}\n", 14, "eap"),
    ],
)
def test_a_key_without_its_feature_is_refused(folder: Folder, text: str, line: int, key: str) -> None:
    assert folder.problems(text, usable=True) == [f"{line}: {key}: {REMOVE}"]
    assert folder.problems(text) == []


def test_radsec_is_refused(folder: Folder) -> None:
    files = "certificate: radius-mfa.yaml, key: radius-mfa.yaml, client_ca: radius-mfa.yaml"
    text = spoilt("udp: 127.0.0.1:1812", f"{{radsec: 127.0.0.1:2083, {files}}}")
    assert folder.problems(text, usable=True) == [f"2: listen[0].radsec: {REMOVE}"]


@pytest.mark.parametrize("key", ["realm", "station", "NAS-Port-Type"])
def test_a_condition_that_is_not_there_is_refused(folder: Folder, key: str) -> None:
    assert folder.problems(spoilt("{client: vpn}", f"{{client: vpn, {key}: x}}"), usable=True) == [
        f"13: policies[0].when.{key}: this condition is {REMOVE}"
    ]


@pytest.mark.parametrize(
    "text",
    [
        SMALL,
        SMALL + "workers: 1\n",
        SMALL + "enrolment: {order: totp-first, networks: [], voucher: true}\n",
        ldap("start_tls: true", "password_url: https://example.org"),
        ldap().replace("ldap://", "ldaps://"),
        policy("factors: [totp, mail, recovery_codes]") + MAIL,
        SMALL + "enrolment: {order: mail-first, voucher: false}\n" + MAIL,
        policy("trust_device: true", "factors: [totp]") + "trusted_devices: {lifetime: 1d}\n",
        client("station: mac"),
        SMALL + "storage: sqlite:///state.db\n",
        SMALL + "storage: postgresql://db/radius\n",
        spoilt("{client: vpn}", "{client: vpn, group: a, user: b, days: mon, hours: '08:00-09:00'}"),
    ],
)
def test_what_is_available_or_absent_or_has_its_default_is_not(folder: Folder, text: str) -> None:
    assert folder.problems(text, usable=True) == []


def test_what_is_wrong_besides_is_told_at_the_same_time(folder: Folder) -> None:
    text = client("timeout: 5") + "workers: 4\nenrolment: {voucher: maybe}\nportals: {}\n"
    assert [each.partition(": ")[0] for each in folder.problems(text, usable=True)] == ["7", "15", "16", "17"]


@pytest.mark.parametrize("content", ["", "junk", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_ca_file_without_a_certificate_is_found_out_before_the_server_starts(
    folder: Folder, content: str
) -> None:
    folder.write("ca.pem", content)
    wrong = '"ca.pem" has no certificate in PEM form in it'
    text = ldap("start_tls: true", "ca_file: ca.pem")
    assert folder.problems(text, usable=True) == [f"14: directory.ldap.ca_file: {wrong}"]
    text = SMALL + "factors: {mail: {smtp: smtp://m, sender: a@example.org, ca_file: ca.pem}}\n"
    assert folder.problems(text, usable=True) == [f"14: factors.mail.ca_file: {wrong}"]


def test_a_ca_file_with_one_is_not(folder: Folder) -> None:
    ca_file = Authority(folder.path / "ours").ca_file
    assert folder.problems(ldap("start_tls: true", f"ca_file: {ca_file}"), usable=True) == []
