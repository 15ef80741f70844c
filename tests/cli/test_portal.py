"""`radius-mfa portal`, the process: how it starts, is reached, and ends.  What its pages do is in `portal`."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from radius_mfa import __version__
from tests.cli.support import rewritten, run_cli, run_process
from tests.peers.certificates import Authority
from tests.peers.portal_process import PortalProcess
from tests.peers.service_manager import Manager

HOST = "mfa.example.org"
PORTAL = f"portal: {{listen: '127.0.0.1:0', url: 'https://{HOST}', trusted_proxies: 127.0.0.1}}\n"
NOBODY = pwd.getpwnam("nobody")
OPENED = ("unshare", "--mount", sys.executable, "-m", "tests.peers.opened")


def with_portal(config: Path, portal: str = PORTAL) -> Path:
    """A configuration with one, which writes its events into a file."""
    config.write_text(f"{config.read_text()}{portal}audit: {{file: audit.jsonl}}\n")
    return config


def events(config: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in config.with_name("audit.jsonl").read_text().splitlines()]


def _health(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as refused:
        return refused.code, refused.read().decode()


class TestStart:
    def test_without_a_portal_in_the_configuration_is_an_error_in_one_line(self, config: Path) -> None:
        assert run_cli("--config", config, "portal").line(2) == (
            f"{config}:1: portal: is missing; the portal needs listen and url"
        )

    def test_with_a_wrong_configuration_says_what_is_wrong(self, config: Path) -> None:
        with_portal(config, "portal: {listen: '127.0.0.1:0', url: 'http://mfa.example.org'}\n")
        assert "portal.url: must begin with https://" in run_cli("--config", config, "portal").line(2)

    @pytest.mark.parametrize("key", ["listen", "health"])
    def test_where_somebody_else_listens_is_an_error(self, config: Path, key: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            both = PORTAL.replace("}", ", health: '127.0.0.1:0'}")
            with_portal(config, both.replace(f"{key}: '127.0.0.1:0'", f"{key}: '127.0.0.1:{port}'"))
            line = run_process("--config", config, "portal").err.splitlines()[-1]
        assert line.endswith(
            f": portal.{key}: cannot listen on 127.0.0.1 port {port}: Address already in use; "
            "stop what listens there, or choose another port"
        )

    def test_without_a_folder_for_the_audit_file_is_an_error(self, config: Path) -> None:
        config.write_text(f"{config.read_text()}{PORTAL}audit: {{file: log/audit.jsonl}}\n")
        ran = run_process("--config", config, "portal")
        at = config.read_text().count("\n")
        assert ran.status == 2
        assert ran.err.splitlines()[-1] == (
            f"{config}:{at}: audit.file: {config.parent}/log/audit.jsonl: its folder does not exist; make it"
        )

    def test_without_a_key_is_an_error(self, config: Path) -> None:
        with_portal(config)
        config.with_name("key").unlink()
        ran = run_process("--config", config, "portal")
        assert ran.status == 1
        assert "there is no key file" in ran.err


class TestServing:
    def test_it_is_there_and_ends_when_it_is_told_to_however_often(self, config: Path) -> None:
        with PortalProcess(with_portal(config)) as portal:
            answered = portal.get("/health")
            assert (answered.status, answered.body) == (200, "ok")
            assert "server" not in answered.headers
            assert "radius-mfa" not in str(answered.headers)
            while portal.runs():  # again and again
                portal.terminate()
            assert portal.ended() == 0
            portal.wait_for("stopped")

    def test_whether_all_is_well_is_told_at_an_address_of_its_own_however_many_are_connected(
        self, config: Path
    ) -> None:
        with_portal(config, PORTAL.replace("}\n", ", health: '127.0.0.1:0'}\n"))
        with PortalProcess(config) as portal, ExitStack() as stack:
            ((host, port),) = portal.log[-1]["health"]
            for _ in range(1001):  # more than get a page
                stack.enter_context(socket.create_connection(portal.addresses[0], 30))
            with suppress(OSError):  # as the kernel has it: it may hang up before the answer is read
                assert portal.get("/healthz").status == 503
            asked = [_health(f"http://{host}:{port}/{path}") for path in ("healthz", "readyz", "metrics")]
            assert asked == [(200, "ok\n"), (200, "ok\n"), (404, "/healthz and /readyz are all there is\n")]
            assert portal.stop() == 0

    def test_a_service_manager_knows_what_it_is_at(self, config: Path) -> None:
        """sd_notify(3)."""
        with Manager(config.parent, watchdog=0.2) as manager:
            with PortalProcess(with_portal(config), manager.environment) as portal:
                port = portal.addresses[0][1]
                known = f"{__version__}: listen 127.0.0.1:{port}, url https://{HOST}"
                assert manager.hears() == {"READY": "1", "STATUS": known}
                for _ in range(3):
                    manager.hears_of_life()
                portal.reload()
                assert manager.hears()["RELOADING"] == "1"
                assert manager.hears() == {"READY": "1", "STATUS": known}
            assert manager.hears()["STOPPING"] == "1"

    def test_keys_are_not_retired_while_it_seals_with_them(self, config: Path) -> None:
        with PortalProcess(with_portal(config)):
            listed = run_cli("--config", config, "keys", "list").worked().out
            assert f"{socket.gethostname()} portal  seals with" in listed
        assert "portal" not in run_cli("--config", config, "keys", "list").worked().out

    def test_a_new_audit_file_is_gone_on_in_after_a_signal(self, config: Path) -> None:
        with PortalProcess(with_portal(config), name=HOST) as portal:
            portal.sign_in("bob", "wrong")
            config.with_name("audit.jsonl").rename(config.with_name("audit.jsonl.1"))
            portal.reload()
            while not config.with_name("audit.jsonl").exists():
                assert portal.get("/health").status == 200
            portal.sign_in("Alice", "wrong")
        (event,) = events(config)
        assert (event["outcome"], event["client"]) == ("wrong_password", "portal")

    def test_a_name_and_a_right_password_are_a_login_like_any_other(self, config: Path) -> None:
        with PortalProcess(with_portal(config), name=HOST) as portal:
            assert portal.sign_in("Alice", "correct horse").status == 303
        assert [(each["outcome"], each["decision"]) for each in events(config)] == [
            ("unenrolled", "reject"),
            ("signed_in", "done"),
        ]


class TestProxy:
    def test_its_word_is_taken_about_where_somebody_comes_from(self, config: Path) -> None:
        with PortalProcess(with_portal(config), name=HOST) as portal:
            portal.sign_in("Alice", "wrong", X_Forwarded_For="203.0.113.9, 198.51.100.7, 127.0.0.1")
        assert [each["source"] for each in events(config)] == ["198.51.100.7:0"]

    def test_nobody_elses_is(self, config: Path) -> None:
        with_portal(config, PORTAL.replace("trusted_proxies: 127.0.0.1", "trusted_proxies: 192.0.2.1"))
        with PortalProcess(config, name=HOST) as portal:
            portal.sign_in("Alice", "wrong", X_Forwarded_For="203.0.113.9")
        assert [each["source"].rpartition(":")[0] for each in events(config)] == ["127.0.0.1"]

    def test_none_is_where_none_is_trusted(self, config: Path) -> None:
        with_portal(config, PORTAL.replace(", trusted_proxies: 127.0.0.1", ""))
        with PortalProcess(config, name=HOST) as portal:
            portal.sign_in("Alice", "wrong", X_Forwarded_For="203.0.113.9")
        assert [each["source"].rpartition(":")[0] for each in events(config)] == ["127.0.0.1"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.check_hostname = False  # the tests connect by address
    return context


class TestTls:
    @pytest.fixture
    def own(self, config: Path, authority: Authority) -> Path:
        """The file of certificate and key."""
        own = config.with_name("own.pem")
        own.write_bytes(authority.certify(HOST).read_bytes())
        own.chmod(0o600)
        files = "certificate: own.pem, key: own.pem"
        with_portal(config, f"portal: {{listen: '127.0.0.1:0', url: 'https://{HOST}', {files}}}\n")
        return own

    @pytest.mark.usefixtures("own")
    def test_is_its_own_without_a_proxy(self, config: Path, trusting: ssl.SSLContext) -> None:
        with PortalProcess(config, tls=trusting, name=HOST) as portal:
            answered = portal.get("/sign-in")
            assert answered.status == 200
            assert "__Host-browser=" in answered.headers["set-cookie"]
            assert answered.headers["strict-transport-security"]

    def test_shows_a_new_certificate_after_a_signal(
        self, config: Path, own: Path, authority: Authority, trusting: ssl.SSLContext
    ) -> None:
        with PortalProcess(config, tls=trusting) as portal:
            first = shown(portal)
            own.write_bytes(authority.certify(HOST).read_bytes())
            assert shown(portal) == first
            portal.reload()
            while shown(portal) == first:
                pass

    def test_keeps_the_certificate_it_has_where_the_new_one_is_none(
        self, config: Path, own: Path, trusting: ssl.SSLContext
    ) -> None:
        with Manager(config.parent) as manager, PortalProcess(config, manager.environment, tls=trusting) as portal:
            manager.hears()
            first = shown(portal)
            own.write_text("half a file")
            portal.reload()
            assert portal.wait_for("certificate_refused")["note"] == "the one in use stays"
            assert shown(portal) == first
            assert manager.hears()["RELOADING"] == "1"
            assert manager.hears()["STATUS"].endswith("; reload refused; the log says why")


def shown(portal: PortalProcess) -> bytes | None:
    """The certificate that a browser is shown."""
    connection = portal.connection()
    assert isinstance(connection, http.client.HTTPSConnection)
    connection.connect()
    try:
        assert isinstance(connection.sock, ssl.SSLSocket)
        return connection.sock.getpeercert(binary_form=True)
    finally:
        connection.close()


class TestUser:
    """These are root's, as those of `test_privileges`."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        """Not below pytest's own, which it keeps closed."""
        with TemporaryDirectory(prefix="two-users-") as name:
            path = Path(name)
            path.chmod(0o755)
            yield path

    @pytest.fixture
    def shared(self, config: Path, folder: Path) -> Path:
        """A server that is root here, and a portal that is nobody, of the group of the folder that they share."""
        store = folder / "store"
        store.mkdir()
        os.chown(store, 0, NOBODY.pw_gid)
        store.chmod(0o2770)
        rewritten(config, f"sqlite:///{config.parent}/state.db", f"sqlite:///{store}/state.db")
        key = folder / "key"
        config.with_name("key").rename(key)
        os.chown(key, 0, NOBODY.pw_gid)
        key.chmod(0o640)
        rewritten(config, "key_file: key", f"key_file: {key}")
        portal = PORTAL.replace("}", ", user: nobody}")
        config.write_text(f"{config.read_text()}{portal}audit: {{file: {store}/audit.jsonl}}\n")
        return config

    def test_of_its_own_shares_store_and_keys_with_the_servers(self, shared: Path, folder: Path) -> None:
        run_process("--config", shared, "user", "enrol", "Alice").worked()  # the store is root's, and the group's
        with PortalProcess(shared, within=OPENED, name=HOST) as portal:
            status = Path(f"/proc/{portal.pid}/status").read_text()
            assert f"Uid:\t{NOBODY.pw_uid}\t" in status
            assert portal.sign_in("Alice", "wrong").status == 403
            run_process(
                "--config", shared, "user", "enrol", "bob"
            ).worked()  # beside it, in the same log of SQLite
            assert portal.sign_in("bob", "correct horse").status == 303
        run_process("--config", shared, "user", "list").worked()
        assert {each.stat().st_mode & 0o777 for each in (folder / "store").iterdir()} == {0o660}

    def test_is_the_servers_where_none_is_named(self, shared: Path, folder: Path) -> None:
        rewritten(shared, ", user: nobody}", "}\nuser: nobody")
        os.chown(folder / "store", NOBODY.pw_uid, NOBODY.pw_gid)
        with PortalProcess(shared, within=OPENED) as portal:
            assert f"Uid:\t{NOBODY.pw_uid}\t" in Path(f"/proc/{portal.pid}/status").read_text()
        assert {each.stat().st_uid for each in (folder / "store").iterdir()} == {NOBODY.pw_uid}

    def test_of_its_own_is_told_what_it_may_not_use(self, shared: Path, folder: Path) -> None:
        (folder / "key").chmod(0o600)
        (folder / "store").chmod(0o700)
        ran = run_process("--config", shared, "portal")
        lines = [line.split(": ", 1)[1] for line in ran.err.splitlines() if not line.startswith("{")]
        assert ran.status == 2
        remedy = 'let its group (docs/portal.md, "Two users")'
        assert lines == [
            f"key_file: nobody may not read {folder}/key: {remedy}",
            f"storage: nobody may not make files in {folder}/store, as SQLite does: {remedy}",
            f"audit.file: nobody may not read and write {folder}/store/audit.jsonl: {remedy}",
        ]
