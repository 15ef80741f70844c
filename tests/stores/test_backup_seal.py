"""The seal of a backup: what goes in comes out, and nothing that was changed on the way does."""

from __future__ import annotations

import io
import os
import re

import pytest

from radius_mfa.core.errors import BackupError
from radius_mfa.stores.backup_seal import PIECE, SealedWriter, opened_pieces

PASSPHRASE = "correct horse battery staple"
HEAD, SEALED = 36, PIECE + 16
OTHERWISE = "^there: does not open: it was sealed with another passphrase, or was changed or cut off$"
CHANGED = "^there: was changed or cut off$"


def sealed(*parts: bytes) -> bytes:
    file = io.BytesIO()
    writer = SealedWriter(file, PASSPHRASE)
    for part in parts:
        writer.write(part)
    writer.close()
    return file.getvalue()


def opened(octets: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return b"".join(opened_pieces(io.BytesIO(octets), passphrase, "there"))


# Three pieces, of which the last is short.
PLAIN = os.urandom(2 * PIECE + 100)


@pytest.fixture(scope="module")
def three() -> bytes:
    return sealed(PLAIN)


@pytest.mark.parametrize("size", [0, PIECE, PIECE + 1])
def test_what_goes_in_comes_out(size: int) -> None:
    plain = os.urandom(size)
    octets = sealed(plain[:7], b"", plain[7:])

    assert opened(octets) == plain
    assert len(octets) == HEAD + size + 16 * max(1, -(-size // PIECE))


def test_nothing_of_it_is_to_be_seen_and_no_two_are_alike() -> None:
    """The salt is new each time, and with it the key."""
    first, second = sealed(b"a secret" * 8), sealed(b"a secret" * 8)

    assert b"a secret" not in first
    assert not any(first[at : at + 16] == second[at : at + 16] for at in range(HEAD - 16, len(first)))


def test_another_passphrase_opens_nothing(three: bytes) -> None:
    with pytest.raises(BackupError, match=OTHERWISE):
        opened(three, PASSPHRASE.title())


def test_what_is_no_backup_is_said_to_be_none(three: bytes) -> None:
    for octets in (b"", three[:30], b"x" + three[1:], three.replace(b"backup 1", b"backup 2", 1)):
        with pytest.raises(BackupError, match=r"^there: is not a backup that this radius-mfa knows$"):
            opened(octets)


def changed(octets: bytes, at: int) -> bytes:
    return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]


FIRST, SECOND, THIRD = (slice(HEAD + n * SEALED, HEAD + (n + 1) * SEALED) for n in range(3))


@pytest.mark.parametrize(
    ("tampered", "said"),
    [
        (lambda it: changed(it, HEAD - 1), OTHERWISE),  # the salt
        (lambda it: changed(it, HEAD), OTHERWISE),
        (lambda it: changed(it, len(it) - 1), CHANGED),
        (lambda it: it[: HEAD + 2 * SEALED], CHANGED),  # between two pieces
        (lambda it: it[:-1], CHANGED),
        (lambda it: it[:HEAD], OTHERWISE),
        (lambda it: it + b"x", CHANGED),
        (lambda it: it[:HEAD] + it[SECOND] + it[FIRST] + it[THIRD], OTHERWISE),
        (lambda it: it[:HEAD] + it[FIRST] + it[THIRD], CHANGED),  # one left out
        (lambda it: it[:HEAD] + it[FIRST] + it[FIRST] + it[THIRD], CHANGED),
    ],
)
def test_what_was_changed_moved_cut_off_or_added_does_not_open(three: bytes, tampered: object, said: str) -> None:
    assert callable(tampered)
    with pytest.raises(BackupError, match=said):
        opened(tampered(three))


def test_pieces_of_another_backup_do_not_fit(three: bytes) -> None:
    """Even one with the same words, sealed with the same passphrase."""
    other = sealed(PLAIN)

    with pytest.raises(BackupError, match=CHANGED):
        opened(three[: THIRD.start] + other[THIRD])


def test_what_was_authentic_so_far_is_given_before_the_rest_is_read(three: bytes) -> None:
    """So a file of any size needs little memory; whoever reads does not believe it before the end."""
    pieces = opened_pieces(io.BytesIO(changed(three, len(three) - 1)), PASSPHRASE, "there")

    assert next(pieces) + next(pieces) == PLAIN[: 2 * PIECE]
    with pytest.raises(BackupError) as refused:
        next(pieces)
    assert re.match(CHANGED, str(refused.value))


def test_one_that_cannot_be_read_is_a_line_with_its_name() -> None:
    """As on a disk that is worn out: nothing of ours is at the beginning of our memory."""
    with (
        open("/proc/self/mem", "rb") as worn,
        pytest.raises(BackupError, match=r"^there: cannot be read: Input/output error$"),
    ):
        next(opened_pieces(worn, PASSPHRASE, "there"))
