"""What `init` has composed is laid down whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from radius_mfa.assembly.giving import LayingError
from radius_mfa.assembly.laying import Laying
from radius_mfa.config.compose import Composition
from tests.config.test_compose import ANSWERS


@pytest.mark.parametrize("kept", ["state", "log"])
def test_where_the_server_could_not_write_nothing_is_laid_down(tmp_path: Path, kept: str) -> None:
    """Though its asker was told so, and kept it."""
    full, config = tmp_path / kept, tmp_path / "etc" / "radius-mfa.yaml"
    (full / "x").mkdir(parents=True)
    folders = {"state_folder": str(tmp_path / "state"), "audit_file": str(tmp_path / "log" / "audit.jsonl")}
    composition = Composition({**ANSWERS, **folders, "user": "nobody"})
    with pytest.raises(LayingError, match=f"^{full}: is not nobody's, who is to write there: give it to nobody"):
        Laying(composition, config).lay()
    assert os.listdir(tmp_path) == [kept]
