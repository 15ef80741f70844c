"""A real PostgreSQL on loopback.

    with Postgresql() as server:
        server.url(server.new_database())

It is Debian's, in a temporary folder, with a superuser only its socket lets in and a role `radius` for the
rest; any number can run at once.  It never syncs unless told to: what is tested is what its clients see.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.peers.ports import free_port

_BINARIES = Path("/usr/lib/postgresql")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "100",
    "autovacuum": "off",
    "logging_collector": "off",
}
_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_PATIENCE, _GLANCE = 30.0, 0.02
_ADMIN = "admin"


class Postgresql:
    """A server from `start` to `stop`; as a context manager also its data, gone at the end.

    `certificate`: PEM with its key: it speaks TLS as well.
    """

    role = "radius"

    def __init__(self, certificate: Path | None = None, *, fsync: bool = False) -> None:
        self._certificate = certificate
        self._syncing = {"fsync": "on", "full_page_writes": "on"} if fsync else {}
        self.password = secrets.token_urlsafe(12)
        self.port = 0
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)

    @property
    def folder(self) -> Path:
        """Where its socket is."""
        return self._folder

    def url(
        self, database: str, *, role: str = role, password: str | None = None, port: int = 0, tls: str = "disable"
    ) -> str:
        who = f"{role}:{self.password if password is None else password}"
        return f"postgresql://{who}@127.0.0.1:{port or self.port}/{database}?sslmode={tls}"

    def socket_url(self, database: str) -> str:
        return f"postgresql://{self.role}@/{database}?host={self._folder}&port={self.port}"

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._folder = Path(
                undo.enter_context(tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True))
            )
            undo.callback(self.stop, "immediate")
            self._make()
            self.start()
            self.execute(f"CREATE ROLE {self.role} LOGIN PASSWORD '{self.password}'")
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def start(self) -> None:
        """Listen: on the port it had before, else on a free one, of which somebody else may be quicker to take."""
        for _ in range(5):
            port = self.port or free_port()
            if self._listens(port):
                self.port = port
                return
        raise RuntimeError(f"PostgreSQL does not start: {self.said()}")

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """End it if it runs; the data stay.  `fast` tells the clients; `immediate` is a crash it survives."""
        if self._process is not None:
            self._process.send_signal(_SIGNALS[how])
            self._process.wait(_PATIENCE)
            self._process = None

    def kill(self) -> None:
        """End it and its backends without a farewell to anybody; the data stay."""
        assert self._process is not None
        self._send(signal.SIGKILL)
        self._process.wait(_PATIENCE)
        self._process = None

    def freeze(self) -> None:
        """Let it stand still, and keep all its connections."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def new_database(self, template: str = "template0") -> str:
        """The name of a new one, owned by the role."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} OWNER {self.role} TEMPLATE {template}")
        return name

    def in_use(self) -> set[str]:
        """The databases somebody is connected to."""
        return set(self.execute("SELECT DISTINCT datname FROM pg_stat_activity WHERE datname IS NOT NULL"))

    def execute(self, sql: str, database: str = "postgres") -> list[str]:
        """Do it as the superuser; the rows, with `|` between columns."""
        where = ("-h", str(self._folder), "-p", str(self.port), "-U", _ADMIN, "-d", database)
        done = _run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *where, "-c", sql)
        return done.splitlines()

    def said(self) -> str:
        """What is in its log."""
        return (self._folder / "log").read_text()

    def _make(self) -> None:
        account = _account()
        if account:
            shutil.chown(self._folder, account.pw_uid, account.pw_gid)
        # Not octet by octet, as ours have to compare.
        locale = ("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
        how = ("--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", *locale)
        self._settings = {**_SETTINGS, **self._syncing}
        if self._certificate:
            # It takes a key only from a file of its own that nobody else can read.
            copy = self._folder / "server.pem"
            copy.touch(0o600)
            copy.write_bytes(self._certificate.read_bytes())
            if account:
                shutil.chown(copy, account.pw_uid, account.pw_gid)
            self._settings |= {"ssl": "on", "ssl_cert_file": str(copy), "ssl_key_file": str(copy)}
        _run("initdb", "-D", str(self._folder / "data"), "-U", _ADMIN, *how, **_as_account())

    def _listens(self, port: int) -> bool:
        """Start it there; whether it answers."""
        settings = {**self._settings, "port": str(port), "unix_socket_directories": str(self._folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = (_binary("postgres"), "-D", str(self._folder / "data"), *options)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_as_account()
            )
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            try:
                self._process.wait(_GLANCE)
            except subprocess.TimeoutExpired:
                if subprocess.run(
                    [_binary("pg_isready"), "-q", "-h", str(self._folder), "-p", str(port)]
                ).returncode:
                    continue
                return True
            break
        else:
            self.stop("immediate")
        self._process = None
        return False

    def _send(self, number: signal.Signals) -> None:
        """To all its processes, the one that starts the others first."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        for each in (pid, *map(int, children.split())):
            with suppress(ProcessLookupError):  # one that has just ended by itself
                os.kill(each, number)


@cache
def shared() -> Postgresql:
    """The one for all tests of this process that do not stop it; `tests/conftest.py` ends it."""
    return Postgresql().__enter__()


def end_shared() -> None:
    if shared.cache_info().currsize:
        shared().__exit__(None, None, None)
        shared.cache_clear()


def _binary(name: str) -> str:
    newest = max(_BINARIES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(newest)


def _account() -> pwd.struct_passwd | None:
    """PostgreSQL does not run as root; its package has made an account."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


def _as_account() -> dict[str, Any]:
    account = _account()
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()} if account else {}


def _run(program: str, *arguments: str, **how: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [_binary(program), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", **how
    )
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stdout}")
    return done.stdout
