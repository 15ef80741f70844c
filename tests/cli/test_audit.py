"""`radius-mfa audit`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from radius_mfa.core.acts import Act
from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import AuditFile
from tests.adapters import NOON
from tests.cli.support import log_in, rewritten, run_cli, run_process
from tests.end_to_end.nas import ACCEPT
from tests.end_to_end.site import Site


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
        user_id="" if "…" in user else f"u-{user}",
        login="ab12",
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
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_events_are_a_table_in_the_configured_zone(audited: Path) -> None:
    out = run_cli("--config", audited, "audit").worked().out
    assert times(out) == [f"2026-10-14T21:0{minutes}:00+09:00" for minutes in range(3)]
    header, first, second, _ = out.splitlines()
    assert header.split() == [
        *("time", "decision", "outcome", "user", "client", "station", "factor", "policy", "source", "detail")
    ]
    assert first.split()[1:] == ["accept", "accepted", "alice", "vpn", "-", "-", "-", "192.0.2.1:1645", "-"]
    assert second.endswith(r"192.0.2.1:1645  a \x1b[31m colour")
    assert len({line.index("192.0.2.1") for line in out.splitlines()[1:]} | {header.index("source")}) == 1


def test_a_column_is_as_wide_as_what_stands_in_it(tmp_path: Path) -> None:
    write = AuditFile(tmp_path / "wide.jsonl")
    for user in ("山田", "a-name-of-22-characters", "\u202eodd"):
        write(event(user=user))
    write.close()
    lines = run_cli("audit", "--file", tmp_path / "wide.jsonl").worked().out.splitlines()
    assert len({line.index("vpn") + 2 * line.count("山田") for line in lines[1:]}) == 1
    assert r"\u202eodd" in lines[3]


def test_without_an_offset_a_time_is_of_the_configured_zone(audited: Path) -> None:
    for since in ("2026-10-14T21:01", "2026-10-14T12:01+00:00", "2026-10-14T12:01Z", "2026-10-14 21:01:00"):
        assert len(times(run_cli("--config", audited, "audit", "--since", since).worked().out)) == 2
    assert len(times(run_cli("--config", audited, "audit", "--until", "2026-10-14T21:01").worked().out)) == 1
    assert len(times(run_cli("--config", audited, "audit", "--since", "2026-10-14").worked().out)) == 3


def test_where_nothing_is_found_it_says_so(audited: Path) -> None:
    for arguments in (("--since", "2026-10-15"), ("--user", "nobody"), ("--json", "--client", "wifi")):
        ran = run_cli("--config", audited, "audit", *arguments).worked()
        assert (ran.out, ran.err) == ("", "no such event\n")


def test_an_age_is_a_time_as_well(file: Path) -> None:
    days = (datetime.now(UTC).timestamp() - NOON) / 86400
    asked = ("audit", "--file", file, "--since")
    assert len(times(run_cli(*asked, f"{int(days) + 1}d").worked().out)) == 3
    assert len(times(run_cli(*asked, "99999d").worked().out)) == 3
    assert len(times(run_cli(*asked, "0001-01-02").worked().out)) == 3
    assert run_cli(*asked, "1s").worked().out == ""


def test_another_file_is_told_in_the_machines_zone_or_that_of_the_configuration(audited: Path, file: Path) -> None:
    other = file.rename(file.with_name("other.jsonl"))
    asked = ("audit", "--file", other, "--since", "2026-10-14T21:01")
    assert len(times(run_cli("--config", audited, *asked).worked().out)) == 2
    utc = run_process(*asked, environment={"TZ": "UTC", "RADIUS_MFA_CONFIG": "/nowhere"}).worked()
    tokyo = run_process(*asked, environment={"TZ": "Asia/Tokyo"}).worked()
    assert (times(utc.out), times(tokyo.out)) == ([], ["2026-10-14T21:01:00+09:00", "2026-10-14T21:02:00+09:00"])


def test_json_is_the_lines_as_they_are(file: Path) -> None:
    line = '{ "time":"2026-10-14T12:00:30.000+00:00", "outcome":"of tomorrow", "user_name":"bob", "new":1.0 }'
    with file.open("a") as more:
        more.write(f"{line}\n")
    out = run_cli("audit", "--file", file, "--json").worked().out
    first, second, third, fourth = file.read_text().splitlines()
    assert out.splitlines() == [first, fourth, second, third]
    out = run_cli("audit", "--file", file, "--json", "--user", "BOB", "--outcome", "code_wrong").worked().out
    assert out == f"{second}\n"


def test_options_go_together(file: Path) -> None:
    asked = ("--decision", "accept", "--client", "vpn", "--source", "192.0.2.1", "--login", "AB12")
    assert len(times(run_cli("audit", "--file", file, *asked).worked().out)) == 2
    more = ("--user", "u-alice", "--user", "carol", "--until", "2026-10-14T23:00Z")
    assert len(times(run_cli("audit", "--file", file, *asked, *more).worked().out)) == 1
    assert run_cli("audit", "--file", file, *asked, "--station", "02-00").worked().out == ""


def test_a_masked_name_is_found_when_asked_for_and_hinted_at_otherwise(file: Path) -> None:
    write = AuditFile(file)
    write(event(200, "a…(5)", outcome=Outcome.UNKNOWN_USER))
    write.close()
    ran = run_cli("audit", "--file", file, "--user", "alice").worked()
    assert len(times(ran.out)) == 1
    assert ran.err == "names that nobody was found for could be this one as well; --masked shows them\n"
    ran = run_cli("audit", "--file", file, "--user", "alice", "--masked").worked()
    assert len(times(ran.out)) == 2
    assert ran.err == ""


def test_what_was_left_out_is_said(file: Path) -> None:
    ran = run_cli("audit", "--file", file, "--last", "2").worked()
    assert len(times(ran.out)) == 2
    assert ran.err == "the last 2 of more; --last 0 shows all\n"
    for last in ("3", "0"):
        assert run_cli("audit", "--file", file, "--last", last).worked().err == ""


def test_odd_lines_are_told_with_their_place(file: Path) -> None:
    place = file.stat().st_size
    with file.open("a") as more:
        more.write("half a li")
    ran = run_cli("audit", "--file", file).worked()
    assert len(times(ran.out)) == 3
    assert ran.err == f"warning: passed over 1 line that is no audit event; in {file} at octet {place}\n"
    with file.open("a") as more:
        more.write("\n[]\n")
    assert run_cli("audit", "--file", file, "--last", "0").line(0) == (
        f"warning: passed over 2 lines that are no audit events; the first in {file} at octet {place}"
    )


def test_a_rotated_file_that_cannot_be_read_is_told_after_the_rest(file: Path) -> None:
    rotated = file.with_name("audit.jsonl.2.gz")
    rotated.write_bytes(b"\x1f\x8b half of it")
    ran = run_cli("audit", "--file", file)
    assert (ran.status, len(times(ran.out))) == (1, 3)
    assert ran.line(1).startswith(f"{rotated}: is not whole")


def test_what_is_done_in_the_portal_is_found_and_who_has_done_it(file: Path) -> None:
    write = AuditFile(file)
    for by, decision, detail in (("carol", "done", ""), ("dave", "refused", "own_account"), ("", "done", "")):
        write(replace(event(180, "bob", detail), outcome=Act.UNLOCKED, decision=decision, by=by))
    write.close()
    asked = ("audit", "--file", file, "--outcome", "unlocked")
    lines = run_cli(*asked).worked().out.splitlines()[1:]
    assert [line.rpartition("192.0.2.1:1645  ")[2] for line in lines] == ["by carol", "by dave; own_account", "-"]
    assert len(times(run_cli(*asked, "--decision", "refused").worked().out)) == 1
    out = run_cli("audit", "--file", file, "--by", "carol", "--json").worked().out
    assert [json.loads(line)["by"] for line in out.splitlines()] == ["carol"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--outcome", "unlock"], "There is no outcome 'unlock'; there is unlocked"),
        (["--outcome", "wrong_pasword"], "There is no outcome 'wrong_pasword'; there is wrong_password, wrong_p"),
        (["--outcome", "xyzzy"], "There is no outcome 'xyzzy'."),
        (["--since", "yesterday"], "--since takes a time such as 2026-11-27T08:30, a date, or how long ago"),
        (["--since", ""], "--since takes a time such as"),
        (["--until", "999999999d"], "--until takes a time such as"),
        (["--until", "9999-12-31T23:59-10:00"], "--until takes a time such as"),
        (["--source", "nas.example.org"], "--source takes an IP address, not 'nas.example.org'."),
        (["--login", "xyz"], "--login takes hexadecimal digits"),
        (["--decision", "maybe"], "'maybe' is not one of"),
        (["--last", "-1"], "-1 is not in the range"),
    ],
)
def test_what_cannot_be_meant_is_one_line(file: Path, arguments: list[str], said: str) -> None:
    assert said in run_cli("audit", "--file", file, *arguments).line(2)


def test_where_the_events_go_to_the_log_it_says_so_and_how_to_have_a_file(config: Path) -> None:
    line = run_cli("--config", config, "audit").line(1)
    assert line.startswith(
        "audit: no file is configured, so the events are in the server's log; audit: {file: /var"
    )


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "no" / "folder"):
        assert (
            run_cli("audit", "--file", path).line(1) == f"{path}: is not there; the server makes it when it starts"
        )
    assert run_cli("audit", "--file", tmp_path).line(1) == f"{tmp_path}: is not a file"
    os.mkfifo(tmp_path / "pipe")
    assert "is not a file" in run_cli("audit", "--file", tmp_path / "pipe").line(1)
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "audit.jsonl"
    assert run_cli("audit", "--file", below).line(1) == f"{below}: cannot be read: Not a directory"


def test_who_reads_no_more_and_a_terminal_of_few_letters_are_no_traceback(file: Path) -> None:
    write = AuditFile(file)
    for seconds in range(5000):
        write(event(200 + seconds, "山田"))
    write.close()
    command = [sys.executable, "-m", "radius_mfa", "audit", "--file", str(file), "--last", "0"]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ascii_only) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(6)]
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(30) == 1
    assert rb"\u5c71\u7530" in lines[5]
    assert said == b""


class TestTheStore:
    def test_what_no_file_here_has_is_told_from_it(self, university: Site, tmp_path: Path) -> None:
        account = university.staff()
        assert log_in(university, account, account.code()) == ACCEPT
        own = run_cli("--config", university.config, "audit", "--user", account.name, "--json").worked()
        events = [json.loads(line) for line in own.out.splitlines()]
        assert [event["outcome"] for event in events] == ["challenged", "accepted"]
        assert not any("origin" in event for event in events), "the file has both"

        other = university.config.with_name(f"{tmp_path.name}.yaml")  # as at another node
        (tmp_path / "audit.jsonl").touch()
        text = university.config.read_text()
        other.touch(0o600)
        other.write_text(text.replace("audit.jsonl", str(tmp_path / "audit.jsonl")))
        asked = ("--config", other, "audit", "--user", account.name)
        (line,) = run_cli(*asked, "--json").worked().out.splitlines()
        told = json.loads(line)
        assert told == {**told, **{key: events[1][key] for key in ("time", "login", "factor", "source", "client")}}
        assert (told["outcome"], told["origin"]) == ("accepted", "store")
        assert run_cli(*asked).worked().out.splitlines()[1].endswith("  in the store only")
        assert run_cli(*asked, "--files-only").worked().err == "no such event\n"
        assert run_cli(*asked, "--since", "2001-01-01", "--until", "2001-01-02").worked().err == "no such event\n"

    def test_where_it_cannot_be_asked_the_files_are_told_with_a_warning(self, audited: Path) -> None:
        audited.with_name("state.db").write_text("no database at all, but of some length")
        ran = run_cli("--config", audited, "audit", "--user", "bob").worked()
        assert len(times(ran.out)) == 2
        assert ran.err.startswith("warning: the files alone, since the store cannot be asked: ")
        assert run_cli("--config", audited, "audit", "--user", "bob", "--files-only").worked().err == ""
