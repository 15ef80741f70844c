"""Who turns and who hangs, over real controls whose other ends are the test's; the time is the test's, too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from time import monotonic

import pytest

from radius_mfa.transports.control import Control
from radius_mfa.transports.crew import Crew, in_memory, read_memory
from radius_mfa.transports.member import Member
from radius_mfa.transports.pulse import EVERY, Pulse
from radius_mfa.transports.voice import Voice

MOST = 6  # questions without an answer: thirty seconds


class Table:
    """A worker, ready, and the background process, which begins."""

    def __init__(self, stack: ExitStack) -> None:
        self._log = in_memory("log", b"")
        stack.callback(os.close, self._log)
        crew = Crew("", 1, (), None, -1, (), (), "json")
        self.worker, self.background = self.members = [Member(crew, number) for number in range(2)]
        self._ends: dict[Member, Control] = {}
        for member in self.members:
            member.control, there = Control.pair()
            stack.callback(member.control.close)
            self._ends[member] = stack.enter_context(closing(Control(there)))
        self.worker.is_ready = True
        self.pulse = Pulse(self.members, Voice("json", self._log))

    def looks(self, times: int = 1) -> None:
        """As soon as it is due."""
        for _ in range(times):
            self.pulse.look(self.pulse.due)

    def asked(self, member: Member) -> int:
        """How often it was, since the last time."""
        for times in range(1000):
            try:
                assert self._ends[member].receive() == ({"do": "answer"}, None)
            except BlockingIOError:
                return times
        raise AssertionError("without end")

    def hung(self) -> list[tuple[str, str]]:
        records = map(json.loads, read_memory(self._log).splitlines())
        return [(record["event"], record["process"]) for record in records]


@pytest.fixture
def table() -> Iterator[Table]:
    with ExitStack() as stack:
        yield Table(stack)


def test_one_that_is_ready_is_asked_every_five_seconds(table: Table) -> None:
    assert EVERY == 5.0
    first = table.pulse.due
    assert first == pytest.approx(monotonic() + EVERY, abs=3)
    table.pulse.look(first - 0.1)
    assert table.asked(table.worker) == 0
    table.looks(3)
    assert table.asked(table.worker) == 3
    assert table.pulse.due == pytest.approx(first + 3 * EVERY)


def test_one_that_begins_may_take_its_time(table: Table) -> None:
    """It may have a store to bring up to date."""
    table.worker.is_ready = False
    table.looks(100)
    assert (table.asked(table.background), table.hung()) == (0, [])


def test_one_that_answers_at_the_last_moment_turns(table: Table) -> None:
    table.looks(MOST)
    table.worker.unanswered = 0
    table.looks(MOST)
    assert table.hung() == []


def test_one_that_never_answers_has_hung_which_is_said_once(table: Table) -> None:
    table.looks(MOST)
    assert table.hung() == []
    table.looks(20)
    assert table.hung() == [("process_hung", "worker-0")]


def test_a_machine_that_has_slept_has_nobody_killed(table: Table) -> None:
    """However long: nobody could answer meanwhile, and one question is one."""
    for _ in range(MOST):
        table.pulse.look(table.pulse.due + 3600.0)
    assert table.hung() == []


def test_one_that_was_killed_and_does_not_die_is_not_well(table: Table) -> None:
    """As in a write to a disk that is away: nobody can end it."""
    table.looks(2 * MOST)
    assert table.pulse.is_well
    table.looks()
    assert not table.pulse.is_well
    table.worker.forget()
    assert table.pulse.is_well
