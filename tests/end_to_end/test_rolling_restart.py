"""Nodes at one PostgreSQL are replaced one by one, as a cluster does it, while people log in: nobody notices."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from time import monotonic
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.cli.support import run_cli
from tests.end_to_end.balancer import Balancer
from tests.end_to_end.nas import RawNas
from tests.end_to_end.site import SECRET, VPN, Account, Site
from tests.end_to_end.test_mail import code_in
from tests.peers.postgresql import Postgresql, shared
from tests.peers.server import Server
from tests.peers.slapd import Person

GATEWAYS, MAILED = 6, 10
_BETWEEN = 0.03  # seconds from a login to the next one at a gateway
_PATIENCE = 60.0

LogIn = Callable[[RawNas], str]
"""A whole login over a gateway's one socket; the code of the last reply."""


def test_a_rolling_restart_loses_no_login(university: Site, tmp_path: Path) -> None:
    postgresql = shared()
    database = postgresql.new_database()
    changes = settings(university, postgresql.url(database), tmp_path)
    config = university.write("rolled.yaml", changes)
    run_cli("--config", config, "token", "import", university.folder / "tokens.csv").worked()
    mailed = [university.with_address(university.changeable(), config) for _ in range(MAILED)]

    with ExitStack() as stack:
        nodes = [stack.enter_context(university.another("rolled.yaml", changes)) for _ in range(2)]
        balancer = stack.enter_context(Balancer())
        for node in nodes:
            balancer.add(node.addresses[0])
        crowd = People(balancer, university, mailed)
        with crowd:
            crowd.until_more_are_in()
            for old in nodes:
                new = stack.enter_context(university.another("rolled.yaml", changes))
                until_ready(new)
                balancer.add(new.addresses[0])
                crowd.until_more_are_in()
                balancer.remove(old.addresses[0])
                crowd.until_more_are_in()  # preStop: it would answer whoever does not know yet
                assert old.stop() == 0
                assert "drain_cut_short" not in old.said()
            crowd.until_more_are_in()
            crowd.until(crowd.have_all_mailed)
            assert any(balancer.flows().values())  # which of the new ones a flow leads to is left to chance

    assert Counter(crowd.results) == {"Access-Accept": len(crowd.results)}
    assert len(crowd.results) >= 4 * GATEWAYS
    assert logins(postgresql, database) == [f"accepted|{len(crowd.results)}|{len(crowd.results)}"]
    assert [len(university.mails_to(user)) for user in mailed] == [1] * MAILED


def settings(site: Site, storage: str, folder: Path) -> dict[str, object]:
    """As pods have it: the key in a Secret, which is a link to where it is now; health beside the metrics."""
    current = folder / "..2026"
    current.mkdir()
    (current / "key").write_bytes((site.folder / "key").read_bytes())
    (current / "key").chmod(0o440)
    (folder / "..data").symlink_to(current.name)
    (folder / "key").symlink_to("..data/key")
    return {
        "storage": storage,
        "key_file": str(folder / "key"),
        "audit": {},
        "metrics": {"listen": "127.0.0.1:0"},
        # What `RawNas` does.
        "clients": [{"name": "vpn", "address": VPN, "secret": SECRET, "timeout": "3s", "retries": 3}],
        "policies": [{"name": "everybody", "when": {"client": "vpn"}}],
    }


def until_ready(node: Server) -> None:
    """Ask until it is to be sent packets: one whose first look at its store took too long is not, for a moment."""
    (ready,) = (record for record in node.log if record["event"] == "ready")
    host, port = ready["metrics"]
    end = monotonic() + _PATIENCE
    while monotonic() < end:
        with suppress(HTTPError), urlopen(f"http://{host}:{port}/readyz", timeout=_PATIENCE):
            return
    raise AssertionError("it never was ready")


def logins(postgresql: Postgresql, database: str) -> list[str]:
    """How the store has them end: each outcome, how often, of how many users."""
    sql = "SELECT outcome, count(*), count(DISTINCT user_id) FROM login"
    return postgresql.execute(f"{sql} WHERE outcome <> 'mail_sent' GROUP BY outcome", database)


class People:
    """They log in by some gateways, each from a port of its own, until the end; nobody twice.

    `results`: what each login ended with.
    """

    def __init__(self, balancer: Balancer, site: Site, mailed: list[Account]) -> None:
        self.results: list[str] = []
        self._balancer = balancer
        self._site = site
        self._by_app = (Account.of(Person(f"u{number}", f"pw{number}")) for number in count(10))
        self._by_mail = iter(mailed)
        self._waiting = len(mailed)
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._broken: list[BaseException] = []
        ways = (self._logins_by_app if at else self._logins_by_mail for at in range(GATEWAYS))
        self._threads = [threading.Thread(target=self._run, args=(way(),)) for way in ways]

    def __enter__(self) -> People:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(_PATIENCE)
        assert self._broken == []

    def until_more_are_in(self) -> None:
        """Wait for so many logins to end that some have begun after this."""
        enough = len(self.results) + 3 * GATEWAYS
        self.until(lambda: len(self.results) >= enough)

    def until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: holds() or self._broken, _PATIENCE)
        assert self._broken == []

    def have_all_mailed(self) -> bool:
        """Whether everybody who is to be mailed is in."""
        return self._waiting == 0

    # --- in a thread for each gateway ---------------------------------------------------------------

    def _run(self, logins: Iterator[LogIn]) -> None:
        try:
            nas = RawNas(self._balancer.address, SECRET.encode(), VPN)
            with nas.socket:
                while not self._ending.wait(_BETWEEN) and (log_in := self._next(logins)):
                    result = log_in(nas)
                    with self._changed:
                        self.results.append(result)
                        self._changed.notify_all()
        except BaseException as broken:
            with self._changed:
                self._broken.append(broken)
                self._changed.notify_all()

    def _next(self, logins: Iterator[LogIn]) -> LogIn | None:
        with self._changed:
            return next(logins, None)

    def _logins_by_app(self) -> Iterator[LogIn]:
        while True:
            user = next(self._by_app)
            yield lambda nas, user=user: self._by_code(nas, user)  # type: ignore[misc]

    def _by_code(self, nas: RawNas, user: Account) -> str:
        state = nas.ask(user.name, user.password).state
        return nas.ask(user.name, user.code(), state=state).code

    def _logins_by_mail(self) -> Iterator[LogIn]:
        for user in self._by_mail:
            yield lambda nas, user=user: self._by_mailed_code(nas, user)  # type: ignore[misc]

    def _by_mailed_code(self, nas: RawNas, user: Account) -> str:
        state = nas.ask(user.name, user.password).state
        state = nas.ask(user.name, "mail", state=state).state
        code = code_in(self._site.mail_to(user))
        self._waiting -= 1
        return nas.ask(user.name, code, state=state).code
