"""What the processes have in common goes from one to the next as it is."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.transports.crew import BACKGROUND, Crew, Listening, box, in_memory, read_memory

FDS = st.integers(0, 2**31 - 1)
LISTENING = st.builds(Listening, st.sampled_from(["udp", "radsec"]), st.lists(FDS, max_size=4).map(tuple))
CREWS = st.builds(
    Crew,
    yaml=st.text(),
    workers=st.integers(2, 64),
    listeners=st.lists(LISTENING, max_size=4).map(tuple),
    metrics=st.none() | FDS,
    configuration=FDS,
    boxes=st.lists(st.tuples(FDS, FDS), max_size=4).map(tuple),
    slates=st.lists(FDS, max_size=4).map(tuple),
    log_format=st.sampled_from(["json", "console"]),
)


@given(CREWS)
def test_it_survives_the_way(crew: Crew) -> None:
    assert Crew.unpacked(crew.packed()) == crew
    assert Crew.unpacked(crew.packed()).packed() == crew.packed()


@given(CREWS)
def test_every_process_has_a_name_and_the_last_is_the_background(crew: Crew) -> None:
    names = [crew.name(number) for number in range(crew.workers + 1)]

    assert names == [*(f"worker-{number}" for number in range(crew.workers)), BACKGROUND]


def test_all_is_inherited_but_the_configuration_which_changes() -> None:
    listeners = (Listening("udp", (3, 4)), Listening("radsec", (5,)))
    crew = Crew("radius-mfa.yaml", 1, listeners, 6, 7, ((8, 9), (10, 11)), (12, 13), "json")

    assert list(crew.descriptors()) == [3, 4, 5, 6, 8, 9, 10, 11, 12, 13]


def test_without_metrics_there_is_a_descriptor_less() -> None:
    assert list(Crew("", 1, (), None, 7, (), (8,), "json").descriptors()) == [8]


@given(st.binary(max_size=1000))
def test_what_is_in_memory_is_read_as_often_as_one_likes(octets: bytes) -> None:
    fd = in_memory("test", octets)
    try:
        assert read_memory(fd) == read_memory(fd) == octets
    finally:
        os.close(fd)


def test_a_large_file_in_memory_is_whole() -> None:
    octets = os.urandom(1 << 22)
    fd = in_memory("test", octets)
    try:
        assert read_memory(fd) == octets
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def fill(send: socket.socket) -> None:
    for _ in range(10_000):
        send.send(bytes(1000))


def test_a_box_keeps_messages_apart_and_makes_nobody_wait() -> None:
    receive, send = box()
    with receive, send:
        send.send(b"one")
        send.send(b"two")
        assert (receive.recv(100), receive.recv(100)) == (b"one", b"two")
        with pytest.raises(BlockingIOError):
            receive.recv(100)
        with pytest.raises(BlockingIOError):
            fill(send)
        assert send.type == receive.type == socket.SOCK_DGRAM
