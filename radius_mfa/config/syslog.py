"""Where audit events are sent to, as it is written."""

from __future__ import annotations

from dataclasses import dataclass

from radius_mfa.config import values
from radius_mfa.config.forms import Form, written

_LONGEST_PATH = 107  # octets, of a socket (unix(7))
_SAYS = "unix:/dev/log, udp://host:514 or tcp://host:514"


@dataclass(frozen=True, slots=True)
class Syslog:
    """`kind`: `unix`, with `path`; or `udp`, `tcp`, with `host` (a name or an address) and `port`."""

    kind: str
    path: str = ""
    host: str = ""
    port: int = 0


@written(Form(says=_SAYS, pattern="unix:/.+|(udp|tcp)://.+"))
def destination(text: str) -> Syslog:
    kind, _, path = text.partition(":")
    if kind == "unix" and path.startswith("/"):
        if len(path.encode()) > _LONGEST_PATH:
            raise ValueError(f"a socket has a path of at most {_LONGEST_PATH} octets")
        return Syslog(kind, path=path)
    if kind not in ("udp", "tcp"):
        raise ValueError(f"must be {_SAYS}, not {{it}}")
    server = values.server(kind)(text)
    try:
        server.host.encode("idna")  # as whoever looks it up will do
    except UnicodeError:
        raise ValueError("must have a host whose parts have 1 to 63 characters each, not {it}") from None
    return Syslog(kind, host=server.host, port=server.port)
