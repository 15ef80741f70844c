"""Searching the audit file: from its end, block by block, and in what it was rotated to."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import AuditFile
from radius_mfa.observe.audit_search import Query, backwards, files_of, search
from tests.adapters import NOON

START = datetime.fromtimestamp(NOON, UTC)


def event(seconds: float = 0, **said: Any) -> AuditEvent:
    usual = {"outcome": Outcome.ACCEPTED, "decision": "accept", "client": "vpn", "source": "192.0.2.1:1645"}
    return AuditEvent(NOON + seconds, **{**usual, **said})


def write(path: Path, *events: AuditEvent) -> Path:
    audit = AuditFile(path)
    for each in events:
        audit(each)
    audit.close()
    return path


EVERYTHING = Query()


def after(path: Path, query: Query = EVERYTHING, most: int = 0) -> list[float]:
    """Seconds after the start at which what was found has happened."""
    found = search(path, query, most).events
    return [(datetime.fromisoformat(each["time"]) - START).total_seconds() for each in found]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), [0, 1, 2, 3]),
        (Query(clients=["vpn"]), [0, 1, 3]),
        (Query(clients=["vpn", "wifi"]), [0, 1, 2, 3]),
        (Query(outcomes=["code_wrong"]), [1]),
        (Query(outcomes=["code_wrong", "unknown_user"]), [1, 3]),
        (Query(decisions=["reject"], clients=["vpn"]), [3]),
        (Query(stations=["02-00"]), [2]),
        (Query(sources=["2001:db8::1"]), [2]),
        (Query(sources=["192.0.2.1"]), [0, 1, 3]),
        (Query(sources=["192.0.2"]), []),
        (Query(logins=["ab"]), [0, 1]),
        (Query(users=["ALICE "]), [0, 1]),
        (Query(users=["u-bob"]), [2]),
        (Query(users=["ｂｏｂ"]), [2]),
        (Query(users=["carol"]), [3]),  # whom nobody stood behind: masked, and of that form
        (Query(users=["chris"]), [3]),
        (Query(users=["dave"]), []),
        (Query(since=START + timedelta(seconds=1)), [1, 2, 3]),
        (Query(until=START + timedelta(seconds=1)), [0]),
        (Query(since=START + timedelta(seconds=1), until=START + timedelta(seconds=3)), [1, 2]),
    ],
)
def test_what_is_asked_for_must_all_hold(path: Path, query: Query, found: list[float]) -> None:
    write(
        path,
        event(0, user_name="Alice", user_id="u-alice", username="alice", login="ab"),
        event(
            1, user_name="alice", user_id="u-alice", outcome=Outcome.CODE_WRONG, decision="challenge", login="ab"
        ),
        event(
            2,
            user_name="b@x",
            user_id="u-bob",
            username="bob",
            client="wifi",
            station="02-00",
            source="[2001:db8::1]:9",
        ),
        event(3, user_name="c…(5)", outcome=Outcome.UNKNOWN_USER, decision="reject"),
    )
    assert after(path, query) == found


def test_the_newest_are_found_and_told_in_order(path: Path) -> None:
    write(path, *(event(seconds) for seconds in range(10)))
    found = search(path, Query(), 3)
    assert after(path, most=3) == [7, 8, 9]
    assert found.more
    assert not search(path, Query(), 10).more


def test_lines_of_several_processes_may_be_out_of_order_for_a_while(path: Path) -> None:
    write(path, event(100), event(50), event(101))
    assert after(path) == [50, 100, 101]
    assert after(path, Query(since=START + timedelta(seconds=100))) == [100, 101]


def test_what_is_older_than_is_asked_for_is_not_read(path: Path) -> None:
    path.write_bytes(b"\0 not an event\n")
    write(path, event(0), *(event(1000 + seconds) for seconds in range(10)))
    found = search(path, Query(since=START + timedelta(seconds=1005)), 0)
    assert len(found.events) == 5
    assert not found.odd  # whose line stands before all others


def test_rotated_files_are_read_after_it_the_newest_first(path: Path) -> None:
    for age, (name, seconds) in enumerate([("", 40), (".1", 30), ("-20261012", 20)]):
        os.utime(write(path.with_name(path.name + name), event(seconds)), (NOON - age, NOON - age))
    packed = path.with_name("audit.jsonl.2.gz")
    packed.write_bytes(gzip.compress(write(path.with_name("x"), event(10), event(11)).read_bytes()))
    os.utime(packed, (NOON - 9, NOON - 9))
    write(path.with_name("audit.jsonlike"), event(99))
    write(path.with_name("other-audit.jsonl"), event(99))
    assert after(path) == [10, 11, 20, 30, 40]
    assert after(path, most=3) == [20, 30, 40]
    assert [each.name for each in files_of(path)][:2] == ["audit.jsonl", "audit.jsonl.1"]
    path.unlink()
    assert after(path) == [10, 11, 20, 30]


def test_lines_that_are_no_events_are_passed_over_and_counted(path: Path) -> None:
    write(path, event(0))
    with path.open("ab") as file:
        file.write(b'{"half": \n\n[]\n{"time": 5}\n\xff\n')
    write(path, event(1))
    with path.open("ab") as file:
        file.write(b'{"time": "2026-10-14T12:0')
    found = search(path, Query(), 0)
    assert [each["decision"] for each in found.events] == ["accept"] * 2
    assert found.odd == {path: 5}


@pytest.mark.parametrize("octets", [b"no gzip at all", gzip.compress(b"{}\n" * 1000)[:-20]], ids=["none", "half"])
def test_a_rotated_file_that_is_not_whole_is_told_and_the_rest_is_found(path: Path, octets: bytes) -> None:
    write(path, event(1))
    packed = path.with_name("audit.jsonl.1.gz")
    packed.write_bytes(octets)
    found = search(path, Query(), 0)
    assert len(found.events) == 1
    assert list(found.unread) == [packed]


def test_without_any_file_it_is_that_which_cannot_be_read(path: Path) -> None:
    assert search(path, Query(), 0).unread == {path: "No such file or directory"}


@settings(deadline=None)
@given(
    st.binary(max_size=300) | st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"{}"])).map(b"".join),
    st.integers(1, 40),
)
def test_backwards_is_forwards_the_other_way_round(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(octets)
    assert [*backwards(path, block)] == [line for line in octets.split(b"\n") if line][::-1]


@settings(deadline=None)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.dictionaries(
            st.sampled_from(["time", "client", "source"]), st.none() | st.text() | st.integers()
        ).map(lambda it: json.dumps(it).encode())
    )
)
def test_whatever_stands_in_the_file_nothing_is_raised(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "audit.jsonl"
    path.write_bytes(b"\n".join(lines))
    everything = Query(["x"], ["x"], ["x"], ["x"], ["x"], ["x"], ["x"], START, START)
    for query in (Query(), everything, Query(sources=["x"]), Query(users=["x"])):
        search(path, query, 3)
