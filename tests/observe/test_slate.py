"""What is read from a slate is one of the things written, whole, whatever becomes of the writer and the file."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.observe import slate
from radius_mfa.observe.slate import MOST, Slate

# Writes 8 octets of a number and as many of one other octet as the number says, and tells each number it has
# written.  A whole one is known by that; a mixture of two is not.
WRITER = """
import os, sys
from radius_mfa.observe.slate import Slate
fd, number, most = map(int, sys.argv[1:])
it = Slate(fd)
while True:
    it.write(number.to_bytes(8) + bytes([number % 251]) * (number * 7919 % most))
    os.write(1, number.to_bytes(8))
    number += 1
"""
OCTETS = st.binary(max_size=64)
_PATIENCE = 20.0  # seconds


@contextmanager
def new() -> Iterator[Slate]:
    it = Slate.made("test")
    try:
        yield it
    finally:
        it.close()


def cut_off(it: Slate, number: int, octets: bytes, half: int, written: int) -> None:
    """As a write is that got no further than so many octets."""
    os.pwrite(it.fileno(), slate._half(number, octets)[:written], slate._HALVES[half])


def test_what_nobody_has_written_on_says_nothing() -> None:
    with new() as it:
        assert it.read() is None


@given(st.lists(OCTETS, min_size=1, max_size=6), st.booleans())
def test_the_last_thing_written_is_read_whoever_wrote_it(written: list[bytes], are_successors: bool) -> None:
    with new() as it:
        for octets in written:
            (Slate(it.fileno()) if are_successors else it).write(octets)
            assert it.read() == Slate(it.fileno()).read() == octets


def test_there_is_room_for_4_mib_and_not_for_more() -> None:
    with new() as it:
        for octet in (b"a", b"b", b"c"):
            it.write(octet * MOST)
            assert it.read() == octet * MOST
        with pytest.raises(ValueError, match=r"^4194305 octets"):
            it.write(b"d" * (MOST + 1))
        assert it.read() == b"c" * MOST
        it.write(b"short")
        assert it.read() == b"short"


def test_little_takes_little_memory() -> None:
    with new() as it:
        for _ in range(4):
            it.write(b"a" * 4000)
        assert os.stat(it.fileno()).st_blocks * 512 <= 16384


@given(OCTETS, OCTETS, OCTETS, st.data())
def test_a_write_that_is_cut_off_leaves_the_one_before(
    first: bytes, second: bytes, third: bytes, data: st.DataObject
) -> None:
    written = data.draw(st.integers(0, len(slate._half(3, third)) - 1))
    with new() as it:
        it.write(first)
        it.write(second)
        cut_off(it, 3, third, 0, written)
        whole = slate._half(3, third)  # what lies there of the first may be just what was missing
        assert it.read() == (third if os.pread(it.fileno(), len(whole), 0) == whole else second)
        it.write(b"of its successor")
        assert it.read() == b"of its successor"
        it.write(b"again")
        assert it.read() == b"again"


@given(OCTETS, st.data())
def test_of_a_first_write_that_is_cut_off_nothing_is_read(octets: bytes, data: st.DataObject) -> None:
    with new() as it:
        cut_off(it, 1, octets, 0, data.draw(st.integers(0, len(slate._half(1, octets)) - 1)))
        assert it.read() is None


GARBAGE = st.one_of(
    st.binary(min_size=1, max_size=100),
    # As a head looks, but for the checksum.
    st.builds(
        slate._HEAD.pack,
        st.just(slate._MARK),
        st.sampled_from((0, 1, 2, 3, (1 << 64) - 1)),
        st.sampled_from((0, 1, MOST, MOST + 1, (1 << 32) - 1)),
        st.integers(0, (1 << 32) - 1),
    ),
)
PLACES = st.integers(0, 120).flatmap(lambda at: st.sampled_from([half + at for half in slate._HALVES]))


@given(st.lists(st.tuples(PLACES, GARBAGE), max_size=4))
def test_garbage_says_nothing_and_can_be_written_over(garbage: list[tuple[int, bytes]]) -> None:
    with new() as it:
        for place, octets in garbage:
            os.pwrite(it.fileno(), octets, place)
        assert it.read() is None
        it.write(b"something")
        assert it.read() == b"something"


@given(OCTETS, OCTETS, st.lists(st.tuples(PLACES, GARBAGE), max_size=4))
def test_among_garbage_what_is_whole_is_read(
    first: bytes, second: bytes, garbage: list[tuple[int, bytes]]
) -> None:
    with new() as it:
        it.write(first)
        it.write(second)
        for place, octets in garbage:
            os.pwrite(it.fileno(), octets, place)
        assert it.read() in (None, first, second)


@given(OCTETS, OCTETS, st.integers(0, 100).flatmap(lambda at: st.sampled_from([at, slate._HALVES[1] + at])))
def test_where_the_file_ends_too_soon_what_is_whole_is_read(first: bytes, second: bytes, size: int) -> None:
    with new() as it:
        it.write(first)
        it.write(second)
        os.truncate(it.fileno(), size)
        assert it.read() in (None, first, second)


def test_without_the_file_nothing_is_read() -> None:
    with new() as it:
        gone = Slate(os.dup(it.fileno()))
        gone.close()
        assert gone.read() is None


class Writer:
    """A process that writes numbers as fast as it can, from `number` on, until it is killed."""

    def __init__(self, it: Slate, number: int, most: int) -> None:
        arguments = (sys.executable, "-c", WRITER, *map(str, (it.fileno(), number, most)))
        self._process = subprocess.Popen(
            arguments, pass_fds=[it.fileno()], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], bufsize=0
        )
        assert self._process.stdout is not None
        self._said = self._process.stdout
        self.told = number - 1

    def wait_for_one(self) -> None:
        assert select.select([self._said], [], [], _PATIENCE)[0]
        self.hear()

    def hear(self) -> int:
        """The last number it has told of by now."""
        while select.select([self._said], [], [], 0)[0]:
            octets = self._said.read(8)
            if not octets:
                break
            self.told = int.from_bytes(octets)
        return self.told

    def kill(self, after: float) -> None:
        """With SIGKILL, after so many seconds, wherever it is."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(after)
        self._process.kill()
        assert self._process.wait() == -9
        self.hear()
        self._said.close()


def number_on(it: Slate, most: int) -> int:
    """The number that is read, which must be whole."""
    octets = it.read()
    assert octets is not None
    number = int.from_bytes(octets[:8])
    assert octets[8:] == bytes([number % 251]) * (number * 7919 % most)
    return number


@pytest.mark.parametrize("most", [64, 100_000, MOST - 8])
def test_a_writer_that_is_killed_at_any_moment_loses_its_last_write_at_most(most: int) -> None:
    random, number = Random(most), 1
    with new() as it:
        for _ in range(15):
            writer = Writer(it, number, most)
            writer.wait_for_one()
            writer.kill(after=random.random() / 50)
            number = number_on(it, most)
            assert number - writer.told in (0, 1), "the last it has told of, or the one it was about to tell"
            number += 1


@pytest.mark.parametrize("most", [64, 100_000, MOST - 8])
def test_whoever_reads_while_it_is_written_reads_what_is_whole_and_never_goes_back(most: int) -> None:
    with new() as it:
        writer = Writer(it, 1, most)
        writer.wait_for_one()
        reads = last = 0
        while reads < 200 or last < 100:
            reads += 1
            told = writer.hear()
            number = number_on(it, most)
            assert number >= max(told, last), "no older than the last it had told of"
            last = number
        writer.kill(after=0)
