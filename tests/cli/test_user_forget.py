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
    assert ran.err.splitlines() == [
        "what syslog has been sent is not reached",
        "backups made before still have what was forgotten; a restore brings it back",
    ]
    assert users(audited) == ["", "static:bob", ""]
    assert forget(audited, "alice").line(1) == "Alice: nothing is stored of this user"


def test_who_is_gone_from_the_store_is_found_in_the_files_of_another_node(audited: Path) -> None:
    said = forget(audited, "--id", "static:Alice", "--json").json
    assert (said["id"], said["forgotten"], said["audit_events"]) == ("static:Alice", True, 2)
    assert users(audited) == ["", "static:bob", ""]


def test_a_link_that_is_configured_leads_to_the_files(audited: Path) -> None:
    link, there = audited.with_name("audit.jsonl"), audited.with_name("there.jsonl")
    link.rename(there)
    link.symlink_to(there)
    there.with_name("there.jsonl.1").write_bytes(there.read_bytes())
    assert "; 4 audit events made nobody's" in forget(audited, "alice").worked().out
    assert users(audited) == ["", "static:bob", ""]


def test_a_file_that_cannot_be_done_is_one_line_that_says_how_far_it_came(audited: Path) -> None:
    run_cli("user", "voucher", "alice", "--config", audited).worked()
    half = audited.with_name("audit.jsonl.1.gz")
    half.write_bytes(b"\x1f\x8b half of it")
    mend = "that cannot be read: mend or delete it yourself"
    line = forget(audited, "alice").line(1)
    assert line == f"Alice: forgotten in the store; not looked for in: {half} is not whole; {mend}"
    line = forget(audited, "alice").line(1)
    assert line.startswith("Alice: not in the store; not looked for in: ")


def test_forgotten_events_are_shown_as_such(audited: Path) -> None:
    forget(audited, "alice").worked()
    out = run_cli("audit", "--config", audited).worked().out
    assert [line.split()[-1] for line in out.splitlines()[1:]] == ["forgotten", "-", "forgotten"]


@pytest.mark.parametrize("nobody", ["", "  "])
def test_whoever_names_nobody_is_told_so(audited: Path, nobody: str) -> None:
    assert "USER is empty" in forget(audited, nobody).line(2)


@pytest.mark.parametrize("arguments", [["alice"], ["--id", "static:Alice"]])
def test_what_they_did_at_the_help_desk_is_nobodys_by_the_name_that_is_theirs(
    audited: Path, arguments: list[str]
) -> None:
    """In lines of before there was `by_id`; what is of another's id stays."""
    run_cli("user", "voucher", "alice", "--config", audited).worked()
    audit = AuditFile(audited.with_name("audit.jsonl"))
    act = replace(EVENT, user_name="bob", user_id="static:bob", by="alice")
    for each in (
        act,
        replace(act, by_id="static:Alice"),
        replace(act, by_id="static:carol"),
        replace(act, by="bob"),
    ):
        audit(each)
    audit.close()
    forget(audited, *arguments).worked()
    lines = audited.with_name("audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["by"] for line in lines[3:]] == ["-", "-", "alice", "bob"]
