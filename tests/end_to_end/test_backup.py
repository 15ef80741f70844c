"""A backup taken while logins go on, restored on a fresh machine: who could log in can, no code works twice."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import pytest

from radius_mfa.cli.passphrase import VARIABLE
from tests.cli.support import run_cli
from tests.end_to_end.crowd import Crowd, People
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, RawNas, raw_nas
from tests.end_to_end.site import SECRET, VPN, Account, Site, now
from tests.end_to_end.test_keys import one, person
from tests.peers.clock import other_clock
from tests.peers.server import Server

FIRST, LAST = 500, 800  # people of the directory; in this store no other test has them
LATER = 10  # minutes
STEPS = 2 * LATER


@pytest.fixture(autouse=True)
def _passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "correct horse battery staple")


def fresh_machine(config: Path, folder: Path) -> Path:
    """The same configuration where there is no store and no key."""
    folder.mkdir()
    changes = json.loads(config.read_text())
    changes |= {"storage": f"sqlite:///{folder}/state.db", "audit": {"file": str(folder / "audit.jsonl")}}
    path = folder / "radius-mfa.yaml"
    path.touch(0o600)
    path.write_text(json.dumps(changes))
    return path


def test_a_backup_of_a_busy_server_is_restored_onto_a_fresh_machine(university: Site, tmp_path: Path) -> None:
    people = [person(number) for number in range(FIRST, LAST)]
    with one(university, "busy", people) as (node, _):
        early, late, *others = people
        file = tmp_path / "backup"
        with node.server:
            assert node.lets_in(early)
            with Crowd(node.server.addresses[0], People(others), 10_000, 2) as crowd:
                crowd.ended(8)
                made = node.run("backup", file, "--json").json
                crowd.ended(sum(bool(login.result) for login in crowd.logins) + 8)
                crowd.stop()
            assert set(crowd.failures) <= {"stopped"}
            after = late.code()
            assert node.says(late, after, node.begin(late)) == ACCEPT
        assert made["rows"]["totp_token"] == len(people)
        assert made["secrets"] == len(people)
        assert 8 < made["rows"]["login"] + 1 <= crowd.accepted + 1
        config = fresh_machine(node.config, tmp_path / "fresh")

    run_cli("restore", "--config", config, file).worked()
    with Server(config) as server, raw_nas(server.port, SECRET, VPN) as nas:
        for who, code in ((late, after), (late, late.next_code()), (early, early.code())):
            state = nas.ask(who.name, who.password).state
            assert nas.ask(who.name, code, state=state).code == CHALLENGE
    with Server(config, other_clock(f"+{LATER}m")) as server, raw_nas(server.port, SECRET, VPN) as nas:
        for who in (early, late, *others[:3]):
            state = nas.ask(who.name, who.password).state
            assert nas.ask(who.name, who.code(now() + STEPS), state=state).code == ACCEPT
        # Where another restoring may follow, so that each code would count at both.
        config.with_name("state.db").rename(config.with_name("moved"))
        refused_in_the_end(nas, others)


def refused_in_the_end(nas: RawNas, people: Sequence[Account]) -> None:
    """One after the other, since who asks again is given the same challenge."""
    end = time.monotonic() + 10
    for who in cycle(people):
        if nas.ask(who.name, who.password).code == REJECT:
            return
        assert time.monotonic() < end
