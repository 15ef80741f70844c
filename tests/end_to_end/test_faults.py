"""What a server depends on fails, talks rubbish, comes back: nobody is let in by it, and nobody has to restart."""

from __future__ import annotations

import os
import resource
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.end_to_end.nas import ACCEPT, ACCT_SESSION_ID, CHALLENGE, REJECT, RawNas
from tests.end_to_end.site import SLOW, USERS, VPN, Account, Site, mail_section, masked, told
from tests.end_to_end.test_floods import MeasuredServer, import_tokens, measured
from tests.end_to_end.test_mail import code_in
from tests.peers.ports import free_port
from tests.peers.slapd import Slapd

_FEW = 3  # logins while something is broken
# What the NAS waits in all: a server that gives up only at its end leaves a tenth of it to come back in.
_TIMEOUT, _RETRIES = 0.6, 8
_WINDOW = _TIMEOUT * (_RETRIES + 1)  # seconds


@pytest.fixture
def place(university: Site, tmp_path: Path) -> Place:
    return Place(university, tmp_path)


class Place:
    """Servers of a folder of their own, whose NAS waits for `_WINDOW` in all."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.store.parent.mkdir()

    @contextmanager
    def server(self, **changes: Any) -> Iterator[MeasuredServer]:
        """One whose store has the tokens of everybody."""
        usual = self.site.usual()
        usual["clients"][0].update(timeout=f"{_TIMEOUT * 1000:.0f}ms", retries=_RETRIES)
        own = {"storage": f"sqlite:///{self.store}", "audit": {"file": f"{self.folder}/audit.jsonl"}}
        config = self.site.write(f"{self.folder.name}.yaml", {**usual, **own, **changes})
        if not self.store.exists():
            import_tokens(self.site, config)
        with measured(config) as server:
            yield server

    @property
    def store(self) -> Path:
        return self.folder / "store" / "state.db"

    def outcomes(self, name: str) -> list[str]:
        return self.site.outcomes(name, f"{self.folder}/audit.jsonl")

    def logs_in(self, server: MeasuredServer, user: Account | None = None) -> None:
        user = user or self.site.staff()
        with self.site.nas(VPN, server) as nas:
            state = nas.ask(user.name, user.password).state
            assert nas.ask(user.name, user.code(), state=state).code == ACCEPT

    def are_refused(self, server: MeasuredServer, *asked: tuple[Account, str, bytes]) -> list[str]:
        """Who type that with that State, all at once, within the patience of their NAS; what they are told."""
        with self.site.nas(VPN, server) as nas:
            packets = {}
            end = monotonic() + _WINDOW
            for user, text, state in asked:
                packet = nas.packet(user.name.encode(), text.encode(), state=state)
                nas.socket.send(packet)
                packets[packet[1]] = packet
            replies = []
            while packets:
                nas.socket.settimeout(max(0.001, end - monotonic()))
                octets = nas.socket.recv(4096)
                replies.append(nas.read(octets, packets.pop(octets[1])))
        assert {reply.code for reply in replies} == {REJECT}
        return [reply.message for reply in replies]


def said(server: MeasuredServer, event: str) -> list[dict[str, Any]]:
    """Every line about it; stops the server."""
    server.said()
    return [each for each in server.log if each["event"] == event]


# --- directories ----------------------------------------------------------------------------------


class BadServer(threading.Thread):
    """Listens on a port; what it does with a connection is `serve`'s, which gets it and need not close it."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        super().__init__(daemon=True)
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port = self._listening.getsockname()[1]

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._open.append(connection)
                threading.Thread(target=self._do, args=(connection,), daemon=True).start()

    def _do(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self._serve(connection)

    def __enter__(self) -> BadServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def talks_rubbish(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\x30\x84\xff\xff\xff\xff" + os.urandom(64))


def talks_of_success(connection: socket.socket) -> None:
    """A bind response of resultCode success to whatever comes, under every number (RFC 4511 §4.2.2)."""
    while octets := connection.recv(4096):
        number = octets[4] if octets[1] < 128 else octets[8]
        connection.sendall(bytes.fromhex("300c0201") + bytes((number,)) + bytes.fromhex("61070a010004000400"))


def drips(connection: socket.socket) -> None:
    """An octet, then nothing for as long as anybody waits."""
    connection.sendall(b"\x30")
    while connection.recv(4096):
        pass


@pytest.mark.parametrize("serve", [talks_rubbish, talks_of_success, drips])
def test_where_every_directory_is_bad_everybody_is_refused_in_time_and_each_is_named_once(
    place: Place, serve: Callable[[socket.socket], None]
) -> None:
    users = [place.site.staff() for _ in range(_FEW)]
    with BadServer(serve) as first, BadServer(serve) as second:
        urls = [f"ldap://127.0.0.1:{bad.port}" for bad in (first, second)]
        ldap = place.site.usual()["directory"]["ldap"]
        with place.server() as server:  # so that the store has its tokens
            place.logs_in(server)
        with place.server(directory={"ldap": {**ldap, "servers": urls}}) as server:
            passwords = (users[0].password, "wrong", users[2].password)
            asked = [(user, password, b"") for user, password in zip(users, passwords, strict=True)]
            assert place.are_refused(server, *asked[:2]) == [told("refused")] * 2
            assert place.are_refused(server, asked[2]) == [told("refused")]  # now that both are known to be bad
            down = said(server, "directory_server_down")
    assert sorted(line["server"] for line in down) == sorted(urls)
    (line,) = [each for each in server.log if each["event"] == "directory_failed"]
    assert all(url in line["detail"] for url in urls)
    for user in users:
        assert place.outcomes(user.name) == []
    names = {masked(user.name) for user in users}
    assert [each for name in names for each in place.outcomes(name)] == ["reject directory_failed"] * _FEW


def test_when_both_directories_are_gone_and_one_is_back_logins_work_by_themselves(place: Place) -> None:
    nobody = f"ldap://127.0.0.1:{free_port()}"
    half_way = place.site.staff()
    with Slapd(users=USERS) as slapd:
        ldap = place.site.usual()["directory"]["ldap"]
        ldap |= {"bind_password": slapd.bind_password, "servers": [slapd.url, nobody]}
        with place.server(directory={"ldap": ldap}) as server, place.site.nas(VPN, server) as nas:
            place.logs_in(server)
            state = nas.ask(half_way.name, half_way.password).state
            slapd.kill()
            for _ in range(_FEW):
                place.are_refused(server, (place.site.staff(), "whatever", b""))
            assert nas.ask(half_way.name, half_way.code(), state=state).code == ACCEPT
            slapd.start()
            place.logs_in(server)
            (line,) = said(server, "directory_failed")
    assert all(url in line["detail"] for url in ldap["servers"])


# --- mail -----------------------------------------------------------------------------------------


def greets_with_rubbish(connection: socket.socket) -> None:
    connection.sendall(b"\0\xff220\r\n" + os.urandom(200) + b"\r\n")
    connection.recv(4096)


@pytest.mark.parametrize("serve", [None, greets_with_rubbish], ids=["down", "rubbish"])
def test_where_the_mail_server_is_bad_no_answer_waits_and_the_app_is_as_good_as_ever(
    place: Place, serve: Callable[[socket.socket], None] | None
) -> None:
    user, other = place.site.staff(), place.site.staff()
    with BadServer(serve or greets_with_rubbish) as bad:
        port = bad.port if serve else free_port()
        section = {**mail_section(place.site.mail_server), "smtp": f"smtp://127.0.0.1:{port}"}
        factors = {"totp": {}, "mail": section}
        with place.server(factors=factors) as server:
            place.site.with_address(user, server.config)
            with place.site.nas(VPN, server) as nas:
                state = nas.ask(user.name, user.password).state
                nas.socket.settimeout(_WINDOW / 2)
                packet = nas.packet(user.name.encode(), b"mail", state=state)
                nas.socket.send(packet)
                sent = nas.read(nas.socket.recv(4096), packet)
                assert sent.code == CHALLENGE
                postponed = server.wait_for("mail_postponed")
                place.logs_in(server, other)
                assert nas.ask(user.name, user.code(), state=sent.state).code == ACCEPT
            assert said(server, "mail_postponed") == [postponed]
    assert user.name not in postponed["line"].replace(postponed["user_id"], "")


# --- the store ------------------------------------------------------------------------------------

_HOLD = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """By another process."""
    command = [sys.executable, "-c", _HOLD, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.communicate()


def test_while_another_process_has_the_store_codes_are_refused_in_time_and_none_is_used_up(place: Place) -> None:
    users = [place.site.staff() for _ in range(_FEW)]
    with place.server() as server, place.site.nas(VPN, server) as nas:
        states = [nas.ask(user.name, user.password).state for user in users]
        with locked(place.store):
            asked = [(user, user.code(), state) for user, state in zip(users, states, strict=True)]
            assert place.are_refused(server, *asked) == [told("store_failed")] * _FEW
            assert nas.ask(users[0].name, users[0].password).code == CHALLENGE  # which only reads
        for user, state in zip(users, states, strict=True):
            assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
        (line,) = said(server, "store_failed")
    assert str(place.store) in line["detail"]
    assert all(place.outcomes(user.name)[-1] == "accept accepted" for user in users)
    assert all(place.outcomes(user.name)[1] == "reject store_failed" for user in users)


def test_a_store_that_is_moved_away_and_back_forgets_no_code(place: Place) -> None:
    """Whatever is answered meanwhile: what was accepted is never accepted again."""
    user, other = place.site.staff(), place.site.staff()
    away = place.folder / "away"
    with place.server() as server, place.site.nas(VPN, server) as nas:
        place.logs_in(server)
        states = [nas.ask(user.name, user.password, (ACCT_SESSION_ID, b"%d" % n)).state for n in range(3)]
        code = user.code()
        place.store.parent.rename(away)
        replies = [nas.ask(user.name, code, state=states[0]).code]
        away.rename(place.store.parent)
        replies.append(nas.ask(user.name, code, state=states[1]).code)
        assert replies.count(ACCEPT) == 1
        assert nas.ask(user.name, code, state=states[2]).code == CHALLENGE
        place.logs_in(server, other)
    with closing(sqlite3.connect(place.store)) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with place.server() as server, place.site.nas(VPN, server) as nas:
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, code, state=state).code == CHALLENGE


# --- descriptors ----------------------------------------------------------------------------------


@contextmanager
def no_descriptors(server: MeasuredServer) -> Iterator[None]:
    """It may have no descriptor more than it has."""
    taken = set(map(int, os.listdir(f"/proc/{server.pid}/fd")))
    first_free = next(number for number in count() if number not in taken)
    before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)


def test_without_descriptors_logins_fail_closed_and_work_again_when_there_are_some(place: Place) -> None:
    users = [place.site.with_address(place.site.staff()) for _ in range(_FEW)]
    half_way = place.site.staff()
    crowd = [place.site.staff() for _ in range(16)]  # of two, one may be done before the other is begun
    factors = {"totp": {}, "mail": mail_section(place.site.mail_server)}
    with place.server(factors=factors) as server, place.site.nas(VPN, server) as nas:
        for user in users:
            place.site.with_address(user, server.config)
        with place.site.nas(SLOW, server) as slow:
            state = slow.ask(half_way.name, half_way.password).state
            asks = slow.ask(users[0].name, users[0].password).state
            with no_descriptors(server):
                assert slow.ask(half_way.name, half_way.code(), state=state).code == ACCEPT
                assert slow.ask(users[0].name, "mail", state=asks).code == CHALLENGE
                postponed = server.wait_for("mail_postponed")
                replies = at_once(nas, crowd)
                assert set(replies) <= {CHALLENGE, REJECT}
                assert REJECT in replies
        for user in users:
            place.logs_in(server, user)
        mail = place.site.mail_to(users[0])
        assert code_in(mail)
        lines = said(server, "directory_failed")
    assert "Too many open files" in postponed["reason"]
    assert len(lines) == 1
    assert "Too many open files" in lines[0]["detail"]


def at_once(nas: RawNas, users: list[Account]) -> list[str]:
    """Passwords that are checked at once need a connection each."""
    packets = [nas.packet(user.name.encode(), user.password.encode()) for user in users]
    return [reply.code for reply in nas.exchange_all(packets)]


# --- the server -----------------------------------------------------------------------------------


def test_killed_under_load_no_login_is_lost_whose_nas_goes_on_asking(place: Place) -> None:
    """Those half way go on with their State; those under way are asked for again, and none is let in twice."""
    half_way, under_way = ([place.site.staff() for _ in range(20)] for _ in range(2))
    listen = [{"udp": f"127.0.0.1:{free_port()}"}]
    with place.server(listen=listen) as server, place.site.nas(VPN, server) as nas:
        asked = [nas.packet(user.name.encode(), user.password.encode()) for user in half_way]
        states = [reply.state for reply in nas.exchange_all(asked)]
        typed = [user.code() for user in half_way]
        waiting = [
            *(
                nas.packet(user.name.encode(), code.encode(), state=state)
                for user, code, state in zip(half_way, typed, states, strict=True)
            ),
            *(nas.packet(user.name.encode(), user.password.encode()) for user in under_way),
        ]
        for packet in waiting:
            nas.socket.send(packet)
        server.kill()
        with place.server(listen=listen) as again:
            nas.received()
            replies = nas.exchange_all(waiting)
            codes = [reply.code for reply in replies]
            assert codes == [ACCEPT] * 20 + [CHALLENGE] * 20
            for user, reply in zip(under_way, replies[20:], strict=True):
                assert nas.ask(user.name, user.code(), state=reply.state).code == ACCEPT
            for user, code in zip(half_way, typed, strict=True):
                state = nas.ask(user.name, user.password).state
                assert nas.ask(user.name, code, state=state).code == CHALLENGE
            assert again.port == server.port
