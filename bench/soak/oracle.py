"""What must become of a datagram, judged once more and from the outside.

Written from RFC 2865, 3579, 5080 and 5997 and from what the server promises, and with none of its code, so that
the two cannot be wrong together.  It knows the clients and the accounts, and otherwise only what has been
on the wire.  Three questions:

- must these octets be met with silence (`Oracle.read`);
- is this reply one that may be sent at all, whatever it says (`form.form_fault`);
- can what it says be right (`Oracle.fault`): an Access-Accept only to Status-Server, or for a password and a
  code that are known here to be right for that user now, and not used before; an Access-Challenge only after a
  right password, or in answer to a State that is still open.

It takes some refusals for right that are not: it looks for who is let in wrongly, not for who is kept out.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from bench.soak.octets import EAP_MESSAGE, PROXY_STATE, SIGNATURE, STATE, Attributes, attributes_of, is_signed

Network = IPv4Network | IPv6Network

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE, STATUS_SERVER = 1, 2, 3, 11, 12
_SESSION = frozenset({5, 31, 44, 87})  # RFC 2865 §5.5, §5.31, RFC 2866 §5.5, RFC 2869 §5.17
_NOT_SAID = frozenset({2, PROXY_STATE, 55, SIGNATURE})  # differs from one sending of a login to the next
_MOST_ATTRIBUTES = 200

PERIOD = 30
STATE_LIFETIME = 300.0
_REMEMBERED = 30.0  # seconds, RFC 5080 §2.2.2
_SLACK = 2.0  # seconds that a loaded machine may take to decide
_RECENT = 400


class Silence(StrEnum):
    """Why octets must not be answered."""

    UNKNOWN_SOURCE = "unknown source"
    MALFORMED = "malformed"
    CODE = "code not served"
    SIGNATURE_WRONG = "Message-Authenticator wrong"
    SIGNATURE_MISSING = "Message-Authenticator missing"
    EAP_WITH_PASSWORD = "EAP-Message with a password"
    NO_CREDENTIAL = "no credential"


@dataclass(frozen=True, slots=True)
class Client:
    """A NAS as its administrator knows it.  `suffix`: its profile's; `window`: seconds in which it asks again."""

    name: str
    networks: tuple[Network, ...]
    secrets: tuple[bytes, ...]
    rule: Literal["require", "auto", "off"]
    suffix: str | int | None = None
    window: float = 2.1


@dataclass(slots=True)
class Account:
    """Somebody who can log in, with all that they carry.

    `codes`: mailed and recovery codes, without what stands between; `used`: of them, and steps of TOTP, with when.
    `lengths`: of the codes that they can have, by which a code is told from something else.
    `reach`: steps from now that a code may be for; it grows where the server may have learnt of a clock.
    """

    name: str
    password: str
    seed: bytes = b""
    codes: set[str] = field(default_factory=set)
    used: dict[str | int, float] = field(default_factory=dict)
    lengths: set[int] = field(default_factory=lambda: {6})
    reach: int = 1

    def last_step(self, before: float) -> int:
        """The newest step whose code had been accepted by then."""
        return max((step for step, at in self.used.items() if isinstance(step, int) and at < before), default=0)

    def code(self, step: int) -> str:
        """What the authenticator app shows (RFC 6238 §4, RFC 4226 §5.3)."""
        digest = hmac.digest(self.seed, step.to_bytes(8, "big"), "sha1")
        at = digest[19] & 15
        return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


@dataclass(frozen=True, slots=True)
class Question:
    """A request that may be answered.  `password`: recovered from User-Password, None where that cannot be."""

    client: Client
    host: str
    secret: bytes
    code: int
    identifier: int
    authenticator: bytes
    attributes: Attributes
    password: bytes | None

    def first(self, number: int) -> bytes:
        return next((value for each, value in self.attributes if each == number), b"")

    @property
    def text(self) -> str | None:
        """The password as somebody can have typed it."""
        named = (_readable(self.first(1)) or "").strip()
        return _readable(self.password) if self.password is not None and named else None


@dataclass(slots=True, eq=False)
class Issued:
    """A State that was given out.

    `spent_by`: the login that answered it, None as long as none did; `spent_at`: when that was known.
    `led_on`: the login that got an Access-Accept or an Access-Challenge for it.
    """

    state: bytes = field(repr=False)
    client: Client
    host: str
    name: bytes
    account: Account
    at: float
    spent_by: object = None
    spent_at: float = 0.0
    led_on: object = None

    def is_spent(self, login: object, arrived: float) -> bool:
        """Whether another login has used it up, surely before a packet that arrived then; or was led on by it."""
        if self.led_on is not None:
            return self.led_on != login
        return self.spent_by not in (None, login) and self.spent_at <= arrived


class Oracle:
    """Over one server, from its start on.  Times are wall seconds."""

    def __init__(self, clients: Iterable[Client], accounts: Iterable[Account]) -> None:
        self._networks = sorted(
            ((network, client) for client in clients for network in client.networks),
            key=lambda each: -each[0].prefixlen,
        )
        self._accounts = {_folded(account.name): account for account in accounts}
        self._signers: set[tuple[str, str]] = set()
        self._issued: dict[bytes, Issued] = {}
        self._accepted: dict[object, float] = {}
        self._answered: dict[object, tuple[bytes, float]] = {}
        self._asked: dict[object, object] = {}
        self.recent: deque[Issued] = deque(maxlen=_RECENT)

    # --- silence ------------------------------------------------------------------------------------

    def read(self, octets: bytes, host: str) -> Question | Silence:
        """What may be answered, or why it may not.  To be asked in the order in which the server is."""
        client = self._client(host)
        if client is None:
            return Silence.UNKNOWN_SOURCE
        attributes = attributes_of(octets)
        if attributes is None or len(attributes) > _MOST_ATTRIBUTES:
            return Silence.MALFORMED
        if octets[0] not in (ACCESS_REQUEST, STATUS_SERVER):
            return Silence.CODE
        kinds = {number for number, _ in attributes}
        secret = client.secrets[0]
        if SIGNATURE in kinds:
            found = [each for each in client.secrets if is_signed(octets, each)]
            if not found:
                return Silence.SIGNATURE_WRONG
            secret = found[0]
        elif silence := self._unsigned(octets[0], client, host, attributes):
            return silence
        if EAP_MESSAGE in kinds and kinds & {2, 3}:  # RFC 3579 §3.3
            return Silence.EAP_WITH_PASSWORD
        # RFC 3579 §3.2, RFC 5997 §3: these must carry one, and say nothing of who does otherwise.
        if SIGNATURE in kinds and octets[0] == ACCESS_REQUEST and EAP_MESSAGE not in kinds and _asks(attributes):
            self._signers.add((client.name, host))
        password = _password([v for n, v in attributes if n == 2], secret, octets[4:20])
        return Question(client, host, secret, octets[0], octets[1], octets[4:20], attributes, password)

    def _unsigned(self, code: int, client: Client, host: str, attributes: Attributes) -> Silence | None:
        kinds = {number for number, _ in attributes}
        known = client.rule == "auto" and (client.name, host) in self._signers
        if client.rule == "require" or known or code == STATUS_SERVER or kinds & {EAP_MESSAGE, PROXY_STATE}:
            return Silence.SIGNATURE_MISSING
        return None if _asks(attributes) else Silence.NO_CREDENTIAL

    def _client(self, host: str) -> Client | None:
        address = ip_address(host)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return next((client for network, client in self._networks if address in network), None)

    # --- what a reply says ----------------------------------------------------------------------------

    def fault(self, asked: Question, port: int, reply: bytes, arrived: float, now: float) -> str:
        """What is wrong with saying this in answer to that request, "" for nothing; well-formed it is already."""
        packet = asked.host, port, asked.identifier, asked.authenticator
        before = self._answered.get(packet)
        if before and before[0] == reply and now - before[1] < _REMEMBERED + _SLACK:
            return ""  # RFC 5080 §2.2.2: the same request, the same octets
        self._answered[packet] = reply, now
        if asked.code == STATUS_SERVER:
            plain = {number for number, _ in attributes_of(reply) or ()} <= {SIGNATURE, PROXY_STATE}
            return "" if reply[0] == ACCESS_ACCEPT and plain else "to Status-Server"
        if reply[0] == ACCESS_REJECT:
            self._spend(asked, now)
            return ""
        judge = self._accept if reply[0] == ACCESS_ACCEPT else self._challenge
        wrong = judge(asked, reply, arrived, now)
        issued = self._state(asked, now)
        if isinstance(issued, Issued) and not wrong:
            issued.led_on = self._login(asked)
        self._spend(asked, now)
        return wrong

    def decided(self, asked: Question, port: int, now: float) -> None:
        """That request was decided, whatever is replied; of several with one Request Authenticator the first."""
        packet = asked.host, port, asked.identifier, asked.authenticator
        if self._asked.setdefault(packet, self._login(asked)) == self._login(asked):
            self._spend(asked, now)

    def _spend(self, asked: Question, now: float) -> None:
        """The State in it, if anybody may have typed its answer, is used up; a Status-Server is no answer."""
        issued = self._state(asked, now)
        answered = asked.code == ACCESS_REQUEST and asked.text is not None
        if isinstance(issued, Issued) and answered and issued.spent_by is None:
            issued.spent_by, issued.spent_at = self._login(asked), now

    def account_of(self, name: bytes) -> Account | None:
        """Whose name that is, in any spelling, and as `REALM\\user` too."""
        text = _readable(name)
        if text is None:
            return None
        found = unicodedata.normalize("NFKC", text)
        return self._accounts.get(_folded(found.rpartition("\\")[2] if found.count("\\") == 1 else found))

    def _challenge(self, asked: Question, reply: bytes, arrived: float, now: float) -> str:
        if asked.client.suffix is not None:
            return "Access-Challenge where the code comes with the password"
        issued = self._state(asked, now)
        account = self.account_of(asked.first(1))
        if isinstance(issued, str):
            return f"Access-Challenge to {issued}"
        if issued is None and (account is None or asked.text != account.password):
            return "Access-Challenge without the right password"
        if issued is not None:
            if issued.is_spent(self._login(asked), arrived):
                return "Access-Challenge to a State that was spent"
            account = issued.account
        states = [value for number, value in attributes_of(reply) or () if number == STATE]
        if len(states) != 1:
            return "Access-Challenge without one State"
        assert account is not None  # or there was no right password
        if states[0] not in self._issued:
            self._issued[states[0]] = Issued(states[0], asked.client, asked.host, asked.first(1), account, now)
            self.recent.append(self._issued[states[0]])
        return ""

    def _accept(self, asked: Question, _reply: bytes, arrived: float, now: float) -> str:
        login = self._login(asked)
        issued = self._state(asked, now)
        if isinstance(issued, str):
            return f"Access-Accept to {issued}"
        # The identical login again, while its NAS may still ask: one that says which session it is for.
        told_apart = issued is not None or any(number in _SESSION for number, _ in asked.attributes)
        if told_apart and now - self._accepted.get(login, 0.0) < asked.client.window + _SLACK:
            return ""
        if asked.text is None:
            return "Access-Accept to what nobody can have typed"
        if issued is not None:
            if issued.is_spent(login, arrived):
                return "Access-Accept to a State that was spent"
            account, answer = issued.account, asked.text
        else:
            found = self.account_of(asked.first(1))
            if found is None or asked.client.suffix is None or not asked.text.startswith(found.password):
                return "Access-Accept without the right password and a code"
            account, answer = found, asked.text.removeprefix(found.password)
            if not answer.startswith(",") and asked.client.suffix == ",":
                return "Access-Accept without a code"
            answer = answer.removeprefix(",")
        if not _use_up(account, _compact(answer), arrived, now):
            return "Access-Accept without a code that is right and unused"
        self._accepted[login] = now
        return ""

    def _login(self, asked: Question) -> object:
        """What makes two requests the same login, and their decision one (RFC 5080 §2.2.2).

        Of an answer that is no code of theirs only the form is kept anywhere: it may be a password.
        """
        said = tuple(each for each in asked.attributes if each[0] not in _NOT_SAID)
        issued = self._issued.get(asked.first(STATE))
        if issued is None or asked.text is None:
            return asked.client.name, said, asked.password
        return asked.client.name, said, _meant(asked.text, issued.account)

    def _state(self, asked: Question, now: float) -> Issued | str | None:
        """The State of the request as it was given to that client and user; else why it is none."""
        states = [value for number, value in asked.attributes if number == STATE]
        if not states:
            return None
        issued = self._issued.get(states[0])
        if len(states) > 1 or issued is None:
            return "a State that is none of ours"
        if now - issued.at > STATE_LIFETIME + _SLACK:
            return "a State that has expired"
        if issued.client.name != asked.client.name:
            return "a State of another client"
        return issued if issued.name == asked.first(1) else "a State of another user"


def _use_up(account: Account, code: str, arrived: float, now: float) -> bool:
    """Whether the code is right for that account now and was not used; it is from here on."""
    if code in account.codes and code not in account.used:
        account.used[code] = now
        return True
    first = int(arrived) // PERIOD - account.reach
    steps = range(int(now) // PERIOD + account.reach, max(first, account.last_step(arrived) + 1) - 1, -1)
    for step in steps:
        if step not in account.used and account.code(step) == code:
            account.used[step] = now
            account.reach += step != int(now) // PERIOD
            return True
    return False


def _readable(octets: bytes) -> str | None:
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return None
    return None if any(unicodedata.category(each) == "Cc" for each in text) else text


def _meant(text: str, account: Account) -> str:
    """A code of that account as it is meant, or what form anything else has."""
    code = _compact(text)
    trust = unicodedata.normalize("NFKC", text).strip().casefold().endswith(" trust")
    if code == "mail" and not trust:
        return "mail"
    letters = len(code) == 12 and code.isascii() and code.isalpha()
    if not letters and not (len(code) in (6, 8) and code.isascii() and code.isdigit()):
        return "no code"
    return f"{code} {trust}" if len(code) in account.lengths else "a code"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold().strip()


def _compact(answer: str) -> str:
    """A code as it is meant: full-width characters, spaces and hyphens are nothing."""
    plain = unicodedata.normalize("NFKC", answer).strip().casefold().removesuffix(" trust")
    return "".join(each for each in plain if unicodedata.category(each) not in ("Pd", "Zs"))


# --- octets ---------------------------------------------------------------------------------------


def _asks(attributes: Attributes) -> bool:
    """Whether there is anything by which somebody asks to be let in (RFC 2865 §4.1, RFC 2548, 2869, 5090)."""
    return any(
        number in (2, 3, 70, EAP_MESSAGE, 103)
        or (number == 26 and value[:4] == b"\x00\x00\x01\x37" and value[4:5] in (b"\x01", b"\x19"))
        for number, value in attributes
    )


def _password(hidden: Sequence[bytes], secret: bytes, authenticator: bytes) -> bytes | None:
    """RFC 2865 §5.2, block by block."""
    if len(hidden) != 1 or len(hidden[0]) not in range(16, 129, 16):
        return None
    plain, last = b"", authenticator
    for at in range(0, len(hidden[0]), 16):
        block = hidden[0][at : at + 16]
        plain += bytes(a ^ b for a, b in zip(block, hashlib.md5(secret + last).digest(), strict=True))
        last = block
    return plain.rstrip(b"\0")
