"""A line about the same thing once a minute, and so many lines in all."""

from __future__ import annotations

from radius_mfa.core.seldom import INTERVAL, Seldom


def test_the_same_thing_is_said_once_a_minute() -> None:
    seldom = Seldom(10)
    said = [seldom.may_say("flood", now) for now in (0, 1, INTERVAL - 0.1, INTERVAL, INTERVAL + 1)]
    assert said == [True, False, False, True, False]


def test_each_thing_has_its_own_minute() -> None:
    seldom = Seldom(10)
    assert [seldom.may_say(what, 0) for what in ("a", "b", "a")] == [True, True, False]


def test_beyond_the_most_nothing_new_is_said_until_there_is_room() -> None:
    seldom = Seldom(2)
    assert [seldom.may_say(what, 0) for what in "abc"] == [True, True, False]
    assert seldom.may_say("c", INTERVAL)
    assert len(seldom._said) == 1
