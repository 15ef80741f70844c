"""What works of a client and yet should not stay: its secret, what it waits, an address that others take."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Sequence

from radius_mfa.config import values
from radius_mfa.config.document import Document, KeyPath, quoted
from radius_mfa.config.model import Client, Configuration
from radius_mfa.config.values import Network, Secret

_SHORT_SECRET = 12  # octets; RFC 2865 §3 asks for 16
_SHORT_DIGITS = 20  # digits: as many guesses as 11 letters and digits have
_SHORT_WINDOW = 1.0  # seconds
_MOST_NAMED = 3  # clients in one line

# Those of examples, manuals and factory settings: whoever guesses begins here.
_WELL_KNOWN = re.compile(
    "(admin|changeit|changeme|cisco|default|example|freeradius|letmein|mysecret|passw0rd|password|private|public"
    "|qwerty|radius|radiussecret|radsec|secret|shared|sharedsecret|supersecret|test|testing|topsecret|verysecret"
    "|welcome|xyzzy)[0-9]*"
)


def warn_of_clients(document: Document, configuration: Configuration) -> None:
    """Note what of each client works and yet should not stay, and what of several does not go together."""
    for at, client in enumerate(configuration.clients):
        path = ("clients", at)
        _warn_of_secrets(document, path, client)
        if client.message_authenticator == "off":
            text = "off leaves the way open to forged answers (CVE-2024-3596); take require, or auto"
            document.warn(text, *path, "message_authenticator")
        _warn_of_window(document, path, configuration.gateway_of(client).window, configuration.challenge_lifetime)
    _warn_of_shared_secrets(document, configuration.clients)
    _warn_of_shadowed(document, configuration.clients)


def _warn_of_window(document: Document, path: KeyPath, seconds: float, challenge_lifetime: float) -> None:
    window = f"timeout × (retries + 1) is {seconds:g} s"
    if seconds < _SHORT_WINDOW:
        text = f"{window}: a directory will hardly answer in that time; let the gateway wait longer"
        document.warn(text, *path, "timeout")
    if seconds >= challenge_lifetime:
        what = "let the gateway give up sooner, or raise challenge_lifetime"
        text = f"{window}: as long as challenge_lifetime, or longer; {what}"
        document.warn(text, *path, "timeout")


# --- secrets ------------------------------------------------------------------------------------


def _warn_of_secrets(document: Document, path: KeyPath, client: Client) -> None:
    """Never with anything of the secret in it."""
    weaknesses = [_weakness(each.reveal(), client.name) for each in client.secret]
    for text in dict.fromkeys(filter(None, weaknesses)):
        document.warn(text, *path, "secret")


def _weakness(secret: str, client: str) -> str | None:
    """Why it can be guessed by whoever has recorded a packet or two; None where it is not seen at once."""
    if "${" in secret or secret.startswith("$"):
        return "is taken as written; a variable is ${NAME} and nothing else"
    folded = "".join(filter(str.isalnum, secret.casefold()))
    if _WELL_KNOWN.fullmatch(folded):
        return "is one that everybody knows, and tried first; take 16 octets or more at random"
    if folded == "".join(filter(str.isalnum, client.casefold())):
        return "is the client's own name; take 16 octets or more at random"
    if len(set(secret)) <= 2:
        return "is one or two characters over and over; take 16 octets or more at random"
    if secret.isdecimal() and len(secret) < _SHORT_DIGITS:
        return f"has digits only, and fewer than {_SHORT_DIGITS}; take 16 octets or more at random"
    if len(secret.encode()) <= _SHORT_SECRET:
        return f"{_SHORT_SECRET} octets or fewer can be guessed from recorded packets; take 16 or more"
    return None


def _warn_of_shared_secrets(document: Document, clients: tuple[Client, ...]) -> None:
    """One gateway could speak as another; this machine itself has the secrets of all anyway."""
    first: dict[Secret, int] = {}
    for at, client in enumerate(clients):
        if client.address and all(values.is_loopback(str(each.network_address)) for each in client.address):
            continue
        others = dict.fromkeys(first.setdefault(secret, at) for secret in client.secret)
        for other in others:
            if other != at:
                line = document.places.line("clients", other, "secret")
                who = f"client {quoted(clients[other].name)} (line {line})"
                text = f"is that of {who} too, so each of them can speak as the other; give each its own"
                document.warn(text, "clients", at, "secret")


# --- addresses ----------------------------------------------------------------------------------

# A prefix and whose it is, the index of a client; sorted, it stands right before those inside of it.
_Place = tuple[int, int, int, int]  # IP version, first address, length, client


def _warn_of_shadowed(document: Document, clients: Sequence[Client]) -> None:
    """A client all of whose addresses others take with longer prefixes: no datagram is ever from it."""
    of_udp = {at: client.address for at, client in enumerate(clients) if client.secret and client.address}
    places = sorted(_place(network, at) for at, networks in of_udp.items() for network in networks)
    for at, networks in of_udp.items():
        takers = [_takers(network, at, places) for network in networks]
        if all(takers):
            names = [
                f"{quoted(clients[other].name)} (line {document.places.line('clients', other, 'address')})"
                for other in dict.fromkeys(each for some in takers for each in some)
            ]
            more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
            who = ", ".join(names[:_MOST_NAMED] + more)
            text = f"never matches: longer prefixes of {who} take all of it; change it, or remove the client"
            document.warn(text, "clients", at, "address")


def _place(network: Network, at: int) -> _Place:
    return network.version, int(network.network_address), network.prefixlen, at


def _takers(network: Network, at: int, places: Sequence[_Place]) -> list[int]:
    """Whose longer prefixes take all of `network` from the client `at`; nobody's where some of it is left."""
    version, first, length, _ = _place(network, at)
    last = int(network.broadcast_address)
    inside = places[bisect(places, (version, first, length + 1)) : bisect(places, (version, last + 1))]
    others = [each for each in inside if each[3] != at]
    reached = first  # sorted as they are, what is left before one of them is left by all
    for _, start, size, _ in others:
        if start > reached:
            return []
        reached = max(reached, start + (1 << network.max_prefixlen - size))
    return [each[3] for each in others] if reached > last else []
