"""TLS sessions that somebody has logged in through, by name, for as long as they are worth something."""

from __future__ import annotations

from itertools import islice

from radius_mfa.core.sessions import Session

_MOST = 20_000  # as many as OpenSSL keeps of its own accord


class Sessions:
    """Remembers the newest ones."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Session] = {}

    def keep(self, name: bytes, session: Session) -> None:
        """From now on; the oldest goes where there is no room."""
        self._kept.pop(name, None)
        self._kept[name] = session
        for oldest in [*islice(self._kept, max(0, len(self._kept) - _MOST))]:
            del self._kept[oldest]

    def forget(self, session: Session) -> None:
        """It is worth nothing any more, by whatever name."""
        for name in [name for name, kept in self._kept.items() if kept is session]:
            del self._kept[name]

    def find(self, name: bytes, now: float, lifetime: float) -> Session | None:
        """The session of that name, unless it has lasted `lifetime` seconds at `now`, wall seconds."""
        session = self._kept.get(name)
        return session if session and session.since <= now < session.since + lifetime else None
