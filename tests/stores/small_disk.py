"""A store on a disk of its own that is full, or may only be read: what comes of it, as JSON.

    unshare --mount python -m tests.stores.small_disk TASK FOLDER

A program, for `tests.stores.test_disk`: the disk is a tmpfs at FOLDER, which nobody else sees and which is
gone with this process.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters, cleared
from radius_mfa.core.store import Store
from radius_mfa.core.stored import TotpStep
from radius_mfa.stores.sqlite import SqliteStore
from tests.stores.contender import name_of
from tests.stores.support import ALICE, BOB, PATIENCE, SystemClock, attempt, count, new_token, settlement

SIZE = "1m"
CLOCK = SystemClock()


def mount(*how: str | Path) -> None:
    subprocess.run(["mount", *how], check=True)


def soon() -> float:
    return CLOCK.monotonic() + PATIENCE


async def told(doing: Awaitable[object]) -> str:
    """What comes of it: the name of the result, or what the error says."""
    try:
        return name_of(await doing)
    except StoreError as error:
        return f"StoreError: {error}"


def fill(ballast: Path) -> None:
    """Leave not an octet of room."""
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


async def full(folder: Path) -> dict[str, Any]:
    """Logins before, while and after the disk is full."""
    path = folder / "state.db"
    store = SqliteStore.open(f"sqlite:///{path}", CLOCK)
    await store.add_tokens([new_token(1), new_token(2, user_id=BOB)])
    await store.spend(attempt(1), count, soon())
    before = [await told(store.settle(settlement(attempt(1), TotpStep("t1", 7, 0), cleared), soon()))]
    before.append(await told(store.spend(attempt(2), count, soon())))

    fill(folder / "ballast")
    while_full = await _all_ways_to_write(store)
    seen = await store.facts(BOB, soon())

    (folder / "ballast").unlink()
    after = [
        await told(store.settle(settlement(attempt(2), TotpStep("t1", 8, 0), cleared, b"late"), soon())),
        await told(store.settle(settlement(attempt(2), TotpStep("t1", 8, 0), cleared), soon())),
        await told(store.spend(attempt(1), count, soon())),
        await told(store.spend(attempt(3, user_id=BOB), count, soon())),
        await told(store.add_tokens([new_token(3)])),
    ]
    await store.close()
    return {
        "before": before,
        "while full": while_full,
        "seen": seen.counters.failures,
        "after": after,
        **await _opened_again(path),
    }


async def _all_ways_to_write(store: Store) -> list[str]:
    return [
        *[await told(store.spend(attempt(number, user_id=BOB), count, soon())) for number in range(100, 110)],
        await told(store.settle(settlement(attempt(2), TotpStep("t1", 8, 0), cleared), soon())),
        await told(store.spend(attempt(4), lambda _: Counters(10, 10, 1, 2e9), soon())),
        await told(store.add_tokens([new_token(number) for number in range(10, 40)])),
        await told(store.reset(ALICE)),
        await told(store.set_mail_address(ALICE, "alice", "alice@example.net")),
    ]


async def _opened_again(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    store = SqliteStore.open(f"sqlite:///{path}", CLOCK)
    alice, bob = [await store.facts(user_id, soon()) for user_id in (ALICE, BOB)]
    await store.close()
    return {
        "integrity": integrity,
        "tokens": [token.id for token in alice.tokens],
        "last step": alice.tokens[0].last_step,
        "failures": [alice.counters.failures, bob.counters.failures],
    }


async def full_at_start(folder: Path) -> dict[str, Any]:
    """A new store where there is no room for one; and again when there is."""
    fill(folder / "ballast")
    refused = await opened(folder)
    (folder / "ballast").unlink()
    return {"said": [refused, await opened(folder)]}


async def read_only(folder: Path) -> dict[str, Any]:
    """A disk on which nothing may be written."""
    missing = folder / "missing"
    missing.mkdir()
    await SqliteStore.open(f"sqlite:///{folder}/state.db", CLOCK).close()
    mount("-o", "remount,ro", folder)
    return {"said": [await opened(folder), await opened(missing)]}


async def read_only_folder(folder: Path) -> dict[str, Any]:
    """A file that may be written, in a folder in which no other may be made."""
    path = folder / "state.db"
    inner = folder / "inner"
    inner.mkdir()
    await SqliteStore.open(f"sqlite:///{path}", CLOCK).close()
    (inner / "state.db").touch()
    mount("--bind", inner, inner)
    mount("-o", "remount,bind,ro", inner)
    mount("--bind", path, inner / "state.db")
    return {"said": [await opened(inner)]}


async def opened(folder: Path) -> str:
    try:
        store = SqliteStore.open(f"sqlite:///{folder}/state.db", CLOCK)
    except StoreError as error:
        return str(error).replace(str(folder), "FOLDER")
    await store.close()
    return "opened"


TASKS: dict[str, Callable[[Path], Awaitable[dict[str, Any]]]] = {
    "full": full,
    "full-at-start": full_at_start,
    "read-only": read_only,
    "read-only-folder": read_only_folder,
}


async def main(task: str, folder: Path) -> None:
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder)
    print(json.dumps(await TASKS[task](folder)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
