"""Whose new files are: of a folder that two users share, their group's."""

from __future__ import annotations

from pathlib import Path

import pytest

from radius_mfa.stores.ownership import mode_of_new


@pytest.mark.parametrize(
    ("folder", "mode"), [(0o755, 0o600), (0o770, 0o600), (0o2750, 0o600), (0o2770, 0o660), (0o3770, 0o660)]
)
def test_a_new_file_is_its_groups_where_the_folder_is_shared(tmp_path: Path, folder: int, mode: int) -> None:
    tmp_path.chmod(folder)
    assert mode_of_new(tmp_path / "new", 0o600) == mode


def test_a_folder_that_is_not_there_shares_nothing(tmp_path: Path) -> None:
    assert mode_of_new(tmp_path / "nowhere" / "new", 0o640) == 0o640
