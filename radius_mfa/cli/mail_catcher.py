"""The mail server of the demo: takes every mail, on loopback, and shows it instead of delivering it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from queue import Queue

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """A mail that was handed to us."""

    recipient: str
    subject: str
    body: str

    @property
    def code(self) -> str:
        """The code in it, without the space."""
        found = re.search(r"\b(\d{4}) (\d{4})\b", self.body)
        return found[1] + found[2] if found else ""


class MailCatcher:
    """`inbox`: what has come; may be read from another thread.  `port`: on 127.0.0.1."""

    def __init__(self, tell: Callable[[CaughtMail], None]) -> None:
        self.inbox: Queue[CaughtMail] = Queue()
        self.port = 0
        self._tell = tell

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """A whole mail, as aiosmtpd hands it over."""
        content = envelope.content
        mail = message_from_bytes(content if isinstance(content, bytes) else b"", policy=policy.default)
        body = mail.get_body()
        caught = CaughtMail(str(mail["To"]), str(mail["Subject"]), body.get_content() if body else "")
        self._tell(caught)
        self.inbox.put(caught)
        return "250 OK"


@asynccontextmanager
async def mail_catcher(tell: Callable[[CaughtMail], None]) -> AsyncIterator[MailCatcher]:
    """A mail server on a free port.  `tell` hears of each mail."""
    catcher = MailCatcher(tell)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(catcher, hostname="localhost"), "127.0.0.1", 0
    )
    catcher.port = server.sockets[0].getsockname()[1]
    try:
        yield catcher
    finally:
        server.close()
        await server.wait_closed()
