"""Audit events over syslog (RFC 5424, 5426, 6587), understood by a real rsyslogd."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
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


def test_one_event_that_cannot_be_sent_is_dropped_and_counted_and_holds_up_no_other() -> None:
    """A datagram has 64 kB at most (RFC 5426 §3.2)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        counts = Counts()
        audit = AuditSyslog(Target("udp", host="127.0.0.1", port=server.getsockname()[1]), counts)
        with structlog.testing.capture_logs() as logged:
            audit(replace(EVENT, detail="x" * 70_000))
            audit(replace(EVENT, time=float("nan")))  # nor can this be made a message
            audit(REFUSED)
            message = server.recv(65536).decode()
        audit.close()
    assert json.loads(message[message.index("{") :]) == as_record(REFUSED)
    assert counts.total("audit_dropped") == 2
    assert [line["event"] for line in logged] == ["audit_syslog_dropped"], "once"


def test_a_host_that_can_be_no_name_is_told_once_and_ends_no_thread() -> None:
    counts = Counts()
    before = {*threading.enumerate()}
    with structlog.testing.capture_logs() as logged:
        audits = [AuditSyslog(Target(kind, host="a..b", port=514), counts, most=1) for kind in ("udp", "tcp")]
        for audit in audits * 2:
            audit(EVENT)  # the second time there is no room
        for audit in audits:
            audit.close()
        for thread in {*threading.enumerate()} - before:
            thread.join(20)
    for kind in ("udp", "tcp"):
        of_it = [line for line in logged if line["target"] == f"{kind}://a..b:514"]
        assert [each["error"] for each in of_it if "error" in each] == ["its host can be no name"]
        assert sum(each["events"] for each in of_it if "events" in each) == 2, "it has given up when it was closed"
    assert counts.total("audit_dropped") == 2


def test_what_others_have_chosen_the_length_of_is_behind_who_it_is() -> None:
    """A daemon that cuts long lines cuts that."""
    event = replace(EVENT, user_name="x" * 253, user_id="u-1", username="alice", login="ab12", detail="x" * 500)
    for message in (rfc5424(event, "here"), local(event)):
        assert all(message.index(each) < 480 for each in (b"u-1", b"alice", b"ab12", b'"round"'))
        assert message.index(b"user_name") > message.index(b'"login"')
