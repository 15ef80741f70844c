"""The audit file: one JSON object a line."""

import json
import os
import select
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog.testing
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import AuditFile, AuditLog, Audits, as_record
from radius_mfa.observe.audit_search import Query, Search
from tests.adapters import NOON

EVENT = AuditEvent(NOON + 0.25, Outcome.ACCEPTED, "accept", "vpn", "192.0.2.1:1645", user_name="alice", round=2)
RECORD = {
    "time": "2026-10-14T12:00:00.250+00:00",
    "outcome": "accepted",
    "decision": "accept",
    "client": "vpn",
    "source": "192.0.2.1:1645",
    "user_name": "alice",
    "round": 2,
}


def test_a_record_has_what_says_something_and_a_readable_time() -> None:
    assert as_record(EVENT) == RECORD


def test_whatever_a_field_says_is_in_the_record_and_nothing_else() -> None:
    for each in fields(AuditEvent):
        if each.name not in ("time", "outcome", "decision"):
            said = 7 if each.name in ("round", "duration") else "said"
            nothing = {other.name: type(getattr(EVENT, other.name))() for other in fields(AuditEvent)[3:]}
            event = replace(EVENT, **{**nothing, each.name: said})
            assert as_record(event) == {**dict([*RECORD.items()][:3]), each.name: said}
    assert [*as_record(EVENT)] == [*RECORD], "in the order of the fields"


@given(st.floats(0, 4e9) | st.integers(0, 4 * 10**12).map(lambda number: number / 1000))
def test_the_time_is_as_the_standard_library_writes_it(time: float) -> None:
    assert as_record(replace(EVENT, time=time))["time"] == written(time)


@pytest.mark.parametrize(
    "time", [0.0, NOON - 1e-7, NOON - 6e-7, NOON + 0.9999994, NOON + 0.9999996, NOON + 0.0005]
)
def test_a_time_that_is_all_but_the_next_second_is_of_that(time: float) -> None:
    assert as_record(replace(EVENT, time=time))["time"] == written(time)


def written(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")


def test_each_event_is_a_line(tmp_path: Path) -> None:
    audit = AuditFile(tmp_path / "audit.jsonl")
    audit(EVENT)
    audit(replace(EVENT, user_name='bob "\n山田'))
    audit.close()
    first, second = (tmp_path / "audit.jsonl").read_text().splitlines()

    assert json.loads(first) == RECORD
    assert json.loads(second)["user_name"] == 'bob "\n山田'


def test_the_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    for _ in range(2):
        audit = AuditFile(tmp_path / "audit.jsonl")
        audit(EVENT)
        audit.close()

    assert len((tmp_path / "audit.jsonl").read_text().splitlines()) == 2


def test_strangers_cannot_read_it(tmp_path: Path) -> None:
    AuditFile(tmp_path / "audit.jsonl").close()

    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) & 0o007 == 0


@pytest.mark.parametrize("mode", [0o640, 0o660])
def test_its_group_may_write_it_where_that_was_asked_for(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "audit.jsonl"
    before = os.umask(0o022)
    try:
        audit = AuditFile(path, mode=mode)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        path.rename(tmp_path / "audit.jsonl.1")
        audit.reopen()
        assert stat.S_IMODE(path.stat().st_mode) == mode
        audit.close()
    finally:
        os.umask(before)


def test_an_administrators_mode_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(0o600)
    path.write_text("{}\n")
    AuditFile(path, mode=0o660).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_several_processes_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    program = (
        "import sys; from pathlib import Path; from radius_mfa.observe.audit import AuditFile;"
        "from tests.observe.test_audit import EVENT; audit = AuditFile(Path(sys.argv[1]));"
        "[audit(EVENT) for _ in range(2000)]"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, path], cwd=Path(__file__).parents[2]) for _ in range(2)
    ]
    assert [writer.wait(30) for writer in writers] == [0, 0]

    # Who opens it in the middle of another's write takes that for half a line, and begins with an empty one.
    lines = [line for line in path.read_text().splitlines() if line]
    assert len(lines) == 4000
    assert all(json.loads(line) == RECORD for line in lines)


def test_a_place_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^audit\.file: .*: Is a directory$"):
        AuditFile(tmp_path)


def test_what_cannot_be_written_goes_to_the_log_and_holds_nothing_up() -> None:
    """/dev/full is a disk without room."""
    audit = AuditFile(Path("/dev/full"))
    with structlog.testing.capture_logs() as logged:
        audit(EVENT)
    audit.close()

    assert logged == [{"event": "audit_not_written", "log_level": "error", **RECORD}]


def test_what_one_turn_tells_is_written_together_and_in_order(tmp_path: Path) -> None:
    later: list[Callable[[], None]] = []
    audit = AuditFile(tmp_path / "audit.jsonl", later.append)
    events = [replace(EVENT, user_name=name) for name in ("alice", "bob", "carol")]
    for event in events:
        audit(event)
    assert (len(later), (tmp_path / "audit.jsonl").read_bytes()) == (1, b"")
    later.pop()()
    audit(EVENT)
    assert len(later) == 1, "and the next turn's once more"
    audit.close()
    later.pop()()

    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [as_record(event) for event in (*events, EVENT)]


def test_an_event_that_is_no_json_goes_to_the_log_and_takes_no_other_with_it(tmp_path: Path) -> None:
    later: list[Callable[[], None]] = []
    audit = AuditFile(tmp_path / "audit.jsonl", later.append)
    odd = replace(EVENT, detail="half a character: \ud83d")
    for event in (EVENT, odd, EVENT):
        audit(event)
    with structlog.testing.capture_logs() as logged:
        audit.close()

    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [RECORD, RECORD]
    assert logged == [{"event": "audit_not_written", "log_level": "error", **as_record(odd)}]


def test_half_a_line_counts_as_none_and_spoils_no_other(tmp_path: Path) -> None:
    """A pipe with less room than a line takes what fits."""
    fifo = tmp_path / "audit"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    audit = AuditFile(fifo)
    os.set_blocking(audit._file, False)
    with structlog.testing.capture_logs() as logged:
        audit(replace(EVENT, detail="x" * 200_000))
    while select.select([reader], [], [], 0)[0]:
        os.read(reader, 65536)
    audit(EVENT)
    audit(EVENT)

    assert [entry["event"] for entry in logged] == ["audit_not_written"]
    torn, *lines = os.read(reader, 65536).splitlines()
    assert torn == b"", "what follows half a line begins on its own"
    assert [json.loads(line) for line in lines] == [RECORD, RECORD]
    audit.close()
    os.close(reader)


def test_half_a_line_of_a_server_that_is_no_more_spoils_no_event(tmp_path: Path) -> None:
    """The disk was full, or power failed."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"time": "2026-10-')
    audit = AuditFile(path)
    audit(EVENT)
    audit.close()

    torn, line = path.read_bytes().splitlines()
    assert torn == b'{"time": "2026-10-'
    assert json.loads(line) == RECORD


def told(path: Path) -> list[str]:
    """The users in the events of a file, in order."""
    return [json.loads(line)["user_name"] for line in path.read_text().splitlines() if line]


def test_what_is_told_after_the_file_was_renamed_is_in_the_new_one_of_all_who_write_it(tmp_path: Path) -> None:
    """Nobody sends a signal.  logrotate makes the new file (`create`), or leaves that to us (`nocreate`)."""
    path = tmp_path / "audit.jsonl"
    writers = [AuditFile(path), AuditFile(path)]
    for turn, creates in enumerate((True, False)):
        for at, writer in enumerate(writers):
            writer(replace(EVENT, user_name=f"{turn} {at}"))
        path.rename(path.with_name(f"audit.jsonl.{turn}"))
        if creates:
            path.touch(0o600)
    for at, writer in enumerate(writers):
        writer(replace(EVENT, user_name=f"2 {at}"))
        writer.close()
    files = [path.with_name("audit.jsonl.0"), path.with_name("audit.jsonl.1"), path]
    assert [told(each) for each in files] == [[f"{turn} 0", f"{turn} 1"] for turn in range(3)]


def test_what_was_told_before_the_end_of_the_turn_is_written_once_it_was_renamed(tmp_path: Path) -> None:
    path, later = tmp_path / "audit.jsonl", list[Callable[[], None]]()
    audit = AuditFile(path, later.append)
    audit(EVENT)
    path.rename(tmp_path / "audit.jsonl.1")
    later.pop()()
    audit.close()
    assert (told(path), told(tmp_path / "audit.jsonl.1")) == (["alice"], [])


def test_a_file_that_was_removed_by_hand_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditFile(path)
    path.unlink()
    audit(EVENT)
    audit.close()

    assert told(path) == ["alice"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_was_copied_and_cut_off_goes_on_from_its_start(tmp_path: Path) -> None:
    """logrotate's `copytruncate`."""
    path = tmp_path / "audit.jsonl"
    audit = AuditFile(path)
    audit(EVENT)
    os.truncate(path, 0)
    audit(EVENT)
    audit.close()
    assert told(path) == ["alice"]


@pytest.mark.parametrize("way", ["create 0640", "nocreate", "copytruncate", "create 0640\n  compress"])
def test_logrotate_loses_no_event_however_it_is_set_up(tmp_path: Path, way: str) -> None:
    """Debian's own, and nobody sends a signal."""
    path, configuration = tmp_path / "audit.jsonl", tmp_path / "logrotate.conf"
    configuration.write_text(f"{path} {{\n  rotate 9\n  {way}\n}}\n")
    configuration.chmod(0o600)
    audit = AuditFile(path)
    for number in range(3):
        audit(replace(EVENT, user_name=str(number)))
        rotate = ["/usr/sbin/logrotate", "--force", "--state", str(tmp_path / "state"), str(configuration)]
        subprocess.run(rotate, check=True, timeout=30)
    audit(replace(EVENT, user_name="3"))
    audit.close()
    assert told(path) == ["3"]
    hits = Search(path, Query()).hits(0)
    assert sorted(hit.event["user_name"] for hit in hits) == ["0", "1", "2", "3"]


def test_of_several_places_each_is_told_every_event(tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    audits = Audits([AuditFile(each) for each in paths])
    audits(EVENT)
    audits.reopen()
    audits.close()
    assert [told(each) for each in paths] == [["alice"]] * 2


def test_without_a_file_the_events_are_in_the_log() -> None:
    audit = AuditLog()
    with structlog.testing.capture_logs() as logged:
        audit(EVENT)
    audit.close()

    assert logged == [{"event": "audit", "log_level": "info", **RECORD}]


def test_after_a_rotation_it_goes_on_in_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditFile(path)
    audit(EVENT)
    path.rename(tmp_path / "audit.jsonl.1")
    audit.reopen()
    audit(EVENT)
    audit.close()
    assert path.read_text() == (tmp_path / "audit.jsonl.1").read_text()


def test_where_there_can_be_no_new_file_it_goes_on_in_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    audit = AuditFile(folder / "audit.jsonl")
    folder.rename(tmp_path / "old")
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            audit(EVENT)
        assert [line["event"] for line in logged] == ["audit_not_reopened"], "once, and not for each event"
        audit.reopen()
        assert len(logged) == 2, "whoever asks for it is told"
    audit.close()
    assert (tmp_path / "old" / "audit.jsonl").read_text().count("\n") == 3


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_after_a_regular_file_only_such_a_one_is_written(tmp_path: Path, kind: str) -> None:
    """Whoever may make files in the folder is not to have us write where they like."""
    path, elsewhere = tmp_path / "audit.jsonl", tmp_path / "elsewhere"
    elsewhere.touch()
    audit = AuditFile(path)
    path.rename(tmp_path / "audit.jsonl.1")
    match kind:
        case "link":
            path.symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with structlog.testing.capture_logs() as logged:
        audit(EVENT)
        audit(EVENT)
    audit.close()
    os.close(reader)
    assert [line["event"] for line in logged] == ["audit_not_reopened"]
    assert told(tmp_path / "audit.jsonl.1") == ["alice", "alice"]
    assert elsewhere.read_bytes() == b""


def test_a_file_that_takes_the_place_of_another_leaves_a_trace_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditFile(path)
    with structlog.testing.capture_logs() as logged:
        audit.reopen()
        assert logged == [], "it is the same"
        path.rename(tmp_path / "audit.jsonl.1")
        path.write_bytes(b"{}\n")
        audit(EVENT)
    audit.close()
    seen = {"file": str(path), "octets": 3, "owner": os.geteuid()}
    assert logged == [{"event": "audit_reopened", "log_level": "info", **seen}]


def test_a_pipe_that_was_configured_is_one_after_it_was_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    os.mkfifo(path)
    first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    audit = AuditFile(path)
    path.unlink()
    os.mkfifo(path)
    second = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    audit(EVENT)
    assert json.loads(os.read(second, 65536)) == RECORD
    audit.close()
    os.close(first)
    os.close(second)
