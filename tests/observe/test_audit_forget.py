"""Taking somebody out of the audit files: the events stay, and whose they were does not."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.core.acts import Act
from radius_mfa.core.messages import AuditEvent
from radius_mfa.observe.audit import AuditFile, as_record
from radius_mfa.observe.audit_forget import forget
from radius_mfa.observe.audit_search import Query, Search, event_of
from tests.adapters import NOON
from tests.observe.test_audit import EVENT

ALICE = replace(
    EVENT, user_name="ALICE@EXAMPLE", user_id="u-1", username="alice", station="198.51.100.7", detail="for alice"
)
BOB = replace(EVENT, user_name="bob", user_id="u-2", username="bob", station="198.51.100.8")
IDENTIFYING = ("user_name", "user_id", "username", "station", "detail")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def write(path: Path, *events: AuditEvent) -> Path:
    audit = AuditFile(path)
    for each in events:
        audit(each)
    audit.close()
    return path


def packed(path: Path, *events: AuditEvent) -> Path:
    octets = gzip.compress(b"".join(orjson.dumps(as_record(each)) + b"\n" for each in events))
    path.write_bytes(octets)
    path.chmod(0o640)
    os.utime(path, (NOON, NOON))
    return path


def records(path: Path) -> list[dict[str, Any]]:
    octets = path.read_bytes()
    lines = (gzip.decompress(octets) if path.suffix == ".gz" else octets).splitlines()
    return [json.loads(line) for line in lines]


def anonymous(event: AuditEvent) -> dict[str, Any]:
    rest = {key: value for key, value in as_record(event).items() if key not in IDENTIFYING}
    return {**rest, "forgotten": True}


def test_what_identified_them_is_gone_and_nothing_else_in_all_files(path: Path) -> None:
    rotated = write(path.with_name("audit.jsonl.1"), BOB, ALICE)
    os.utime(rotated, (NOON, NOON))
    older = packed(path.with_name("audit.jsonl.2.gz"), ALICE, BOB, ALICE)
    untouched = packed(path.with_name("audit.jsonl.3.gz"), BOB)
    write(path, ALICE, BOB)
    before = {each: each.stat() for each in (path, rotated, untouched)}

    done = forget(path, "u-1", ["alice"])
    assert (done.events, done.failed) == (4, {})
    assert records(path) == [anonymous(ALICE), as_record(BOB)]
    assert records(rotated) == [as_record(BOB), anonymous(ALICE)]
    assert records(older) == [anonymous(ALICE), as_record(BOB), anonymous(ALICE)]
    for each in (path, rotated, untouched):
        assert (each.stat().st_size, each.stat().st_ino) == (before[each].st_size, before[each].st_ino)
    assert (older.stat().st_mode & 0o777, older.stat().st_mtime) == (0o640, NOON)
    assert rotated.stat().st_mtime == NOON, "it is as old as before, for whoever deletes by age"
    assert sorted(each.name for each in path.parent.iterdir()) == [
        *("audit.jsonl", "audit.jsonl.1", "audit.jsonl.2.gz", "audit.jsonl.3.gz")
    ]
    assert not [*Search(path, Query(["alice", "u-1"])).hits(0)]
    assert forget(path, "u-1", ["alice"]).events == 0, "a second time there is nothing"


def test_without_an_id_an_event_is_theirs_by_name_and_with_anothers_it_is_not(path: Path) -> None:
    nameless = replace(ALICE, user_id="", username="", user_name="Ａlice")
    heir = replace(ALICE, user_id="u-9")
    write(path, nameless, heir)
    assert forget(path, "u-1", ["alice"]).events == 1
    assert records(path) == [anonymous(nameless), as_record(heir)]


def test_by_id_alone_the_names_are_learnt_from_the_files(path: Path) -> None:
    """As at another node, when the store knows nothing of them any more."""
    nameless = replace(ALICE, user_id="", username="", user_name="alice")
    write(path, nameless, ALICE)
    assert forget(path, "u-1", []).events == 2
    assert records(path) == [anonymous(nameless), anonymous(ALICE)]


def test_in_what_they_did_at_the_help_desk_the_one_helped_stays(path: Path) -> None:
    act = replace(BOB, outcome=Act.RESET, decision="done", client="portal", by="alice", by_id="u-1")
    older, of_carol = replace(act, by_id=""), replace(act, by_id="u-9")
    write(path, act, older, of_carol)
    assert forget(path, "u-1", ["alice"], ["alice"]).events == 2
    assert records(path) == [{**as_record(older), "by": "-"}] * 2 + [as_record(of_carol)]


def test_of_who_has_a_name_now_that_was_theirs_once_the_acts_stay(path: Path) -> None:
    """A line of before there was `by_id`, and a name that the files still have of who is forgotten."""
    once = replace(ALICE, username="carol", user_name="carol")
    act = replace(BOB, outcome=Act.RESET, decision="done", client="portal", by="carol")
    write(path, once, act, replace(act, by_id="u-3"))
    assert forget(path, "u-1", ["alice", "carol"], ["alice"]).events == 1
    assert records(path)[1:] == [as_record(act), as_record(replace(act, by_id="u-3"))]


def test_in_the_portal_the_source_is_their_own(path: Path) -> None:
    act = replace(ALICE, outcome=Act.RESET, decision="done", client="portal", by="carol")
    write(path, act)
    forget(path, "u-1", ["alice"])
    (record,) = records(path)
    assert "source" not in record
    assert record["by"] == "carol"


def test_a_file_that_may_not_be_written_is_told_and_the_others_are_done(path: Path) -> None:
    half = path.with_name("audit.jsonl.1.gz")
    half.write_bytes(gzip.compress(os.urandom(1000))[:-20])
    write(path, ALICE)
    done = forget(path, "u-1", ["alice"])
    assert (done.events, done.failed, done.unread) == (1, {}, {half: "is not whole"})


def test_what_somebody_has_put_beside_it_to_be_written_over_is_left_alone(path: Path) -> None:
    """A link, be it in place of the file itself and somebody else's, and a hole without end."""
    elsewhere = write(path.with_name("elsewhere"), ALICE)
    before = elsewhere.read_bytes()
    path.with_name("audit.jsonl.1").symlink_to(elsewhere)
    path.symlink_to(elsewhere)
    os.chown(path, 4711, 4711, follow_symlinks=False)
    path.parent.chmod(0o2770)
    hole = path.with_name("audit.jsonl.2")
    hole.touch()
    os.truncate(hole, 1 << 40)
    done = forget(path, "u-1", ["alice"])
    assert (done.events, done.failed) == (0, {})
    assert set(done.unread) == {path, path.with_name("audit.jsonl.1"), hole}
    assert elsewhere.read_bytes() == before


def test_where_roots_link_leads_to_all_of_them_are_gone_through(path: Path) -> None:
    folder = path.with_name("data")
    folder.mkdir()
    path.symlink_to("data/audit.jsonl")
    older = packed(folder / "audit.jsonl.1.gz", ALICE)
    write(path, ALICE)
    done = forget(path, "u-1", ["alice"])
    assert (done.events, done.failed, done.unread) == (2, {}, {})
    assert records(older) == records(folder / "audit.jsonl") == [anonymous(ALICE)]
    assert path.is_symlink()


def test_a_packed_file_that_is_written_anew_can_be_run_by_nobody(path: Path) -> None:
    older = packed(path.with_name("audit.jsonl.1.gz"), ALICE)
    older.chmod(0o6755)
    forget(path, "u-1", ["alice"])
    assert stat.S_IMODE(older.stat().st_mode) == 0o644


def test_servers_go_on_writing_meanwhile_and_lose_nothing(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from radius_mfa.observe.audit import AuditFile;"
        "from tests.observe.test_audit_forget import ALICE, BOB; audit = AuditFile(Path(sys.argv[1]));"
        "[audit(each) for _ in range(3000) for each in (ALICE, BOB)]; print('done')"
    )
    write(path, ALICE, BOB)
    writer = subprocess.Popen([sys.executable, "-c", program, path], cwd=Path(__file__).parents[2])
    done = 0
    while writer.poll() is None:
        done += forget(path, "u-1", ["alice"]).events
    assert writer.wait() == 0
    done += forget(path, "u-1", ["alice"]).events
    found = [json.loads(line) for line in path.read_bytes().splitlines() if line]
    assert done == 3001
    assert found.count(anonymous(ALICE)) == found.count(as_record(BOB)) == 3001


def test_a_file_that_logrotate_renames_meanwhile_is_found_by_its_new_name(path: Path) -> None:
    """It compresses what it has renamed, too."""
    write(path, *[BOB] * 2000, ALICE)
    ended = threading.Event()

    def rotate() -> None:
        path.rename(path.with_name("audit.jsonl.1"))
        packed(path.with_name("audit.jsonl.1.gz"), *[BOB] * 2000, ALICE)
        path.with_name("audit.jsonl.1").unlink()
        ended.set()

    rotating = threading.Thread(target=rotate)
    rotating.start()
    forget(path, "u-1", ["alice"])
    assert ended.wait(20)
    rotating.join()
    forget(path, "u-1", ["alice"])
    assert b"alice" not in gzip.decompress(path.with_name("audit.jsonl.1.gz").read_bytes())


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["user_name", "user_id", "username", "detail", "by", "round", "new", "forgotten"]),
        st.sampled_from(["alice", "u-1", "ALICE", "", "x", "山", 1e5, 1.0, None, True, "ﬁ"]),
    ),
    st.booleans(),
    st.booleans(),
)
def test_however_a_line_is_written_it_keeps_its_length_and_names_nobody(
    tmp_path_factory: pytest.TempPathFactory, said: dict[str, Any], escaped: bool, spaced: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "forget.jsonl"
    record = {"time": "2026-10-14T12:00:00.000+00:00", "outcome": "accepted", **said}
    separators = (", ", ": ") if spaced else (",", ":")
    line = json.dumps(record, ensure_ascii=escaped, separators=separators).encode()
    path.write_bytes(line + b"\n" + line + b"\n")
    forget(path, "u-1", ["alice"])
    first, second = path.read_bytes().splitlines()
    assert (len(first), first) == (len(line), second)
    event = event_of(first)
    assert event is not None
    assert event["time"] == record["time"]
    assert event.get("user_id") != "u-1"
    assert event.get("user_id") or not Search(path, Query(["u-1", "alice"])).matches(event)
