"""TLS over memory: what it is made with, the keys it gives, the sessions it takes up, how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_key
from OpenSSL import SSL

from radius_mfa.eap.packet import Type
from radius_mfa.eap.tunnel import Keys, Terms, Tunnel, TunnelError
from tests.eap.support import Client, terms_of
from tests.peers.certificates import Authority

TLS = ("1.2", "1.3")


def opened(terms: Terms, tls: str = "1.2", session: SSL.Session | None = None) -> tuple[Tunnel, Client]:
    """Both ends, the handshake over."""
    server, client = terms.tunnel(), Client(tls, None, session)
    client.take(b"")
    while message := client.records():
        server.take(message)
        client.take(server.outgoing())
    assert (server.is_open, client.is_up) == (True, True)
    return server, client


@pytest.mark.parametrize("tls", TLS)
def test_what_is_said_within_is_heard_at_the_other_end(certificate: Path, tls: str) -> None:
    server, client = opened(terms_of(certificate), tls)
    client.put(b"a name")
    server.take(client.records())
    server.write(b"an answer")

    assert server.read() == b"a name"
    assert client.take(server.outgoing()) == b"an answer"
    assert (server.read(), server.outgoing()) == (b"", b"")


@pytest.mark.parametrize("kind", [Type.TTLS, Type.PEAP])
@pytest.mark.parametrize("tls", TLS)
def test_both_ends_have_the_same_keys(certificate: Path, tls: str, kind: Type) -> None:
    """RFC 5281 §8, [MS-PEAP] §3.1.5.5.1, RFC 9427 §2.1; the name has its method first (RFC 5247 §1.4)."""
    server, client = opened(terms_of(certificate), tls)
    keys = server.keys(kind)

    assert keys.msk == client.msk(kind)
    assert (len(keys.msk), len(keys.name), keys.name[0]) == (64, 65, kind)
    assert keys.msk.hex() not in repr(keys)
    assert keys != opened(terms_of(certificate), tls)[0].keys(kind)


def test_over_tls_1_2_the_name_of_the_keys_is_both_randoms(certificate: Path) -> None:
    """RFC 5281 §8.1."""
    server, client = terms_of(certificate).tunnel(), Client("1.2", None)
    client.take(b"")
    hello = client.records()
    server.take(hello)
    answer = server.outgoing()
    client.take(answer)
    server.take(client.records())

    # Record header 5, handshake header 4, version 2 (RFC 5246 §6.2.1, §7.4, §7.4.1.2).
    assert server.keys(Type.TTLS).name == bytes((Type.TTLS,)) + hello[11:43] + answer[11:43]


@pytest.mark.parametrize(
    ("versions", "spoken", "refused"), [(("1.2",), "1.2", "1.3"), (("1.3",), "1.3", "1.2"), (TLS, "1.3", "")]
)
def test_only_what_is_configured_is_spoken(
    certificate: Path, versions: tuple[str, ...], spoken: str, refused: str
) -> None:
    terms = terms_of(certificate, *versions)
    server, _ = opened(terms, spoken)
    assert server.is_tls13 is (spoken == "1.3")

    if refused:
        client = Client(refused, None)
        client.take(b"")
        with pytest.raises(TunnelError, match=r"unsupported protocol|version"):
            terms.tunnel().take(client.records())


# --- sessions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", TLS)
def test_a_session_that_was_kept_is_taken_up_by_its_name(certificate: Path, tls: str) -> None:
    terms = terms_of(certificate)
    server, client = opened(terms, tls)
    assert server.taken_up is None
    name = server.keep()

    again, resumed = opened(terms, tls, client.close())
    assert resumed.is_resumed
    assert again.taken_up == name
    assert again.keys(Type.TTLS).msk == resumed.msk(Type.TTLS) != server.keys(Type.TTLS).msk


@pytest.mark.parametrize("tls", TLS)
def test_a_session_may_be_taken_up_time_and_again(certificate: Path, tls: str) -> None:
    terms = terms_of(certificate)
    session: SSL.Session | None = None
    name: bytes | None = None
    for _ in range(4):
        server, client = opened(terms, tls, session)
        assert server.taken_up == name
        name, session = server.keep(), client.close()


def test_a_session_that_was_not_kept_is_forgotten(certificate: Path) -> None:
    terms = terms_of(certificate, "1.2")
    server, client = opened(terms, "1.2")
    session = client.close()
    del server

    again, whole = opened(terms, "1.2", session)
    assert (again.taken_up, whole.is_resumed) == (None, False)


def test_with_tls_1_3_what_was_not_kept_can_be_taken_up_by_a_name_that_nobody_knows(certificate: Path) -> None:
    """It is in a ticket; what it is worth, `eap.sessions` says."""
    terms = terms_of(certificate)
    _, client = opened(terms, "1.3")
    again, _ = opened(terms, "1.3", client.close())
    assert again.taken_up is not None


@pytest.mark.parametrize("tls", TLS)
def test_where_sessions_have_no_lifetime_none_is_taken_up(certificate: Path, tls: str) -> None:
    terms = terms_of(certificate, lifetime=0)
    server, client = opened(terms, tls)
    server.keep()

    again, whole = opened(terms, tls, client.close())
    assert (again.taken_up, whole.is_resumed) == (None, False)


@pytest.mark.parametrize("tls", TLS)
def test_another_servers_session_is_not_taken_up(certificate: Path, tls: str) -> None:
    server, client = opened(terms_of(certificate), tls)
    server.keep()

    again, whole = opened(terms_of(certificate), tls, client.close())
    assert (again.taken_up, whole.is_resumed) == (None, False)


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("first", [0, 1, 5, 40])
def test_in_whatever_pieces_it_is_heard_no_new_session_is_one_taken_up(
    certificate: Path, tls: str, first: int
) -> None:
    """A message need not be a whole one of TLS's: what was asked of OpenSSL too early must not be mistaken."""
    server, client = terms_of(certificate).tunnel(), Client(tls, None)
    client.take(b"")
    while message := client.records():
        server.take(message[:first])
        server.take(message[first:])
        client.take(server.outgoing())

    assert server.is_open
    assert server.taken_up is None


def test_a_session_taken_up_in_pieces_is_either_known_or_none(certificate: Path) -> None:
    """Then the name and a text are wanted, as of anybody."""
    terms = terms_of(certificate)
    server, client = opened(terms, "1.2")
    name, session = server.keep(), client.close()
    again, resumed = terms.tunnel(), Client("1.2", None, session)
    resumed.take(b"")
    hello = resumed.records()
    again.take(hello[:40])
    again.take(hello[40:])
    resumed.take(again.outgoing())
    again.take(resumed.records())

    assert resumed.is_resumed
    assert again.taken_up in {name, None}


# --- how it ends ------------------------------------------------------------------------------------


def test_what_is_no_tls_says_why(certificate: Path) -> None:
    server = terms_of(certificate).tunnel()
    with pytest.raises(TunnelError, match=r"http request|wrong version number|record"):
        server.take(b"GET / HTTP/1.0\r\n\r\n")

    assert not server.is_open


def test_a_supplicant_that_does_not_know_who_signed_says_so(certificate: Path, tmp_path: Path) -> None:
    """RFC 5246 §7.2.2: unknown_ca."""
    stranger = Authority(tmp_path / "stranger")
    server, client = terms_of(certificate).tunnel(), Client("1.2", stranger.ca_file)
    client.take(b"")
    server.take(client.records())
    with pytest.raises(SSL.Error):
        client.take(server.outgoing())

    with pytest.raises(TunnelError, match=r"^the supplicant says: unknown ca$"):
        server.take(client.records())


@pytest.mark.parametrize("tls", TLS)
def test_a_tunnel_that_is_closed_says_so(certificate: Path, tls: str) -> None:
    server, client = opened(terms_of(certificate), tls)
    server.take(client.closing())

    with pytest.raises(TunnelError, match=r"^the supplicant has closed the tunnel$"):
        server.read()


def test_no_handshake_is_begun_anew_within(certificate: Path) -> None:
    """RFC 5746 §5; TLS 1.3 has none any more."""
    server, client = opened(terms_of(certificate))
    keys = server.keys(Type.TTLS)
    server.take(client.negotiating_anew())

    assert server.read() == b""
    assert server.keys(Type.TTLS) == keys
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.take(server.outgoing())


@pytest.mark.parametrize("tls", TLS)
def test_octets_that_do_not_decrypt_say_so(certificate: Path, tls: str) -> None:
    server, client = opened(terms_of(certificate), tls)
    client.put(b"a name")
    record = client.records()
    server.take(record[:-1] + bytes((record[-1] ^ 1,)))

    with pytest.raises(TunnelError, match="record"):
        server.read()


@pytest.mark.parametrize("tls", TLS)
def test_nobody_says_more_than_a_record_at_once(certificate: Path, tls: str) -> None:
    server, client = opened(terms_of(certificate), tls)
    client.put(bytes(16_384))
    server.take(client.records())
    assert len(server.read()) == 16_384

    client.put(bytes(16_385))
    server.take(client.records())
    with pytest.raises(TunnelError, match=r"^more than a record at once$"):
        server.read()


# --- what it is made with -----------------------------------------------------------------------------


def of_no_use_for_signatures(certificate: Path, folder: Path) -> tuple[Path, Path]:
    """Which TLS would know."""
    key, file = x25519.X25519PrivateKey.generate(), folder / "x25519.key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, file


def without_a_key(certificate: Path, folder: Path) -> tuple[Path, Path]:
    file = folder / "certificate.pem"
    file.write_bytes(certificate.read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2])
    return certificate, file


def spoilt(_: Path, folder: Path) -> tuple[Path, Path]:
    broken = folder / "broken.pem"
    broken.write_text("no certificate")
    return broken, broken


def of_another(certificate: Path, folder: Path) -> tuple[Path, Path]:
    return certificate, Authority(folder / "another").certify("another.example.org")


def locked(certificate: Path, folder: Path) -> tuple[Path, Path]:
    """With a passphrase, which OpenSSL would ask the terminal for."""
    key, locked = load_key(certificate.read_bytes(), None), folder / "locked.key"
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a passphrase"))
    )
    return certificate, locked


def missing(certificate: Path, folder: Path) -> tuple[Path, Path]:
    return certificate, folder / "nothing"


@pytest.mark.parametrize("files", [spoilt, of_another, locked, missing, without_a_key, of_no_use_for_signatures])
def test_what_makes_no_tunnel_is_refused_in_a_few_words(
    certificate: Path, tmp_path: Path, files: Callable[[Path, Path], tuple[Path, Path]]
) -> None:
    with pytest.raises(TunnelError) as refused:
        Terms(*files(certificate, tmp_path), ("1.2",), 0)

    words = str(refused.value)
    assert 5 < len(words) < 200
    assert "\n" not in words


def test_keys_are_compared_by_what_they_are() -> None:
    assert Keys(bytes(64), b"\x15") == Keys(bytes(64), b"\x15") != Keys(bytes(64), b"\x19")
