"""A real mail server on loopback: aiosmtpd in a thread, which can be told to be difficult.

    with MailServer() as server:
        server.address
        server.says["RCPT"] = "550 5.1.1 no such user"
        server.mails

It keeps what it has taken over, and is stopped when the block ends.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.peers.ports import free_port

PATIENCE = 30.0  # seconds that a loaded machine may take

Method = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Taken:
    """A mail the server has taken over, octet by octet."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes

    @property
    def message(self) -> EmailMessage:
        """As a mail program reads it."""
        return message_from_bytes(self.octets, policy=policy.default)


@dataclass
class MailServer:
    """`certificate`: PEM with its key: STARTTLS is offered, or, if `implicit`, TLS is spoken at once.

    `credentials`: without these no mail is taken.  By command, GREETING and MESSAGE among them:
    `says`: another answer than usual; `holds`: none until `release`; `hangs_up`: none, DATA in the
    middle of the message.  `heard`: the commands, `mails`: what was taken over.
    """

    certificate: Path | None = None
    implicit: bool = False
    credentials: tuple[str, str] | None = None
    says: dict[str, str] = field(default_factory=dict)
    holds: set[str] = field(default_factory=set)
    hangs_up: set[str] = field(default_factory=set)
    heard: list[str] = field(default_factory=list)
    mails: list[Taken] = field(default_factory=list)
    port: int = 0
    sessions: set[_Session] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._tls: ssl.SSLContext | None = None
        if self.certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(self.certificate)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; the second time on the same port."""
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)))
        self._thread.start()
        assert started.wait(PATIENCE)

    def stop(self) -> None:
        """Hang up on everybody and listen no more.  A second time is nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def release(self) -> None:
        """Answer what is held, and hold nothing any more."""
        self.holds.clear()
        self._loop.call_soon_threadsafe(self._released.set)

    async def until(self, so: Callable[[], bool]) -> None:
        """Wait until that is so of what was heard or taken."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(so, PATIENCE)

        assert await asyncio.to_thread(wait)

    async def taken(self, count: int = 1) -> list[Taken]:
        """The mails, once there are so many."""
        await self.until(lambda: len(self.mails) >= count)
        return self.mails

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped, self._released = asyncio.Event(), asyncio.Event()
        implicit = self._tls if self.implicit else None
        self.port = self.port or free_port()
        server = await self._loop.create_server(self._session, "127.0.0.1", self.port, ssl=implicit)
        started.set()
        await self._stopped.wait()
        server.close()
        for session in list(self.sessions):
            session.hang_up()

    def _session(self) -> _Session:
        return _Session(self, None if self.implicit else self._tls)

    def hear(self, command: str) -> None:
        with self._changed:
            self.heard.append(command)
            self._changed.notify_all()

    def take(self, mail: Taken) -> None:
        with self._changed:
            self.mails.append(mail)
            self._changed.notify_all()

    async def held(self, command: str) -> None:
        if command in self.holds:
            self._released.clear()
            await self._released.wait()


class _Session(SMTP):
    """One connection."""

    def __init__(self, server: MailServer, tls: ssl.SSLContext | None) -> None:
        self._server = server
        self._greeted = False
        super().__init__(
            _Takes(server),
            hostname="mail.example.org",
            tls_context=tls,
            auth_require_tls=tls is not None,
            authenticator=self._lets_in,
            loop=asyncio.get_running_loop(),
        )
        self._smtp_methods = {command: self._told(command, do) for command, do in self._smtp_methods.items()}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.sessions.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            with suppress(AttributeError):  # in 3.11.2, where it has been closed already
                self.transport.abort()

    async def push(self, status: Any) -> None:
        if not self._greeted:
            self._greeted = True
            self._server.hear("GREETING")
            await self._server.held("GREETING")
            status = self._server.says.get("GREETING", status)
        await super().push(status)

    def _told(self, command: str, do: Method) -> Method:
        async def as_told(argument: str) -> None:
            self._server.hear(command)
            await self._server.held(command)
            if command in self._server.hangs_up:
                if command == "DATA":
                    await self.push("354 go ahead")
                    await self._reader.readline()
                self.hang_up()
            elif command in self._server.says:
                await self.push(self._server.says[command])
            elif command == "MAIL" and self._server.credentials and not self._let_in:
                await self.push("530 5.7.0 Authentication required")
            else:
                await do(argument)

        return as_told

    @property
    def _let_in(self) -> bool:
        return self.session is not None and bool(self.session.authenticated)

    def _lets_in(self, _: SMTP, __: Session, ___: Envelope, ____: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        right = (given.login.decode(), given.password.decode()) == self._server.credentials
        return AuthResult(success=right, handled=False)


class _Takes:
    """aiosmtpd's handler: what becomes of a message that was received."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_DATA(self, session: _Session, _: Session, envelope: Envelope) -> str:  # noqa: N802
        self._server.hear("MESSAGE")
        await self._server.held("MESSAGE")
        if "MESSAGE" in self._server.hangs_up:
            session.hang_up()
            return ""
        if "MESSAGE" in self._server.says:
            return self._server.says["MESSAGE"]
        assert isinstance(envelope.original_content, bytes)
        sender, recipients = envelope.mail_from or "", tuple(envelope.rcpt_tos)
        self._server.take(Taken(sender, recipients, envelope.original_content))
        return "250 2.0.0 taken over"
