"""Who is not let in over TLS (RFC 6614 §2.3), why, and what the log says of it; and crowds at the door."""

from __future__ import annotations

import os
import pwd
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

import pytest

from tests.cli.support import run_process
from tests.config.support import SMALL
from tests.end_to_end.nas import ACCEPT
from tests.end_to_end.radsec import CUT, RadSecNas, Tls, refusal
from tests.end_to_end.radsec_site import (
    GATEWAY,
    ONE_FIELD,
    OTHER,
    PATIENT,
    RadSecSite,
    counted,
    is_served,
    until_counted,
    where,
)
from tests.end_to_end.site import SECOND, Site
from tests.end_to_end.test_metrics import fetch, fetch_until
from tests.peers.certificates import Authority, self_signed
from tests.peers.server import Server

NOBODY = pwd.getpwnam("nobody")
OPENED = ("unshare", "--mount", sys.executable, "-m", "tests.peers.opened")
_PATIENCE = 20.0  # seconds
_AT_MOST = 8.0  # seconds for a login, whoever else is at the door; to wait for their end would take 10
_CROWD = 400
_LINES = 128  # of the log in a minute, about strangers


@pytest.fixture(scope="module")
def ground(university: Site, tmp_path_factory: pytest.TempPathFactory) -> RadSecSite:
    return RadSecSite(university, tmp_path_factory.mktemp("refused") / "ours")


@pytest.fixture(scope="module")
def server(ground: RadSecSite) -> Iterator[Server]:
    with ground.server("refusing") as running:
        yield running


class Case(NamedTuple):
    """What is shown, PEM with its key, None for nothing; reason and detail in the log; how the gateway is told."""

    shown: Callable[[RadSecSite, Path], Path | None]
    reason: str
    detail: str
    told: str


CASES = {
    "expired": Case(
        lambda ground, _: ground.authority.certify(GATEWAY, expired=True),
        "handshake_failed",
        "certificate has expired",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    ),
    "not yet valid": Case(
        lambda ground, _: ground.authority.certify(GATEWAY, early=True),
        "handshake_failed",
        "certificate is not yet valid",
        "SSLV3_ALERT_BAD_CERTIFICATE",
    ),
    "self-signed": Case(
        lambda _, folder: self_signed(folder, GATEWAY),
        "handshake_failed",
        "self-signed certificate",
        "TLSV1_ALERT_UNKNOWN_CA",
    ),
    "of a foreign authority": Case(
        lambda _, folder: Authority(folder / "foreign").certify(GATEWAY),
        "handshake_failed",
        "unable to get local issuer certificate",
        "TLSV1_ALERT_UNKNOWN_CA",
    ),
    "for servers only": Case(
        lambda ground, _: ground.authority.certify(GATEWAY, purpose="server"),
        "handshake_failed",
        "unsuitable certificate purpose",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    ),
    "none": Case(
        lambda *_: None,
        "handshake_failed",
        "peer did not return a certificate",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    ),
    "another name": Case(
        lambda ground, _: ground.authority.certify("gw2.example.org"), "unknown_name", "gw2.example.org", CUT
    ),
    "the name below ours": Case(
        lambda ground, _: ground.authority.certify(f"x.{GATEWAY}"), "unknown_name", f"x.{GATEWAY}", CUT
    ),
    "a wildcard": Case(
        lambda ground, _: ground.authority.certify(GATEWAY, names=["*.example.org"]),
        "unknown_name",
        "*.example.org",
        CUT,
    ),
    "common name only": Case(
        lambda ground, _: ground.authority.certify(GATEWAY, names=[]), "certificate_without_name", "", CUT
    ),
    "in a URI and a mail address": Case(
        lambda ground, _: ground.authority.certify(GATEWAY, names=[f"radius://{GATEWAY}", f"vpn@{GATEWAY}"]),
        "certificate_without_name",
        "",
        CUT,
    ),
    "two clients": Case(
        lambda ground, _: ground.authority.certify(GATEWAY, names=[GATEWAY, ONE_FIELD]),
        "names_two_clients",
        f"{ONE_FIELD}, {GATEWAY}",
        CUT,
    ),
    "the right one from elsewhere": Case(
        lambda ground, _: ground.tls(OTHER).certificate, "address_not_of_client", OTHER, CUT
    ),
}
_SOURCES = {kind: f"127.0.8.{number}" for number, kind in enumerate(CASES, 1)}


def refused(ground: RadSecSite, server: Server, source: str, reason: str, before: float) -> str:
    """The detail, or the names, of the one line that the log has of a source, which is counted as well."""
    (line,) = ground.lines(server, source)
    assert (line["event"], line["reason"], line["level"]) == ("radsec_refused", reason, "warning")
    assert counted(server, "radsec_refused", reason=reason) == before + 1
    return str(line["detail"] if reason == "handshake_failed" else line["names"])


@pytest.mark.parametrize("kind", CASES)
def test_who_shows_a_certificate_that_is(ground: RadSecSite, server: Server, tmp_path: Path, kind: str) -> None:
    """RFC 6614 §2.3: a chain that is good today, and a name that is configured, exactly; RFC 8446 §6.2: alerts."""
    case, source = CASES[kind], _SOURCES[kind]
    before = counted(server, "radsec_refused", reason=case.reason)
    tls = Tls(ground.authority.ca_file, case.shown(ground, tmp_path))
    assert refusal(where(server), tls, source) == case.told
    assert refused(ground, server, source, case.reason, before) == case.detail


@pytest.mark.parametrize(
    ("kind", "told"),
    [("expired", "SSLV3_ALERT_CERTIFICATE_EXPIRED"), ("none", "SSLV3_ALERT_HANDSHAKE_FAILURE")],
)
def test_with_tls_1_2_it_is_no_other(ground: RadSecSite, server: Server, kind: str, told: str) -> None:
    """RFC 5246 §7.2.2 and §7.4.6."""
    source, case = f"127.0.8.{100 + len(kind)}", CASES[kind]
    before = counted(server, "radsec_refused", reason=case.reason)
    shown = ground.authority.certify(GATEWAY, expired=True) if kind == "expired" else None
    tls = Tls(ground.authority.ca_file, shown, version=ssl.TLSVersion.TLSv1_2)
    assert refusal(where(server), tls, source) == told
    assert refused(ground, server, source, case.reason, before) == case.detail


def test_the_name_may_stand_among_others_and_in_any_case(ground: RadSecSite, server: Server) -> None:
    """RFC 5280 §7.2; and the client's address is right."""
    several = ground.authority.certify("whatever", names=["x.example.org", GATEWAY.upper(), "192.0.2.1"])
    with RadSecNas(where(server), Tls(ground.authority.ca_file, several)) as nas:
        assert is_served(nas)
    with ground.nas(server, OTHER, source=SECOND) as nas:
        assert is_served(nas)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_1_1_is_refused(ground: RadSecSite, server: Server) -> None:
    """RFC 8996 §5: it must not be used."""
    source, before = "127.0.8.110", counted(server, "radsec_refused", reason="handshake_failed")
    # What OpenSSL itself no longer speaks unless it is told that nothing need be secure.
    old = replace(ground.tls(), version=ssl.TLSVersion.TLSv1_1, ciphers="ALL:@SECLEVEL=0")
    assert refusal(where(server), old, source) == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert refused(ground, server, source, "handshake_failed", before) == "unsupported protocol"


@pytest.mark.parametrize(
    ("what", "source", "detail"),
    [
        ("an Access-Request", "127.0.8.120", "wrong version number"),
        ("http", "127.0.8.121", "http request"),
        ("nothing", "127.0.8.122", "closed in the middle"),
    ],
)
def test_what_is_no_tls_is_one_line(
    ground: RadSecSite, server: Server, what: str, source: str, detail: str
) -> None:
    before = counted(server, "radsec_refused", reason="handshake_failed")
    with ground.site.nas() as nas:
        packet = nas.packet(b"alice", b"sesame")
    sent = {"an Access-Request": packet, "http": b"GET / HTTP/1.1\r\n\r\n", "nothing": b""}[what]
    with socket.create_connection(where(server), _PATIENCE, (source, 0)) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        came = connection.recv(4096)
    assert len(came) <= 7  # an alert at most
    assert refused(ground, server, source, "handshake_failed", before) == detail


# --- crowds ---------------------------------------------------------------------------------------


def logs_in(ground: RadSecSite, server: Server) -> float:
    """How many seconds a whole login takes over a connection of its own, handshake included."""
    user, began = ground.site.staff(), monotonic()
    with ground.nas(server) as nas:
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
    return monotonic() - began


def connected(stack: ExitStack, server: Server, source: str) -> socket.socket:
    """By TCP, and no more than that."""
    return stack.enter_context(socket.create_connection(where(server), _PATIENCE, (source, 0)))


def drip(crowd: list[socket.socket], octets: bytes) -> None:
    """The same from each; some have been cut by now."""
    for each in crowd:
        with suppress(ConnectionError):
            each.sendall(octets)


def client_hello(ground: RadSecSite) -> bytes:
    """How a handshake begins."""
    outgoing = ssl.MemoryBIO()
    tls = ground.tls().context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("sources", [1, 250])
def test_a_crowd_that_says_nothing_holds_up_nobody(ground: RadSecSite, server: Server, sources: int) -> None:
    with ExitStack() as stack:
        crowd = [connected(stack, server, f"127.0.4.{1 + n % sources}") for n in range(_CROWD)]
        assert logs_in(ground, server) < _AT_MOST
        assert fetch(server).value("radius_mfa_handshakes") <= 128
        # There was no room for the first of them.
        assert crowd[0].recv(1) == b""
    fetch_until(server, "radius_mfa_handshakes", 0)


def test_not_even_one_at_the_address_of_the_gateway(ground: RadSecSite, server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(_CROWD):
            connected(stack, server, "127.0.0.1")
        assert logs_in(ground, server) < _AT_MOST
    fetch_until(server, "radius_mfa_handshakes", 0)


def test_a_crowd_that_drips_a_handshake_holds_up_nobody(ground: RadSecSite, server: Server) -> None:
    hello = client_hello(ground)
    with ExitStack() as stack:
        crowd = [connected(stack, server, f"127.0.4.{1 + n % 250}") for n in range(_CROWD)]
        for at in range(0, 30, 10):
            drip(crowd, hello[at : at + 10])
            assert logs_in(ground, server) < _AT_MOST
    fetch_until(server, "radius_mfa_handshakes", 0)


def test_a_crowd_of_a_clients_own_connections_that_drip_a_packet_holds_up_no_other(
    ground: RadSecSite, server: Server
) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(ground.nas(server, PATIENT)) for _ in range(200)]
        packet = crowd[0].packet(b"alice", b"sesame")
        for at in range(3):
            for nas in crowd:
                nas.send(packet[at : at + 1])
            assert logs_in(ground, server) < _AT_MOST
    fetch_until(server, "radius_mfa_connections", 0)


def test_a_client_has_256_connections_and_no_more(ground: RadSecSite, server: Server) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(ground.nas(server, PATIENT)) for _ in range(256)]
        assert is_served(crowd[-1])
        assert refusal(where(server), ground.tls(PATIENT)) == CUT
        assert counted(server, "radsec_refused", reason="too_many_of_client") == 1
        assert logs_in(ground, server) < _AT_MOST
        before = counted(server, "radsec_closed", client="slow")
        crowd[0].reset()
        until_counted(server, "radsec_closed", before + 1, client="slow")
        assert is_served(stack.enter_context(ground.nas(server, PATIENT)))
    fetch_until(server, "radius_mfa_connections", 0)


def test_300_strangers_leave_a_bounded_log_and_logins_go_on(ground: RadSecSite) -> None:
    with ground.server("flooded") as server:
        with ExitStack() as stack:
            for number in range(300):
                stranger = connected(stack, server, f"127.0.{4 + number // 250}.{1 + number % 250}")
                stranger.sendall(b"\x16\x03\x01\x00\x05what?")
                if number % 100 == 0:
                    assert logs_in(ground, server) < _AT_MOST
            until_counted(server, "radsec_refused", 300)
        server.said()
    lines = [line for line in server.log if line["event"] == "radsec_refused"]
    assert len(lines) == _LINES
    assert len({line["source"] for line in lines}) == _LINES


# --- what stands in the way of a start ------------------------------------------------------------


def test_a_key_that_only_root_may_read_is_said_before_root_is_given_up(ground: RadSecSite) -> None:
    """Or no reload could read it again.  These tests are root's."""
    with TemporaryDirectory(prefix="keys-") as name:  # not below pytest's own, which it keeps closed
        folder = Path(name)
        folder.chmod(0o755)
        os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
        certificate, authorities, key = folder / "server.pem", folder / "clients.pem", folder / "server.key"
        authorities.write_bytes(ground.authority.ca_file.read_bytes())
        own = ground.certificate.read_text()
        begins = own.index("-----BEGIN CERTIFICATE-----")
        certificate.write_text(own[begins:])
        key.touch(0o600)
        key.write_text(own[:begins])
        config = folder / "radius-mfa.yaml"
        config.touch(0o600)
        listener = f"radsec: '127.0.0.1:0', certificate: {certificate}, key: {key}, client_ca: {authorities}"
        more = f"storage: sqlite:///{folder}/state.db\nkey_file: key\nuser: nobody\n"
        config.write_text(SMALL.replace("udp: 127.0.0.1:1812", f"{{{listener}}}") + more)
        os.chown(config, NOBODY.pw_uid, NOBODY.pw_gid)
        run_process("--config", config, "keys", "init").worked()
        command = [*OPENED, sys.executable, "-m", "radius_mfa", "--config", str(config), "serve"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 2
        assert ran.stderr.splitlines()[-1] == (f"{config}:2: listen[0].key: nobody may not read {key}: chown it")
        os.chown(key, NOBODY.pw_uid, -1)
        with Server(config, within=OPENED) as server:
            assert server.port
