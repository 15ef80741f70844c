"""slapd stopped, silent, and back again, under a server that goes on running."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT
from tests.end_to_end.site import Site, masked, site, told
from tests.peers.server import Server
from tests.peers.slapd import Slapd

_WINDOW = 4.0  # seconds; a server that gives up only at its end leaves a tenth of it to come back in


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose directory is stopped now and then, which others would notice."""
    with site(tmp_path_factory.mktemp("fragile")) as it:
        yield it


@contextmanager
def stopped(slapd: Slapd) -> Iterator[None]:
    slapd.stop()
    try:
        yield
    finally:
        slapd.start()


@contextmanager
def silent(slapd: Slapd) -> Iterator[None]:
    """It takes connections, and says nothing."""
    os.kill(slapd.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, slapd.pid, os.WSTOPPED)  # a thread of it may still have been answering
    try:
        yield
    finally:
        os.kill(slapd.pid, signal.SIGCONT)


@pytest.fixture
def discarding(fragile: Site) -> Iterator[Server]:
    with fragile.another("discard.yaml", {"when_directory_fails": "discard"}) as server:
        yield server


@pytest.fixture
def impatient(fragile: Site) -> Iterator[Server]:
    """A server whose NAS waits for `_WINDOW`, all in all."""
    clients = fragile.usual()["clients"]
    clients[0].update(timeout="1s", retries=round(_WINDOW) - 1)
    with fragile.another("impatient.yaml", {"clients": clients}) as server:
        yield server


@pytest.mark.parametrize("kind", ["radclient", "pyrad"])
def test_while_it_is_down_everybody_is_refused_and_then_nobody_has_to_restart_anything(
    fragile: Site, kind: str
) -> None:
    user, nas = fragile.staff(), fragile.foreign(kind)
    with stopped(fragile.slapd):
        for password in (user.password, "wrong"):
            reply = nas.ask(user.name, password)
            assert (reply.code, reply.message) == (REJECT, told("refused"))
    event = fragile.audit(masked(user.name))[-1]
    assert (event["decision"], event["outcome"]) == ("reject", "directory_failed")
    assert fragile.slapd.url in event["detail"]
    state = nas.ask(user.name, user.password).state
    assert nas.ask(user.name, user.code(), state).code == ACCEPT


def test_round_two_needs_no_directory(fragile: Site) -> None:
    user, nas = fragile.staff(), fragile.foreign("pyrad")
    state = nas.ask(user.name, user.password).state
    with stopped(fragile.slapd):
        assert nas.ask(user.name, user.code(), state).code == ACCEPT


def test_a_directory_that_dies_without_a_word_is_as_good_as_down(fragile: Site) -> None:
    user, nas = fragile.staff(), fragile.foreign("pyrad")
    fragile.slapd.kill()
    try:
        assert nas.ask(user.name, user.password).code == REJECT
    finally:
        fragile.slapd.start()
    assert nas.ask(user.name, user.password).code == CHALLENGE


def test_a_directory_that_says_nothing_leaves_time_for_a_refusal(fragile: Site, impatient: Server) -> None:
    user = fragile.staff()
    with fragile.nas(server=impatient) as nas:
        assert nas.ask(user.name, "wrong").code == REJECT  # there is a connection now
        packet = nas.packet(user.name.encode(), user.password.encode())
        with silent(fragile.slapd):
            nas.socket.settimeout(_WINDOW)  # the whole of its patience
            nas.socket.send(packet)
            assert nas.read(nas.socket.recv(4096), packet).code == REJECT
        assert nas.ask(user.name, user.password).code == CHALLENGE


def test_where_the_nas_has_another_server_to_ask_there_is_silence(fragile: Site, discarding: Server) -> None:
    user = fragile.staff()
    with fragile.nas(server=discarding) as nas:
        packet = nas.packet(user.name.encode(), user.password.encode())
        with stopped(fragile.slapd):
            assert fragile.unanswered(nas, packet, server=discarding)
        assert fragile.outcomes(masked(user.name))[-1] == "discard directory_failed"
        # The same packet, sent again: nothing of it was remembered.
        challenge = nas.exchange(packet)
        assert challenge.code == CHALLENGE
        with stopped(fragile.slapd):
            assert nas.ask(user.name, user.code(), state=challenge.state).code == ACCEPT
