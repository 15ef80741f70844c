"""What must hold between the values of the YAML, beyond what each of them must be.

The rules look at what is written rather than at the model, which is not there while anything is
wrong: so a slip in one place does not hide another elsewhere.  Values that are not even readable
are passed over; the model has reported them.
"""

from __future__ import annotations

import difflib
import pwd
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from radius_mfa.config import values
from radius_mfa.config.check_network import check_network, warn_of_radsec
from radius_mfa.config.check_tls import check_tls
from radius_mfa.config.document import EACH, Document, KeyPath, quoted
from radius_mfa.config.model import Client, Configuration, Ldap, Mail, Policy, When
from radius_mfa.config.storage import storage
from radius_mfa.core import usernames
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.policy import SecondFactor

if TYPE_CHECKING:
    from radius_mfa.wire.dictionary import Dictionary

_SHORT_SECRET = 12  # octets; RFC 2865 §3 asks for 16
_LONGEST_REPLY = 3000  # octets of a policy's attributes: 4096 less messages and the Proxy-States of others
_SHORT_WINDOW = 1.0  # seconds
_SHORT_SHARE = 0.1  # seconds: a search and a bind over connections that are there
_SHORT_CHALLENGE = 30.0  # seconds: a TOTP step


def check(document: Document, dictionary: Dictionary | None) -> None:
    """Report what does not fit together.  `dictionary`: what attributes there are; None: not checked."""
    check_network(document)
    _directory(document)
    _tls(document)
    _factors(document)
    _storage(document)
    _policies(document)
    _budgets(document)
    _user(document)
    if dictionary is not None:
        _replies(document, dictionary)


def _directory(document: Document) -> None:
    if document.at(("directory",)) == {}:
        document.report("must have ldap, static or both", "directory")
    names = document.texts("directory", "static", "users", EACH, "username")
    folded = ((path, usernames.fold(name)) for path, name in names)
    document.unique(folded, "names another user (upper and lower case are the same)")
    _groups(document)


def _tls(document: Document) -> None:
    """Of those that TLS can be spoken to, the directory and the mail server."""
    for holder, key, scheme in (
        (("directory", "ldap"), "servers", "ldaps"),
        (("factors", "mail"), "smtp", "smtps"),
    ):
        encrypted = any(url.startswith(f"{scheme}://") for _, url in document.texts(*holder, key))
        start_tls = document.at((*holder, "start_tls"))
        if encrypted and start_tls is True:
            document.report(f"cannot be true beside {scheme}://, which is TLS already", *holder, "start_tls")
        # By default StartTLS is spoken to a mail server, and not to a directory.
        clear = start_tls is False or (scheme == "ldaps" and not document.has(*holder, "start_tls"))
        if document.has(*holder, "ca_file") and clear and not encrypted:
            document.report(f"is of no use without {scheme}:// or start_tls", *holder, "ca_file")


def _groups(document: Document) -> None:
    holder = ("directory", "ldap", "groups")
    by = document.at((*holder, "by"))
    for key in ("base_dn", "filter", "nested"):
        if not document.has(*holder, key):
            continue
        if key == "filter" and by != "search":
            document.report("belongs to by: search", *holder, key)
        elif key == "base_dn" and by not in ("search", "in_chain"):
            document.report("belongs to by: search or in_chain", *holder, key)
        elif key == "nested" and by == "in_chain":
            document.report("has no say with in_chain; remove it", *holder, key)


def _factors(document: Document) -> None:
    if document.at(("factors",)) == {}:
        document.report(f"must have at least one of {', '.join(FactorKind)}", "factors")
    mail = document.at(("factors", "mail"))
    if isinstance(mail, dict) and ("username" in mail) != ("password" in mail):
        document.report("username and password go together; give both or neither", "factors", "mail")
    if isinstance(mail, dict) and "password" in mail and _in_clear(mail):
        document.report("would cross the network in clear; let start_tls be true", "factors", "mail", "password")
    configured = _configured(document)
    if document.at(("enrolment", "order")) == "mail-first" and configured is not None and "mail" not in configured:
        document.report("mail-first lets nobody enrol without factors.mail; add that", "enrolment", "order")


def _in_clear(mail: dict[str, object]) -> bool:
    """Whether the mail server is another machine and is spoken to without TLS."""
    try:
        server = values.server("smtp", "smtps")(str(mail.get("smtp")))
    except ValueError:
        return False
    return mail.get("start_tls") is False and not server.tls and not values.is_loopback(server.host)


def _storage(document: Document) -> None:
    if not document.has("storage_password") and not document.has("storage_password_file"):
        return
    key = "storage_password"
    written = document.at(("storage",))
    try:
        found = storage(written) if isinstance(written, str) else None
    except ValueError:
        return
    if found is None and document.has("storage"):
        return
    if found is None or found.path is not None:
        document.report("belongs to storage: postgresql://…; remove it", key)
    elif found.password is not None:
        document.report("is in the URL of storage too; remove one of the two", key)


def _budgets(document: Document) -> None:
    """What a NAS waits, less a tenth for the way back, is all that the directory's servers share."""
    servers = len(list(document.texts("directory", "ldap", "servers")))
    for path in document.each("clients", EACH):
        timeout, retries = document.at((*path, "timeout")), document.at((*path, "retries"))
        window = _window(timeout, retries)
        share = 0.9 * window / max(servers, 1)
        if servers and share < _SHORT_SHARE:
            wanted = f"{_SHORT_SHARE * 1000:.0f} ms is the least that can work"
            left = f"leaves {share * 1000:.0f} ms for each of {servers} LDAP servers"
            document.report(f"timeout × (retries + 1), less a tenth, {left}; {wanted}", *path, "timeout")


def _window(timeout: object, retries: object) -> float:
    """Seconds; where one of the two is not to be read, as if it were the default."""
    default = Client.model_fields
    tries: int = default["retries"].default + 1
    with suppress(ValueError):
        tries = values.whole(0, 10**9)(retries) + 1
    try:
        return values.duration(timeout if isinstance(timeout, str) else "") * tries
    except ValueError:
        return float(default["timeout"].default * tries)


def _policies(document: Document) -> None:
    document.unique(document.texts("policies", EACH, "name"), "names another policy")
    _known(document, "client", {name for _, name in document.texts("clients", EACH, "name")})
    _known(document, "client_group", {group for _, group in document.texts("clients", EACH, "groups")})
    _configured_factors(document)
    for path in document.each("policies", EACH):
        when = document.at((*path, "when"))
        if isinstance(when, dict):
            _condition_names(document, (*path, "when"), when)
        if document.at((*path, "second_factor")) == "never" and not document.has(*path, "when", "client"):
            document.report("never must name a client; add when: {client: …}", *path, "second_factor")


def _known(document: Document, condition: str, names: set[str]) -> None:
    """A condition on nobody is no error: it refuses, and its client may be about to come or just gone."""
    what = condition.replace("_", " ")
    for path, name in document.texts("policies", EACH, "when", condition):
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {quoted(near[0])}?" if near and path not in document.hidden else ""
            document.warn(f"there is no {what} {document.written(path)}, so this never holds{hint}", *path)


def _configured(document: Document) -> Collection[str] | None:
    """The factors that are configured; None where they are not to be read."""
    if not document.has("factors"):
        return [FactorKind.TOTP]
    written = document.at(("factors",))
    return written if isinstance(written, dict) else None


def _configured_factors(document: Document) -> None:
    configured = _configured(document)
    for path, factor in document.texts("policies", EACH, "factors"):
        if configured is not None and factor in list(FactorKind) and factor not in configured:
            document.report(f"{quoted(factor)} is not configured; add factors.{factor}", *path)


def _condition_names(document: Document, path: KeyPath, when: dict[str, object]) -> None:
    """A key of `when` that is no condition must look like an attribute, `NAS-Port-Type`."""
    for key in when.keys() - When.model_fields.keys():
        if not key[0].isupper():
            near = difflib.get_close_matches(key, When.model_fields, n=1)
            known = f"did you mean {near[0]}?" if near else f"here can stand {', '.join(When.model_fields)}"
            document.report(f"unknown key; {known}", *path, key)


def _replies(document: Document, dictionary: Dictionary) -> None:
    for holder in document.each("policies", EACH, "reply"):
        reply = document.at(holder)
        length = 0
        for name in reply if isinstance(reply, dict) else ():
            for path, value in document.texts_at((*holder, name)):
                length += _encoded(document, dictionary, path, name, value)
        if length > _LONGEST_REPLY:
            document.report(
                f"is {length} octets in all; there is room for {_LONGEST_REPLY} (RFC 2865 §3)", *holder
            )


def _encoded(document: Document, dictionary: Dictionary, path: KeyPath, name: str, value: str) -> int:
    """How many octets the attribute takes in a packet; 0, and reported, where it cannot be one."""
    try:
        return 2 + len(dictionary.encode(name, value)[1])
    except ValueError as wrong:
        hidden = path in document.hidden  # the reason may show the value
        reason = str(wrong).removeprefix(f"{name}: ")
        document.report(f"{document.written(path)} cannot be its value" if hidden else reason, *path)
        return 0


def _user(document: Document) -> None:
    for path, name in document.texts("user"):
        if name == "root" or _uid(name) == 0:
            document.report("must be somebody with no more rights than it needs, not root", *path)


def _uid(name: str) -> int | None:
    """The number of that user on this machine; None where there is none."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # a NUL in the name
        return None


def check_files(document: Document, folder: Path) -> None:
    """Report files that can be read and yet not be used; warn where another machine must be meant."""
    check_tls(document, folder)
    for user, name in document.texts("user"):
        if _uid(name) is None:
            document.warn("there is no such user on this machine", *user)


# --- warnings -----------------------------------------------------------------------------------


def warn(document: Document, configuration: Configuration) -> None:
    """Note what works and yet should not stay."""
    warn_of_radsec(document, configuration)
    for at, client in enumerate(configuration.clients):
        _warn_of_client(document, ("clients", at), client, configuration.challenge_lifetime)
    if configuration.directory.ldap is not None:
        _warn_of_ldap(document, configuration.directory.ldap)
    if configuration.factors.mail is not None:
        _warn_of_mail(document, configuration.factors.mail, max(each.window for each in configuration.clients))
    for at, policy in enumerate(configuration.policies):
        if policy.trust_device:
            _warn_of_trust(document, ("policies", at, "trust_device"), policy, configuration.clients)
    if configuration.storage.in_clear:
        text = "is not encrypted on its way: add ?sslmode=verify-full&sslrootcert=… to it"
        document.warn(text, "storage")
    if configuration.audit.file is None and configuration.log.level in ("warning", "error"):
        document.warn("hides the audit events, which go to the log where there is no audit.file", "log", "level")
    if configuration.challenge_lifetime < _SHORT_CHALLENGE:
        document.warn("is hardly time enough to look up a code and type it", "challenge_lifetime")


def _warn_of_client(document: Document, path: KeyPath, client: Client, challenge_lifetime: float) -> None:
    if any(len(secret.reveal().encode()) <= _SHORT_SECRET for secret in client.secret):
        text = f"{_SHORT_SECRET} octets or fewer can be guessed from recorded packets; take 16 or more"
        document.warn(text, *path, "secret")
    if any("${" in secret.reveal() or secret.reveal().startswith("$") for secret in client.secret):
        document.warn("is taken as written; a variable is ${NAME} and nothing else", *path, "secret")
    if client.message_authenticator == "off":
        text = "off leaves the way open to forged answers (CVE-2024-3596); take require, or auto"
        document.warn(text, *path, "message_authenticator")
    window = f"timeout × (retries + 1) is {client.window:g} s"
    if client.window < _SHORT_WINDOW:
        document.warn(f"{window}: a directory will hardly answer in that time", *path, "timeout")
    if client.window >= challenge_lifetime:
        document.warn(f"{window}: as long as challenge_lifetime, or longer", *path, "timeout")


def _warn_of_trust(document: Document, path: KeyPath, policy: Policy, clients: Iterable[Client]) -> None:
    """Trust that can never be given.  A policy that matches no client at all is told of where it says so."""
    if policy.second_factor is SecondFactor.NEVER:
        document.warn("is of no use beside second_factor: never, where no code is asked for anyway", *path)
        return
    stations = {client.station for client in clients if _may_match(policy.when, client)}
    if stations == {"none"}:
        text = "no client that it could match says what a station is worth (station: mac or ip): none is trusted"
        document.warn(text, *path)


def _may_match(when: When, client: Client) -> bool:
    named = when.client is None or client.name in when.client
    return named and (when.client_group is None or not set(when.client_group).isdisjoint(client.groups))


def _warn_of_mail(document: Document, mail: Mail, window: float) -> None:
    if mail.cooldown < window:
        text = f"is shorter than a gateway may try for ({window:g} s): one login may send two mails"
        document.warn(text, "factors", "mail", "cooldown")
    if not (mail.smtp.tls or mail.start_tls or values.is_loopback(mail.smtp.host)):
        document.warn("codes cross the network in clear", "factors", "mail", "smtp")


def _warn_of_ldap(document: Document, ldap: Ldap) -> None:
    for at, server in enumerate(ldap.servers):
        if not (server.tls or ldap.start_tls or values.is_loopback(server.host)):
            document.warn("passwords cross the network in clear", "directory", "ldap", "servers", at)
