"""The campus's Wi-Fi: a server that serves 802.1X to an access point, at the store and directory of the site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.end_to_end.site import SECRET, Account, Site
from tests.peers.certificates import Authority
from tests.peers.eapol import Outcome, Supplicant
from tests.peers.server import Server

AP = "127.0.0.1"  # eapol_test asks from there
NAME = "radius.example.org"
AUDIT = "wireless.jsonl"
METHODS = ("ttls-pap", "ttls-gtc", "peap-gtc")
VLAN = "110"

_macs = count(1)


def new_mac() -> str:
    """Of a device that no other test has."""
    return "02:00:5e:53:" + ":".join(f"{octet:02x}" for octet in next(_macs).to_bytes(2, "big"))


def texts(method: str, account: Account, code: str | None, *, password: str | None = None) -> list[str]:
    """What the user types: in one field or, with GTC, one after the other."""
    typed = [account.password if password is None else password, *([] if code is None else [code])]
    return [",".join(typed)] if method == "ttls-pap" else typed


class Wireless:
    """`server`, which is running, and devices before it.  `certificate`: what it shows, with its key."""

    def __init__(self, site: Site, server: Server, authority: Authority, certificate: Path, audit: str) -> None:
        self.site = site
        self.certificate = certificate
        self.server = server
        self.authority = authority
        self._audit = audit
        self.supplicant = Supplicant(server.port, SECRET, authority.ca_file, NAME)

    def log_in(self, method: str, account: Account, code: str | None, **how: Any) -> Outcome:
        """A login from a device of its own, unless `mac` says which; `password`: another than the user's."""
        password = how.pop("password", None)
        how.setdefault("mac", new_mac())
        how.setdefault("anonymous", "anonymous@example.org")
        return self.supplicant.log_in(method, account.name, texts(method, account, code, password=password), **how)

    def outcomes(self, account: Account) -> list[str]:
        return self.site.outcomes(account.name, self._audit)


def configuration(site: Site, certificate: Path, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Changes to the usual one.  `changes`: to `eap`."""
    usual = site.usual()
    others = [client for client in usual["clients"] if client["name"] != "vpn"]
    ap = {
        "name": "ap",
        "address": AP,
        "secret": SECRET,
        "profile": "wifi",
        "timeout": "300ms",
        "retries": 20,
        "station": "mac",
        "groups": ["wifi"],
    }
    # One policy more, before all others: what a switch is told is among what is returned.
    policy = {"name": "eap", "when": {"client": "ap"}, "trust_device": True, "reply": {"vlan": VLAN}}
    return {
        "clients": [ap, *others],
        "policies": [policy, *usual["policies"]],
        "eap": {
            "certificate": str(certificate),
            "key": str(certificate),
            "tls": ["1.2", "1.3"],
            **(changes or {}),
        },
        "audit": {"file": AUDIT},
    }


@contextmanager
def wireless(
    site: Site,
    folder: Path,
    changes: Mapping[str, Any] | None = None,
    name: str = "wireless",
    more: Mapping[str, Any] | None = None,
) -> Iterator[Wireless]:
    """A server of its own at the site's store.  `changes`: to `eap`; `more`: to the whole configuration."""
    authority = Authority(folder)
    certificate = authority.certify(NAME, purpose="server")
    written = {**configuration(site, certificate, changes), "audit": {"file": f"{name}.jsonl"}, **(more or {})}
    with site.another(f"{name}.yaml", written) as server:
        yield Wireless(site, server, authority, certificate, f"{name}.jsonl")
    said = server.said()
    assert "internal_error" not in said, said
    assert "Traceback" not in said, said
