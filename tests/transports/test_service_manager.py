"""What a service manager is told, at its own socket (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import CLOCK_MONOTONIC, clock_gettime_ns

import pytest

from radius_mfa import __version__
from radius_mfa.transports.service_manager import ServiceManager
from tests.peers.service_manager import Manager

ADDRESSES = [("127.0.0.1", 1812), ("::1", 2083)]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with Manager(tmp_path) as it:
        yield it


def test_from_ready_to_the_end_it_knows_what_we_are_at(manager: Manager) -> None:
    ours = ServiceManager.found(manager.environment)
    known = f"{__version__}: listen 127.0.0.1:1812 [::1]:2083, policies"
    ours.ready(listen=ADDRESSES, policies=3)
    assert manager.hears() == {"READY": "1", "STATUS": f"{known} 3"}

    before = clock_gettime_ns(CLOCK_MONOTONIC) // 1000
    ours.reloading()
    told = manager.hears()
    assert before <= int(told.pop("MONOTONIC_USEC")) <= clock_gettime_ns(CLOCK_MONOTONIC) // 1000
    assert told == {"RELOADING": "1", "STATUS": f"{known} 3; reading the configuration again"}
    ours.reloaded(policies=4)
    assert manager.hears() == {"READY": "1", "STATUS": f"{known} 4"}

    ours.refused(["radius-mfa.yaml:3: is wrong", "radius-mfa.yaml:5: so is this"])
    problem = "reload refused: radius-mfa.yaml:3; the log says why"
    assert manager.hears() == {"READY": "1", "STATUS": f"{known} 4; {problem}"}

    ours.alive()
    manager.hears_of_life()
    ours.stopping()
    assert manager.hears() == {"STOPPING": "1", "STATUS": f"{__version__}: stopping"}


def test_a_reload_before_we_are_ready_is_not_taken_for_being_ready(manager: Manager) -> None:
    ours = ServiceManager.found(manager.environment)
    ours.reloading()
    ours.refused(["radius-mfa.yaml:3: is wrong"])
    ours.reloaded(policies=4)
    assert manager.has_heard_nothing_more()


def test_a_status_is_one_line_of_bearable_length(manager: Manager) -> None:
    """A second line would be another message: READY=1 in the name of a key, say."""
    ours = ServiceManager.found(manager.environment)
    ours.ready(policies=1)
    manager.hears()
    ours.reloaded(policies="a\nSTOPPING=1\r\n" + "x" * 5000)
    told = manager.hears()
    assert set(told) == {"READY", "STATUS"}
    assert "policies a STOPPING=1 xxx" in told["STATUS"]
    assert told["STATUS"].endswith("x…")
    assert len(told["STATUS"]) == 300


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        (
            "/etc/radius-mfa/radius-mfa.yaml:14: clients[0].S3CRETVALUE: unknown key",
            ": /etc/radius-mfa/radius-mfa.yaml:14",
        ),
        ("radius-mfa.yml:2: clients[0].secret_file: /etc/S3CRETVALUE: cannot be read", ": radius-mfa.yml:2"),
        ("/etc/S3CRETVALUE: cannot be read", ""),
        ("S3CRETVALUE:5: .yaml:3: cannot be read", ""),
        ("worker-1: no answer", ""),
    ],
)
def test_a_status_has_the_place_of_a_problem_and_nothing_of_what_stands_there(
    manager: Manager, problem: str, shown: str
) -> None:
    """All users of the machine may read it, and what was put in a wrong place may be a secret."""
    ours = ServiceManager.found(manager.environment)
    ours.ready(policies=1)
    manager.hears()
    ours.refused([problem])
    assert manager.hears()["STATUS"] == f"{__version__}: policies 1; reload refused{shown}; the log says why"


def test_an_address_without_a_file_is_an_abstract_one() -> None:
    """unix(7): `@` stands for the octet 0."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind("")  # the kernel chooses
        name = sock.getsockname().decode()
        ServiceManager.found({"NOTIFY_SOCKET": f"@{name[1:]}"}).alive()
        assert sock.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "/no/such/socket", "vsock:2:1234", "@", f"/{'x' * 300}"])
def test_where_nobody_listens_nothing_comes_of_it(address: str) -> None:
    ours = ServiceManager.found({"NOTIFY_SOCKET": address} if address else {})
    ours.ready(listen=ADDRESSES)
    ours.stopping()


def test_one_that_does_not_read_is_not_waited_for(manager: Manager) -> None:
    ours = ServiceManager.found(manager.environment)
    for _ in range(5000):  # more than any queue has room for
        ours.alive()
    manager.hears_of_life()


@pytest.mark.parametrize(
    ("environment", "every"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getppid())}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_it_hears_of_life_twice_as_often_as_it_wants_to(environment: dict[str, str], every: float) -> None:
    assert ServiceManager.found(environment).alive_every == every


def test_what_we_start_has_nothing_to_tell_it(manager: Manager) -> None:
    environment = {**manager.environment, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    ServiceManager.found(environment)
    assert environment == {"PATH": "/bin"}
