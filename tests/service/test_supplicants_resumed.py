"""802.1X: a TLS session that is taken up again, without password and code, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog.testing

from bench.eap.peer import Method
from radius_mfa.core.errors import StoreError
from radius_mfa.core.messages import Code, FactorKind, Nas, ReplyAttribute
from radius_mfa.core.policy import Policy, SecondFactor
from tests.adapters import PASSWORD, PERIOD, Fuse, always
from tests.service.lan import AP, LAPTOP, OTHER_AP, PHONE, Device, Lan, is_accept, lan

PAP, GTC, PEAP = Method.TTLS_PAP, Method.TTLS_GTC, Method.PEAP_GTC
METHODS, TLS = (PAP, GTC, PEAP), ("1.2", "1.3")
CLASS = ReplyAttribute("Class", "staff")
LIFETIME = 7200.0


@pytest.fixture
def it(certificate: Path) -> Iterator[Lan]:
    with lan(certificate, session_lifetime=LIFETIME, policies=[Policy("staff", reply=always(CLASS))]) as it:
        yield it


def whole(it: Lan, method: Method = PAP, tls: str = "1.2", trust: str = "") -> Device:
    """A login with password and code."""
    it.house.clock.advance(PERIOD)
    code = it.house.code("alice") + trust
    login = it.login(method, *([f"{PASSWORD},{code}"] if method is PAP else [PASSWORD, code]), tls=tls)
    device = Device(it, login)
    device.log_in()
    assert is_accept(device)
    it.events.clear()
    return device


def again(it: Lan, before: Device, *, nas: Nas = AP, station: bytes = PHONE) -> Device:
    """The same supplicant, which takes up its session and has nothing typed."""
    login = replace(before.peer.login, texts=())
    device = Device(it, login, before.peer.session, nas=nas, station=station)
    device.log_in()
    assert device.peer.is_resumed
    return device


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("method", METHODS)
def test_a_session_in_which_a_code_was_given_lets_in_again(it: Lan, method: Method, tls: str) -> None:
    device = whole(it, method, tls)
    rounds = len(device.asked)
    for count in (1, 2, 3):
        device = again(it, device)

        assert is_accept(device)
        assert device.replies[-1].attributes == (CLASS,)
        assert len(device.asked) <= rounds
        assert it.heard() == ["accept accepted_by_session"] * count
        assert it.became("resumed") == count
    assert {(event.user_name, event.username) for event in it.events} == {("alice", "alice")}


def test_another_access_point_lets_in_as_well(it: Lan) -> None:
    assert is_accept(again(it, whole(it), nas=OTHER_AP))


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("method", METHODS)
def test_a_session_is_worth_nothing_once_its_login_is_too_long_ago(it: Lan, method: Method, tls: str) -> None:
    """However often it was taken up since; then everything is asked for again."""
    device = whole(it, method, tls)
    it.house.clock.advance(LIFETIME - 1)
    device = again(it, device)
    assert is_accept(device)

    it.house.clock.advance(1)
    texts = (f"{PASSWORD},1".encode(),) if method is PAP else (PASSWORD.encode(), b"1", b"2", b"3")
    late = Device(it, replace(device.peer.login, texts=texts), device.peer.session)
    late.log_in()
    assert (is_accept(late), late.peer.is_resumed) == (False, False)
    assert it.heard()[0] == "accept accepted_by_session"


@pytest.mark.parametrize("method", METHODS)
def test_a_user_who_is_gone_is_not_let_in_by_a_session(it: Lan, method: Method) -> None:
    device = whole(it, method)
    del it.house.directory.users["alice"]

    assert not is_accept(again(it, device))
    assert it.heard() == ["reject session_over"]


def test_a_session_that_was_refused_is_forgotten(it: Lan) -> None:
    device = whole(it)
    alice = it.house.directory.users.pop("alice")
    assert not is_accept(again(it, device))
    it.house.directory.users["alice"] = alice

    anew = Device(it, replace(device.peer.login, texts=(b"x",)), device.peer.session)
    anew.log_in()
    assert not anew.peer.is_resumed


def test_by_the_password_alone_no_session_is_worth_anything(certificate: Path) -> None:
    with lan(certificate, policies=[Policy("staff", second_factor=SecondFactor.NEVER)]) as it:
        device = Device(it, it.login(PAP, PASSWORD))
        device.log_in()
        assert is_accept(device)

        anew = Device(it, it.login(PAP, PASSWORD), device.peer.session)
        anew.log_in()
        assert not anew.peer.is_resumed
        assert is_accept(anew)


def test_without_a_lifetime_every_login_is_a_whole_one(certificate: Path) -> None:
    with lan(certificate, session_lifetime=0) as it:
        device = whole(it)
        anew = Device(it, it.login(PAP, "wrong"), device.peer.session)
        anew.log_in()
        assert not anew.peer.is_resumed
        assert not is_accept(anew)


@pytest.mark.parametrize("tls", TLS)
def test_a_login_that_was_refused_leaves_no_session(it: Lan, tls: str) -> None:
    device = Device(it, it.login(PAP, "wrong", tls=tls))
    device.log_in()
    assert not is_accept(device)

    anew = Device(it, it.login(PAP, "wrong", tls=tls), device.peer.session)
    anew.log_in()
    assert (anew.peer.is_resumed, is_accept(anew)) == (False, False)


def test_a_session_by_a_trusted_device_is_worth_what_the_trust_is(certificate: Path) -> None:
    policy = Policy("trusting", factors=frozenset(FactorKind), trust_device=True)
    with lan(certificate, policies=[policy]) as it:
        whole(it, trust=" trust")
        device = Device(it, it.login(PAP, PASSWORD))
        device.log_in()
        assert is_accept(device)
        assert it.heard() == ["accept accepted_by_device"]

        assert is_accept(again(it, device))
        assert not is_accept(again(it, device, station=LAPTOP))
        assert it.heard()[1:] == ["accept accepted_by_session", "reject session_over"]


class Armed(Fuse):
    """One that counts from when it is armed."""

    is_armed = False

    def pass_through(self, call: str, quoted: object) -> None:
        if self.is_armed:
            super().pass_through(call, quoted)


@pytest.mark.parametrize("method", METHODS)
def test_whatever_goes_wrong_is_no_accept(certificate: Path, method: Method) -> None:
    """Each call of a resumption fails in turn."""
    for at in range(100):
        fuse = Armed(at, RuntimeError, "find", "facts", "with_groups", "usable")
        with lan(certificate, fuse=fuse) as it, structlog.testing.capture_logs():
            device = whole(it, method)
            fuse.is_armed = True
            resumed = again(it, device)
            if not fuse.blown:
                assert is_accept(resumed)
                break
            assert not is_accept(resumed)
            assert it.heard() == ["reject internal_error"]
    assert at > 1


def test_silence_where_the_directory_has_failed_is_decided_anew(certificate: Path) -> None:
    fuse = Armed(0, StoreError, "facts")
    with lan(certificate, fuse=fuse, discard_when_broken=True) as it:
        before = whole(it)
        fuse.is_armed = True
        device = Device(it, replace(before.peer.login, texts=()), before.peer.session)
        while not it.events:
            reply = it.answer(request := device.request())
            if reply is not None:
                device.hears(reply)
        assert reply is None

        reply = it.answer(request)
        assert reply is not None
        device.hears(reply)
        assert is_accept(device)
        assert it.heard() == ["discard store_failed", "accept accepted_by_session"]


def test_who_it_is_is_said_of_a_session_too(certificate: Path) -> None:
    with lan(certificate, identity="user-name") as it:
        reply = again(it, whole(it)).replies[-1]

        assert (reply.code, reply.attributes) == (Code.ACCESS_ACCEPT, (ReplyAttribute("User-Name", "alice"),))
