"""What goes over the control comes whole or not at all, with its descriptor, and nobody waits for it."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.transports.control import Control, Message
from radius_mfa.transports.crew import in_memory, read_memory

ONE = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
VALUES = ONE | st.lists(ONE, max_size=3) | st.dictionaries(st.text(), ONE, max_size=3)


@contextmanager
def both() -> Iterator[tuple[Control, Control]]:
    here, sock = Control.pair()
    there = Control(sock)
    with closing(here), closing(there):
        yield here, there


def open_descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")


def all_heard(end: Control) -> Iterator[Message]:
    """What there is by now."""
    while True:
        try:
            received = end.receive()
        except BlockingIOError:
            return
        assert received is not None
        yield received[0]


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(), VALUES), max_size=3))
def test_messages_come_whole_and_in_order(messages: list[Message]) -> None:
    with both() as (here, there):
        for message in messages:
            here.send(message)
        assert [there.receive() for _ in messages] == [(message, None) for message in messages]
        with pytest.raises(BlockingIOError):
            there.receive()


def test_both_ends_speak() -> None:
    with both() as (here, there):
        here.send({"do": "read"})
        there.send({"is": "read"})
        assert there.receive() == ({"do": "read"}, None)
        assert here.receive() == ({"is": "read"}, None)


def test_a_descriptor_comes_with_its_own_message_and_is_not_inherited() -> None:
    with both() as (here, there):
        fd = in_memory("test", b"a configuration")
        here.send({"do": "reopen"})
        here.send({"do": "prepare"}, fd)
        here.send({"do": "commit"})
        os.close(fd)  # which may be while it is on its way
        assert there.receive() == ({"do": "reopen"}, None)
        received = there.receive()
        assert there.receive() == ({"do": "commit"}, None)

        assert received is not None
        message, come = received
        assert message == {"do": "prepare"}
        assert come is not None
        assert not os.get_inheritable(come)
        assert read_memory(come) == b"a configuration"
        os.close(come)


def test_of_two_descriptors_the_second_is_closed() -> None:
    """As many as there is room for are taken in (cmsg(3)): padding leaves room for two."""
    before = open_descriptors()
    with both() as (_, there):
        ours, sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, closing(Control(sock)) as receiving:
            fds = array.array("i", [ours.fileno(), there.fileno()])
            ours.sendmsg((b"{}",), [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
            received = receiving.receive()
            assert received is not None
            assert received[1] is not None
            os.close(received[1])
    assert open_descriptors() == before


def test_whoever_has_gone_says_so_once_all_is_heard() -> None:
    with both() as (here, there):
        there.send({"is": "ready"})
        there.close()
        assert here.receive() == ({"is": "ready"}, None)
        assert here.receive() is None
        assert here.receive() is None
        here.send({"do": "stop"})  # to nobody


def test_one_that_has_gone_without_hearing_all_has_gone_too() -> None:
    with both() as (here, there):
        here.send({"do": "stop"})
        there.close()
        assert here.receive() is None
        here.send({"do": "stop"})


def test_whoever_does_not_listen_makes_nobody_wait_and_hears_the_first_ones() -> None:
    with both() as (here, there):
        sent = [{"do": "reopen", "number": number, "filling": "x" * 1000} for number in range(1000)]
        for message in sent:
            here.send(message)
        heard = list(all_heard(there))
        assert heard == sent[: len(heard)]
        assert 10 < len(heard) < len(sent)
        here.send({"do": "stop"})  # now there is room again
        assert there.receive() == ({"do": "stop"}, None)


def test_a_long_message_comes_whole_and_one_too_long_is_not_sent() -> None:
    with both() as (here, there):
        here.send({"problems": ["x" * 120_000]})
        assert there.receive() == ({"problems": ["x" * 120_000]}, None)
        with pytest.raises(ValueError, match="too long"):
            here.send({"problems": ["x" * 131_072]})
        with pytest.raises(BlockingIOError):
            there.receive()


def test_the_end_for_here_is_not_inherited() -> None:
    with both() as (here, _):
        assert not os.get_inheritable(here.fileno())
