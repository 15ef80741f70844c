"""Randomness that is fetched a page at a time: as much as was asked for, and no octets for two."""

import subprocess
import sys
import threading

import pytest

from radius_mfa.stores.entropy import SystemEntropy, octets

# Many times what is fetched at once.
MANY = 20_000

FORKS = """
import os
from radius_mfa.stores.entropy import octets

octets(16)
reads, writes = os.pipe()
child = os.fork()
given = [octets(16) for _ in range(1000)]
if not child:
    os.write(writes, b"".join(given))
    os._exit(0)
os.waitpid(child, 0)
said = os.read(reads, 16_000)
print(len(said), len({*given, *(said[at : at + 16] for at in range(0, len(said), 16))}))
"""


@pytest.mark.parametrize("length", [0, 1, 12, 16, 17, 5000])
def test_so_many_octets_come_as_were_asked_for(length: int) -> None:
    assert {len(octets(length)) for _ in range(600)} == {length}
    assert len(SystemEntropy().octets(length)) == length


@pytest.mark.parametrize("length", [12, 16, 17, 5000])
def test_nothing_is_given_twice(length: int) -> None:
    times = min(MANY, 10_000_000 // length)

    assert len({octets(length) for _ in range(times)}) == times


def test_no_octets_are_those_of_another_piece() -> None:
    """Nor are pieces that overlap: each half is there once."""
    given = [octets(16) for _ in range(MANY)]

    assert len({half for piece in given for half in (piece[:8], piece[8:])}) == 2 * MANY


def test_every_octet_of_a_piece_takes_every_value() -> None:
    """Which it does but once in 10³⁰ times or so."""
    given = [octets(16) for _ in range(MANY)]

    assert [len(set(values)) for values in zip(*given, strict=True)] == [256] * 16


def test_two_threads_are_never_given_the_same() -> None:
    together = threading.Barrier(2)
    given: tuple[list[bytes], list[bytes]] = ([], [])

    def take(mine: list[bytes]) -> None:
        together.wait()
        mine.extend(octets(16) for _ in range(MANY))

    threads = [threading.Thread(target=take, args=(mine,)) for mine in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({*given[0], *given[1]}) == 2 * MANY


def test_a_forked_process_is_given_others_than_the_one_it_was() -> None:
    """In a process of its own, which has one thread to fork."""
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["16000", "2000"]
