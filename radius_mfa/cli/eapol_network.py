"""What eapol_test is told of the network and the user: a wpa_supplicant configuration, in one private file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Method:
    """A tunnel, and what is asked within it, as wpa_supplicant.conf(5) names them.

    `asks`: whether what the user types is asked for over the control interface, text by text, as GTC does
    (RFC 3748 §5.6); else it goes into the configuration.
    """

    eap: str
    phase2: str
    phase1: str = ""
    asks: bool = True


METHODS = {
    "ttls-pap": Method("TTLS", "auth=PAP", asks=False),
    "ttls-gtc": Method("TTLS", "autheap=GTC"),
    "peap-gtc": Method("PEAP", "auth=GTC", "peapver=0"),
}


@dataclass(frozen=True, slots=True)
class Network:
    """A network as a user has set it up.

    `identity`: the inner name, not empty.  `password`: only where the method does not ask.  `outer_name`: what is
    said outside the tunnel; None: the inner name.  `ca`: absolute; None: whoever answers is believed.
    `phase1`: more of that option's flags.  `fragment`: octets of an EAP packet.
    """

    method: Method
    identity: str
    password: str | None = field(default=None, repr=False)
    outer_name: str | None = None
    ca: Path | None = None
    server_name: str | None = None
    phase1: tuple[str, ...] = ()
    fragment: int | None = None

    def configuration(self, control: Path) -> str:
        """The file's text.  `control`: the folder for the control interface, which eapol_test makes."""
        phase1 = " ".join(each for each in (self.method.phase1, *self.phase1) if each)
        strings = {
            "identity": self.identity,
            "password": self.password,
            "anonymous_identity": self.outer_name,
            "ca_cert": None if self.ca is None else str(self.ca),
            "domain_match": self.server_name,
            "phase1": phase1 or None,
            "phase2": self.method.phase2,
        }
        lines = [f"{name}={_string(value)}" for name, value in strings.items() if value is not None]
        if self.fragment is not None:
            lines.append(f"fragment_size={self.fragment}")
        network = ["key_mgmt=IEEE8021X", f"eap={self.method.eap}", *lines]
        inside = "".join(f"    {line}\n" for line in network)
        return f"ctrl_interface={control}\nfast_reauth=1\nnetwork={{\n{inside}}}\n"


def _string(value: str) -> str:
    """In hexadecimal, so that no quote or line feed ends it; nothing at all needs its quotes."""
    return value.encode(errors="surrogateescape").hex() or '""'
