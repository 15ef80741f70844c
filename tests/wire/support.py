"""Small real adapters, and packets made by hand: nothing here but `numbers` uses the code under test."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_network
from typing import Literal

import structlog
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from radius_mfa.core.messages import Nas, Profile
from radius_mfa.observe.metrics import COUNTED, TIMED
from radius_mfa.wire.clients import Client
from radius_mfa.wire.dictionary import Dictionary

SECRET = b"a shared secret of ours"
RADSEC = b"radsec"  # RFC 6614 §2.3
SALT = bytes(range(16))  # a Request Authenticator

Attributes = list[tuple[int, bytes]]


def numbers(dictionary: Dictionary, name: str) -> tuple[int, int]:
    """Vendor, 0 for none, and number of an attribute."""
    found = dictionary.definition(name)
    return found.vendor, found.number


class EachCounted(dict[tuple[str, ...], int]):
    """Tells of each time that something is counted, and counts nothing itself."""

    def __init__(self, tell: Callable[[tuple[str, ...]], None]) -> None:
        self._tell = tell

    def __missing__(self, values: tuple[str, ...]) -> int:
        return 0

    def __setitem__(self, values: tuple[str, ...], times: int) -> None:
        self._tell(values)


class EachTimed(dict[tuple[str, ...], Callable[[float], None]]):
    """Tells of each time that something is timed."""

    def __init__(self, tell: Callable[[tuple[str, ...]], None]) -> None:
        self._tell = tell

    def __missing__(self, values: tuple[str, ...]) -> Callable[[float], None]:
        return lambda _: self._tell(values)


class CountingMeter:
    """Counts by name and labels."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counts[name, *(labels[key] for key in sorted(labels))] += amount

    def counter(self, name: str) -> EachCounted:
        return EachCounted(lambda values: self.count(name, **dict(zip(COUNTED[name][0], values, strict=True))))

    def timer(self, name: str) -> EachTimed:
        return EachTimed(lambda values: self.count(name, **dict(zip(TIMED[name][0], values, strict=True))))

    def total(self, name: str) -> int:
        return sum(number for key, number in self.counts.items() if key[0] == name)

    def discarded(self, reason: str, client: str = "vpn") -> int:
        return self.counts["discarded", client, reason]


class HandClock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now


class SmallDictionary:
    """A few attributes; texts go as UTF-8, numbers as four octets."""

    def __init__(self) -> None:
        self.numbers = {"Class": 25, "Filter-Id": 11, "State": 24, "Proxy-State": 33}
        self.numbers |= {"EAP-Message": 79, "EAP-Key-Name": 102}

    def encode(self, name: str, value: str) -> tuple[int, bytes]:
        if name == "Prompt":
            return 76, int(value).to_bytes(4, "big")
        return self.numbers[name], value.encode()


def capturing_log() -> tuple[FilteringBoundLogger, LogCapture]:
    capture = LogCapture()
    log: FilteringBoundLogger = structlog.wrap_logger(
        None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return log, capture


def make_client(
    rule: Literal["require", "auto", "off", "optional"] = "auto",
    *,
    name: str = "vpn",
    networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128"),
    secrets: tuple[bytes, ...] = (SECRET,),
    timeout: float = 5.0,
    retries: int = 3,
    certificate: str | None = None,
    psk: tuple[str, bytes] | None = None,
    radsec_networks: tuple[str, ...] = (),
) -> Client:
    nas = Nas(name, Profile("generic"), timeout=timeout, retries=retries)
    return Client(
        nas,
        tuple(map(ip_network, networks)),
        secrets,
        rule,
        certificate,
        psk,
        tuple(map(ip_network, radsec_networks)),
    )


def tlv(number: int, value: bytes) -> bytes:
    return bytes((number, len(value) + 2)) + value


def assemble(attributes: bytes, *, code: int = 1, identifier: int = 7, salt: bytes = SALT) -> bytes:
    return bytes((code, identifier)) + (20 + len(attributes)).to_bytes(2, "big") + salt + attributes


def request(
    attributes: Attributes,
    *,
    code: int = 1,
    identifier: int = 7,
    salt: bytes = SALT,
    sign: bytes | None = SECRET,
    sign_at: int = 0,
) -> bytes:
    """A packet of these attributes, with a Message-Authenticator before number `sign_at` unless `sign` is None."""
    pieces = [tlv(number, value) for number, value in attributes]
    if sign is None:
        return assemble(b"".join(pieces), code=code, identifier=identifier, salt=salt)
    before, after = b"".join(pieces[:sign_at]), b"".join(pieces[sign_at:])
    zeroed = assemble(before + tlv(80, bytes(16)) + after, code=code, identifier=identifier, salt=salt)
    made = hmac.new(sign, zeroed, "md5").digest()
    return assemble(before + tlv(80, made) + after, code=code, identifier=identifier, salt=salt)


def hide(password: bytes, secret: bytes = SECRET, salt: bytes = SALT) -> bytes:
    """User-Password as RFC 2865 §5.2 spells it out, block by block."""
    padded = password + bytes(-len(password) % 16 or (0 if password else 16))
    hidden, last = b"", salt
    for at in range(0, len(padded), 16):
        pad = hashlib.md5(secret + last).digest()
        last = bytes(a ^ b for a, b in zip(padded[at : at + 16], pad, strict=True))
        hidden += last
    return hidden


def login(
    password: bytes = b"sesame",
    *extra: tuple[int, bytes],
    identifier: int = 7,
    salt: bytes = SALT,
    sign: bytes | None = SECRET,
    secret: bytes = SECRET,
) -> bytes:
    """An Access-Request of alice, whose password is hidden with `secret`."""
    attributes = [(1, b"alice"), (2, hide(password, secret, salt)), *extra]
    return request(attributes, identifier=identifier, salt=salt, sign=sign)


def login_over_tls(
    password: bytes = b"sesame",
    *extra: tuple[int, bytes],
    identifier: int = 7,
    salt: bytes = SALT,
    sign: bytes | None = RADSEC,
) -> bytes:
    """The same as RFC 6614 §2.3 has it."""
    return login(password, *extra, identifier=identifier, salt=salt, sign=sign, secret=RADSEC)
