"""Two workers that share the logins of a single source port, and die: no login is lost, and none counts twice."""

from __future__ import annotations

import json
import os
import pwd
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import pytest

from tests.assembly.test_privileges import OPENED
from tests.cli.support import run_process
from tests.config.support import SMALL
from tests.end_to_end.crowd import Campus, Crowd, campus
from tests.end_to_end.nas import (
    ACCEPT,
    ACCT_SESSION_ID,
    CALLING_STATION_ID,
    CHALLENGE,
    REJECT,
    STATUS_SERVER,
    RawNas,
)
from tests.end_to_end.radsec import RadSecNas, Tls
from tests.end_to_end.site import COMMA, Site
from tests.end_to_end.test_mail import code_in
from tests.end_to_end.test_metrics import fetch, fetch_until
from tests.peers.certificates import Authority
from tests.peers.server import Server

_REPLACED_WITHIN = 1.0  # seconds from the end of a process to the start of another in its place
_SERVES_WITHIN = 10.0  # seconds that it may take to begin, on a loaded machine; alone it is one


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    with campus(tmp_path_factory.mktemp("workers"), 3100) as it:
        yield it
    said = it.site.server.said()
    assert "internal_error" not in said, said
    assert "Traceback" not in said, said


@contextmanager
def server_of(place: Campus, name: str) -> Iterator[Server]:
    """One of the tests' own, with an audit file of that name."""
    with place.site.another(f"{name}.yaml", {"audit": {"file": f"{name}.jsonl"}}) as server:
        yield server


def audited(site: Site, crowd: Crowd, file: str, *, least: int = 0) -> Counter[tuple[str, str]]:
    """How often each login of the crowd has which decision, without those that were given once more.

    `least` of them are waited for: a reply may come before its line.
    """
    stations, end = {login.station for login in crowd.logins}, monotonic() + _SERVES_WITHIN
    while True:
        lines = map(json.loads, (site.folder / file).read_text().splitlines())
        found = Counter(
            (line["station"], line["decision"])
            for line in lines
            if line.get("station") in stations and line.get("detail") != "the same answer again"
        )
        if found.total() >= least or monotonic() > end:
            return found


def accepted(site: Site, crowd: Crowd) -> Counter[str]:
    """How often the store has each login of the crowd as accepted."""
    stations = {login.station for login in crowd.logins}
    with closing(sqlite3.connect(site.folder / "state.db")) as db:
        rows = db.execute("SELECT station FROM login WHERE decision = 'accept'").fetchall()
    return Counter(station for (station,) in rows if station in stations)


def all_once(crowd: Crowd) -> dict[str, int]:
    return {login.station: 1 for login in crowd.logins}


def moment(record: dict[str, Any]) -> float:
    """When a line of the log was written, in seconds."""
    return datetime.fromisoformat(record["timestamp"]).timestamp()


def replaced(server: Server, name: str, pid: int) -> float:
    """Seconds from the end of that process to the start of the one in its place, as the log says."""
    ended = server.wait_for("process_ended")
    assert (ended["process"], ended["pid"], ended["how"]) == (name, pid, "Killed")
    started = server.wait_for("process_started")
    assert started["process"] == name
    assert started["pid"] == server.processes()[name] != pid
    return moment(started) - moment(ended)


def status_for(nas: RawNas, worker: int) -> bytes:
    """Status-Server (RFC 5997) that the kernel gives to this worker, going by the Request Authenticator."""
    salt = os.urandom(3) + bytes([worker]) + os.urandom(12)
    return nas.raw([], code=STATUS_SERVER, salt=salt)


def seconds_until_answered(nas: RawNas, *workers: int) -> float:
    """By whoever reads the sockets of these workers."""
    began = monotonic()
    replies = nas.exchange_all([status_for(nas, worker) for worker in workers])
    assert {reply.code for reply in replies} == {ACCEPT}
    return monotonic() - began


@pytest.mark.parametrize(("host", "logins", "within"), [("127.0.0.1", 5000, 0.1), ("::1", 200, 0.3)])
def test_logins_of_one_port_are_shared_and_every_packet_is_answered_once_however_often_it_comes(
    place: Campus, host: str, logins: int, within: float
) -> None:
    """RFC 5080 §2.2.2: the same packet gets the same reply, octet by octet.

    The shares differ by chance, the fewer there are the more: these bounds are six times what is usual, or more.
    """
    with server_of(place, "spread") as server:
        with place.crowd(server, logins, host=host, twice=True) as crowd:
            pass
        assert (crowd.accepted, crowd.failures) == (logins, {})
        assert (crowd.unlike, crowd.strange) == (0, 0)
        sent = 3 * 2 * logins + crowd.resent
        got = fetch_until(server, "radius_mfa_requests_total", sent, client="vpn", code="access_request")
        assert audited(place.site, crowd, "spread.jsonl", least=2 * logins) == {
            (login.station, decision): 1 for login in crowd.logins for decision in ("challenge", "accept")
        }
        assert got.value("radius_mfa_decisions_total") == 2 * logins
        assert got.value("radius_mfa_processes") == 3
        children = server.processes()
        assert sorted(children) == ["background", "worker-0", "worker-1"]
        assert server.stop() == 0
        server.said()
        assert not any(map(lives, children.values()))
    shares = [record["requests"] for record in server.log if record["event"] == "ended"]
    print(f"{logins} logins at {host}: {shares} requests, {crowd.resent} sent again")
    assert sum(shares) == sent
    assert abs(shares[0] - shares[1]) <= sent * within


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("host", "logins"), [("127.0.0.1", 1200), ("::1", 300)])
def test_whichever_process_is_killed_no_login_is_lost_and_no_code_is_taken_twice(
    place: Campus, host: str, logins: int
) -> None:
    with server_of(place, "killed") as server, place.crowd(server, logins, host=host) as crowd:
        for number, name in enumerate(("worker-0", "background", "worker-1"), 1):
            crowd.ended(number * logins // 4)
            took = replaced(server, name, server.kill_process(name))
            print(f"{name} was replaced within {took * 1000:.0f} ms")
            assert took < _REPLACED_WITHIN
    print(f"{crowd.resent} packets were sent again")
    assert (crowd.accepted, crowd.failures) == (logins, {})
    # What was sent again before its reply came, and lay unread, is answered by who takes the dead one's place.
    assert crowd.unlike <= crowd.resent
    assert crowd.strange == 0
    assert accepted(place.site, crowd) == all_once(crowd)
    # A first round may be decided, and the worker die before its reply leaves; a code is taken once.
    decided = audited(place.site, crowd, "killed.jsonl")
    assert max(times for (_, decision), times in decided.items() if decision == "accept") == 1


def test_both_workers_may_die_at_once(place: Campus) -> None:
    server = place.site.server
    with place.crowd(server, 400) as crowd:
        crowd.ended(150)
        for name in ("worker-0", "worker-1"):
            server.kill_process(name)
    assert (crowd.accepted, crowd.failures) == (400, {})
    assert accepted(place.site, crowd) == all_once(crowd)


def test_while_a_worker_is_gone_another_reads_its_socket_and_its_successor_takes_over(place: Campus) -> None:
    with server_of(place, "adopted") as server, place.site.nas(server=server) as nas:
        other = server.processes()["worker-1"]
        os.kill(other, signal.SIGSTOP)
        try:
            server.kill_process("worker-0")
            server.wait_for("process_ended")  # it may have read what came at its end
            took = seconds_until_answered(nas, 0, 0, 0)
        finally:
            os.kill(other, signal.SIGCONT)
        print(f"served by its successor within {took * 1000:.0f} ms")
        assert took < _SERVES_WITHIN

        assert server.kill_process("worker-1") == other
        server.wait_for("process_ended")
        took = seconds_until_answered(nas, 1, 1, 1)
        print(f"adopted within {took * 1000:.0f} ms")
        assert took < _REPLACED_WITHIN
        assert seconds_until_answered(nas, 0, 1, 0, 1) < _SERVES_WITHIN


def test_counts_are_those_of_all_and_never_go_back(place: Campus) -> None:
    names = ("radius_mfa_requests_total", "radius_mfa_replies_total", "radius_mfa_decisions_total")
    with server_of(place, "counts") as server:
        with place.crowd(server, 200) as crowd:
            pass
        fetch_until(server, names[2], 400)
        seen = [0.0] * len(names)
        for name in ("worker-0", "background"):
            pid = server.kill_process(name)
            replaced(server, name, pid)
            with place.crowd(server, 200) as crowd:
                while len(crowd.logins) < 200:
                    seen = grown(server, names, seen)
            assert crowd.accepted == 200
        got = fetch_until(server, names[2], 3 * 400)
        assert got.value(names[1]) == 3 * 400
        assert got.value("radius_mfa_processes") == 3


def grown(server: Server, names: tuple[str, ...], before: list[float]) -> list[float]:
    """The counts now, which are no less than before."""
    try:
        fetched = fetch(server)
    except OSError:  # whoever shows them is being replaced
        return before
    values = [fetched.value(name) for name in names]
    assert all(now >= then for now, then in zip(values, before, strict=True))
    return values


# --- what workers know of each other --------------------------------------------------------------


def test_a_mail_leaves_at_once_and_once_whichever_worker_was_asked_and_after_its_sender_was_killed(
    place: Campus,
) -> None:
    site = place.site
    for kill in (False, False, True):
        user = site.with_address(site.staff())
        with site.nas() as nas:
            state = nas.ask(user.name, user.password).state
            if kill:
                site.server.kill_process("background")
            began = monotonic()
            state = nas.ask(user.name, "mail", state=state).state
            mail = site.mail_to(user)
            print(f"mailed within {(monotonic() - began) * 1000:.0f} ms")
            assert nas.ask(user.name, code_in(mail), state=state).code == ACCEPT
        assert len(site.mails_to(user)) == 1


def test_the_same_line_again_gets_the_same_answer_whichever_worker_it_meets(place: Campus) -> None:
    """One-field mode, where the reply is all there is: a NAS whose reply was lost (RFC 5080 §2.2.2)."""
    user = place.site.staff()
    session = [(CALLING_STATION_ID, b"198.51.100.7"), (ACCT_SESSION_ID, b"42")]
    with place.site.nas(COMMA) as nas:
        line = f"{user.password},{user.code()}"
        replies = {nas.ask(user.name, line, *session).code for _ in range(20)}
        assert replies == {ACCEPT}
        assert nas.ask(user.name, line, session[0], (ACCT_SESSION_ID, b"43")).code == REJECT
    assert place.site.outcomes(user.name) == ["accept accepted", "reject code_used"]
    assert fetch_more(place.site.server, "radius_mfa_handed_over_total", outcome="answered") > 0


def fetch_more(server: Server, name: str, **labels: str) -> float:
    """The number once there is one: workers tell theirs every second, and begin with 0."""
    end = monotonic() + _SERVES_WITHIN
    while monotonic() < end:
        if (number := sum(fetch(server).shown(name, **labels).values())) > 0:
            return number
    return 0.0


def wrong_passwords_asked(site: Site, at_once: int) -> int:
    """Of how many of twenty wrong passwords the directory was asked; the right one is refused after them."""
    user = site.staff()
    with site.nas() as nas:
        for first in range(0, 20, at_once):
            wrong = [nas.packet(user.name.encode(), b"wrong %d" % (first + n)) for n in range(at_once)]
            assert {reply.code for reply in nas.exchange_all(wrong)} == {REJECT}
        assert nas.ask(user.name, user.password).code == REJECT
    came_to = Counter(site.outcomes(user.name))
    assert came_to.keys() == {"reject wrong_password", "reject too_many_wrong_passwords"}
    return came_to["reject wrong_password"]


def test_wrong_passwords_one_after_the_other_are_counted_by_all_workers_together(place: Campus) -> None:
    assert wrong_passwords_asked(place.site, 1) == 5


def test_of_those_that_come_at_once_each_worker_may_ask_as_many_as_one_alone(place: Campus) -> None:
    """Whoever asks tells the others when it knows: what is asked meanwhile is not counted yet."""
    asked = wrong_passwords_asked(place.site, 20)
    print(f"of 20 wrong passwords at once the directory was asked about {asked}")
    assert 5 <= asked <= 2 * 5


def test_who_has_signed_at_one_worker_must_at_the_other_at_once(place: Campus) -> None:
    """CVE-2024-3596: `auto` serves a NAS without Message-Authenticator until it has once sent one."""
    site, user = place.site, place.site.staff()
    source = site.source()
    name, password = user.name.encode(), user.password.encode()
    with site.nas(source) as nas:
        before = [nas.packet(name, password, sign=False) for _ in range(8)]
        assert {reply.code for reply in nas.exchange_all(before)} == {CHALLENGE}
        assert nas.ask(user.name, user.password).code == CHALLENGE
        assert site.unanswered(nas, *(nas.packet(name, password, sign=False) for _ in range(20)))


def test_radsec_connections_are_shared_and_made_anew_where_a_worker_dies(place: Campus, tmp_path: Path) -> None:
    """RFC 6614: a connection is a worker's, a login is not."""
    authority = Authority(tmp_path / "ours")
    own = str(authority.certify("radius.example.org", names=["127.0.0.1"]))
    listen = {"radsec": "127.0.0.1:0", "certificate": own, "key": own, "client_ca": str(authority.ca_file)}
    clients = place.site.usual()["clients"]
    clients[0] = {"name": "vpn", "certificate": "gw.example.org"}
    tls = Tls(authority.ca_file, authority.certify("gw.example.org"))
    users = [place.site.staff() for _ in range(16)]
    with (
        place.site.another("radsec.yaml", {"listen": [listen], "clients": clients}) as server,
        ExitStack() as stack,
    ):
        where = server.addresses[0]
        connections = [stack.enter_context(RadSecNas(where, tls)) for _ in users]
        states = [nas.ask(user.name, user.password).state for nas, user in zip(connections, users, strict=True)]
        server.kill_process("worker-0")
        server.wait_for("process_ended")
        lost = [not nas.silent(0.01) for nas in connections]
        print(f"worker-0 had {sum(lost)} of {len(lost)} connections")
        assert 0 < sum(lost) < len(lost)
        for user, state, nas, gone in zip(users, states, connections, lost, strict=True):
            again = stack.enter_context(RadSecNas(where, tls)) if gone else nas
            assert again.ask(user.name, user.code(), state=state).code == ACCEPT


def test_all_processes_become_the_user_of_the_configuration() -> None:
    nobody = pwd.getpwnam("nobody")
    with TemporaryDirectory(prefix="workers-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        config = folder / "radius-mfa.yaml"
        config.touch(0o600)
        storage = f"storage: sqlite:///{folder}/state.db\nkey_file: key\nuser: nobody\nworkers: 2\n"
        config.write_text(SMALL.replace("127.0.0.1:1812", "127.0.0.1:0") + storage)
        run_process("--config", config, "keys", "init").worked()
        with Server(config, within=OPENED) as server:
            for pid in (server.pid, *server.processes().values()):
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                said = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
                assert (said["Uid"], said["Gid"]) == ([str(nobody.pw_uid)] * 4, [str(nobody.pw_gid)] * 4)
                assert {int(said[each][0], 16) for each in ("CapEff", "CapPrm", "CapInh")} == {0}
            server.kill_process("worker-0")
            pid = server.wait_for("process_started")["pid"]
            assert f"Uid:\t{nobody.pw_uid}\t" in Path(f"/proc/{pid}/status").read_text()
            assert server.stop() == 0
