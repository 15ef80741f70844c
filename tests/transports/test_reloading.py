"""A reload of all processes or of none, told over real controls whose other ends are the test's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from radius_mfa.transports.control import Control, Message
from radius_mfa.transports.crew import Crew, in_memory, read_memory
from radius_mfa.transports.member import Member
from radius_mfa.transports.reloading import Reloading
from radius_mfa.transports.service_manager import ServiceManager
from radius_mfa.transports.voice import Voice

LONG_AFTER = float("inf")
REOPEN = {"do": "reopen"}
COMMIT, ABANDON = {"do": "commit"}, {"do": "abandon"}


class Table:
    """Two workers and the background process, all ready; `hears` is what each was told since the last time."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._log = in_memory("log", b"")
        stack.callback(os.close, self._log)
        crew = Crew("radius-mfa.yaml", 2, (), None, -1, (), (), "json")
        self.members = [Member(crew, number) for number in range(3)]
        self.first, self.second, self.reader = self.members
        self._ends: dict[Member, Control] = {}
        for member in self.members:
            self.begins(member, 0)
        self.old = self.descriptor(b"old")
        self.reloading = Reloading(self.members, Voice("json", self._log), ServiceManager(), self.old)

    def begins(self, member: Member, generation: int) -> None:
        """It is ready, under the configuration of that generation."""
        member.control, sock = Control.pair()
        self._ends[member] = self._stack.enter_context(closing(Control(sock)))
        member.is_ready, member.generation = True, generation

    def dies(self, member: Member) -> None:
        self._ends[member].close()
        member.forget()
        self.reloading.lose(member)

    def descriptor(self, octets: bytes) -> int:
        return in_memory("configuration", octets)

    def hears(self, member: Member) -> list[tuple[Message, bytes | None]]:
        """What it is told, with what is in the file that came along."""
        heard: list[tuple[Message, bytes | None]] = []
        while True:
            try:
                received = self._ends[member].receive()
            except BlockingIOError:
                return heard
            assert received is not None
            message, fd = received
            heard.append((message, None if fd is None else read_memory(fd)))
            if fd is not None:
                os.close(fd)

    def told(self, member: Member) -> list[str]:
        return [message["do"] for message, _ in self.hears(member)]

    def asks(self) -> None:
        """SIGHUP; and what everybody hears of it, before anybody answers."""
        self.reloading.ask()
        for member in self.members:
            assert self.told(member) == ["reopen", *(["read"] if member is self.reader else [])]

    def says(self, member: Member, what: str, reload: int | None = 1, fd: int | None = None, **more: Any) -> None:
        self.reloading.hear(member, {"is": what, "reload": reload, **more}, fd)

    def reads(self, octets: bytes = b"new", reload: int = 1, **said: Any) -> None:
        """The background process has read the YAML."""
        facts = {"changes": ["a: 1 → 2"], "restart": [], "policies": 3, "log_format": "json", **said}
        self.says(self.reader, "read", reload, self.descriptor(octets), **facts)

    @property
    def in_force(self) -> tuple[int, bytes]:
        generation, fd = self.reloading.configuration
        return generation, read_memory(fd)

    def log(self) -> list[dict[str, Any]]:
        """What was said since the last time."""
        records = [json.loads(line) for line in self.lines()]
        for record in records:
            del record["timestamp"]
        return records

    def lines(self) -> list[str]:
        lines = read_memory(self._log).decode().splitlines()
        os.ftruncate(self._log, 0)
        os.lseek(self._log, 0, os.SEEK_SET)
        return lines


@contextmanager
def table() -> Iterator[Table]:
    before = set(os.listdir("/proc/self/fd"))
    with ExitStack() as stack:
        it = Table(stack)
        yield it
        for member in it.members:
            member.forget()
    os.close(it.reloading.configuration[1])
    assert set(os.listdir("/proc/self/fd")) == before, "every other configuration is closed"


def refused(*problems: str) -> list[dict[str, Any]]:
    return [{"event": "reload_refused", "level": "error", "problems": [*problems]}]


def test_all_reopen_one_reads_all_prepare_and_then_all_take_over() -> None:
    with table() as it:
        it.reloading.ask()
        assert it.hears(it.first) == it.hears(it.second) == [(REOPEN, None)]
        assert it.hears(it.reader) == [(REOPEN, None), ({"do": "read", "reload": 1}, None)]

        it.reads()
        for member in it.members:
            assert it.hears(member) == [({"do": "prepare", "reload": 1}, b"new")]
        it.says(it.second, "prepared")
        it.says(it.reader, "prepared")
        assert [it.told(member) for member in it.members] == [[], [], []], "one is not prepared"
        assert it.in_force == (0, b"old")

        it.says(it.first, "prepared")
        for member in it.members:
            assert it.hears(member) == [(COMMIT, None)]
            assert member.generation == 1
        assert it.in_force == (1, b"new")
        assert it.reloading.deadline is None
        assert it.log() == [{"event": "reloaded", "level": "info", "policies": 3, "changes": ["a: 1 → 2"]}]


def test_what_cannot_change_is_said() -> None:
    with table() as it:
        it.asks()
        it.reads(restart=["listen", "workers"])
        for member in it.members:
            it.says(member, "prepared")
        needed = {"event": "restart_needed", "level": "warning", "note": "stays as it was until then"}
        assert it.log()[:2] == [{**needed, "key": "listen"}, {**needed, "key": "workers"}]


def test_the_log_takes_its_new_form_with_the_line_that_says_so() -> None:
    with table() as it:
        it.asks()
        it.reads(log_format="console")
        for member in it.members:
            it.says(member, "prepared")
        assert "[info     ] reloaded  " in it.lines()[0]


def test_what_the_reader_refuses_nobody_prepares() -> None:
    with table() as it:
        it.asks()
        it.says(it.reader, "refused", problems=["radius-mfa.yaml:3: is wrong", "and 2 more"])
        assert [it.told(member) for member in it.members] == [[], [], []]
        assert it.in_force == (0, b"old")
        assert it.reloading.deadline is None
        assert it.log() == refused("radius-mfa.yaml:3: is wrong", "and 2 more")


@pytest.mark.parametrize("prepared", [0, 1, 2])
def test_what_one_cannot_prepare_all_abandon(prepared: int) -> None:
    with table() as it:
        it.asks()
        it.reads()
        for member in it.members[:prepared]:
            it.says(member, "prepared")
        it.says(it.members[prepared], "refused", problems=["cert.pem: not found"])
        for member in it.members:
            assert it.told(member) == ["prepare", "abandon"]
        for member in it.members[prepared + 1 :]:
            it.says(member, "prepared")
        assert it.in_force == (0, b"old")
        assert it.log() == refused("cert.pem: not found")


def test_what_somebody_dies_of_while_preparing_is_taken_over_by_nobody() -> None:
    """Or a configuration that kills whoever prepares it would be in force, and kill their replacements."""
    with table() as it:
        it.asks()
        it.reads()
        it.says(it.first, "prepared")
        it.dies(it.second)
        it.says(it.reader, "prepared")
        assert it.in_force == (0, b"old")
        assert it.told(it.first) == ["prepare", "abandon"]
        assert it.log() == refused("worker-1 has ended")


def test_where_all_die_of_it_nothing_has_changed() -> None:
    with table() as it:
        it.asks()
        it.reads()
        for member in it.members:
            it.dies(member)
        assert it.in_force == (0, b"old")
        assert [line["event"] for line in it.log()] == ["reload_refused"]


def test_whoever_dies_once_it_was_prepared_is_told_nothing() -> None:
    with table() as it:
        it.asks()
        it.reads()
        it.says(it.first, "prepared")
        it.dies(it.first)
        it.begins(it.first, 0)  # its replacement, under what was in force when it began
        it.says(it.second, "prepared")
        it.says(it.reader, "prepared")
        assert it.hears(it.first) == [({"do": "prepare", "reload": None}, b"new"), (COMMIT, None)]
        assert it.first.generation == 1


def test_whoever_becomes_ready_meanwhile_catches_up() -> None:
    with table() as it:
        it.dies(it.second)
        it.reloading.ask()
        it.reads()
        it.begins(it.second, 0)
        it.reloading.catch_up(it.second)
        assert it.hears(it.second) == [], "it is under what is in force"
        it.says(it.first, "prepared")
        it.says(it.reader, "prepared")
        assert it.hears(it.second) == [({"do": "prepare", "reload": None}, b"new"), (COMMIT, None)]
        it.says(it.second, "prepared", None)
        assert it.in_force == (1, b"new")


def test_whoever_began_before_and_becomes_ready_afterwards_catches_up_once() -> None:
    with table() as it:
        it.dies(it.second)
        it.reloading.ask()
        it.reads()
        it.says(it.first, "prepared")
        it.says(it.reader, "prepared")
        it.begins(it.second, 0)
        for _ in range(2):
            it.reloading.catch_up(it.second)
        assert it.told(it.second) == ["prepare", "commit"]


def test_the_answer_of_whoever_catches_up_is_none_to_the_next_reload() -> None:
    with table() as it:
        it.dies(it.second)
        it.reloading.ask()
        it.reads()
        it.says(it.first, "prepared")
        it.says(it.reader, "prepared")
        it.begins(it.second, 0)
        it.reloading.catch_up(it.second)
        it.reloading.ask()
        it.reads(b"newest", 2)
        it.says(it.first, "prepared", 2)
        it.says(it.reader, "prepared", 2)
        it.says(it.second, "prepared", None)  # of what it catches up with
        assert it.in_force == (1, b"new")
        it.says(it.second, "prepared", 2)
        assert it.in_force == (2, b"newest")


def test_a_reader_that_dies_has_read_nothing() -> None:
    with table() as it:
        it.asks()
        it.dies(it.reader)
        assert it.log() == refused("background has ended")
        it.begins(it.reader, 0)
        it.reloading.look(0.0)
        assert it.hears(it.reader) == [], "asked once, refused once"


def test_asked_while_there_is_no_reader_it_begins_when_there_is_one() -> None:
    with table() as it:
        it.dies(it.reader)
        it.reloading.ask()
        assert it.reloading.deadline is None
        it.begins(it.reader, 0)
        it.reloading.look(0.0)
        assert it.told(it.reader) == ["read"]


def test_asked_during_a_reload_it_is_read_once_more_afterwards() -> None:
    with table() as it:
        it.asks()
        it.reloading.ask()
        it.reloading.ask()
        it.reads()
        for member in it.members:
            it.says(member, "prepared")
        assert it.told(it.reader) == ["reopen", "reopen", "prepare", "commit"]
        it.reloading.look(0.0)
        assert it.hears(it.reader) == [({"do": "read", "reload": 2}, None)]
        it.says(it.reader, "refused", 2, problems=["x"])
        it.reloading.look(0.0)
        assert it.hears(it.reader) == []


def test_whoever_says_nothing_is_waited_for_so_long() -> None:
    with table() as it:
        it.asks()
        assert it.reloading.deadline is not None
        it.reloading.look(it.reloading.deadline - 0.001)
        assert it.log() == []
        it.reloading.look(it.reloading.deadline)
        assert it.log() == refused("background: no answer")

        it.reloading.ask()
        it.reads(reload=2)
        it.says(it.reader, "prepared", 2)
        it.reloading.look(LONG_AFTER)
        assert it.log() == refused("worker-0, worker-1: no answer")
        assert it.told(it.first) == ["reopen", "prepare", "abandon"]


def test_what_comes_too_late_is_no_answer_to_the_next_reload() -> None:
    with table() as it:
        it.asks()
        it.reads()
        it.reloading.look(LONG_AFTER)
        it.log()
        it.reloading.ask()
        it.says(it.reader, "prepared", 1)
        it.says(it.first, "refused", 1, problems=["too late"])
        assert it.log() == []
        it.reads(b"newer", 2)
        it.says(it.first, "prepared", 1)
        it.says(it.second, "prepared", 2)
        it.says(it.reader, "prepared", 2)
        assert it.in_force == (0, b"old"), "the first has prepared another one"
        it.says(it.first, "prepared", 2)
        assert it.in_force == (1, b"newer")


def test_what_was_read_too_late_is_closed() -> None:
    with table() as it:
        it.asks()
        it.reloading.look(LONG_AFTER)
        it.reads()
        it.says(it.second, "read", 1, it.descriptor(b"of somebody who was not asked"))
        assert it.in_force == (0, b"old")


def test_a_configuration_that_got_lost_on_its_way_is_none() -> None:
    """What is over the limit of open files is dropped (RLIMIT_NOFILE; unix(7), SCM_RIGHTS)."""
    with table() as it:
        it.asks()
        it.says(it.reader, "read", 1, None, changes=[], restart=[], policies=1, log_format="json")
        assert it.log() == refused("no descriptor came with what was read")
        assert it.reloading.deadline is None


def test_one_reload_after_another() -> None:
    with table() as it:
        for number in range(1, 6):
            it.reloading.ask()
            it.reads(b"%d" % number, number)
            for member in it.members:
                it.says(member, "prepared", number)
            assert it.in_force == (number, b"%d" % number)
            assert all(member.generation == number for member in it.members)
