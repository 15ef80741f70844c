"""What the portal asks of a store besides the life of factors (`core.store`), and the values that cross.

Times are wall seconds.  All of it waits as long as is reasonable, raises StoreError where the store is broken, and
what it has written has reached the disk when it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from radius_mfa.core.kept import NewToken
from radius_mfa.core.record import record
from radius_mfa.core.stored import Notice
from radius_mfa.core.visits import Visit


@record(frozen=True, slots=True)
class Link:
    """What was mailed to somebody who can show no factor any more; good once."""

    id: str
    user_id: str
    username: str
    created: float
    expires: float


class CaseKind(StrEnum):
    """Why somebody is in the help desk's queue."""

    LOST = "lost"  # they can show no factor any more, and no address is known
    DISOWNED = "disowned"  # a login in their name was not theirs


@record(frozen=True, slots=True)
class Case:
    """Somebody in the help desk's queue, one of each kind a user as long as it is not answered.

    `detail`: one line for staff.  `answered`: when, 0 for not yet; `by`: who did, by user name.
    """

    id: str
    user_id: str
    username: str
    kind: CaseKind
    detail: str
    source: str
    created: float
    answered: float = 0.0
    by: str = ""


@record(frozen=True, slots=True)
class PastLogin:
    """A round of a login that an answer decided, as the store has it: fields of `messages.AuditEvent`."""

    time: float
    login: str
    round: int
    client: str
    station: str
    source: str
    policy: str
    factor: str
    outcome: str
    decision: str


@record(frozen=True, slots=True)
class TokenDetails:
    """What is told of a token beside what a login needs.

    `last_success`: None for never.  `good_from`: of one that was confirmed and has to wait, until when; else 0.
    """

    id: str
    label: str
    confirmed: bool
    created: float
    last_success: float | None
    good_from: float


class PortalStore(Protocol):
    """Visits, links, the help desk's queue, and what people are shown of themselves."""

    # --- visits

    async def begin_visit(self, visit: Visit, instead_of: str = "") -> bool:
        """Keep a visit; `instead_of`: the id of one that ends with it.

        False, and nothing, where that is gone, or where since it was `shown` what the user had given was made
        worth nothing (`Facts.codes_since`): a reset, say, that an answer under way has not heard of.
        """
        ...

    async def visit(self, visit_id: str, now: float) -> Visit | None:
        """The visit of that id, unless it has expired."""
        ...

    async def see_visit(self, visit_id: str, now: float) -> None:
        """Somebody has done something."""
        ...

    async def keep_pending(self, visit_id: str, pending: bytes, voucher: str) -> bool:
        """Keep what is being set up in a visit, and the voucher that was shown; False where the visit is gone."""
        ...

    async def end_visit(self, visit_id: str) -> bool:
        """End one; False where it is gone."""
        ...

    async def end_visits(self, user_id: str, but: str = "") -> int:
        """End those of a user, all `but` one; how many there were."""
        ...

    # --- starting anew

    async def post_link(self, link: Link, mail: Notice, since: float, most: int) -> bool:
        """Keep a link and put its mail, of the same id, into the outbox.

        False, and nothing, for who had `most` since then, or where the mail's address is not the user's any more.
        """
        ...

    async def link(self, link_id: str, now: float) -> Link | None:
        """The link, as long as it is good; asking uses nothing up."""
        ...

    async def use_link(self, link_id: str, now: float) -> bool:
        """Use it up, and its mail if that is still to leave; False where it was, or has expired.

        It still counts for `post_link`.
        """
        ...

    async def start_anew(self, token: NewToken, visit_id: str) -> bool:
        """End every factor of the token's user as `LifeStore.reset` does, and add the token, in one transaction.

        False, and nothing, where the visit is gone or starts nothing anew.  All other visits of the user end; that
        one goes on with a factor, TOTP, and starts nothing anew any more.
        """
        ...

    # --- the help desk's queue

    async def open_case(self, case: Case) -> bool:
        """Put somebody into the queue; False, and nothing, where they are in it for that reason."""
        ...

    async def cases(self, most: int) -> Sequence[Case]:
        """Those that are not answered, the oldest first."""
        ...

    async def answer_case(self, case_id: str, by: str, now: float) -> Case | None:
        """Take one out of the queue; None where it was answered, or is gone."""
        ...

    async def disown(self, user_id: str, but: str) -> None:
        """Somebody else has the password: nothing of what they may have begun goes on, in one transaction.

        Trusted devices, visits all `but` one, links, what waits to count or to be confirmed; no code counts that
        was given before.
        """
        ...

    # --- tokens, addresses, logins

    async def token_details(self, user_id: str) -> Sequence[TokenDetails]:
        """Of all tokens of the user, in the order they were added."""
        ...

    async def label_token(self, user_id: str, token_id: str, label: str) -> bool:
        """Call it something else; False where the user has none of that id."""
        ...

    async def accept_proposal_from(self, proposal_id: str, user_id: str, good_from: float) -> bool:
        """The proposed address is the user's, and the verified one from that time on; False where it is gone."""
        ...

    async def drop_proposal(self, user_id: str) -> bool:
        """Forget the address that is to be confirmed, or that waits; False where there is none."""
        ...

    async def ripen(self, now: float) -> int:
        """Let count what has waited long enough: tokens and addresses; how many."""
        ...

    async def logins(self, user_id: str, since: float, most: int) -> Sequence[PastLogin]:
        """The user's latest, the newest first."""
        ...

    async def post(self, notices: Sequence[Notice]) -> None:
        """Put mails without a code into the outbox, whoever's address it is."""
        ...
