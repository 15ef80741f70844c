"""A site whose clients come over TLS (RFC 6614), with the authority that has signed for it and for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

from tests.end_to_end.nas import ACCEPT, STATUS_SERVER
from tests.end_to_end.radsec import RadSecNas, Tls
from tests.end_to_end.site import Site
from tests.end_to_end.test_metrics import METRICS, fetch
from tests.peers.certificates import Authority
from tests.peers.server import Server

HOSTS = ("127.0.0.1", "::1")
GATEWAY, OTHER, ONE_FIELD, PATIENT = (f"{name}.example.org" for name in ("gw", "other", "field", "patient"))

# Who comes with which certificate; `second` may come over UDP as well, and so from its own address alone.
_CERTIFIED = {"vpn": GATEWAY, "second": OTHER, "comma": ONE_FIELD, "slow": PATIENT}
_PATIENCE = 20.0  # seconds
_MARKERS = "127.0.9."  # each look at the log takes an address of its own below it


class RadSecSite:
    """`certificate`: the server's, with its key."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.authority = Authority(folder)
        self.certificate = self.authority.certify("radius.example.org", names=HOSTS)
        self._tls: dict[str, Tls] = {}
        self._markers = count(1)

    # --- servers --------------------------------------------------------------------------------

    def listener(self, host: str = HOSTS[0], **changes: Any) -> dict[str, Any]:
        """A listener of the YAML."""
        where = f"[{host}]:0" if ":" in host else f"{host}:0"
        own = str(self.certificate)
        return {
            "radsec": where,
            "certificate": own,
            "key": own,
            "client_ca": str(self.authority.ca_file),
            **changes,
        }

    def clients(self) -> list[dict[str, Any]]:
        """The usual ones, some of them with a certificate instead of address and secret."""
        clients: list[dict[str, Any]] = self.site.usual()["clients"]
        for client in clients:
            if client["name"] in _CERTIFIED:
                client["certificate"] = _CERTIFIED[client["name"]]
                if client["name"] != "second":
                    del client["address"], client["secret"]
        return clients

    def changes(self, **listener: Any) -> dict[str, Any]:
        """Of the usual configuration: it listens on UDP, and on RadSec by IPv4 and by IPv6, in that order."""
        listen = [{"udp": "127.0.0.1:0"}, *(self.listener(host, **listener) for host in HOSTS)]
        return {"listen": listen, "clients": self.clients(), **METRICS}

    @contextmanager
    def server(self, name: str, changes: dict[str, Any] | None = None) -> Iterator[Server]:
        """One whose log has nothing of a mistake of ours in the end."""
        with self.site.another(f"{name}.yaml", {**self.changes(), **(changes or {})}) as server:
            yield server
            said = server.said()
        assert "internal_error" not in said, said
        assert "Traceback" not in said, said

    # --- who asks them --------------------------------------------------------------------------

    def tls(self, name: str = GATEWAY) -> Tls:
        """As the gateway of that name speaks it."""
        if name not in self._tls:
            self._tls[name] = Tls(self.authority.ca_file, self.authority.certify(name))
        return self._tls[name]

    def nas(self, server: Server, name: str = GATEWAY, *, host: str = HOSTS[0], source: str = "") -> RadSecNas:
        return RadSecNas(where(server, host), self.tls(name), source)

    def lines(self, server: Server, source: str) -> list[dict[str, Any]]:
        """What the log has about a source so far, but of what was there before it listened."""
        marker = f"{_MARKERS}{next(self._markers)}"
        with self.nas(server, source=marker):
            while server.wait_for("radsec_connected")["source"] != marker:
                pass
        return [each for each in server.log if each.get("source") == source]


def where(server: Server, host: str = HOSTS[0]) -> tuple[str, int]:
    """Where a server with the listeners of `RadSecSite.changes` takes RadSec."""
    return server.addresses[1 + HOSTS.index(host)]


def is_served(nas: RadSecNas) -> bool:
    """Whether the next packet on the connection is the answer to Status-Server (RFC 5997 §4.2)."""
    return nas.exchange(nas.raw([], code=STATUS_SERVER)).code == ACCEPT


def counted(server: Server, name: str, **labels: str) -> float:
    """How often it was, 0 also where nobody speaks of it yet."""
    return sum(fetch(server).shown(f"radius_mfa_{name}_total", **labels).values())


def until_counted(server: Server, name: str, value: float, **labels: str) -> None:
    """Wait until it was so often: a connection is gone when both ends have closed it."""
    end = monotonic() + _PATIENCE
    while (seen := counted(server, name, **labels)) != value:
        assert monotonic() < end, (name, labels, value, seen)
