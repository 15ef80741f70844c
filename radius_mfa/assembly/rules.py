"""From the YAML to what the core and the wire go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from radius_mfa.assembly.policies import policies_of
from radius_mfa.config import model
from radius_mfa.config.load import Loaded, load_usable
from radius_mfa.config.messages import Messages, read_messages
from radius_mfa.config.profiles import GATEWAYS, Gateway
from radius_mfa.core import usernames
from radius_mfa.core.enrolment import EnrolmentRules
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.guard import Guard
from radius_mfa.core.messages import FactorKind, Nas
from radius_mfa.core.rules import Rules
from radius_mfa.core.usernames import Naming
from radius_mfa.data import CONFIG
from radius_mfa.service.texts import Texts
from radius_mfa.wire.clients import Client, Clients
from radius_mfa.wire.dictionary import Dictionary


def load(path: Path, environment: Mapping[str, str], *, in_force: bool = False) -> Loaded:
    """The configuration in `path`.  Raises ConfigurationError with every problem in it.

    Those of the texts in `messages` come once there is no other.  `in_force`: see `config.load.judged`.
    """
    loaded = load_usable(path, environment, Dictionary.shipped(), in_force=in_force)
    if loaded.configuration.messages is None:
        return loaded
    messages = messages_of(loaded.configuration)  # what is wrong in there is a problem of the configuration
    return replace(loaded, warnings=loaded.warnings + messages.warnings)


def dictionary_of(loaded: Loaded) -> Dictionary:
    """The attributes by name: those that are shipped, and those of the administrator's own files."""
    return loaded.dictionary or Dictionary.shipped()


def messages_of(configuration: model.Configuration) -> Messages:
    """What users are told.  Raises ConfigurationError."""
    profiles = [*GATEWAYS, *configuration.profiles]
    return read_messages(CONFIG / "messages", configuration.messages, profiles, configuration.contact)


def texts_of(configuration: model.Configuration) -> Texts:
    """What users are told, with what the configuration has to put in."""
    messages, ldap = messages_of(configuration), configuration.directory.ldap
    own = {name: messages.worded_for(name, profile.like) for name, profile in configuration.profiles.items()}
    password_url = ldap.password_url if ldap else None
    return Texts(messages.languages, configuration.contact, password_url, {**messages.profiles, **own})


def nas_of(client: model.Client, gateway: Gateway) -> Nas:
    """A client as the core knows it: without its secret."""
    return Nas(
        name=client.name,
        profile=gateway.profile,
        groups=frozenset(client.groups),
        timeout=gateway.timeout,
        retries=gateway.retries,
        station=client.station,
        naming=Naming(client.realms, client.realm_required),
        probe_users=frozenset(map(usernames.fold, client.probe_users)),
    )


def clients_of(configuration: model.Configuration) -> Clients:
    """The clients as the wire knows them."""
    return Clients(
        Client(
            nas_of(client, configuration.gateway_of(client)),
            client.address if client.secret else (),
            tuple(secret.reveal().encode() for secret in client.secret),
            client.message_authenticator,
            client.certificate,
            (client.psk.identity, bytes.fromhex(client.psk.key.reveal())) if client.psk else None,
            client.address,
        )
        for client in configuration.clients
    )


def rules_of(configuration: model.Configuration, dictionary: Dictionary) -> Rules:
    """What the conversation goes by."""
    lockout = configuration.lockout
    return Rules(
        policies=policies_of(configuration, dictionary),
        guard=Guard(lockout.failures, lockout.durations, lockout.suspend_after),
        challenge_lifetime=configuration.challenge_lifetime,
        zone=configuration.timezone,
        discard_when_broken=configuration.when_directory_fails == "discard",
    )


def enrolment_rules_of(configuration: model.Configuration) -> EnrolmentRules:
    """What the life of a factor goes by."""
    mail, recovery = configuration.factors.mail, configuration.factors.recovery_codes
    first = FactorKind.MAIL if configuration.enrolment.order == "mail-first" else FactorKind.TOTP
    return EnrolmentRules(
        blocked_domains=mail.blocked_domains if mail else (),
        first=first if first in configuration.factors.kinds else None,
        recovery_codes=recovery.count if recovery else 0,
    )


def loopback(loaded: Loaded) -> tuple[tuple[str, int], bytes]:
    """Where a client on this machine finds the server, and with which secret.  Raises ConfigurationError."""
    configuration = loaded.configuration
    endpoint = next((listener.udp for listener in configuration.listen if listener.udp is not None), None)
    if endpoint is None:
        raise ConfigurationError("the configuration has no udp listener: give --radsec, or --server and --secret")
    host = endpoint.host
    if ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    client = clients_of(configuration).find(host)
    if client is None:
        raise ConfigurationError(f"no client has the address {host}: give --server and --secret, or add one")
    return (host, endpoint.port), client.secrets[0]
