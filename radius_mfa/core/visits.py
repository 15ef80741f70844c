"""A visit: somebody in the portal, from signing in to signing out, and what they may do there.

1. **A visit has an end**: after some idle minutes, and after some hours whatever is done.  Its id changes
   whenever password and factor are shown, so that nobody knows it from before (fixation).
2. **What is sensitive asks for both again** unless they were shown within the last ten minutes.
3. **What adds a factor needs the strongest one that is held.**  An authenticator app and a recovery code, which
   was printed under it, are things that somebody has; a mailbox is one more password.  So whoever holds such a
   thing and came in by a mailed code is made to wait (`enrolment.wait`), and every address that is known is told
   meanwhile.  Of the help desk a mailbox is never enough, whatever else they hold or do not.
4. **Without a factor nothing but the first one can be set up**, and only from the administrator's networks or
   with a voucher, of the help desk only with that: a stolen password alone must not become a login.
5. **Starting anew is loud.**  Whoever can show no factor any more may, where the administrator lets them
   (`enrolment.initialise`), set up an app at once by a mailed link and the password; with its first code all
   else ends, and every address is told.  That is the one way past the wait, and not for the help desk.
6. **What is ended stays so.**  A reset, the removal of an app, "that was not me" end visits, and what was shown
   before begins none: not an answer that was under way, nor the same one again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import field

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.record import record
from radius_mfa.core.stored import Facts

PORTAL = "portal"  # what the portal is called as a client
FRESH_FOR = 600.0  # seconds after which what is sensitive asks for password and factor again

_SOMETHING_ONE_HAS = frozenset({FactorKind.TOTP, FactorKind.RECOVERY_CODES})


@record(frozen=True, slots=True)
class Visit:
    """Somebody in the portal.  Times are wall seconds.

    `id`: a keyed digest of what their browser has.  `factor`: which kind was shown; None: none, the visit is for
    setting up the first.  `desk`: of the help desk.  `source`: their address.  `begun`: when they signed in;
    `shown`: when password and factor were shown last; `seen`: when they did something last; `expires`: the end,
    whatever they do.  `voucher`: the id of one that was shown and is not used up yet.  `anew`: they came by a
    mailed link, and start anew.  `pending`: what is being set up, sealed for `visit`.
    """

    id: str
    user_id: str
    username: str
    language: str
    factor: FactorKind | None
    desk: bool
    source: str
    begun: float
    shown: float
    seen: float
    expires: float
    voucher: str = ""
    anew: bool = False
    pending: bytes = field(default=b"", repr=False)

    def is_over(self, now: float, idle: float) -> bool:
        """Whether it has ended by itself; `idle`: seconds in which something has to be done."""
        return now >= self.expires or now >= self.seen + idle or now < self.begun - idle

    def is_fresh(self, now: float) -> bool:
        """Whether password and factor were shown just now."""
        return self.shown <= now < self.shown + FRESH_FOR

    @property
    def may_help(self) -> bool:
        """Whether they may do for others what the help desk does."""
        return self.desk and self.factor in _SOMETHING_ONE_HAS


def suffices(factor: FactorKind | None, facts: Facts, served: Collection[FactorKind]) -> bool:
    """Whether it is as strong as the strongest that the user holds, of those that are served."""
    if factor is None:
        return False
    return factor in _SOMETHING_ONE_HAS or not is_enrolled(facts, _SOMETHING_ONE_HAS.intersection(served))


def is_enrolled(facts: Facts, served: Collection[FactorKind]) -> bool:
    """Whether the user holds any factor of those that are served."""
    held = {
        FactorKind.TOTP: any(token.confirmed for token in facts.tokens),
        FactorKind.MAIL: bool(facts.mail_address),
        FactorKind.RECOVERY_CODES: facts.recovery_left > 0,
    }
    return any(held[kind] for kind in served)
