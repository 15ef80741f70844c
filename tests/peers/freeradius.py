"""Debian's FreeRADIUS as a proxy that none of us wrote: it has NASes of its own, and asks us for them.

    with FreeRadiusProxy(server.addresses[0], certificate, authority.ca_file) as proxy:
        radclient(proxy.port, proxy.secret, ...)

By RadSec so, and `FreeRadiusUdpProxy` by UDP.  Nothing of the system's is used but its modules and dictionaries.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tests.peers.clock import hurried
from tests.peers.foreign_proxy import ForeignProxy

_BEGINNING = """
prefix = /usr
name = freeradius
raddbdir = "{folder}"
logdir = "{folder}"
run_dir = "{folder}"
libdir = /usr/lib/freeradius
max_request_time = 30
cleanup_delay = 10
security {{
    reject_delay = 0
}}
client nas {{
    ipaddr = 127.0.0.0/8
    secret = "{secret}"
    require_message_authenticator = {required}
}}
"""

_PROXY = """
proxy_requests = yes
home_server ours {{
    type = auth
{home_server}
}}
home_server_pool ours {{
    home_server = ours
}}
realm ours {{
    auth_pool = ours
    nostrip
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

# It never looks whether the server is there: Status-Server of Debian's 3.2.1 breaks the connection it is sent on.
_RADSEC = """
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
"""

# It takes no shorter intervals, nor fewer answers, before it believes that a server is there again.
_UDP = """
    proto = udp
    {address}
    {source}
    port = {port}
    secret = "{secret}"
    require_message_authenticator = yes
    response_window = {patience}
    zombie_period = {patience}
    revive_interval = 60
    status_check = {status_check}
    {probe}
    check_interval = 6
    check_timeout = 5
    num_answers_to_alive = 3
"""


class FreeRadius(ForeignProxy):
    """`required`: whether its own NASes must send Message-Authenticator."""

    ready = "Ready to process requests"
    required = False

    @abstractmethod
    def _served(self, folder: Path, port: int) -> str:
        """What it does, where it listens at `port`, as its configuration has it."""

    def _command(self, folder: Path, port: int) -> Sequence[str | Path]:
        values = {"secret": self.secret, "required": "yes" if self.required else "no"}
        beginning = _BEGINNING.format(folder=folder, **values)
        write_private(folder / "radiusd.conf", beginning + self._served(folder, port))
        return ["/usr/sbin/freeradius", "-fxx", "-l", "stdout", "-d", folder]


def write_private(file: Path, text: str) -> None:
    """FreeRADIUS reads no configuration that others may read."""
    file.touch(0o600)
    file.write_text(text)


class _Proxy(FreeRadius):
    @abstractmethod
    def _home_server(self) -> str:
        """Where it asks, and how."""

    def _served(self, folder: Path, port: int) -> str:
        return _PROXY.format(listening=port, home_server=self._home_server())


class FreeRadiusProxy(_Proxy):
    """By RadSec: it connects with the first request that it has, and with the next after that ended."""

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
        self._values = {
            **_where(server, source),
            "certificate": certificate,
            "key": key or certificate,
            "ca_file": ca_file,
            "version": version,
        }

    def _home_server(self) -> str:
        return _RADSEC.format(**self._values)


StatusCheck = Literal["none", "status-server", "request"]


class FreeRadiusUdpProxy(_Proxy):
    """By UDP.  It wants a Message-Authenticator of its own NASes and, since its 3.2.5, of the server."""

    required = True

    def __init__(
        self,
        server: tuple[str, int],
        secret: str,
        *,
        source: str = "127.0.0.1",
        status_check: StatusCheck = "none",
        probe: str = "",
        hurry: int = 1,
    ) -> None:
        """`server`: of IPv4.  `status_check`: how it looks whether a server that owes it a reply is there again.

        `hurry`: how many of its seconds pass in one, for it waits for many.
        """
        super().__init__()
        self._values = {
            **_where(server, source),
            "secret": secret,
            "status_check": status_check,
            "probe": f'username = "{probe}"\n    password = "whatever"' if probe else "",
            "patience": max(10, 2 * hurry),
        }
        self._hurry = hurry

    def _home_server(self) -> str:
        return _UDP.format(**self._values)

    def _command(self, folder: Path, port: int) -> Sequence[str | Path]:
        return hurried(super()._command(folder, port), self._hurry)


def _where(server: tuple[str, int], source: str) -> dict[str, object]:
    host, port = server
    address = f"{'ipv6addr' if ':' in host else 'ipv4addr'} = {host}"
    return {"address": address, "port": port, "source": f"src_ipaddr = {source}" if source else ""}
