"""Logins over TLS (RFC 6614), on connections made by hand: packets, replies, duplicates, and the end."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from time import monotonic

import pytest

from tests.end_to_end.nas import (
    ACCEPT,
    CALLING_STATION_ID,
    CHALLENGE,
    CLASS,
    MESSAGE_AUTHENTICATOR,
    PROXY_STATE,
    REJECT,
    STATUS_SERVER,
    USER_NAME,
    USER_PASSWORD,
    RawReply,
)
from tests.end_to_end.radsec import CLOSED, SECRET, RadSecNas
from tests.end_to_end.radsec_site import (
    HOSTS,
    ONE_FIELD,
    OTHER,
    PATIENT,
    RadSecSite,
    counted,
    is_served,
    until_counted,
    where,
)
from tests.end_to_end.site import REJECT_DELAY, SECOND, Account, Site, told
from tests.end_to_end.test_mail import code_in
from tests.peers.server import Server
from tests.wire.support import hide, request

# Seconds: the least that the YAML takes, and what a packet and a handshake may take.
IDLE, PACKET, HANDSHAKE = 10.0, 10.0, 5.0
MUTE = "127.0.8.1"  # who connects, and says nothing
_LATE = 4.5  # seconds that a loaded machine may be late, less than between a handshake and the others
ACCOUNTING_REQUEST, DISCONNECT_REQUEST, COA_REQUEST = 4, 40, 43  # Codes (RFC 2866 §3, RFC 5176 §2.3)


@pytest.fixture(scope="module")
def ground(university: Site, tmp_path_factory: pytest.TempPathFactory) -> RadSecSite:
    return RadSecSite(university, tmp_path_factory.mktemp("radsec") / "ours")


@pytest.fixture(scope="module")
def server(ground: RadSecSite) -> Iterator[Server]:
    with ground.server("by-hand", ground.changes(idle_timeout="10s")) as running:
        yield running


@pytest.fixture
def nas(ground: RadSecSite, server: Server) -> Iterator[RadSecNas]:
    with ground.nas(server) as connected:
        yield connected


@pytest.fixture(scope="module", autouse=True)
def slow(ground: RadSecSite, server: Server) -> Iterator[dict[str, Future[tuple[str, float]]]]:
    """Connections that are slow from the first test on, and how they end: their time passes beside the others."""
    began = monotonic()
    with ThreadPoolExecutor(4) as pool, ExitStack() as stack:
        connected = {each: stack.enter_context(ground.nas(server)) for each in ("idle", "dripping", "talking")}
        mute = stack.enter_context(socket.create_connection(where(server), IDLE, (MUTE, 0)))
        yield {
            "mute": pool.submit(lambda: (mute.recv(1).hex(), monotonic() - began)),
            "idle": pool.submit(end_of, connected["idle"], began),
            "dripping": pool.submit(end_of, connected["dripping"], began, drip=True),
            "talking": pool.submit(goes_on, connected["talking"], began),
        }


def end_of(nas: RadSecNas, began: float, *, drip: bool = False) -> tuple[str, float]:
    """How the server ends a connection, and after how many seconds.  `drip`: a packet, an octet now and then."""
    if drip:
        for octet in nas.raw([], code=STATUS_SERVER)[:4]:
            nas.send(bytes([octet]))
            assert nas.silent(2.0)
    return nas.closed(), monotonic() - began


def goes_on(nas: RadSecNas, began: float) -> tuple[str, float]:
    """Asks now and then, for longer than a connection may be idle; and ends, or it would be idle itself."""
    while monotonic() - began < IDLE + 1:
        assert is_served(nas)
        assert nas.silent(IDLE / 3)
    nas.socket.close()
    return "", monotonic() - began


def log_in(nas: RadSecNas, user: Account) -> RawReply:
    """Both rounds on one connection."""
    challenge = nas.ask(user.name, user.password)
    assert (challenge.code, challenge.message) == (CHALLENGE, told("challenged"))
    return nas.ask(user.name, user.code(), state=challenge.state)


# --- logins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_login_over_one_connection(
    ground: RadSecSite, server: Server, host: str, version: ssl.TLSVersion
) -> None:
    """RFC 6614 §2.3: TLS 1.2 and 1.3; replies are signed with `radsec`, which is verified in `read`."""
    user = ground.site.staff()
    with RadSecNas(where(server, host), replace(ground.tls(), version=version)) as nas:
        assert nas.version == version.name.replace("_", ".")
        accept = log_in(nas, user)
        assert (accept.code, accept.first(CLASS)) == (ACCEPT, b"staff")
        assert accept.attributes[0][0] == MESSAGE_AUTHENTICATOR
        assert is_served(nas)  # the audit line has followed by then
        assert nas.farewell() == CLOSED
    assert ground.site.outcomes(user.name) == ["challenge challenged", "accept accepted"]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [((), ""), (("radius/1.0",), "radius/1.0"), (("radius/1.1", "radius/1.0"), "radius/1.0")],
)
def test_alpn_is_radius_1_0_for_those_who_ask(
    ground: RadSecSite, server: Server, offered: tuple[str, ...], chosen: str
) -> None:
    """RFC 9765 §3.1; whoever does not know of it is served as ever."""
    with RadSecNas(where(server), replace(ground.tls(), alpn=offered)) as nas:
        assert nas.alpn == chosen
        assert is_served(nas)


def test_the_second_round_may_come_over_another_connection(
    ground: RadSecSite, server: Server, nas: RadSecNas
) -> None:
    user = ground.site.staff()
    state = nas.ask(user.name, user.password).state
    assert nas.farewell() == CLOSED
    with ground.nas(server, host=HOSTS[1]) as other:
        assert other.ask(user.name, user.code(), state=state).code == ACCEPT


def test_a_login_may_begin_over_udp_and_end_over_tls(ground: RadSecSite, server: Server) -> None:
    """A gateway that is being moved."""
    user = ground.site.staff()
    with ground.site.nas(SECOND, server) as udp, ground.nas(server, OTHER, source=SECOND) as tls:
        state = udp.ask(user.name, user.password).state
        assert tls.ask(user.name, user.code(), state=state).code == ACCEPT


def test_a_state_is_good_for_the_client_alone_that_it_was_issued_to(
    ground: RadSecSite, server: Server, nas: RadSecNas
) -> None:
    user = ground.site.staff()
    state = nas.ask(user.name, user.password).state
    with ground.nas(server, OTHER, source=SECOND) as other:
        assert other.ask(user.name, user.code(), state=state).code == REJECT
    assert nas.ask(user.name, user.code(), state=state).code == ACCEPT


def test_a_client_may_have_several_connections(ground: RadSecSite, server: Server) -> None:
    """With the same Identifiers on each of them: a request is told by its connection as well (RFC 6613 §2.6.1)."""
    users = [ground.site.staff() for _ in range(4)]
    salts = [bytes([number]) * 16 for number in range(4)]
    packets = [
        request(
            [(USER_NAME, user.name.encode()), (USER_PASSWORD, hide(user.password.encode(), SECRET, salt))],
            identifier=7,
            salt=salt,
            sign=SECRET,
        )
        for user, salt in zip(users, salts, strict=True)
    ]
    with ExitStack() as stack:
        connections = [stack.enter_context(ground.nas(server)) for _ in users]
        for nas, packet in zip(connections, packets, strict=True):
            nas.send(packet)
        for nas, packet, user in zip(connections, packets, users, strict=True):
            challenge = nas.read(nas.receive(), packet)
            assert nas.ask(user.name, user.code(), state=challenge.state).code == ACCEPT


def test_a_code_may_come_by_mail(ground: RadSecSite, nas: RadSecNas) -> None:
    user = ground.site.with_address(ground.site.staff())
    state = nas.ask(user.name, user.password).state
    sent = nas.ask(user.name, "mail", state=state)
    assert sent.code == CHALLENGE
    code = code_in(ground.site.mail_to(user))
    assert nas.ask(user.name, code, state=sent.state).code == ACCEPT


def test_password_and_code_may_come_in_one_field(ground: RadSecSite, server: Server) -> None:
    user = ground.site.staff()
    with ground.nas(server, ONE_FIELD) as nas:
        assert nas.ask(user.name, f"{user.password},{user.code()}").code == ACCEPT
        assert nas.ask(user.name, f"{user.password},{user.wrong_code()}").code == REJECT


def test_an_access_reject_is_delayed_and_holds_up_nothing_behind_it(ground: RadSecSite, server: Server) -> None:
    """Replies come in any order, each as soon as it is there (RFC 6613 §2.6.2)."""
    user = ground.site.staff()
    with ground.nas(server, PATIENT) as nas:  # whose refusals take a second
        wrong = nas.packet(user.name.encode(), b"wrong")
        right = nas.packet(user.name.encode(), user.password.encode())
        began = monotonic()
        nas.send(wrong, right)
        assert nas.read(nas.receive(), right).code == CHALLENGE
        assert nas.read(nas.receive(), wrong).code == REJECT
        assert monotonic() - began >= 1.0
    with ground.nas(server) as nas:
        began = monotonic()
        assert nas.ask(user.name, "wrong").code == REJECT
        assert monotonic() - began >= REJECT_DELAY


# --- packets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [(), ((PROXY_STATE, b"the proxy's own"), (PROXY_STATE, b"another's"))])
def test_a_request_needs_no_message_authenticator(
    ground: RadSecSite, nas: RadSecNas, extra: tuple[tuple[int, bytes], ...]
) -> None:
    """TLS has verified every octet (RFC 6614 §2.3); Proxy-State comes back as it was (RFC 2865 §5.33)."""
    user = ground.site.staff()
    unsigned = nas.packet(user.name.encode(), user.password.encode(), *extra, sign=False)
    challenge = nas.exchange(unsigned)
    assert challenge.code == CHALLENGE
    assert tuple(each for each in challenge.attributes if each[0] == PROXY_STATE) == extra
    code = nas.packet(user.name.encode(), user.code().encode(), *extra, state=challenge.state, sign=False)
    assert nas.exchange(code).code == ACCEPT


def test_status_server_is_answered(nas: RadSecNas) -> None:
    """It has to have a Message-Authenticator, over TLS as well (RFC 5997 §3)."""
    reply = nas.exchange(nas.raw([], code=STATUS_SERVER))
    assert reply.code == ACCEPT
    assert [number for number, _ in reply.attributes] == [MESSAGE_AUTHENTICATOR]
    nas.send(nas.raw([], code=STATUS_SERVER, sign=False))
    assert is_served(nas)


def test_packets_may_come_in_any_pieces(ground: RadSecSite, nas: RadSecNas) -> None:
    """TCP keeps no boundaries (RFC 6613 §2.6.4)."""
    user = ground.site.staff()
    name, password = user.name.encode(), user.password.encode()
    packets = [nas.packet(name, password, (CALLING_STATION_ID, b"%d" % n)) for n in range(3)]
    octets = b"".join(packets)
    nas.send(octets[:1], octets[1:3], octets[3:70], octets[70:71], octets[71:])
    replies = {octets[1]: octets for octets in (nas.receive() for _ in packets)}
    assert all(nas.read(replies[packet[1]], packet).code == CHALLENGE for packet in packets)


def test_250_requests_may_be_under_way_on_a_connection_and_none_is_forgotten(
    ground: RadSecSite, nas: RadSecNas
) -> None:
    """Nobody sends twice what is sent over TCP (RFC 6613 §2.6.1): what is dropped is lost."""
    user = ground.site.staff()
    name, password = user.name.encode(), user.password.encode()
    packets = [nas.packet(name, password, (CALLING_STATION_ID, b"%d" % n)) for n in range(250)]
    replies = nas.exchange_all(packets)
    assert [reply.code for reply in replies] == [CHALLENGE] * 250
    assert len({reply.state for reply in replies}) == 250
    assert nas.ask(user.name, user.code(), state=replies[137].state).code == ACCEPT


def test_the_same_packet_is_the_same_request_on_its_own_connection_alone(
    ground: RadSecSite, server: Server, nas: RadSecNas
) -> None:
    """RFC 6613 §2.6.1: what was asked and answered ends with its connection."""
    user = ground.site.staff()
    packet = nas.packet(user.name.encode(), user.password.encode())
    first = nas.exchange(packet)
    before = counted(server, "repeated")
    assert nas.exchange(packet).octets == first.octets
    assert counted(server, "repeated") == before + 1
    with ground.nas(server) as other:
        again = other.exchange(packet)
        assert (again.code, again.state != first.state) == (CHALLENGE, True)
        assert other.ask(user.name, user.code(), state=first.state).code == ACCEPT
    assert counted(server, "repeated") == before + 1


# --- what is no packet, or none of ours -----------------------------------------------------------


def with_length(packet: bytes, length: int) -> bytes:
    return packet[:2] + struct.pack("!H", length) + packet[4:]


def wrongly_signed(packet: bytes) -> bytes:
    """Message-Authenticator comes first in it."""
    return packet[:22] + bytes([packet[22] ^ 1]) + packet[23:]


def with_attribute(packet: bytes, octets: bytes) -> bytes:
    return with_length(packet + octets, len(packet + octets))


MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "length 19": lambda packet: with_length(packet, 19),
    "length 0": lambda packet: with_length(packet, 0),
    "length 4097": lambda packet: with_length(packet, 4097),
    "length of a second packet": lambda packet: with_length(packet, len(packet) - 1) + packet,
    "attribute overrun": lambda packet: with_attribute(packet, b"\x12\x05ab"),
    "attribute without octets": lambda packet: with_attribute(packet, b"\x12\x01"),
    "attribute of type 0": lambda packet: with_attribute(packet, b"\x00\x03a"),
    "Message-Authenticator wrong": wrongly_signed,
    "http": lambda _: b"GET / HTTP/1.1\r\nHost: radius.example.org\r\n\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_packet_ends_its_connection_and_no_other(
    ground: RadSecSite, server: Server, nas: RadSecNas, kind: str
) -> None:
    """RFC 6613 §2.6.4: nobody knows where the next packet would begin."""
    before = counted(server, "radsec_closed", client="vpn", reason="malformed")
    with ground.nas(server) as other:
        refused = other.packet(b"nobody", b"whatever")
        other.send(refused)  # which is under way meanwhile
        nas.send(MALFORMED[kind](nas.packet(b"nobody", b"whatever")))
        assert (nas.closed(), nas.unread) == (CLOSED, b"")
        assert other.read(other.receive(), refused).code == REJECT
        assert is_served(other)
    nas.socket.close()  # which its end waits for
    until_counted(server, "radsec_closed", before + 1, client="vpn", reason="malformed")


@pytest.mark.parametrize("code", [2, ACCOUNTING_REQUEST, 11, DISCONNECT_REQUEST, COA_REQUEST, 0, 255])
def test_a_code_that_is_not_served_is_left_unanswered_and_the_connection_stays(
    server: Server, nas: RadSecNas, code: int
) -> None:
    """RFC 2865 §3.  RFC 6614 §2.5 would have a NAK sent to some of them, which nobody here does."""
    before = counted(server, "discarded", client="vpn", reason="code_not_served")
    nas.send(nas.raw([(USER_NAME, b"alice")], code=code), nas.raw([], code=code, sign=False))
    assert is_served(nas)
    assert counted(server, "discarded", client="vpn", reason="code_not_served") == before + 2


# --- what ends by itself: the last of them, since their time has passed by now --------------------


def test_a_handshake_that_never_ends_is_given_up(
    ground: RadSecSite, server: Server, slow: dict[str, Future[tuple[str, float]]]
) -> None:
    came, after = slow["mute"].result()
    assert came == ""
    assert HANDSHAKE <= after < HANDSHAKE + _LATE
    (line,) = ground.lines(server, MUTE)
    assert (line["event"], line["reason"], line["detail"]) == (
        "radsec_refused",
        "handshake_failed",
        "took too long",
    )


def test_a_connection_without_a_packet_is_closed_when_its_time_is_over(
    server: Server, slow: dict[str, Future[tuple[str, float]]]
) -> None:
    how, after = slow["idle"].result()
    assert how == CLOSED
    assert IDLE <= after < IDLE + _LATE
    until_counted(server, "radsec_closed", 1, client="vpn", reason="idle")


def test_a_packet_that_never_ends_is_given_up_though_there_is_an_octet_now_and_then(
    server: Server, slow: dict[str, Future[tuple[str, float]]]
) -> None:
    how, after = slow["dripping"].result()
    assert how == CLOSED
    assert PACKET <= after < PACKET + _LATE
    until_counted(server, "radsec_closed", 1, client="vpn", reason="packet_took_too_long")


def test_a_connection_with_a_packet_now_and_then_stays(slow: dict[str, Future[tuple[str, float]]]) -> None:
    _, after = slow["talking"].result()
    assert after > IDLE
