"""What must hold between the values of the YAML, beyond what each of them must be.

The rules look at what is written rather than at the model, which is not there while anything is
wrong: so a slip in one place does not hide another elsewhere.  Values that are not even readable
are passed over; the model has reported them.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from radius_mfa.config import values
from radius_mfa.config.check_audit import check_audit_file, warn_of_audit
from radius_mfa.config.check_clients import warn_of_clients
from radius_mfa.config.check_eap import check_eap, check_eap_files, warn_of_eap
from radius_mfa.config.check_groups import check_groups
from radius_mfa.config.check_network import check_network, warn_of_radsec
from radius_mfa.config.check_policies import check_policies, configured_factors, group_texts
from radius_mfa.config.check_portal import check_portal, desk_texts, warn_of_portal
from radius_mfa.config.check_profiles import Written, check_profiles, warn_of_profiles
from radius_mfa.config.check_tls import check_tls
from radius_mfa.config.document import EACH, Document, KeyPath
from radius_mfa.config.model import Configuration, Ldap, Mail
from radius_mfa.config.policy_warnings import warn_of_policies
from radius_mfa.config.storage import storage
from radius_mfa.core import usernames
from radius_mfa.core.messages import FactorKind

if TYPE_CHECKING:
    from radius_mfa.wire.dictionary import Dictionary

_SHORT_SHARE = 0.1  # seconds: a search and a bind over connections that are there
_SHORT_CHALLENGE = 30.0  # seconds: a TOTP step


def check(document: Document, dictionary: Dictionary | None) -> None:
    """Report what does not fit together.  `dictionary`: what attributes there are; None: not checked."""
    check_network(document)
    check_profiles(document)
    _directory(document)
    _tls(document)
    _factors(document)
    _storage(document)
    check_eap(document)
    check_policies(document, dictionary)
    check_portal(document)
    check_groups(document, chain(group_texts(document), desk_texts(document)))
    _budgets(document)
    _user(document)


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
        urls = [url for _, url in document.texts(*holder, key)]
        encrypted = any(url.startswith(f"{scheme}://") for url in urls)
        plain = all(url.startswith(f"{scheme.removesuffix('s')}://") for url in urls)
        start_tls = document.at((*holder, "start_tls"))
        if encrypted and start_tls is True:
            document.report(f"cannot be true beside {scheme}://, which is TLS already", *holder, "start_tls")
        # By default StartTLS is spoken to a mail server, and not to a directory.
        clear = start_tls is False or (scheme == "ldaps" and not document.has(*holder, "start_tls"))
        if document.has(*holder, "ca_file") and clear and plain:
            text = f"is of no use without {scheme}:// or start_tls; take one of these, or remove it"
            document.report(text, *holder, "ca_file")


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
    configured = configured_factors(document)
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
        window = _window(Written.of(document, path))
        share = 0.9 * window / max(servers, 1)
        if servers and share < _SHORT_SHARE:
            wanted = f"{_SHORT_SHARE * 1000:.0f} ms is the least that can work; raise it, and the gateway's own"
            left = f"leaves {share * 1000:.0f} ms for each of {servers} LDAP servers"
            document.report(f"timeout × (retries + 1), less a tenth, {left}; {wanted}", *path, "timeout")


def _window(written: Written) -> float:
    """Seconds; where one of the two is not to be read, as if it were that of the gateway's profile."""
    tries = written.gateway.retries + 1
    with suppress(ValueError):
        tries = values.whole(0, 10**9)(written.retries) + 1
    try:
        return values.duration(written.timeout if isinstance(written.timeout, str) else "") * tries
    except ValueError:
        return written.gateway.timeout * tries


def _users(document: Document) -> Iterator[tuple[KeyPath, str]]:
    """Whom our processes become."""
    yield from document.texts("user")
    yield from document.texts("portal", "user")


def _user(document: Document) -> None:
    for path, name in _users(document):
        if name == "root" or _uid(name) == 0:
            document.report("must be somebody with no more rights than it needs, not root", *path)


def _uid(name: str) -> int | None:
    """The number of that user on this machine; None where there is none."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # a NUL in the name
        return None


def check_files(document: Document, folder: Path, *, in_force: bool) -> None:
    """Report files that can be read and yet not be used; warn where another machine must be meant.

    `in_force`: a server may work under this already.
    """
    check_tls(document, folder)
    check_eap_files(document, folder, in_force=in_force)
    check_audit_file(document, folder)
    for user, name in _users(document):
        if _uid(name) is None:
            document.warn("there is no such user on this machine", *user)


# --- warnings -----------------------------------------------------------------------------------


def warn(document: Document, configuration: Configuration) -> None:
    """Note what works and yet should not stay."""
    warn_of_radsec(document, configuration)
    warn_of_clients(document, configuration)
    warn_of_profiles(document, configuration)
    if configuration.directory.ldap is not None:
        _warn_of_ldap(document, configuration.directory.ldap)
    if configuration.factors.mail is not None:
        _warn_of_mail(document, configuration.factors.mail, _longest_window(configuration))
    warn_of_policies(document, configuration)
    if configuration.eap is not None:
        warn_of_eap(document, configuration.eap)
    warn_of_portal(document, configuration)
    if configuration.storage.in_clear:
        text = "is not encrypted on its way: add ?sslmode=verify-full&sslrootcert=… to it"
        document.warn(text, "storage")
    warn_of_audit(document, configuration)
    if configuration.challenge_lifetime < _SHORT_CHALLENGE:
        document.warn("is hardly time enough to look up a code and type it", "challenge_lifetime")


def _longest_window(configuration: Configuration) -> float:
    return max(configuration.gateway_of(client).window for client in configuration.clients)


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
