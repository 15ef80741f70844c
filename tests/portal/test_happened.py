"""What has happened to an account: the audit file, and the store for what that lacks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from radius_mfa.core.portal_store import PastLogin
from radius_mfa.portal.happened import MOST_SHOWN, happened
from tests.adapters import NOON


def time(seconds: float) -> str:
    return datetime.fromtimestamp(NOON + seconds, UTC).isoformat(timespec="milliseconds")


def login(seconds: float, name: str, round_: int = 2) -> PastLogin:
    return PastLogin(
        NOON + seconds, name, round_, "vpn", "02-00", "192.0.2.1:9", "staff", "totp", "code_wrong", "reject"
    )


def test_both_are_in_order_and_each_round_is_there_once() -> None:
    more: dict[str, Any] = {"detail": "d"}
    events: list[dict[str, Any]] = [
        {"time": time(20), "outcome": "code_wrong", "decision": "reject", "login": "ab", "round": 2, **more},
        {"time": time(10), "outcome": "challenged", "decision": "challenge", "login": "ab", "round": 1},
        {"time": time(0), "outcome": "wrong_password", "decision": "reject"},
    ]
    found = happened(events, [login(30, "cd"), login(20, "ab"), login(15, "ab", 3)])
    assert [(each.time - NOON, each.login, each.round) for each in found] == [
        (30, "cd", 2),
        (20, "ab", 2),
        (15, "ab", 3),
        (10, "ab", 1),
        (0, "", 0),
    ]
    assert found[1].detail == "d"  # the file says more
    assert (found[0].client, found[0].station, found[0].policy) == ("vpn", "02-00", "staff")


def test_what_is_shown_has_an_end() -> None:
    assert len(happened([], [login(number, f"{number}") for number in range(MOST_SHOWN + 5)])) == MOST_SHOWN


def test_that_the_desk_has_looked_is_not_shown_to_it_each_time() -> None:
    assert happened([{"time": time(0), "outcome": "looked_at", "decision": "done"}], []) == []


def test_how_it_went() -> None:
    def of(decision: str) -> tuple[bool, bool]:
        (each,) = happened([{"time": time(0), "outcome": "x", "decision": decision}], [])
        return each.went_well, each.went_wrong

    assert of("accept") == of("done") == (True, False)
    assert of("reject") == of("refused") == of("discard") == (False, True)
    assert of("challenge") == (False, False)


def test_a_field_that_is_no_text_is_none() -> None:
    event = {"time": time(0), "outcome": "x", "decision": "reject", "detail": 7, "round": "2", "by": None}
    (each,) = happened([event], [])
    assert (each.detail, each.round, each.by) == ("", 0, "")
