"""Which files there are to search, and their lines from either end."""

from __future__ import annotations

import gzip
import io
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.observe.audit_files import (
    LONGEST,
    backwards,
    blocks,
    delete_rotated,
    forwards,
    open_parts,
)
from tests.adapters import NOON


def made(path: Path, age: float = 0, octets: bytes = b"x\n") -> Path:
    """A file last written to so many seconds before noon."""
    path.write_bytes(octets)
    os.utime(path, (NOON - age, NOON - age))
    return path


def names(path: Path, since: float = 0) -> list[str]:
    with ExitStack() as stack:
        parts, unread = open_parts(path, since, stack)
        assert not unread
        return [part.path.name for part in parts]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_those_of_logrotate_belong_to_it_the_newest_first(path: Path) -> None:
    rotated = [
        "audit.jsonl",
        "audit.jsonl.1",
        "audit.jsonl-20261101",
        "audit.jsonl.2.gz",
        "audit.jsonl-20261030.gz",
        "audit.jsonl-20261029120000.backup",
    ]
    for age, name in enumerate(rotated):
        made(path.with_name(name), age, gzip.compress(b"x\n") if name.endswith(".gz") else b"x\n")
    for name in ("audit.jsonlike", "audit.jsonl.bak", "audit.jsonl.1.swp", "other-audit.jsonl", "audit.jsonl~"):
        made(path.with_name(name))
    assert names(path) == rotated
    assert names(path, since=NOON - 1.5) == rotated[:2]


def test_what_is_being_compressed_is_read_once(path: Path) -> None:
    made(path.with_name("audit.jsonl.1"))
    made(path.with_name("audit.jsonl.1.gz"), octets=b"\x1f\x8b half of it")
    assert names(path) == ["audit.jsonl.1"]


def test_what_is_renamed_once_it_is_open_is_read_all_the_same(path: Path) -> None:
    made(path, octets=b"new\n")
    made(path.with_name("audit.jsonl.1"), 9, b"old\n")
    with ExitStack() as stack:
        parts, _ = open_parts(path, 0, stack)
        path.with_name("audit.jsonl.1").unlink()
        path.rename(path.with_name("audit.jsonl.1"))
        made(path, octets=b"newest\n")
        assert [list(part.forwards()) for part in parts] == [[(0, b"new")], [(0, b"old")]]


@pytest.mark.parametrize("is_gone", [False, True])
def test_what_logrotate_renames_between_listing_and_opening_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    """The moment is made here: between the first list of names and the first file that is opened."""
    made(path, octets=b"new\n")
    made(path.with_name("audit.jsonl.1"), 5, b"old\n")
    made(path.with_name("audit.jsonl.2"), 9, b"oldest\n")
    listed = os.listdir

    def rotate(folder: Path) -> list[str]:
        before = listed(folder)
        monkeypatch.setattr(os, "listdir", listed)
        path.with_name("audit.jsonl.2").unlink() if is_gone else None
        for old, new in (("audit.jsonl.2", "audit.jsonl.3"), ("audit.jsonl.1", "audit.jsonl.2")):
            if path.with_name(old).exists():
                path.with_name(old).rename(path.with_name(new))
        path.rename(path.with_name("audit.jsonl.1"))
        return before

    monkeypatch.setattr(os, "listdir", rotate)
    with ExitStack() as stack:
        parts, unread = open_parts(path, 0, stack)
        found = [line for part in parts for _, line in part.forwards()]
    assert found == [b"new", b"old", *([] if is_gone else [b"oldest"])]
    assert not unread


def test_what_cannot_be_read_is_told_and_keeps_nothing_else_back(path: Path) -> None:
    made(path)
    path.with_name("audit.jsonl.1").mkdir()
    made(path.with_name("audit.jsonl.2.xz"), octets=b"\xfd7zXZ")
    path.with_name("audit.jsonl.3").symlink_to(made(path.with_name("elsewhere")))
    os.mkfifo(path.with_name("audit.jsonl.4"))
    with ExitStack() as stack:
        parts, unread = open_parts(path, 0, stack)
        assert [part.path for part in parts] == [path]
    assert unread == {
        path.with_name("audit.jsonl.1"): "is not a file",
        path.with_name("audit.jsonl.2.xz"): "is compressed, and not by gzip",
        path.with_name("audit.jsonl.3"): "is a symbolic link, which is not followed",
        path.with_name("audit.jsonl.4"): "is not a file",
    }


def test_the_file_itself_may_be_a_link_where_that_was_asked_for(path: Path) -> None:
    """That is what was configured; those beside it are whatever anybody has put there."""
    path.symlink_to(made(path.with_name("elsewhere")))
    assert names(path) == ["audit.jsonl"]
    with ExitStack() as stack:
        parts, unread = open_parts(path, 0, stack, links=False)
    assert (parts, unread) == ([], {path: "is a symbolic link, which is not followed"})


def test_of_several_packed_files_in_a_row_all_is_read(path: Path) -> None:
    """RFC 1952 §2.2; tapes pad them with zeros."""
    packed = path.with_name("audit.jsonl.1.gz")
    for between in (b"", b"\0" * 70_000):
        packed.write_bytes(b"".join(gzip.compress(b"%d\n" % at) + between for at in range(3)))
        with ExitStack() as stack:
            (part,), _ = open_parts(path, 0, stack)
            assert [line for _, line in part.forwards()] == [b"0", b"1", b"2"]


class TestDeleting:
    def test_what_was_rotated_long_ago_goes_and_nothing_else(self, path: Path) -> None:
        """Neither the file, however old, nor what others have put there, nor what only looks like a file."""
        for name in ("audit.jsonl.3", "audit.jsonl-20261001.gz", "audit.jsonl.4.xz"):
            made(path.with_name(name), age=11)
        stay = ["audit.jsonl", "audit.jsonl.bak", "audit.jsonl.1.swp", "other.jsonl.1"]
        for name in stay:
            made(path.with_name(name), age=11)
        made(path.with_name("audit.jsonl.1"))
        path.with_name("audit.jsonl.5").mkdir()
        path.with_name("audit.jsonl.6").symlink_to(path.with_name("other.jsonl.1"))
        os.link(path, path.with_name("audit.jsonl.7"))  # the file by another name
        deleted = {each.name for each in delete_rotated(path, NOON, 10)}
        assert deleted == {"audit.jsonl.3", "audit.jsonl-20261001.gz", "audit.jsonl.4.xz"}
        left = {each.name for each in path.parent.iterdir()}
        assert left == {*stay, *(f"audit.jsonl.{number}" for number in (1, 5, 6, 7))}

    def test_where_there_is_nothing_nothing_is_deleted(self, path: Path) -> None:
        assert delete_rotated(path, NOON, 0) == []

    def test_a_clock_that_is_ahead_makes_nothing_old(self, path: Path) -> None:
        """What is old beside the newest of them goes all the same."""
        made(path, age=5)
        made(path.with_name("audit.jsonl.1"), age=14)
        made(path.with_name("audit.jsonl.2"), age=16)
        assert delete_rotated(path, NOON + 1e9, 10) == [path.with_name("audit.jsonl.2")]


def lines_of(octets: bytes) -> list[tuple[int, bytes]]:
    """The plain way."""
    found, at = [], 0
    for line in octets.split(b"\n"):
        found.append((at, line))
        at += len(line) + 1
    return [(at, line) for at, line in found if line]


@given(
    st.binary(max_size=300) | st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"{}"])).map(b"".join),
    st.integers(1, 40),
)
def test_from_either_end_the_lines_are_the_same(octets: bytes, block: int) -> None:
    assert [*backwards(io.BytesIO(octets), block)] == lines_of(octets)[::-1]
    assert [*forwards(blocks(io.BytesIO(octets), block))] == lines_of(octets)


@given(st.lists(st.binary(max_size=20)).map(b"\n".join), st.data())
def test_forwards_from_a_line_are_those_from_there_on(octets: bytes, data: st.DataObject) -> None:
    for start, _ in (lines := lines_of(octets))[:1] + ([data.draw(st.sampled_from(lines))] if lines else []):
        assert [*forwards([octets[start:]], start)] == [line for line in lines if line[0] >= start]


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1, 3 * LONGEST + 7])
def test_of_an_endless_line_no_more_is_kept_than_shows_that_it_is_one(length: int) -> None:
    """As ext4 leaves one after a power failure, or another program's file."""
    octets = b"before\n" + b"\0" * length + b"\nafter\n"
    for lines in (
        list(forwards(blocks(io.BytesIO(octets), 5000))),
        list(backwards(io.BytesIO(octets), 5000))[::-1],
    ):
        assert [at for at, _ in lines] == [0, 7, 8 + length]
        assert [lines[0][1], lines[2][1]] == [b"before", b"after"]
        assert min(length, LONGEST + 1) <= len(lines[1][1]) <= LONGEST + 5000
