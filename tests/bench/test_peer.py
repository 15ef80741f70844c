"""The peer at a server of EAP-TTLS that does what FreeRADIUS does not: asks again, sends its tickets in time."""

from collections.abc import Callable
from pathlib import Path

import pytest
from OpenSSL import SSL

from bench.eap import packets
from bench.eap.certificates import certify
from bench.eap.packets import Packet
from bench.eap.peer import Login, Method, Peer

_READ = 16_384


class Tunnel:
    """The server's end, with one peer; every message is one packet."""

    def __init__(self, context: SSL.Context, peer: Peer) -> None:
        self.connection = SSL.Connection(context)
        self.connection.set_accept_state()
        self._peer = peer
        self._identifier = 0

    def send(self, data: bytes = b"", *, start: bool = False) -> bytes:
        """A request with this for the application, and what there is of the handshake; what comes back inside."""
        if data:
            self.connection.sendall(data)
        flags = packets.START if start else 0
        self._identifier += 1
        body = bytes((flags,)) + _all_of(self.connection.bio_read)
        request = Packet(packets.REQUEST, self._identifier, packets.TTLS, body)
        answered = packets.fragment_of(packets.packet_of(self._peer.answer(request.octets())).data)
        if answered.data:
            self.connection.bio_write(answered.data)
        return _all_of(self._read)

    def _read(self, octets: int) -> bytes:
        self.connection.do_handshake()
        return self.connection.recv(octets)

    def end(self) -> SSL.Session | None:
        self._peer.answer(Packet(packets.SUCCESS, self._identifier).octets())
        return self._peer.session

    def is_at_the_same_keys(self, *, context: bytes | None, label: bytes) -> bool:
        return self.connection.export_keying_material(label, 128, context)[:64] == self._peer.msk


def _all_of(read: Callable[[int], bytes]) -> bytes:
    found = b""
    try:
        while True:
            found += read(_READ)
    except SSL.WantReadError:
        return found


@pytest.fixture
def context(tmp_path: Path) -> SSL.Context:
    certificate, key = certify(tmp_path, "ECDSA P-256")
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate_file(str(certificate))
    context.use_privatekey_file(str(key))
    context.set_session_id(b"peer")
    return context


def login(tls: str) -> Login:
    return Login(Method.TTLS_PAP, b"u1", (b"pw1",), tls=tls, fragment=_READ)


def test_with_tls_1_3_a_ticket_after_the_password_is_good_for_a_resumption(
    context: SSL.Context,
) -> None:
    """RFC 9190 §2.5: and one octet of application data says that the login is over."""
    peer = Peer(login("1.3"))
    tunnel = Tunnel(context, peer)
    assert tunnel.send(start=True) == b""
    assert tunnel.send() == packets.pap(b"u1", b"pw1")
    assert tunnel.send() == b""  # the tickets
    session = tunnel.end()

    again = Peer(login("1.3"), session)
    resumed = Tunnel(context, again)
    assert resumed.send(start=True) == b""
    assert resumed.send() == b""
    assert resumed.send(b"\0") == b""
    resumed.end()

    assert (peer.is_resumed, peer.is_protected) == (False, False)
    assert (again.is_resumed, again.is_protected, again.is_accepted) == (True, True, True)
    label = b"EXPORTER_EAP_TLS_Key_Material"
    assert resumed.is_at_the_same_keys(label=label, context=bytes((packets.TTLS,)))


def test_a_server_that_waits_after_a_resumption_is_told_who_it_is(context: SSL.Context) -> None:
    """RFC 5281 §7.6: it may want the inner login all the same."""
    tunnel = Tunnel(context, Peer(login("1.2")))
    assert tunnel.send(start=True) == b""
    assert tunnel.send() == b""  # its Finished is still to come
    assert tunnel.send() == packets.pap(b"u1", b"pw1")
    session = tunnel.end()

    again = Peer(login("1.2"), session)
    resumed = Tunnel(context, again)
    assert resumed.send(start=True) == b""
    assert resumed.send() == b""
    assert again.is_resumed
    assert resumed.send() == packets.pap(b"u1", b"pw1")
    assert resumed.is_at_the_same_keys(label=b"ttls keying material", context=None)
