"""The logins of the store among the events of the files: each once, in order, and marked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.core.messages import AuditEvent
from radius_mfa.observe.audit import AuditFile
from radius_mfa.observe.audit_search import Query, Search
from radius_mfa.observe.audit_stored import with_stored
from tests.adapters import NOON
from tests.observe.test_audit import EVENT

USER = Query(["u-1"])


def login(number: int, seconds: float) -> AuditEvent:
    return replace(EVENT, time=NOON + seconds, login=f"{number:032x}", user_id="u-1", user_name="typed")


def row(event: AuditEvent) -> AuditEvent:
    """What the store has of it."""
    return replace(event, user_name="", duration=0.0)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0.001, 5, 90]), st.sampled_from(["file", "store", "both"])), max_size=9
    ),
    st.integers(0, 5),
)
def test_an_event_is_told_once_wherever_it_is_kept(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[float, str]], most: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "stored.jsonl"
    path.unlink(missing_ok=True)
    audit, rows, expected, now = AuditFile(path), [], [], 0.0
    for number, (step, kept) in enumerate(history):
        now += step
        event = login(number, now)
        if kept != "store":
            audit(event)
        if kept != "file":
            rows.append(row(event))
        expected.append((event.login, "store" if kept == "store" else None))
    audit.close()
    search = Search(path, USER)
    found = [(hit.event["login"], hit.event.get("origin")) for hit in with_stored(search, rows[::-1], most)]
    times = [hit.time for hit in with_stored(Search(path, USER), rows, most)]
    assert times == sorted(times)
    if all(step for step, _ in history):  # else what has one time may change places
        assert found == (expected[-most:] if most else expected)
    assert len(found) == min(len(expected), most or len(expected))
    assert search.more is bool(most and len(expected) > most)


def test_of_the_store_too_only_what_is_asked_for_is_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    AuditFile(path).close()
    rows = [row(login(1, 0)), row(replace(login(2, 1), client="wifi"))]
    found = [*with_stored(Search(path, Query(["u-1"], clients=["wifi"])), rows, 0)]
    assert [(hit.event["client"], hit.event["login"][-1]) for hit in found] == [("wifi", "2")]
