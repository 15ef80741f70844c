"""What may be typed in answer to a question of `radius-mfa init`.

Each of these gives back what is kept of a text, or raises ValueError with what is wrong in a line; `{it}` in that
stands for what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from radius_mfa.config import values
from radius_mfa.config.check_groups import is_dn
from radius_mfa.config.profiles import GATEWAYS, GENERIC, Gateway

Taken = Callable[[str], str]

HERE = "here"  # the client that `radius-mfa login` on this machine is
_MOST_NAMED = 5  # gateways in one line
_LONGEST_NUMBER = 4  # digits of a group's
_YES, _NO = ("y", "yes", "true"), ("n", "no", "false")
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}", re.ASCII)


def valid(parse: Callable[[str], object]) -> Taken:
    """Kept as it was typed, if `parse` takes it."""

    def checked(typed: str) -> str:
        text = typed.strip()
        parse(text)
        return text

    return checked


def or_none(parse: Taken) -> Taken:
    """The same, or nothing at all."""
    return lambda typed: parse(typed) if typed.strip() else ""


def text(shortest: int = 1, longest: int = 1024) -> Taken:
    """Printable text; one that the YAML would take for a variable is refused."""
    printable = values.text(shortest, longest)

    def parse(text: str) -> str:
        if text.startswith("${"):
            raise ValueError("would be taken for a variable of the environment")
        return printable(text)

    return valid(parse)


def secret(text: str) -> str:
    """As typed, spaces and all."""
    return values.text(1, 1024)(text)


def yes_or_no(typed: str) -> str:
    text = typed.strip().casefold()
    if text not in (*_YES, *_NO):
        raise ValueError("must be yes or no, not {it}")
    return "true" if text in _YES else "false"


def listed(text: str) -> list[str]:
    """What stands between commas and spaces."""
    return [each for each in re.split(r"[,\s]+", text) if each]


def list_of(parse: Callable[[str], object]) -> Taken:
    """Several, of which no two are the same, however they are written."""

    def checked(typed: str) -> str:
        several = listed(typed)
        if not several:
            raise ValueError("is empty")
        taken: list[object] = []
        for each in several:
            meant = parse(each)
            if meant in taken:
                raise ValueError(f"has {each} twice")
            taken.append(meant)
        return ", ".join(several)

    return checked


def file(typed: str) -> str:
    """The whole path of a file that we may read."""
    return str(values.readable_file(values.path(typed.strip()).expanduser().absolute()))


def path(typed: str) -> str:
    return str(values.path(typed.strip()).expanduser().absolute())


def dn(typed: str) -> str:
    text = typed.strip()
    if not is_dn(text):
        raise ValueError("{it} is no DN, as dc=example,dc=org")
    return text


def listener(typed: str) -> str:
    """Where to listen; at a port that a gateway can be told."""
    text = typed.strip()
    if values.endpoint(text).port == 0:
        raise ValueError("must have a port of its own, as 0.0.0.0:1812: the gateway has to know it")
    return text


def client_name(typed: str) -> str:
    """One that a file can have, too: its secret's."""
    name = typed.strip()
    if not _FILE_NAME.fullmatch(name):
        raise ValueError("must have letters, digits, -, _ and . only, 32 at most, not {it}")
    if name == HERE:
        raise ValueError("{it} is what this machine is called; take another")
    return name


def numbered(groups: Sequence[str]) -> Taken:
    """A group by its number among these, from 1 on, or by its DN; or none."""

    def parse(typed: str) -> str:
        text = typed.strip()
        if text.isdecimal() and len(text) < _LONGEST_NUMBER:
            if not 1 <= int(text) <= len(groups):
                raise ValueError("{it} is the number of no group that was shown")
            return groups[int(text) - 1]
        if text and not is_dn(text):
            raise ValueError("{it} is no DN, as cn=staff,ou=groups,dc=example,dc=org")
        return text

    return parse


def number_or_dn(typed: str) -> str:
    """What may be one of groups that are not known yet."""
    return typed.strip() if typed.strip().isdecimal() else numbered(())(typed)


def profile(typed: str) -> str:
    """The profile of that name, or the only one whose name or maker has the text in it."""
    wanted = typed.strip().casefold()
    if wanted in GATEWAYS:
        return wanted
    found = [each for each in GATEWAYS.values() if wanted in f"{each.profile.name} {each.title}".casefold()]
    if len(found) == 1:
        return found[0].profile.name
    if not found:
        raise ValueError(f"there is none like {{it}}; take {GENERIC}, or one of {', '.join(GATEWAYS)}")
    more = ["…"] if len(found) > _MOST_NAMED else []
    raise ValueError(f"may be {', '.join([*map(_described, found[:_MOST_NAMED]), *more])}; type more of it")


def _described(gateway: Gateway) -> str:
    return f"{gateway.profile.name} ({gateway.title})"


def is_plain(servers: str) -> bool:
    """Whether one of the servers is spoken to in clear, until StartTLS."""
    return any(each.lower().startswith(("ldap://", "smtp://")) for each in listed(servers))
