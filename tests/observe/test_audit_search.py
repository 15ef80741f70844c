"""Searching the audit file: from its end, block by block, and in what it was rotated to."""

from __future__ import annotations

import gzip
import json
import os
import random
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import AuditFile, as_record
from radius_mfa.observe.audit_search import Query, Search, address_of
from tests.adapters import NOON

START = datetime.fromtimestamp(NOON, UTC)
EVERYTHING = Query()


def event(seconds: float = 0, **said: Any) -> AuditEvent:
    usual = {"outcome": Outcome.ACCEPTED, "decision": "accept", "client": "vpn", "source": "192.0.2.1:1645"}
    return AuditEvent(NOON + seconds, **{**usual, **said})


def write(path: Path, *events: AuditEvent) -> Path:
    """Append to a file, which was then last written to when the last of them happened."""
    audit = AuditFile(path)
    for each in events:
        audit(each)
    audit.close()
    os.utime(path, (events[-1].time, events[-1].time))
    return path


def seconds_of(time: str) -> float:
    return (datetime.fromisoformat(time) - START).total_seconds()


def after(path: Path, query: Query = EVERYTHING, most: int = 0) -> list[float]:
    """Seconds after the start at which what was found has happened."""
    return [seconds_of(hit.time) for hit in Search(path, query).hits(most)]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


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
        (Query(stations=["02-00-5e-00-00-01"]), [2]),
        (Query(stations=["0200.5E00.0001"]), [2]),
        (Query(stations=["02-00"]), []),
        (Query(stations=["Phone 7"]), [3]),
        (Query(sources=["2001:DB8:0::1"]), [2]),
        (Query(sources=["[2001:db8::1]:9"]), [2]),
        (Query(sources=["192.0.2.1"]), [0, 1, 3]),
        (Query(sources=["192.0.2.2"]), []),
        (Query(logins=["AB"]), [0, 1]),
        (Query(users=["ALICE "]), [0, 1]),
        (Query(users=["u-bob"]), [2]),
        (Query(users=["U-BOB"]), []),
        (Query(users=["ｂｏｂ"]), [2]),
        (Query(users=["B@X"]), [2]),
        (Query(users=["bob", "alice"]), [0, 1, 2]),
        (Query(users=[""]), []),
        (Query(users=["Carol"]), []),
        (Query(users=["c…(5)"]), [3]),
        (Query(users=["Carol"], masked=True), [3]),
        (Query(users=["dave"], masked=True), []),
        (Query(since=at(1)), [1, 2, 3]),
        (Query(until=at(1)), [0]),
        (Query(since=at(1), until=at(3)), [1, 2]),
    ],
)
@pytest.mark.parametrize("most", [0, 9])
def test_what_is_asked_for_must_all_hold(path: Path, query: Query, found: list[float], most: int) -> None:
    alice = event(0, user_name="Alice", user_id="u-alice", username="alice", login="ab")
    mac = "02:00:5E:00:00:01"
    write(
        path,
        alice,
        replace(alice, time=NOON + 1, outcome=Outcome.CODE_WRONG, decision="challenge"),
        event(
            2,
            user_name="b@x",
            user_id="u-bob",
            username="bob",
            client="wifi",
            station=mac,
            source="[2001:db8::1]:9",
        ),
        event(3, user_name="c…(5)", outcome=Outcome.UNKNOWN_USER, decision="reject", station="phone 7"),
    )
    assert after(path, query, most) == found


def test_that_a_masked_name_could_be_it_is_known(path: Path) -> None:
    write(path, event(0, user_name="c…(5)"), event(1, user_name="carla", user_id="u-c"))
    for query, looks_so in (
        (Query(["carol"]), True),
        (Query(["carol"], masked=True), False),
        (Query(["u-c"]), False),
    ):
        search = Search(path, query)
        list(search.hits(5))
        assert search.looks_masked is looks_so, query


def test_the_newest_are_found_and_told_in_order(path: Path) -> None:
    write(path, *(event(seconds) for seconds in range(10)))
    for most, more in ((3, True), (9, True), (10, False), (11, False), (0, False)):
        search = Search(path, Query())
        assert [seconds_of(hit.time) for hit in search.hits(most)] == [*range(10)][-most:]
        assert search.more is more


def test_lines_of_several_processes_may_be_out_of_order_for_a_while(path: Path) -> None:
    write(path, event(100), event(50), event(101))
    assert after(path) == [50, 100, 101]
    assert after(path, most=2) == [100, 101]
    for most in (0, 9):
        assert after(path, Query(since=at(100)), most) == [100, 101]


@pytest.mark.parametrize("query", [Query(since=at(1005)), Query()])
def test_what_is_older_than_is_asked_for_is_not_read(path: Path, query: Query) -> None:
    path.write_bytes(b"not an event, whose line stands before all others\n")
    write(path, event(0), *(event(1000 + seconds) for seconds in range(10)))
    path.with_name("audit.jsonl.1").write_bytes(b"not an event\n")
    os.utime(path.with_name("audit.jsonl.1"), (NOON, NOON))
    search = Search(path, query)
    assert [seconds_of(hit.time) for hit in search.hits(5)] == [1005, 1006, 1007, 1008, 1009]
    assert search.odd == 0
    if query.since:
        search = Search(path, query)
        assert len(list(search.hits(0))) == 5
        assert search.odd == 0


@pytest.mark.parametrize("most", [0, 9])
def test_rotated_files_are_searched_as_one(path: Path, most: int) -> None:
    for name, seconds in (("", 400), (".1", 300), ("-20261012", 200)):
        write(path.with_name(path.name + name), event(seconds))
    packed = path.with_name("audit.jsonl.2.gz")
    packed.write_bytes(gzip.compress(write(path.with_name("x"), event(10), event(150)).read_bytes()))
    os.utime(packed, (NOON + 150, NOON + 150))
    assert after(path, most=most) == [10, 150, 200, 300, 400]
    assert after(path, most=3) == [200, 300, 400]
    assert after(path, Query(since=at(150)), most) == [150, 200, 300, 400]
    path.unlink()  # just rotated, and nothing has happened since
    assert after(path, most=most) == [10, 150, 200, 300]


@pytest.mark.parametrize("most", [0, 4])
def test_files_that_two_processes_wrote_to_at_once_are_put_in_order(path: Path, most: int) -> None:
    """One has opened the new file, the other has not been told yet."""
    write(path.with_name("audit.jsonl.1"), event(1), event(3))
    write(path, event(2), event(4))
    assert after(path, most=most) == [1, 2, 3, 4]
    assert after(path, most=2) == [3, 4]


@pytest.mark.parametrize("most", [0, 9])
def test_lines_that_are_no_events_are_passed_over_and_counted(path: Path, most: int) -> None:
    write(path, event(0))
    first = path.stat().st_size
    odd = [b'{"half": ', b"[]", b'{"time": 5}', b"\xff", b'{"time": "noon", "outcome": "accepted"}', b"[" * 2000]
    odd += [b'{"time": "2026-13-14T12:00:00.000+00:00", "outcome": "accepted"}', b" " * 300_000]
    with path.open("ab") as file:
        file.write(b"\n".join([*odd, b"\n"]))
    write(path, event(1))
    with path.open("ab") as file:
        file.write(b'{"time": "2026-10-14T12:0')
    search = Search(path, Query())
    assert [hit.event["decision"] for hit in search.hits(most)] == ["accept"] * 2
    assert (search.odd, search.first_odd) == (len(odd) + 1, (path, first))


def test_an_event_behind_the_zeros_of_a_power_failure_is_found(path: Path) -> None:
    path.write_bytes(b"\0" * 100 + orjson.dumps(as_record(event(5))) + b"\n")
    (hit,) = Search(path, Query()).hits(0)
    assert json.loads(hit.line) == hit.event == as_record(event(5))


@pytest.mark.parametrize("most", [0, 9])
@pytest.mark.parametrize(("octets", "found"), [(b"\x1f\x8b no gzip", 1), (b"", 1), ("half", 2)])
def test_a_rotated_file_that_is_not_whole_is_told_and_the_rest_is_found(
    path: Path, octets: bytes | str, found: int, most: int
) -> None:
    if isinstance(
        octets, str
    ):  # an event is on whole blocks that were written, and then much that does not compress
        noise = random.Random(1).randbytes(200_000).hex().encode()
        octets = gzip.compress(orjson.dumps(as_record(event(0))) + b"\n" + noise)[:-1000]
    write(path, event(1))
    packed = path.with_name("audit.jsonl.1.gz")
    packed.write_bytes(octets)
    search = Search(path, Query())
    assert len(list(search.hits(most))) == found
    assert list(search.unread) == [packed]


def test_without_any_file_it_is_that_which_cannot_be_read(path: Path) -> None:
    search = Search(path, Query())
    assert list(search.hits(5)) == []
    assert search.unread == {path: "is not there; the server makes it when it starts"}


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:1645", "192.0.2.1"),
        ("[2001:db8::1]:1645", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[::ffff:192.0.2.1]:1645", "192.0.2.1"),
        ("nas.example.org", "None"),
        ("", "None"),
    ],
)
def test_a_source_is_its_address(written: str, address: str) -> None:
    assert str(address_of(written)) == address


def plainly(lines: list[bytes], query: Query, most: int) -> list[bytes]:
    """The same search, without any cunning: every line is read, from the first on."""
    found = []
    for position, line in enumerate(lines):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        time = datetime.fromisoformat(record["time"])
        if (query.since and time < query.since) or (query.until and time >= query.until):
            continue
        if not query.clients or record["client"] in query.clients:
            found.append((time, position, line))
    return [line for _, _, line in sorted(found)][-most:]


@st.composite
def histories(draw: st.DrawFn) -> list[AuditEvent | bytes]:
    """Events as several processes write them, less than a minute out of order, and a few lines that are none."""
    now = 0.0
    lines: list[AuditEvent | bytes] = []
    for step in draw(st.lists(st.sampled_from([0, 0.5, 7, 40, 200]), max_size=25)):
        now += step
        late = draw(st.sampled_from([0, 0, 1, 29]))
        lines.append(event(now - late, client=draw(st.sampled_from(["vpn", "wifi"])), detail=f"{len(lines)}"))
        if draw(st.integers(0, 9)) == 0:
            lines.append(b"half a li")
    return lines


@settings(deadline=None)  # files are written
@given(
    histories(),
    st.lists(st.integers(0, 25), max_size=2),
    st.booleans(),
    st.integers(1, 700),
    st.integers(0, 6),
    st.none() | st.integers(0, 1500),
    st.none() | st.integers(0, 1500),
    st.sampled_from([[], ["wifi"]]),
)
def test_backwards_finds_exactly_what_a_plain_read_finds(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[AuditEvent | bytes],
    cuts: list[int],
    compressed: bool,
    block: int,
    most: int,
    since: int | None,
    until: int | None,
    clients: list[str],
) -> None:
    path = tmp_path_factory.mktemp("any") / "audit.jsonl"
    lines = [each if isinstance(each, bytes) else orjson.dumps(as_record(each)) for each in history]
    newest = 0.0
    ends = [*sorted(cuts), len(lines)]
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        age = len(ends) - 1 - number
        file = path.with_name(f"audit.jsonl.{age}{'.gz' if compressed else ''}") if age else path
        octets = b"".join(line + b"\n" for line in lines[start:end])
        file.write_bytes(gzip.compress(octets) if age and compressed else octets)
        newest = max([newest, *(each.time for each in history[start:end] if isinstance(each, AuditEvent))])
        os.utime(file, (newest + number, newest + number))
    moments = [None if seconds is None else at(seconds) for seconds in (since, until)]
    query = Query(clients=clients, since=moments[0], until=moments[1])
    search = Search(path, query, block)
    assert [hit.line for hit in search.hits(most)] == plainly(lines, query, most)
    assert search.more is bool(most and len(plainly(lines, query, 0)) > most)


@settings(deadline=None)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.dictionaries(
            st.sampled_from(["time", "outcome", "client", "source", "user_name", "user_id", "station"]),
            st.none()
            | st.sampled_from(["", "x", "\x9b", "ß", "\ud800", "[]:", "::1%"])
            | st.integers()
            | st.just(["x"])
            | st.sampled_from(["0001-01-01T00:00:00.000+00:00", "9999-12-31T23:59:59.999+00:00"]),
        ).map(lambda it: json.dumps({"outcome": "x", "time": "2026-10-14T12:00:00.000+00:00", **it}).encode()),
        max_size=8,
    ),
    st.booleans(),
)
def test_whatever_stands_in_the_file_nothing_is_raised(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], compressed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "audit.jsonl"
    octets = b"\n".join(lines)
    path.write_bytes(gzip.compress(octets)[: len(octets)] if compressed else octets)
    everything = Query(["x"], ["x"], ["x"], ["x"], ["x"], ["192.0.2.1"], ["x"], True, START, START)
    for query in (
        Query(),
        everything,
        Query(sources=["::1"]),
        Query(["x"]),
        Query(stations=["x"]),
        Query(since=START),
    ):
        for most in (0, 3):
            list(Search(path, query).hits(most))


@pytest.mark.parametrize("most", [0, 5])
def test_whoever_has_had_enough_gets_what_was_found_and_is_told(path: Path, most: int) -> None:
    write(path, *(event(seconds) for seconds in range(10)))
    path.rename(path.with_name("audit.jsonl.1"))
    write(path, *(event(seconds) for seconds in range(20, 23)))
    left = iter([False] * 3)  # a block, and two lines
    search = Search(path, EVERYTHING, is_enough=lambda: next(left, True))
    assert len(list(search.hits(most))) == 2
    assert search.more


@pytest.mark.parametrize("most", [0, 5])
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_file_in_which_nothing_comes_any_more_is_named_and_holds_nobody_up(
    path: Path, most: int, is_packed: bool
) -> None:
    """A terabyte that is one hole, and a few octets of gzip that unpack to newlines without end."""
    barren = path.with_name("audit.jsonl.1")
    if is_packed:
        packing, newlines = zlib.compressobj(wbits=zlib.MAX_WBITS | 16), b"\n" * (1 << 20)
        barren.write_bytes(b"".join([packing.compress(newlines) for _ in range(80)]))
    else:
        barren.touch()
        os.truncate(barren, 1 << 40)
    write(path, event(1, user_name="alice"))
    search = Search(path, Query(["alice"]))
    assert len(list(search.hits(most))) == 1
    assert search.unread == {barren: "has more than 64 MB without an event in it, and is not read on from there"}


def test_whoever_has_had_enough_is_asked_where_there_are_no_lines_too(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 26)
    asked: list[bool] = []

    def is_enough() -> bool:
        asked.append(len(asked) == 3)
        return asked[-1]

    search = Search(path, Query(), is_enough=is_enough)
    assert list(search.hits(5)) == []
    assert (asked, search.more, search.unread) == ([False, False, False, True], True, {})
