"""What `login` is given for TLS; for --radsec put together: by certificates, or by a key that both sides have."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path

import click

from radius_mfa.cli.over_tls import Target
from radius_mfa.cli.tls_context import by_certificate, by_psk
from radius_mfa.transports.tls import HAS_PSK

_OF_EAP = ("--ca", "--server-name")
_PSK = re.compile("(.{1,128}):((?:[0-9A-Fa-f]{2}){16,64})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """The options as they were written; None: not given."""

    certificate: str | None = None
    key: str | None = None
    ca: str | None = None
    server_name: str | None = None
    psk: str | None = field(default=None, repr=False)

    def refuse_all(self) -> None:
        """Where there is no TLS at all.  Raises click.UsageError."""
        if given := self._given():
            raise click.UsageError(f"{given[0]} belongs to --radsec{' or --eap' if given[0] in _OF_EAP else ''}.")

    def refuse_all_but_the_servers(self, radsec: bool) -> None:
        """Where TLS is that of EAP, in which a user has no certificate, over UDP.  Raises click.UsageError."""
        given = ["--radsec"] if radsec else [each for each in self._given() if each not in _OF_EAP]
        if given:
            raise click.UsageError(f"--eap and {given[0]} do not go together.")

    def target(self, server: tuple[str, int]) -> Target:
        """How `server` is to be reached.  Raises click.UsageError; TlsFileError for a file that is of no use."""
        if self.psk is not None:
            if others := [each for each in self._given() if each != "--psk"]:
                raise click.UsageError(f"--psk and {others[0]} do not go together.")
            return Target(server, by_psk(*_psk(self.psk)), None)
        if self.certificate is None or self.ca is None:
            given = self._given()
            missing = [each for each in ("--certificate", "--ca") if each not in given]
            raise click.UsageError(f"--radsec needs {' and '.join(missing)} as well (or --psk).")
        key = None if self.key is None else Path(self.key)
        name = server[0].partition("%")[0] if self.server_name is None else self.server_name
        target = Target(server, by_certificate(Path(self.certificate), key, Path(self.ca)), name)
        if not target.can_be_named():
            raise click.UsageError(f"--server-name {name}: not a name a server can have.")
        return target

    def _given(self) -> list[str]:
        named = ((f"--{each.name.replace('_', '-')}", getattr(self, each.name)) for each in fields(self))
        return [option for option, value in named if value is not None]


def _psk(text: str) -> tuple[str, bytes]:
    if not HAS_PSK:
        raise click.UsageError("--psk needs Python 3.13 or newer.")
    found = _PSK.fullmatch(text)
    if found is None or len(found[1].encode(errors="replace")) > 128:
        raise click.UsageError("--psk: write IDENTITY:HEX, the identity in 128 octets, 16 to 64 octets in hex.")
    return found[1], bytes.fromhex(found[2])
