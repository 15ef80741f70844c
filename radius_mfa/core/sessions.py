"""What a TLS session of 802.1X is worth, once somebody has logged in through it."""

from __future__ import annotations

from radius_mfa.core.record import record


@record(frozen=True, slots=True)
class Session:
    """Whose it is (`user_id`), by which policy, and `since` when: wall seconds of the login that it began with.

    `name`: the User-Name inside the tunnel, as it was typed.  `factor`: whose code was right then, a
    `core.messages.FactorKind`; empty: none was asked for, since the device was trusted.
    """

    user_id: str
    name: str
    policy: str
    since: float
    factor: str = ""
