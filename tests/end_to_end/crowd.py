"""Many users of one NAS: whole logins over one source port, sent again as a NAS does it.

A NAS has 256 Identifiers for a port of its own and takes them in turn (RFC 2865 §5).  Where no reply comes it
sends the same packet again, under the same Identifier (RFC 5080 §2.2.1), and gives up after so many tries.

A closed loop: `at_once` logins are under way, and the next begins when one of them has ended.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Self

from bench.load import verified
from tests.end_to_end.nas import ACCEPT, CALLING_STATION_ID, CHALLENGE, CODES, STATE, RawNas, walked
from tests.end_to_end.site import PERIOD, SECRET, VPN, Account, Site, now, site
from tests.peers.server import Server

TIMEOUT, RETRIES = 0.3, 20  # what the site's clients are configured with
ACCEPTED, STOPPED = "accepted", "stopped"

_GLANCE = 0.02  # seconds between two looks at what has to be sent again
_LEFT = 400  # users who are in no crowd
_PATIENCE = 60.0  # seconds
_BEFORE = 4  # packets of an Identifier that a late reply may be to
_SLOWEST = 8.0  # seconds that a login may take, so that its code is still a good one at the end


class People:
    """Users with an app each, from whom logins take turns.

    Of a user every code from the step before the present one to the one after it is good, each once and in
    growing order: so three logins can follow each other at once, and then another one every 30 seconds.
    """

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._free = deque((account, 0) for account in accounts)
        self._one_at_a_time = threading.Lock()  # several crowds may be made of them

    def next(self, lasting: float = _SLOWEST) -> tuple[Account, int] | None:
        """Whoever has waited longest, and the step whose code is theirs now; None: all of them have to wait.

        `lasting`: seconds, 30 at most, for which the code has to be a good one.
        """
        with self._one_at_a_time:
            account, used = self._free[0]
            into = time.time() % PERIOD
            step = max(used + 1, now() - (into < PERIOD - lasting))
            if step > now() + 1:
                return None
            self._free.popleft()
            self._free.append((account, step))
        return account, step


@dataclass(eq=False)
class Login:
    """One login.  `station`: what tells it from all others; `replies`: those to the packet that is under way.

    `answered`: the rounds that got their reply.  `result`: ACCEPTED, or what became of it, "" while it goes on.
    """

    account: Account
    step: int
    station: str
    packet: bytes = b""
    sent: float = 0.0
    tries: int = 0
    replies: list[bytes] = field(default_factory=list)
    answered: int = 0
    result: str = ""


class Crowd(RawNas):
    """So many logins; a context manager that begins them, and in the end waits for the last.

    `twice`: each packet is sent twice at once, and once more when it was answered.  `logins`: all that have begun.
    `resent`: packets sent again for want of a reply.  `unlike`: replies to one packet that were not the same
    octets, `strange`: what was no reply to anything.
    """

    def __init__(
        self,
        server: tuple[str, int],
        people: People,
        logins: int,
        at_once: int = 32,
        *,
        twice: bool = False,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
    ) -> None:
        """`server`: where it listens; IPv6 is spoken to an address of IPv6."""
        super().__init__(server, SECRET.encode(), "::1" if ":" in server[0] else VPN)
        self.socket.setblocking(False)
        self.logins: list[Login] = []
        self.resent = self.unlike = self.strange = 0
        self._people = people
        self._wanted = logins
        self._at_once = at_once
        self._twice = twice
        self._timeout = timeout
        self._retries = retries
        self._lasting = max(_SLOWEST, retries * timeout)
        self._busy: dict[int, Login] = {}
        # The packets and replies that an Identifier had last.  A NAS that has few to spare takes one again at
        # once, and the second reply to what it was for may come later than the replies to the next.
        self._before: defaultdict[int, deque[tuple[bytes, bytes]]] = defaultdict(lambda: deque(maxlen=_BEFORE))
        self._stopped = threading.Event()
        self._progress = threading.Condition()
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stopped.set()
        self._thread.join(_PATIENCE)
        self.socket.close()
        assert not self._thread.is_alive()
        if self._broken is not None:
            raise self._broken

    @property
    def accepted(self) -> int:
        return sum(login.result == ACCEPTED for login in self.logins)

    @property
    def failures(self) -> Counter[str]:
        """What those came to that were not accepted."""
        return Counter(login.result for login in self.logins if login.result != ACCEPTED)

    def until(self, so: Callable[[], bool]) -> None:
        """Wait until that is so; it is looked at whenever a login has ended."""
        with self._progress:
            assert self._progress.wait_for(lambda: so() or not self._thread.is_alive(), _PATIENCE)
        assert so(), self.failures

    def ended(self, logins: int) -> None:
        """Wait for so many to have ended."""
        self.until(lambda: sum(bool(login.result) for login in self.logins) >= logins)

    def stop(self) -> None:
        """Give up whatever is under way."""
        self._stopped.set()
        self._thread.join(_PATIENCE)

    # --- in its own thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self.socket, selectors.EVENT_READ)
                while self._begin() and not self._stopped.is_set():
                    if selector.select(_GLANCE):
                        self._take_all()
                    self._resend()
            self._take_all()
            for login in [*self._busy.values()]:
                self._end(login, STOPPED)
        except BaseException as broken:
            self._broken = broken
        with self._progress:
            self._progress.notify_all()

    def _begin(self) -> bool:
        """As many as there may be; whether anything is left to do."""
        while len(self._busy) < self._at_once and len(self.logins) < self._wanted:
            chosen = self._people.next(self._lasting)
            if chosen is None:
                return True
            login = Login(*chosen, f"{self.socket.getsockname()[1]}-{len(self.logins)}")
            self.logins.append(login)
            self._ask(login, login.account.password.encode())
        return bool(self._busy)

    def _ask(self, login: Login, text: bytes, state: bytes = b"") -> None:
        while (self._identifier + 1) % 256 in self._busy:
            self._identifier += 1
        station = (CALLING_STATION_ID, login.station.encode())
        login.packet = self.packet(login.account.name.encode(), text, station, state=state)
        self._busy[login.packet[1]] = login
        login.tries, login.replies = 0, []
        self._send(login)
        if self._twice:
            self._send(login)

    def _send(self, login: Login) -> None:
        login.sent = monotonic()
        login.tries += 1
        with suppress(OSError):  # a server that is gone
            self.socket.send(login.packet)

    def _resend(self) -> None:
        end = monotonic() - self._timeout
        for login in [each for each in self._busy.values() if each.sent < end]:
            if login.tries > self._retries:
                self._end(login, f"round {login.answered + 1}: no reply")
            else:
                self.resent += 1
                self._send(login)

    def _take_all(self) -> None:
        while True:
            try:
                octets = self.socket.recv(4096)
            except BlockingIOError:
                return
            except OSError:  # nobody is there at the moment, as the kernel was told
                continue
            self._take(octets)

    def _take(self, octets: bytes) -> None:
        login = self._busy.get(octets[1])
        if login is None or not verified(self._secret, login.packet, octets):
            return self._take_late(octets)
        login.replies.append(octets)
        self.unlike += octets != login.replies[0]
        if self._twice and len(login.replies) == 1:
            return self._send(login)
        return self._go_on(login, octets)

    def _take_late(self, octets: bytes) -> None:
        """Perhaps the second reply to what the Identifier was for before."""
        for packet, reply in self._before[octets[1]]:
            if verified(self._secret, packet, octets):
                self.unlike += octets != reply
                return
        self.strange += 1

    def _go_on(self, login: Login, octets: bytes) -> None:
        self.read(octets, login.packet)
        self._forget(login)
        login.answered += 1
        code = CODES[octets[0]]
        if (login.answered, code) == (1, CHALLENGE):
            state = next(value for number, value in walked(octets[20:]) if number == STATE)
            self._ask(login, login.account.code(login.step).encode(), state)
        else:
            wanted = (login.answered, code) == (2, ACCEPT)
            self._end(login, ACCEPTED if wanted else f"round {login.answered}: {code}")

    def _forget(self, login: Login) -> None:
        del self._busy[login.packet[1]]
        self._before[login.packet[1]].append((login.packet, login.replies[0]))

    def _end(self, login: Login, result: str) -> None:
        self._busy.pop(login.packet[1], None)
        with self._progress:
            login.result = result
            self._progress.notify_all()


@dataclass
class Campus:
    """A site of its own, and `people` who are left to crowds."""

    site: Site
    people: People

    def crowd(
        self, server: Server, logins: int, at_once: int = 32, *, host: str = "", twice: bool = False
    ) -> Crowd:
        """At the first listener of `server`, or at that of the address `host`."""
        where = next(each for each in server.addresses if host in ("", each[0]))
        return Crowd(where, self.people, logins, at_once, twice=twice)


@contextmanager
def campus(folder: Path, users: int) -> Iterator[Campus]:
    """A site of so many users, whose servers are two workers each; its metrics can be fetched."""
    changes = {"workers": 2, "metrics": {"listen": "127.0.0.1:0"}}
    with site(folder, changes, users, users) as it:
        yield Campus(it, People(it.crowd(_LEFT)))
