"""Folders that root makes for another user, while others are at work around them."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

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


@pytest.mark.parametrize("mode", [0o1777, 0o1755, 0o2775, 0o757], ids=oct)
def test_what_others_write_in_too_is_left(tmp_path: Path, mode: int) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    assert not may_be_given(shared)


def test_an_empty_folder_that_is_the_machines_is_left() -> None:
    with TemporaryDirectory(dir="/") as name, folders() as under_test:
        folder = Path(name)
        folder.chmod(0o755)
        assert not may_be_given(folder)
        under_test.make(folder, _NOBODY)
        assert owned(folder) == (Owner(0, 0), 0o755)


def test_an_empty_mount_point_is_left(tmp_path: Path) -> None:
    """The disk is a tmpfs that nobody else sees, and that is gone with the process."""
    told = (
        "import sys, pathlib, radius_mfa.assembly.giving as it; print(it.may_be_given(pathlib.Path(sys.argv[1])))"
    )
    script = 'mount -t tmpfs -o mode=0755 tmpfs "$1" && exec "$2" -c "$3" "$1"'
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", tmp_path, sys.executable, told],
        check=True,
        capture_output=True,
        text=True,
    )
    assert may_be_given(tmp_path)
    assert ran.stdout == "False\n"


@pytest.mark.parametrize("gid", [4, _NOBODY.gid, 4711], ids=["adm", "its own", "another's"])
def test_what_is_to_be_roots_is_no_groups_to_write(tmp_path: Path, gid: int) -> None:
    """Whoever could write beside the YAML could put another in its place."""
    os.chown(tmp_path, 0, gid)
    tmp_path.chmod(0o2770)
    assert why_not(tmp_path / "radius-mfa.yaml", Owner(0, _NOBODY.gid)).startswith(f"{tmp_path}: others than root")
    tmp_path.chmod(0o2750)
    assert why_not(tmp_path / "radius-mfa.yaml", Owner(0, _NOBODY.gid)) == ""


@pytest.mark.parametrize(
    ("owner", "mode", "refused"),
    [
        (_SOMEBODY, 0o755, True),
        (Owner(0, 0), 0o777, True),
        (Owner(0, 4711), 0o775, True),
        (Owner(0, 0), 0o1777, False),  # as /tmp: nobody moves what is another's
        (Owner(0, 4), 0o775, False),  # adm, as /var/log of some
        (Owner(0, 50), 0o2775, True),  # staff, as /usr/local: people are in it
        (Owner(0, 100), 0o775, True),  # users
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


def test_a_file_system_that_shows_one_owner_for_all_is_named_as_a_cause(tmp_path: Path) -> None:
    """What such a one does to a new folder, an audit hook does here."""
    folder = tmp_path / "new"
    came: list[str] = []

    def share(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and arguments[0] == folder.name and not came:
            came.append(event)
            os.chown(folder, _SOMEBODY.uid, _SOMEBODY.gid)

    sys.addaudithook(share)
    with pytest.raises(LayingError, match=r"new: is not ours .* shows one owner for all"), folders() as under_test:
        under_test.make(folder, _NOBODY)
    assert came == ["open"]
    assert not folder.exists()


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
