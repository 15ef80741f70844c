"""`radius-mfa token resync`, with the codes of devices whose clocks are off, made by pyotp."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyotp
import pytest

from tests.cli.support import run_cli
from tests.cli.test_token import GOOD, OTHER, imported, shown
from tests.end_to_end.nas import ACCEPT
from tests.end_to_end.site import Site


def codes(seconds: float, secret: str = GOOD) -> tuple[str, str]:
    """The last two codes in a row of a device whose clock is so far ahead."""
    at = int(time.time() + seconds)
    return pyotp.TOTP(secret).at(at - 30), pyotp.TOTP(secret).at(at)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1800, "30 minutes behind"), (1800, "30 minutes ahead"), (0, "right"), (30, "30 seconds")],
)
def test_a_clock_that_is_off_is_learnt(config: Path, seconds: int, text: str) -> None:
    imported(config, f"alice,{OTHER}", f"alice,{GOOD}").worked()
    ran = run_cli("--config", config, "token", "resync", "Alice", *codes(seconds)).worked()
    late = {"30 minutes behind": "30.5 minutes behind", "30 minutes ahead": "29.5 minutes ahead"}
    expected = [text, late.get(text, text)] if late.get(text) else [text, "30 seconds behind", "right"]
    assert any(
        f"Alice: the clock of the device is {each}" in ran.out for each in expected
    )  # a step may have passed
    used = [token["last_used"] for token in shown(config, "alice")["tokens"]]
    assert used.count(None) == 1


def test_resync_as_json(config: Path) -> None:
    imported(config, f"alice,{GOOD}").worked()
    ran = run_cli("--config", config, "token", "resync", "alice", *codes(-1200), "--json").worked()
    said = json.loads(ran.out)
    assert said.pop("seconds_ahead") in (-1200, -1230)
    assert said == {"id": "static:Alice", "username": "Alice", "token": shown(config, "alice")["tokens"][0]["id"]}


def test_a_user_may_be_named_by_id(config: Path) -> None:
    imported(config, f"an id,{GOOD}", options=("--offline",)).worked()
    ran = run_cli("--config", config, "token", "resync", "--id", "an id", *codes(600)).worked()
    assert ran.out.startswith("an id: the clock of the device is ")


def test_codes_that_are_not_taken(config: Path) -> None:
    imported(config, f"alice,{GOOD}").worked()
    resync = ("--config", config, "token", "resync")
    one, two = codes(-1200)
    wrong = "Alice: not two codes in a row, first one and then the next, of any token within an hour of now"
    for pair in ((two, one), (one, one), ("", ""), ("12345678", two), codes(-7200), codes(-1200, OTHER)):
        ran = run_cli(*resync, "alice", "--", *pair)
        assert ran.line(1).startswith(wrong)
        assert not any(code in ran.err for code in pair if code)

    run_cli(*resync, "alice", one, two).worked()
    assert run_cli(*resync, "alice", one, two).line(1) == (
        "Alice: these codes, or later ones, were accepted before: wait for the next two"
    )
    assert run_cli(*resync, "bob", one, two).line(1) == "bob: has no confirmed token"
    assert (
        run_cli(*resync, "no\x1bbody", one, two).line(1)
        == "no\\x1bbody: unknown user; --id takes the directory's id, which 'user list' shows"
    )


def test_who_was_set_right_can_log_in(university: Site) -> None:
    """The device is ten minutes behind."""
    account = university.newcomer()
    file = university.folder / "behind.csv"
    file.write_text(f"username,secret\n{account.name},{account.base32}\n")
    run_cli("--config", university.config, "token", "import", file).worked()
    pair = codes(-600, account.base32)
    resync = ("token", "resync", account.name, *pair, "--json")
    ahead = run_cli("--config", university.config, *resync).json["seconds_ahead"]  # a step may have passed
    with university.nas() as nas:
        state = nas.ask(account.name, account.password).state
        # The next one: those two are used up.
        code = pyotp.TOTP(account.base32).at(int(time.time()) + ahead + 30)
        assert nas.ask(account.name, code, state=state).code == ACCEPT
