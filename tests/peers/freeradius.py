"""Debian's FreeRADIUS as a RadSec client that none of us wrote: it has NASes of its own, and proxies for them.

    with FreeRadiusProxy(server.addresses[0], certificate, authority.ca_file) as proxy:
        radclient(proxy.port, proxy.secret, ...)

Nothing of the system's is used but its modules and dictionaries.  It never looks for the server by Status-Server:
over TLS that of Debian's 3.2.1 breaks the connection it is sent on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.peers.foreign_proxy import ForeignProxy

_CONFIGURATION = """
prefix = /usr
name = freeradius
raddbdir = "{folder}"
logdir = "{folder}"
run_dir = "{folder}"
libdir = /usr/lib/freeradius
max_request_time = 30
cleanup_delay = 5
security {{
    reject_delay = 0
}}
proxy_requests = yes
home_server ours {{
    type = auth
    proto = tcp
    {address}
    {source}
    port = {port}
    secret = radsec
    status_check = none
    response_window = 6
    zombie_period = 6
    revive_interval = 10
    limit {{
        max_connections = 16
    }}
    tls {{
        certificate_file = "{certificate}"
        private_key_file = "{key}"
        ca_file = "{ca_file}"
        fragment_size = 8192
        tls_min_version = "1.2"
        tls_max_version = "{version}"
        connect_timeout = 5
    }}
}}
home_server_pool ours {{
    home_server = ours
}}
realm ours {{
    auth_pool = ours
    nostrip
}}
client nas {{
    ipaddr = 127.0.0.0/8
    secret = "{secret}"
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {listening}
    }}
    authorize {{
        update control {{
            &Proxy-To-Realm := ours
        }}
    }}
}}
"""


class FreeRadiusProxy(ForeignProxy):
    """It connects with the first request that it has, and with the next one after it has lost the server."""

    ready = "Ready to process requests"

    def __init__(
        self,
        server: tuple[str, int],
        certificate: Path,
        ca_file: Path,
        *,
        key: Path | None = None,
        source: str = "",
        version: str = "1.3",
    ) -> None:
        """`server`: of IPv4 or IPv6.  `source`: the address it connects from.  `version`: the newest of TLS."""
        super().__init__()
        host, port = server
        self._values = {
            "address": f"{_kind(host)} = {host}",
            "source": f"src_ipaddr = {source}" if source else "",
            "port": port,
            "certificate": certificate,
            "key": key or certificate,
            "ca_file": ca_file,
            "version": version,
            "secret": self.secret,
        }

    def _command(self, folder: Path, port: int) -> Sequence[str | Path]:
        configuration = folder / "radiusd.conf"
        configuration.touch(0o600)  # it reads none that others may read
        configuration.write_text(_CONFIGURATION.format(folder=folder, listening=port, **self._values))
        return ["/usr/sbin/freeradius", "-fxx", "-l", "stdout", "-d", folder]


def _kind(host: str) -> str:
    return "ipv6addr" if ":" in host else "ipv4addr"
