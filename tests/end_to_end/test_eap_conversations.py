"""802.1X through the server as it is run, by supplicants that do as they like: many, late, bent, and gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.supplicant import (
    ACCESS_ACCEPT,
    ACCESS_CHALLENGE,
    ACCESS_REJECT,
    Login,
    Method,
    Nas,
    NoReplyError,
    Outcome,
    Peer,
    Reply,
    crowd,
    leave_half_open,
    signed,
    station,
)
from tests.cli.support import run_cli
from tests.end_to_end.site import SECRET, Account, Site
from tests.end_to_end.wireless import NAME, Wireless, wireless
from tests.peers.certificates import Authority
from tests.peers.server import Server

EAP_MESSAGE, STATE, USER_NAME = 79, 24, 1
FAILURE = 4  # RFC 3748 §4.2
KEY = SECRET.encode()
AT_ONCE = 200
HALF_OPEN = 10_000


@pytest.fixture(scope="module")
def wifi(university: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wireless]:
    folder = tmp_path_factory.mktemp("conversations") / "authority"
    with wireless(university, folder, name="conversations") as it:
        yield it


def login(user: Account, number: int = 1, *typed: str, method: Method = Method.TTLS_PAP) -> Login:
    """From a device of that number: password and code in one field, or whatever is `typed`."""
    said = typed or (f"{user.password},{user.code()}",)
    texts = [text.encode() for text in said]
    return Login(method, user.name.encode(), texts, outer=b"anonymous@example.org", station=station(number))


def address(server: Server) -> tuple[str, int]:
    return "127.0.0.1", server.port


def resident(server: Server) -> int:
    """Octets of memory."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def log_in(server: Server, peer: Peer) -> Outcome:
    async with Nas(address(server), KEY, timeout=1.0) as nas:
        return await nas.log_in(peer)


async def begun(nas: Nas, peer: Peer) -> tuple[Reply, bytes]:
    """A conversation after its first round: what was replied, and what the peer says to that."""
    reply = await nas.ask(peer.login, peer.identity())
    return reply, peer.answer(reply.eap)


async def is_silent(nas: Nas, request: bytes) -> bool:
    try:
        await nas.send(request)
    except NoReplyError:
        return True
    return False


# --- many -------------------------------------------------------------------------------------------


def test_two_hundred_log_in_at_once(wifi: Wireless) -> None:
    users = [wifi.site.staff() for _ in range(AT_ONCE // 4)]
    # Each from four devices: one of them is let in with the code, which the others have as well.
    logins = [(login(user, 1000 + 4 * n + k), None) for n, user in enumerate(users) for k in range(4)]
    outcomes = asyncio.run(crowd(address(wifi.server), KEY, logins, at_once=AT_ONCE))
    assert len(outcomes) == AT_ONCE
    accepted = [outcome.is_accepted for outcome in outcomes]
    assert [sum(accepted[4 * n : 4 * n + 4]) for n in range(len(users))] == [1] * len(users)
    assert all(outcome.reply is not None for outcome in outcomes)


def test_ten_thousand_half_open_conversations_take_no_more_memory_than_two_thousand(wifi: Wireless) -> None:
    """The oldest of them go; whoever comes then is let in."""
    user = wifi.site.staff()
    some = login(user)
    asyncio.run(leave_half_open(address(wifi.server), KEY, 2_500, some, at_once=64))
    before = resident(wifi.server)
    answered = asyncio.run(leave_half_open(address(wifi.server), KEY, HALF_OPEN, some, at_once=64))
    assert answered == HALF_OPEN
    assert resident(wifi.server) - before < 20_000_000
    assert asyncio.run(log_in(wifi.server, Peer(login(user)))).is_accepted


# --- sessions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_after_a_reset_a_tls_session_is_worth_nothing(wifi: Wireless, method: Method, version: str) -> None:
    """It is refused once, without being counted; then the supplicant has to log in anew."""
    user = wifi.site.staff()
    typed = (user.password, user.code())
    first = replace(
        login(user, 2, *([",".join(typed)] if method is Method.TTLS_PAP else typed), method=method), tls=version
    )
    outcome = asyncio.run(log_in(wifi.server, Peer(first)))
    assert outcome.is_accepted
    again = asyncio.run(log_in(wifi.server, Peer(first, outcome.session)))
    assert (again.is_accepted, again.is_resumed) == (True, True), again
    assert wifi.outcomes(user)[-1] == "accept accepted_by_session"

    run_cli("--config", wifi.site.config, "user", "reset", user.name).worked()

    refused = asyncio.run(log_in(wifi.server, Peer(first, again.session)))
    assert not refused.is_accepted
    assert wifi.outcomes(user)[-1] == "reject session_over"
    anew = asyncio.run(log_in(wifi.server, Peer(first, again.session)))
    assert (anew.is_accepted, anew.is_resumed) == (False, False)
    assert wifi.outcomes(user)[-1].removeprefix("reject ") in ("unenrolled", "code_missing")


def test_a_tls_session_whose_login_failed_is_not_taken_up_again(wifi: Wireless) -> None:
    user = wifi.site.staff()
    failed = asyncio.run(log_in(wifi.server, Peer(login(user, 3, "wrong,123456"))))
    assert not failed.is_accepted
    again = asyncio.run(log_in(wifi.server, Peer(login(user, 3), failed.session)))
    assert (again.is_accepted, again.is_resumed) == (True, False)


def test_conversations_and_sessions_outlive_a_reload_and_a_new_certificate_is_shown(
    university: Site, tmp_path: Path
) -> None:
    with wireless(university, tmp_path / "authority", name="reloaded") as wifi:
        user, other = university.staff(), university.staff()
        first = login(user)
        session = asyncio.run(log_in(wifi.server, Peer(first))).session

        async def over_a_reload() -> Outcome:
            """Begun before, and gone on with afterwards."""
            peer = Peer(login(other, 4, other.password, other.code(), method=Method.PEAP_GTC))
            async with Nas(address(wifi.server), KEY) as nas:
                reply, eap = await begun(nas, peer)
                while len(peer.inner.prompts) < 2:  # the password was right, and a code is wanted
                    reply = await nas.ask(peer.login, eap, reply.state)
                    eap = peer.answer(reply.eap)
                wifi.server.reload()
                wifi.server.wait_for("reloaded")
                while eap:
                    reply = await nas.ask(peer.login, eap, reply.state)
                    eap = peer.answer(reply.eap) if reply.eap else b""
                assert reply.code == ACCESS_ACCEPT
            return await log_in(wifi.server, Peer(first, session))

        again = asyncio.run(over_a_reload())
        assert (again.is_accepted, again.is_resumed) == (True, True)

        renewing = Authority(tmp_path / "renewing")
        wifi.certificate.write_bytes(renewing.certify(NAME, purpose="server").read_bytes())
        wifi.server.reload()
        wifi.server.wait_for("reloaded")
        shown = replace(first, texts=[_next(user)], ca_file=renewing.ca_file)
        assert asyncio.run(log_in(wifi.server, Peer(shown))).is_accepted


def _next(user: Account) -> bytes:
    return f"{user.password},{user.next_code()}".encode()


# --- whose conversation it is ---------------------------------------------------------------------------


def test_a_user_name_that_changes_between_rounds_is_refused_and_changes_nothing(wifi: Wireless) -> None:
    """RFC 3579 §2.1: it is the same in all of a conversation."""
    user = wifi.site.staff()

    async def talk() -> tuple[int, int]:
        peer = Peer(login(user))
        async with Nas(address(wifi.server), KEY) as nas:
            reply, eap = await begun(nas, peer)
            bent = await nas.ask(replace(peer.login, outer=b"somebody"), eap, reply.state)
            assert bent.eap[0] == FAILURE
            while eap:
                reply = await nas.ask(peer.login, eap, reply.state)
                eap = peer.answer(reply.eap)
            return bent.code, reply.code

    assert asyncio.run(talk()) == (ACCESS_REJECT, ACCESS_ACCEPT)


def test_a_state_that_nobody_gave_out_is_refused_at_once(wifi: Wireless) -> None:
    """As after the end of the worker that had it: the supplicant begins anew."""
    user = wifi.site.staff()

    async def talk() -> Reply:
        peer = Peer(login(user))
        async with Nas(address(wifi.server), KEY) as nas:
            _, eap = await begun(nas, peer)
            return await nas.ask(peer.login, eap, b"\x00h\x00" + bytes(16))

    reply = asyncio.run(talk())
    assert (reply.code, reply.eap[0]) == (ACCESS_REJECT, FAILURE)
    assert wifi.site.show(user)["failures"] == 0


def test_what_was_answered_gets_the_same_answer_and_what_is_late_changes_nothing(wifi: Wireless) -> None:
    """RFC 3748 §4.1: by EAP, whatever the Identifier of the RADIUS packet is."""
    user = wifi.site.staff()

    async def talk() -> tuple[bool, int, int]:
        peer = Peer(login(user))
        async with Nas(address(wifi.server), KEY) as nas:
            first, eap = await begun(nas, peer)
            once, twice = [await nas.ask(peer.login, eap, first.state) for _ in range(2)]
            later = peer.answer(once.eap)
            reply = await nas.ask(peer.login, later, once.state)
            late = await nas.ask(peer.login, eap, first.state)
            later = peer.answer(reply.eap)
            while later:
                reply = await nas.ask(peer.login, later, reply.state)
                later = peer.answer(reply.eap)
            return (once.eap, once.state) == (twice.eap, twice.state), late.code, reply.code

    assert asyncio.run(talk()) == (True, ACCESS_REJECT, ACCESS_ACCEPT)


def test_eap_without_message_authenticator_is_met_with_silence(wifi: Wireless) -> None:
    """RFC 3579 §3.2."""

    async def talk() -> bool:
        async with Nas(address(wifi.server), KEY, timeout=0.3, tries=1) as nas:
            whole = signed(KEY, 1, [(USER_NAME, b"x"), (EAP_MESSAGE, b"\x02\x01\x00\x06\x01x")])
            cut = whole[:20] + whole[38:]  # it comes first
            return await is_silent(nas, cut[:2] + len(cut).to_bytes(2, "big") + cut[4:])

    assert asyncio.run(talk())


@pytest.mark.parametrize(
    "bent",
    [
        pytest.param(b"\x15\x80\x00\x00\x00\x05garbage", id="more than was announced"),
        pytest.param(b"\x15\x80\x00\x00\x00\xffgarb", id="less than was announced"),
        pytest.param(b"\x15\xc0\xff\xff\xff\xffgarb", id="a length of four thousand million"),
        pytest.param(b"\x15\x40", id="a piece of nothing"),
        pytest.param(b"\x15\x80\x00", id="a length that is cut"),
        pytest.param(b"\x15", id="no flags"),
        pytest.param(b"\x15\x00garbage that is no TLS", id="no TLS"),
        pytest.param(b"\x0d\x00\x16\x03\x01", id="another method"),
        pytest.param(b"\x03\x0d\x1a", id="no method of ours"),
        pytest.param(b"\x15\x05", id="another version"),
    ],
)
def test_what_is_no_way_to_speak_ends_the_conversation_in_a_failure(wifi: Wireless, bent: bytes) -> None:
    async def talk() -> Reply:
        peer = Peer(login(wifi.site.unenrolled()))
        async with Nas(address(wifi.server), KEY) as nas:
            reply, eap = await begun(nas, peer)
            while reply.code == ACCESS_CHALLENGE:
                packet = eap[:2] + (4 + len(bent)).to_bytes(2, "big") + bent
                packet = bytes((2, reply.eap[1])) + packet[2:]
                reply = await nas.ask(peer.login, packet, reply.state)
            return reply

    reply = asyncio.run(talk())
    assert (reply.code, reply.eap[0]) == (ACCESS_REJECT, FAILURE)


def test_a_tunnel_that_never_ends_ends(wifi: Wireless) -> None:
    """Empty acknowledgements, for as long as somebody likes."""

    async def talk() -> int:
        peer = Peer(login(wifi.site.unenrolled()))
        async with Nas(address(wifi.server), KEY) as nas:
            reply, _ = await begun(nas, peer)
            for rounds in range(1000):
                if reply.code != ACCESS_CHALLENGE:
                    return rounds
                nothing = bytes((2, reply.eap[1], 0, 6, 21, 0))
                reply = await nas.ask(peer.login, nothing, reply.state)
        return 1000

    assert asyncio.run(talk()) < 200


# --- two workers ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(university: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wireless]:
    folder = tmp_path_factory.mktemp("two") / "authority"
    with wireless(university, folder, name="two", more={"workers": 2}) as it:
        yield it


def test_with_two_workers_every_round_finds_its_conversation(two: Wireless) -> None:
    """And every session: a device meets the worker that remembers it."""
    users = [two.site.staff() for _ in range(20)]
    logins = [login(user, 2000 + n) for n, user in enumerate(users)]
    outcomes = asyncio.run(crowd(address(two.server), KEY, [(each, None) for each in logins]))
    assert [outcome.failure for outcome in outcomes] == [""] * len(users)
    known = [(each, outcome.session) for each, outcome in zip(logins, outcomes, strict=True)]
    again = asyncio.run(crowd(address(two.server), KEY, known))
    assert [(outcome.failure, outcome.is_resumed) for outcome in again] == [("", True)] * len(users)


def test_a_worker_that_dies_costs_the_supplicant_a_new_beginning_and_nothing_else(two: Wireless) -> None:
    user = two.site.staff()

    async def talk() -> tuple[int, bool]:
        peer = Peer(login(user, 2100, user.password, user.code(), method=Method.PEAP_GTC))
        async with Nas(address(two.server), KEY, timeout=1.0, tries=10) as nas:
            reply, eap = await begun(nas, peer)
            while len(peer.inner.prompts) < 2:
                reply = await nas.ask(peer.login, eap, reply.state)
                eap = peer.answer(reply.eap)
            worker = two.server.processes()[f"worker-{reply.state[2]}"]
            os.kill(worker, signal.SIGKILL)
            gone = await nas.ask(peer.login, eap, reply.state)
            anew = await nas.log_in(Peer(login(user, 2100, user.password, user.code(), method=Method.PEAP_GTC)))
            return gone.code, anew.is_accepted

    assert asyncio.run(talk()) == (ACCESS_REJECT, True)
    assert two.site.show(user)["failures"] == 0
