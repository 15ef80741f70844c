"""What the portal is given to work with, out of a configuration."""

from __future__ import annotations

import asyncio
import json
import select
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from socket import socket
from typing import Any, TypeVar

import pytest

from radius_mfa.assembly.portal import PortalPorts, open_portal
from radius_mfa.assembly.rules import load
from radius_mfa.core.errors import KeyFileError, StoreError
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.signing_in import Asked, Known, Refused
from radius_mfa.core.visits import PORTAL
from radius_mfa.directories.static import hash_password
from radius_mfa.stores.key_file import create_key_file
from radius_mfa.transports.sockets import open_tcp
from tests.assembly.support import ALL_FACTORS, VPN

T = TypeVar("T")

PASSWORD = "correct horse"
SOURCE = "198.51.100.7:4711"


@pytest.fixture(scope="module")
def password() -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_key_file(tmp_path / "key")
    return tmp_path


class Opened:
    """A portal under a configuration, `more` of which is said."""

    def __init__(self, folder: Path, password: str, **more: Any) -> None:
        self.file = folder / "radius-mfa.yaml"
        self.audit = folder / "audit.jsonl"
        configuration = {
            "listen": [],
            "clients": [{"name": VPN["name"]}],
            "directory": {"static": {"users": [{"username": "alice", "password": password, "groups": ["Desk"]}]}},
            "factors": ALL_FACTORS,
            "policies": [{"name": "vpn", "when": {"client": "vpn"}}],
            "storage": f"sqlite:///{folder}/state.db",
            "key_file": "key",
            "audit": {"file": "audit.jsonl"},
            "portal": {"listen": "127.0.0.1:0", "url": "https://MFA.example.org/", "help_desk": "DESK"},
            **more,
        }
        self.file.write_text(json.dumps(configuration))  # JSON is YAML

    def run(self, act: Callable[[PortalPorts], Awaitable[T]]) -> T:
        async def main() -> T:
            async with open_portal(load(self.file, {})) as ports:
                return await act(ports)

        return asyncio.run(main())

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


async def itself(ports: PortalPorts) -> PortalPorts:
    return ports


def test_what_is_configured_is_what_it_goes_by(folder: Path, password: str) -> None:
    enrolment = {"networks": ["192.0.2.0/24"], "voucher": False, "wait": "2h", "initialise": False}
    portal = {
        "listen": "127.0.0.1:0",
        "url": "https://MFA.example.org/",
        "help_desk": ["DESK"],
        "idle_timeout": "5m",
    }
    opened = Opened(
        folder, password, enrolment=enrolment, portal=portal, contact="the counter", timezone="Asia/Tokyo"
    )
    found = opened.run(itself).settings

    assert found.url == "https://mfa.example.org"
    assert (found.networks, found.voucher) == ((ip_network("192.0.2.0/24"),), False)
    assert (found.wait, found.initialise) == (7200.0, False)
    assert found.help_desk == {"desk"}
    assert (found.idle_timeout, found.visit_lifetime) == (300.0, 28800.0)
    assert (found.served, found.first) == (frozenset(FactorKind), FactorKind.TOTP)
    assert (found.contact, str(found.zone), found.password_url) == ("the counter", "Asia/Tokyo", None)


def test_somebody_without_a_factor_is_known_whatever_the_gateways_policies_say(
    folder: Path, password: str
) -> None:
    async def sign_in(ports: PortalPorts) -> Asked | Known | Refused:
        return await ports.signing_in.password("Alice", PASSWORD, SOURCE)

    opened = Opened(folder, password)
    known = opened.run(sign_in)

    assert isinstance(known, Known)
    assert (known.user.username, known.factor) == ("alice", None)
    assert known.user.groups == {"desk"}
    (event,) = opened.events()
    assert (event["client"], event["policy"], event["outcome"]) == (PORTAL, PORTAL, "unenrolled")
    assert event["source"] == SOURCE


def test_a_mailed_code_is_asked_for_here_and_counts_here(folder: Path, password: str) -> None:
    """In the store it is the portal's: that others do not count is said in `factors.test_mail`."""

    async def ask(ports: PortalPorts) -> list[str]:
        user = await ports.directory.find("alice", ports.clock.monotonic() + 10)
        assert not isinstance(user, Outcome)
        await ports.store.set_mail_address(user.id, "alice", "alice@example.org")
        first = await ports.signing_in.password("alice", PASSWORD, SOURCE)
        assert isinstance(first, Asked)
        assert first.factors == {FactorKind.MAIL}
        facts = await ports.store.facts(user.id, ports.clock.monotonic() + 10)
        return [each.client for each in facts.mail_codes]

    assert Opened(folder, password).run(ask) == [PORTAL]


def test_the_password_alone_is_looked_at_without_a_code(folder: Path, password: str) -> None:
    async def look(ports: PortalPorts) -> list[Known | Refused]:
        return [await ports.signing_in.password_alone("alice", each, SOURCE) for each in (PASSWORD, "wrong")]

    opened = Opened(folder, password)
    right, wrong = opened.run(look)

    assert isinstance(right, Known)
    assert isinstance(wrong, Refused)
    assert wrong.outcome is Outcome.WRONG_PASSWORD
    assert [each.get("policy") for each in opened.events()] == ["portal-password", None]


def test_the_desk_is_shown_the_latest_events_of_a_user_first(folder: Path, password: str) -> None:
    opened = Opened(folder, password)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    event = {"time": now, "outcome": "accepted", "decision": "accept", "client": "vpn"}
    of = [{"user_id": "alice"}, {"user_id": "bob"}, {"username": "alice"}, {"user_id": "alice", "detail": "last"}]
    opened.audit.write_text("".join(json.dumps(event | each) + "\n" for each in of))

    async def events(ports: PortalPorts) -> Any:
        return await ports.events("alice", "alice")

    assert [each.get("detail") for each in opened.run(events)] == ["last", None, None]
    assert list(Opened(folder, password, audit={}).run(events)) == []


def test_what_lacks_is_said_before_anything_is_served(folder: Path, password: str) -> None:
    opened = Opened(folder, password)
    opened.run(itself)
    create_key_file(folder / "other")
    (folder / "other").replace(folder / "key")
    with pytest.raises(KeyFileError):
        opened.run(itself)
    (folder / "state.db").write_text("something else")
    with pytest.raises(StoreError):
        opened.run(itself)


def test_it_is_ready_while_store_and_directory_answer(folder: Path, password: str) -> None:
    async def ask(ports: PortalPorts) -> tuple[str, ...]:
        return await ports.unready()

    assert Opened(folder, password).run(ask) == ()


def test_however_many_ask_at_once_the_directory_is_asked_once(folder: Path, password: str) -> None:
    """Else whoever asks without signing in would have the directory asked.  This one never answers."""
    with open_tcp("127.0.0.1", 0) as listening:

        async def ask(ports: PortalPorts) -> tuple[set[tuple[str, ...]], int]:
            return set(await asyncio.gather(*(ports.unready() for _ in range(50)))), taken(listening)

        server = f"ldap://127.0.0.1:{listening.getsockname()[1]}"
        names = {"base_dn": "dc=example,dc=org", "bind_dn": "cn=radius,dc=example,dc=org"}
        ldap = {"servers": server, **names, "bind_password": "not asked for"}
        portal = {"listen": "127.0.0.1:0", "url": "https://mfa.example.org"}
        opened = Opened(folder, password, directory={"ldap": ldap}, portal=portal)
        told = opened.run(ask)

    assert told == ({("directory",)}, 1)


def taken(listening: socket) -> int:
    """How many connections have come to it since it was looked at last."""
    number = 0
    while select.select([listening], [], [], 0)[0]:
        listening.accept()[0].close()
        number += 1
    return number
