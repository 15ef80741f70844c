"""What the tests of the stores share: values to store, and a store asked without `await`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import tests
from radius_mfa.core.guard import Counters, Guard
from radius_mfa.core.kept import NewToken
from radius_mfa.core.messages import Accept, AuditEvent, FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock
from radius_mfa.core.store import Judge, Store
from radius_mfa.core.stored import (
    AnsweredBefore,
    Attempt,
    Consumption,
    Facts,
    Refusal,
    Reserved,
    Settled,
    Settlement,
)
from tests.adapters import NOON, FixedClock

T = TypeVar("T")
Rule = Callable[[Counters], Counters | None]
Opened = Callable[[Clock], Store | Coroutine[Any, Any, Store]]

ALICE, BOB = "u-alice", "u-bob"
GUARD = Guard()
GIVEN = Accept(Outcome.ACCEPTED)
SOON = 10.0  # seconds a store may take when nothing is in its way
TOP = Path(tests.__file__).parents[1]
PATIENCE = 60.0  # seconds for another process; a loaded machine may take its time

count = partial(GUARD.reserve, now=NOON, kind=FactorKind.TOTP)


class SystemClock:
    """The machine's own time, where two processes have to share it."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def attempt(
    login: int = 1, *, user_id: str = ALICE, answer: bytes = b"first answer", round: int = 1, expires: float = NOON
) -> Attempt:
    return Attempt(login.to_bytes(16, "big"), round, user_id, answer.ljust(16)[:16], expires)


def event(user_id: str = ALICE, **differently: Any) -> AuditEvent:
    said = {
        "time": NOON,
        "outcome": Outcome.ACCEPTED,
        "decision": "accept",
        "client": "vpn",
        "source": "192.0.2.1:1645",
        "user_id": user_id,
        "login": "01",
        "policy": "staff",
        "factor": "totp",
        "station": "02-00-00-00-00-01",
    }
    return AuditEvent(**{**said, **differently})


def settlement(
    of: Attempt,
    consume: Consumption | None = None,
    adjust: Callable[[Counters], Counters] | None = None,
    octets: bytes = b"the decision",
    **about: Any,
) -> Settlement:
    said = {"login": of.login.hex(), "round": of.round} | about
    return Settlement(of, GIVEN, octets, event(of.user_id, **said), consume, adjust)


def new_token(number: int = 1, *, user_id: str = ALICE, confirmed: bool = True, **differently: Any) -> NewToken:
    said = {
        "id": f"t{number}",
        "user_id": user_id,
        "username": user_id.removeprefix("u-"),
        "label": f"phone {number}",
        "seed": b"sealed seed %d" % number,
        "fingerprint": b"fingerprint %d" % number,
        "confirmed": confirmed,
    }
    return NewToken(**{**said, **differently})


class Asked:
    """A store, asked from plain tests; `opened` is what opens it, in the event loop in which it is asked."""

    def __init__(self, opened: Opened, clock: Clock) -> None:
        self.clock = clock
        self._runner = asyncio.Runner()
        try:
            store = opened(clock)
            self.store = self.run(store) if isinstance(store, Coroutine) else store
        except BaseException:
            self._runner.close()
            raise

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(main)

    def close(self) -> None:
        self.run(self.store.close())
        self._runner.close()

    def soon(self) -> float:
        return self.clock.monotonic() + SOON

    def facts(self, user_id: str = ALICE) -> Facts:
        return self.run(self.store.facts(user_id, self.soon()))

    def counters(self, user_id: str = ALICE) -> Counters:
        return self.facts(user_id).counters

    def last_step(self, user_id: str = ALICE) -> int:
        (token,) = self.facts(user_id).tokens
        return token.last_step

    def spend(
        self, of: Attempt, rule: Rule = count, judge: Judge | None = None
    ) -> Reserved | AnsweredBefore | Refusal | Settlement:
        return self.run(self.store.spend(of, rule, self.soon(), judge))

    def settle(self, what: Settlement) -> Settled | AnsweredBefore:
        return self.run(self.store.settle(what, self.soon()))

    def add(self, *tokens: NewToken) -> list[bool]:
        return list(self.run(self.store.add_tokens(tokens)))

    def purge(self, now: float, logins_before: float = 0.0) -> int:
        return self.run(self.store.purge(now, logins_before))


@contextmanager
def asked(opened: Opened, clock: Clock | None = None) -> Iterator[Asked]:
    it = Asked(opened, clock or FixedClock())
    try:
        yield it
    finally:
        it.close()


class Contender:
    """Another process at the same store: `tests/stores/contender.py` doing one of the things it can."""

    def __init__(self, task: str, url: str, *arguments: object) -> None:
        command = [sys.executable, "-m", "tests.stores.contender", task, url, *map(str, arguments)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP
        )
        self.hear("ready")

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def go(self) -> None:
        """Let it begin, or end what it is doing."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def hear(self, word: str) -> None:
        """Wait for it to say that word."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{word}\n"

    def result(self) -> dict[str, Any]:
        """What it says when it is done."""
        said, _ = self._process.communicate(timeout=PATIENCE)
        assert self._process.returncode == 0
        result: dict[str, Any] = json.loads(said)
        return result

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self._process.kill()
        self._process.communicate(timeout=PATIENCE)


def at_once(*contenders: Contender) -> list[dict[str, Any]]:
    """Let them all go; what they say."""
    for each in contenders:
        each.go()
    return [each.result() for each in contenders]
