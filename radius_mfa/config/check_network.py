"""What must hold between listeners and clients: who may come over UDP, and who over TLS.

A datagram's client is told by its source address, and shares a secret with us (RFC 2865 §3).  A
connection's client is told by its certificate or its key (RFC 6614 §2.4), each at listeners of its own: over
TLS 1.3 OpenSSL takes no key where it has a certificate to show.  An address beside them is where it has to
come from as well.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from radius_mfa.config import values
from radius_mfa.config.document import EACH, Document, KeyPath
from radius_mfa.config.model import Configuration

_FOR_TLS = ("certificate", "key", "client_ca")
_OF_RADSEC = (*_FOR_TLS, "idle_timeout")
_PROOFS = ("certificate", "psk")  # of who has connected


def check_network(document: Document) -> None:
    """Report what does not fit together among `listen` and `clients`."""
    for path in document.each("listen", EACH):
        _listener(document, path, document.at(path))
    for kind in ("udp", "radsec"):
        document.unique(document.texts("listen", EACH, kind), "is listened on already")
    if document.at(("listen",)) != []:  # or FreeRADIUS listens, and has the addresses and the secrets
        for path in document.each("clients", EACH):
            _client(document, path, document.at(path))
    document.unique(document.texts("clients", EACH, "name"), "names another client")
    document.unique(_networks(document), "is a client's address already")
    document.unique(_names(document), "is a client's certificate already")
    document.unique(document.texts("clients", EACH, "psk", "identity"), "is a client's identity already")


def _listener(document: Document, path: KeyPath, keys: object) -> None:
    if not isinstance(keys, dict):
        return
    if ("udp" in keys) == ("radsec" in keys):
        document.report("must have either udp or radsec", *path)
    elif "udp" in keys:
        for key in filter(keys.__contains__, _OF_RADSEC):
            document.report("belongs to radsec, not to udp; remove it", *path, key)
    else:
        missing = [key for key in _FOR_TLS if key not in keys]
        if len(missing) == len(_FOR_TLS) and any(document.each("clients", EACH, "psk")):
            return  # it is for those
        for key in missing:
            document.report("is missing; radsec needs it", *path, key)


def _client(document: Document, path: KeyPath, keys: object) -> None:
    if not isinstance(keys, dict):
        return
    proved, addressed, shared = _is_proved(keys), "address" in keys, "secret" in keys
    if shared and not addressed and proved:
        document.report("is for UDP, which is told by the address; add address, or remove it", *path, "secret")
    elif shared and not addressed:
        document.report("is missing", *path, "address")
    elif addressed and not shared and not proved:
        document.report("is missing", *path, "secret")
    elif not addressed and not proved:
        document.report("must have address and secret (UDP), or certificate or psk (RadSec)", *path)


def _is_proved(keys: dict[str, object]) -> bool:
    """Whether it can come over TLS."""
    return any(key in keys for key in _PROOFS)


def _networks(document: Document) -> Iterator[tuple[KeyPath, Hashable]]:
    """Of those that an address tells from each other; where connections must come from, many may share."""
    for path, text in document.texts("clients", EACH, "address"):
        keys = document.at(path[:2])
        if not isinstance(keys, dict) or "secret" in keys or not _is_proved(keys):
            yield from _read(path, text, values.network)


def _names(document: Document) -> Iterator[tuple[KeyPath, Hashable]]:
    for path, text in document.texts("clients", EACH, "certificate"):
        yield from _read(path, text, values.certificate_name)


def _read(path: KeyPath, text: str, parse: Callable[[str], Hashable]) -> Iterator[tuple[KeyPath, Hashable]]:
    """What `text` is, if it is anything."""
    try:
        yield path, parse(text)
    except ValueError:
        return


def warn_of_radsec(document: Document, configuration: Configuration) -> None:
    """Note listeners that nobody can come to, and clients that have nowhere to go."""
    for proof, how in (("certificate", "with a certificate"), ("psk", "without a certificate")):
        listeners = [
            at
            for at, each in enumerate(configuration.listen)
            if each.radsec is not None and (each.certificate is None) == (proof == "psk")
        ]
        clients = [at for at, each in enumerate(configuration.clients) if getattr(each, proof) is not None]
        if not clients:
            for at in listeners:
                document.warn(f"lets nobody in: no client has a {proof}", "listen", at, "radsec")
        if not listeners:
            for at in clients:
                document.warn(f"is of no use: there is no radsec listener {how}", "clients", at, proof)
