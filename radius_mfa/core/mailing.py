"""A code by e-mail, once it was asked for: one that is on its way already, or a new one.

The answer never waits for the mail: the code and its mail are written to the store, and somebody else
delivers it.  Who asks twice, at another worker or node as well, finds the first one's code there.
"""

from __future__ import annotations

from dataclasses import dataclass

from radius_mfa.core.ports import Clock, Facts, MailCode, MailedFactor, Mailer, Store

DAY = 86400.0  # seconds: what a user's mails are counted over


@dataclass(frozen=True, slots=True)
class Mailing:
    """Issues codes of `factor`; `mailer` is told that there is something to deliver."""

    factor: MailedFactor
    mailer: Mailer
    store: Store
    clock: Clock

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
