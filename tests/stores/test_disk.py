"""A disk that is full, and one that may only be read: a small one of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stores.support import PATIENCE, TOP


def on_a_small_disk(task: str, folder: Path) -> dict[str, Any]:
    """What `tests.stores.small_disk` finds.  Its disk is mounted where only it sees it; root may, others in a
    namespace in which they are root."""
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    command = [*alone, sys.executable, "-W", "error", "-m", "tests.stores.small_disk", task, str(folder)]
    ended = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(folder.iterdir()) == []
    said: dict[str, Any] = json.loads(ended.stdout)
    return said


def test_a_full_disk_refuses_logins_loses_nothing_and_heals_when_there_is_room(tmp_path: Path) -> None:
    said = on_a_small_disk("full", tmp_path)

    assert said["before"] == ["DONE", "Reserved"]
    assert set(said["while full"]) == {f"StoreError: {tmp_path}/state.db: database or disk is full"}
    assert len(said["while full"]) == 15
    assert said["seen"] == 0  # it can be read, and what was refused was not counted
    # What was begun before is ended, what was decided before is decided, and all goes on.
    assert said["after"] == ["DONE", "AnsweredBefore", "AnsweredBefore", "Reserved", "list"]
    assert said["integrity"] == "ok"
    assert (said["tokens"], said["last step"], said["failures"]) == (["t1", "t3"], 8, [0, 1])


def test_a_full_disk_at_the_start_is_one_line_and_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    said = on_a_small_disk("full-at-start", tmp_path)

    assert said["said"] == ["FOLDER/state.db: database or disk is full", "opened"]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (
            "read-only",
            [
                "FOLDER/state.db: is not a file that can be read and written",
                "FOLDER/state.db: Read-only file system",
            ],
        ),
        (
            "read-only-folder",
            ["FOLDER/state.db: SQLite needs files beside it, and its folder cannot be written"],
        ),
    ],
)
def test_a_store_that_cannot_be_written_is_refused_at_the_start_in_one_line(
    tmp_path: Path, task: str, expected: list[str]
) -> None:
    """Not even root may write there.  The file of a store, or none; then a file in a folder that is closed."""
    assert on_a_small_disk(task, tmp_path)["said"] == expected
