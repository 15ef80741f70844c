"""Delivers what is in the store's outbox, in the background: no answer ever waits for a mail.

Nodes and workers share the outbox.  Whoever claims a mail has it to itself for longer than sending
may take; if it dies meanwhile, another claims the mail afterwards.  So a mail is never lost, and may be
sent more than once, under one Message-ID.  A code that was used is mailed no more.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Protocol

import structlog

from radius_mfa.core.enrolment import ADDRESS
from radius_mfa.core.errors import BackendError
from radius_mfa.core.links import link_token
from radius_mfa.core.messages import FALLBACK, Message
from radius_mfa.core.ports import Clock, Meter, Sealer
from radius_mfa.core.store import Store
from radius_mfa.core.stored import Mail, MailKind
from radius_mfa.core.visits import PORTAL
from radius_mfa.factors.mail import PURPOSE

_AT_ONCE = 4  # connections to the mail server
_PAUSES = (5.0, 15.0, 60.0, 300.0)  # seconds after one failure after another, the last one repeats
_MOST_COPIES = 5  # times that a mail of ours may have been delivered, after which it is taken for it
_MARGIN = 30.0  # seconds by which a claim outlasts a try: the store has to be told of its end
_LONGEST_REASON = 200  # characters
_TELLING = 16  # characters of a link's token, by which it is known in what a server says

# By what a mail is about: what its code is sealed for.
_PURPOSES = {MailKind.CODE: PURPOSE, MailKind.ADDRESS: ADDRESS}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail in words.  `id`: the same at every try; `written`: wall seconds; `language`: of the words."""

    id: str
    address: str
    language: str
    subject: str
    body: str = field(repr=False)
    written: float


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not delivered, but it may be later: the server is away, busy, or not set up as we are.

    `perhaps`: it had all of the letter, so that it may be delivered after all.
    """

    reason: str
    perhaps: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Not delivered, and never will be: the server does not want this letter, or not for this recipient."""

    reason: str


Send = Callable[[Letter], Awaitable[Postponed | Refused | None]]
"""Delivers a letter (None), or says in one line why not, within the time limit it was made with."""


class Heard(Protocol):
    """Is told whether the mail server works, as its last answer says."""

    def __call__(self, *, works: bool) -> None: ...


def _unheard(*, works: bool) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the outbox asks of the world.  `words`: the text of a message, in its language.

    `portal`: the portal's URL, without what its pages are called; empty where there is no portal.
    """

    store: Store
    sealer: Sealer
    send: Send
    words: Callable[[Message], str]
    clock: Clock
    meter: Meter
    heard: Heard = _unheard
    portal: str = ""


@dataclass(frozen=True, slots=True)
class _Carried:
    """What a mail lets somebody do: `code`, `token`: of a link; each empty where there is none."""

    code: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


class Outbox:
    """`core.ports.Mailer`.  `time_limit`: seconds that `send` may take; `zone`: that mails tell times in.

    `poll`: seconds until it looks without having been woken, for what others left behind and for what
    is to be tried again.
    """

    def __init__(self, ports: Ports, time_limit: float, zone: tzinfo, poll: float = 3.0) -> None:
        self._store = ports.store
        self._sealer = ports.sealer
        self._send = ports.send
        self._words = ports.words
        self._clock = ports.clock
        self._meter = ports.meter
        self._heard = ports.heard
        self._portal = ports.portal.rstrip("/")
        self._lease = time_limit + _MARGIN
        self._zone = zone
        self._poll = poll
        self._copies: Counter[str] = Counter()  # that may have been delivered, of the mails we could not say of
        self._woken = asyncio.Event()
        self._closing = False
        self._broken = False
        self._sending: set[asyncio.Task[None]] = set()
        self._working: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Deliver from now on, in the running event loop."""
        self._working = asyncio.get_running_loop().create_task(self._work())

    def wake(self) -> None:
        """There is something to deliver now."""
        self._woken.set()

    async def close(self, grace: float) -> None:
        """Claim nothing more, and let what is being sent end within `grace` seconds.

        What has not ended then is somebody else's when its claim runs out.  A second time is nothing.
        """
        self._closing = True
        self.wake()
        if self._working is None:
            return
        await asyncio.wait({self._working}, timeout=grace)
        ending = {self._working, *self._sending}
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _work(self) -> None:
        while not self._closing:
            self._woken.clear()
            free = _AT_ONCE - len(self._sending)
            claimed = await self._claim(free) if free else 0
            if claimed < free or not free:
                await self._wait()
        if self._sending:
            await asyncio.wait(self._sending)

    async def _wait(self) -> None:
        """Until somebody wakes us, or it is time to look."""
        try:
            async with asyncio.timeout(self._poll):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _claim(self, most: int) -> int:
        """Begin to send what is due; how many."""
        now = self._clock.wall()
        try:
            mails = await self._store.claim_mails(now, now + self._lease, most)
        except Exception as broken:  # whatever it is, the next look may find it mended
            if not self._broken:
                log.error("outbox_unreadable", error=_told(broken))
            self._broken = True
            return 0
        self._broken = False
        for mail in mails:
            task = asyncio.get_running_loop().create_task(self._deliver(mail))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        return len(mails)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self.wake()  # there is room for another

    async def _deliver(self, mail: Mail) -> None:
        """One try; if anything breaks, another follows when the claim has run out."""
        try:
            outcome = await self._try(mail)
        except Exception as broken:
            outcome = "failed"
            log.error("mail_failed", **_about(mail), error=_told(broken))
        self._meter.count("mails", outcome=outcome)

    async def _try(self, mail: Mail) -> str:
        carried = self._carried_by(mail)
        if carried is None:
            return await self._drop(mail, "unreadable", "the code does not open under our keys")
        if mail.expires <= self._clock.wall():
            return await self._drop(mail, "expired", "it has expired")
        if carried.token and not self._portal:  # another node may know where it leads
            return await self._postpone(mail, "there is no portal in this configuration")
        said = await self._send(self._letter(mail, carried))
        self._heard(works=not isinstance(said, Postponed))
        if said is None:
            del self._copies[mail.id]
            log.info("mail_delivered", **_about(mail), attempts=mail.attempts)
            await self._store.drop_mail(mail.id)
            return "delivered"
        reason = shown(said.reason, mail.address, carried.code, carried.token)
        if isinstance(said, Refused):
            return await self._drop(mail, "refused", reason)
        if said.perhaps:
            self._copies[mail.id] += 1
            if self._copies[mail.id] >= _MOST_COPIES:
                return await self._drop(mail, "uncertain", reason)
        return await self._postpone(mail, reason)

    async def _postpone(self, mail: Mail, reason: str) -> str:
        due = self._clock.wall() + _PAUSES[min(mail.attempts, len(_PAUSES)) - 1]
        if due >= mail.expires:
            return await self._drop(mail, "expired", reason)
        log.warning("mail_postponed", **_about(mail), attempts=mail.attempts, reason=reason)
        await self._store.postpone_mail(mail.id, due)
        return "postponed"

    async def _drop(self, mail: Mail, outcome: str, reason: str) -> str:
        del self._copies[mail.id]
        log.warning(f"mail_{outcome}", **_about(mail), attempts=mail.attempts, reason=reason)
        await self._store.drop_mail(mail.id)
        return outcome

    def _carried_by(self, mail: Mail) -> _Carried | None:
        """What the mail is to carry; None where there should be a code and none opens."""
        if mail.kind is MailKind.LINK:
            return _Carried(token=link_token(self._sealer, mail.id))
        purpose = _PURPOSES.get(mail.kind)
        if purpose is None:
            return _Carried()
        code = self._sealer.open(purpose, mail.code, mail.user_id, mail.id)
        return None if code is None else _Carried(code.decode())

    def _letter(self, mail: Mail, carried: _Carried) -> Letter:
        text = _text_of(mail)
        until = datetime.fromtimestamp(mail.expires, self._zone)
        parameters = (
            ("code", f"{carried.code[:4]} {carried.code[4:]}"),
            ("link", f"{self._portal}/link/{carried.token}"),
            ("portal", self._portal),
            ("reference", mail.reference),
            ("username", one_line(mail.username)),
            ("client", one_line(mail.client)),
            ("until", f"{until:%Y-%m-%d %H:%M %Z}"),
        )
        body = self._words(Message(f"{text}_body", mail.language, parameters))
        # Where there are no words in a language, they are in another one.
        as_asked = body != self._words(Message(f"{text}_body", FALLBACK, parameters))
        return Letter(
            id=mail.id,
            address=mail.address,
            language=mail.language if as_asked else FALLBACK,
            subject=self._words(Message(f"{text}_subject", mail.language, parameters)),
            body=body,
            written=mail.created,
        )


def _text_of(mail: Mail) -> str:
    """What the keys of its texts begin with."""
    if mail.kind is MailKind.CODE:
        # A code that lets somebody change factors is worth more to a swindler than that of one login.
        return "mail_portal" if mail.client == PORTAL else "mail"
    return f"mail_{mail.kind.value}"


def one_line(text: str) -> str:
    """The text without anything that could end a line, hide, or turn round what follows it."""
    return "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in text).strip()


def shown(reason: str, address: str, code: str, token: str = "") -> str:
    """What a server said, in one short line, without code, token of a link, and the name before the `@`."""
    told, name = one_line(reason), re.escape(address.partition("@")[0])
    link = token and re.escape(token[:_TELLING]) + "[A-Za-z0-9_-]*"  # however much of it was quoted
    for secret in ("[ -]?".join(code), link, name and rf"(?<![A-Za-z0-9]){name}(?![A-Za-z0-9])"):
        told = re.sub(secret, "…", told, flags=re.IGNORECASE) if secret else told
    return told[:_LONGEST_REASON]


def _about(mail: Mail) -> dict[str, str]:
    return {
        "user_id": mail.user_id,
        "reference": mail.reference,
        "domain": one_line(mail.address.rpartition("@")[2]),
    }


def _told(broken: Exception) -> str:
    """Our own errors are one line without secrets; of others only the name is safe to tell."""
    return str(broken) if isinstance(broken, BackendError) else type(broken).__name__
