"""Debian's radclient (freeradius-utils): a RADIUS client that none of us wrote."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

_RECEIVED = re.compile(r"^Received (\S+) Id", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^\t(\S+) = (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Received:
    """What radclient printed of the reply; `code` is empty where there was none.

    `attributes` in packet order, values as radclient writes them, quotes removed.
    """

    code: str
    attributes: tuple[tuple[str, str], ...]
    output: str

    def first(self, name: str) -> str:
        """The first value of an attribute, empty where there is none."""
        return next((value for each, value in self.attributes if each == name), "")


def radclient(
    port: int, secret: str, *attributes: str, timeout: float = 5.0, retries: int = 1, host: str = "127.0.0.1"
) -> Received:
    """Send one Access-Request with these attributes, `Name = value` as in FreeRADIUS, and wait for the reply."""
    done = subprocess.run(
        ["radclient", "-x", "-t", str(timeout), "-r", str(retries), f"{host}:{port}", "auth", secret],
        input="\n".join(attributes).encode() + b"\n",
        capture_output=True,
        check=False,
    )
    output = done.stdout.decode(errors="surrogateescape") + done.stderr.decode(errors="surrogateescape")
    found = _RECEIVED.search(output)
    if not found:
        return Received("", (), output)
    attributes_ = tuple((name, value.strip('"')) for name, value in _ATTRIBUTE.findall(output[found.end() :]))
    return Received(found[1], attributes_, output)
