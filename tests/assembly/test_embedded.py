"""The server inside of FreeRADIUS, without FreeRADIUS: what is left out, and what is said."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from radius_mfa.assembly.embedded import begin, without_what_freeradius_does
from radius_mfa.core.errors import ConfigurationError, KeyFileError
from radius_mfa.core.messages import AccessRequest, Attribute, Code
from radius_mfa.stores.key_file import create_key_file
from tests.assembly.support import loaded
from tests.peers.certificates import self_signed
from tests.peers.service_manager import Manager

MAX_REQUEST_TIME, LONGEST = 30.0, 5.0
POLICY = {"name": "vpn", "when": {"client": "vpn"}}
INSIDE: dict[str, Any] = {"listen": [], "clients": [{"name": "vpn"}]}


class Log(list[tuple[str, str]]):
    """FreeRADIUS's: levels and lines."""

    def __call__(self, level: str, line: str) -> None:
        self.append((level, line))


@pytest.fixture
def log() -> Iterator[Log]:
    """The log; whatever a process has once is as it was before in the end."""
    root = logging.getLogger()
    handlers, level, before = [*root.handlers], root.level, structlog.get_config()
    hooks, home = (threading.excepthook, sys.unraisablehook), os.environ.get("HOME")
    yield Log()
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level
    threading.excepthook, sys.unraisablehook = hooks
    if home is not None:
        os.environ["HOME"] = home


def written(folder: Path, **changes: Any) -> Path:
    """A configuration, and its key."""
    at = {"storage": f"sqlite:///{folder}/state.db", "key_file": str(folder / "key")}
    configuration = loaded(folder, POLICY, **{**at, **INSIDE, **changes})
    create_key_file(folder / "key")
    (folder / "radius-mfa.yaml").chmod(0o600)
    return Path(configuration.places.file)


def test_it_answers_from_any_thread_and_says_what_it_does(tmp_path: Path, log: Log) -> None:
    inside = begin(written(tmp_path), MAX_REQUEST_TIME, LONGEST, log)
    nas = inside.nas("vpn")
    assert nas is not None
    assert inside.nas("somebody") is None
    assert inside.is_ready()
    name = ((Attribute.USER_NAME, b"nobody"),)
    asked = AccessRequest(nas, name, b"a password", "192.0.2.1:1000", inside.clock.monotonic())
    reply = inside.loop.run(inside.answer(asked), LONGEST)
    assert reply is not None
    assert (reply.code, reply.outcome) == (Code.ACCESS_REJECT, "unknown_user")
    inside.loop.run(inside.stop(), LONGEST)
    inside.loop.stop()
    events = [line.split(":")[0] for level, line in log if level == "info"]
    assert events == ["ready", "audit", "stopped"]
    assert "a password" not in repr(log)


def test_to_the_service_manager_of_freeradius_it_is_not_for_us_to_talk(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or systemd would take it to be ready with us, and to end with us."""
    with Manager(tmp_path, watchdog=0.01) as manager:
        for name, value in manager.environment.items():
            monkeypatch.setenv(name, value)
        inside = begin(written(tmp_path), MAX_REQUEST_TIME, LONGEST, log)
        inside.loop.run(inside.stop(), LONGEST)
        inside.loop.stop()
        assert [line.split(":")[0] for level, line in log if level == "info"] == ["ready", "stopped"]
        assert manager.has_heard_nothing_more()
        assert os.environ["NOTIFY_SOCKET"] == manager.environment["NOTIFY_SOCKET"], "it is FreeRADIUS's"


def test_a_client_that_waits_longer_than_freeradius_does_is_warned_of(tmp_path: Path, log: Log) -> None:
    slow = [{"name": "vpn", "timeout": "10s", "retries": 3}, {"name": "quick", "timeout": "1s", "retries": 1}]
    inside = begin(written(tmp_path, clients=slow), MAX_REQUEST_TIME, LONGEST, log)
    inside.loop.run(inside.stop(), LONGEST)
    inside.loop.stop()
    assert [line for level, line in log if level == "warning"] == [
        "window_cut: client=vpn: it waits for 40 s, and FreeRADIUS for 30: raise its max_request_time"
    ]


def test_what_is_wrong_with_the_configuration_is_told(tmp_path: Path, log: Log) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace('"policies"', '"polices"'))
    with pytest.raises(ConfigurationError, match="did you mean policies"):
        begin(path, MAX_REQUEST_TIME, LONGEST, log)


def test_nothing_goes_on_where_it_cannot_begin(tmp_path: Path, log: Log) -> None:
    path = written(tmp_path)
    (tmp_path / "key").unlink()
    before = threading.active_count()
    with pytest.raises(KeyFileError):
        begin(path, MAX_REQUEST_TIME, LONGEST, log)
    assert threading.active_count() == before


def test_what_freeradius_does_itself_is_left_out(tmp_path: Path) -> None:
    certificate = str(self_signed(tmp_path, "radius.example.org"))
    served: dict[str, Any] = {
        "listen": [{"udp": "127.0.0.1:1812"}],
        "workers": 4,
        "user": "nobody",
        "eap": {"certificate": certificate, "key": certificate},
    }
    configuration = without_what_freeradius_does(loaded(tmp_path, POLICY, **served)).configuration
    assert (configuration.listen, configuration.workers) == ((), 1)
    assert (configuration.user, configuration.eap) == (None, None)
