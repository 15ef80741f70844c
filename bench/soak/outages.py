"""Outages under load: a directory server killed or frozen, the server itself killed, reloaded, restarted.

Logins go on at a steady rate, and each is tried as long as its NAS tries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from bench.soak.house import House, frozen, killed, wait_until
from bench.soak.logins import Logins, Taken
from bench.soak.report import Figure
from tests.peers.slapd import Slapd

_SOON = 3.0  # seconds until logins work again, where a connection is refused or closed
_IN_TIME = 11.0  # and where nothing comes at all: within what a NAS waits
_EVENLY = 1 / 3  # of the time before, during and after an outage


def try_fail_over(house: House, rate: float, seconds: float) -> Iterator[Figure]:
    """`house` has two directories; the first is lost, and comes back."""
    outages: tuple[tuple[str, Callable[[Slapd], AbstractContextManager[None]], float], ...] = (
        ("directory killed", killed, _SOON),
        ("directory frozen", frozen, _IN_TIME),
    )
    for name, outage, bound in outages:
        logins = Logins(house.port, house.users, rate)
        logins.start()
        began = time.perf_counter()
        wait_until(began + seconds * _EVENLY)
        lost = time.perf_counter()
        with outage(house.slapds[0]):
            wait_until(began + seconds * 2 * _EVENLY)
        back = time.perf_counter()
        wait_until(back + seconds * _EVENLY)  # however long it took to come back
        logins.enough()
        taken = logins.taken_in_the_end()
        yield from _again(name, taken, lost, back, bound)
        yield from _again(f"{name}, and back", taken, back, float("inf"), bound)
        yield _lost(name, taken)


def try_restarts(house: House, rate: float, seconds: float) -> Iterator[Figure]:
    """The server killed and begun anew, told to read its configuration again, ended and begun anew."""

    def kill() -> None:
        house.kill()
        house.begin()

    def restart() -> None:
        house.end()
        house.begin()

    for name, do in (("server killed, started", kill), ("SIGHUP", house.reload), ("SIGTERM, started", restart)):
        logins = Logins(house.port, house.users, rate)
        logins.start()
        began = time.perf_counter()
        wait_until(began + seconds * _EVENLY)
        at = time.perf_counter()
        do()
        took = time.perf_counter() - at
        wait_until(at + seconds * 2 * _EVENLY)
        logins.enough()
        taken = logins.taken_in_the_end()
        yield Figure(f"{name}: until it was ready", round(took, 2), "s")
        yield from _again(name, taken, at, float("inf"), None)
        yield _lost(name, taken)


def _again(name: str, taken: Taken, since: float, until: float, most: float | None) -> Iterator[Figure]:
    """From then on: when the first login was accepted that had begun, and how long the slowest took."""
    begun = [login for login in taken.logins if since <= login.began < until]
    accepted = [login for login in begun if login.accepted]
    first = min((login.ended - since for login in accepted), default=float("inf"))
    slowest = max((login.ended - login.began for login in accepted), default=float("inf"))
    # Those that were going on when it happened wait, too.
    under_way = [login for login in taken.logins if login.began < since < login.ended]
    slowest = max([slowest, *(login.ended - since for login in under_way if login.accepted)])
    failed = sum(not login.accepted for login in [*begun, *under_way])
    note = f"{failed} of {len(begun) + len(under_way)} refused or unanswered; the slowest took {slowest:.2f} s"
    yield Figure(f"{name}: logins work again", round(first, 2), "s", most=most, note=note)


def _lost(name: str, taken: Taken) -> Figure:
    failures = "".join(f", {times} {what}" for what, times in taken.failures.items())
    note = f"of {len(taken.logins)}, {taken.resent} sent again{failures}"
    return Figure(f"{name}: logins lost", len(taken.logins) - taken.accepted, most=0, note=note)
