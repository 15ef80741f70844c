"""The supervisor over real processes, each of which says and does what the test has it say and do."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from resource import RLIMIT_NOFILE, prlimit
from typing import Any

import pytest

from radius_mfa import __version__
from radius_mfa.transports.crew import Crew
from radius_mfa.transports.member import Member
from tests.peers.service_manager import Manager

_PATIENCE = 20.0  # seconds
_LONG = "60"  # seconds of grace that no test waits for

SUPERVISOR = """
import sys
from radius_mfa.transports.crew import Crew, in_memory
from radius_mfa.transports.service_manager import ServiceManager
from radius_mfa.transports.supervisor import Supervisor
from radius_mfa.transports.voice import Voice
grace, every, *command = sys.argv[1:]
crew = Crew("radius-mfa.yaml", 2, (), None, in_memory("configuration", b"first"), (), (), "json")
manager = ServiceManager.found()
sys.exit(Supervisor(crew, Voice("json"), manager, command, float(grace), float(every)).run())
"""
# Says that it turns; tells the test whatever else it is told, and what descriptors it has; does what that says.
PROCESS = """
import json, os, select, signal, socket, sys
from radius_mfa.transports.control import Control
from radius_mfa.transports.crew import in_memory, read_memory
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
place, name, fd = sys.argv[1:]
control = Control(socket.socket(fileno=int(fd)))
listed = [int(each) for each in os.listdir("/proc/self/fd")]  # that of the folder itself among them
inherited = [each for each in listed if each > 2 and os.path.lexists(f"/proc/self/fd/{each}")]
test = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
test.connect(place)
test.send(json.dumps([name, os.getpid(), int(fd), inherited]).encode())
while True:
    readable = select.select([control, test], [], [])[0]
    if control in readable:
        heard = control.receive()
        if heard is None:
            sys.exit()
        message, file = heard
        if message["do"] == "answer":
            control.send({"is": "turning"})
            continue
        test.send(json.dumps([message, None if file is None else read_memory(file).decode()]).encode())
    if test in readable:
        status, message, octets = json.loads(test.recv(65536) or "[9, null, null]")
        if status is not None:
            os._exit(status)
        control.send(message, None if octets is None else in_memory("configuration", octets.encode()))
"""


@dataclass
class Process:
    """One that the supervisor has started."""

    name: str
    pid: int
    control: int
    inherited: list[int]
    sock: socket.socket
    here: list[int] = field(default_factory=list)

    def hears(self) -> tuple[dict[str, Any], str | None]:
        """What it is told next, with what is in the file that came along."""
        octets = self._next()
        assert octets, f"{self.name} has ended"
        message, file = json.loads(octets)
        return message, file

    def _next(self) -> bytes:
        """But for who is here, which is kept apart."""
        while (octets := self.sock.recv(65536)) and json.loads(octets)[0]["do"] == "here":
            self.here = json.loads(octets)[0]["workers"]
        return octets

    def told(self, *names: str) -> None:
        """Exactly this, next."""
        assert [self.hears()[0]["do"] for _ in names] == [*names]

    def told_to_end(self) -> None:
        """Exactly this, next; the background process only once all workers have ended."""
        self.told(*(("drain", "stop") if self.name == "background" else ("stop",)))

    def says(self, what: str, file: str | None = None, **more: Any) -> None:
        self._do(None, {"is": what, **more}, file)

    def is_ready(self, **facts: Any) -> None:
        self.says("ready", facts=facts)

    def ends(self, status: int = 0) -> None:
        self._do(status, None, None)

    def dies(self) -> None:
        """By SIGKILL; it is dead, perhaps not buried."""
        end = os.pidfd_open(self.pid)
        try:
            os.kill(self.pid, signal.SIGKILL)
            assert select.select([end], [], [], _PATIENCE)[0]
        finally:
            os.close(end)

    def has_ended(self) -> bool:
        """Once it has; it was told nothing more."""
        return self._next() == b""

    def _do(self, *order: object) -> None:
        self.sock.send(json.dumps(order).encode())


class Site:
    """A supervisor; processes by name, the last one of that name."""

    def __init__(self, folder: Path, grace: str, every: str, environment: dict[str, str]) -> None:
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.settimeout(_PATIENCE)
        self._listening.bind(str(folder / "test"))
        self._listening.listen()
        self.python = folder / "python"
        self.python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        self.python.chmod(0o700)
        command = [str(self.python), "-P", "-c", PROCESS, str(folder / "test")]
        self.supervisor = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, grace, every, *command],
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        self.processes: list[Process] = []
        self._unread = b""

    def begins(self) -> Process:
        """The next process that is started, and that it is told to begin."""
        sock, _ = self._listening.accept()
        sock.settimeout(_PATIENCE)
        name, pid, control, inherited = json.loads(sock.recv(65536))
        process = Process(name, pid, control, inherited, sock)
        self.processes.append(process)
        message, _ = process.hears()
        assert message["do"] == "begin"
        assert Crew.unpacked(message["crew"]).name(message["number"]) == process.name
        assert message["configuration"] in process.inherited
        return process

    def all_begin(self) -> tuple[Process, Process, Process]:
        """Two workers, who are ready, and the background process."""
        background = self.begins()
        background.is_ready(policies=3)
        first, second = sorted((self.begins(), self.begins()), key=lambda each: each.name)
        for worker in (first, second):
            worker.is_ready(listen=[["127.0.0.1", 1812]])
        self.says("ready")
        return first, second, background

    def says(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next line of the log, which is this one."""
        while b"\n" not in self._unread:
            assert self.supervisor.stderr is not None
            assert select.select([self.supervisor.stderr], [], [], _PATIENCE)[0], f"no {event}"
            octets = os.read(self.supervisor.stderr.fileno(), 65536)
            assert octets, f"it has ended without {event}"
            self._unread += octets
        line, _, self._unread = self._unread.partition(b"\n")
        record: dict[str, Any] = json.loads(line)
        said = {"event": event, **fields}
        assert {key: record.get(key) for key in said} == said
        return record

    def signals(self, number: signal.Signals) -> None:
        self.supervisor.send_signal(number)

    def replaced(self, process: Process) -> Process:
        """Its replacement, once it has been said that it has died."""
        self.says("process_ended", process=process.name, pid=process.pid, how="Killed")
        started = self.says("process_started", process=process.name)
        replacement = self.begins()
        assert (replacement.name, replacement.pid) == (process.name, started["pid"])
        return replacement

    def ended(self) -> tuple[int, str]:
        """Its exit status, and what else it has said; every process has ended as well."""
        _, rest = self.supervisor.communicate(timeout=_PATIENCE)
        return self.supervisor.returncode, (self._unread + rest).decode()

    def close(self) -> None:
        if self.supervisor.poll() is None:
            self.supervisor.kill()
            self.supervisor.wait()
        assert self.supervisor.stderr is not None
        self.supervisor.stderr.close()
        for process in self.processes:
            process.sock.close()  # whereupon it ends, if it has not
        self._listening.close()


@contextmanager
def site(
    folder: Path, grace: str = _LONG, every: str = "5", environment: dict[str, str] | None = None
) -> Iterator[Site]:
    """`every`: seconds between two looks whether its processes turn."""
    it = Site(folder, grace, every, environment or {})
    try:
        yield it
    finally:
        it.close()


def stop(it: Site, *processes: Process) -> None:
    """SIGTERM, which all obey: told to stop, next."""
    it.signals(signal.SIGTERM)
    it.says("stopping")
    for process in processes:
        process.told_to_end()
        process.ends()
    it.says("stopped")
    assert it.ended() == (0, "")


# --- the beginning --------------------------------------------------------------------------------


def test_the_background_process_begins_alone_and_once_all_are_ready_it_is_said_once(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        background = it.begins()
        assert background.name == "background"
        background.is_ready(policies=3)
        workers = [it.begins(), it.begins()]
        assert {each.name for each in workers} == {"worker-0", "worker-1"}
        for worker in workers:
            worker.is_ready(listen=[["127.0.0.1", 1812]])
        ready = it.says("ready")
        assert {key: ready[key] for key in ("listen", "policies", "workers", "level")} == {
            "listen": [["127.0.0.1", 1812]],
            "policies": 3,
            "workers": 2,
            "level": "info",
        }
        stop(it, *workers, background)


def test_a_process_inherits_what_is_its_own(tmp_path: Path) -> None:
    """Nobody else holds an end of its control, or it would never hear that the supervisor has gone."""
    with site(tmp_path) as it:
        for process in it.all_begin():
            assert len(process.inherited) == 2, "its control, the configuration"
            assert process.control in process.inherited


@pytest.mark.parametrize(("status", "expected"), [(1, 1), (2, 2), (0, 1)])
def test_where_the_background_process_cannot_begin_nobody_does(tmp_path: Path, status: int, expected: int) -> None:
    """It has said why, in one line of its own."""
    with site(tmp_path) as it:
        it.begins().ends(status)
        assert it.ended() == (expected, "")


def test_where_a_worker_cannot_begin_all_others_are_stopped(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        background = it.begins()
        background.is_ready()
        first, second = it.begins(), it.begins()
        first.is_ready()
        second.ends(2)
        for process in (first, background):
            process.told_to_end()
            process.ends()
        assert it.ended() == (2, "")


def test_one_that_is_killed_before_it_is_ready_has_failed(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        it.begins().dies()
        assert it.ended() == (1, "")


def test_stopped_before_it_is_ready_it_ends_in_peace(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        background = it.begins()
        it.signals(signal.SIGTERM)
        background.told_to_end()
        background.is_ready()  # which is too late
        background.ends()
        assert it.ended() == (0, "")


def test_where_a_process_cannot_be_started_none_after_it_is(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        background = it.begins()
        it.python.unlink()
        background.is_ready()
        it.says("process_not_started", process="worker-0", error="No such file or directory")
        background.told_to_end()
        background.ends()
        assert it.ended() == (1, "")


# --- one that dies --------------------------------------------------------------------------------


def test_whoever_is_killed_is_replaced_at_once_and_another_reads_its_sockets_meanwhile(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = it.all_begin()
        second.dies()
        assert first.hears() == ({"do": "adopt", "slot": 1}, None)
        replacement = it.replaced(second)
        replacement.is_ready()
        assert first.hears() == ({"do": "release", "slot": 1}, None)
        stop(it, first, replacement, background)


def test_the_background_process_has_no_sockets_that_anybody_could_read(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = it.all_begin()
        background.dies()
        replacement = it.replaced(background)
        replacement.is_ready()
        stop(it, first, second, replacement)


def test_how_it_ended_is_said(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, *_ = it.all_begin()
        first.ends(3)
        assert it.says("process_ended", how="exit status 3")["level"] == "error"
        it.says("process_started", process="worker-0")


def test_where_all_workers_die_the_first_that_is_back_reads_for_the_others(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = it.all_begin()
        os.kill(it.supervisor.pid, signal.SIGSTOP)
        first.dies()
        second.dies()
        os.kill(it.supervisor.pid, signal.SIGCONT)
        for name in ("worker-0", "worker-1"):
            it.says("process_ended", process=name)
        for name in ("worker-0", "worker-1"):
            it.says("process_started", process=name)
        first, second = sorted((it.begins(), it.begins()), key=lambda each: each.name)
        second.is_ready()
        assert second.hears() == ({"do": "adopt", "slot": 0}, None)
        first.is_ready()
        assert second.hears() == ({"do": "release", "slot": 0}, None)
        stop(it, first, second, background)


def test_whoever_had_read_for_another_and_is_back_itself_reads_for_it_again(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, _ = it.all_begin()
        second.dies()
        first.told("adopt")
        dead = it.replaced(second)
        first.dies()
        again = it.replaced(first)
        again.is_ready()
        assert again.hears() == ({"do": "adopt", "slot": 1}, None)
        dead.is_ready()
        assert again.hears() == ({"do": "release", "slot": 1}, None)


def test_whoever_dies_again_and_again_waits_longer_each_time_up_to_half_a_minute() -> None:
    member, now, waited = Member(Crew("", 2, (), None, -1, (), (), "json"), 0), 1000.0, []
    for _ in range(9):
        member.started = now
        member.rest(now + 1)
        assert member.due is not None
        waited.append(member.due - now - 1)
        now = member.due
    assert waited == [0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 30.0, 30.0]


@pytest.mark.parametrize(("lived", "expected"), [(59.9, 5.0), (60.0, 0.0)])
def test_whoever_has_lived_for_a_minute_has_not_failed_again(lived: float, expected: float) -> None:
    member = Member(Crew("", 2, (), None, -1, (), (), "json"), 0)
    member.failures, member.started = 4, 1000.0
    member.rest(1000.0 + lived)
    assert member.due == pytest.approx(1000.0 + lived + expected)


def test_a_process_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = it.all_begin()
        away = it.python.rename(tmp_path / "away")
        second.dies()
        first.told("adopt")
        it.says("process_ended", process="worker-1")
        it.says("process_not_started", process="worker-1", error="No such file or directory")
        away.rename(it.python)
        it.says("process_started", process="worker-1")
        replacement = it.begins()
        replacement.is_ready()
        first.told("release")
        stop(it, first, replacement, background)


def test_without_a_descriptor_left_it_waits_as_long_as_after_any_failure(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        _, second, _ = it.all_begin()
        limits = prlimit(it.supervisor.pid, RLIMIT_NOFILE)
        prlimit(it.supervisor.pid, RLIMIT_NOFILE, (3, limits[1]))
        second.dies()
        it.says("process_ended", process="worker-1")
        it.says("process_not_started", process="worker-1", error="Too many open files")
        prlimit(it.supervisor.pid, RLIMIT_NOFILE, limits)
        it.says("process_started", process="worker-1")
        it.begins()


# --- one that hangs -------------------------------------------------------------------------------


def test_whoever_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    with site(tmp_path, every="0.25") as it:
        first, second, background = it.all_begin()
        os.kill(second.pid, signal.SIGSTOP)
        it.says("process_hung", process="worker-1", pid=second.pid)
        first.told("adopt")
        replacement = it.replaced(second)
        replacement.is_ready()
        first.told("release")

        os.kill(background.pid, signal.SIGSTOP)
        it.says("process_hung", process="background", pid=background.pid)
        other = it.replaced(background)
        other.is_ready()
        stop(it, first, replacement, other)


# --- a service manager ----------------------------------------------------------------------------


def test_a_service_manager_is_told_by_the_supervisor_alone(tmp_path: Path) -> None:
    with Manager(tmp_path, watchdog=0.2) as manager, site(tmp_path, environment=manager.environment) as it:
        first, second, background = processes = it.all_begin()
        known = f"{__version__}: listen 127.0.0.1:1812, policies"
        assert manager.hears() == {"READY": "1", "STATUS": f"{known} 3, workers 2"}
        for process in processes:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            assert b"NOTIFY_SOCKET" not in environment
            assert b"WATCHDOG_USEC" not in environment
        for _ in range(3):
            manager.hears_of_life()

        read(it, background, first, second)
        assert manager.hears()["RELOADING"] == "1"
        for process in processes:
            process.says("prepared", reload=1)
        it.says("restart_needed")
        it.says("reloaded")
        assert manager.hears() == {"READY": "1", "STATUS": f"{known} 4, workers 2"}

        for process in processes:
            process.told("commit")
        it.signals(signal.SIGHUP)
        background.told("reopen", "read")
        assert manager.hears()["RELOADING"] == "1"
        background.says("refused", reload=2, problems=["radius-mfa.yaml:3: is wrong"])
        it.says("reload_refused")
        refused = manager.hears()
        assert refused["READY"] == "1"
        assert refused["STATUS"].endswith("workers 2; reload refused: radius-mfa.yaml:3; the log says why")

        for process in (first, second):
            process.told("reopen")
        stop(it, *processes)
        assert manager.hears()["STOPPING"] == "1"


# --- the end --------------------------------------------------------------------------------------


def test_told_to_end_it_has_all_end_and_waits_for_the_last(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = it.all_begin()
        it.signals(signal.SIGTERM)
        it.says("stopping")
        first.told("stop")
        second.told("stop")
        background.told("drain")  # and is asked meanwhile whether we are ready
        first.ends()
        assert first.has_ended()
        assert it.supervisor.poll() is None
        it.signals(signal.SIGTERM)
        it.signals(signal.SIGHUP)
        second.ends()
        background.told("stop")
        background.ends(1)
        it.says("stopped")
        assert it.ended() == (0, "")


def test_whoever_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    with site(tmp_path, grace="0.1") as it:
        processes = it.all_begin()
        it.signals(signal.SIGTERM)
        it.says("stopping")
        for process in processes:
            process.told("drain" if process.name == "background" else "stop")
            assert process.has_ended()
        it.says("stopped")
        assert it.ended() == (0, "")


def test_told_to_end_during_a_reload_it_reloads_no_more(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        processes = it.all_begin()
        read(it, *reversed(processes))
        it.signals(signal.SIGHUP)
        for process in processes:
            process.told("reopen")
        it.signals(signal.SIGTERM)
        it.says("stopping")
        for process in processes:
            process.told_to_end()
            process.says("prepared", reload=1)
            process.ends()
        it.says("stopped")
        assert it.ended() == (0, "")


def test_a_process_that_dies_at_the_end_is_not_replaced(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        processes = it.all_begin()
        it.signals(signal.SIGTERM)
        it.says("stopping")
        for process in processes:
            process.dies()
        it.says("stopped")
        assert it.ended() == (0, "")


def test_ctrl_c_reaches_the_whole_group_and_ends_it_once(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        processes = it.all_begin()
        for _ in range(2):
            os.killpg(it.supervisor.pid, signal.SIGINT)
        it.says("stopping")
        for process in processes:
            process.told_to_end()
            process.ends()
            assert process.has_ended()
        it.says("stopped")
        assert it.ended() == (0, "")


def test_where_the_supervisor_is_killed_all_hear_that_it_has_gone(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        processes = it.all_begin()
        it.supervisor.kill()
        for process in processes:
            assert process.has_ended()
        assert it.ended() == (-signal.SIGKILL, "")


# --- reloads --------------------------------------------------------------------------------------


def read(it: Site, background: Process, *others: Process, reload: int = 1, configuration: str = "new") -> None:
    """SIGHUP; the background process reads, and all prepare."""
    it.signals(signal.SIGHUP)
    background.told("reopen")
    assert background.hears() == ({"do": "read", "reload": reload}, None)
    for process in others:
        process.told("reopen")
    facts = {"changes": ["a: 1 → 2"], "restart": ["workers"], "policies": 4, "log_format": "json"}
    background.says("read", configuration, reload=reload, **facts)
    for process in (background, *others):
        assert process.hears() == ({"do": "prepare", "reload": reload}, configuration)


def test_a_reload_takes_over_once_the_last_has_prepared(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        processes = it.all_begin()
        read(it, *reversed(processes))
        for process in processes:
            process.says("prepared", reload=1)
        for process in processes:
            process.told("commit")
        it.says("restart_needed", key="workers")
        it.says("reloaded", policies=4, changes=["a: 1 → 2"])
        stop(it, *processes)


def test_what_the_reader_refuses_is_said_and_the_next_reload_is_another(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = processes = it.all_begin()
        it.signals(signal.SIGHUP)
        background.told("reopen", "read")
        background.says("refused", reload=1, problems=["radius-mfa.yaml:3: is wrong"])
        it.says("reload_refused", problems=["radius-mfa.yaml:3: is wrong"])
        first.told("reopen")
        second.told("reopen")
        read(it, background, first, second, reload=2)
        stop(it, *processes)


def test_what_one_worker_refuses_all_abandon(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        processes = it.all_begin()
        read(it, *reversed(processes))
        processes[0].says("prepared", reload=1)
        processes[1].says("refused", reload=1, problems=["key.pem: not found"])
        it.says("reload_refused", problems=["key.pem: not found"])
        for process in processes:
            process.told("abandon")
        stop(it, *processes)


def test_what_somebody_dies_of_while_preparing_is_abandoned_by_all(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = it.all_begin()
        read(it, background, first, second)
        second.dies()
        it.says("process_ended", process="worker-1")
        it.says("reload_refused", problems=["worker-1 has ended"])
        it.says("process_started", process="worker-1")
        first.told("abandon", "adopt")
        background.told("abandon")
        replacement = it.begins()
        replacement.is_ready()
        first.told("release")
        stop(it, first, replacement, background)


def test_whoever_becomes_ready_while_others_prepare_takes_over_with_them(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = it.all_begin()
        second.dies()
        replacement = it.replaced(second)
        first.told("adopt")
        read(it, background, first)
        replacement.told("reopen")
        replacement.is_ready()
        first.told("release")
        first.says("prepared", reload=1)
        background.says("prepared", reload=1)
        assert replacement.hears() == ({"do": "prepare", "reload": None}, "new")
        for process in (replacement, first, background):
            process.told("commit")
        it.says("restart_needed")
        it.says("reloaded")
        stop(it, first, replacement, background)


def test_whoever_is_started_after_a_reload_begins_under_it(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = processes = it.all_begin()
        read(it, background, first, second)
        for process in processes:
            process.says("prepared", reload=1)
        it.says("restart_needed")
        it.says("reloaded")
        second.told("commit")
        second.dies()
        replacement = it.replaced(second)  # and told to begin with a descriptor that it has inherited
        replacement.is_ready()
        first.told("commit", "adopt", "release")
        background.told("commit")
        stop(it, first, replacement, background)


def test_where_the_background_process_dies_while_it_reads_nothing_changes(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = it.all_begin()
        it.signals(signal.SIGHUP)
        background.told("reopen", "read")
        background.dies()
        it.says("process_ended", process="background")
        it.says("reload_refused", problems=["background has ended"])
        it.says("process_started", process="background")
        replacement = it.begins()
        replacement.is_ready()
        for process in (first, second):
            process.told("reopen")
        stop(it, first, second, replacement)


def test_asked_twice_while_it_reloads_it_reloads_once_more(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        first, second, background = processes = it.all_begin()
        it.signals(signal.SIGHUP)
        background.told("reopen", "read")
        for _ in range(2):
            it.signals(signal.SIGHUP)
            background.told("reopen")
        background.says("refused", reload=1, problems=["radius-mfa.yaml: cannot be read"])
        it.says("reload_refused")
        assert background.hears() == ({"do": "read", "reload": 2}, None)
        background.says("refused", reload=2, problems=["radius-mfa.yaml: cannot be read"])
        it.says("reload_refused")
        for process in (first, second):
            process.told("reopen", "reopen", "reopen")
        stop(it, *processes)


def test_asked_before_all_are_ready_it_waits_for_whoever_reads(tmp_path: Path) -> None:
    with site(tmp_path) as it:
        background = it.begins()
        it.signals(signal.SIGHUP)
        background.told("reopen")
        background.is_ready()
        background.told("read")
        assert {it.begins().name, it.begins().name} == {"worker-0", "worker-1"}
