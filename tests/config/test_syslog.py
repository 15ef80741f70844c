"""Where audit events are sent to, as it is written."""

from __future__ import annotations

import re

import pytest

from radius_mfa.config.syslog import Syslog, destination
from tests.config.support import SMALL, Folder


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("unix:/dev/log", Syslog("unix", path="/dev/log")),
        ("udp://loghost.example.org", Syslog("udp", host="loghost.example.org", port=514)),
        ("tcp://192.0.2.1:6514", Syslog("tcp", host="192.0.2.1", port=6514)),
        ("udp://[2001:db8::1]:514", Syslog("udp", host="2001:db8::1", port=514)),
    ],
)
def test_a_socket_or_a_host_and_its_port(written: str, meant: Syslog) -> None:
    assert destination(written) == meant


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("loghost", "must be unix:/dev/log, udp://host:514 or tcp://host:514, not {it}"),
        ("unix:log", "must be unix:/dev/log"),
        ("tls://loghost", "must be unix:/dev/log"),
        ("UDP://loghost", "must be unix:/dev/log"),
        ("udp://loghost:0", "must be a URL, udp://host:port"),
        ("tcp://user@loghost", "must have no user name"),
        ("tcp://loghost/audit", "must end after host and port"),
        ("tcp://a..b:514", "must have a host name, with 1 to 63 characters between its dots"),
        (f"udp://{'a' * 64}.example.org", "must have a host name, with 1 to 63 characters between its dots"),
        (f"unix:/{'x' * 107}", "a socket has a path of at most 107 octets"),
    ],
)
def test_anything_else_is_refused(written: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(wrong)}"):
        destination(written)


def test_with_syslog_no_event_goes_to_the_log(folder: Folder) -> None:
    text = SMALL + "log: {level: warning}\naudit: {syslog: 'unix:/dev/log'}\n"
    assert folder.warnings(text) == []
    audit = folder.load(text).configuration.audit
    assert (audit.file, audit.syslog, audit.delete_rotated) == (None, Syslog("unix", path="/dev/log"), False)
