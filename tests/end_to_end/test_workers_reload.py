"""Two workers that are told something while logins are under way: to reload, to end, to begin once more."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.cli.support import run_cli, run_process
from tests.end_to_end.crowd import STOPPED, Campus, Crowd, People, campus
from tests.end_to_end.nas import ACCEPT, CLASS, RawReply
from tests.end_to_end.site import Account, Site
from tests.peers.ports import free_port
from tests.peers.server import Server

_PATIENCE = 30.0  # seconds


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    with campus(tmp_path_factory.mktemp("workers"), 1200) as it:
        yield it


@contextmanager
def server_of(place: Campus, name: str, **changes: Any) -> Iterator[Server]:
    """One of the test's own, with an audit file of that name; in the end it has never been at a loss."""
    with place.site.another(f"{name}.yaml", changed(name, **changes)) as server:
        yield server
        server.stop()
        said = server.said()
        assert "internal_error" not in said, said
        assert "Traceback" not in said, said


def changed(name: str, **changes: Any) -> dict[str, Any]:
    return {"audit": {"file": f"{name}.jsonl"}, **changes}


def policies(site: Site, said: str) -> list[dict[str, Any]]:
    """The usual ones, where the staff is said to be that."""
    first, *rest = site.usual()["policies"]
    return [{**first, "reply": {**first["reply"], "Class": said}}, *rest]


def log_in(place: Campus, server: Server, user: Account) -> RawReply:
    """A whole login of somebody who has not logged in before."""
    with place.site.nas(server=server) as nas:
        state = nas.ask(user.name, user.password).state
        return nas.ask(user.name, user.code(), state=state)


def classes(place: Campus, server: Server, logins: int = 6) -> set[bytes]:
    """What staff is said to be by whichever worker; each login has two chances to meet either."""
    return {log_in(place, server, place.site.staff()).first(CLASS) for _ in range(logins)}


@contextmanager
def ends(*pids: int) -> Iterator[None]:
    """After this block these processes have ended, whoever's children they are."""
    with ExitStack() as stack:
        poll = select.poll()
        waiting = set()
        for pid in pids:
            fd = os.pidfd_open(pid)
            stack.callback(os.close, fd)
            poll.register(fd, select.POLLIN)
            waiting.add(fd)
        yield
        while waiting:
            ended = [fd for fd, _ in poll.poll(_PATIENCE * 1000)]
            assert ended, "they go on"
            for fd in ended:
                poll.unregister(fd)
                waiting.discard(fd)


# --- SIGHUP ---------------------------------------------------------------------------------------


def test_a_reload_under_load_costs_no_login_and_all_go_by_what_is_new(place: Campus) -> None:
    with server_of(place, "good") as server:
        with place.crowd(server, 700) as crowd:
            for number in range(3):
                crowd.ended(100 + 200 * number)
                place.site.write("good.yaml", changed("good", policies=policies(place.site, f"reload {number}")))
                server.reload()
                (change,) = server.wait_for("reloaded")["changes"]
                assert change.endswith(f'→ "reload {number}"')
        assert (crowd.accepted, crowd.failures) == (700, {})
        assert crowd.unlike == 0
        assert classes(place, server) == {b"reload 2"}


def test_a_broken_file_changes_nothing_anywhere(place: Campus) -> None:
    with server_of(place, "broken") as server:
        with place.crowd(server, 300) as crowd:
            crowd.ended(50)
            (place.site.folder / "broken.yaml").write_text("listen: [")
            server.reload()
            (problem,) = server.wait_for("reload_refused")["problems"]
            assert "broken.yaml:2: not valid YAML" in problem
        assert (crowd.accepted, crowd.failures) == (300, {})
        assert classes(place, server) == {b"staff"}
        # Whoever begins now begins with what is in force, not with what stands in the file.
        server.kill_process("worker-0")
        server.wait_for("process_started")
        assert classes(place, server) == {b"staff"}


def test_where_one_worker_cannot_prepare_nobody_changes(place: Campus) -> None:
    """It may open no more files: not even the descriptor of the configuration arrives (unix(7))."""
    with server_of(place, "one") as server:
        place.site.write("one.yaml", changed("one", policies=policies(place.site, "new")))
        worker = server.processes()["worker-1"]
        before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, before[1]))
        server.reload()
        (problem,) = server.wait_for("reload_refused")["problems"]
        assert problem == "worker-1: no configuration has come: too many open files"
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        assert classes(place, server) == {b"staff"}
        server.reload()
        server.wait_for("reloaded")
        assert classes(place, server) == {b"new"}


def test_a_worker_that_dies_during_a_reload_hinders_none_after_it(place: Campus) -> None:
    """That one is refused where it was preparing, since it may have died of that (`transports/test_reloading`)."""
    with server_of(place, "dying") as server:
        worker = server.processes()["worker-0"]
        os.kill(worker, signal.SIGSTOP)  # so that it has not prepared yet
        place.site.write("dying.yaml", changed("dying", policies=policies(place.site, "new")))
        server.reload()
        server.kill_process("worker-0")
        server.wait_for("process_started")
        server.reload()
        server.wait_for("reloaded")
        assert classes(place, server) == {b"new"}


def test_after_rotation_all_write_into_the_new_audit_file(place: Campus) -> None:
    old, new = (place.site.folder / name for name in ("rotated.jsonl.1", "rotated.jsonl"))
    with server_of(place, "rotated") as server:
        with place.crowd(server, 400) as crowd:
            crowd.ended(100)
            new.rename(old)
            server.reload()
            server.wait_for("reloaded")
            written = old.stat().st_size
        assert crowd.accepted == 400
        assert old.stat().st_size == written
        lines = [json.loads(line) for file in (old, new) for line in file.read_text().splitlines()]
        rounds = Counter((line["station"], line["decision"]) for line in lines)
        assert rounds == {(each.station, said): 1 for each in crowd.logins for said in ("challenge", "accept")}


def test_commands_work_beside_the_workers_and_a_new_key_reaches_them_all(place: Campus) -> None:
    # In a store of its own: where a process was killed a rotation waits until it is forgotten.
    changes = {**place.site.own_store("beside", place.site.mail_server), "key_file": "beside.key"}
    config = place.site.write("beside.yaml", changed("beside", **changes))
    run_cli("--config", config, "keys", "init").worked()
    run_process("--config", config, "token", "import", place.site.folder / "tokens.csv").worked()
    people = People(place.site.crowd(400))
    with server_of(place, "beside", **changes) as server:
        with Crowd(server.addresses[0], people, 20_000, 2) as crowd:  # as many as the rotation takes, then no more
            crowd.ended(50)
            run_process("--config", config, "keys", "rotate").worked()
            begun = len(crowd.logins)
            listed = run_process("--config", config, "user", "list", "--json").json
            assert len(listed) >= 1200
            run_process("--config", config, "clients").worked()
            crowd.ended(begun + 50)
            crowd.stop()
        assert crowd.failures.keys() <= {STOPPED}
        server.said()
        told = {record["process"] for record in server.log if record["event"] == "keys_changed"}
        assert told == {"worker-0", "worker-1", "background"}


# --- the end --------------------------------------------------------------------------------------


def test_sigterm_answers_all_that_was_accepted(place: Campus) -> None:
    with server_of(place, "ending") as server, ends(*server.processes().values()):
        with place.crowd(server, 5000) as crowd:
            crowd.ended(200)
            assert server.stop() == 0
            crowd.stop()
        decided = Counter(
            line["station"]
            for line in map(json.loads, (place.site.folder / "ending.jsonl").read_text().splitlines())
        )
        assert decided == {each.station: each.answered for each in crowd.logins if each.answered}
        assert sum(decided.values()) > 400
        assert "drain_cut_short" not in server.said()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_login_outlives_a_restart_of_all_processes_between_its_rounds(place: Campus, how: str) -> None:
    """After the supervisor's death the others end by themselves, and the port is free."""
    users = [place.site.staff() for _ in range(20)]
    at = {"listen": [{"udp": f"127.0.0.1:{free_port()}"}]}
    with server_of(place, "first", **at) as server, ends(*server.processes().values()):
        with place.site.nas(server=server) as nas:
            states = [nas.ask(user.name, user.password).state for user in users]
        os.kill(server.pid, signal.Signals[how])
        assert server.ended() == (0 if how == "SIGTERM" else -signal.SIGKILL)
    with server_of(place, "again", **at) as server, place.site.nas(server=server) as nas:
        for user, state in zip(users, states, strict=True):
            assert nas.ask(user.name, user.code(), state=state).code == ACCEPT


def test_a_second_server_at_the_same_port_does_not_start(place: Campus) -> None:
    port = place.site.server.port
    taken = place.site.write("taken.yaml", {"listen": [{"udp": f"127.0.0.1:{port}"}]})
    ran = run_process("--config", str(taken), "serve")
    assert ran.status == 2
    line = ran.err.splitlines()[-1]
    assert line.endswith(
        f"listen[0].udp: cannot listen on 127.0.0.1 port {port}: Address already in use; "
        "stop what listens there, or choose another port"
    )
    assert classes(place, place.site.server) == {b"staff"}


def test_one_worker_is_one_process(place: Campus) -> None:
    with server_of(place, "alone", workers=1) as server:
        assert server.processes() == {}
        assert log_in(place, server, place.site.staff()).code == ACCEPT
