"""What is asked of a store, by whom: it outlives a request, a process and a node.

Everything that must be decided once is one transaction.  Every call raises StoreError where the store is
broken.  Those on the way of a login take `deadline`, in the monotonic seconds of `Clock`; the others wait as
long as is reasonable, and what they have written has reached the disk when they return.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from radius_mfa.core.guard import Counters
from radius_mfa.core.kept import Device, KnownUser, NewRecoveryCode, NewToken, Proposal, TokenRecord, Voucher
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.portal_store import PortalStore
from radius_mfa.core.stored import (
    AnsweredBefore,
    Attempt,
    Facts,
    Mail,
    NewMailCode,
    Refusal,
    Reserved,
    Settled,
    Settlement,
)

Judge = Callable[[Reserved], Settlement | None]
"""Says how an attempt ends, of what was reserved for it; None where it cannot."""


class FactsStore(Protocol):
    """Knows users."""

    async def facts(self, user_id: str, deadline: float) -> Facts:
        """What is known of the user; empty facts for one never seen."""
        ...


class LoginStore(FactsStore, Protocol):
    """What a login needs."""

    async def spend(
        self,
        attempt: Attempt,
        reserve: Callable[[Counters], Counters | None],
        deadline: float,
        judge: Judge | None = None,
    ) -> Reserved | AnsweredBefore | Refusal | Settlement:
        """Spend a State and count a failure in advance, in one transaction.

        `reserve` is a pure rule over the counters, and may be asked again; None from it refuses (and
        spends nothing).  Where the guess is a mailed code, each code that has not expired or been used
        counts a try as well.  The identical attempt again: its decision if there is one, else Reserved
        once more, counted once.  A lock has reached the disk when this returns.

        `judge`: says, of what has been reserved, how the attempt ends, where that waits for nobody and need not
        survive a power cut; it may be asked again.  Where there is neither a lock nor a decision yet, its
        settlement is written in the same transaction, and returned.
        """
        ...

    async def settle(self, settlement: Settlement, deadline: float) -> Settled | AnsweredBefore:
        """Write the end of an attempt: all that the settlement says, or nothing.

        Whoever comes second with the same attempt gets the first one's decision.  A used code that is
        good for longer than a minute, and a trusted device, have reached the disk when this returns.
        """
        ...

    async def is_spent(self, login: bytes, round: int, deadline: float) -> bool:
        """Whether a State was answered already, by whomever."""
        ...

    async def issue_mail_code(self, code: NewMailCode, deadline: float) -> bool:
        """Keep a code and put its mail into the outbox, in one transaction.

        False, and nothing written, where `after` or `address` is not the user's any more.
        """
        ...

    async def is_trusted(
        self,
        user_id: str,
        station: str,
        scopes: Sequence[str],
        factors: Collection[FactorKind],
        now: float,
        deadline: float,
    ) -> bool:
        """Whether the user trusts that station in one of the scopes, by a code of one of the factors, at `now`."""
        ...

    async def others_at(
        self, user_id: str, station: str, since: float, now: float, most: int, deadline: float
    ) -> int:
        """How many others have logged in from `station` since then, or trust it at `now`; counted up to `most`."""
        ...


class OutboxStore(Protocol):
    """What delivering mails needs."""

    async def claim_mails(self, now: float, until: float, most: int) -> Sequence[Mail]:
        """Mails that are due, the oldest first, nobody else's until `until`."""
        ...

    async def waiting_mails(self) -> tuple[int, float]:
        """How many mails are to be delivered, whoever has claimed them; since when the oldest is, 0 for none."""
        ...

    async def postpone_mail(self, mail_id: str, due: float) -> None:
        """Let the mail be claimed again from `due` on."""
        ...

    async def drop_mail(self, mail_id: str) -> None:
        """Take the mail out of the outbox: it was delivered, or never will be."""
        ...


class LifeStore(FactsStore, Protocol):
    """What the life of a user's factors needs.

    Whatever sets up a factor that can be used at once makes the user `required`; an empty `username`
    leaves the one that is known.  Whatever makes the user known, takes a token away, revokes a device or resets
    has codes count from then on only (`Facts.codes_since`).
    """

    async def add_tokens(self, tokens: Sequence[NewToken]) -> Sequence[bool]:
        """Add tokens, in one transaction; False for each whose seed the user already has."""
        ...

    async def confirm_token(self, token_id: str, step: int, drift: int) -> bool:
        """Mark a token confirmed by the code of `step`; False when it was confirmed before, or has to wait."""
        ...

    async def resync_token(self, token_id: str, step: int, drift: int) -> bool:
        """Use up `step` and keep the drift; False where that or a later step was accepted before."""
        ...

    async def remove_token(self, user_id: str, token_id: str) -> bool:
        """Delete one token; False where the user has none of that id."""
        ...

    async def set_mail_address(self, user_id: str, username: str, address: str) -> None:
        """Keep the user's verified address, "" for none.

        Codes and links that were sent to another one are void, and are not sent, and a proposal is gone.  What
        only tells of a change still leaves for the address that was.
        """
        ...

    async def propose_address(self, proposal: Proposal, username: str, language: str) -> None:
        """Keep an address to be confirmed in place of any other, and put its mail into the outbox."""
        ...

    async def try_proposal(self, user_id: str, now: float) -> Proposal | None:
        """Count a guess at the code, and return the proposal; None where there is none, or it has expired.

        One whose code was seen, and which waits for its time, is none.
        """
        ...

    async def accept_proposal(self, proposal_id: str, user_id: str) -> bool:
        """Make the proposed address the verified one; False where the proposal is gone."""
        ...

    async def set_recovery_codes(self, user_id: str, username: str, codes: Sequence[NewRecoveryCode]) -> None:
        """Keep these codes in place of all the user had."""
        ...

    async def set_voucher(self, voucher: Voucher, username: str) -> None:
        """Keep a voucher in place of any other of the user."""
        ...

    async def try_voucher(self, user_id: str, now: float) -> Voucher | None:
        """Count a guess at the voucher, and return it; None where there is none, or it has expired."""
        ...

    async def use_voucher(self, voucher_id: str, user_id: str) -> bool:
        """Delete the voucher; False where it is gone."""
        ...

    async def waiting(self, user_id: str, now: float) -> tuple[Proposal | None, Voucher | None]:
        """The proposal and the voucher that have not expired, to be shown; nothing is counted."""
        ...

    async def devices(self, user_id: str | None, now: float) -> Sequence[Device]:
        """The trusted devices that have not expired, of one user or (None) of all, the newest first."""
        ...

    async def revoke_devices(self, user_id: str, device_id: str | None) -> int:
        """Trust a device no longer, or (None) none of the user's; how many there were."""
        ...

    async def unlock(self, user_id: str) -> bool:
        """Clear a user's counters, lock and suspension included; False for one never seen."""
        ...

    async def reset(self, user_id: str) -> bool:
        """Delete every factor of the user, and clear the counters; False for one never seen.

        Tokens, address, proposal, mailed and recovery codes, voucher, mails that are waiting, trusted
        devices; visits and links too.  The user is `required` from then on.
        """
        ...

    async def forget(self, user_id: str) -> bool:
        """Delete everything that is known of the user, recent logins too; False for one never seen.

        States that were spent stay so until they expire, without a user.
        """
        ...

    async def users(self, after: str, most: int) -> Sequence[KnownUser]:
        """The next users in the order of their ids, those behind `after`."""
        ...

    async def usernames(self) -> Mapping[str, str]:
        """What the directory last called each user there is, by id; "" where that is not known."""
        ...

    async def tokens(self, after: str, most: int) -> Sequence[TokenRecord]:
        """The next tokens of all users in the order of their ids, those behind `after`."""
        ...


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A secret as it is kept: what it is sealed for, and what it is bound to."""

    purpose: str
    user_id: str
    id: str
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resealed:
    """What becomes of a secret under another key.  `fingerprint`: a TOTP seed's, None for others."""

    row: SealedRow
    octets: bytes = field(repr=False)
    fingerprint: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Node:
    """A server at this store.  `keys`: ids of those it has, first the one that seals; `seen`: when it said so."""

    id: str
    name: str
    keys: tuple[bytes, ...]
    seen: float


@dataclass(slots=True)
class SourceTally:
    """Access-Requests from one source of a client, with Message-Authenticator, of its own accord, and without.

    Counted up while it is in memory.  Times are wall seconds, 0 for never.
    """

    client: str
    source: str
    first_seen: float
    last_seen: float
    signed: int = 0
    unsigned: int = 0
    last_signed: float = 0.0
    last_unsigned: float = 0.0


class SourceStore(Protocol):
    """What is kept of where requests come from."""

    async def add_sources(self, tallies: Sequence[SourceTally]) -> None:
        """Add these counts to what is kept of each source, which is in there once."""
        ...

    async def sources(self) -> Sequence[SourceTally]:
        """What is kept of all sources, by client and source."""
        ...

    async def forget_sources(self, client: str, source: str | None) -> int:
        """Forget one source of the client, or (None) all; how many there were.

        Nor does it count what ended before and is added only now.
        """
        ...


class KeyStore(Protocol):
    """What looking after the keys needs."""

    async def key_proofs(self) -> Mapping[bytes, bytes]:
        """What is kept to tell whether a key file is the store's: by key id, what that key sealed."""
        ...

    async def add_key_proof(self, key_id: bytes, proof: bytes, *, first: bool = False) -> None:
        """Keep a proof, in place of none; `first`: only where there is none of any key."""
        ...

    async def drop_key_proof(self, key_id: bytes) -> None:
        """From now on no key file needs that key."""
        ...

    async def sealed_otherwise(self, purpose: str, key_id: bytes, after: str, most: int) -> Sequence[SealedRow]:
        """The next secrets of that purpose, by their ids, that were not sealed under the key."""
        ...

    async def reseal(self, rows: Sequence[Resealed]) -> int:
        """Put these in the place of what they were made of, where it is still there; how many."""
        ...

    async def note_node(self, node: Node) -> None:
        """Keep what a server says of itself."""
        ...

    async def drop_node(self, node_id: str) -> None:
        """The server has stopped."""
        ...

    async def nodes(self, since: float) -> Sequence[Node]:
        """The servers that have said something since then."""
        ...


class Store(LoginStore, OutboxStore, LifeStore, KeyStore, SourceStore, PortalStore, Protocol):
    """All of it, and what a server asks besides."""

    async def purge(self, now: float, logins_before: float) -> int:
        """Delete what is past its time, and logins before `logins_before`; how many rows."""
        ...

    async def close(self) -> None: ...
