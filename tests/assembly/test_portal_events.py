"""The latest events of a real audit file, as the help desk is shown them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.assembly.portal_events import MOST_EVENTS, events_of, recent_events
from radius_mfa.core.acts import Act
from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import AuditFile


def write(path: Path, *events: AuditEvent) -> None:
    audit = AuditFile(path)
    for event in events:
        audit(event)
    audit.close()


def event(seconds_ago: float, outcome: Outcome | Act = Outcome.WRONG_PASSWORD, **said: Any) -> AuditEvent:
    usual = {"user_name": "Alice", "user_id": "u-alice", "username": "alice"}
    return AuditEvent(time.time() - seconds_ago, outcome, "reject", "vpn", "192.0.2.1:9", **{**usual, **said})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def of_alice(path: Path, most: int = 10, patience: float = 60) -> list[str]:
    return [each["outcome"] for each in recent_events(path, "u-alice", "alice", most, patience)]


def test_the_newest_are_first_and_are_the_users_own(path: Path) -> None:
    write(
        path,
        event(50, Outcome.UNENROLLED),
        event(40, user_name="bob", user_id="u-bob", username="bob"),
        event(30, Outcome.EAP_FAILED, user_id="", username=""),  # nobody was looked up
        event(20, Act.UNLOCKED, by="bob"),
        event(10, Outcome.CODE_WRONG, username="alice.old"),  # it is the id that stays
    )
    assert of_alice(path) == ["code_wrong", "unlocked", "eap_failed", "unenrolled"]
    assert of_alice(path, most=2) == ["code_wrong", "unlocked"]


def test_what_was_rotated_away_is_found_too(path: Path) -> None:
    write(path, event(50))
    path.rename(path.with_name("audit.jsonl.1"))
    write(path, event(5, Outcome.ACCEPTED))
    assert of_alice(path) == ["accepted", "wrong_password"]


def test_what_is_long_ago_is_left_out(path: Path) -> None:
    write(path, event(91 * 86400), event(1, Outcome.ACCEPTED))
    assert of_alice(path) == ["accepted"]


def test_there_is_an_end_to_the_patience(path: Path) -> None:
    write(path, *(event(50) for _ in range(100)))
    assert of_alice(path, most=100, patience=0) == []


def test_without_a_file_or_where_it_is_not_ours_to_read_there_is_nothing(path: Path) -> None:
    assert of_alice(path) == []
    path.mkdir()
    assert of_alice(path) == []


def test_the_portal_waits_for_it_in_a_thread(path: Path) -> None:
    write(path, *(event(50) for _ in range(MOST_EVENTS + 1)))

    async def both() -> tuple[int, int]:
        return len(await events_of(path)("u-alice", "alice")), len(await events_of(None)("u-alice", "alice"))

    assert asyncio.run(both()) == (MOST_EVENTS, 0)
