"""Folders that root makes for another user, while others are at work around them."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from radius_mfa.assembly.giving import Folders, LayingError, Owner, may_be_given, why_not

_NOBODY = Owner(pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
_SOMEBODY = Owner(4711, 4711)


@contextmanager
def folders() -> Iterator[Folders]:
    """What it does is taken back at the end."""
    with ExitStack() as opened, ExitStack() as undo:
        yield Folders(opened, undo)


def owned(path: Path) -> tuple[Owner, int]:
    seen = path.stat()
    return Owner(seen.st_uid, seen.st_gid), stat.S_IMODE(seen.st_mode)


def test_the_folder_is_the_users_and_those_around_it_are_roots(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with folders() as under_test:
        under_test.make(folder, _NOBODY)
        assert owned(folder) == (_NOBODY, 0o750)
        assert owned(folder.parent) == (Owner(0, 0), 0o755)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_of_roots_is_given_until_that_is_taken_back(tmp_path: Path) -> None:
    with folders() as under_test:
        before = owned(tmp_path)
        under_test.make(tmp_path, _NOBODY)
        assert owned(tmp_path) == (_NOBODY, 0o750)
    assert owned(tmp_path) == before


def test_what_has_something_in_it_or_is_behind_a_link_is_left(tmp_path: Path) -> None:
    full, empty, link = tmp_path / "full", tmp_path / "empty", tmp_path / "link"
    (full / "x").mkdir(parents=True)
    empty.mkdir()
    link.symlink_to(empty)
    with folders() as under_test:
        for folder in (full, link):
            assert not may_be_given(folder)
            under_test.make(folder, _NOBODY)
            assert owned(folder)[0] == Owner(0, 0)


@pytest.mark.parametrize(
    ("owner", "mode", "refused"),
    [
        (_SOMEBODY, 0o755, True),
        (Owner(0, 0), 0o777, True),
        (Owner(0, 4711), 0o775, True),
        (Owner(0, 0), 0o1777, False),  # as /tmp: nobody moves what is another's
        (Owner(0, 4), 0o775, False),  # as /var/log of some
        (_NOBODY, 0o2770, False),
    ],
    ids=lambda each: oct(each) if type(each) is int else str(each),
)
@pytest.mark.parametrize("through", ["", "link/"])
def test_root_makes_nothing_where_others_may_write(
    tmp_path: Path, owner: Owner, mode: int, refused: bool, through: str
) -> None:
    around, folder = tmp_path / "around", tmp_path / f"{through}around" / "inner" / "folder"
    around.mkdir()
    os.chown(around, owner.uid, owner.gid)
    around.chmod(mode)
    (tmp_path / "link").symlink_to(tmp_path)
    assert (why_not(folder, _NOBODY) != "") is refused
    with folders() as under_test:
        if refused:
            with pytest.raises(LayingError, match="around: others than root may write there"):
                under_test.make(folder, _NOBODY)
            assert list(around.iterdir()) == []
        else:
            under_test.make(folder, _NOBODY)


def test_a_link_among_somebody_elses_files_is_not_followed(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, ours):
        folder.mkdir()
    os.chown(theirs, _SOMEBODY.uid, _SOMEBODY.gid)
    (theirs / "link").symlink_to(ours)
    with folders() as under_test, pytest.raises(LayingError, match="theirs: others than root"):
        under_test.make(theirs / "link" / "new", _NOBODY)


@pytest.mark.parametrize("to", ["nowhere", "link"], ids=["nowhere", "itself"])
@pytest.mark.parametrize("owner", [_NOBODY, None], ids=["given", "kept"])
def test_a_link_that_leads_nowhere_is_told_in_a_line(tmp_path: Path, to: str, owner: Owner | None) -> None:
    (tmp_path / "link").symlink_to(tmp_path / to)
    with pytest.raises(LayingError, match=r"link: (No such file|Too many levels)"), folders() as under_test:
        under_test.make(tmp_path / "link" / "new", owner)


def test_a_folder_that_is_swapped_for_a_link_gives_nothing_away(tmp_path: Path) -> None:
    """The racer comes between the making of the folder and its opening, as an audit hook can."""
    ours, folder = tmp_path / "ours", tmp_path / "swapped"
    ours.mkdir()
    came: list[str] = []

    def racer(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and arguments[0] == folder.name and not came:
            came.append(event)
            folder.rmdir()
            folder.symlink_to(ours)

    sys.addaudithook(racer)
    before = owned(ours)
    with pytest.raises(LayingError, match="swapped: "), folders() as under_test:
        under_test.make(folder, _NOBODY)
    assert came == ["open"]
    assert owned(ours) == before
