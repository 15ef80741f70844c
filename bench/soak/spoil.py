"""Drafts of packets, and what is done to spoil them: attributes before or after signing, octets afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from bench.soak.octets import PROXY_STATE, SIGNATURE, STATE, hidden, packet, padded, signature
from bench.soak.oracle import Client
from bench.soak.site import CLIENTS

Other = Callable[[], "Draft"]
"""Makes another packet, signed, to take something from."""


@dataclass(slots=True)
class Draft:
    """A packet that is being made.  An attribute SIGNATURE of None becomes the signature."""

    kind: str
    client: Client
    host: str
    secret: bytes
    attributes: list[tuple[int, bytes | None]]
    code: int
    identifier: int
    authenticator: bytes = field(repr=False)

    def retype(self, password: bytes) -> None:
        """Another User-Password, hidden as it ought to be."""
        self.replace(2, hidden(padded(password), self.secret, self.authenticator)[:240])

    def replace(self, number: int, value: bytes) -> None:
        """Another value for every such attribute."""
        self.attributes = [(n, value if n == number else v) for n, v in self.attributes]

    def sign(self) -> None:
        """Put the signature in place of its attribute, where there is one to be made."""
        zeroed = self._octets(self.attributes)
        made = signature(zeroed, self.secret)
        self.attributes = [(number, made if value is None else value) for number, value in self.attributes]

    def octets(self) -> bytes:
        self.sign()
        return self._octets(self.attributes)

    def _octets(self, attributes: Sequence[tuple[int, bytes | None]]) -> bytes:
        zeroed = [(number, bytes(16) if value is None else value) for number, value in attributes]
        return packet(self.code, self.identifier, self.authenticator, zeroed)


# --- attributes -----------------------------------------------------------------------------------------


def _remove(random: Random, draft: Draft, _other: Other) -> None:
    if draft.attributes:
        del draft.attributes[random.randrange(len(draft.attributes))]


def _duplicate(random: Random, draft: Draft, _other: Other) -> None:
    if draft.attributes:
        draft.attributes.insert(_place(random, draft), random.choice(draft.attributes))


def _reorder(random: Random, draft: Draft, _other: Other) -> None:
    random.shuffle(draft.attributes)


def _insert(random: Random, draft: Draft, _other: Other) -> None:
    number = random.choice([random.randrange(256), 1, 2, 3, 24, 26, 33, 79, 80])
    draft.attributes.insert(
        _place(random, draft), (number, random.randbytes(random.choice([0, 1, 4, 16, 17, 253])))
    )


def _insert_many(random: Random, draft: Draft, _other: Other) -> None:
    value = random.randbytes(random.choice([0, 1, 18]))
    draft.attributes += [(random.choice([PROXY_STATE, 18, 25, 200]), value)] * random.choice([12, 190, 200, 201])


def _fill(random: Random, draft: Draft, _other: Other) -> None:
    draft.attributes += [(random.choice([PROXY_STATE, 25]), random.randbytes(253))] * random.randint(10, 17)


def _splice(random: Random, draft: Draft, other: Other) -> None:
    """Some attributes of another packet, beside or in place of ours; or all of ours under its header."""
    found = other()
    if not found.attributes:
        return
    taken = random.choice(found.attributes)
    if random.random() < 0.5:
        draft.attributes = [each for each in draft.attributes if each[0] != taken[0]]
    draft.attributes.insert(_place(random, draft), taken)


def _other_header(random: Random, draft: Draft, other: Other) -> None:
    match random.randrange(4):
        case 0:
            draft.code = random.choice([1, 12, 2, 3, 4, 5, 11, 13, 40, 43, random.randrange(256)])
        case 1:
            draft.identifier = random.randrange(256)
        case 2:  # what was hidden is hidden no more
            draft.authenticator = random.choice([bytes(16), random.randbytes(16), other().authenticator])
        case _:
            found = other()
            draft.identifier, draft.authenticator = found.identifier, found.authenticator


def _signature(random: Random, draft: Draft, _other: Other) -> None:
    """Zeroed, duplicated, moved, cut short, or of another length."""
    places = [at for at, (number, _) in enumerate(draft.attributes) if number == SIGNATURE]
    if not places:
        draft.attributes.insert(_place(random, draft), (SIGNATURE, random.choice([None, bytes(16)])))
        return
    at = places[0]
    match random.randrange(4):
        case 0:
            draft.attributes[at] = SIGNATURE, bytes(16)
        case 1:
            again = random.choice([draft.attributes[at], (SIGNATURE, bytes(16)), (SIGNATURE, b"")])
            draft.attributes.insert(_place(random, draft), again)
        case 2:
            draft.attributes.insert(_place(random, draft), draft.attributes.pop(at))
        case _:
            draft.attributes[at] = SIGNATURE, random.randbytes(random.choice([0, 1, 15, 16, 17, 253]))


def _state(random: Random, draft: Draft, other: Other) -> None:
    """A bit of it flipped, cut, grown, or another one."""
    states = [value for number, value in draft.attributes if number == STATE and value]
    if not states:
        draft.attributes.insert(_place(random, draft), (STATE, random.randbytes(random.choice([0, 16, 120, 253]))))
        return
    spoilt = bytearray(states[0])
    match random.randrange(4):
        case 0 | 1:
            spoilt[random.randrange(len(spoilt))] ^= 1 << random.randrange(8)
        case 2:
            spoilt = spoilt[: random.randrange(len(spoilt))]
        case _:
            spoilt = bytearray(next((v for n, v in other().attributes if n == STATE and v), b""))
    draft.replace(STATE, bytes(spoilt))


def _name(random: Random, draft: Draft, _other: Other) -> None:
    name = next((value for number, value in draft.attributes if number == 1 and value), b"u1")
    odd = [name.upper(), name + b" ", b"X\\" + name, name + b"@a", name + b"\0", b"", b"\xff" + name, name * 30]
    draft.replace(1, random.choice(odd)[:253])


def _password_length(random: Random, draft: Draft, _other: Other) -> None:
    """RFC 2865 §5.2 knows 16 to 128 octets, in sixteens."""
    length = random.choice([0, 1, 15, 17, 31, 33, 127, 129, 144, 240, 253])
    draft.replace(2, hidden(random.randbytes(length), draft.secret, draft.authenticator))


def _password_bits(random: Random, draft: Draft, _other: Other) -> None:
    """Each bit of it flipped is a bit of what is recovered."""
    hiding = bytearray(next((value for number, value in draft.attributes if number == 2 and value), bytes(16)))
    hiding[random.randrange(len(hiding))] ^= 1 << random.randrange(8)
    draft.replace(2, bytes(hiding))


def _retype(random: Random, draft: Draft, _other: Other) -> None:
    draft.retype(
        random.choice([b"\0", b"\x01\x02", b"\xc3\x28", b"x" * 128, random.randbytes(20), "６".encode() * 6])
    )


def _secret(random: Random, draft: Draft, _other: Other) -> None:
    """That of another client, or of nobody: from here on it is hidden and signed with it."""
    draft.secret = random.choice([*(secret for client in CLIENTS for secret in client.secrets), b"", b"radsec"])


def _place(random: Random, draft: Draft) -> int:
    return random.randrange(len(draft.attributes) + 1)


ATTRIBUTES = (
    _remove, _duplicate, _reorder, _insert, _insert_many, _fill, _splice, _splice, _other_header, _signature,
    _state, _state, _name, _password_length, _password_bits, _retype, _secret,
)  # fmt: skip


# --- octets ---------------------------------------------------------------------------------------------


def _flip(random: Random, octets: bytearray) -> None:
    for _ in range(random.randint(1, 8) if octets else 0):
        octets[random.randrange(len(octets))] ^= 1 << random.randrange(8)


def _truncate(random: Random, octets: bytearray) -> None:
    del octets[random.randrange(len(octets) + 1) :]


def _extend(random: Random, octets: bytearray) -> None:
    octets += random.randbytes(random.choice([1, 2, 16, 300, 4096]))


def _lie_of_length(random: Random, octets: bytearray) -> None:
    length = len(octets) + random.choice([-20, -2, -1, 1, 2, 20])
    octets[2:4] = (random.choice([length, random.randrange(65536), 19, 0, 4097]) & 0xFFFF).to_bytes(2, "big")


def _lie_of_an_attribute(random: Random, octets: bytearray) -> None:
    places, at = [], 20
    while at + 2 <= len(octets) and octets[at + 1] >= 2:
        places.append(at)
        at += octets[at + 1]
    if places:
        octets[random.choice(places) + 1] = random.choice([0, 1, 2, 3, 255, random.randrange(256)])


def _overwrite(random: Random, octets: bytearray) -> None:
    at, count = random.randrange(len(octets) + 1), random.randint(1, 20)
    octets[at : at + count] = random.choice([bytes(count), random.randbytes(count), b"\xff" * count])


def _cut_out(random: Random, octets: bytearray) -> None:
    at = random.randrange(len(octets) + 1)
    del octets[at : at + random.randint(1, 20)]
    octets[2:4] = (len(octets) & 0xFFFF).to_bytes(2, "big")


OCTETS = (_flip, _flip, _truncate, _extend, _lie_of_length, _lie_of_an_attribute, _overwrite, _cut_out)
