"""802.1X at ours beside FreeRADIUS: EAP-TTLS/PAP over TLS 1.2, the same certificate, the same OpenLDAP.

Everybody logs in once at each, through a whole handshake, and again with the TLS session that he has from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from OpenSSL import SSL

from bench.beside import PUT_OFF, Run, Server, from_load_to_load, measured
from bench.directory import Directory, slapd
from bench.eap.certificates import Kind, certify
from bench.eap.freeradius import Tunnels, freeradius_with_eap
from bench.eap.report import Compared, Handshakes, compared
from bench.load import AT_ONCE, Figures, code
from bench.rig import SECRET, Site, cpu, rig
from bench.running import Running
from bench.supplicant import Login, Method, Outcome, crowd, station
from radius_mfa.cli.common import run as run_on_loop


@dataclass(frozen=True, slots=True)
class Scale:
    """`runs` of so many `logins` at each, and as many resumed.

    `put_off`: seconds to wait in the end for what a server does later.
    """

    runs: int
    logins: int
    put_off: float = PUT_OFF

    @property
    def users(self) -> int:
        """Two more than the loads have: one is let in before, the other is refused."""
        return self.runs * self.logins + 2


FULL = Scale(runs=6, logins=1000)
QUICK = Scale(runs=5, logins=300)


class RefusedError(Exception):
    """A server that does not do what is to be measured, in one line."""


@dataclass(slots=True)
class Side:
    """One of those that are compared.  `typed`: what a user types as a password, now.

    `mistyped`: what must not let a user in.  `sessions`: of TLS, of who has logged in.
    """

    server: Server
    typed: Callable[[int], bytes]
    mistyped: Callable[[int], tuple[bytes, ...]]
    sessions: dict[int, SSL.Session | None] = field(default_factory=dict)


def password(user: int) -> bytes:
    """The directory's."""
    return b"pw%d" % user


def another_password(user: int) -> tuple[bytes, ...]:
    """Not the directory's."""
    return (b"not " + password(user),)


def password_and_code(user: int) -> bytes:
    """What ours has in one field."""
    return b"%b,%b" % (password(user), code(user))


def another_password_or_code(user: int) -> tuple[bytes, ...]:
    """One of both wrong."""
    wrong = b"%06d" % ((int(code(user)) + 500_000) % 1_000_000)
    return b"not " + password_and_code(user), b"%b,%b" % (password(user), wrong)


def measure(scale: Scale, kind: Kind, *, ldaps: bool = False, postgresql: bool = False) -> Compared:
    """Start both, load them in turn, stop them.  RefusedError where one does not serve it as it should."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="radius-mfa-eap-")))
        certificate, key = certify(folder, kind)
        directory = stack.enter_context(slapd(scale.users, ldaps=ldaps))
        other = stack.enter_context(freeradius_with_eap(directory, Tunnels(certificate, key)))
        site = Site(postgresql=postgresql, eap=(certificate, key))
        try:
            it = stack.enter_context(rig(scale.users, directory, site=site))
        except RuntimeError as error:
            raise RefusedError(f"radius_mfa with `eap:` in its configuration: {error}") from error
        server = Server("radius_mfa", it.server, it.port, directory.pid)
        ours = Side(server, password_and_code, another_password_or_code)
        return compare((ours, freeradius_side(other, directory)), scale, kind)


def freeradius_side(it: Running, directory: Directory) -> Side:
    """FreeRADIUS, which wants no code."""
    return Side(Server("FreeRADIUS", it.pid, it.port, directory.pid), password, another_password)


def compare(sides: tuple[Side, Side], scale: Scale, kind: Kind) -> Compared:
    """These two, in turn: all full handshakes first, then all resumed ones."""
    for side in sides:
        run_on_loop(_is_in_order(side, scale))
    full = _in_turn(sides, scale, resuming=False)
    resumed = _in_turn(sides, scale, resuming=True)
    names = (sides[0].server.name, sides[1].server.name)
    return compared(names, kind, scale.logins, full, resumed)


def _in_turn(sides: tuple[Side, Side], scale: Scale, *, resuming: bool) -> tuple[Handshakes, Handshakes]:
    """Loads at the first, the second, the first again …"""
    runs: tuple[list[Run], list[Run]] = ([], [])
    for number in range(scale.runs):
        users = range(number * scale.logins, (number + 1) * scale.logins)
        for side, mine in zip(sides, runs, strict=True):
            mine.append(measured(side.server, scale.logins, partial(_load, side, users, resuming)))
    time.sleep(scale.put_off)
    first, second = (
        Handshakes(mine, from_load_to_load(mine, cpu(side.server.pid), scale.logins))
        for side, mine in zip(sides, runs, strict=True)
    )
    return first, second


def _load(side: Side, users: range, resuming: bool) -> Figures:
    """One login of each of these users; every one of them resumed, or none."""
    sessions = [side.sessions.get(user) if resuming else None for user in users]
    began = time.perf_counter()
    logins = zip(_logins(side, users), sessions, strict=True)
    outcomes = run_on_loop(crowd(_address(side), SECRET, logins, at_once=AT_ONCE))
    figures = Figures(seconds=time.perf_counter() - began)
    for user, outcome in zip(users, outcomes, strict=True):
        failure = _why_not(outcome, resuming)
        figures.accepted += not failure
        figures.failures.update([failure] if failure else [])
        figures.resent += outcome.resent
        figures.rounds[1].append(outcome.seconds)  # the whole login's: there are no two rounds
        side.sessions[user] = outcome.session
    return figures


def _logins(side: Side, users: Iterable[int]) -> Iterator[Login]:
    """Each made when its turn has come: a code does not last."""
    for user in users:
        yield _login(user, side.typed(user))


def _login(user: int, typed: bytes) -> Login:
    return Login(Method.TTLS_PAP, b"u%d" % user, (typed,), station=station(user))


def _why_not(outcome: Outcome, resuming: bool) -> str:
    if outcome.is_accepted and outcome.is_resumed is not resuming:
        return "a full handshake" if resuming else "a resumed handshake"
    return outcome.failure


async def _is_in_order(side: Side, scale: Scale) -> None:
    """RefusedError unless it lets somebody in, and nobody with another password or code."""
    first, last = scale.users - 2, scale.users - 1
    tried = [_login(first, side.typed(first)), *(_login(last, typed) for typed in side.mistyped(last))]
    right, *wrong = await crowd(_address(side), SECRET, [(login, None) for login in tried], at_once=1)
    if not right.is_accepted:
        raise RefusedError(f"{side.server.name} does not let a user in by EAP-TTLS/PAP: {right.failure}")
    if any(each.is_accepted for each in wrong):
        raise RefusedError(f"{side.server.name} has not refused a wrong password or code")


def _address(side: Side) -> tuple[str, int]:
    return "127.0.0.1", side.server.port
