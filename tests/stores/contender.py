"""Another process at the same store: says `ready`, waits for a line, does one thing, says what came of it.

python -m tests.stores.contender TASK URL [ARGUMENT...]
"""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters, cleared
from radius_mfa.core.store import SourceTally, Store
from radius_mfa.core.stored import Consumption, MailCodeUse, RecoveryCodeUse, TotpStep
from radius_mfa.stores.postgresql import PostgresqlStore
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.stores.sqlite_connection import path_of
from tests.adapters import NOON
from tests.stores.portal import FAR, case, link, link_mail, visit
from tests.stores.support import PATIENCE, SystemClock, attempt, count, new_token, settlement

CLOCK = SystemClock()
CODES: dict[str, Consumption] = {
    "totp": TotpStep("t1", 7, 0),
    "mail": MailCodeUse("c1"),
    "recovery": RecoveryCodeUse("r1"),
}


def say(word: str) -> None:
    print(word, flush=True)


def wait_for_go() -> None:
    sys.stdin.readline()


def name_of(value: object) -> str:
    return getattr(value, "name", type(value).__name__)


def tally(values: Iterable[object]) -> dict[str, int]:
    return dict(Counter(map(name_of, values)))


async def opened(url: str) -> Store:
    """The store there, of whatever engine."""
    if url.startswith("sqlite"):
        return SqliteStore.open(url, CLOCK)
    return await PostgresqlStore.open(url, None, CLOCK)


async def together(url: str, many: int, one: Callable[[Store, int], Awaitable[object]]) -> dict[str, int]:
    """`one`, so many times at once; how often it ended how."""
    store = await opened(url)
    say("ready")
    wait_for_go()
    try:
        return tally(await asyncio.gather(*(one(store, number) for number in range(many))))
    finally:
        await store.close()


async def spend(url: str, who: str, many: str) -> dict[str, int]:
    """Different answers to one State."""

    async def one(store: Store, number: int) -> object:
        return await store.spend(attempt(answer=f"{who} {number}".encode()), count, CLOCK.monotonic() + PATIENCE)

    return await together(url, int(many), one)


async def settle(url: str, what: str, who: str, many: str) -> dict[str, int]:
    """The same code in different logins, each after having spent a State of its own."""

    async def one(store: Store, number: int) -> object:
        mine = attempt(1000 * int(who) + number)
        await store.spend(mine, lambda counters: counters, CLOCK.monotonic() + PATIENCE)
        end = settlement(mine, CODES[what], cleared)
        return await store.settle(end, CLOCK.monotonic() + PATIENCE)

    return await together(url, int(many), one)


async def fail(url: str, who: str, many: str) -> dict[str, int]:
    """A failure each, of different logins."""

    async def one(store: Store, number: int) -> object:
        mine = attempt(1000 * int(who) + number)
        return await store.spend(mine, more, CLOCK.monotonic() + PATIENCE)

    return await together(url, int(many), one)


def more(counters: Counters) -> Counters:
    """A failure more, and no lock."""
    return replace(counters, failures=counters.failures + 1)


async def add(url: str, who: str, many: str) -> dict[str, int]:
    """Tokens of one seed, each with an id of its own."""

    async def one(store: Store, number: int) -> object:
        (added,) = await store.add_tokens([new_token(id=f"{who}-{number}")])
        return str if added else None

    return await together(url, int(many), one)


async def portal(url: str, what: str, who: str, many: str) -> dict[str, int]:
    """What may be done once, or so often, in the portal; who is given an id has one of its own."""

    async def one(store: Store, number: int) -> object:
        mine = f"{who}-{number}"
        doing: dict[str, Callable[[], Awaitable[object]]] = {
            "begin": lambda: store.begin_visit(visit(id=mine, shown=FAR - 1, expires=FAR), "v1"),
            "post": lambda: store.post_link(link(mine), link_mail(mine), NOON, 3),
            "use": lambda: store.use_link("l1", NOON),
            "anew": lambda: store.start_anew(new_token(id=mine), "v1"),
            "open": lambda: store.open_case(case(mine)),
            "answer": lambda: store.answer_case("c1", mine, NOON),
            "ripen": lambda: store.ripen(NOON + 1),
        }
        return str if await doing[what]() else None

    return await together(url, int(many), one)


async def add_sources(url: str, order: str, many: str) -> dict[str, int]:
    """A request with Message-Authenticator from each of 200 sources, so many times."""
    tallies = [SourceTally("vpn", f"192.0.2.{n}", 1.0, 1.0, signed=1, last_signed=1.0) for n in range(200)]

    async def one(store: Store, _: int) -> object:
        await store.add_sources(tallies if order == "forwards" else tallies[::-1])
        return None

    return await together(url, int(many), one)


async def open_(url: str) -> dict[str, int]:
    """Open the store, whatever state it is in."""
    say("ready")
    wait_for_go()
    store = await opened(url)
    facts = await store.facts("u-alice", CLOCK.monotonic() + PATIENCE)
    await store.close()
    return tally([facts])


async def counters(url: str) -> dict[str, int]:
    """What another process has counted of the user."""
    store = await opened(url)
    say("ready")
    wait_for_go()
    facts = await store.facts("u-alice", CLOCK.monotonic() + PATIENCE)
    await store.close()
    return {"failures": facts.counters.failures}


async def spend_and_hang(url: str) -> dict[str, int]:
    """Spend a State, and be killed before anything comes of it."""
    store = await opened(url)
    say("ready")
    await store.spend(attempt(), count, CLOCK.monotonic() + PATIENCE)
    say("spent")
    wait_for_go()
    return {}


async def stand_still(url: str) -> dict[str, int]:
    """Begin a transaction, and let nothing happen in this process."""
    store = await opened(url)
    say("ready")
    wait_for_go()

    def rule(_: Counters) -> None:
        say("inside")
        wait_for_go()

    await store.spend(attempt(), rule, CLOCK.monotonic() + PATIENCE)
    return {}


async def lock(url: str) -> dict[str, int]:
    """Hold the write lock until told to let go."""
    connection = sqlite3.connect(str(path_of(url)), isolation_level=None)
    say("ready")
    connection.execute("BEGIN IMMEDIATE")
    say("locked")
    wait_for_go()
    connection.execute("COMMIT")
    connection.close()
    return {}


async def fill(url: str) -> dict[str, int]:
    """Spend States where no file may grow any more; then only read."""
    store = await opened(url)
    say("ready")
    wait_for_go()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    ended: list[object] = []
    for _ in range(2):
        try:
            ended.append(await store.spend(attempt(), count, CLOCK.monotonic() + PATIENCE))
        except StoreError as error:
            ended.append(error)
    ended.append(await store.facts("u-alice", CLOCK.monotonic() + PATIENCE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ended.append(await store.spend(attempt(), count, CLOCK.monotonic() + PATIENCE))
    await store.close()
    return tally(ended)


TASKS: dict[str, Callable[..., Coroutine[Any, Any, dict[str, int]]]] = {
    "spend": spend,
    "settle": settle,
    "fail": fail,
    "add": add,
    "add-sources": add_sources,
    "portal": portal,
    "open": open_,
    "counters": counters,
    "spend-and-hang": spend_and_hang,
    "stand-still": stand_still,
    "lock": lock,
    "fill": fill,
}

if __name__ == "__main__":
    task, *arguments = sys.argv[1:]
    print(json.dumps(asyncio.run(TASKS[task](*arguments))))
