"""`radius-mfa audit`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import AuditFile
from tests.adapters import NOON
from tests.cli.support import rewritten, run_cli


def event(
    seconds: float = 0, user: str = "alice", detail: str = "", outcome: Outcome = Outcome.ACCEPTED
) -> AuditEvent:
    decision = "accept" if outcome is Outcome.ACCEPTED else "reject"
    return AuditEvent(
        NOON + seconds,
        outcome,
        decision,
        "vpn",
        "192.0.2.1:1645",
        user_name=user,
        user_id=f"u-{user}",
        detail=detail,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An audit file of a day's logins."""
    path = tmp_path / "audit.jsonl"
    write = AuditFile(path)
    write(event(0))
    write(event(60, "bob", "a \x1b[31m colour", Outcome.CODE_WRONG))
    write(event(120, "bob"))
    write.close()
    return path


@pytest.fixture
def audited(config: Path, file: Path) -> Path:
    """A configuration whose audit file that is."""
    return rewritten(config, "key_file: key", f"key_file: key\ntimezone: Asia/Tokyo\naudit: {{file: {file.name}}}")


def times(out: str) -> list[str]:
    return [line.split("  ")[0] for line in out.splitlines()[1:]]


def test_events_are_a_table_in_the_configured_zone(audited: Path) -> None:
    out = run_cli("--config", audited, "audit").worked().out
    assert times(out) == [f"2026-10-14 21:0{minutes}:00.000" for minutes in range(3)]
    assert out.splitlines()[0].split()[:4] == ["time", "decision", "outcome", "user"]
    assert out.splitlines()[2].endswith(r"192.0.2.1:1645         a \x1b[31m colour")


def test_without_an_offset_a_time_is_of_the_configured_zone(audited: Path) -> None:
    for since in ("2026-10-14T21:01", "2026-10-14T12:01+00:00", "2026-10-14 21:01:00"):
        assert len(times(run_cli("--config", audited, "audit", "--since", since).worked().out)) == 2
    assert len(times(run_cli("--config", audited, "audit", "--until", "2026-10-14T21:01").worked().out)) == 1
    assert len(times(run_cli("--config", audited, "audit", "--since", "2026-10-14").worked().out)) == 3
    assert run_cli("--config", audited, "audit", "--since", "2026-10-15").worked().out == ""


def test_an_age_is_a_time_as_well(file: Path) -> None:
    days = (datetime.now(UTC).timestamp() - NOON) / 86400
    asked = ("audit", "--file", file, "--since")
    assert len(times(run_cli(*asked, f"{int(days) + 1}d").worked().out)) == 3
    assert run_cli(*asked, "1s").worked().out == ""


def test_json_is_the_events_as_they_are(file: Path) -> None:
    out = run_cli("audit", "--file", file, "--json", "--user", "BOB", "--outcome", "code_wrong").worked().out
    (record,) = map(json.loads, out.splitlines())
    assert (record["user_id"], record["outcome"], record["detail"]) == ("u-bob", "code_wrong", "a \x1b[31m colour")


def test_what_was_left_out_is_said(file: Path) -> None:
    ran = run_cli("audit", "--file", file, "--last", "2").worked()
    assert len(times(ran.out)) == 2
    assert ran.err == "the last 2 of more; --last 0 shows all\n"
    assert run_cli("audit", "--file", file, "--last", "0").worked().err == ""


def test_odd_lines_are_told_with_their_file(file: Path) -> None:
    with file.open("a") as more:
        more.write("half a li")
    ran = run_cli("audit", "--file", file).worked()
    assert len(times(ran.out)) == 3
    assert ran.err == f"warning: {file}: 1 line is no audit event\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--outcome", "wrong_pasword"], "there is no outcome 'wrong_pasword'. Did you mean wrong_password?"),
        (["--since", "yesterday"], "--since takes a time such as 2026-11-27T08:30, a date, or how long ago"),
        (["--until", "999999999d"], "--until takes a time such as"),
        (["--decision", "maybe"], "'maybe' is not one of"),
        (["--last", "-1"], "-1 is not in the range"),
    ],
)
def test_what_cannot_be_meant_is_one_line(file: Path, arguments: list[str], said: str) -> None:
    assert said in run_cli("audit", "--file", file, *arguments).line(2)


def test_where_the_events_go_to_the_log_it_says_so(config: Path) -> None:
    assert (
        run_cli("--config", config, "audit")
        .line(1)
        .startswith("audit: the events go to the log; set audit: {file")
    )


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "no" / "folder"):
        assert run_cli("audit", "--file", path).line(1) == f"{path}: cannot be read: No such file or directory"
    assert run_cli("audit", "--file", tmp_path).line(1) == f"{tmp_path}: cannot be read: Is a directory"
