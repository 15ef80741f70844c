"""TLS to the directory: verified or not at all (RFC 4513 §3), from the first octet or by StartTLS."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.core.errors import ConfigurationError, DirectoryError
from radius_mfa.core.ports import Password
from radius_mfa.directories.ldap_server import LdapAddress
from radius_mfa.directories.ldap_tls import trust, why
from tests.directories.support import (
    BIND,
    EXTENDED,
    Run,
    always,
    directory,
    login,
    message,
    peer,
    result,
    soon,
    tlv,
)
from tests.peers.certificates import Authority
from tests.peers.slapd import Slapd

EXTENDED_REQUEST = 0x77
PATIENCE = 30.0  # seconds


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[Slapd]:
    """A directory that speaks TLS, by its address and as `localhost`."""
    with Slapd(users=20, certificate=authority.certify("127.0.0.1")) as running:
        yield running


def at(slapd: Slapd, way: str, host: str = "127.0.0.1") -> tuple[LdapAddress, dict[str, Any]]:
    """Where to connect and how."""
    usual = {"bind_password": slapd.bind_password.encode(), "start_tls": way == "StartTLS"}
    port = slapd.tls_port if way == "LDAPS" else slapd.port
    return LdapAddress(host, port, tls=way == "LDAPS"), usual


WAYS = pytest.mark.parametrize("way", ["LDAPS", "StartTLS"])


@WAYS
def test_a_login_where_the_certificate_is_right(run: Run, secure: Slapd, authority: Authority, way: str) -> None:
    async def play() -> None:
        address, settings = at(secure, way)
        async with directory(address, ca_file=authority.ca_file, **settings) as under_test:
            assert await login(under_test, "u1", "pw1") is Password.RIGHT
            assert await login(under_test, "u1", "pw2") is Password.WRONG

    run(play)


@WAYS
def test_twenty_logins_at_once(run: Run, secure: Slapd, authority: Authority, way: str) -> None:
    async def play() -> None:
        address, settings = at(secure, way)
        async with directory(address, ca_file=authority.ca_file, **settings) as under_test:
            ended = await asyncio.gather(*(login(under_test, f"u{n}", f"pw{n}") for n in range(20)))
            assert set(ended) == {Password.RIGHT}

    run(play)


async def refusal(address: LdapAddress, **settings: Any) -> str:
    """Why nobody can be looked up there."""
    async with directory(address, **settings) as under_test:
        with pytest.raises(DirectoryError) as failure:
            await under_test.find("u1", soon())
    return re.sub(r"^ldaps?://[^ ]+: ", "", str(failure.value))


@WAYS
def test_a_certificate_that_nobody_we_know_has_signed(run: Run, secure: Slapd, tmp_path: Path, way: str) -> None:
    others = Authority(tmp_path / "others")

    async def play() -> None:
        address, settings = at(secure, way)
        for ca_file in (others.ca_file, None):
            said = await refusal(address, ca_file=ca_file, **settings)
            assert re.fullmatch(
                r"its certificate is not trusted: (unable to get local issuer certificate|"
                r"unable to verify the first certificate|self.signed certificate in certificate chain)"
                r"; ca_file names the CA",
                said,
            )

    run(play)


@WAYS
def test_a_certificate_for_another_name(run: Run, secure: Slapd, authority: Authority, way: str) -> None:
    async def play() -> None:
        address, settings = at(secure, way, "localhost")
        said = await refusal(address, ca_file=authority.ca_file, **settings)
        assert said == (
            "its certificate is not for this name: Hostname mismatch, certificate is not valid for 'localhost'"
        )

    run(play)


@WAYS
def test_a_certificate_that_has_expired(run: Run, authority: Authority, way: str) -> None:
    async def play() -> None:
        with Slapd(users=1, certificate=authority.certify("127.0.0.1", expired=True)) as late:
            address, settings = at(late, way)
            said = await refusal(address, ca_file=authority.ca_file, **settings)
            assert said == "its certificate is not trusted: certificate has expired"

    run(play)


def test_the_name_is_sent_for_a_server_of_many_names(run: Run, authority: Authority) -> None:
    """Server Name Indication (RFC 6066 §3)."""
    named: list[str | None] = []

    async def play() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(authority.certify("localhost"))
        context.sni_callback = lambda _, name, __: named.append(name)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await refusal(LdapAddress("localhost", port, tls=True), ca_file=authority.ca_file)

    run(play)
    assert set(named) == {"localhost"}


def test_a_server_that_speaks_no_tls(run: Run, slapd: Slapd, authority: Authority) -> None:
    async def play() -> None:
        said = await refusal(LdapAddress(*slapd.address, tls=True), ca_file=authority.ca_file)
        assert re.fullmatch("(no TLS|no connection): .+", said)

    run(play)


def test_a_server_that_never_shakes_hands_is_given_up(run: Run, authority: Authority) -> None:
    async def play() -> None:
        held: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
        address = LdapAddress("127.0.0.1", server.sockets[0].getsockname()[1], tls=True)
        said = await refusal(address, ca_file=authority.ca_file, connect_timeout=0.2)
        assert said == "no connection within 0.2 s"
        for writer in held:
            writer.close()
        server.close()
        await server.wait_closed()

    run(play)


@WAYS
def test_a_server_that_stands_still_does_not_keep_us_from_closing(
    run: Run, secure: Slapd, authority: Authority, way: str
) -> None:
    """The end of TLS is a word and an answer to it (RFC 8446 §6.1), and nobody answers here."""

    async def play() -> None:
        address, settings = at(secure, way)
        loop = asyncio.get_running_loop()
        async with directory(address, ca_file=authority.ca_file, connect_timeout=0.3, **settings) as under_test:
            for left in reversed(range(10)):  # closing takes as long, so it is short: a busy machine may miss it
                try:
                    assert await login(under_test, "u1", "pw1") is Password.RIGHT
                    break
                except DirectoryError:
                    if not left:
                        raise
            os.kill(secure.pid, signal.SIGSTOP)
            began = loop.time()
        assert loop.time() - began < 5

    try:
        run(play)
    finally:
        os.kill(secure.pid, signal.SIGCONT)


# --- StartTLS -------------------------------------------------------------------------------------


def test_start_tls_that_is_refused_is_an_error_and_nothing_is_said_in_clear(
    run: Run, authority: Authority
) -> None:
    """RFC 4511 §4.14.2: the requester decides; and we never go on without."""

    async def play() -> None:
        async with peer(always(lambda number: result(number, EXTENDED, 2, b"unsupported"))) as server:
            said = await refusal(LdapAddress(*server.address), start_tls=True, ca_file=authority.ca_file)
            assert said == "StartTLS was refused: protocolError (2): unsupported"
            assert {asked.operation for asked in server.asked} == {EXTENDED_REQUEST}
            (asked, *_) = server.asked
            assert asked.octets.endswith(b"\x80\x161.3.6.1.4.1.1466.20037")

    run(play)


def test_start_tls_that_somebody_in_between_strips_is_an_error(run: Run, authority: Authority) -> None:
    """An answer of success and no TLS behind it."""

    async def play() -> None:
        async with peer(always(lambda number: result(number, EXTENDED))) as server:
            address = LdapAddress(*server.address)
            said = await refusal(address, start_tls=True, ca_file=authority.ca_file, connect_timeout=0.5)
            assert re.fullmatch(r"(no connection|no TLS).*", said)
            assert BIND not in {asked.operation for asked in server.asked}

    run(play)


def test_what_is_injected_in_clear_after_the_answer_ends_the_connection(run: Run, authority: Authority) -> None:
    """Octets that came before TLS must not be taken for some that came under it."""

    def injected(number: int) -> bytes:
        forged = message(number + 1, 0x61, tlv(0x0A, b"\0"), tlv(0x04), tlv(0x04))
        return result(number, EXTENDED) + forged

    async def play() -> None:
        async with peer(always(injected)) as server:
            said = await refusal(LdapAddress(*server.address), start_tls=True, ca_file=authority.ca_file)
            assert said == "the server sent more in clear text than its answer to StartTLS"
            assert BIND not in {asked.operation for asked in server.asked}

    run(play)


def test_what_comes_in_clear_a_moment_later_ends_it_too(run: Run, authority: Authority) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(result(1, EXTENDED))
        await reader.readexactly(1)  # TLS has begun
        writer.write(message(2, 0x61, tlv(0x0A, b"\0"), tlv(0x04), tlv(0x04)))
        await reader.read()
        writer.close()

    async def play() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            address = LdapAddress(*server.sockets[0].getsockname())
            said = await refusal(address, start_tls=True, ca_file=authority.ca_file)
            assert said.startswith("no TLS: ")

    run(play)


def test_a_connection_that_was_being_made_when_the_directory_closed_is_never_used(
    run: Run, authority: Authority
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.certify("127.0.0.1"))
    accepted, go_on = threading.Event(), threading.Event()

    def heard_by(listener: socket.socket) -> bytes:
        plain, _ = listener.accept()
        accepted.set()
        assert go_on.wait(PATIENCE)
        with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            return connection.recv(100)
        return b""

    async def play() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            heard = asyncio.create_task(asyncio.to_thread(heard_by, listener))
            address = LdapAddress("127.0.0.1", listener.getsockname()[1], tls=True)
            async with directory(address, ca_file=authority.ca_file) as under_test:
                waiting = asyncio.create_task(under_test.find("alice", soon()))
                await asyncio.to_thread(accepted.wait, PATIENCE)
                await under_test.close()
                go_on.set()
                with pytest.raises(DirectoryError, match="closed by us"):
                    await waiting
            assert await heard == b""

    run(play)


# --- whom to trust --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file or directory"), ("no certificate", "no certificates in PEM")]
)
def test_a_ca_file_that_is_none_is_refused_at_once(tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigurationError, match=rf"^ca_file: {path}: {why}$"):
        trust(path)


def test_nothing_older_than_tls_1_2_is_spoken() -> None:
    context = trust(None)

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_error_of_tls_is_one_line() -> None:
    assert why(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version")) == "no TLS: the handshake failed"
    assert why(ConnectionRefusedError(111, "refused")) == "no connection: [Errno 111] refused"
    assert why(ConnectionResetError()) == "no connection: the server hung up"
