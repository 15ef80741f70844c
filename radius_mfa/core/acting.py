"""What goes with every act in the portal: it is audited, and what matters is told to whom it concerns."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from radius_mfa.core.acts import Act
from radius_mfa.core.enrolment import AddressRefusal, Confirmation, Enrolment
from radius_mfa.core.messages import AuditEvent, FactorKind
from radius_mfa.core.portal_store import Case, CaseKind, PortalStore
from radius_mfa.core.ports import Clock, Entropy, Sealer
from radius_mfa.core.store import LifeStore
from radius_mfa.core.stored import Facts, MailKind, Notice
from radius_mfa.core.visits import PORTAL, Visit

PATIENCE = 10.0  # seconds that the store may take
DAY = 86400.0
LONGEST_LABEL = 64  # characters


class Result(StrEnum):
    """What became of what somebody wanted; the value is the key of what they are told."""

    DONE = "done"
    WAITING = "waiting"  # done, and counts after a while
    WRONG = "wrong"
    CLOCK_WRONG = "clock_wrong"  # a right code, of another time
    USED = "used"
    ALREADY = "already"  # there before
    GONE = "gone"  # what it was about is not there any more
    AGAIN = "again"  # password and factor have to be shown once more
    NEEDS_STRONGER = "needs_stronger"  # it takes the app, or a recovery code
    NOT_ADMITTED = "not_admitted"  # a first factor is set up from within, or with a voucher
    SIGN_IN_ANEW = "sign_in_anew"  # there is a factor by now, and it was not shown
    OUT_OF_ORDER = "out_of_order"  # another factor comes first
    LAST_FACTOR = "last_factor"  # nothing would be left to sign in with
    UNREADABLE = "unreadable"
    BLOCKED = "blocked"
    TOO_MANY = "too_many"
    FULL = "full"  # there are as many as may be
    NOT_SERVED = "not_served"
    SENT = "sent"
    QUEUED = "queued"  # the help desk has it
    OWN_ACCOUNT = "own_account"  # nobody helps themselves
    NOT_ACTIVATED = "not_activated"


_DONE = frozenset({Result.DONE, Result.WAITING, Result.SENT, Result.QUEUED})
OF_ADDRESS = {  # by why no code is mailed there
    AddressRefusal.UNREADABLE: Result.UNREADABLE,
    AddressRefusal.BLOCKED: Result.BLOCKED,
    AddressRefusal.OUT_OF_ORDER: Result.OUT_OF_ORDER,
}
OF_TEST = {  # by what became of a code
    Confirmation.CONFIRMED: Result.DONE,
    Confirmation.WRONG: Result.WRONG,
    Confirmation.USED: Result.USED,
    Confirmation.NOTHING_OPEN: Result.GONE,
}


class AllStore(LifeStore, PortalStore, Protocol):
    """Both halves."""


@dataclass(frozen=True, slots=True)
class SelfServiceRules:
    """What the configuration fixes.

    `served`: the factors there are.  `wait`: seconds until a factor counts that a weaker one has added; 0: none.
    `initialise`: whether who can show no factor may start anew by a mailed link.
    """

    served: Collection[FactorKind]
    wait: float = DAY
    initialise: bool = True


class Acting:
    """Keeps what all acts need.  Raises StoreError."""

    def __init__(
        self,
        enrolment: Enrolment,
        store: AllStore,
        sealer: Sealer,
        clock: Clock,
        entropy: Entropy,
        audit: Callable[[AuditEvent], None],
        rules: SelfServiceRules,
    ) -> None:
        self._enrolment = enrolment
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._entropy = entropy
        self._audit = audit
        self._rules = rules

    async def facts(self, user_id: str) -> Facts:
        """What is known of a user."""
        return await self._store.facts(user_id, self._clock.monotonic() + PATIENCE)

    def signed(self, visit: Visit, act: Act) -> None:
        """Have it audited that a visit has begun, or was ended."""
        self._done(visit, act, Result.DONE, f"by {visit.factor or 'password alone'}")

    def _done(self, visit: Visit, act: Act, result: Result, detail: str = "") -> Result:
        return self._audited(visit.user_id, visit.username, visit.source, act, result, detail)

    def _audited(
        self, user_id: str, username: str, source: str, act: Act, result: Result, detail: str = ""
    ) -> Result:
        said = detail if result is Result.DONE else "; ".join(filter(None, (result.value, detail)))
        decision = "done" if result in _DONE else "refused"
        who = username, user_id, username
        self._audit(AuditEvent(self._clock.wall(), act, decision, PORTAL, source, *who, detail=said))
        return result

    async def _known_addresses(self, facts: Facts) -> tuple[str, ...]:
        """The verified one, and one that waits to become it."""
        proposal, _ = await self._store.waiting(facts.user_id, self._clock.wall())
        verified = (facts.mail_address,) if facts.mail_address else ()
        return (*verified, proposal.address) if proposal is not None and proposal.good_from else verified

    async def _tell(
        self, visit: Visit, kind: MailKind, addresses: Collection[str], good_from: float = 0.0
    ) -> None:
        """Mail it to each of the addresses, by which the user may hear of it in time."""
        now = self._clock.wall()
        where = [(address, visit.language, PORTAL) for address in dict.fromkeys(addresses)]
        expires = good_from or now + DAY
        await self._store.post(
            [Notice(self._new_id(), visit.user_id, kind, *each, now, expires) for each in where]
        )

    async def _open_case(self, kind: CaseKind, user_id: str, username: str, detail: str, source: str) -> bool:
        """Put them into the help desk's queue; False where they are in it."""
        now = self._clock.wall()
        return await self._store.open_case(Case(self._new_id(), user_id, username, kind, detail, source, now))

    def _has_address(self, facts: Facts) -> bool:
        return bool(facts.mail_address) and FactorKind.MAIL in self._rules.served

    def _new_id(self) -> str:
        return self._entropy.octets(8).hex()


def label_of(typed: str) -> str:
    """What somebody calls a token, as it is kept: one line of some length, nothing that is not to be seen."""
    readable = "".join(each if each.isprintable() else " " for each in typed)
    return " ".join(readable.split())[:LONGEST_LABEL].rstrip()
