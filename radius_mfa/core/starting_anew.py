"""Starting anew, for who can show no factor any more: a mailed link, and the password twice.

It is good once, for half an hour, and starts nothing by itself: what there is ends in the transaction that adds
the new token (`SelfService.add_token`), once the first code of that was right.
"""

from __future__ import annotations

from radius_mfa.core import links
from radius_mfa.core.acting import DAY, Acting, Result
from radius_mfa.core.acts import Act
from radius_mfa.core.messages import FactorKind, User
from radius_mfa.core.portal_store import CaseKind, Link
from radius_mfa.core.stored import MailKind, Notice
from radius_mfa.core.visits import PORTAL, is_enrolled

LINK_LIFETIME = 1800.0  # seconds
LINKS_A_DAY = 3


class StartingAnew(Acting):
    """Acts of who has shown a password, and has no visit yet.  Raises StoreError."""

    async def ask_for_link(self, user: User, language: str, source: str, *, of_desk: bool = False) -> Result:
        """Who has shown the right password and can show no factor any more: a mailed link, or the help desk.

        `of_desk`: they are of it themselves, and a mailbox must not become all that a help desk may do.
        """
        facts, now = await self.facts(user.id), self._clock.wall()
        if not is_enrolled(facts, self._rules.served) and not facts.required:
            result = Result.NOT_ADMITTED  # there is nothing to start anew: sign in, and set up
        elif self._may_start_anew and self._has_address(facts) and not of_desk:
            link = Link(self._new_id(), user.id, user.username, now, now + LINK_LIFETIME)
            where = (facts.mail_address, language, PORTAL)
            mail = Notice(link.id, user.id, MailKind.LINK, *where, now, link.expires)
            posted = await self._store.post_link(link, mail, now - DAY, LINKS_A_DAY)
            result = Result.SENT if posted else Result.TOO_MANY
        else:
            await self._open_case(CaseKind.LOST, user.id, user.username, "", source)
            result = Result.QUEUED
        act = Act.HELP_ASKED if result is Result.QUEUED else Act.LINK_ASKED
        return self._audited(user.id, user.username, source, act, result)

    async def link(self, token: str) -> Link | None:
        """The link that somebody has followed, as long as it is good; following it uses nothing up."""
        link_id = links.link_id_of(self._sealer, token)
        return None if link_id is None else await self._store.link(link_id, self._clock.wall())

    async def use_link(self, link: Link, source: str) -> Result:
        """Use it up, by whom the password was shown again: DONE lets them start anew."""
        used = self._may_start_anew and await self._store.use_link(link.id, self._clock.wall())
        result = Result.DONE if used else Result.GONE
        return self._audited(link.user_id, link.username, source, Act.LINK_USED, result)

    @property
    def _may_start_anew(self) -> bool:
        """What they start anew with is an app."""
        return self._rules.initialise and FactorKind.TOTP in self._rules.served
