"""What must hold of the portal: how it is reached, who may do what there, and what that makes of the factors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from radius_mfa.config import values
from radius_mfa.config.document import EACH, Document, KeyPath
from radius_mfa.config.model import Configuration
from radius_mfa.config.model_portal import Portal
from radius_mfa.core.groups import fold_group
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.policy import SecondFactor
from radius_mfa.core.visits import PORTAL

_HERE = "portal"
_PAIR = ("certificate", "key")


def check_portal(document: Document) -> None:
    """Report what does not fit together."""
    portal = document.at((_HERE,))
    if not isinstance(portal, dict):
        return
    for path, name in document.texts("clients", EACH, "name"):
        if name == PORTAL:
            text = "is what the portal itself is called, in policies and in the audit file; take another name"
            document.report(text, *path)
    for key, other in (_PAIR, _PAIR[::-1]):
        if other in portal and key not in portal:
            document.report("is missing; certificate and key go together", _HERE, key)
    for path in _everybody(document, _HERE, "trusted_proxies"):
        together = "together " if path == (_HERE, "trusted_proxies") else ""
        text = f"{together}would take anybody's word about where they come from; name the proxies"
        document.report(text, *path)
    _lifetimes(document)
    _ways_in(document, portal)


def _lifetimes(document: Document) -> None:
    idle, whole = (_seconds(document, key) for key in ("idle_timeout", "visit_lifetime"))
    if idle is None or whole is None or idle <= whole:
        return
    if not document.has(_HERE, "idle_timeout"):
        text = f"is shorter than idle_timeout ({idle / 60:g}m, the default)"
        document.report(text, _HERE, "visit_lifetime")
    elif not document.has(_HERE, "visit_lifetime"):
        text = f"is longer than visit_lifetime ({whole / 3600:g}h, the default)"
        document.report(text, _HERE, "idle_timeout")
    else:
        document.report("must not be longer than visit_lifetime", _HERE, "idle_timeout")


def _seconds(document: Document, key: str) -> float | None:
    """What is written, or else the default; None for what cannot be read."""
    if not document.has(_HERE, key):
        default: float = Portal.model_fields[key].default
        return default
    try:
        return values.duration(str(document.at((_HERE, key))))
    except ValueError:
        return None


def _ways_in(document: Document, portal: dict[str, object]) -> None:
    """Nobody is to type a password into what others can read."""
    try:
        listen, url = values.endpoint(str(portal.get("listen"))), values.site(str(portal.get("url")))
    except ValueError:
        return
    if "certificate" in portal:
        if not url.startswith("https://"):
            document.report("must begin with https:// beside a certificate", _HERE, "url")
    elif not values.is_loopback(listen.host) and not portal.get("trusted_proxies"):
        text = (
            "would take passwords in clear from the network: give certificate and key, or listen on 127.0.0.1 "
            "behind a proxy that speaks TLS, or name that proxy in trusted_proxies"
        )
        document.report(text, _HERE, "listen")


def _everybody(document: Document, *holder: str) -> Iterator[KeyPath]:
    """The prefixes of a list that are everybody; the list itself, where only several together are."""
    read = []
    for path, written in document.texts(*holder):
        with suppress(ValueError):
            read.append((path, values.network(written)))
    if alone := [path for path, network in read if network.prefixlen == 0]:
        yield from alone
        return
    four = collapse_addresses(each for _, each in read if isinstance(each, IPv4Network))
    six = collapse_addresses(each for _, each in read if isinstance(each, IPv6Network))
    if any(each.prefixlen == 0 for each in four) or any(each.prefixlen == 0 for each in six):
        yield holder


def desk_texts(document: Document) -> Iterator[tuple[KeyPath, str]]:
    """The groups that are the help desk, where each stands and how it is written."""
    yield from document.texts(_HERE, "help_desk")


# --- warnings -----------------------------------------------------------------------------------


def warn_of_portal(document: Document, configuration: Configuration) -> None:
    """Note what works and yet should not stay."""
    portal = configuration.portal
    if portal is None:
        return
    _warn_of_ways_in(document, portal)
    _warn_of_proxies(document, configuration)
    _warn_of_desk(document, configuration, portal)
    _warn_of_first(document, configuration)
    if FactorKind.TOTP not in configuration.factors.kinds:
        text = (
            "without factors.totp nobody can set up an app; nor does a mailed code let the help desk do anything"
        )
        document.warn(text, _HERE)


def _warn_of_ways_in(document: Document, portal: Portal) -> None:
    if portal.certificate is not None:
        return
    if not values.is_loopback(portal.listen.host):
        text = "passwords cross the network in clear between proxy and portal; let nobody else be on it"
        document.warn(text, _HERE, "listen")
    elif portal.url.startswith("https://") and not portal.trusted_proxies:
        text = (
            "speaks no TLS, so a proxy is before it, which is not trusted: all people seem to come from there; "
            "name it (trusted_proxies: 127.0.0.1)"
        )
        document.warn(text, _HERE, "listen")


def _warn_of_proxies(document: Document, configuration: Configuration) -> None:
    """Of those who are believed to be on campus because they say so, or because a proxy there says nothing."""
    campus = [each for each in configuration.enrolment.networks if each.prefixlen]  # what is everywhere is told of
    for path, written in document.texts(_HERE, "trusted_proxies"):
        proxies = values.network(written)
        for network in campus:
            if _overlap(proxies, network):
                text = (
                    f"overlaps enrolment.networks ({network}): whoever is there, or comes by a proxy there that "
                    "does not set X-Forwarded-For, is believed to be on campus"
                )
                document.warn(text, *path)
                break


def _overlap(one: values.Network, other: values.Network) -> bool:
    return one.version == other.version and (one.network_address in other or other.network_address in one)


def _warn_of_desk(document: Document, configuration: Configuration, portal: Portal) -> None:
    if not portal.help_desk:
        text = "has no help_desk: nobody sees who asks for help there, and only `radius-mfa user` helps them"
        document.warn(text, _HERE)
    if configuration.directory.ldap is not None:
        return
    of_static = {fold_group(name) for _, name in document.texts("directory", "static", "users", EACH, "groups")}
    for path, group in desk_texts(document):
        if fold_group(group) not in of_static:
            document.warn("no account is in it, and there is no directory but directory.static", *path)


def _warn_of_first(document: Document, configuration: Configuration) -> None:
    """Of what lets people in, or hardly anybody, who have no factor or have lost it."""
    enrolment = configuration.enrolment
    if not enrolment.networks and not enrolment.voucher:
        text = "nobody can set up a first factor by themselves: name networks, or let voucher be true"
        document.warn(text, "enrolment", "voucher")
    for path in _everybody(document, "enrolment", "networks"):
        document.warn("is everywhere: a stolen password is enough to set up a first factor", *path)
    if not (enrolment.initialise and FactorKind.MAIL in configuration.factors.kinds):
        return
    strong = [
        each.name
        for each in configuration.policies
        if each.second_factor is not SecondFactor.NEVER
        and FactorKind.MAIL not in configuration.factors_of(each)
        and FactorKind.TOTP in configuration.factors_of(each)
    ]
    if strong:
        names = ", ".join(f'"{name}"' for name in strong[:3])
        text = (
            f"whoever has password and mailbox can set up an app at once, though {names} takes no mailed code; "
            "initialise: false sends them to the help desk instead"
        )
        path = ("enrolment", "initialise") if document.has("enrolment", "initialise") else (_HERE,)
        document.warn(text, *path)
