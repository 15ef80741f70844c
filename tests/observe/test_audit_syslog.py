"""Audit events over syslog (RFC 5424, 5426, 6587), understood by a real rsyslogd."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import structlog.testing

from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import as_record
from radius_mfa.observe.audit_syslog import AuditSyslog, Target, local, rfc5424
from radius_mfa.observe.metrics import Counts
from tests.observe.test_audit import EVENT
from tests.peers.rsyslog import Rsyslog

REFUSED = replace(EVENT, outcome=Outcome.WRONG_PASSWORD, decision="reject", user_name='ｂｏｂ "\n山田 %s')
SILENT = replace(EVENT, outcome=Outcome.DIRECTORY_FAILED, decision="discard")


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    with closing(Rsyslog(tmp_path)) as rsyslog, rsyslog.running():
        yield rsyslog


def test_rsyslog_understands_every_event_by_every_way(rsyslog: Rsyslog) -> None:
    targets = (
        Target("unix", path=str(rsyslog.path)),
        Target("udp", host="127.0.0.1", port=rsyslog.port),
        Target("tcp", host="localhost", port=rsyslog.port),
    )
    for target in targets:
        audit = AuditSyslog(target, Counts())
        for event, severity in ((EVENT, "notice"), (REFUSED, "warning"), (SILENT, "err")):
            audit(event)
            said = rsyslog.next()
            assert said.by.startswith("im"), target
            assert (said.facility, said.severity) == ("authpriv", severity), target
            assert (said.app_name, said.procid) == ("radius-mfa", str(os.getpid())), target
            assert json.loads(said.message) == as_record(event), target
            if target.kind != "unix":
                assert (said.version, said.msgid) == ("1", str(event.outcome)), target
                assert said.timestamp.startswith("2026-10-14T12:00:00.250"), target
        audit.close()


def test_a_message_is_ascii_on_one_line_whatever_is_in_it() -> None:
    """RFC 5424 §6.4: what is not ASCII begins with a mark, which JSON must not."""
    for message in (rfc5424(REFUSED, "here"), local(REFUSED)):
        assert message.isascii()
        assert message.decode().isprintable()
    assert rfc5424(EVENT, "here").startswith(b"<85>1 2026-10-14T12:00:00.250+00:00 here radius-mfa ")


def test_over_tcp_messages_are_framed_by_their_length() -> None:
    """RFC 6587 §3.4.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        audit = AuditSyslog(Target("tcp", host="127.0.0.1", port=server.getsockname()[1]), Counts())
        audit(EVENT)
        connection, _ = server.accept()
        audit(REFUSED)
        audit.close()
        with connection, connection.makefile("rb") as stream:
            for event in (EVENT, REFUSED):
                length = b""
                while (octet := stream.read(1)) != b" ":
                    length += octet
                message = stream.read(int(length)).decode()
                assert json.loads(message[message.index("{") :]) == as_record(event)
            assert stream.read() == b""


def test_what_is_told_while_the_daemon_is_away_is_sent_when_it_is_back(tmp_path: Path) -> None:
    with closing(Rsyslog(tmp_path)) as rsyslog:
        for target in (
            Target("unix", path=str(rsyslog.path)),
            Target("tcp", host="127.0.0.1", port=rsyslog.port),
        ):
            audit = AuditSyslog(target, Counts())
            for user in ("first", "second"):
                for number in range(3):
                    audit(replace(EVENT, user_name=f"{user} {number}"))
                with rsyslog.running():
                    found = [json.loads(rsyslog.next().message)["user_name"] for _ in range(3)]
                assert found == [f"{user} {number}" for number in range(3)]
            audit.close()


def test_what_there_is_no_room_for_is_dropped_and_counted_and_nobody_waits(tmp_path: Path) -> None:
    counts = Counts()
    audit = AuditSyslog(Target("unix", path=str(tmp_path / "nobody")), counts, most=2)
    with structlog.testing.capture_logs() as logged:
        for _ in range(5):
            audit(EVENT)
        audit.close()
    assert counts.total("audit_dropped") == 3
    dropped = [line for line in logged if line["event"] == "audit_syslog_dropped"]
    assert dropped[0]["events"] == 1
    assert dropped[0]["target"] == f"unix:{tmp_path}/nobody"


@pytest.mark.parametrize(
    ("target", "written"),
    [
        (Target("udp", host="2001:db8::1", port=514), "udp://[2001:db8::1]:514"),
        (Target("tcp", host="loghost", port=6514), "tcp://loghost:6514"),
    ],
)
def test_a_target_is_told_as_it_is_written(target: Target, written: str) -> None:
    assert str(target) == written


@pytest.mark.parametrize("closes", [True, False])
def test_a_process_ends_and_what_it_has_told_before_it_closed_is_sent(rsyslog: Rsyslog, closes: bool) -> None:
    program = (
        "import sys; from radius_mfa.observe.audit_syslog import AuditSyslog, Target;"
        "from radius_mfa.observe.metrics import Counts; from tests.observe.test_audit import EVENT;"
        "audit = AuditSyslog(Target('tcp', host='127.0.0.1', port=int(sys.argv[1])), Counts());"
        "[audit(EVENT) for _ in range(200)]; sys.argv[2:] and audit.close()"
    )
    command = [sys.executable, "-c", program, str(rsyslog.port), *["close"] * closes]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, timeout=30)
    if closes:
        assert [json.loads(rsyslog.next().message) for _ in range(200)] == [as_record(EVENT)] * 200
