"""`radius-mfa keys`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from radius_mfa.stores.key_file import KeyFile, create_key_file, editing, read_key_file
from tests.cli.support import Ran, run_cli
from tests.peers.server import Server

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def keys(config: Path, *arguments: str | Path) -> Ran:
    return run_cli("keys", *arguments, "--config", config)


def test_a_key_is_made_for_its_owner_alone_and_only_once(config: Path) -> None:
    key = config.with_name("key")
    key.unlink()
    ran = keys(config, "init").worked()
    assert ran.out.startswith(f"{key}: made.")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    made = key.read_text()
    assert made.splitlines()[-1].split()[2] not in ran.out
    assert keys(config, "init").line(1) == f"radius-mfa: {key}: is there already, and was left as it is"
    assert key.read_text() == made


def test_no_new_key_is_made_for_a_store_that_another_has_sealed(config: Path) -> None:
    run_cli("user", "show", "alice", "--config", config).worked()
    key, store = config.with_name("key"), config.with_name("state.db")
    key.unlink()
    assert keys(config, "init").line(1).startswith(f"{store}: was sealed with another key")
    assert not key.exists()


def test_where_its_folder_is_missing_that_is_said(config: Path) -> None:
    config.write_text(config.read_text().replace("key_file: key", "key_file: no/such/folder/key"))
    assert keys(config, "init").line(1).endswith("its folder does not exist")


def test_step_by_step(config: Path) -> None:
    path = config.with_name("key")
    old = read_key_file(path).primary.id.hex()
    run_cli("user", "enrol", "alice", "--secret", SEED, "--config", config).worked()

    added = keys(config, "add").worked().out
    new = read_key_file(path).accepted[0].id.hex()
    assert added == f"{path}: key {new} added\n"
    assert keys(config, "list").worked().out.splitlines() == [
        f"{old}  primary",
        f"{new}  accepted  the store does not need it",
        "no server is running",
    ]
    assert keys(config, "promote").worked().out.startswith(f"{path}: key {new} seals from now on.")
    listed = json.loads(keys(config, "list", "--json").worked().out)
    assert listed == {
        "keys": [
            {"id": new, "use": "primary", "needed": True},
            {"id": old, "use": "accepted", "needed": True},
        ],
        "nodes": [],
    }
    assert keys(config, "retire", old).worked().out == f"{path}: key {old} retired, 1 secret sealed anew\n"
    assert read_key_file(path).ids == (bytes.fromhex(new),)
    assert "radius-mfa" not in run_cli("user", "show", "alice", "--config", config).worked().err


def test_in_one_go(config: Path) -> None:
    path = config.with_name("key")
    run_cli("user", "enrol", "alice", "--secret", SEED, "--config", config).worked()
    before = path.read_text()
    out = keys(config, "rotate").worked().out

    (new,) = read_key_file(path).ids
    assert out.startswith(f"{path}: key {new.hex()} is the only one now, 1 secret sealed anew.")
    assert not any(line.split()[2] in out for line in path.read_text().splitlines() if line[0] != "#")
    # What was copied before is of no use any more.
    path.write_text(before)
    assert (
        run_cli("user", "show", "alice", "--config", config)
        .line(1)
        .startswith(f"radius-mfa: {path}: this key file lacks key {new.hex()}, ")
    )


def test_a_running_server_is_listed_with_its_keys(config: Path) -> None:
    (key,) = (each.hex() for each in read_key_file(config.with_name("key")).ids)
    with Server(config):
        (node,) = json.loads(keys(config, "list", "--json").worked().out)["nodes"]
        assert node["keys"] == [key]
        assert keys(config, "list").worked().out.splitlines()[1] == f"{node['name']}  seals with {key}"
    assert json.loads(keys(config, "list", "--json").worked().out)["nodes"] == []


def test_a_lost_key_is_brought_back_from_the_node_that_has_it(config: Path) -> None:
    """As the error says: one line after the other."""
    path, copy = config.with_name("key"), config.with_name("copy")
    run_cli("user", "show", "alice", "--config", config).worked()
    (old,) = (each.hex() for each in read_key_file(path).ids)
    path.rename(copy)
    create_key_file(path)
    (stray,) = (each.hex() for each in read_key_file(path).ids)

    def show() -> Ran:
        return run_cli("user", "show", "alice", "--config", config)

    assert "`radius-mfa keys add --from FILE`" in show().line(1)
    assert f"{old}  missing" in keys(config, "list").worked().out
    assert keys(config, "add", "--from", copy).worked().out == f"{path}: key {old} added\n"
    assert keys(config, "add", "--from", copy).worked().out == f"{path}: has all the keys of {copy}\n"
    assert show().line(1).endswith(f"run `radius-mfa keys promote {old}`")
    keys(config, "promote", old).worked()
    show().worked()
    keys(config, "retire", stray).worked()
    assert read_key_file(path) == read_key_file(copy)


@pytest.mark.parametrize("wrong", ["", "0", "1234567g", "123456789", "--json"])
def test_what_is_no_id_of_a_key_is_wrong_usage(config: Path, wrong: str) -> None:
    assert keys(config, "retire", wrong).line(2).startswith("radius-mfa keys retire: ")


def test_refusals_are_one_line(config: Path) -> None:
    path, copy = config.with_name("key"), config.with_name("copy")
    create_key_file(copy)
    copy.chmod(0o644)
    (key,) = (each.hex() for each in read_key_file(path).ids)
    assert keys(config, "promote").line(1).endswith("has no key to promote; `radius-mfa keys add` makes one")
    assert keys(config, "promote", "00000000").line(1).endswith(f"has no key 00000000; it has {key}")
    assert keys(config, "retire", key).line(1).endswith(f"key {key} seals; promote another before it is retired")
    assert keys(config, "add", "--from", copy).line(1).endswith(f"run `chmod 600 {copy}`")
    assert keys(config, "add", "--from", "nowhere").line(1) == "radius-mfa: nowhere: there is no such file"
    with editing(path):
        for command in ("add", "promote", "rotate"):
            assert "another `radius-mfa keys` is changing it" in keys(config, command).line(1)


@pytest.mark.parametrize("command", ["list", "add", "promote", "rotate"])
def test_a_key_file_that_cannot_be_used_is_left_as_it_is(config: Path, command: str) -> None:
    path = config.with_name("key")
    path.chmod(0o604)
    assert keys(config, command).line(1).endswith(f"run `chmod 600 {path}`")
    path.unlink()
    assert (
        keys(config, command)
        .line(1)
        .endswith("there is no key file; put its copy back, or for a new store run `radius-mfa keys init`")
    )
    assert not config.with_name("state.db").exists()


def test_a_store_that_cannot_be_opened_is_one_line(config: Path) -> None:
    config.with_name("state.db").write_bytes(b"not a database at all" * 100)
    before = read_key_file(config.with_name("key"))
    for command in ("list", "promote", "rotate"):
        assert "file is not a database" in keys(config, command).line(1)
    assert read_key_file(config.with_name("key")) == before


def test_a_key_file_whose_key_was_swapped_under_its_id_is_refused(config: Path) -> None:
    path = config.with_name("key")
    run_cli("user", "show", "alice", "--config", config).worked()
    (key,) = read_key_file(path).ids
    other = type(KeyFile.new().primary)(key, KeyFile.new().primary.secret)
    path.unlink()
    create_key_file(path, KeyFile(other))
    said = f"radius-mfa: {path}: this key file has another key {key.hex()} than the store; put the right one back"
    assert run_cli("user", "show", "alice", "--config", config).line(1) == said
    assert keys(config, "rotate").line(1) == said
