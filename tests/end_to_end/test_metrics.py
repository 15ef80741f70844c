"""The metrics, fetched over HTTP from a running server as Prometheus does."""

from __future__ import annotations

import csv
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest
from prometheus_client.parser import text_string_to_metric_families

from radius_mfa.core.outcomes import Outcome
from tests.cli.support import run_cli, run_process
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, STATUS_SERVER
from tests.end_to_end.site import UNKNOWN, Account, Site
from tests.peers.server import Server

_PATIENCE = 20.0  # seconds
METRICS = {"metrics": {"listen": "127.0.0.1:0"}}


class Fetched:
    """What the server said of itself at one time."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self.samples = [each for family in families for each in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of those samples that have these labels; an error if there are none."""
        wanted = labels.items()
        values = [each.value for each in self.samples if each.name == name and wanted <= each.labels.items()]
        assert values, (name, labels)
        return sum(values)

    def shown(self, name: str, **labels: str) -> dict[str, float]:
        """The same by the labels that were not asked for."""
        found = [each for each in self.samples if each.name == name and labels.items() <= each.labels.items()]
        rest = [{key: each.labels[key] for key in sorted(each.labels) if key not in labels} for each in found]
        return {" ".join(some.values()): each.value for some, each in zip(rest, found, strict=True)}


def address_of(server: Server) -> tuple[str, int]:
    host, port = next(record["metrics"] for record in server.log if record["event"] == "ready")
    return host, port


def fetch(server: Server) -> Fetched:
    host, port = address_of(server)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
    with urllib.request.urlopen(url, timeout=_PATIENCE) as reply:
        return Fetched(reply.read().decode())


def fetch_until(server: Server, name: str, value: float, **labels: str) -> Fetched:
    """What is fetched once that is so: mails leave beside the logins, and a place is free a little later."""
    end = monotonic() + _PATIENCE
    while monotonic() < end:
        with suppress(ConnectionError):
            fetched = fetch(server)
            if fetched.value(name, **labels) == value:
                return fetched
    raise AssertionError((name, labels, value))


@contextmanager
def alone(university: Site, name: str, *accounts: Account) -> Iterator[Server]:
    """A server with a store of its own, whose mails no other server sends."""
    changes = {**university.own_store(name, university.mail_server), **METRICS, "audit": {"file": f"{name}.jsonl"}}
    config = university.write(f"{name}.yaml", changes)
    tokens = university.folder / f"{name}.csv"
    with tokens.open("w", newline="") as file:
        csv.writer(file).writerows([("username", "secret"), *((each.name, each.base32) for each in accounts)])
    run_cli("--config", config, "token", "import", tokens).worked()
    for account in accounts:
        university.with_address(account, config)
    with Server(config) as server:
        yield server


def test_what_logins_came_to_can_be_fetched(university: Site) -> None:
    right, wrong, mailed = university.staff(), university.staff(), university.staff()
    with alone(university, "counted", right, wrong, mailed) as server, university.nas(server=server) as nas:
        state = nas.ask(right.name, right.password).state
        assert nas.ask(right.name, right.code(), state=state).code == ACCEPT
        state = nas.ask(wrong.name, wrong.password).state
        assert nas.ask(wrong.name, wrong.wrong_code(), state=state).code == CHALLENGE
        assert nas.ask(right.name, "not the password").code == REJECT
        state = nas.ask(mailed.name, mailed.password).state
        assert nas.ask(mailed.name, "mail", state=state).code == CHALLENGE
        unsigned = nas.packet(right.name.encode(), right.password.encode(), sign=False)
        with university.nas(UNKNOWN, server) as stranger:
            assert university.unanswered(stranger, stranger.raw([]), server=server)
        assert university.unanswered(nas, unsigned, server=server)
        again = nas.raw([], code=STATUS_SERVER)
        assert nas.exchange(again).code == ACCEPT
        got = fetch_until(server, "radius_mfa_mails_total", 1, outcome="delivered")

        assert got.value("radius_mfa_requests_total", client="vpn", code="access_request") == 7
        assert got.value("radius_mfa_requests_total", client="vpn", code="status_server") == 1
        decisions = got.shown("radius_mfa_decisions_total", client="vpn")
        assert {key: value for key, value in decisions.items() if value} == {
            "accept totp accepted": 1,
            "challenge  challenged": 3,
            "challenge totp code_wrong": 1,
            "challenge  mail_sent": 1,
            "reject  wrong_password": 1,
        }
        assert got.shown("radius_mfa_replies_total", client="vpn") == {
            "access_accept": 2,  # one is to Status-Server
            "access_challenge": 5,
            "access_reject": 1,
        }
        discarded = got.shown("radius_mfa_discarded_total")
        assert {key: value for key, value in discarded.items() if value} == {
            " unknown_source": 1,
            "vpn message_authenticator_required": 1,
        }
        assert got.value("radius_mfa_decision_seconds_count", client="vpn") == 7
        assert 0 < got.value("radius_mfa_decision_seconds_sum", client="vpn") < 7 * _PATIENCE
        assert got.value("radius_mfa_step_seconds_count", step="directory_password") == 4
        assert got.shown("radius_mfa_up") == {"directory": 1, "mail": 1, "store": 1}
        assert got.shown("radius_mfa_directory_server_up") == {university.slapd.url: 1}
        assert got.value("radius_mfa_in_flight") == got.value("radius_mfa_held") == 0
        assert got.value("process_resident_memory_bytes") > 1e7
        assert got.value("process_open_fds") > 5


def test_no_label_has_a_user_or_a_source_in_it(university: Site) -> None:
    user = university.staff()
    with alone(university, "masked", user) as server, university.nas(server=server) as nas:
        nas.ask(user.name, "not the password")
        nas.ask("nobody-there", "some password")
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
        values = {value for each in fetch(server).samples for value in each.labels.values()}
    for text in (user.name, "nobody-there", user.password, user.address):
        assert not any(text in value for value in values if value not in {each.value for each in Outcome})


def test_before_the_first_login_there_are_zeros(university: Site) -> None:
    with university.another("zeros.yaml", METRICS) as server:
        got = fetch(server)
    for client in ("vpn", "kiosk"):
        assert got.shown("radius_mfa_replies_total", client=client) == dict.fromkeys(
            ("access_accept", "access_reject", "access_challenge"), 0
        )
        for outcome in ("directory_failed", "store_failed", "internal_error"):
            assert got.value("radius_mfa_decisions_total", client=client, outcome=outcome) == 0
    assert got.value("radius_mfa_mails_total") == got.value("radius_mfa_receive_overflowed_total") == 0


def test_it_listens_on_ipv6_as_well(university: Site) -> None:
    with university.another("six.yaml", {"metrics": {"listen": "[::1]:0"}}) as server:
        assert address_of(server)[0] == "::1"
        assert fetch(server).value("radius_mfa_info") == 1


def test_a_reload_shows_what_is_so_then(university: Site) -> None:
    with university.another("again.yaml", METRICS) as server:
        clients = university.usual()["clients"]
        clients[0]["name"] = "renamed"
        policies = [{"name": "all", "second_factor": "required"}]
        university.write("again.yaml", {**METRICS, "clients": clients, "policies": policies})
        server.reload()
        server.wait_for("reloaded")
        got = fetch(server)
        assert got.value("radius_mfa_requests_total", client="renamed") == 0
        assert got.value("radius_mfa_in_flight") == 0


def test_whoever_connects_and_says_nothing_holds_up_neither_logins_nor_others_nor_the_end(
    university: Site,
) -> None:
    user = university.staff()
    with university.another("slow.yaml", METRICS) as server, university.nas(server=server) as nas:
        mute = [socket.create_connection(address_of(server), _PATIENCE) for _ in range(3)]
        try:
            mute[0].sendall(b"GET /metr")
            assert fetch(server).value("radius_mfa_info") == 1
            state = nas.ask(user.name, user.password).state
            assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
            mute.append(socket.create_connection(address_of(server), _PATIENCE))  # who is not given up by then
            began = monotonic()
            assert server.stop() == 0
            assert monotonic() - began < 8  # or it would wait for ever: nobody is given up any more
        finally:
            for each in mute:
                each.close()
        assert "Traceback" not in server.said()


def test_a_crowd_that_says_nothing_keeps_nobody_from_logins_nor_from_the_metrics(university: Site) -> None:
    user = university.staff()
    with university.another("crowd.yaml", METRICS) as server, university.nas(server=server) as nas:
        mute = [socket.create_connection(address_of(server), _PATIENCE) for _ in range(40)]
        try:
            state = nas.ask(user.name, user.password).state
            assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
        finally:
            for each in mute:
                each.close()
        assert fetch_until(server, "radius_mfa_info", 1)
        assert "Traceback" not in server.said()


@pytest.mark.parametrize("text", ["POST / HTTP/1.0\r\n\r\n", "\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9\r\n\r\n"])
def test_what_is_no_question_is_no_trouble(university: Site, text: str) -> None:
    with university.another("rubbish.yaml", METRICS) as server:
        with socket.create_connection(address_of(server), _PATIENCE) as sock:
            sock.sendall(text.encode())
            while sock.recv(4096):
                pass
        assert fetch(server).value("radius_mfa_info") == 1
        assert "Traceback" not in server.said()


def last_line(config: Path) -> str:
    """What `serve` says in the end, after the warnings, when it does not start."""
    ran = run_process("--config", config, "serve")
    assert ran.status == 2
    assert "Traceback" not in ran.err
    return ran.err.splitlines()[-1]


def line_of(config: Path) -> int:
    """Where `listen` of `metrics` stands."""
    lines = config.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 2) if '"metrics"' in line)


def test_a_port_that_somebody_has_is_one_line(university: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        changes = {"metrics": {"listen": f"127.0.0.1:{port}"}, "storage": f"sqlite:///{university.folder}/none.db"}
        config = university.write("taken.yaml", changes)
        said = last_line(config)
    where = f"{config}:{line_of(config)}: metrics.listen"
    wrong = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert said == f"{where}: {wrong}; stop what listens there, or choose another port"
    assert not (university.folder / "none.db").exists()


def test_an_address_of_another_machine_is_one_line(university: Site) -> None:
    config = university.write("elsewhere.yaml", {"metrics": {"listen": "192.0.2.1:9812"}})
    said = last_line(config)
    where = f"{config}:{line_of(config)}: metrics.listen"
    assert said == f"{where}: cannot listen on 192.0.2.1 port 9812: Cannot assign requested address"


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "127.0.0.1", "nowhere.example:x"])
def test_what_is_no_address_is_one_line(university: Site, listen: str) -> None:
    config = university.write("wrong.yaml", {"metrics": {"listen": listen}})
    said = last_line(config)
    assert said.startswith(f"{config}:{line_of(config)}: metrics.listen: ")
