"""Packets that hypothesis makes up, of any attributes or of no structure, for the server in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import count

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bench.soak.inside import House, house, without_log
from bench.soak.mutate import Datagram
from bench.soak.octets import SIGNATURE, STATE, packet
from bench.soak.oracle import PERIOD, Account, Client
from bench.soak.site import CLIENTS, HOSTS
from bench.soak.spoil import Draft
from bench.soak.tally import Tally

_TYPED = b"\0what was typed"  # in place of a User-Password, until it can be hidden
_LATEST = b"\0the latest State"  # and of a State that a server has given out

_numbers = st.sampled_from([1, 2, 3, 4, 24, 26, 31, 32, 33, 55, 70, 79, 80, 103]) | st.integers(0, 255)
_names = st.sampled_from([b"u1", b"U2", b"DOM\\u3", b" u4", b"nobody"]) | st.binary(max_size=20)
_values = st.binary(max_size=40) | st.binary(max_size=253)
_attributes = st.one_of(
    st.tuples(_numbers, _values),
    st.tuples(st.just(1), _names),
    st.just((2, _TYPED)),
    st.just((STATE, _LATEST)),
    st.just((26, b"\0\0\x01\x37\x01\x34" + bytes(50))),
)
_passwords = st.sampled_from(["PASSWORD", "PASSWORD,CODE", "PASSWORDCODE", "CODE", "mail"]) | st.text(max_size=130)
_signing = st.sampled_from(["first", "last", "none", "wrong"])


@st.composite
def _drafts(draw: st.DrawFn) -> tuple[Draft, str, str]:
    """Something of attributes, with what was typed and how it is to be signed."""
    client: Client = draw(st.sampled_from(CLIENTS))
    attributes = draw(st.lists(_attributes, max_size=12))
    code = draw(st.sampled_from([1, 1, 1, 1, 12]) | st.integers(0, 255))
    host, secret = draw(st.sampled_from(HOSTS[client.name])), draw(st.sampled_from(client.secrets))
    authenticator = draw(st.binary(min_size=16, max_size=16))
    identifier = draw(st.integers(0, 255))
    draft = Draft("hypothesis, attributes", client, host, secret, [*attributes], code, identifier, authenticator)
    return draft, draw(_passwords), draw(_signing)


@st.composite
def _raw(draw: st.DrawFn) -> bytes:
    """Octets, often behind a header whose Length is true."""
    body = draw(st.binary(max_size=300))
    if draw(st.booleans()):
        return body
    return (
        packet(
            draw(st.sampled_from([1, 12])),
            draw(st.integers(0, 255)),
            draw(st.binary(min_size=16, max_size=16)),
            (),
        )[:2]
        + (20 + len(body)).to_bytes(2, "big")
        + bytes(16)
        + body
    )


def try_made_up(tally: Tally, everybody: Sequence[Account], packets: int, number: int) -> None:
    """Try so many examples of hypothesis's, `number` being its seed."""
    with without_log(), asyncio.Runner() as runner:
        stack = AsyncExitStack()
        it = runner.run(stack.enter_async_context(house(tally, everybody)))
        try:
            _example(it, tally, everybody, packets, number, runner.get_loop())()
        finally:
            runner.run(stack.aclose())


def _example(
    it: House,
    tally: Tally,
    everybody: Sequence[Account],
    packets: int,
    number: int,
    loop: asyncio.AbstractEventLoop,
) -> Callable[[], None]:
    ports = count()

    @seed(number)
    @settings(
        max_examples=max(packets, 1),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_drafts() | _raw(), st.sampled_from(CLIENTS))
    def example(made: tuple[Draft, str, str] | bytes, client: Client) -> None:
        port = 1024 + next(ports) % 60_000
        if isinstance(made, bytes):
            datagram = Datagram("hypothesis, octets", HOSTS[client.name][0], port, made)
        else:
            draft, typed, signing = made
            _complete(draft, typed, signing, tally, everybody)
            datagram = Datagram(draft.kind, draft.host, port, draft.octets())
        loop.run_until_complete(it.take([datagram]))

    return example


def _complete(draft: Draft, typed: str, signing: str, tally: Tally, everybody: Sequence[Account]) -> None:
    """Put in what only the moment knows: the code, a State, the signature."""
    recent = tally.oracle.recent
    latest = recent[-1] if recent else None
    draft.attributes = [
        (n, (latest.state if latest else b"none yet") if v == _LATEST else v) for n, v in draft.attributes
    ]
    name = next((value for number, value in draft.attributes if number == 1 and value), b"")
    account = tally.oracle.account_of(name) or (latest.account if latest else everybody[1])
    code = account.code(int(time.time()) // PERIOD)
    if any(value == _TYPED for _, value in draft.attributes):
        draft.retype(typed.replace("PASSWORD", account.password).replace("CODE", code).encode(errors="replace"))
    if signing == "wrong":
        draft.attributes.append((SIGNATURE, bytes(16)))
    elif signing != "none":
        draft.attributes.insert(0 if signing == "first" else len(draft.attributes), (SIGNATURE, None))
