"""What `login --eap` is given, put together: who logs in, on which device, and whom it believes."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

import click

from radius_mfa.cli.eapol_network import METHODS, Network
from radius_mfa.cli.over_udp import unreachable
from radius_mfa.cli.supplicant import Supplicant
from radius_mfa.cli.tls_context import must_have_certificates
from radius_mfa.core import stations
from radius_mfa.core.printing import printable

_LONGEST_NAME = 253  # octets, of User-Name (RFC 2865 §5.1)


@dataclass(frozen=True, slots=True)
class EapOptions:
    """The options as they were written; None: not given."""

    method: str
    ca: str | None = None
    server_name: str | None = None
    outer_name: str | None = None
    station: str | None = None

    def supplicant(
        self, username: str, server: tuple[str, int], secret: bytes, patience: float, answers: int
    ) -> Supplicant:
        """Who logs in where, but for the password.  `answers`: how many there are.

        Raises click.UsageError, TlsFileError; NoReplyError for a host there is not.
        """
        method = METHODS[self.method]
        for what, name in (("USER", username), ("--outer-name", self.outer_name)):
            if name is not None and (not name or not fits(name, _LONGEST_NAME)):
                raise click.UsageError(f"{what}: a name has 1 to {_LONGEST_NAME} octets of UTF-8.")
        if answers > 1 and not method.asks:
            raise click.UsageError(f"--eap {self.method} has one field, and takes one --answer at most.")
        if self.server_name is not None and self.ca is None:
            raise click.UsageError("--server-name needs --ca as well.")
        mac = self._mac()
        ca = None if self.ca is None else Path(self.ca).absolute()
        if ca is not None:
            must_have_certificates("--ca", ca)
        network = Network(method, username, None, self.outer_name, ca, self.server_name)
        return Supplicant(_numeric(server), secret, network, mac, patience)

    def _mac(self) -> str | None:
        if self.station is None:
            return None
        mac = stations.read(self.station.encode(errors="replace"))
        if not isinstance(mac, str):
            raise click.UsageError(f"--station {printable(self.station)}: write a MAC, as 02:00:00:00:00:01.")
        return ":".join(re.findall("..", mac))


def fits(text: str, octets: int) -> bool:
    """Whether it is UTF-8, and no more octets than that."""
    try:
        return len(text.encode()) <= octets
    except UnicodeEncodeError:
        return False


def _numeric(server: tuple[str, int]) -> tuple[str, int]:
    """eapol_test takes addresses only.  Raises NoReplyError."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    try:
        address = socket.getaddrinfo(*server, family, socket.SOCK_DGRAM)[0][4]
    except (OSError, UnicodeError) as broken:
        raise unreachable(server, broken) from None
    return str(address[0]), server[1]
