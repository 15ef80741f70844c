"""What a real OpenLDAP says of itself, over each kind of connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.core.errors import DirectoryError
from radius_mfa.directories.ldap_look import Product, Seen, look, shown_certificate
from radius_mfa.directories.ldap_server import LdapAddress
from tests.peers.certificates import Authority
from tests.peers.ports import free_port
from tests.peers.slapd import BASE, Slapd

PATIENCE = 10.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authorities") / "ours")


@pytest.fixture(scope="module")
def encrypted(authority: Authority) -> Iterator[Slapd]:
    with Slapd(users=0, certificate=authority.certify("127.0.0.1")) as running:
        yield running


def looked(slapd: Slapd, *, tls: bool = False, password: str = "", **how: Any) -> Seen:
    address = LdapAddress("127.0.0.1", slapd.tls_port if tls else slapd.port, tls)
    service = slapd.bind_dn, (password or slapd.bind_password).encode()
    usual = {"start_tls": False, "ca_file": None, "patience": PATIENCE}
    return asyncio.run(look(address, service, **{**usual, **how}))


@pytest.mark.parametrize("how", ["clear text", "StartTLS", "LDAPS"])
def test_it_is_openldap_and_its_entries_begin_there(encrypted: Slapd, authority: Authority, how: str) -> None:
    ca_file = None if how == "clear text" else authority.ca_file
    seen = looked(encrypted, tls=how == "LDAPS", start_tls=how == "StartTLS", ca_file=ca_file)
    assert seen == Seen(Product.OPENLDAP, (BASE,))


@pytest.mark.parametrize("tls", [True, False])
def test_a_certificate_nobody_vouches_for_is_the_cause_and_can_be_seen(
    encrypted: Slapd, authority: Authority, tls: bool
) -> None:
    with pytest.raises(DirectoryError, match="its certificate is not trusted") as refused:
        looked(encrypted, tls=tls, start_tls=True)
    assert isinstance(refused.value.__cause__, ssl.SSLCertVerificationError)
    address = LdapAddress("127.0.0.1", encrypted.tls_port if tls else encrypted.port, tls)
    shown = asyncio.run(shown_certificate(address, start_tls=True, patience=PATIENCE))
    own = authority.ca_file.parent.glob("*.pem")
    assert shown in {ssl.PEM_cert_to_DER_cert(_certificate(path)) for path in own}


def _certificate(path: Path) -> str:
    """The first one in a file that may begin with a key."""
    text = path.read_text()
    begin = text.index("-----BEGIN CERTIFICATE")
    return text[begin : text.index("-----END CERTIFICATE-----", begin) + len("-----END CERTIFICATE-----")]


def test_a_wrong_password_of_the_service_is_told_without_it(encrypted: Slapd) -> None:
    with pytest.raises(DirectoryError, match=r"bind as cn=radius,.*: invalidCredentials \(49\)$") as refused:
        looked(encrypted, password="not the password")
    assert "not the password" not in str(refused.value)


def test_nobody_there_is_told() -> None:
    address = LdapAddress("127.0.0.1", free_port())
    with pytest.raises(DirectoryError, match="no connection"):
        asyncio.run(look(address, ("cn=x", b"y"), start_tls=False, ca_file=None, patience=PATIENCE))
    assert asyncio.run(shown_certificate(address, start_tls=True, patience=PATIENCE)) is None
