"""Debian's radsecproxy, which eduroam is made of, as a RadSec client that none of us wrote.

with RadsecProxy(server.addresses[0], certificate, authority.ca_file) as proxy:
    proxy.connected()
    radclient(proxy.port, proxy.secret, ...)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.peers.clock import hurried
from tests.peers.foreign_proxy import ForeignProxy

_CONFIGURATION = """
ListenUDP 127.0.0.1:{listening}
tls default {{
    CACertificateFile {ca_file}
    CertificateFile {certificate}
    CertificateKeyFile {key}
}}
client nas {{
    host 127.0.0.0/8
    type udp
    secret "{secret}"
}}
"""
_SERVER = """
server {name} {{
    host {host}
    port {port}
    type tls
    secret radsec
    StatusServer on
}}
"""
# Seconds without a request after which it asks whether the server is there, as long as it ever takes, and for how
# long it leaves a server alone that it has lost sooner after connecting.
_AT_REST, _SULKING = 35.0, 30.0


class RadsecProxy(ForeignProxy):
    """It connects at once; a request that it has before is lost.

    Where the server goes away it goes to the `spare` one, if there is one, and comes back by and by.
    """

    ready = "createlistener: listening for udp"

    def __init__(
        self,
        server: tuple[str, int],
        certificate: Path,
        ca_file: Path,
        *,
        key: Path | None = None,
        spare: tuple[str, int] | None = None,
        hurry: int = 1,
    ) -> None:
        """The servers are of IPv4 or IPv6; their certificates are for the address.

        `hurry`: how many of its seconds pass in one, for it waits for many.
        """
        super().__init__()
        self._hurry = hurry
        self._files = {"certificate": certificate, "key": key or certificate, "ca_file": ca_file}
        self._servers = {"ours": server, **({"spare": spare} if spare else {})}

    def connected(self, servers: int = 1) -> None:
        """Wait until it has connected to one server more, or to as many, whichever is the first."""
        for _ in range(servers):
            self.wait_for(": TLS connection to ", 2 * _SULKING)

    def has_looked(self) -> None:
        """Wait for the next answer to a Status-Server of its own; it sends one when it has nothing else to do."""
        self.wait_for("got status server response", 2 * _AT_REST)

    def _command(self, folder: Path, port: int) -> Sequence[str | Path]:
        text = _CONFIGURATION.format(listening=port, secret=self.secret, **self._files)
        for name, (host, its_port) in self._servers.items():
            text += _SERVER.format(name=name, host=f"[{host}]" if ":" in host else host, port=its_port)
        realm = "\n".join(f"    server {name}" for name in self._servers)
        configuration = folder / "radsecproxy.conf"
        configuration.touch(0o600)
        configuration.write_text(f"{text}realm * {{\n{realm}\n}}\n")
        return hurried(["/usr/sbin/radsecproxy", "-f", "-d", "5", "-c", configuration], self._hurry)
