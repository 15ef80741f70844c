"""Keys whose feature this version does not have: one clear line each, and none for what is absent."""

from __future__ import annotations

import pytest

from tests.config.support import SMALL, Folder, client, ldap, policy, spoilt

REMOVE = "not available in this version; remove it"
MAIL = "factors: {totp: {}, mail: {smtp: 'smtp://localhost', sender: a@example.org}, recovery_codes: {}}\n"


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (SMALL + "enrolment: {networks: [192.0.2.0/24]}\n", 14, "enrolment.networks"),
        (SMALL + "portal: {listen: 127.0.0.1:8080, url: https://example.org}\n", 14, "portal"),
    ],
)
def test_a_key_without_its_feature_is_refused(folder: Folder, text: str, line: int, key: str) -> None:
    assert folder.problems(text, usable=True) == [f"{line}: {key}: {REMOVE}"]
    assert folder.problems(text) == []


@pytest.mark.parametrize(
    "text",
    [
        SMALL,
        SMALL + "workers: 4\n",
        client("certificate: gw.example.org"),
        SMALL + "enrolment: {order: totp-first, networks: [], voucher: true}\n",
        ldap("start_tls: true", "password_url: https://example.org"),
        ldap().replace("ldap://", "ldaps://"),
        policy("factors: [totp, mail, recovery_codes]") + MAIL,
        SMALL + "enrolment: {order: mail-first, voucher: false}\n" + MAIL,
        policy("trust_device: true", "factors: [totp]") + "trusted_devices: {lifetime: 1d}\n",
        client("station: mac"),
        SMALL + "storage: sqlite:///state.db\n",
        SMALL + "storage: postgresql://db/radius\n",
        spoilt(
            "{client: vpn}",
            "{client: vpn, group: a, realm: r, station: 10.0.0.0/8, NAS-Port: 1}",
        ),
    ],
)
def test_what_is_available_or_absent_or_has_its_default_is_not(folder: Folder, text: str) -> None:
    assert folder.problems(text, usable=True) == []


def test_what_is_wrong_besides_is_told_at_the_same_time(folder: Folder) -> None:
    text = (
        client("timeout: 5")
        + "portal: {listen: 127.0.0.1:8080, url: https://example.org}\nenrolment: {voucher: maybe}\nportals: {}\n"
    )
    assert [each.partition(": ")[0] for each in folder.problems(text, usable=True)] == ["7", "15", "16", "17"]
