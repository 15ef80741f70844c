"""How often somebody may try: so many at once, and then one in a while.

Only what was wrong is counted, so that a university behind one address signs in undisturbed.  The tables are
bounded: whoever was counted longest ago is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from radius_mfa.core.ports import Clock

_MOST_KEYS = 20_000
_LONGEST_KEY = 96  # characters; what is longer is counted with what begins alike


class Limit:
    """`burst` tries at once, and another each `every` seconds, for each key."""

    def __init__(self, clock: Clock, burst: int, every: float) -> None:
        self._clock = clock
        self._burst = burst
        self._every = every
        self._full_at: OrderedDict[str, float] = OrderedDict()  # monotonic seconds by which all is forgiven

    def wait(self, key: str) -> float:
        """Seconds until there may be another try; 0 for now."""
        over = (
            self._full_at.get(key[:_LONGEST_KEY], 0.0) - self._clock.monotonic() - (self._burst - 1) * self._every
        )
        return max(over, 0.0)

    def count(self, key: str) -> None:
        """There was one."""
        key, now = key[:_LONGEST_KEY], self._clock.monotonic()
        self._full_at[key] = max(self._full_at.pop(key, now), now) + self._every
        if len(self._full_at) > _MOST_KEYS:
            self._full_at.popitem(last=False)

    def give_back(self, key: str) -> None:
        """It was not wrong after all."""
        key = key[:_LONGEST_KEY]
        if key in self._full_at:
            self._full_at[key] -= self._every


class Limits:
    """Those of the portal."""

    def __init__(self, clock: Clock) -> None:
        self.address = Limit(clock, 200, 3.0)  # it may be a whole campus
        self.account = Limit(clock, 10, 30.0)  # of one account from one address
        self.everywhere = Limit(clock, 60, 5.0)  # of one account, wherever they come from
        self.known = Limit(clock, 10, 30.0)  # of one account in one browser where it was let in before
        self.mails = Limit(clock, 5, 720.0)  # that a user has sent to an address of their choice
        self.tests = Limit(clock, 5, 720.0)  # of a token's codes


def neighbourhood(host: str) -> str:
    """What counts as one address: of IPv6 the /64 that somebody has to themselves."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped) if mapped else f"{IPv6Address(address.packed[:8] + bytes(8))}/64"
