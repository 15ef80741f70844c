"""FreeRADIUS's attribute lists, as its rlm_python3 gives and takes them: into a request, and out of a reply.

An attribute is a name and a text.  What no packet can bring stands in `control`, which rlm_python3 calls `config`:
values of OURS, each `name=text`, that FreeRADIUS's policy `radius_mfa` puts there (deploy/freeradius):

    client    the client's name, as the YAML has it
    source    the address and port that it has sent from
    asks      `status` where it only wants to know whether we are there, by Status-Server
    arrived   when, in seconds since 1970, and microseconds behind a dot
    outer     of what came through a tunnel alone: the User-Name outside of it
    accepted  put there by ourselves: which of the accepted logins this is
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from radius_mfa.core.messages import AccessRequest, Attribute, Nas, Reply, ReplyAttribute
from radius_mfa.core.record import record

OURS = "Tmp-String-9"
_PAUSE = "Tmp-String-8"  # seconds, as sleep(1) takes them, for which a refusal within a tunnel is to wait

Pair = tuple[str, str]
Lists = Mapping[str, tuple[Pair, ...] | None]
"""By name, with `pass_all_vps_dict`: `request`, `reply`, `config` and others; None for an empty one."""

Update = tuple[str, str, str]
Updates = dict[str, tuple[Update, ...]]
"""By the name of the list, what is to be put into it: name, operator, text (unlang(5))."""

# Of the packet, or of an EAP packet within a tunnel: nothing that a login is about.
_SET_ASIDE = frozenset({Attribute.USER_PASSWORD, Attribute.EAP_MESSAGE, Attribute.MESSAGE_AUTHENTICATOR})
# First of all, so that nothing a stranger has chosen comes before it (CVE-2024-3596); FreeRADIUS fills it in.
_SIGNED: Update = ("Message-Authenticator", ":=", "0x00")


class Given(Protocol):
    """An attribute of a policy as FreeRADIUS is given it."""

    @property
    def name(self) -> str: ...

    @property
    def text(self) -> str: ...


class Vocabulary(Protocol):
    """Between names and texts and the octets of a packet (`wire.pairs.Pairs`)."""

    def octets(self, name: str, text: str) -> tuple[int, bytes] | None: ...

    def given(self, attribute: ReplyAttribute) -> Given: ...

    def reply_messages(self, text: str) -> Sequence[Pair]: ...

    def missing(self, wanted: Sequence[Any], there: Sequence[Pair]) -> Iterator[str]: ...


@record(frozen=True, slots=True)
class Said:
    """What FreeRADIUS's policy says of a request.  `arrived`: wall seconds, 0 for not said.

    `outer`: None of what has come through no tunnel.
    """

    client: str = ""
    source: str = ""
    arrived: float = 0.0
    outer: bytes | None = field(default=None, repr=False)
    asks: str = ""
    accepted: str = ""

    @property
    def is_inner(self) -> bool:
        """Whether it has come through a tunnel that FreeRADIUS has ended."""
        return self.outer is not None

    def age(self, now: float) -> float:
        """Seconds since it has arrived, at `now` in wall seconds; 0 where that is not known."""
        return max(0.0, now - self.arrived) if self.arrived else 0.0

    @classmethod
    def of(cls, lists: Lists) -> Said:
        """What there is of it."""
        found = dict(text.split("=", 1) for name, text in lists["config"] or () if name == OURS and "=" in text)
        outer = found.get("outer")
        return cls(
            found.get("client", ""),
            found.get("source", ""),
            _seconds(found.get("arrived", "")),
            None if outer is None else outer.encode(),
            found.get("asks", ""),
            found.get("accepted", ""),
        )


def _seconds(text: str) -> float:
    whole, _, micro = text.partition(".")
    return int(whole) + int(micro) / 1e6 if whole.isdecimal() and micro.isdecimal() else 0.0


def request_of(
    nas: Nas, lists: Lists, said: Said, arrived: float, deadline: float, vocabulary: Vocabulary
) -> AccessRequest:
    """The Access-Request that is decided on.  `arrived`, `deadline`: monotonic seconds."""
    attributes, passwords = [], []
    for name, text in lists["request"] or ():
        if name == "User-Password":
            passwords.append(text.encode())
            continue
        attribute = vocabulary.octets(name, text)
        # Within a tunnel, State is of the EAP packet that it came in, and FreeRADIUS's own.
        if attribute is None or attribute[0] in _SET_ASIDE or (said.is_inner and attribute[0] == Attribute.STATE):
            continue
        attributes.append(attribute)
    password = passwords[0] if len(passwords) == 1 else None  # there is one at most (RFC 2865 §5.44)
    outer, source = said.outer, said.source
    return AccessRequest(nas, tuple(attributes), password, source, arrived, outer_name=outer, deadline=deadline)


def is_signed(lists: Lists) -> bool:
    """Whether the packet had a Message-Authenticator, which FreeRADIUS has verified then."""
    return any(name == "Message-Authenticator" for name, _ in lists["request"] or ())


def reply_of(reply: Reply, given: Sequence[Given], vocabulary: Vocabulary, *, signed: bool) -> tuple[Update, ...]:
    """What a reply carries; `given`: of its attributes.  `signed`: where it goes into a packet as it is."""
    found = [_SIGNED] if signed else []
    if reply.state is not None:
        found.append(("State", ":=", f"0x{reply.state.hex()}"))
    for message in reply.messages:
        found += [(name, "+=", text) for name, text in vocabulary.reply_messages(message)]
    seen: set[str] = set()
    for each in given:
        # Ours take the place of what other modules have put there; tagged ones stand beside each other.
        found.append((each.name, "+=" if each.name in seen or ":" in each.name else ":=", each.text))
        seen.add(each.name)
    return tuple(found)


def pausing(seconds: float) -> Update:
    """How long a refusal within a tunnel is to wait."""
    return _PAUSE, ":=", f"{seconds:.6f}"


def because(of: str) -> Update:
    """Why somebody is refused, for FreeRADIUS's own line of the log (`log { auth = yes }`)."""
    return "Module-Failure-Message", "+=", f"radius_mfa: {of}"
