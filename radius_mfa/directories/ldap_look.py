"""What a server says of itself: which product it is, and where its entries begin (RFC 4512 §5.1)."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from radius_mfa.core.errors import DirectoryError
from radius_mfa.directories.ldap_connection import Answer, LdapConnection
from radius_mfa.directories.ldap_messages import SUCCESS, Entry, read_entry_request
from radius_mfa.directories.ldap_server import LdapAddress
from radius_mfa.directories.ldap_tls import Tls, trust

_ASKED = ["objectClass", "vendorName", "namingContexts", "defaultNamingContext", "supportedCapabilities"]
_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"  # LDAP_CAP_ACTIVE_DIRECTORY_OID ([MS-ADTS] 3.1.1.3.4.3.1)
_OPENLDAP = "openldaprootdse"  # a class of slapd's root DSE, in lower case
_NOT_FOR_PEOPLE = ("cn=config", "cn=schema", "cn=monitor", "cn=accesslog", "cn=changelog", "o=netscaperoot")


class Product(Enum):
    """Which server it is, as far as users and groups are kept differently there."""

    OPENLDAP = "OpenLDAP"
    ACTIVE_DIRECTORY = "Active Directory"
    DIRECTORY_389 = "389 Directory Server"
    OTHER = "an LDAP server"


@dataclass(frozen=True, slots=True)
class Seen:
    """`bases`: entries that users may be below, the likeliest first."""

    product: Product
    bases: tuple[str, ...] = ()


async def look(
    address: LdapAddress, service: tuple[str, bytes], *, start_tls: bool, ca_file: Path | None, patience: float
) -> Seen:
    """Connect, bind as the service, and read what the server says of itself.

    Raises DirectoryError, whose cause is ssl.SSLCertVerificationError where that is it, and ConfigurationError.
    `patience`: seconds for all of it.
    """
    answer = await _read(address, service, ("", _ASKED), start_tls, ca_file, patience)
    if answer.result.code != SUCCESS or not answer.entries:
        return Seen(Product.OTHER)  # it need not be told to everybody
    return _seen(answer.entries[0])


async def look_below(
    address: LdapAddress,
    service: tuple[str, bytes],
    base_dn: str,
    *,
    start_tls: bool,
    ca_file: Path | None,
    patience: float,
) -> None:
    """The same, and read the entry that users are to be below.  Raises DirectoryError where there is none, too."""
    answer = await _read(address, service, (base_dn, ["1.1"]), start_tls, ca_file, patience)
    if answer.result.code != SUCCESS:
        raise DirectoryError(f"{address}: base DN {base_dn}: {answer.result}")


async def _read(
    address: LdapAddress,
    service: tuple[str, bytes],
    entry: tuple[str, list[str]],
    start_tls: bool,
    ca_file: Path | None,
    patience: float,
) -> Answer:
    """`entry`: its DN and the attributes asked for."""
    tls = Tls(trust(ca_file), start_tls and not address.tls) if address.tls or start_tls else None
    name, (dn, password), (asked, attributes) = str(address), service, entry
    connection: LdapConnection | None = None
    try:
        async with asyncio.timeout(patience):
            connection = await LdapConnection.connect(address.host, address.port, name, patience, tls)
            bound = await connection.bind(dn, password)
            if bound.code != SUCCESS:
                raise DirectoryError(f"{name}: bind as {dn}: {bound}")
            return await connection.search(read_entry_request(asked.encode(), attributes))
    except TimeoutError:
        raise DirectoryError(f"{name}: no answer within {patience:g} s") from None
    finally:
        if connection is not None:
            connection.close()
            await asyncio.wait([connection.closed], timeout=patience)


def _seen(root: Entry) -> Seen:
    default, contexts = root.values("defaultNamingContext"), root.values("namingContexts")
    bases = default[:1] or tuple(each for each in contexts if not each.lower().startswith(_NOT_FOR_PEOPLE))
    return Seen(_product(root), bases)


def _product(root: Entry) -> Product:
    if _ACTIVE_DIRECTORY in root.values("supportedCapabilities"):
        return Product.ACTIVE_DIRECTORY
    if any("389" in vendor for vendor in root.values("vendorName")):
        return Product.DIRECTORY_389
    if _OPENLDAP in map(str.lower, root.values("objectClass")):
        return Product.OPENLDAP
    return Product.OTHER


async def shown_certificate(address: LdapAddress, *, start_tls: bool, patience: float) -> bytes | None:
    """The certificate in DER that the server shows to anybody; None where it shows none.

    Nothing is said over that connection, for nobody has verified whose it is.
    """
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    tls = Tls(anybody, start_tls and not address.tls)
    try:
        connection = await LdapConnection.connect(address.host, address.port, str(address), patience, tls)
    except DirectoryError:
        return None
    try:
        return connection.certificate
    finally:
        connection.abort("seen")
        await connection.closed
