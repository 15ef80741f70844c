"""`radius-mfa user forget`: out of the store, and out of the audit files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from radius_mfa.observe.audit import AuditFile
from tests.cli.support import Ran, rewritten, run_cli
from tests.observe.test_audit import EVENT

ALICE = replace(EVENT, user_name="alice", user_id="static:Alice", username="Alice")


@pytest.fixture
def audited(config: Path, tmp_path: Path) -> Path:
    """With an audit file that has two events of Alice, and one of bob."""
    audit = AuditFile(tmp_path / "audit.jsonl")
    for event in (ALICE, replace(EVENT, user_name="bob", user_id="static:bob"), replace(ALICE, username="")):
        audit(event)
    audit.close()
    return rewritten(config, "key_file: key", "key_file: key\naudit: {file: audit.jsonl, syslog: 'unix:/dev/log'}")


def forget(config: Path, *arguments: str) -> Ran:
    return run_cli("user", "forget", *arguments, "--config", config)


def users(config: Path) -> list[str]:
    lines = config.with_name("audit.jsonl").read_text().splitlines()
    return [json.loads(line).get("user_id", "") for line in lines]


def test_store_and_audit_files_are_reached_and_what_is_not_is_said(audited: Path) -> None:
    run_cli("user", "voucher", "alice", "--config", audited).worked()
    ran = forget(audited, "alice").worked()
    assert ran.out == "Alice: forgotten; 2 audit events made nobody's\n"
    assert ran.err == "what syslog has been sent is not reached\n"
    assert users(audited) == ["", "static:bob", ""]
    assert forget(audited, "alice").line(1) == "Alice: nothing is stored of this user"


def test_who_is_gone_from_the_store_is_found_in_the_files_of_another_node(audited: Path) -> None:
    said = forget(audited, "--id", "static:Alice", "--json").json
    assert (said["id"], said["forgotten"], said["audit_events"]) == ("static:Alice", True, 2)
    assert users(audited) == ["", "static:bob", ""]


def test_a_file_that_cannot_be_done_is_one_line_that_says_how_far_it_came(audited: Path) -> None:
    run_cli("user", "voucher", "alice", "--config", audited).worked()
    half = audited.with_name("audit.jsonl.1.gz")
    half.write_bytes(b"\x1f\x8b half of it")
    again = "run it again as who may write them"
    line = forget(audited, "alice").line(1)
    assert line == f"Alice: forgotten in the store, and still in audit files: {half} is not whole; {again}"
    line = forget(audited, "alice").line(1)
    assert line.startswith("Alice: not in the store, and still in audit files: ")


def test_forgotten_events_are_shown_as_such(audited: Path) -> None:
    forget(audited, "alice").worked()
    out = run_cli("audit", "--config", audited).worked().out
    assert [line.split()[-1] for line in out.splitlines()[1:]] == ["forgotten", "-", "forgotten"]
