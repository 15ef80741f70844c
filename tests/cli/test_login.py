"""`radius-mfa login`: the test client against the running server."""

from __future__ import annotations

import pytest

from tests.cli.support import Ran, run_cli, run_process
from tests.end_to_end.site import SECRET, Site, told
from tests.peers.ports import free_port


def login(university: Site, name: str, *more: str) -> Ran:
    server = f"127.0.0.1:{university.server.port}"
    return run_cli("login", name, "--server", server, "--secret", SECRET, *more)


def test_a_whole_login_is_shown_packet_by_packet(university: Site) -> None:
    user = university.staff()
    ran = login(university, user.name, "--password", user.password, "--answer", user.code()).worked()
    packets = [line for line in ran.out.splitlines() if line[0] in "→←"]
    assert packets == ["→ Access-Request", "← Access-Challenge", "→ Access-Request", "← Access-Accept"]
    for shown in (f"User-Name = {user.name}", f"Reply-Message = {told('challenged')}", "Session-Timeout = 28800"):
        assert f"    {shown}" in ran.out.splitlines()
    assert ran.err == ""
    assert user.password not in ran.out.replace(user.name, "")
    assert user.code() not in ran.out


def test_a_second_answer_is_for_the_second_challenge(university: Site) -> None:
    user = university.staff()
    answers = ("--answer", user.wrong_code(), "--answer", user.code())
    ran = login(university, user.name, "--password", user.password, *answers).worked()
    assert ran.out.count("← Access-Challenge") == 2


def test_what_is_not_given_is_asked_for(university: Site) -> None:
    user = university.staff()
    server = f"127.0.0.1:{university.server.port}"
    ran = run_process(
        "login",
        user.name,
        "--server",
        server,
        "--secret",
        SECRET,
        typed=f"{user.password}\n{user.wrong_code()}\n{user.code()}\n",
    )
    assert ran.status == 0, ran
    # stdin is no terminal here: there is no echo to be warned of.
    assert ran.err.split(": ")[:2] == ["Password", told("challenged")]


def test_where_nothing_more_is_typed_it_ends(university: Site) -> None:
    user = university.staff()
    server = f"127.0.0.1:{university.server.port}"
    ran = run_process("login", user.name, "--server", server, "--secret", SECRET, typed="")
    assert ran.status == 1
    assert "Traceback" not in ran.err
    assert "Warning" not in ran.err


@pytest.mark.parametrize("password", ["wrong", "", " "])
def test_a_refusal_is_1(university: Site, password: str) -> None:
    ran = login(university, "u1", "--password", password)
    assert (ran.status, ran.err) == (1, "")
    assert f"    Reply-Message = {told('refused')}" in ran.out.splitlines()


def test_a_wrong_code_to_the_end_is_1(university: Site) -> None:
    user = university.staff()
    codes = user.wrong_codes()
    wrong = [each for _ in range(3) for each in ("--answer", next(codes))]
    ran = login(university, user.name, "--password", user.password, *wrong)
    assert (ran.status, ran.err) == (1, "")
    assert "← Access-Reject" in ran.out


@pytest.mark.parametrize("secret", ["not the secret", "\udcff"])
def test_a_server_that_does_not_answer_is_1(university: Site, secret: str) -> None:
    server = f"127.0.0.1:{university.server.port}"
    wrong = ("--secret", secret, "--password", "x", "--timeout", "0.1")
    line = run_cli("login", "u1", "--server", server, *wrong).line(1)
    assert line.startswith(f"radius-mfa: {server}: no reply in 3 tries of 0.1 s")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_port_where_nobody_listens_is_1(host: str) -> None:
    server = f"{host}:{free_port()}"
    line = run_cli("login", "u1", "--server", server, "--secret", "s", "--password", "x").line(1)
    assert line == f"radius-mfa: {server}: Connection refused"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "x" * 70, "é..b"])
def test_a_host_there_is_not_is_one_line(host: str) -> None:
    line = run_cli("login", "u1", "--server", f"{host}:1812", "--secret", "s", "--password", "x").line(1)
    assert line.startswith(f"radius-mfa: {host}:1812: ")


@pytest.mark.parametrize(
    "server", ["", "127.0.0.1", ":1812", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "h:１８１２", "h:-1"]
)
def test_what_is_no_host_and_port_is_2(server: str) -> None:
    line = run_cli("login", "u1", "--server", server, "--secret", "s", "--password", "x").line(2)
    assert "write HOST:PORT" in line


@pytest.mark.parametrize(
    ("name", "password"), [("x" * 254, "x"), ("x", "x" * 129), ("\udcff", "x"), ("x", "\udcff")]
)
def test_what_no_packet_can_hold_is_2(university: Site, name: str, password: str) -> None:
    assert login(university, name, "--password", password).line(2).startswith("radius-mfa login: ")


def test_names_and_passwords_beyond_ascii(university: Site) -> None:
    assert "← Access-Challenge" in login(university, "日本 太郎", "--password", "パスワード", "--answer", "x").out


def test_ipv6(university: Site) -> None:
    user = university.staff()
    server = f"[::1]:{university.server.addresses[1][1]}"
    credentials = ("--password", user.password, "--answer", user.code())
    run_cli("login", user.name, "--server", server, "--secret", SECRET, *credentials).worked()


def test_server_and_secret_are_the_configurations_where_not_given(university: Site) -> None:
    """The first listener, and the client that this machine is."""
    user = university.staff()
    path = university.write("here.yaml", {"listen": [{"udp": f"127.0.0.1:{university.server.port}"}]})
    credentials = ("--password", user.password, "--answer", user.code())
    run_cli("--config", path, "login", user.name, *credentials).worked()
    anywhere = university.write("anywhere.yaml", {"listen": [{"udp": f"0.0.0.0:{university.server.port}"}]})
    assert run_cli("--config", anywhere, "login", user.name, "--password", "wrong").status == 1
    elsewhere = {"clients": [{"name": "vpn", "address": "192.0.2.1", "secret": SECRET}]}
    line = run_cli("--config", university.write("else.yaml", elsewhere), "login", user.name).line(2)
    assert "no client has the address 127.0.0.1" in line
