"""Several servers that hold the same accounts: which is asked, and which are known to be down.

Every question goes to one server after another until one answers, and each gets its share of the
time that is left.  One that failed, or said nothing in its share, is *down*: it comes last from then on,
but is never left out, since it may be the only one there is.  In the background it is looked at, less
and less often, until it answers.

A refusal of what one user asks for is never a failure of a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.ports import Clock
from radius_mfa.directories.ldap_connection import TooLargeError
from radius_mfa.directories.ldap_messages import BUSY, UNAVAILABLE, Result
from radius_mfa.directories.ldap_server import LdapServer

_A = TypeVar("_A")
_T = TypeVar("_T")

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before one look after another, the last one repeats
_PATIENCE = 5.0  # seconds for all that a look does
_SILENCE = 0.1  # seconds: who says nothing in less may have been about to

log = structlog.get_logger()


class UnfitAnswerError(DirectoryError):
    """An answer that says nothing: the next server is asked, but this one is not down."""


def unfit(server: LdapServer, what: str, result: Result) -> DirectoryError:
    """The error that `result` of `what` is: of the server where it says so itself, else of what was asked."""
    kind = DirectoryError if result.code in (BUSY, UNAVAILABLE) else UnfitAnswerError
    return kind(f"{server.name}: {what}: {result}")


class Failover:
    """`probe`: an encoded search that any server can answer.  `pauses`: seconds, see `PAUSES`.

    Belongs to one event loop, whose time is `clock.monotonic()`.  `answered`: how many questions so far, by
    whichever of them; one whose answer is of no use has not.
    """

    def __init__(
        self, servers: Sequence[LdapServer], clock: Clock, probe: bytes, pauses: Sequence[float] = PAUSES
    ) -> None:
        self._servers = tuple(servers)
        self._now = clock.monotonic
        self._probe = probe
        self._pauses = tuple(pauses)
        self._down: dict[LdapServer, asyncio.Task[None]] = {}  # and who looks at each
        self._closed = False
        self.answered = 0

    async def first_answer(self, ask: Callable[[LdapServer], Awaitable[_T]], deadline: float) -> _T:
        """What the first server says that can.  Raises DirectoryError, in which each says why it could not."""

        async def ask_until(server: LdapServer, until: float) -> _T:
            async with asyncio.timeout_at(until):
                return await ask(server)

        return await self.first_in_time(ask_until, _as_it_is, deadline)

    async def first_in_time(
        self,
        ask: Callable[[LdapServer, float], Awaitable[_A]],
        judge: Callable[[LdapServer, _A], _T],
        deadline: float,
    ) -> _T:
        """The same where `ask` is told when to raise TimeoutError, which costs less than to be stopped then.

        `judge`: what comes of a server's answer; it raises DirectoryError for one of no use.
        """
        failures = []
        left = len(self._servers)
        for server in sorted(self._servers, key=self._down.__contains__) if self._down else self._servers:
            now = self._now()
            share = (deadline - now) / left
            answered = server.answered
            try:
                answer = judge(server, await ask(server, now + share))
            except TimeoutError:
                failures.append(f"{server.name}: no answer in time")
                if share >= _SILENCE and server.answered == answered:
                    self._failed(server, "no answer in time")
            except (UnfitAnswerError, TooLargeError) as unfit:
                failures.append(str(unfit))
            except DirectoryError as failure:
                failures.append(str(failure))
                self._failed(server, str(failure).removeprefix(f"{server.name}: "))
            else:
                if self._down:
                    self._answers(server)
                self.answered += 1
                return answer
            left -= 1
        raise DirectoryError("; ".join(failures))

    def up(self) -> Mapping[str, bool]:
        """The servers by name, and whether each is not down, as far as is known."""
        return {server.name: server not in self._down for server in self._servers}

    async def close(self) -> None:
        """Look at nothing any more, and close every connection."""
        self._closed = True
        looking = list(self._down.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in self._servers))

    def _failed(self, server: LdapServer, why: str) -> None:
        if self._closed or server in self._down:
            return
        log.warning("directory_server_down", server=server.name, why=why)
        self._down[server] = asyncio.get_running_loop().create_task(self._look_after(server))
        server.give_up_connections()

    def _answers(self, server: LdapServer) -> None:
        looking = self._down.pop(server, None)
        if looking is not None:
            log.warning("directory_server_up", server=server.name)
            looking.cancel()

    async def _look_after(self, server: LdapServer) -> None:
        looks = 0
        while True:
            await asyncio.sleep(self._pauses[min(looks, len(self._pauses) - 1)])
            looks += 1
            try:
                async with asyncio.timeout(_PATIENCE):
                    await server.probe(self._probe)
            except (DirectoryError, TimeoutError):
                continue
            self._answers(server)  # which ends this task as well


def _as_it_is(_: LdapServer, answer: _T) -> _T:
    return answer
