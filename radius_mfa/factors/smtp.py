"""Hands a mail to the site's mail server (RFC 5321), over TLS that is verified (RFC 3207, RFC 8314)."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import aiosmtplib
from aiosmtplib.errors import SMTPDataError, SMTPException, SMTPRecipientRefused, SMTPResponseException

from radius_mfa.core.addresses import readable_address
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.factors.outbox import Letter, Postponed, Refused, one_line

_GOODBYE = 2.0  # seconds for the server to answer QUIT; the mail is delivered by then
_AUTHENTICATION_REQUIRED = 530  # RFC 4954 §6; of us, whatever it was the answer to
# Base64 and quoted-printable where the words are not ASCII: every server takes 7 bits.
_SEVEN_BITS = WIRE.clone(cte_type="7bit")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", re.ASCII)
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """`tls`: from the first octet on; `start_tls`: before anything is said, or the server is not spoken to.

    `username`: empty: no AUTH.  `ca_file`: PEM, instead of the system's authorities.  `timeout`:
    seconds for one mail, from looking up the host to the server's last word.
    """

    host: str
    port: int
    sender: str
    tls: bool = False
    start_tls: bool = True
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    timeout: float = 30.0


class SmtpSender:
    """Sends letters, each over a connection of its own.  Raises ConfigurationError when made."""

    def __init__(self, settings: SmtpSettings) -> None:
        sender = readable_address(settings.sender)
        if sender is None:
            raise ConfigurationError("factors.mail.sender: is not an address that mail can come from")
        self._sender = sender
        self._settings = settings
        try:
            self._trust = ssl.create_default_context(cafile=settings.ca_file)
        except ssl.SSLError:
            text = f"factors.mail.ca_file: {settings.ca_file}: no certificate in PEM form"
            raise ConfigurationError(text) from None
        except OSError as broken:
            raise ConfigurationError(f"factors.mail.ca_file: {settings.ca_file}: {broken.strerror}") from None

    async def __call__(self, letter: Letter) -> Postponed | Refused | None:
        """Deliver the letter: None when the server has taken it over (RFC 5321 §6.1)."""
        recipient = readable_address(letter.address)
        if recipient is None:
            return Refused("not an address that can be mailed to")
        message = compose(letter, self._sender, recipient).as_bytes()
        handing_over = False

        async def hand_over(client: aiosmtplib.SMTP) -> None:
            nonlocal handing_over
            await client.mail(self._sender)
            await client.rcpt(recipient)
            handing_over = True
            await client.data(message)

        said = await self._visit(hand_over)
        if isinstance(said, Postponed) and not handing_over:
            return replace(said, perhaps=False)
        return said

    async def probe(self, *, as_sender: bool = False) -> Postponed | Refused | None:
        """Go as far as to be let in; None when we were.  `as_sender`: and as to be taken for the sender."""

        async def begin(client: aiosmtplib.SMTP) -> None:
            if as_sender:
                await client.mail(self._sender)
                await client.rset()

        return await self._visit(begin)

    async def _visit(self, errand: Callable[[aiosmtplib.SMTP], Awaitable[None]]) -> Postponed | Refused | None:
        client = aiosmtplib.SMTP(
            hostname=self._settings.host,
            port=self._settings.port,
            local_hostname="localhost",  # lest it be looked up; EHLO is told another
            timeout=None,
            use_tls=self._settings.tls,
            start_tls=False,
            tls_context=self._trust,
        )
        try:
            said = await self._within_time(client, errand)
            transport = client.transport
            with suppress(SMTPException, OSError):
                await client.quit(timeout=_GOODBYE)
            _hang_up(transport)  # which the client has let go of, while TLS still says goodbye
            return said
        finally:
            _hang_up(client.transport)

    async def _within_time(
        self, client: aiosmtplib.SMTP, errand: Callable[[aiosmtplib.SMTP], Awaitable[None]]
    ) -> Postponed | Refused | None:
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._come_in(client)
                await errand(client)
        except TimeoutError:
            _hang_up(client.transport)
            return Postponed(f"not done within {self._settings.timeout:g} s", perhaps=True)
        except (SMTPException, OSError, UnicodeError) as failed:
            return _verdict(failed)
        return None

    async def _come_in(self, client: aiosmtplib.SMTP) -> None:
        """Connect, say who we are, and be sure who they are."""
        await client.connect()
        name = our_name(socket.gethostname(), client.get_transport_info("sockname")[0])
        await client.ehlo(hostname=name)
        if self._settings.start_tls and not self._settings.tls:
            await client.starttls()  # raises where it is not offered
            await client.ehlo(hostname=name)  # what was said before may have been anybody (RFC 3207 §4.2)
        if self._settings.username:
            if not may_tell_password(self._settings, client.get_transport_info("peername")[0]):
                raise SMTPException("no password is given away without TLS")
            await client.login(self._settings.username, self._settings.password)


def compose(letter: Letter, sender: str, recipient: str) -> EmailMessage:
    """The letter as a message; the addresses are those of `readable_address`.

    Whatever the letter holds, it makes no header of its own.  The same letter makes the same message.
    """
    message = EmailMessage(_SEVEN_BITS)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = one_line(letter.subject)
    message["Date"] = datetime.fromtimestamp(letter.written, UTC)
    name = hashlib.sha256(letter.id.encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{name}@{sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: nobody's holiday notice answers it
    message.set_content(letter.body)
    if _LANGUAGE.fullmatch(letter.language):
        message["Content-Language"] = letter.language
    return message


def our_name(host_name: str, address: str) -> str:
    """What we call ourselves: a full name, else our address as a literal (RFC 5321 §4.1.3, §4.1.4)."""
    if _HOST_NAME.fullmatch(host_name):
        return host_name
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def may_tell_password(settings: SmtpSettings, address: str) -> bool:
    """Whether nobody but the server at this IP address hears it."""
    return settings.tls or settings.start_tls or ip_address(address).is_loopback


def _hang_up(transport: asyncio.BaseTransport | None) -> None:
    """Close without waiting for anybody to read what we have written."""
    if transport is not None:
        cast(asyncio.WriteTransport, transport).abort()


def _verdict(failed: Exception) -> Postponed | Refused:
    """For good only where the recipient or the message was refused: all else is somebody's to mend.

    Where nothing was answered the server may have taken over what it had by then.
    """
    if not isinstance(failed, SMTPResponseException):
        return Postponed(one_line(str(failed)), perhaps=True)
    reason = one_line(f"{failed.code} {failed.message}")
    about_this_mail = isinstance(failed, SMTPRecipientRefused | SMTPDataError)
    if about_this_mail and 500 <= failed.code < 600 and failed.code != _AUTHENTICATION_REQUIRED:
        return Refused(reason)
    # No 4xx either: an answer that SMTP does not have at this point may have been meant for a yes.
    return Postponed(reason, perhaps=not 400 <= failed.code < 600)
