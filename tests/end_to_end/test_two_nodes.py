"""Two nodes at one PostgreSQL: a login begins at one and goes on at the other, whatever happens to either."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from tests.cli.support import run_cli, run_process
from tests.end_to_end.nas import ACCEPT, CALLING_STATION_ID, CHALLENGE, REJECT, RawNas, RawReply
from tests.end_to_end.site import CAMPUS, COMMA, SLOW, VPN, Account, Site
from tests.end_to_end.test_mail import code_in
from tests.peers.postgresql import Postgresql
from tests.peers.server import Server
from tests.peers.slapd import Person

PHONE, LAPTOP = b"02-00-5E-00-53-10", b"02-00-5E-00-53-11"
SHORT = "127.0.0.14"  # a client that gives up after a second and a half


@dataclass
class Nodes:
    """Servers a and b at one store; `people` nobody else has, without the names that are `taken`."""

    site: Site
    postgresql: Postgresql
    changes: dict[str, Any]
    a: Server
    b: Server
    people: Iterator[Account] = field(repr=False)
    taken: set[str] = field(default_factory=set)

    def nas(self, server: Server, source: str = VPN) -> Any:
        return self.site.nas(source, server)

    def ask(
        self,
        server: Server,
        user: Account,
        text: str,
        state: bytes = b"",
        source: str = VPN,
        station: bytes = PHONE,
    ) -> RawReply:
        with self.nas(server, source) as nas:
            reply: RawReply = nas.ask(user.name, text, (CALLING_STATION_ID, station), state=state)
            return reply

    def cli(self, *arguments: str) -> str:
        return run_cli("--config", self.a.config, *arguments).worked().out

    def rows(self, sql: str) -> list[str]:
        return self.postgresql.execute(sql, self.database)

    @property
    def database(self) -> str:
        return str(self.changes["storage"]).rpartition("/")[2].partition("?")[0]

    def outcomes(self, user: Account) -> list[str]:
        """What both nodes have in the audit file of the user."""
        return self.site.outcomes(user.name, "nodes.jsonl")

    def logins(self, user: Account) -> list[str]:
        """What the store has of the user's rounds, in order."""
        name = user.name
        return self.rows(f"SELECT outcome FROM login WHERE username = '{name}' ORDER BY time")


@contextmanager
def two_nodes(site: Site) -> Iterator[Nodes]:
    with ExitStack() as stack:
        postgresql = stack.enter_context(Postgresql())
        changes = {
            "storage": postgresql.url(postgresql.new_database()),
            "clients": [
                *site.usual()["clients"],
                {"name": "short", "address": SHORT, "secret": site.usual()["clients"][0]["secret"]}
                | {"timeout": "300ms", "retries": 4},
            ],
            # Other tests have others of the same names at the site itself.
            "audit": {"file": "nodes.jsonl"},
            "policies": [{"name": "short", "when": {"client": "short"}}, *site.usual()["policies"]],
        }
        run_cli(
            "--config", site.write("nodes.yaml", changes), "token", "import", site.folder / "tokens.csv"
        ).worked()
        a = stack.enter_context(site.another("node-a.yaml", changes))
        b = stack.enter_context(site.another("node-b.yaml", changes))
        # This store is its own: whoever logs in here logs in nowhere else.
        taken: set[str] = set()
        names = (f"{number}" for number in count(10) if f"u{number}" not in taken)
        people = (Account.of(Person(f"u{number}", f"pw{number}")) for number in names)
        yield Nodes(site, postgresql, changes, a, b, people, taken)


@pytest.fixture(scope="module")
def nodes(university: Site) -> Iterator[Nodes]:
    with two_nodes(university) as it:
        yield it


@pytest.fixture
def user(nodes: Nodes) -> Account:
    return next(nodes.people)


# --- a login that changes nodes -------------------------------------------------------------------


def test_round_one_at_one_node_and_round_two_at_the_other(nodes: Nodes, user: Account) -> None:
    state = nodes.ask(nodes.a, user, user.password).state

    assert nodes.ask(nodes.b, user, user.code(), state).code == ACCEPT
    assert nodes.logins(user) == ["accepted"]


def test_wrong_at_one_node_is_counted_at_the_other(nodes: Nodes, user: Account) -> None:
    """Five are enough for a lock here."""
    codes = user.wrong_codes()
    for server in (nodes.a, nodes.b, nodes.a, nodes.b, nodes.a):
        state = nodes.ask(server, user, user.password).state
        assert nodes.ask(server, user, next(codes), state).code in {CHALLENGE, REJECT}

    for server in (nodes.a, nodes.b):
        assert nodes.ask(server, user, user.password).code == REJECT
    assert nodes.outcomes(user)[-2:] == ["reject locked"] * 2
    nodes.cli("user", "unlock", user.name)
    assert nodes.ask(nodes.b, user, user.password).code == CHALLENGE


@pytest.mark.parametrize("answer", ["right", "wrong"])
def test_a_reply_that_was_lost_is_asked_for_again_at_the_other_node(
    nodes: Nodes, user: Account, answer: str
) -> None:
    state = nodes.ask(nodes.a, user, user.password).state
    code = user.code() if answer == "right" else user.wrong_code()
    first = nodes.ask(nodes.a, user, code, state)
    again = nodes.ask(nodes.b, user, code, state)

    assert (again.code, again.state, again.message) == (first.code, first.state, first.message)
    assert again.code == (ACCEPT if answer == "right" else CHALLENGE)
    assert nodes.rows(f"SELECT failures FROM user_counters WHERE username = '{user.name}'") == [
        "0" if answer == "right" else "1"
    ]
    assert nodes.ask(nodes.b, user, user.wrong_code() if answer == "right" else user.code(), state).code == REJECT


@pytest.mark.parametrize("answer", ["right", "wrong", "mail"])
def test_a_line_in_one_field_again_at_the_other_node_counts_and_mails_once(nodes: Nodes, answer: str) -> None:
    """RFC 5080 §2.2.2: no second failure, no second mail; and no second Access-Accept."""
    user = nodes.site.changeable()  # nobody of `people`, who may have used this code
    nodes.taken.add(user.name)
    if answer == "mail":
        nodes.site.with_address(user, nodes.a.config)
    typed = {"right": user.code(), "wrong": user.wrong_code(), "mail": "mail"}[answer]
    line = f"{user.password},{typed}"
    first = nodes.ask(nodes.a, user, line, source=COMMA)
    again = nodes.ask(nodes.b, user, line, source=COMMA)

    assert first.code == (ACCEPT if answer == "right" else REJECT)
    assert again.code == REJECT
    assert (again.message == first.message) is (answer != "right")
    failures = nodes.rows(f"SELECT failures FROM user_counters WHERE username = '{user.name}'")
    assert failures == ["1" if answer == "wrong" else "0"]
    codes = nodes.rows(f"""
        SELECT count(*) FROM mail_code m JOIN user_counters u ON u.user_id = m.user_id
        WHERE u.username = '{user.name}'""")
    assert codes == ["1" if answer == "mail" else "0"]


def test_a_code_raced_at_both_nodes_lets_one_in(nodes: Nodes, user: Account) -> None:
    """50 logins at each node, all with the same code, all at once."""
    with ExitStack() as stack:
        sent: list[tuple[RawNas, list[bytes]]] = []
        for server in (nodes.a, nodes.b):
            nas = stack.enter_context(nodes.nas(server, SLOW))
            asked = [nas.packet(user.name.encode(), user.password.encode()) for _ in range(50)]
            states = [reply.state for reply in nas.exchange_all(asked)]
            code = user.code().encode()
            sent.append((nas, [nas.packet(user.name.encode(), code, state=state) for state in states]))
        for nas, packets in sent:
            for packet in packets:
                nas.socket.send(packet)
        replies = [reply for nas, packets in sent for reply in nas.exchange_all(packets)]

    codes = Counter(reply.code for reply in replies)
    assert codes[ACCEPT] == 1
    assert nodes.logins(user).count("accepted") == 1


def test_one_state_raced_at_both_nodes_is_answered_once(nodes: Nodes, user: Account) -> None:
    state = nodes.ask(nodes.a, user, user.password, source=SLOW).state
    answers = [code for code, _ in zip(user.wrong_codes(), range(100), strict=False)]
    with ExitStack() as stack:
        sent = []
        for server, some in ((nodes.a, answers[:50]), (nodes.b, answers[50:])):
            nas = stack.enter_context(nodes.nas(server, SLOW))
            packets = [
                nas.packet(user.name.encode(), code.encode(), (CALLING_STATION_ID, PHONE), state=state)
                for code in some
            ]
            sent.append((nas, packets))
        for nas, packets in sent:
            for packet in packets:
                nas.socket.send(packet)
        replies = [reply for nas, packets in sent for reply in nas.exchange_all(packets)]

    assert Counter(reply.code for reply in replies) == {CHALLENGE: 1, REJECT: 99}
    assert nodes.rows(f"SELECT failures FROM user_counters WHERE username = '{user.name}'") == ["1"]


def test_a_mailed_code_asked_for_at_one_node_is_good_at_the_other_once(nodes: Nodes) -> None:
    user = nodes.site.changeable()  # nobody of `people`, who may have used this code
    nodes.taken.add(user.name)
    nodes.site.with_address(user, nodes.a.config)
    state = nodes.ask(nodes.a, user, user.password).state
    state = nodes.ask(nodes.a, user, "mail", state).state
    code = code_in(nodes.site.mail_to(user))

    assert nodes.ask(nodes.b, user, code, state).code == ACCEPT
    state = nodes.ask(nodes.a, user, user.password).state
    assert nodes.ask(nodes.a, user, code, state).code == CHALLENGE
    assert nodes.logins(user)[-1] == "code_used"


def test_a_device_trusted_at_one_node_is_trusted_and_revoked_at_the_other(nodes: Nodes, user: Account) -> None:
    state = nodes.ask(nodes.a, user, user.password, source=CAMPUS).state
    assert nodes.ask(nodes.a, user, f"{user.code()} trust", state, CAMPUS).code == ACCEPT
    assert nodes.ask(nodes.b, user, user.password, source=CAMPUS).code == ACCEPT

    nodes.cli("device", "revoke", user.name, "--all")
    for server in (nodes.a, nodes.b):
        assert nodes.ask(server, user, user.password, source=CAMPUS).code == CHALLENGE


def test_recovery_codes_and_a_reset_hold_at_both(nodes: Nodes, user: Account) -> None:
    code = next(line for line in nodes.cli("user", "recovery-codes", user.name).split() if line.count("-") == 2)
    state = nodes.ask(nodes.a, user, user.password).state
    assert nodes.ask(nodes.b, user, code, state).code == ACCEPT
    state = nodes.ask(nodes.b, user, user.password).state
    assert nodes.ask(nodes.a, user, code, state).code == CHALLENGE

    nodes.cli("user", "reset", user.name)
    for server in (nodes.a, nodes.b):
        assert nodes.ask(server, user, user.password, station=LAPTOP).code == REJECT


def test_who_logs_in_again_after_an_answer_at_the_other_node_is_not_given_the_spent_challenge(
    nodes: Nodes, user: Account
) -> None:
    """A node remembers its challenges for a NAS that asks again, and cannot see what others were asked."""
    first = nodes.ask(nodes.a, user, user.password)
    assert nodes.ask(nodes.a, user, user.password).state == first.state
    nodes.ask(nodes.b, user, user.wrong_code(), first.state)
    again = nodes.ask(nodes.a, user, user.password)

    assert again.state != first.state
    assert nodes.ask(nodes.b, user, user.code(), again.state).code == ACCEPT


# --- what is lost on the way ----------------------------------------------------------------------


def test_a_login_survives_the_node_it_began_at(nodes: Nodes, user: Account) -> None:
    with nodes.site.another("node-c.yaml", nodes.changes) as c:
        state = nodes.ask(c, user, user.password).state
        c.kill()

    assert nodes.ask(nodes.b, user, user.code(), state).code == ACCEPT


def test_a_decision_survives_the_node_that_made_it(nodes: Nodes, user: Account) -> None:
    with nodes.site.another("node-c.yaml", nodes.changes) as c:
        state = nodes.ask(c, user, user.password).state
        code = user.code()
        first = nodes.ask(c, user, code, state)
        c.kill()
    again = nodes.ask(nodes.b, user, code, state)

    assert (first.code, again.code) == (ACCEPT, ACCEPT)
    assert again.attributes[1:] == first.attributes[1:]
    assert nodes.logins(user) == ["accepted"]


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_logins_resume_by_themselves_when_postgresql_comes_back_and_nothing_is_accepted_twice(
    nodes: Nodes, how: str
) -> None:
    end: Callable[[], None] = nodes.postgresql.kill if how == "kill" else lambda: nodes.postgresql.stop(how)  # type: ignore[arg-type]
    with Load(nodes) as load:
        load.until(lambda: load.accepted() >= 10)
        end()
        load.until(lambda: load.refused() >= 4)
        nodes.postgresql.start()
        before = load.accepted()
        load.until(lambda: load.accepted() >= before + 10)
    assert load.broken == []

    # Nothing lost that was answered: each Access-Accept is a login in the store, and its code is used up.
    for user, code, server in load.let_in:
        assert nodes.logins(user).count("accepted") == 1, user
        other = nodes.a if server is nodes.b else nodes.b
        state = nodes.ask(other, user, user.password).state
        assert nodes.ask(other, user, code, state).code == CHALLENGE, user


class Load:
    """Users who log in at both nodes until told to stop, each once, by clients that give up soon."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._changed = threading.Condition()
        self._stopping = False
        self._refused = 0
        self.let_in: list[tuple[Account, str, Server]] = []
        self.broken: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(server,)) for server in (nodes.a, nodes.b, nodes.a, nodes.b)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join()

    def accepted(self) -> int:
        return len(self.let_in)

    def refused(self) -> int:
        return self._refused

    def until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: holds() or self.broken, timeout=60)
        assert self.broken == []

    def _run(self, server: Server) -> None:
        try:
            while not self._stopping:
                with self._changed:
                    user = next(self._nodes.people)
                self._log_in(server, user)
        except BaseException as broken:
            with self._changed:
                self.broken.append(broken)
                self._changed.notify_all()

    def _log_in(self, server: Server, user: Account) -> None:
        """Whoever is refused tries again, as people do, until it works or all is over."""
        while not self._stopping:
            reply = self._nodes.ask(server, user, user.password, source=SHORT)
            code = user.code()
            if reply.code == CHALLENGE:
                reply = self._nodes.ask(server, user, code, reply.state, SHORT)
            with self._changed:
                if reply.code == ACCEPT:
                    self.let_in.append((user, code, server))
                    self._changed.notify_all()
                    return
                self._refused += 1
                self._changed.notify_all()


def test_a_node_that_begins_while_postgresql_is_away_says_so_in_one_line(nodes: Nodes) -> None:
    config = nodes.site.write("node-c.yaml", nodes.changes)
    nodes.postgresql.stop()
    try:
        ran = run_process("--config", config, "serve")
    finally:
        nodes.postgresql.start()

    assert ran.status == 1
    errors = [line for line in ran.err.splitlines() if not line.startswith("{")]
    assert len(errors) == 1
    assert errors[0].startswith("radius-mfa: postgresql://127.0.0.1:")
    assert nodes.postgresql.password not in ran.err
