"""Mail to a user: a code, once it was asked for, and what they should know.

The code is one that is on its way already, or a new one.  The answer never waits for the mail: the code
and its mail are written to the store, and somebody else delivers it.  Who asks twice, at another worker or
node as well, finds the first one's code there.
"""

from __future__ import annotations

from dataclasses import dataclass

from radius_mfa.core.ports import Clock, Entropy, MailedFactor, Mailer
from radius_mfa.core.store import LoginStore
from radius_mfa.core.stored import Facts, MailCode, MailKind, Notice

DAY = 86400.0  # seconds: what a user's mails are counted over


@dataclass(frozen=True, slots=True)
class Mailing:
    """Issues codes of `factor`; `mailer` is told that there is something to deliver."""

    factor: MailedFactor
    mailer: Mailer
    store: LoginStore
    clock: Clock
    entropy: Entropy

    def suspended(self, facts: Facts, language: str, client: str) -> Notice | None:
        """What tells a user that too many codes were wrong; None where nobody knows their address."""
        now = self.clock.wall()
        if not facts.mail_address:
            return None
        notice_id = self.entropy.octets(8).hex()
        where = (facts.mail_address, language, client)
        return Notice(notice_id, facts.user_id, MailKind.SUSPENDED, *where, now, now + DAY)

    async def send(self, facts: Facts, language: str, client: str, deadline: float) -> str:
        """The reference of the code to type; empty when no more are mailed to this user today.

        Raises StoreError.
        """
        while True:
            code = self.factor.ask(facts, language, client, self.clock.wall())
            if code is None:
                return ""
            if isinstance(code, MailCode):
                return code.reference
            if await self.store.issue_mail_code(code, deadline):
                self.mailer.wake()
                return code.reference
            # Somebody else was quicker: that code will do.
            facts = await self.store.facts(facts.user_id, deadline)
