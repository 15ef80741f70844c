"""Commands and the server at a store that is a database, or of an older version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.support import Ran, run_cli, run_process
from tests.peers.postgresql import shared
from tests.peers.server import Server
from tests.stores.postgresql import new_url
from tests.stores.schemas import NOTHING, bring_to


def at(config: Path, url: str, *lines: str) -> Path:
    """The configuration with its store there."""
    text = "\n".join((f"storage: {url}", *lines))
    config.write_text(re.sub("^storage: .*$", text, config.read_text(), flags=re.MULTILINE))
    return config


def probe(config: Path) -> Ran:
    return run_cli("check", "--probe", "--config", config)


def test_a_database_is_probed_made_and_used(config: Path) -> None:
    at(config, NOTHING["postgresql"](Path()))

    assert "store: ok; the server will bring it to its schema\n" in probe(config).worked().out
    with Server(config):
        run_cli("user", "show", "alice", "--config", config).worked()
        assert "store: ok\n" in probe(config).worked().out


def test_the_password_may_stand_in_a_file(config: Path) -> None:
    server = shared()
    password = config.with_name("password")
    password.write_text(server.password)
    password.chmod(0o600)
    url = new_url().replace(f":{server.password}@", "@")
    at(config, url, "storage_password_file: password")

    assert "store: ok" in probe(config).worked().out
    run_cli("user", "show", "alice", "--config", config).worked()


def test_a_database_that_is_not_to_be_had_is_one_line_without_its_password(config: Path) -> None:
    at(config, shared().url("radius", password="hunter2"))

    said = f'postgresql://127.0.0.1:{shared().port}/radius: password authentication failed for user "radius"'
    assert run_cli("user", "show", "alice", "--config", config).line(1).startswith(f"radius-mfa: {said}")
    assert run_process("--config", config, "serve").line(1).startswith(f"radius-mfa: {said}")
    ran = probe(config)
    assert ran.status == 1
    assert f"store: {said}" in ran.err
    assert "hunter2" not in ran.out + ran.err


@pytest.mark.parametrize("engine", NOTHING)
def test_an_older_store_is_for_the_server_to_bring_up_to_date(config: Path, engine: str) -> None:
    url = NOTHING[engine](config.parent)
    bring_to(url, "0002")
    at(config, url)

    line = run_cli("user", "show", "alice", "--config", config).line(1)
    assert "is of an older version (schema 0002; this one has " in line
    with Server(config):
        run_cli("user", "show", "alice", "--config", config).worked()
