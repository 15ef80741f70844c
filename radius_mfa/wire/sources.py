"""Which sources send Message-Authenticator: what `auto` goes by, and what `radius-mfa clients` reports.

A request with one was verified.  One without may come from anybody who can write a source address: it can make a
client look worse than it is, never better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice

from radius_mfa.core.store import SourceTally

_MOST = 65536
_MOST_STRANGERS = 1024  # of a client, counted between two times that the counts are taken

Pair = tuple[str, str]
"""A client, by name, and a source address of it."""


class Sources:
    """Sources by client.  A server has one for as long as it runs, whatever configuration it answers under."""

    def __init__(self, signers: Iterable[Pair] = ()) -> None:
        """`signers`: who is known to send it."""
        self._signers = set(signers)
        self._tallies: dict[Pair, SourceTally] = {}
        self._strangers: Counter[str] = Counter()  # who came without one first, by client

    def signs(self, client: str, host: str) -> bool:
        """Whether that source is known to send it."""
        return (client, host) in self._signers

    def know(self, signers: Iterable[Pair]) -> None:
        """From now on these are known to send it, and whom we have counted since; nobody else."""
        counted = (pair for pair, tally in self._tallies.items() if tally.signed)
        self._signers = set(islice(chain(counted, signers), _MOST))

    def saw(self, client: str, host: str, now: float, *, signed: bool) -> bool:
        """Count an Access-Request, at `now` in wall seconds; whether it is the first signed one of its source."""
        pair = (client, host)
        tally = self._tallies.get(pair) or self._new(pair, now, signed=signed)
        if tally is not None:
            tally.last_seen = now
            if signed:
                tally.signed += 1
                tally.last_signed = now
            else:
                tally.unsigned += 1
                tally.last_unsigned = now
        if not signed or pair in self._signers or len(self._signers) >= _MOST:
            return False
        self._signers.add(pair)
        return True

    def take(self) -> list[SourceTally]:
        """What was counted since the last time; it begins anew from here."""
        taken, self._tallies = list(self._tallies.values()), {}
        self._strangers.clear()
        return taken

    def put_back(self, tallies: Iterable[SourceTally]) -> None:
        """What was taken and could not be kept, to be taken once more."""
        for each in tallies:
            pair = (each.client, each.source)
            tally = self._tallies.get(pair) or self._new(pair, each.first_seen, signed=each.signed > 0)
            if tally is not None:
                tally.first_seen = min(tally.first_seen, each.first_seen)
                tally.last_seen = max(tally.last_seen, each.last_seen)
                tally.signed += each.signed
                tally.unsigned += each.unsigned
                tally.last_signed = max(tally.last_signed, each.last_signed)
                tally.last_unsigned = max(tally.last_unsigned, each.last_unsigned)

    def _new(self, pair: Pair, now: float, *, signed: bool) -> SourceTally | None:
        """A source counted from now on; None where there is no room, which made-up ones take from no signer."""
        client, host = pair
        if len(self._tallies) >= _MOST:
            return None
        if not signed:
            strangers = self._strangers
            if strangers[client] >= _MOST_STRANGERS or strangers.total() >= _MOST // 2:
                return None
            strangers[client] += 1
        tally = self._tallies[pair] = SourceTally(client, host, first_seen=now, last_seen=now)
        return tally
