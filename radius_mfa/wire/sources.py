"""Which sources send Message-Authenticator: what `auto` goes by, and what `radius-mfa clients` reports.

A request with one was verified.  One without may come from anybody who can write a source address: it can make a
client look worse than it is, never better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from radius_mfa.core.store import SourceTally

MOST_SIGNERS = 4096  # of a client, that are told apart; from as many on, all of it must send one
_MOST_STRANGERS = 1024  # of a client, counted between two times that the counts are taken

Pair = tuple[str, str]
"""A client, by name, and a source address of it."""


class Sources:
    """Sources by client.  A server has one for as long as it runs, whatever configuration it answers under.

    Each client has room of its own: whoever has the secret of one changes nothing for another.
    """

    def __init__(self, signers: Iterable[Pair] = ()) -> None:
        """`signers`: who is known to send it."""
        self._tallies: dict[Pair, SourceTally] = {}
        self._usual: dict[Pair, SourceTally] = {}  # those of known signers: all there is to do is to count
        self._strangers: Counter[str] = Counter()  # who came without one first, by client
        self._signers: dict[str, set[str]] = {}
        self.know(signers)

    def signs(self, client: str, host: str) -> bool:
        """Whether that source is known to send it; of a client with too many to tell apart, every one."""
        signers = self._signers.get(client, ())
        return host in signers or len(signers) >= MOST_SIGNERS

    def know(self, signers: Iterable[Pair]) -> None:
        """From now on these are known to send it, and whom we have counted since; nobody else."""
        self._signers = {}
        self._usual.clear()
        for client, host in (*signers, *(pair for pair, tally in self._tallies.items() if tally.signed)):
            self._learn(client, host)

    def saw(self, client: str, host: str, now: float, signed: bool) -> bool:
        """Count an Access-Request, at `now` in wall seconds; whether it is the first signed one of its source."""
        tally = self._usual.get((client, host)) if signed else None
        if tally is None:
            return self._saw(client, host, now, signed)
        tally.last_seen = tally.last_signed = now
        tally.signed += 1
        return False

    def _saw(self, client: str, host: str, now: float, signed: bool) -> bool:
        """Likewise, of whom something may be new."""
        first = signed and host not in self._signers.get(client, ()) and self._learn(client, host)
        tally = self._tallies.get((client, host)) or self._new(client, host, now, signed=signed)
        if tally is not None:
            tally.last_seen = now
            if signed:
                tally.signed += 1
                tally.last_signed = now
                if host in self._signers.get(client, ()):
                    self._usual[client, host] = tally
            else:
                tally.unsigned += 1
                tally.last_unsigned = now
        return first

    def learn(self, client: str, host: str) -> None:
        """Another worker has seen that source send it."""
        self._learn(client, host)

    def take(self) -> list[SourceTally]:
        """What was counted since the last time; it begins anew from here."""
        taken, self._tallies = list(self._tallies.values()), {}
        self._usual.clear()
        self._strangers.clear()
        return taken

    def put_back(self, tallies: Iterable[SourceTally]) -> None:
        """What was taken and could not be kept, to be taken once more."""
        for each in tallies:
            known = self._tallies.get((each.client, each.source))
            tally = known or self._new(each.client, each.source, each.first_seen, signed=each.signed > 0)
            if tally is not None:
                tally.first_seen = min(tally.first_seen, each.first_seen)
                tally.last_seen = max(tally.last_seen, each.last_seen)
                tally.signed += each.signed
                tally.unsigned += each.unsigned
                tally.last_signed = max(tally.last_signed, each.last_signed)
                tally.last_unsigned = max(tally.last_unsigned, each.last_unsigned)

    def _learn(self, client: str, host: str) -> bool:
        """Whether it is a signer that was not known, and is now."""
        signers = self._signers.setdefault(client, set())
        if host in signers or len(signers) >= MOST_SIGNERS:
            return False
        signers.add(host)
        return True

    def _new(self, client: str, host: str, now: float, *, signed: bool) -> SourceTally | None:
        """A source counted from now on; None where there is no room, which made-up ones take from no signer."""
        if signed:
            if host not in self._signers.get(client, ()):
                return None
        elif self._strangers[client] >= _MOST_STRANGERS:
            return None
        else:
            self._strangers[client] += 1
        tally = self._tallies[client, host] = SourceTally(client, host, first_seen=now, last_seen=now)
        return tally
