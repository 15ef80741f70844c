"""What a reload reads: what has changed, what has to wait for a restart, and why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from radius_mfa.assembly.reload import problems_of, read
from radius_mfa.assembly.rules import load
from radius_mfa.config.load import Loaded
from radius_mfa.core.errors import ConfigurationError, KeyFileError, StoreError
from tests.config.support import SECOND_CLIENT, SMALL, Folder, radsec, two_clients
from tests.peers.certificates import Authority


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def loaded(folder: Folder, text: str) -> Loaded:
    return load(folder.write(folder.file.name, text), {})


def test_a_file_that_stays_as_it_was_changes_nothing(folder: Folder) -> None:
    started = loaded(folder, SMALL)
    news = read(folder.file, started, started)

    assert (news.changes, news.restart) == ((), ())
    assert news.loaded.configuration == started.configuration


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("workers: 2\n", "workers"),
        ("storage: sqlite:////tmp/other.db\n", "storage"),
        ("key_file: other\n", "key_file"),
        ("metrics: {listen: 127.0.0.1:9812}\n", "metrics"),
        ("user: nobody\n", "user"),
    ],
)
def test_what_cannot_change_while_it_runs_waits_for_a_restart(folder: Folder, more: str, key: str) -> None:
    started = loaded(folder, SMALL)
    loaded(folder, SMALL + more)
    news = read(folder.file, started, started)

    assert news.restart == (key,)
    assert [change.partition(":")[0].partition(".")[0] for change in news.changes] == [key]


def test_the_password_of_a_store_waits_as_its_address_does(folder: Folder) -> None:
    store = "storage: postgresql://radius@127.0.0.1/radius\nstorage_password: "
    started = loaded(folder, f"{SMALL}{store}one\n")
    loaded(folder, f"{SMALL}{store}another\n")
    news = read(folder.file, started, started)

    assert news.restart == ("storage_password",)
    assert "one" not in str(news.changes)


def test_several_that_wait_are_all_told_sockets_first(folder: Folder) -> None:
    started = loaded(folder, SMALL)
    loaded(folder, SMALL.replace("1812", "1645") + "workers: 3\nuser: nobody\n")

    assert read(folder.file, started, started).restart == ("listen", "workers", "user")


@pytest.mark.parametrize(
    "listen",
    [
        "  - udp: 127.0.0.1:1645\n",
        "  - udp: 127.0.0.1:1812\n  - udp: 127.0.0.1:1645\n",
        "  - udp: '[::1]:1812'\n",
    ],
)
def test_another_socket_waits_for_a_restart(folder: Folder, listen: str) -> None:
    started = loaded(folder, SMALL)
    loaded(folder, SMALL.replace("  - udp: 127.0.0.1:1812\n", listen))

    assert read(folder.file, started, started).restart == ("listen",)


def test_of_a_radsec_listener_all_but_its_address_is_taken_over(folder: Folder) -> None:
    authority = Authority(folder.path / "ours")
    own = authority.certify("radius.example.org").read_bytes()
    for name in ("server.pem", "other.pem", "ca.pem"):
        folder.write(name, own)
    started = loaded(folder, radsec())
    loaded(folder, radsec(certificate="other.pem", key="other.pem"))
    news = read(folder.file, started, started)
    assert news.restart == ()
    assert news.changes

    loaded(folder, radsec().replace("2083", "2084"))
    assert read(folder.file, started, started).restart == ("listen",)


def test_802_1x_is_taken_over(folder: Folder) -> None:
    own = Authority(folder.path / "ours").certify("radius.example.org", purpose="server").read_bytes()
    for name in ("eap.pem", "other.pem"):
        folder.write(name, own)
    eap = "eap: {certificate: eap.pem, key: eap.pem"
    started = loaded(folder, SMALL)
    loaded(folder, f"{SMALL}{eap}}}\n")
    added = read(folder.file, started, started)
    assert (added.restart, added.changes) == ((), ("eap: added",))

    loaded(folder, f"{SMALL}{eap}, session_lifetime: 0s}}\n".replace("eap.pem", "other.pem"))
    changed = read(folder.file, started, added.loaded)
    assert changed.restart == ()
    assert changed.changes == (
        'eap.certificate: "eap.pem" → "other.pem"',
        'eap.key: "eap.pem" → "other.pem"',
        'eap.session_lifetime: added, "0s"',
    )


def test_what_waits_is_by_what_it_started_with_and_what_has_changed_by_what_is_in_force(folder: Folder) -> None:
    started = loaded(folder, SMALL)
    in_force = loaded(folder, two_clients(SECOND_CLIENT) + "workers: 2\n")
    again = read(folder.file, started, in_force)
    assert (again.changes, again.restart) == ((), ("workers",))

    loaded(folder, SMALL)
    back = read(folder.file, started, in_force)
    assert back.restart == ()
    assert back.changes == ("clients.wifi: removed", 'workers: removed, was "2"')


def test_variables_are_those_of_the_process(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", "0123456789abcdef")
    text = SMALL.replace("secret: 0123456789abcdef", "secret: ${OUR_SECRET}")
    folder.write(folder.file.name, text)
    started = load(folder.file, {"OUR_SECRET": "fedcba9876543210"})
    news = read(folder.file, started, started)

    assert len(news.changes) == 1
    assert "0123456789abcdef" not in str(news.changes)
    assert news.loaded.configuration != started.configuration


def test_a_file_that_is_wrong_is_refused_with_every_problem(folder: Folder) -> None:
    started = loaded(folder, SMALL)
    folder.write(folder.file.name, SMALL.replace("192.0.2.1", "nowhere") + "colour: red\n")
    with pytest.raises(ConfigurationError) as wrong:
        read(folder.file, started, started)

    assert len(problems_of(wrong.value)) == 2
    assert all(line.startswith(f"{folder.file}:") for line in problems_of(wrong.value))


def test_a_file_that_is_gone_is_refused(folder: Folder) -> None:
    started = loaded(folder, SMALL)
    folder.file.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(folder.file, started, started)


@pytest.mark.parametrize(
    ("broken", "problems"),
    [
        (ConfigurationError("a:1: wrong", "a:2: wrong"), ("a:1: wrong", "a:2: wrong")),
        (StoreError("the store does not answer"), ("the store does not answer",)),
        (KeyFileError("key: cannot be read"), ("key: cannot be read",)),
        (ValueError("of a text that holds a secret"), ("ValueError",)),
        (OSError(2, "secret"), ("FileNotFoundError",)),
    ],
)
def test_a_mistake_of_ours_is_told_by_its_kind_only(broken: Exception, problems: tuple[str, ...]) -> None:
    assert problems_of(broken) == problems
