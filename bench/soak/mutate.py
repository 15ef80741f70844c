"""Packets of every kind, valid and spoilt: what is sent at the server, drawn from a seed.

Two sorts of spoiling matter.  Octets changed after the packet was signed test the wire.  Attributes changed
*before* it is signed, with the right secret, get past the wire, and test everything behind it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from bench.soak.octets import EAP_MESSAGE, PROXY_STATE, SIGNATURE, STATE
from bench.soak.oracle import PERIOD, Account, Client, Issued, Oracle
from bench.soak.site import CLIENTS, HOSTS, UNKNOWN
from bench.soak.spoil import ATTRIBUTES, OCTETS, Draft

_SPOILT = 0.72  # of all packets
_RESIGNED = 0.6  # of those spoilt by attributes
_AGAIN = 0.04  # an earlier datagram once more
_KEPT = 64  # earlier ones to choose from
_PORTS = 20_000  # sources come again only when no reply is awaited there any more

_ODD_TEXTS = (
    b"", b"\0" * 16, b"a\0b", b"\xff\xfe\xfd", b"\x01\x02\x1b[2J", "１２３４５６".encode(), b"123 456",
    b"12-34-56", b"mail", b"MAIL", b"mail trust", b"123456 trust", b",", b",,,,", b",123456", b"x" * 128,
    b"%s%n{0}", b"' OR 1=1 --", b"*)(uid=*", "\u202e\u200b\ufeff".encode(), "𝟙𝟚𝟛𝟜𝟝𝟞".encode(), "é".encode() * 64,
    b"\r\n\r\n",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Datagram:
    """What is sent: `kind` of packet, what was done to it, where it comes from."""

    kind: str
    host: str
    port: int
    octets: bytes = field(repr=False)


class Craft:
    """Makes datagrams; the States in them are those that the oracle has seen given out."""

    def __init__(self, random: Random, oracle: Oracle, accounts: Sequence[Account]) -> None:
        self._random = random
        self._oracle = oracle
        self._accounts = accounts
        self._earlier: list[Datagram] = []
        self._port = 0

    def burst(self) -> list[Datagram]:
        """Datagrams to be sent at once: mostly one; else different answers to one State, or the same one."""
        if self._random.random() > 0.02 or not (issued := self._issued(open_=True)):
            return [self.datagram()]
        drafts = [self._later("burst", issued, self._answer(issued.account)) for _ in range(6)]
        return [self._datagram(each) for each in [*drafts, replace(drafts[0], identifier=self._octet())]]

    def datagram(self) -> Datagram:
        """The next one."""
        if self._earlier and self._random.random() < _AGAIN:
            again = self._random.choice(self._earlier)
            port = again.port if self._random.random() < 0.6 else self._next_port()
            again = replace(again, kind="again", port=port)
            return self._spoilt(again) if self._random.random() < 0.3 else again
        if self._random.random() < 0.02:
            return self._noise()
        draft = self._random.choices(_KINDS, _WEIGHTS)[0](self)
        if self._random.random() > _SPOILT:
            return self._datagram(draft)
        if self._random.random() < 0.4:
            return self._spoilt(self._datagram(draft))
        how = "re-signed"
        if self._random.random() > _RESIGNED:
            how = "changed once signed"
            draft.sign()
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            self._random.choice(ATTRIBUTES)(self._random, draft, self._other)
        draft.kind = f"{draft.kind}, {how}"
        return self._datagram(draft)

    # --- a draft --------------------------------------------------------------------------------------

    def draft(self, kind: str, attributes: Sequence[tuple[int, bytes]], client: Client | None = None) -> Draft:
        """A request of the usual attributes besides; signed unless its NAS may do without."""
        random = self._random
        client = client or random.choice(CLIENTS)
        host = random.choice(HOSTS[client.name])
        made = Draft(kind, client, host, random.choice(client.secrets), [], 1, self._octet(), random.randbytes(16))
        found: list[tuple[int, bytes | None]] = list(attributes)
        if random.random() < 0.8:
            found += [(4, b"\x7f\0\0\1"), (32, b"nas"), (31, b"02-00-5E-%02X" % self._octet())]
        proxied = random.random() < 0.15
        if proxied:
            found += [(PROXY_STATE, random.randbytes(random.randrange(20))) for _ in range(random.randint(1, 3))]
        unsigned = client.rule != "require" and not proxied and random.random() < 0.5
        if client.rule == "auto" and len(HOSTS[client.name]) > 1:
            unsigned = int(host.rpartition(".")[2]) % 4 > 0 and not proxied
        if unsigned:
            made.secret = client.secrets[0]
        else:
            found.insert(0 if random.random() < 0.7 else random.randrange(len(found) + 1), (SIGNATURE, None))
        made.attributes = found
        return made

    def login(self, kind: str, name: bytes, password: bytes, client: Client | None = None, *more: bytes) -> Draft:
        """With User-Name and User-Password, `more` being States."""
        draft = self.draft(kind, [(1, name), (2, b""), *((STATE, state) for state in more)], client)
        draft.retype(password)
        return draft

    def _later(self, kind: str, issued: Issued, answer: str) -> Draft:
        draft = self.login(kind, issued.name, answer.encode(), issued.client, issued.state)
        draft.host = issued.host
        return draft

    def _first(self) -> Draft:
        account = self._account()
        client = self._random.choice([each for each in CLIENTS if each.suffix is None])
        name = account.name
        if self._random.random() < 0.2:
            name = self._random.choice([name.upper(), f" {name} ", f"DOM\\{name}"])
        return self.login("password", name.encode(), account.password.encode(), client)

    def _wrong_password(self) -> Draft:
        account = self._account()
        wrong = self._random.choice([account.password + "x", "", f"guess{self._octet()}", account.password[:-1]])
        return self.login("wrong password", account.name.encode(), wrong.encode())

    def _unknown_user(self) -> Draft:
        name = self._random.choice([b"nobody", b"", b"u9999", b"root\0", b"\xff\xfe", b"u1@example.org"])
        return self.login("unknown user", name, b"whatever")

    def _answered(self) -> Draft:
        issued = self._issued(open_=True)
        return self._later("answer", issued, self._answer(issued.account)) if issued else self._first()

    def _used(self) -> Draft:
        issued = self._issued(open_=False)
        return self._later("used State", issued, self._answer(issued.account)) if issued else self._first()

    def _foreign_user(self) -> Draft:
        issued = self._issued(open_=True)
        if issued is None:
            return self._first()
        other = self._account()
        answer = self._answer(self._random.choice([issued.account, other]))
        return self.login(
            "State of another user", other.name.encode(), answer.encode(), issued.client, issued.state
        )

    def _foreign_client(self) -> Draft:
        issued = self._issued(open_=True)
        if issued is None:
            return self._first()
        answer = self._answer(issued.account).encode()
        return self.login("State of another client", issued.name, answer, None, issued.state)

    def _one_field(self) -> Draft:
        client = self._random.choice([each for each in CLIENTS if each.suffix is not None])
        account = self._account()
        password = account.password if self._random.random() < 0.8 else "wrong"
        separator = "," if client.suffix == "," or self._random.random() < 0.2 else ""
        answer = self._answer(account)
        if self._random.random() < 0.25:
            account = next((each for each in self._random.sample(self._accounts, 12) if each.used), account)
            password, answer = account.password, self._used_code(account)
        typed = f"{password}{separator}{answer}"
        return self.login("one field", account.name.encode(), typed.encode(), client)

    def _odd_password(self) -> Draft:
        text = self._random.choice([*_ODD_TEXTS, self._random.randbytes(self._random.randrange(130))])
        issued = self._issued(open_=True)
        if issued is not None and self._random.random() < 0.4:
            return self.login("odd answer", issued.name, text, issued.client, issued.state)
        return self.login("odd password", self._account().name.encode(), text)

    def _other_method(self) -> Draft:
        kind, number, value = self._random.choice(
            [
                ("CHAP", 3, self._random.randbytes(17)),
                ("MS-CHAP", 26, b"\0\0\x01\x37\x01\x34" + self._random.randbytes(50)),
                ("MS-CHAP", 26, b"\0\0\x01\x37\x19\x34" + self._random.randbytes(50)),
                ("EAP", EAP_MESSAGE, b"\x02\x01\x00\x09\x01u%03d" % self._octet()),
                ("EAP, long", EAP_MESSAGE, b"\x02\x01\x05\x78\x15\0" + self._random.randbytes(1394)),
                ("EAP-Start", EAP_MESSAGE, b""),  # RFC 3579 §2.1
                ("ARAP", 70, self._random.randbytes(16)),
            ]
        )
        pieces = [(number, value[at : at + 253]) for at in range(0, len(value) or 1, 253)]
        return self.draft(kind, [(1, self._account().name.encode()), *pieces])

    def _status(self) -> Draft:
        draft = self.draft("Status-Server", [])
        draft.code = 12
        return draft

    def _other_code(self) -> Draft:
        kind, code = self._random.choice([("accounting", 4), ("CoA", 43), ("disconnect", 40), ("reply", 2)])
        draft = self.draft(kind, [(1, self._account().name.encode()), (40, b"\0\0\0\1"), (44, b"session")])
        draft.code = code
        if code != 2:  # RFC 2866 §3: the Authenticator is a signature here
            draft.authenticator = bytes(16)
            draft.authenticator = hashlib.md5(draft.octets() + draft.secret).digest()
        return draft

    def _stranger(self) -> Draft:
        draft = self._first()
        draft.kind, draft.host = "unknown source", self._random.choice(UNKNOWN)
        return draft

    def _other(self) -> Draft:
        """Another packet, to splice from: every attribute of it is one that was really there."""
        other = self._random.choice([self._first, self._answered, self._used, self._other_method])()
        other.sign()
        return other

    # --- what goes into it ----------------------------------------------------------------------------

    def _answer(self, account: Account) -> str:
        """What may be typed at a challenge: a right code more often than not."""
        random, step = self._random, int(time.time()) // PERIOD
        unused = sorted(code for code in account.codes if code not in account.used)
        match random.randrange(10):
            case 0 | 1 | 2 | 3:
                fresh = [each for each in (step - 1, step, step + 1) if each > account.last_step(time.time())]
                return account.code(fresh[0] if fresh else step)
            case 4 | 5 if unused:
                return random.choice(unused)
            case 6:
                return self._used_code(account)
            case 7:
                return random.choice(["mail", "ｍａｉｌ", "help", "", "trust"])
            case 8:
                return account.code(step + random.choice([-6, -3, -2, 2, 3, 6]))
        return random.choice(["%06d", "%08d"]) % random.randrange(1_000_000)

    def _used_code(self, account: Account) -> str:
        used = self._random.choice([*account.used, int(time.time()) // PERIOD])
        return used if isinstance(used, str) else account.code(used)

    def _issued(self, *, open_: bool) -> Issued | None:
        """A State that was given out, and as far as is known not answered; or one that was."""
        recent = self._oracle.recent
        for _ in range(8 if recent else 0):
            issued = recent[self._random.randrange(len(recent))]
            if (issued.spent_by is None) is open_:
                return issued
        return None

    def _account(self) -> Account:
        return self._random.choice(self._accounts)

    def _octet(self) -> int:
        return self._random.randrange(256)

    # --- what goes out --------------------------------------------------------------------------------

    def _noise(self) -> Datagram:
        octets = bytearray(self._random.randbytes(self._random.choice([0, 1, 19, 20, 40, 400, 4096, 5000])))
        if self._random.random() < 0.5 and len(octets) >= 20:
            octets[0], octets[2:4] = 1, min(len(octets), 65535).to_bytes(2, "big")
        client = self._random.choice(CLIENTS)
        return Datagram("noise", self._random.choice(HOSTS[client.name]), self._next_port(), bytes(octets))

    def _datagram(self, draft: Draft) -> Datagram:
        made = Datagram(draft.kind, draft.host, self._next_port(), draft.octets())
        if len(self._earlier) < _KEPT:
            self._earlier.append(made)
        else:
            self._earlier[self._random.randrange(_KEPT)] = made
        return made

    def _spoilt(self, datagram: Datagram) -> Datagram:
        octets = bytearray(datagram.octets)
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            self._random.choice(OCTETS)(self._random, octets)
        return replace(datagram, kind=f"{datagram.kind}, octets", octets=bytes(octets))

    def _next_port(self) -> int:
        """Another one, mostly: a NAS may use the one it has for the next request too."""
        self._port = (self._port + (self._random.random() > 0.04)) % _PORTS
        return 1024 + self._port


_KINDS: tuple[Callable[[Craft], Draft], ...] = (
    Craft._first, Craft._answered, Craft._one_field, Craft._wrong_password, Craft._unknown_user, Craft._used,
    Craft._foreign_user, Craft._foreign_client, Craft._odd_password, Craft._other_method, Craft._status,
    Craft._other_code, Craft._stranger,
)  # fmt: skip
_WEIGHTS = (18, 18, 10, 6, 4, 5, 5, 5, 8, 8, 5, 4, 2)
