"""What a single value of the YAML may be, and what it becomes.

Values arrive as text.  A parser here takes that text and returns the value, or raises ValueError
with what is wrong in one line; `{it}` in that line stands for what was written, which only the
caller knows how to show.  Durations become seconds as floats.
"""

from __future__ import annotations

import hmac
import re
import stat
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from radius_mfa.config.forms import Form, Parser, form_of, written
from radius_mfa.core import usernames
from radius_mfa.core.addresses import readable_address, readable_domain

Network = IPv4Network | IPv6Network
Value = TypeVar("Value")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = "([0-9]{1,9})(ms|s|m|h|d)"
_MAPPED = IPv6Network("::ffff:0:0/96")
_PORTS = {"ldap": 389, "ldaps": 636, "smtp": 587, "smtps": 465, "udp": 514, "tcp": 514}
_LONGEST_DNS_NAME = 253  # octets, as text without the dot that ends it (RFC 1035 §3.1)
_LONGEST_LABEL = 63  # octets (RFC 1035 §2.3.4)
_DNS_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# What ends in a number is an address that was mistyped.
_DNS_NAME = re.compile(rf"(?:{_DNS_LABEL}\.)*(?![0-9]+\Z){_DNS_LABEL}", re.ASCII)
_ENDPOINT = r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([0-9.]+)):([0-9]{1,5})"
_ADDRESS = r"[0-9A-Fa-f:.]+(%\w+)?(/[0-9.]+)?"
_LDAP_ATTRIBUTE = r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+"
_HEX_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}){16,64}", re.ASCII)
# The parameters, salt and hash of PHC's string format; only version 19 is written today.
_ARGON2ID = re.compile(r"\$argon2id\$v=19\$m=\d{1,8},t=\d{1,4},p=\d{1,3}(\$[A-Za-z0-9+/]{11,128}){2}", re.ASCII)


class Secret:
    """A text that nobody is shown: `repr` and `str` are masked, `reveal` is for those who need it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen.  `host`: an IP address, without brackets.  `port`: 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Server(Endpoint):
    """A server to ask, by address or name.  `tls`: from the first octet on."""

    tls: bool


# --- numbers, text, durations -------------------------------------------------------------------


def text(shortest: int = 1, longest: int = 1024) -> Parser[object, str]:
    """A parser of printable text of so many octets of UTF-8."""

    @written(Form(longest=longest))
    def parse(value: object) -> str:
        found = _scalar(value)
        if not all(each.isprintable() or unicodedata.category(each) == "Zs" for each in found):
            raise ValueError("has control characters in it")
        if not shortest <= len(found.encode()) <= longest:
            raise ValueError(f"must have {shortest} to {longest} octets")
        return found

    return parse


def whole(least: int, most: int) -> Parser[object, int]:
    """A parser of whole numbers, in decimal digits and nothing else."""

    @written(Form(says=f"a whole number from {least} to {most}", numbers=(least, most)))
    def parse(value: object) -> int:
        digits = value if isinstance(value, str) else ""
        if re.fullmatch("[0-9]{1,9}", digits) is None or not least <= int(digits) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {{it}}")
        return int(digits)

    return parse


def duration(written: str) -> float:
    """Seconds of `500ms`, `5s`, `10m`, `24h` or `7d`."""
    found = re.fullmatch(_DURATION, written)
    if found is None:
        raise ValueError("must be a duration such as 500ms, 5s, 10m, 24h or 7d, not {it}")
    return int(found[1]) * _UNITS[found[2]]


def lasting(shortest: str, longest: str, *, or_not: bool = False) -> Parser[object, float]:
    """A parser of durations from `shortest` to `longest`.  `or_not`: 0s, which is not at all, is one too."""
    least, most = duration(shortest), duration(longest)
    besides = "0s, or " if or_not else ""
    says = f"{besides}a duration from {shortest} to {longest}: 500ms, 5s, 10m, 24h, 7d"

    @written(Form(says=says, pattern=_DURATION, duration=True))
    def parse(value: object) -> float:
        seconds = duration(value if isinstance(value, str) else "")
        if not least <= seconds <= most and not (or_not and seconds == 0):
            raise ValueError(f"must be {besides}from {shortest} to {longest}, not {{it}}")
        return seconds

    return parse


@written(Form(switch=True))
def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false, in small letters and without quotes, not {it}")
    return value


@written(Form(lone=True))
def listed(value: object) -> object:
    """A list; what stands alone is a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def parsed(parse: Callable[[str], Value]) -> Parser[object, Value]:
    """`parse`, told only texts."""
    return Parser(lambda value: parse(_scalar(value)), form_of(parse))


def secret(value: object) -> Secret:
    written = _scalar(value)
    if not written:
        raise ValueError("is empty")
    return Secret(written)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        raise ValueError("must be text; put quotes around {it}")
    if not isinstance(value, str):
        raise ValueError("must be a single value, not {it}")
    return value


# --- the network --------------------------------------------------------------------------------


@written(Form(says='an IP address and a port: 127.0.0.1:1812, "[::1]:1812"', pattern=_ENDPOINT))
def endpoint(written: str) -> Endpoint:
    """`127.0.0.1:1812`, `[::1]:1812`."""
    found = re.fullmatch(_ENDPOINT, written, re.ASCII)
    if found is None:
        raise ValueError('must be an IP address and a port, as 127.0.0.1:1812 or "[::1]:1812", not {it}')
    host = found[1] or found[2]
    try:
        right = ip_address(host).version == (6 if found[1] else 4)
    except ValueError:
        right = False
    if not right:
        raise ValueError("{it} does not hold an IP address")
    port = int(found[3])
    if port > 65535:
        raise ValueError("{it}: a port is a number up to 65535")
    return Endpoint(host, port)


@written(Form(says="an IP address or a prefix: 192.0.2.10, 192.0.2.0/24", pattern=_ADDRESS))
def network(written: str) -> Network:
    """An address, or a prefix with no bit set beyond it."""
    _one(written)
    try:
        found = ip_network(written)
    except ValueError:
        pass
    else:
        return _unmapped(found) if isinstance(found, IPv6Network) else found
    try:
        meant = ip_network(written, strict=False)
    except ValueError:
        raise ValueError("must be an IP address or a prefix such as 192.0.2.0/24, not {it}") from None
    raise ValueError(f"{{it}} has bits set beyond the prefix; write {meant}, or the address alone")


def _one(written: str) -> None:
    """What has a comma in it is several, and these are a list.  Raises ValueError."""
    if "," in written:
        raise ValueError('is several at once; write a list, each in quotes: ["…", "…"]')


def _unmapped(network: IPv6Network) -> Network:
    """The IPv4 prefix that an IPv4-mapped one means (RFC 4291 §2.5.5.2)."""
    if not network.subnet_of(_MAPPED):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - 96))


def _url(written: str, schemes: tuple[str, ...]) -> SplitResult:
    """A URL of server, port and path; secrets in it would be shown with it, so they are refused."""
    forms = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        url = urlsplit(written)
        port = url.port
    except ValueError:
        raise ValueError(f"must be a URL, {forms}host:port") from None
    if url.scheme not in schemes or not url.hostname:
        raise ValueError(f"must be a URL that begins with {forms} and a host")
    if "@" in url.netloc:
        raise ValueError("must have no user name or password in the URL; they have keys of their own")
    if not url.hostname.isascii():
        raise ValueError(f"must have the host in its ASCII form{_in_ascii(url.hostname)}")
    if port == 0 or not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", url.hostname):
        raise ValueError(f"must be a URL, {forms}host:port")
    if not all(1 <= len(label) <= _LONGEST_LABEL for label in url.hostname.removesuffix(".").split(".")):
        raise ValueError(f"must have a host name, with 1 to {_LONGEST_LABEL} characters between its dots")
    return url


def _in_ascii(host: str) -> str:
    """Which form that is, as far as it is sure: of some letters IDNA 2003, which this is, and 2008 differ."""
    try:
        octets = host.encode("idna")
        same = octets.decode("idna") == host
    except UnicodeError:
        same = False
    return f": {octets.decode()}" if same else " (xn--…)"


def server(*schemes: str) -> Parser[str, Server]:
    """A parser of `scheme://host:port`, the port having a default; the first scheme is the plain one."""
    says = " or ".join(f"{scheme}://host:port" for scheme in schemes)
    either = "|".join(f"{each}|{each.upper()}" for each in schemes)

    @written(Form(says=says, pattern=f"({either})://.+"))
    def parse(written: str) -> Server:
        _one(written)
        url = _url(written, schemes)
        if url.path not in ("", "/") or url.query or url.fragment:
            raise ValueError("must end after host and port; nothing else of the URL is read")
        return Server(url.hostname or "", url.port or _PORTS[url.scheme], url.scheme != schemes[0])

    return parse


@written(Form(says="keep, strip, or what each realm becomes", words=("keep", "strip"), texts=True))
def realms(value: object) -> Mapping[str, str] | None:
    """`keep`: None; `strip`: every realm becomes nothing; else what each realm becomes, by its folded name."""
    if isinstance(value, dict) and value:
        become = {usernames.fold(realm): text(0, 253)(becomes) for realm, becomes in value.items()}
        if len(become) < len(value):
            raise ValueError("has one realm twice (upper and lower case are the same)")
        if any(set(each) & set("@\\") for each in (*become, *become.values())):
            raise ValueError("a realm has neither @ nor \\ in it")  # not shown: a secret, by mistake
        return become
    if value not in ("keep", "strip"):
        raise ValueError("must be keep, strip, or a mapping of realms to what each becomes, not {it}")
    return {usernames.ANY: ""} if value == "strip" else None


@written(Form(says="a DNS name or an IP address", pattern=r"[A-Za-z0-9_.:-]+"))
def certificate_name(written: str) -> str:
    """The exact name of a certificate (RFC 6125 §6.4.1): of DNS, in lower case, or an IP address."""
    if "*" in written:
        raise ValueError("must be one exact name; * would let in whoever has any of them, not {it}")
    try:
        address = ip_address(written)
    except ValueError:
        name = written.lower() if written.isascii() else ""
        if len(name) <= _LONGEST_DNS_NAME and _DNS_NAME.fullmatch(name):
            return name
    else:
        if "%" not in written:  # a zone is this machine's own affair
            return str(address)
    raise ValueError("must be a DNS name (in its xn-- form, no dot at the end) or an IP address, not {it}")


@written(Form(says="the URL of a page", pattern="[A-Za-z]+://.+"))
def web_address(written: str) -> str:
    """The URL of a page for people: https, or http on this machine."""
    url = _url(written, ("https", "http"))
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ValueError("must begin with https://, since passwords are typed there")
    return written


@written(Form(says="https:// and the host, without a path", pattern="[A-Za-z]+://[^/?#]+/?"))
def site(written: str) -> str:
    """Scheme, host and port of such a URL that has no path, as browsers write them: `https://mfa.example.org`."""
    url = _url(web_address(written), ("https", "http"))
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("must end after host and port; it cannot be below another site's path")
    host, port = url.hostname or "", url.port
    host = f"[{host}]" if ":" in host else host
    usual = 443 if url.scheme == "https" else 80
    return f"{url.scheme}://{host}" if port in (None, usual) else f"{url.scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


@written(Form(says="an e-mail address", pattern=".+@.+"))
def mail_address(written: str) -> str:
    address = readable_address(written)
    if address is None:
        raise ValueError("must be an e-mail address, as mfa@example.org, not {it}")
    return address


def mail_domain(written: str) -> str:
    domain = readable_domain(written)
    if domain is None:
        raise ValueError("must be a domain such as example.org, not {it}")
    return domain


# --- files --------------------------------------------------------------------------------------


def path(written: str) -> Path:
    if not written or not written.isprintable():
        raise ValueError("must be the path of a file")
    return Path(written)


def readable_file(file: Path) -> Path:
    """`file` if it is there and we may read it."""
    try:
        mode = file.stat().st_mode
        if stat.S_ISREG(mode):
            file.open("rb").close()
            return file
    except OSError as broken:
        raise ValueError(f"{{it}} cannot be read: {broken.strerror}") from None
    raise ValueError("{it} is not a file")


def private_file(file: Path) -> Path:
    """`file` if nobody else on this machine may read it."""
    if readable_file(file).stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ValueError("{it} is open to everyone on this machine; chmod o= it")
    return file


# --- the rest -----------------------------------------------------------------------------------


def argon2id(secret: Secret) -> Secret:
    """A hash as argon2 writes it; a password in clear is never taken for one."""
    if _ARGON2ID.fullmatch(secret.reveal()) is None:
        raise ValueError("must be an argon2id hash, $argon2id$v=19$m=…,t=…,p=…$salt$hash, in quotes")
    return secret


def psk_key(secret: Secret) -> Secret:
    """A key in hex digits: as long as cannot be guessed, and as everybody can take (RFC 4279 §5.3)."""
    if _HEX_KEY.fullmatch(secret.reveal()) is None:
        raise ValueError("must be hex digits, two for each of 16 to 64 octets")
    return secret


@written(Form(says="the name of an LDAP attribute", pattern=_LDAP_ATTRIBUTE))
def attribute_name(written: str) -> str:
    """An LDAP attribute, by its name or number (RFC 4512 §2.5)."""
    if not re.fullmatch(_LDAP_ATTRIBUTE, written):
        raise ValueError("must be the name of an LDAP attribute, not {it}")
    return written
