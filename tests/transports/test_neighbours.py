"""What processes tell each other arrives whole, makes nobody wait, and is survived whatever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from radius_mfa.transports.crew import box
from radius_mfa.transports.neighbours import Message, Neighbours

_PATIENCE = 10.0  # seconds

ONE = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
VALUES = ONE | st.lists(ONE, max_size=3)


class Street:
    """Some processes in one loop; `heard`: by number, what each was told."""

    def __init__(self, count: int, stack: ExitStack) -> None:
        self.boxes = [box() for _ in range(count)]
        for receive, send in self.boxes:
            stack.enter_context(receive)
            stack.enter_context(send)
        self.houses = [Neighbours(number, self.boxes) for number in range(count)]
        self.heard: list[asyncio.Queue[Message]] = [asyncio.Queue() for _ in range(count)]
        for number, house in enumerate(self.houses):
            house.on("news", self.heard[number].put_nowait)
            house.listen()
            stack.callback(house.close)

    def sends(self, number: int, octets: bytes) -> None:
        """Whatever it is."""
        self.boxes[number][1].send(octets)


def run(play: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(_PATIENCE):
            await play

    asyncio.run(in_time())


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text().filter(lambda key: key != "what"), VALUES), max_size=3))
def test_messages_arrive_whole_and_in_order(messages: list[Message]) -> None:
    async def play() -> None:
        with ExitStack() as stack:
            street = Street(2, stack)
            for message in messages:
                assert street.houses[0].tell(1, "news", message)
            assert [await street.heard[1].get() for _ in messages] == messages

    run(play())


def test_the_others_are_told_and_nobody_else() -> None:
    async def play() -> None:
        with ExitStack() as stack:
            street = Street(4, stack)
            street.houses[2].tell_others("news", {"a": 1})
            for number in (0, 1, 3):
                assert await street.heard[number].get() == {"a": 1}
            street.houses[0].tell(2, "news", {"a": 2})
            assert await street.heard[2].get() == {"a": 2}, "and nothing before it"

    run(play())


def test_one_may_tell_oneself() -> None:
    async def play() -> None:
        with ExitStack() as stack:
            street = Street(2, stack)
            assert street.houses[0].tell(0, "news", {})
            assert await street.heard[0].get() == {}

    run(play())


def test_whoever_has_no_room_makes_nobody_wait_and_whoever_tells_knows() -> None:
    async def play() -> None:
        with ExitStack() as stack:
            street = Street(2, stack)
            told = [street.houses[0].tell(1, "news", {"n": n, "filling": "x" * 1000}) for n in range(2000)]
            fitted = told.index(False)
            assert fitted > 32
            for number in range(fitted):
                assert (await street.heard[1].get())["n"] == number
            assert street.houses[0].tell(1, "news", {"n": "there is room again"})

    run(play())


def test_a_message_longer_than_any_room_is_not_sent() -> None:
    async def play() -> None:
        with ExitStack() as stack:
            street = Street(2, stack)
            assert not street.houses[0].tell(1, "news", {"x": "x" * (1 << 20)})
            assert street.houses[0].tell(1, "news", {"x": "x" * 60_000})
            assert await street.heard[1].get() == {"x": "x" * 60_000}

    run(play())


def test_what_is_told_to_whoever_has_died_is_heard_by_its_replacement() -> None:
    async def play() -> None:
        with ExitStack() as stack:
            street = Street(2, stack)
            street.houses[1].close()
            assert street.houses[0].tell(1, "news", {"a": 1})
            replacement = Neighbours(1, street.boxes)
            stack.callback(replacement.close)
            replacement.on("news", street.heard[1].put_nowait)
            replacement.listen()
            assert await street.heard[1].get() == {"a": 1}

    run(play())


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (b"", "JSONDecodeError"),
        (b"secret", "JSONDecodeError"),
        (b'{"what": "news", "password": "secret', "JSONDecodeError"),
        (b"\xff\xfe", "JSONDecodeError"),
        (b"[]", "TypeError"),
        (b'"secret"', "AttributeError"),
        (b'{"password": "secret"}', "KeyError"),
        (b'{"what": "secret"}', "KeyError"),
        (b'{"what": ["secret"]}', "TypeError"),
    ],
)
def test_what_nobody_understands_is_logged_by_its_kind_and_survived(octets: bytes, error: str) -> None:
    """It may be of another version, or cut; passwords are among what is told, so nothing of it is shown."""

    async def play() -> None:
        with ExitStack() as stack, capture_logs() as log:
            street = Street(2, stack)
            street.sends(1, octets)
            street.houses[0].tell(1, "news", {"a": 1})
            assert await street.heard[1].get() == {"a": 1}
        assert log == [{"event": "message_not_understood", "error": error, "log_level": "error"}]

    run(play())


def test_a_mistake_of_whoever_is_told_is_survived() -> None:
    def fails(message: Message) -> None:
        raise ValueError(f"cannot use {message}")

    async def play() -> None:
        with ExitStack() as stack, capture_logs() as log:
            street = Street(2, stack)
            street.houses[1].on("password", fails)
            street.houses[0].tell(1, "password", {"password": "secret"})
            street.houses[0].tell(1, "news", {})
            await street.heard[1].get()
        assert log == [{"event": "message_not_understood", "error": "ValueError", "log_level": "error"}]

    run(play())


def test_many_messages_let_others_have_their_turn() -> None:
    async def play() -> None:
        with ExitStack() as stack:
            street = Street(2, stack)
            for number in range(100):
                assert street.houses[0].tell(1, "news", {"n": number})
            waiting = []
            while street.heard[1].qsize() < 100:
                await asyncio.sleep(0)
                waiting.append(street.heard[1].qsize())
            assert max(after - before for before, after in zip([0, *waiting], waiting, strict=False)) <= 32

    run(play())


def test_whoever_has_closed_leaves_what_comes_to_its_replacement() -> None:
    async def play() -> None:
        with ExitStack() as stack:
            street = Street(2, stack)
            street.houses[1].close()
            assert street.houses[0].tell(1, "news", {})
            for _ in range(3):
                await asyncio.sleep(0)
            assert street.heard[1].empty()
            assert street.boxes[1][0].recv(100) == b'{"what":"news"}'

    run(play())
