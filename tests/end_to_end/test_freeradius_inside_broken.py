"""What FreeRADIUS with our login inside does where something is wrong: it lets nobody in by it, and says so."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.end_to_end.nas import ACCEPT, REJECT, Radclient, raw_nas
from tests.end_to_end.site import MARKER, SECOND, SECRET, VPN, Account, Site, masked, site, told
from tests.end_to_end.test_directory_fails import silent, stopped
from tests.end_to_end.test_faults import locked
from tests.end_to_end.test_floods import import_tokens
from tests.peers.freeradius_inside import FreeRadiusInside
from tests.peers.postgresql import Postgresql
from tests.peers.slapd import STAFF

CLIENTS = {"vpn": VPN, "second": SECOND, "marker": MARKER}
_MOST = 3  # seconds that a FreeRADIUS gives a request, shorter than its NASes wait

# Of the site's file: where another module has its say, before ours and after it.
_ACCEPT = "\t\tupdate control {\n\t\t\t&Auth-Type := Accept\n\t\t}\n"
_BEFORE = {r"^\t\t# Claims every login": f"{_ACCEPT}\t\t# Claims every login"}
_AFTER = {r"^\t\tAutz-Type": f"{_ACCEPT}\t\tAutz-Type"}
_TAKEN_AWAY = {
    r"^\tpost-auth \{$": "\tpost-auth {\n\t\tupdate reply {\n\t\t\t&Filter-Id !* ANY\n\t\t}",
}

ACME = "VENDOR Acme 60000\nBEGIN-VENDOR Acme\nATTRIBUTE Acme-Role 1 string\nEND-VENDOR Acme\n"
POLICIES = [
    {"name": "unknown", "when": {"client": "second"}, "reply": {"Class": "staff", "Acme-Role": "wizard"}},
    {
        "name": "tagged",
        "when": {"client": "vpn"},
        "reply": {
            "vlan": {STAFF: "20", "else": "30"},
            "Tunnel-Server-Endpoint:1": "one",
            "Tunnel-Server-Endpoint:2": "two",
            "Cisco-AVPair": ["shell:priv-lvl=15", "say=\"%b%%\" $x \\ \\n 'so'"],
            "Framed-IP-Address": "192.0.2.7",
        },
    },
]


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose directory is stopped now and then, which others would notice."""
    with site(tmp_path_factory.mktemp("fragile"), users=160, enrolled=140) as it:
        yield it


@contextmanager
def inside(
    it: Site, name: str, yaml: Mapping[str, Any] | None = None, *, others: bool = False, **how: Any
) -> Iterator[FreeRadiusInside]:
    """A FreeRADIUS over that configuration, which in the end has said nothing of a mistake of ours.

    `others`: whether another module accepts somebody, which is said.
    """
    with FreeRadiusInside(it.write(f"{name}.yaml", yaml), CLIENTS, SECRET, **how) as freeradius:
        yield freeradius
        said = freeradius.log()
    assert "internal_error" not in said, said
    assert ("not_accepted_here" in said) == others, said
    assert "Unresponsive child" not in said, said


@pytest.fixture(scope="module")
def freeradius(fragile: Site) -> Iterator[FreeRadiusInside]:
    """One that does not give a request the time that its NASes do."""
    with inside(fragile, "inside", max_request_time=_MOST) as freeradius:
        yield freeradius


def logs_in(port: int, user: Account) -> None:
    nas = Radclient(port, SECRET)
    state = nas.ask(user.name, user.password).state
    assert nas.ask(user.name, user.code(), state).code == ACCEPT


# --- the directory --------------------------------------------------------------------------------


def test_while_the_directory_is_down_everybody_is_refused_and_then_nobody_has_to_restart_anything(
    fragile: Site, freeradius: FreeRadiusInside
) -> None:
    user, half_way, nas = fragile.staff(), fragile.staff(), Radclient(freeradius.port, SECRET)
    state = nas.ask(half_way.name, half_way.password).state
    with stopped(fragile.slapd):
        for password in (user.password, "wrong"):
            reply = nas.ask(user.name, password)
            assert (reply.code, reply.message) == (REJECT, told("refused"))
        assert nas.ask(half_way.name, half_way.code(), state).code == ACCEPT  # round two needs none
    assert fragile.outcomes(masked(user.name))[-1] == "reject directory_failed"
    assert "radius_mfa: directory_failed: " in freeradius.log()
    logs_in(freeradius.port, user)


def test_a_directory_that_hangs_leaves_time_for_a_refusal_before_freeradius_gives_up(
    fragile: Site, freeradius: FreeRadiusInside
) -> None:
    user = fragile.staff()
    assert (
        f"radius_mfa: window_cut: client=vpn: it waits for 6.3 s, and FreeRADIUS for {_MOST}" in freeradius.log()
    )
    with raw_nas(freeradius.port, SECRET) as nas:
        assert nas.ask(user.name, "wrong").code == REJECT  # there is a connection now
        packet = nas.packet(user.name.encode(), user.password.encode())
        with silent(fragile.slapd):
            nas.socket.settimeout(_MOST)
            nas.socket.send(packet)
            assert nas.read(nas.socket.recv(4096), packet).code == REJECT
    logs_in(freeradius.port, user)


def test_where_the_nas_has_another_server_to_ask_there_is_silence(fragile: Site) -> None:
    user = fragile.staff()
    with (
        inside(fragile, "discarding", {"when_directory_fails": "discard"}) as freeradius,
        raw_nas(freeradius.port, SECRET) as nas,
        raw_nas(freeradius.port, SECRET, MARKER) as marker,
    ):
        packet = nas.packet(user.name.encode(), user.password.encode())
        with stopped(fragile.slapd):
            nas.socket.send(packet)
            freeradius.wait_for("Not responding to request")
            assert marker.ask("", "").code == REJECT  # by then a refusal would have come
            assert nas.received() == []
        assert fragile.outcomes(masked(user.name))[-1] == "discard directory_failed"
        logs_in(freeradius.port, user)


# --- the store ------------------------------------------------------------------------------------


def test_while_another_process_has_the_store_codes_are_refused_and_none_is_used_up(
    fragile: Site, freeradius: FreeRadiusInside
) -> None:
    user, nas = fragile.staff(), Radclient(freeradius.port, SECRET)
    state = nas.ask(user.name, user.password).state
    with locked(fragile.folder / "state.db"):
        reply = nas.ask(user.name, user.code(), state)
        assert (reply.code, reply.message) == (REJECT, told("store_failed"))
    assert nas.ask(user.name, user.code(), state).code == ACCEPT
    assert fragile.outcomes(user.name) == ["challenge challenged", "reject store_failed", "accept accepted"]


def test_while_postgresql_is_down_nobody_is_let_in_and_then_everybody_is(fragile: Site) -> None:
    user = fragile.staff()
    with Postgresql() as postgresql:
        clients = fragile.usual()["clients"]
        clients[0].update(timeout="600ms", retries=2)
        changes = {"storage": postgresql.url(postgresql.new_database()), "clients": clients}
        config = fragile.write("postgresql.yaml", changes)
        import_tokens(fragile, config)
        with inside(fragile, "postgresql", changes) as freeradius:
            nas = Radclient(freeradius.port, SECRET)
            state = nas.ask(user.name, user.password).state
            postgresql.stop("immediate")
            assert nas.ask(user.name, user.code(), state).code == REJECT
            assert nas.ask(user.name, user.password).code == REJECT
            postgresql.start()
            logs_in(freeradius.port, user)


# --- other modules, and dictionaries --------------------------------------------------------------


def test_what_another_module_has_chosen_before_is_nothing(fragile: Site) -> None:
    user = fragile.staff()
    with inside(fragile, "before", changes=_BEFORE) as freeradius:
        assert Radclient(freeradius.port, SECRET).ask(user.name, "wrong").code == REJECT
        logs_in(freeradius.port, user)


def test_what_another_module_accepts_after_ours_is_refused_and_said(fragile: Site) -> None:
    user = fragile.staff()
    with inside(fragile, "after", others=True, changes=_AFTER, debugs=False) as freeradius:
        for password in ("wrong", user.password):
            reply = Radclient(freeradius.port, SECRET).ask(user.name, password)
            assert (reply.code, reply.state) == (REJECT, b"")
        freeradius.wait_for(
            "Error: radius_mfa: not_accepted_here: auth_type=Accept: an Access-Accept that another"
        )
        freeradius.wait_for(f"Login incorrect (radius_mfa: not_accepted_here): [{user.name}] (from client vpn")


def test_a_login_whose_attributes_another_module_takes_away_is_refused_and_said(fragile: Site) -> None:
    user = fragile.staff()
    with inside(fragile, "taken", changes=_TAKEN_AWAY, debugs=False) as freeradius:
        nas = Radclient(freeradius.port, SECRET)
        state = nas.ask(user.name, user.password).state
        refused = nas.ask(user.name, user.code(), state)
        assert refused.code == REJECT
        assert {name for name, _ in refused.values} <= {"Message-Authenticator", "Reply-Message"}
        freeradius.wait_for("Error: radius_mfa: reply_incomplete: attributes=['Filter-Id'")


def test_attributes_are_returned_as_by_our_own_server_unless_freeradius_does_not_know_one(fragile: Site) -> None:
    """Tags (RFC 2868 §3.1), a VLAN (RFC 3580 §3.31), quotes and what FreeRADIUS would expand."""
    (fragile.folder / "dictionary.acme").write_text(ACME)
    changes = {"policies": POLICIES, "dictionaries": "dictionary.acme"}
    user, other = fragile.staff(), fragile.staff()
    with fragile.another("tagged.yaml", changes) as server, inside(fragile, "tagged", changes) as freeradius:
        accepts = []
        for port, who in ((server.port, user), (freeradius.port, other)):
            nas = Radclient(port, SECRET)
            state = nas.ask(who.name, who.password).state
            accept = nas.ask(who.name, who.code(), state)
            # As it is read: where there is no tag, FreeRADIUS writes none, and we write 0 (RFC 2868 §3.6).
            accepts.append((accept.code, accept.values[1:]))
        assert accepts[0] == accepts[1]
        assert accepts[0][0] == ACCEPT
        assert {("Tunnel-Private-Group-Id:0", "20"), ("Tunnel-Server-Endpoint:2", "two")} <= {*accepts[1][1]}
        nas_of_second = Radclient(freeradius.port, SECRET, SECOND)
        state = nas_of_second.ask(user.name, user.password).state
        assert nas_of_second.ask(user.name, user.next_code(), state).code == REJECT
        freeradius.wait_for("radius_mfa: reply_incomplete: attributes=['Acme-Role']")


# --- the start ------------------------------------------------------------------------------------


def ours(said: str) -> list[str]:
    """What of it is of ours, without what comes before."""
    return re.findall(r"Error: radius_mfa: (.*)", said)


@pytest.mark.parametrize("options", [(), ("-C",)], ids=["start", "check"])
def test_a_slip_in_the_yaml_keeps_freeradius_from_starting_and_is_named_with_its_line(
    fragile: Site, options: tuple[str, ...]
) -> None:
    config = fragile.write("slip.yaml")
    config.write_text(config.read_text().replace('"policies"', '"polcies"'))
    line = config.read_text()[: config.read_text().index('"polcies"')].count("\n") + 1
    status, said = FreeRadiusInside(config, CLIENTS, SECRET, debugs=False).does_not_start(*options)
    assert status != 0
    assert ours(said) == [
        f"{config}:1: policies: is missing",
        f"{config}:{line}: polcies: unknown key; did you mean policies?",
    ]
    assert "Ready to process requests" not in said


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"key_file": "no-such-key"}, "no-such-key"),
        ({"storage": "sqlite:////no/such/folder/state.db"}, "/no/such/folder/state.db"),
        ({"audit": {"file": "/no/such/folder/audit.jsonl"}}, "/no/such/folder"),
    ],
    ids=["key file", "store", "audit file"],
)
def test_what_cannot_be_opened_keeps_freeradius_from_starting_and_is_named(
    fragile: Site, changes: dict[str, Any], named: str
) -> None:
    config = fragile.write("unopened.yaml", changes)
    status, said = FreeRadiusInside(config, CLIENTS, SECRET, debugs=False).does_not_start()
    assert status != 0
    (line,) = ours(said)
    assert named in line
    assert "Traceback" not in said


def test_without_our_package_in_its_python_path_freeradius_does_not_start(fragile: Site) -> None:
    elsewhere = {r"^\tpython_path = .*": '\tpython_path = "/no/such/folder"'}
    freeradius = FreeRadiusInside(fragile.config, CLIENTS, SECRET, changes=elsewhere, debugs=False)
    status, said = freeradius.does_not_start()
    assert status != 0
    assert "No module named 'radius_mfa'" in said


def test_a_key_that_the_module_does_not_have_keeps_freeradius_from_starting(fragile: Site) -> None:
    slip = {r"^\t\tlongest_login = 5": "\t\tlongest_logn = 5"}
    status, said = FreeRadiusInside(fragile.config, CLIENTS, SECRET, changes=slip, debugs=False).does_not_start()
    assert status != 0
    assert ours(said) == ["config.longest_logn: unknown; there are yaml, max_request_time, longest_login"]


def test_whoever_only_looks_whether_it_could_start_makes_and_takes_nothing(fragile: Site) -> None:
    """Also beside one that runs and has the port of the metrics."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}
        store = fragile.folder / "not-yet.db"
        config = fragile.write("looking.yaml", {"metrics": metrics, "storage": f"sqlite:///{store}"})
        status, said = FreeRadiusInside(config, CLIENTS, SECRET, debugs=False).does_not_start("-C")
    assert (status, ours(said)) == (0, [])
    assert not store.exists()
