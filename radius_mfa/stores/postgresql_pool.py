"""Connections to PostgreSQL: where it is, the few that are held, and what its errors mean."""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# What asyncpg raises; of OSError, TimeoutError is one.
ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_PORT = 5432
_STATEMENTS = 200  # prepared ones that a connection keeps: more than there are
# Whoever is silent in the middle of a transaction has stopped or is cut off, and nobody else can do anything
# for the same user until it is over.
_SETTINGS = {"application_name": "radius-mfa", "idle_in_transaction_session_timeout": "5s"}
# A server that has lost its power never says so.  Whoever has no answer for that long asks anew, unless the
# time is nearly up anyhow.
SILENCE = 4.0
_NEAR = 2.0
PATIENCE = 10.0  # seconds for what no login waits for
# Firewalls forget what has not been used for long, and tell nobody.
_OLDEST = 60.0
_FAREWELL = 1.0  # seconds that closing a connection may take

# Not about a statement but about the moment: the server stops, starts, is full, or has ended a deadlock.
_PASSING = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "53300", "40001", "40P01"})
# Classes of SQLSTATE whose messages name what is in the schema or the configuration, never a value of a row.
_QUOTABLE = frozenset({"08", "0A", "23", "25", "28", "2B", "3D", "3F", "40", "42", "53", "55", "57", "58"})
READ_ONLY = "25006"


class Place:
    """Where the database is; `str()` is what errors call it, without user and password.

    The URL may name several servers: the first one that can be written to is taken.
    """

    def __init__(self, url: str, password: str | None) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        named = query.get("host") or [unquote(parts.netloc.rpartition("@")[2])]
        port = int(query.get("port", [_PORT])[-1])
        self._url, self._password = url, password
        self._servers = [_server(each, port) for each in named[-1].split(",")]
        # One that says nothing must not take the time of all: they are asked one by one, the last good one first.
        self._next = 0
        several = len(self._servers) > 1 and "target_session_attrs" not in query
        self._wanted = SessionAttribute.read_write if several else None
        on_network = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self._servers
        )
        is_socket = named[-1][:1] in ("", "/")
        self._name = f"postgresql://{'' if is_socket else on_network}{parts.path}"
        if is_socket and named[-1]:
            self._name += f"?host={named[-1]}"

    def __str__(self) -> str:
        return self._name

    async def connect(self, seconds: float) -> Connection:
        """A new connection, within that time.  Raises one of ERRORS."""
        now = asyncio.get_running_loop().time
        end = now() + seconds
        for left in range(len(self._servers), 1, -1):
            try:
                return await self._connect((end - now()) / left)
            except ERRORS as error:
                if not is_passing(error):
                    raise
                self._next = (self._next + 1) % len(self._servers)
        return await self._connect(end - now())

    async def _connect(self, seconds: float) -> Connection:
        if seconds <= 0:
            raise TimeoutError
        host, port = self._servers[self._next]
        return await asyncpg.connect(
            self._url,
            host=host or None,
            port=port,
            password=self._password,
            timeout=seconds,
            statement_cache_size=_STATEMENTS,
            max_cached_statement_lifetime=0,
            server_settings=_SETTINGS,
            target_session_attrs=self._wanted,
        )


def _server(written: str, port: int) -> tuple[str, int]:
    """Host and port of `db`, `db:5432`, `[::1]:5432`, or a folder of a socket."""
    found = re.fullmatch(r"\[?([^\[\]]*?)\]?(?::([0-9]+))?", written) if written[:1] != "/" else None
    return (found[1], int(found[2] or port)) if found else (written, port)


class Connections:
    """A few connections, opened when they are needed and kept.  Made for one event loop.

    What has gone wrong on one is never found out in detail: it is cut, and not used again; nor is one that
    was free for longer than `oldest` seconds.
    """

    def __init__(self, place: Place, most: int, oldest: float = _OLDEST) -> None:
        self._place = place
        self._most, self._oldest = most, oldest
        self._room = asyncio.Semaphore(most)
        self._idle: list[tuple[float, Connection]] = []  # with the time since when, the longest first
        self._closed = False

    async def take(self, end: float) -> Connection:
        """One that is free by `end`, in the loop's time, or a new one; to be given back.  Raises one of ERRORS."""
        if self._room.locked():
            try:
                async with asyncio.timeout_at(end):
                    await self._room.acquire()
            except TimeoutError:
                raise TimeoutError("all connections are in use") from None
        else:
            await self._room.acquire()
        try:
            now = asyncio.get_running_loop().time()
            return self._held() or await self._place.connect(limit(now, end) - now)
        except BaseException:
            self._room.release()
            raise

    def give_back(self, connection: Connection, *, good: bool) -> None:
        """`good`: nothing has gone wrong on it."""
        self.keep(connection, good=good)
        self._room.release()

    def keep(self, connection: Connection, *, good: bool = True) -> None:
        """One more that is free."""
        if self._closed or not good or connection.is_closed():
            connection.terminate()
        else:
            self._idle.append((asyncio.get_running_loop().time(), connection))

    def _held(self) -> Connection | None:
        """The one that was used last, of those that are still good."""
        while self._idle and self._idle[0][0] < asyncio.get_running_loop().time() - self._oldest:
            self._idle.pop(0)[1].terminate()
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def cut_idle(self) -> None:
        """Let go of those that are free, for one of their kind said nothing any more."""
        while self._idle:
            self._idle.pop()[1].terminate()

    async def close(self, patience: float) -> None:
        """Let what is in use finish, and close all.  A second time is nothing."""
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for _ in range(self._most):
                    await self._room.acquire()
        while self._idle:
            await farewell(self._idle.pop()[1])


@dataclass(slots=True)
class Trial:
    """One go at some work.  It may go on for as long as the server answers, and until `end` if repeatable.

    `end`, `heard`: in the loop's time; when the server last answered.  `repeatable`: the work may be done again,
    whether or not it was done.  `committing`: COMMIT was sent.  `cut`: it took too long.
    """

    end: float
    repeatable: bool
    heard: float = 0.0
    committing: bool = False
    cut: bool = False

    def due(self) -> float:
        """When to cut it off if nothing is heard until then."""
        if self.repeatable:
            return limit(self.heard, self.end)
        # Whether it was written cannot be found out on another connection, so it is better to wait.
        return self.heard + (PATIENCE if self.committing else SILENCE)


def limit(now: float, end: float) -> float:
    """When a try that begins now is given up, if the time is up at `end`."""
    left = end - now
    return end if left <= _NEAR else now + min(SILENCE, left / 2)


async def farewell(connection: Connection) -> None:
    """Close it in good order, if the server will."""
    with suppress(*ERRORS):
        await connection.close(timeout=_FAREWELL)


# --- errors -----------------------------------------------------------------------------------------


def is_passing(error: BaseException) -> bool:
    """Whether the same may work on another connection, or a little later."""
    match error:
        case ssl.SSLCertVerificationError():
            return False
        case asyncpg.InvalidCachedStatementError():  # the schema was changed since it was prepared
            return True
        case asyncpg.PostgresError():
            state = str(error.sqlstate or "")
            return state in _PASSING or state.startswith("08")
        case asyncpg.InterfaceError():
            return not isinstance(error, ValueError)  # a parameter that cannot be sent, a URL that makes no sense
    return isinstance(error, OSError | asyncpg.InternalClientError)


def words(error: BaseException) -> str:
    """What went wrong, in one line without a value of any row in it."""
    match error:
        case asyncpg.PostgresError():
            state = str(error.sqlstate or "")
            if state == READ_ONLY:
                return "takes no writes (is it a standby?); name the server that does"
            # DETAIL and HINT are no part of the message: there the values are.
            said = error.args[0] if state[:2] in _QUOTABLE and error.args else "PostgreSQL refused"
            return f"{_line(said)} (SQLSTATE {state})"
        case TimeoutError():
            return _line(error.strerror or str(error) or "no answer")
        case ssl.SSLCertVerificationError():
            return f"its certificate is not to be trusted: {_line(error.verify_message)}"
        case OSError():
            return _line(error.strerror or str(error) or type(error).__name__)
        case asyncpg.InternalClientError() | asyncpg.ClientConfigurationError():
            return _line(error)
    return f"cannot be asked that ({type(error).__name__})"  # asyncpg shows the parameter


def _line(text: object) -> str:
    return " ".join(str(text).split())
