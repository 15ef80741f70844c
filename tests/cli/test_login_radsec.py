"""`radius-mfa login --radsec`: the test client over TLS (RFC 6614), mostly against servers that misbehave."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from radius_mfa.transports.tls import HAS_PSK
from tests.cli.support import Ran, run_cli
from tests.end_to_end.nas import CODES, walked
from tests.end_to_end.site import Account, Site
from tests.peers.certificates import Authority, self_signed
from tests.peers.ports import free_port
from tests.peers.server import Server
from tests.wire.support import hide, tlv

NAME = "radius.example.org"
SECRET = b"radsec"  # RFC 6614 §2.3
KEY = bytes(range(32))

Greet = Callable[[socket.socket], None]
"""What a server does with a connection that was made to it."""

Serve = Callable[[ssl.SSLSocket], None]
"""What it does once it is TLS."""


class Listener:
    """A server that greets whoever connects, one after the other.  `greeted`: how many there were."""

    def __init__(self, greet: Greet, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, 0), family=family)
        self._greet = greet
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.greeted = 0
        self.port: int = self._socket.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._socket.close()

    def _run(self) -> None:
        with suppress(OSError):  # told to end
            while True:
                accepted, _ = self._socket.accept()
                self.greeted += 1
                accepted.settimeout(30)
                with accepted, suppress(OSError):  # the client has gone
                    self._greet(accepted)


class Trust:
    """Who signs, with a certificate for the server and one for the client."""

    def __init__(self, folder: Path) -> None:
        self.servers, self.clients = Authority(folder / "servers"), Authority(folder / "clients")
        self.server = self.servers.certify(NAME)
        self.client = self.clients.certify("gw.example.org")

    def context(self, certificate: Path | None = None, ca: Path | None = None) -> ssl.SSLContext:
        """What the server speaks; another certificate, other clients' CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate or self.server)
        context.load_verify_locations(ca or self.clients.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["radius/1.0"])
        return context

    @property
    def options(self) -> tuple[str | Path, ...]:
        """The client's."""
        return "--certificate", self.client, "--ca", self.servers.ca_file

    def login(self, listener: Listener, *more: str | Path) -> Ran:
        return login(listener, *self.options, "--server-name", NAME, *more)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return Trust(tmp_path_factory.mktemp("trust"))


def login(listener: Listener, *more: str | Path) -> Ran:
    usual = ("--radsec", "--server", listener.address, "--password", "sesame", "--answer", "492039")
    return run_cli("login", "alice", *usual, *more)


def over_tls(context: ssl.SSLContext, serve: Serve) -> Greet:
    def greet(accepted: socket.socket) -> None:
        with context.wrap_socket(accepted, server_side=True, suppress_ragged_eofs=False) as tls:
            serve(tls)

    return greet


def received(tls: socket.socket) -> bytes:
    """The next packet; no octets where there is none any more."""
    packet = tls.recv(20)
    while packet and len(packet) < int.from_bytes(packet[2:4], "big"):
        packet += tls.recv(int.from_bytes(packet[2:4], "big") - len(packet))
    return packet


def reply(packet: bytes, code: str, *attributes: tuple[int, bytes], secret: bytes = SECRET) -> bytes:
    """A reply, Message-Authenticator first (RFC 2865 §3, RFC 3579 §3.2)."""
    number = next(number for number, name in CODES.items() if name == code)
    rest = b"".join(tlv(*each) for each in attributes)
    header = bytes((number, packet[1])) + (38 + len(rest)).to_bytes(2, "big")
    made = hmac.digest(secret, header + packet[4:20] + tlv(80, bytes(16)) + rest, "md5")
    signed = tlv(80, made) + rest
    return header + hashlib.md5(header + packet[4:20] + signed + secret).digest() + signed


class House:
    """Asks for a code after the password `sesame`, and lets in who answers 492039.  `packets`: what has come."""

    def __init__(self, secret: bytes = SECRET) -> None:
        self.packets: list[bytes] = []
        self._secret = secret

    def serve(self, tls: ssl.SSLSocket) -> None:
        while packet := received(tls):
            self.packets.append(packet)
            tls.sendall(self.answer(packet))

    def answer(self, packet: bytes) -> bytes:
        said = dict(walked(packet[20:]))
        challenged = said.get(24) == b"the state"
        right = said[2] == hide(b"492039" if challenged else b"sesame", self._secret, packet[4:20])
        if right and not challenged:
            more = ((18, b"Enter the code"), (24, b"the state"))
            return reply(packet, "Access-Challenge", *more, secret=self._secret)
        return reply(packet, "Access-Accept" if right else "Access-Reject", secret=self._secret)


def packets_shown(ran: Ran) -> list[str]:
    return [line for line in ran.out.splitlines() if line[0] in "→←"]


def refusal(ran: Ran, listener: Listener) -> str:
    """The one line that says what went wrong, without the address it begins with."""
    line = ran.line(1)
    assert line.startswith(f"radius-mfa: {listener.address}: "), line
    return line.removeprefix(f"radius-mfa: {listener.address}: ")


UNKNOWN = "is this certificate signed by the server's client_ca, and its name that of a client?"


# --- what works ---------------------------------------------------------------------------------


def test_a_whole_login_goes_over_one_connection(trust: Trust) -> None:
    """RFC 6614 §2.3, §3.4: TLS with both certificates, then RADIUS with the secret `radsec`."""
    house = House()
    with Listener(over_tls(trust.context(), house.serve)) as listener:
        ran = trust.login(listener).worked()
    assert ran.out.splitlines()[0] == f"TLSv1.3 TLS_AES_256_GCM_SHA384, radius/1.0, with {NAME}"
    assert packets_shown(ran) == ["→ Access-Request", "← Access-Challenge", "→ Access-Request", "← Access-Accept"]
    assert "    Reply-Message = Enter the code" in ran.out.splitlines()
    assert (listener.greeted, len(house.packets), ran.err) == (1, 2, "")


def test_a_refusal_is_1(trust: Trust) -> None:
    with Listener(over_tls(trust.context(), House().serve)) as listener:
        ran = trust.login(listener, "--password", "wrong")
    assert (ran.status, ran.err, packets_shown(ran)[-1]) == (1, "", "← Access-Reject")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_without_a_name_the_address_must_be_the_certificates(trust: Trust, host: str) -> None:
    """RFC 6614 §2.3: the certificate's iPAddress."""
    context = trust.context(trust.servers.certify(host))
    with Listener(over_tls(context, House().serve), host) as listener:
        ran = login(listener, *trust.options).worked()
    assert ran.out.splitlines()[0].endswith(f", with {host}")


def test_tls_1_2_will_do_and_1_1_will_not(trust: Trust) -> None:
    context = trust.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Listener(over_tls(context, House().serve)) as listener:
        assert trust.login(listener).worked().out.startswith("TLSv1.2 ")
    # A server of 1.1 would say so after the first octets; ours need not be able to.
    with Listener(lambda accepted: accepted.sendall(bytes((21, 3, 2, 0, 2, 2, 70)))) as listener:
        assert refusal(trust.login(listener), listener) == "the server refuses us: protocol version"


def test_a_server_without_alpn_will_do(trust: Trust) -> None:
    """RFC 9765: who has not heard of it speaks RADIUS as it was."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trust.server)
    with Listener(over_tls(context, House().serve)) as listener:
        assert ", no ALPN, with" in trust.login(listener).worked().out


def test_the_key_may_be_a_file_of_its_own(trust: Trust, tmp_path: Path) -> None:
    certificate, key = taken_apart(trust.client, tmp_path)
    files = ("--certificate", certificate, "--key", key, "--ca", trust.servers.ca_file, "--server-name", NAME)
    with Listener(over_tls(trust.context(), House().serve)) as listener:
        login(listener, *files).worked()


def test_another_secret_is_one_that_was_given(trust: Trust) -> None:
    with Listener(over_tls(trust.context(), House(b"another").serve)) as listener:
        trust.login(listener, "--secret", "another").worked()


def test_a_reply_may_come_in_pieces(trust: Trust) -> None:
    """RFC 6613 §2.1: TCP has no packets, Length says where one ends."""
    house = House()

    def serve(tls: ssl.SSLSocket) -> None:
        while packet := received(tls):
            for octet in house.answer(packet):
                tls.sendall(bytes((octet,)))

    with Listener(over_tls(trust.context(), serve)) as listener:
        trust.login(listener).worked()


def test_the_server_is_told_that_the_connection_ends(trust: Trust) -> None:
    """RFC 8446 §6.1: close_notify, without which somebody else might have cut it."""
    ended = []

    def serve(tls: ssl.SSLSocket) -> None:
        House().serve(tls)
        ended.append("close_notify")

    with Listener(over_tls(trust.context(), serve)) as listener:
        trust.login(listener).worked()
    assert ended == ["close_notify"]


# --- our own server -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ours(university: Site, trust: Trust) -> Iterator[Server]:
    """The site's, on TLS, with one client by certificate."""
    files = {"certificate": str(trust.server), "key": str(trust.server), "client_ca": str(trust.clients.ca_file)}
    changes = {
        "listen": [{"radsec": "127.0.0.1:0", **files}],
        "clients": [{"name": "gw", "certificate": "gw.example.org"}],
        "policies": [{"name": "staff", "when": {"client": "gw"}, "reply": {"Filter-Id": "by-tls"}}],
    }
    with university.another("radsec-login.yaml", changes) as server:
        yield server


def login_to_ours(server: Server, account: Account, *more: str | Path) -> Ran:
    credentials = ("--password", account.password, "--answer", account.code())
    address = ("--server", f"127.0.0.1:{server.port}", "--server-name", NAME)
    return run_cli("login", account.name, "--radsec", *address, *credentials, *more)


def test_a_login_to_our_own_server(university: Site, ours: Server, trust: Trust) -> None:
    user = university.staff()
    ran = login_to_ours(ours, user, *trust.options).worked()
    assert ran.out.splitlines()[0] == f"TLSv1.3 TLS_AES_256_GCM_SHA384, radius/1.0, with {NAME}"
    assert packets_shown(ran) == ["→ Access-Request", "← Access-Challenge", "→ Access-Request", "← Access-Accept"]
    assert "    Filter-Id = by-tls" in ran.out.splitlines()
    assert [event["client"] for event in university.audit(user.name, least=2)] == ["gw", "gw"]


def test_our_own_server_refuses_who_is_none_of_its_clients(university: Site, ours: Server, trust: Trust) -> None:
    """Signed by its CA and called otherwise, or called so by another CA."""
    user = university.staff()
    for certificate in (trust.clients.certify("other.example.org"), trust.servers.certify("gw.example.org")):
        options = ("--certificate", certificate, "--ca", trust.servers.ca_file)
        assert login_to_ours(ours, user, *options).line(1).endswith(f": {UNKNOWN}")
    assert university.audit(user.name) == []


def test_our_own_server_with_another_secret(university: Site, ours: Server, trust: Trust) -> None:
    ran = login_to_ours(ours, university.staff(), *trust.options, "--secret", "another")
    assert ran.line(1).startswith(f"radius-mfa: 127.0.0.1:{ours.port}: the server has closed the connection")


# --- a server that is not the one -----------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_port_where_nobody_listens(trust: Trust, host: str) -> None:
    server = f"{host}:{free_port()}"
    line = run_cli("login", "u1", "--radsec", "--server", server, *trust.options, "--password", "x").line(1)
    assert line == f"radius-mfa: {server}: Connection refused"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "x" * 70, "\udcff"])
def test_a_host_there_is_not(trust: Trust, host: str) -> None:
    server = ("--server", f"{host}:2083", "--server-name", NAME)
    line = run_cli("login", "u1", "--radsec", *server, *trust.options, "--password", "x").line(1)
    assert ":2083: " in line
    assert "internal error" not in line


def test_a_host_that_takes_no_connection(trust: Trust) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address):  # whom nobody accepts, and so there is no room for another
            server = f"127.0.0.1:{address[1]}"
            options = (*trust.options, "--password", "x", "--timeout", "0.1")
            line = run_cli("login", "u1", "--radsec", "--server", server, *options).line(1)
    assert line == f"radius-mfa: {server}: no connection in 0.3 s"


def test_a_certificate_for_another_name(trust: Trust) -> None:
    with Listener(over_tls(trust.context(), House().serve)) as listener:
        wrong = refusal(login(listener, *trust.options, "--server-name", "other.example.org"), listener)
        assert wrong.startswith("its certificate is not trusted: Hostname mismatch, ")
        assert wrong.endswith("; --server-name names the server")
        wrong = refusal(login(listener, *trust.options), listener)
        assert wrong.startswith("its certificate is not trusted: IP address mismatch, ")


def test_a_common_name_is_no_name(trust: Trust) -> None:
    """RFC 9525: what stands in the subject says nothing."""
    context = trust.context(trust.servers.certify(NAME, names=()))
    with Listener(over_tls(context, House().serve)) as listener:
        assert "Hostname mismatch" in refusal(trust.login(listener), listener)


def test_a_certificate_that_is_none_any_more_or_by_nobody_we_know(trust: Trust, tmp_path: Path) -> None:
    strange = Authority(tmp_path / "strange").certify(NAME)
    for certificate, why in (
        (trust.servers.certify(NAME, expired=True), "certificate has expired"),
        (trust.servers.certify(NAME, early=True), "certificate is not yet valid"),
        (trust.servers.certify(NAME, purpose="client"), "unsuitable certificate purpose"),
        (strange, "unable to get local issuer certificate; --ca names the CA"),
        (self_signed(tmp_path, NAME), "self-signed certificate; --ca names the CA"),
    ):
        with Listener(over_tls(trust.context(certificate), House().serve)) as listener:
            assert refusal(trust.login(listener), listener) == f"its certificate is not trusted: {why}"


# --- a server that does not want us ---------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_does_not_know_our_certificate(trust: Trust, version: ssl.TLSVersion) -> None:
    """In TLS 1.3 the client has finished its handshake by then (RFC 8446 §4.4.2.4)."""
    context = trust.context(ca=trust.servers.ca_file)
    context.maximum_version = version
    with Listener(over_tls(context, House().serve)) as listener:
        for _ in range(5):  # as alert, or too late for it
            wrong = refusal(trust.login(listener), listener)
            assert wrong.endswith(f": {UNKNOWN}"), wrong
            assert wrong.startswith(("the server refuses us: unknown ca", "the server has closed"))


def test_a_server_that_closes_because_we_are_no_client_of_it(trust: Trust) -> None:
    with Listener(over_tls(trust.context(), lambda tls: None)) as listener:
        for _ in range(5):
            wrong = refusal(trust.login(listener), listener)
            assert wrong == f"the server has closed the connection: {UNKNOWN}"


def test_a_server_that_closes_in_the_handshake(trust: Trust) -> None:
    with Listener(lambda accepted: None) as listener:
        assert refusal(trust.login(listener), listener) == f"the server has closed the connection: {UNKNOWN}"


def test_a_server_that_speaks_another_protocol_on_tls(trust: Trust) -> None:
    """RFC 7301 §3.2.  There is nothing wrong with our certificate."""
    with Listener(lambda accepted: accepted.sendall(bytes((21, 3, 3, 0, 2, 2, 120)))) as listener:
        assert refusal(trust.login(listener), listener) == "the server refuses us: no application protocol"


def test_a_server_that_speaks_no_tls(trust: Trust) -> None:
    with Listener(lambda accepted: accepted.sendall(b"220 mail.example.org ESMTP\r\n")) as listener:
        assert refusal(trust.login(listener), listener) == "no TLS: wrong version number"


# --- a server that goes wrong later ---------------------------------------------------------------


def test_a_connection_that_is_closed_between_two_rounds(trust: Trust) -> None:
    house = House()

    def serve(tls: ssl.SSLSocket) -> None:
        tls.sendall(house.answer(received(tls)))

    with Listener(over_tls(trust.context(), serve)) as listener:
        ran = trust.login(listener)
    assert refusal(ran, listener) == "the server has closed the connection"
    assert packets_shown(ran) == ["→ Access-Request", "← Access-Challenge", "→ Access-Request"]


def test_a_handshake_that_does_not_come(trust: Trust) -> None:
    with Listener(lambda accepted: everything(accepted)) as listener:
        wrong = refusal(trust.login(listener, "--timeout", "0.1"), listener)
    assert wrong == "no TLS handshake in 0.3 s"


def test_a_reply_that_does_not_come_is_waited_for_and_not_asked_for_again(trust: Trust) -> None:
    """RFC 6613 §2.6.1: a packet is not sent again on the same connection."""
    got: list[bytes] = []

    def serve(tls: ssl.SSLSocket) -> None:
        got.extend(iter(lambda: received(tls), b""))

    with Listener(over_tls(trust.context(), serve)) as listener:
        wrong = refusal(trust.login(listener, "--timeout", "0.3"), listener)
    assert wrong == "no reply in 0.9 s: is the secret the same on both sides?"
    assert len(got) == 1


def test_a_reply_that_comes_too_slowly(trust: Trust) -> None:
    """The time is that of the whole packet, however many pieces there are."""
    gone = threading.Event()

    def serve(tls: ssl.SSLSocket) -> None:
        for octet in House().answer(received(tls)):
            with suppress(OSError):
                tls.sendall(bytes((octet,)))
            gone.wait(0.05)

    with Listener(over_tls(trust.context(), serve)) as listener:
        wrong = refusal(trust.login(listener, "--timeout", "0.3"), listener)
        gone.set()
    assert wrong.startswith("no reply in 0.9 s")


def test_what_is_no_reply(trust: Trust) -> None:
    """RFC 6613 §2.6.4: after octets that are no packet nobody knows where the next one begins."""
    request = bytes((1, 0, 0, 20)) + bytes(16)
    replies: dict[str, Callable[[bytes], bytes]] = {
        "malformed": lambda _: b"HTTP/1.1 400 Bad Request\r\n",
        "code unexpected": lambda packet: bytes((52, packet[1])) + packet[2:],
        "identifier of another": lambda packet: reply(bytes((1, packet[1] ^ 1)) + packet[2:], "Access-Accept"),
        "no message authenticator": lambda packet: bytes((2, packet[1])) + request[2:],
        "forged": lambda packet: reply(packet, "Access-Accept", secret=b"another"),
    }
    for why, made in replies.items():

        def serve(tls: ssl.SSLSocket, made: Callable[[bytes], bytes] = made) -> None:
            tls.sendall(made(received(tls)))
            everything(tls)

        with Listener(over_tls(trust.context(), serve)) as listener:
            assert refusal(trust.login(listener), listener) == f"the reply cannot be trusted: {why}"


@pytest.mark.parametrize("length", [0, 19, 4097, 65535])
def test_a_length_that_no_packet_has(trust: Trust, length: int) -> None:
    """RFC 2865 §3.  It is not waited for so many octets."""

    def serve(tls: ssl.SSLSocket) -> None:
        tls.sendall(bytes((2, received(tls)[1])) + length.to_bytes(2, "big") + bytes(16))
        everything(tls)

    with Listener(over_tls(trust.context(), serve)) as listener:
        assert refusal(trust.login(listener), listener) == "the reply cannot be trusted: malformed"


def test_half_a_reply(trust: Trust) -> None:
    def serve(tls: ssl.SSLSocket) -> None:
        tls.sendall(House().answer(received(tls))[:30])

    with Listener(over_tls(trust.context(), serve)) as listener:
        assert refusal(trust.login(listener), listener).startswith("the server has closed the connection")


def everything(accepted: socket.socket) -> None:
    """Take what comes until the client ends it."""
    while accepted.recv(4096):
        pass


# --- files ----------------------------------------------------------------------------------------


def taken_apart(file: Path, folder: Path) -> tuple[Path, Path]:
    """The certificate and the key of a file that has both."""
    key, certificate = folder / "its.key", folder / "its.pem"
    text = file.read_text()
    at = text.index("-----BEGIN CERTIFICATE")
    key.write_text(text[:at])
    certificate.write_text(text[at:])
    return certificate, key


def unusable(*files: str | Path) -> str:
    """What is said of these files, before anybody is connected to."""
    return run_cli("login", "u1", "--radsec", "--server", f"127.0.0.1:{free_port()}", *files).line(1)


@pytest.mark.parametrize("option", ["--certificate", "--key", "--ca"])
def test_a_file_that_cannot_be_read(trust: Trust, tmp_path: Path, option: str) -> None:
    given = dict(
        zip(("--certificate", "--key", "--ca"), (*[trust.client] * 2, trust.servers.ca_file), strict=True)
    )
    for file, why in (
        (tmp_path / "none.pem", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (trust.client / "x", "Not a directory"),
    ):
        files = [each for pair in {**given, option: file}.items() for each in pair]
        assert unusable(*files) == f"radius-mfa: {option} {file}: {why}"


@pytest.mark.parametrize("octets", [b"", b"no PEM\n", bytes(range(256)), b"CERTIFICATE", b"PRIVATE KEY"])
def test_a_file_with_something_else_in_it(trust: Trust, tmp_path: Path, octets: bytes) -> None:
    ca, odd = trust.servers.ca_file, tmp_path / "odd.pem"
    if octets.isupper():
        octets = b"-----BEGIN %b-----\nAAAA\n-----END %b-----\n" % (octets, octets)
    odd.write_bytes(octets)
    line = unusable("--certificate", trust.client, "--ca", odd)
    assert line == f"radius-mfa: --ca {odd}: no certificate in PEM"
    line = unusable("--certificate", odd, "--key", trust.client, "--ca", ca)
    assert line == f"radius-mfa: --certificate {odd}: no certificate in PEM"
    line = unusable("--certificate", trust.client, "--key", odd, "--ca", ca)
    assert line == f"radius-mfa: --key {odd}: no private key in PEM"


def test_a_certificate_without_a_key(trust: Trust, tmp_path: Path) -> None:
    certificate, _ = taken_apart(trust.client, tmp_path)
    line = unusable("--certificate", certificate, "--ca", trust.servers.ca_file)
    assert line == f"radius-mfa: --certificate {certificate}: no private key in PEM; --key names its file"


def test_the_key_of_another_certificate(trust: Trust) -> None:
    line = unusable("--certificate", trust.client, "--key", trust.server, "--ca", trust.servers.ca_file)
    assert line == f"radius-mfa: --key {trust.server}: not the key of this certificate"


def test_a_certificate_that_openssl_will_not_take(trust: Trust, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw")])
    began = datetime(2026, 1, 1, tzinfo=UTC)
    weak = x509.CertificateBuilder(name, name, key.public_key(), 1, began, began + timedelta(days=1000))
    file = tmp_path / "weak.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + weak.sign(key, SHA256()).public_bytes(Encoding.PEM))
    line = unusable("--certificate", file, "--ca", trust.servers.ca_file)
    assert line == f"radius-mfa: --certificate {file}: ee key too small"


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_not_asked_a_password_for(trust: Trust, tmp_path: Path, form: PrivateFormat) -> None:
    _, file = taken_apart(trust.client, tmp_path)
    key = load_pem_private_key(file.read_bytes(), None)
    file.write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"password")))
    line = unusable("--certificate", trust.client, "--key", file, "--ca", trust.servers.ca_file)
    assert line == f"radius-mfa: --key {file}: the key is encrypted; give one that is not"


# --- what is written ------------------------------------------------------------------------------

SERVER = ("--server", "127.0.0.1:2083")


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ((*SERVER, "--radsec"), "--radsec needs --certificate and --ca as well"),
        ((*SERVER, "--radsec", "--ca", "x"), "--radsec needs --certificate as well"),
        ((*SERVER, "--radsec", "--certificate", "x", "--key", "x"), "--radsec needs --ca as well"),
        ((*SERVER, "--radsec", "--psk", f"gw:{KEY.hex()}", "--ca", "x"), "--psk and --ca do not go together"),
        ((*SERVER, "--radsec", "--psk", "", "--server-name", "x"), "--psk and --server-name do not go together"),
        (("--server", "radius", "--radsec", "--certificate", "x", "--ca", "x"), "write HOST:PORT"),
        *(
            ((*SERVER, "--secret", "x", option, "x"), f"{option} belongs to --radsec")
            for option in ("--certificate", "--key", "--ca", "--server-name", "--psk")
        ),
    ],
)
def test_options_that_do_not_go_together_are_2(options: tuple[str, ...], wrong: str) -> None:
    line = run_cli("login", "u1", *options).line(2)
    assert line.startswith("radius-mfa login: ")
    assert wrong in line


@pytest.mark.parametrize("name", ["", ".example.org", "a..b", "x" * 300, "\udcff"])
def test_a_name_that_no_server_can_have_is_2(trust: Trust, name: str) -> None:
    line = run_cli("login", "u1", "--radsec", *SERVER, *trust.options, "--server-name", name).line(2)
    assert "not a name a server can have" in line


def with_listeners(config: Path, *listeners: str) -> Path:
    """The configuration, listening there instead."""
    text = config.read_text()
    config.write_text(text.replace('  - udp: "[::1]:0"\n', "".join(f"  - {each}\n" for each in listeners)))
    return config


@pytest.mark.parametrize(
    ("host", "written"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("::1", "[::]")]
)
def test_without_a_server_it_is_the_first_radsec_listener(
    trust: Trust, config: Path, host: str, written: str
) -> None:
    context = trust.context(trust.servers.certify(host))
    with Listener(over_tls(context, House().serve), host) as listener:
        files = f"certificate: {trust.server}, key: {trust.server}, client_ca: {trust.clients.ca_file}"
        radsec = f'{{radsec: "{written}:{listener.port}", {files}}}'
        path = with_listeners(config, "udp: 127.0.0.1:1", radsec)
        credentials = ("--password", "sesame", "--answer", "492039")
        run_cli("--config", path, "login", "alice", "--radsec", *trust.options, *credentials).worked()


def test_without_a_server_and_a_listener_of_that_kind_it_is_2(trust: Trust, config: Path) -> None:
    line = run_cli("--config", config, "login", "u1", "--radsec", *trust.options).line(2)
    assert "no radsec listener" in line
    files = f"certificate: {trust.server}, key: {trust.server}, client_ca: {trust.clients.ca_file}"
    path = with_listeners(config, f"{{radsec: 127.0.0.1:0, {files}}}")
    for more in ((), ("--server", "127.0.0.1:1812")):
        assert "no udp listener" in run_cli("--config", path, "login", "u1", *more).line(2)


# --- a key instead of certificates ----------------------------------------------------------------


@pytest.fixture
def by_psk() -> Iterator[Listener]:
    """A server that knows `gw` by its key (RFC 9813), where Python can."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("PSK")
    if HAS_PSK:
        setter: Any = context  # Python 3.11 has no such method
        setter.set_psk_server_callback(lambda identity: KEY if identity == "gw:1" else b"", "radius-mfa")
    with Listener(over_tls(context, House().serve)) as listener:
        yield listener


def test_a_key_instead_of_certificates_where_python_can(by_psk: Listener) -> None:
    """The identity may have colons in it (RFC 9813 has no rule against them)."""
    ran = login(by_psk, "--psk", f"gw:1:{KEY.hex()}")
    if HAS_PSK:
        assert re.match("TLSv1.3 .*, with a shared key$", ran.worked().out.splitlines()[0])
    else:
        assert ran.line(2).startswith("radius-mfa login: --psk needs Python 3.13 or newer.")


@pytest.mark.parametrize(
    "psk", ["gw", "gw:", f":{KEY.hex()}", f"gw:{KEY[:15].hex()}", f"gw:{KEY.hex()}0", "gw:" + "x" * 32]
)
def test_what_is_no_key_is_2(by_psk: Listener, psk: str) -> None:
    assert ("write IDENTITY:HEX" if HAS_PSK else "3.13") in login(by_psk, "--psk", psk).line(2)
