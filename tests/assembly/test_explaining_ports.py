"""What an explanation stands on writes nothing, and lets nobody in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from radius_mfa.assembly.explaining_ports import ENROLLED, OnlyRead
from radius_mfa.core.stored import Attempt, Refusal
from tests.adapters import NOON, House, house
from tests.assembly.support import PATIENCE


@pytest.fixture
def it() -> Iterator[House]:
    with house() as it:
        yield it


def test_an_answer_that_would_be_written_down_is_refused(it: House) -> None:
    attempt = Attempt(bytes(16), 1, "u-alice", bytes(16), NOON, 1.0)
    for store in (OnlyRead(it.store), ENROLLED):
        assert it.run(store.spend(attempt, lambda counters: counters, PATIENCE)) is Refusal.SPENT
        assert it.run(store.is_spent(bytes(16), 1, PATIENCE))
    assert not it.run(it.store.is_spent(bytes(16), 1, PATIENCE))
