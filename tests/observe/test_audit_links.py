"""The audit file where there is a link, a pipe or a device at its path."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import structlog.testing

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.observe.audit import AuditFile
from radius_mfa.observe.audit_files import delete_rotated
from radius_mfa.observe.audit_search import Query, Search
from tests.observe.test_audit import EVENT, RECORD, told

STRANGER = 4711


@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize(
    ("folder", "owner", "whose", "is_taken"),
    [
        (0o750, 0, STRANGER, True),
        (0o2770, 0, STRANGER, False),
        (0o2770, 0, 0, True),
        (0o777, 0, STRANGER, False),
        (0o750, STRANGER, STRANGER, False),
        (0o750, STRANGER, 0, True),
    ],
)
def test_at_the_start_a_link_or_a_pipe_is_taken_only_if_nobody_else_can_have_put_it_there(
    tmp_path: Path, kind: str, folder: int, owner: int, whose: int, is_taken: bool
) -> None:
    """Every reload, and every worker that takes another's place, is such a start."""
    path, elsewhere = tmp_path / "log" / "audit.jsonl", tmp_path / "elsewhere"
    path.parent.mkdir()
    elsewhere.touch()
    path.symlink_to(elsewhere) if kind == "link" else os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.chown(path, whose, whose, follow_symlinks=False)
    os.chown(path.parent, owner, owner)
    path.parent.chmod(folder)
    try:
        if is_taken:
            audit = AuditFile(path)
            audit(EVENT)
            audit.close()
            assert json.loads(os.read(reader, 65536)) == RECORD
        else:
            with pytest.raises(ConfigurationError, match=r"only if it is root's$"):
                AuditFile(path)
            assert elsewhere.read_bytes() == b""
    finally:
        os.close(reader)


def test_of_two_links_in_a_row_each_must_be_nobody_elses(tmp_path: Path) -> None:
    """Root's into a folder where a stranger may make files."""
    shared, elsewhere = tmp_path / "shared", tmp_path / "elsewhere"
    shared.mkdir()
    shared.chmod(0o2770)
    (tmp_path / "audit.jsonl").symlink_to("shared/audit.jsonl")
    (shared / "audit.jsonl").symlink_to(elsewhere)
    os.chown(shared / "audit.jsonl", STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(ConfigurationError, match=r"/shared/audit\.jsonl: is a symbolic link"):
        AuditFile(tmp_path / "audit.jsonl")
    assert not elsewhere.exists()


def test_what_a_link_leads_to_is_rotated_where_it_is(tmp_path: Path) -> None:
    link, path = tmp_path / "audit.jsonl", tmp_path / "data" / "events.jsonl"
    path.parent.mkdir()
    link.symlink_to("data/events.jsonl")
    audit = AuditFile(link)
    with structlog.testing.capture_logs() as logged:
        audit.reopen()
        audit(EVENT)
        path.rename(path.with_name("events.jsonl.1"))
        audit(replace(EVENT, user_name="bob"))
        audit.reopen()
    audit.close()
    assert [line["event"] for line in logged] == ["audit_reopened"]
    assert (told(path), told(path.with_name("events.jsonl.1"))) == (["bob"], ["alice"])
    assert link.is_symlink()
    hits = Search(link, Query()).hits(0)
    assert [hit.event["user_name"] for hit in hits] == ["alice", "bob"]
    os.utime(path.with_name("events.jsonl.1"), (0, 0))
    assert delete_rotated(link, path.stat().st_mtime, 60) == [path.with_name("events.jsonl.1")]


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_what_the_process_has_open_may_be_the_file(tmp_path: Path, kind: str) -> None:
    """As /dev/stdout is in a container: a link of a link, to what may have no path."""
    path = tmp_path / "stdout"
    path.touch()
    flags = os.O_CLOEXEC
    reader, writer = os.pipe() if kind == "pipe" else (os.open(path, flags), os.open(path, flags | os.O_WRONLY))
    audit = AuditFile(Path(f"/dev/fd/{writer}"))
    with structlog.testing.capture_logs() as logged:
        audit(EVENT)
        audit.reopen()
        audit(EVENT)
    audit.close()
    os.close(writer)
    assert logged == []
    with open(reader, "rb") as said:
        assert [json.loads(line) for line in said] == [RECORD, RECORD]
