"""A process of several obeys a supervisor, which is the test: the other end of a real control."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import structlog

from radius_mfa.assembly.crewed import Berth, Orders, SupervisorGoneError, another, log_as_configured, obey
from radius_mfa.assembly.reload import Prepared
from radius_mfa.assembly.rules import load
from radius_mfa.config.load import Loaded
from radius_mfa.config.snapshot import frozen
from radius_mfa.core.errors import ConfigurationError, StoreError
from radius_mfa.observe.metrics import Counts
from radius_mfa.observe.slate import Slate
from radius_mfa.transports.control import Control, Message
from radius_mfa.transports.crew import Crew, Listening, box, in_memory
from radius_mfa.transports.sockets import open_tcp, open_udp
from tests.config.support import SMALL, Folder

_PATIENCE = 20.0  # seconds
NEW = SMALL + "contact: the help desk\nlog: {format: json}\n"


@dataclass
class Doings:
    """A role that takes down what it is told; `broken`: what it fails with when it prepares."""

    told_of: list[Message] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    broken: Exception | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.go_on.set()

    async def prepare(self, loaded: Loaded) -> Prepared:
        contact = loaded.configuration.contact
        self.done.append(f"prepare {contact}")
        await self.go_on.wait()
        if self.broken is not None:
            raise self.broken

        async def abandon() -> None:
            self.done.append(f"abandon {contact}")

        return Prepared(lambda: self.done.append(f"commit {contact}"), abandon)

    def told(self, message: Message) -> None:
        self.told_of.append(message)


class Site:
    """A supervisor's end, and the place that a process has taken."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.role = Doings()
        self.control, self._there = Control.pair()
        self._closed: list[int] = []

    def loaded(self, text: str) -> Loaded:
        return load(self.folder.write(self.folder.file.name, text), {})

    def file_of(self, text: str) -> int:
        return in_memory("configuration", frozen(self.loaded(text)))

    def crew(self) -> Crew:
        udp = [sock.detach() for sock in open_udp("127.0.0.1", 0, 2)]
        boxes = [box() for _ in range(3)]
        return Crew(
            yaml=str(self.folder.file),
            workers=2,
            listeners=(Listening("udp", tuple(udp)),),
            metrics=open_tcp("127.0.0.1", 0).detach(),
            configuration=-1,
            boxes=tuple((receive.detach(), send.detach()) for receive, send in boxes),
            slates=tuple(Slate.made("slate").fileno() for _ in range(3)),
            log_format="json",
        )

    async def takes(self, number: int = 1) -> Berth:
        """The place of that number."""
        begin = {
            "do": "begin",
            "crew": self.crew().packed(),
            "number": number,
            "configuration": self.file_of(SMALL),
        }
        self.control.send(begin)
        self.berth = await Berth.taken(self._there.detach())
        return self.berth

    def tells(self, do: str, octets: bytes | None = None, **more: Any) -> None:
        fd = None if octets is None else in_memory("configuration", octets)
        self.control.send({"do": do, **more}, fd)
        if fd is not None:
            os.close(fd)

    def prepares(self, text: str = NEW, reload: int | None = 1) -> None:
        self.tells("prepare", frozen(self.loaded(text)), reload=reload)

    async def hears(self) -> Message:
        """What the process answers next."""
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.control, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self.control)
        received = self.control.receive()
        assert received is not None
        return received[0]

    def close(self) -> None:
        berth = self.berth
        for receive, send in berth.boxes:
            receive.close()
            send.close()
        for opened in berth.listeners:
            for sock in opened.sockets:
                sock.close()
        if berth.metrics is not None:
            berth.metrics.close()
        for slate in berth._slates:
            slate.close()
        asyncio.get_running_loop().remove_reader(berth.orders._control)
        berth.orders._control.close()
        self.control.close()


@asynccontextmanager
async def obeying(folder: Folder) -> AsyncIterator[tuple[Site, asyncio.Task[None]]]:
    site = Site(folder)
    before = structlog.get_config()
    berth = await site.takes()
    task = asyncio.create_task(obey(berth, site.role))
    try:
        yield site, task
    finally:
        task.cancel()
        await asyncio.wait([task])
        site.close()
        structlog.configure(**before)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def run(play: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(_PATIENCE):
            await play

    asyncio.run(in_time())


def play_obeying(folder: Folder, play: Callable[[Site, asyncio.Task[None]], Coroutine[Any, Any, None]]) -> None:
    """And nothing stays open."""

    async def whole() -> None:
        async with obeying(folder) as (site, task):
            await play(site, task)

    before = os.listdir("/proc/self/fd")
    run(whole())
    assert os.listdir("/proc/self/fd") == before


def test_whoever_is_asked_whether_it_turns_says_so_whatever_it_is_at(folder: Folder) -> None:
    async def play(site: Site, _task: asyncio.Task[None]) -> None:
        site.role.go_on.clear()
        site.prepares()
        site.tells("answer")
        assert await site.hears() == {"is": "turning"}
        site.role.go_on.set()
        assert await site.hears() == {"is": "prepared", "reload": 1}
        assert site.role.told_of == []

    play_obeying(folder, play)


# --- a place ----------------------------------------------------------------------------------------


def test_a_place_is_taken_with_all_that_belongs_to_it(folder: Folder) -> None:
    async def play() -> None:
        site = Site(folder)
        berth = await site.takes(1)
        with closing(site):
            assert (berth.number, berth.name) == (1, "worker-1")
            assert berth.started is berth.in_force
            assert berth.started.configuration == site.loaded(SMALL).configuration
            (listener,) = berth.listeners
            assert listener.kind == "udp"
            first, second = listener.sockets
            assert first.getsockname() == second.getsockname()
            assert berth.metrics is not None
            assert berth.metrics.getsockname()[0] == "127.0.0.1"
            berth.boxes[0][1].send(b"to worker-0")
            assert berth.boxes[0][0].recv(100) == b"to worker-0"

    run(play())


def test_the_one_after_the_workers_is_the_background_process(folder: Folder) -> None:
    async def play() -> None:
        site = Site(folder)
        with closing(site):
            assert (await site.takes(2)).name == "background"
            site.berth.slate.write(b"own")
            assert site.berth.slates_of_others() == [None, None]

    run(play())


def test_whoever_takes_a_place_goes_on_counting_where_the_one_before_has_left_off(folder: Folder) -> None:
    async def play() -> None:
        site = Site(folder)
        before, counts = Counts(), Counts()
        before.count("requests", 3, client="vpn", code="1")
        berth = await site.takes(1)
        with closing(site):
            berth.go_on_counting(counts)
            assert counts.total("requests") == 0
            berth.slate.write(before.export())
            berth.go_on_counting(counts)
            assert counts.total("requests") == 3
            berth.slate.write(b"of another version")
            with structlog.testing.capture_logs() as log:
                berth.go_on_counting(counts)
            assert log == [{"event": "counts_begin_anew", "log_level": "warning"}]

    run(play())


@pytest.mark.parametrize("said", [None, {"do": "stop"}])
def test_without_a_supervisor_there_is_no_place(said: Message | None) -> None:
    """The process as it is started; it says so in a line and ends."""
    control, there = Control.pair()
    if said is not None:
        control.send(said)
    control.close()
    with there:
        command = [sys.executable, "-P", "-m", "radius_mfa.cli.process", "worker-0", str(there.fileno())]
        done = subprocess.run(
            command, pass_fds=[there.fileno()], capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    assert (done.returncode, done.stderr) == (1, "radius-mfa: the supervisor has gone\n")


def test_another_descriptor_leaves_the_socket_one_that_nobody_waits_for() -> None:
    (opened,) = open_udp("127.0.0.1", 0)
    with socket(fileno=opened.detach()) as inherited, another(inherited) as adopted:
        assert adopted.getsockname() == inherited.getsockname()
        for each in (inherited, adopted):
            assert not os.get_blocking(each.fileno())
            with pytest.raises(BlockingIOError):
                each.recv(100)


def test_a_configuration_that_has_become_wrong_is_no_beginning(folder: Folder) -> None:
    async def play() -> None:
        site = Site(folder)
        before = os.listdir("/proc/self/fd")
        octets = frozen(site.loaded(SMALL)).replace(b"192.0.2.1", b"nowhere")
        crew = Crew("", 2, (), None, -1, (), (), "json")
        with closing(site.control):
            orders = Orders(Control(site._there))
            with pytest.raises(ConfigurationError, match="nowhere"):
                Berth(orders, crew, 0, in_memory("configuration", octets))
            assert os.listdir("/proc/self/fd") == before
            asyncio.get_running_loop().remove_reader(orders._control)
            orders._control.close()

    run(play())


# --- obedience --------------------------------------------------------------------------------------


def test_what_is_prepared_takes_over_when_it_is_told_to(folder: Folder) -> None:
    async def play(site: Site, _task: asyncio.Task[None]) -> None:
        site.prepares()
        assert await site.hears() == {"is": "prepared", "reload": 1}
        assert site.role.done == ["prepare the help desk"]
        assert site.berth.in_force is site.berth.started
        site.tells("commit")
        site.tells("read", reload=2)
        while not site.role.told_of:
            await asyncio.sleep(0)
        assert site.role.done == ["prepare the help desk", "commit the help desk"]
        assert site.berth.in_force.configuration.contact == "the help desk"
        assert site.berth.started.configuration.contact == ""

    play_obeying(folder, play)


def test_what_is_abandoned_changes_nothing(folder: Folder) -> None:
    async def play(site: Site, _task: asyncio.Task[None]) -> None:
        site.prepares()
        await site.hears()
        site.tells("abandon")
        site.tells("abandon")
        site.prepares(reload=2)
        assert await site.hears() == {"is": "prepared", "reload": 2}
        assert site.role.done == ["prepare the help desk", "abandon the help desk", "prepare the help desk"]
        assert site.berth.in_force is site.berth.started

    play_obeying(folder, play)


def test_what_is_prepared_gives_way_to_the_next(folder: Folder) -> None:
    async def play(site: Site, _task: asyncio.Task[None]) -> None:
        site.prepares(NEW.replace("the help desk", "one"))
        site.prepares(NEW.replace("the help desk", "two"), 2)
        assert [(await site.hears())["reload"] for _ in range(2)] == [1, 2]
        assert site.role.done == ["prepare one", "abandon one", "prepare two"]

    play_obeying(folder, play)


@pytest.mark.parametrize(
    ("broken", "problems"),
    [
        (ConfigurationError("key.pem: not found"), ["key.pem: not found"]),
        (StoreError("the store does not answer"), ["the store does not answer"]),
        (ValueError("quotes a secret"), ["ValueError"]),
    ],
)
def test_what_cannot_be_prepared_is_refused_and_the_old_goes_on(
    folder: Folder, broken: Exception, problems: list[str]
) -> None:
    async def play(site: Site, task: asyncio.Task[None]) -> None:
        site.role.broken = broken
        site.prepares()
        assert await site.hears() == {"is": "refused", "reload": 1, "problems": problems}
        site.tells("abandon")
        site.role.broken = None
        site.prepares(reload=2)
        assert await site.hears() == {"is": "prepared", "reload": 2}
        assert not task.done()

    play_obeying(folder, play)


def test_of_many_problems_the_first_hundred_are_told(folder: Folder) -> None:
    async def play(site: Site, _task: asyncio.Task[None]) -> None:
        site.role.broken = ConfigurationError(*(f"problem {number}" for number in range(1, 2001)))
        site.prepares()
        problems = (await site.hears())["problems"]
        assert problems == [*(f"problem {number}" for number in range(1, 101)), "and 1900 more"]

    play_obeying(folder, play)


@pytest.mark.parametrize("octets", [b"", b"{}", b"no configuration"])
def test_what_is_no_configuration_is_refused(folder: Folder, octets: bytes) -> None:
    async def play(site: Site, task: asyncio.Task[None]) -> None:
        site.tells("prepare", octets, reload=1)
        assert (await site.hears())["is"] == "refused"
        assert not task.done()

    play_obeying(folder, play)


def test_a_configuration_that_got_lost_on_its_way_is_refused_at_once(folder: Folder) -> None:
    """What is over the limit of open files is dropped (RLIMIT_NOFILE; unix(7), SCM_RIGHTS)."""

    async def play(site: Site, _task: asyncio.Task[None]) -> None:
        site.tells("prepare", reload=1)
        problems = ["worker-1: no configuration has come: too many open files"]
        assert await site.hears() == {"is": "refused", "reload": 1, "problems": problems}

    play_obeying(folder, play)


def test_whoever_cannot_have_what_all_others_have_ends(folder: Folder) -> None:
    """And is replaced by one that begins under it."""

    async def play(site: Site, task: asyncio.Task[None]) -> None:
        site.role.broken = ConfigurationError("key.pem: not found")
        site.prepares(reload=None)
        site.tells("commit")
        with pytest.raises(SupervisorGoneError, match="cannot be taken over"):
            await task

    play_obeying(folder, play)


@pytest.mark.parametrize("how", ["told", "gone", "SIGTERM"])
def test_it_ends_when_it_is_told_to_or_there_is_nobody_to_tell_it(folder: Folder, how: str) -> None:
    async def play(site: Site, task: asyncio.Task[None]) -> None:
        site.prepares()
        await site.hears()
        match how:
            case "told":
                site.tells("stop")
            case "gone":
                site.control.close()
            case _:
                site.berth.orders.end()
        await task
        assert site.role.done == ["prepare the help desk", "abandon the help desk"]

    play_obeying(folder, play)


def test_all_else_is_for_its_role_in_order(folder: Folder) -> None:
    async def play(site: Site, task: asyncio.Task[None]) -> None:
        told: list[Message] = [{"do": "adopt", "slot": 0}, {"do": "reopen"}, {"do": "release", "slot": 0}]
        for message in told:
            site.control.send(message)
        site.tells("stop")
        await task
        assert site.role.told_of == told

    play_obeying(folder, play)


def test_what_is_told_while_it_prepares_waits(folder: Folder) -> None:
    async def play(site: Site, task: asyncio.Task[None]) -> None:
        site.role.go_on.clear()
        site.prepares()
        site.tells("reopen")
        site.tells("stop")
        while not site.role.done:
            await asyncio.sleep(0)
        assert site.role.told_of == []
        site.role.go_on.set()
        await task
        assert site.role.done == ["prepare the help desk", "abandon the help desk"]
        assert site.role.told_of == [{"do": "reopen"}]

    play_obeying(folder, play)


def test_the_log_is_as_the_configuration_has_it_and_says_of_whom(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    async def play(site: Site, _task: asyncio.Task[None]) -> None:
        site.prepares()
        await site.hears()
        site.tells("commit")
        site.tells("reopen")
        while not site.role.told_of:
            await asyncio.sleep(0)
        structlog.get_logger().warning("now")
        assert '"process":"worker-1"' in capsys.readouterr().err
        log_as_configured(site.berth.started, "worker-7")
        structlog.get_logger().warning("now")
        assert "worker-7" in capsys.readouterr().err

    play_obeying(folder, play)


def test_another_descriptor_of_a_socket_leaves_it_as_it_is_for_all_who_have_it() -> None:
    """Or whoever reads it would wait for the next datagram, in its loop (F_SETFL, fcntl(2))."""
    (sock,) = open_udp("127.0.0.1", 0)
    with sock, socket(fileno=os.dup(sock.fileno())) as theirs, another(theirs):
        assert not os.get_blocking(sock.fileno())
