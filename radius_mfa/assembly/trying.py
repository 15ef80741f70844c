"""Tries, live, what an administrator answers to `radius-mfa init`.  Nothing is written anywhere.

What does not work raises RadiusMfaError, with a line that says what; a wrong password is a value, as ever.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from radius_mfa.assembly.backends import SystemClock, ldap_directory
from radius_mfa.assembly.giving import Owner, is_everybodys, may_be_given, nearest, owner_of, real, why_not
from radius_mfa.assembly.mail import probe_mail, send_mail
from radius_mfa.config import model, values
from radius_mfa.config.certificates import UNREADABLE, common_name, leniently
from radius_mfa.config.compose import KEY, SECRETS_FOLDER, STORE, Groups
from radius_mfa.config.questions import Answers
from radius_mfa.config.typed import listed
from radius_mfa.core.errors import RadiusMfaError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password
from radius_mfa.core.printing import printable
from radius_mfa.core.usernames import KEPT, looked_up
from radius_mfa.directories.ldap_look import Product, Seen, look, look_below, shown_certificate
from radius_mfa.directories.ldap_server import LdapAddress
from radius_mfa.factors.outbox import Letter

MAIL = "mail"  # the attribute of entries
PATIENCE = 10.0  # seconds for one try
_IPV6 = 6

_MAIL_SUBJECT = "radius-mfa: a test mail"
_MAIL_BODY = "This mail server delivers what radius-mfa sends.\n"
_UNIQUE_MEMBERS = "(&(objectClass=groupOfUniqueNames)(uniqueMember={dn}))"


class TryError(RadiusMfaError):
    """What was answered does not work; `str()` says why, in a line."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is usual with a directory of that make."""

    user_filter: str = "(uid={username})"
    id: str = "entryUUID"


PROPOSALS = {
    Product.ACTIVE_DIRECTORY: Proposal(
        "(&(objectCategory=person)(|(sAMAccountName={username})(userPrincipalName={username})))", "objectGUID"
    ),
    Product.DIRECTORY_389: Proposal(id="nsUniqueId"),
}


@dataclass(frozen=True, slots=True)
class FoundUser:
    """Who was found, and how their groups were."""

    user: User
    groups: Groups


def _addresses(answers: Answers) -> list[LdapAddress]:
    servers = [values.server("ldap", "ldaps")(each) for each in listed(answers["ldap_servers"])]
    return [LdapAddress(server.host, server.port, server.tls) for server in servers]


def _starts_tls(answers: Answers) -> bool:
    return answers.get("ldap_start_tls") == "true"


async def try_directory(answers: Answers) -> Seen:
    """Bind at every server; what the first says of itself."""
    start_tls, ca_file = _starts_tls(answers), _ca_file(answers)
    seen = [
        await look(address, _service(answers), start_tls=start_tls, ca_file=ca_file, patience=PATIENCE)
        for address in _addresses(answers)
    ]
    return seen[0]


async def try_base(answers: Answers) -> None:
    """Whether every server has the entry that users are to be below."""
    start_tls, ca_file, base_dn = _starts_tls(answers), _ca_file(answers), answers["ldap_base_dn"]
    for address in _addresses(answers):
        await look_below(
            address, _service(answers), base_dn, start_tls=start_tls, ca_file=ca_file, patience=PATIENCE
        )


def _service(answers: Answers) -> tuple[str, bytes]:
    return answers["ldap_bind_dn"], answers["ldap_bind_password"].encode()


def _ca_file(answers: Answers) -> Path | None:
    return Path(answers["ldap_ca_file"]) if answers.get("ldap_ca_file") else None


async def certificates_of(answers: Answers) -> list[str]:
    """Whose certificate each server shows, and who vouches for it, in lines for who is to decide about them."""
    lines: list[str] = []
    for address in _addresses(answers):
        if not (address.tls or _starts_tls(answers)):
            continue
        der = await shown_certificate(address, start_tls=_starts_tls(answers), patience=PATIENCE)
        lines.extend(_described(str(address), der) if der else ())
    return lines


def _described(server: str, der: bytes) -> list[str]:
    try:
        with leniently():
            shown = x509.load_der_x509_certificate(der)
            subject, issuer = common_name(shown.subject), common_name(shown.issuer)
            until = f"{shown.not_valid_after_utc:%Y-%m-%d}"
            digest = shown.fingerprint(SHA256()).hex(":").upper()
    except UNREADABLE:
        return [f"{server} shows a certificate that cannot be read"]
    return [
        printable(f"{server} shows the certificate of {subject}, signed by {issuer}, valid until {until},"),
        f"  SHA-256 {digest}",
    ]


# --- users ----------------------------------------------------------------------------------------


def ldap_of(answers: Answers, groups: Groups) -> model.Ldap:
    """The answers as the YAML will have them."""
    said: dict[str, object] = {
        "servers": listed(answers["ldap_servers"]),
        "start_tls": _starts_tls(answers),
        "bind_dn": answers["ldap_bind_dn"],
        "bind_password": answers["ldap_bind_password"],
        "base_dn": answers["ldap_base_dn"],
        "user_filter": answers["ldap_user_filter"],
        "attributes": {"id": answers["ldap_id"]},
        "groups": {
            "by": groups.by,
            **({"base_dn": groups.base_dn} if groups.base_dn else {}),
            **({"filter": groups.filter} if groups.filter else {}),
        },
    }
    if answers.get("ldap_ca_file"):
        said["ca_file"] = answers["ldap_ca_file"]
    return model.Ldap.model_validate(said, context={"folder": Path()})


async def try_user(answers: Answers, seen: Seen) -> FoundUser:
    """Look the user up as a login does; where the entry names no groups, look for groups that name the entry."""
    base = seen.bases[0] if seen.bases and seen.bases[0] != answers["ldap_base_dn"] else ""
    if seen.product is Product.ACTIVE_DIRECTORY:
        ways = [Groups("in_chain", base)]
    else:
        ways = [Groups(), Groups("search", base), Groups("search", base, _UNIQUE_MEMBERS)]
    found = [FoundUser(await _find(answers, way), way) for way in ways[:1]]
    for way in ways[1:]:
        if found[-1].user.groups:
            break
        found.append(FoundUser(await _find(answers, way), way))
    return found[-1] if found[-1].user.groups else found[0]


async def _find(answers: Answers, groups: Groups) -> User:
    ldap, typed = ldap_of(answers, groups), answers["try_user"]
    name = looked_up(typed, KEPT)
    if isinstance(name, Outcome):
        raise TryError(f"{printable(typed)}: {name.value.replace('_', ' ')}")
    directory, deadline = ldap_directory(ldap, ldap.servers, (MAIL,)), SystemClock().monotonic() + PATIENCE
    try:
        found = await directory.find(name, deadline)
        if isinstance(found, User):
            return await directory.with_groups(found, deadline)
    finally:
        await directory.close()
    raise TryError(_not_found(answers, found))


def _not_found(answers: Answers, outcome: Outcome) -> str:
    who, where = printable(answers["try_user"]), f"below {answers['ldap_base_dn']}"
    match outcome:
        case Outcome.AMBIGUOUS_USER:
            return f"{who}: {answers['ldap_user_filter']} finds several entries {where}; it must find one"
        case Outcome.USER_ID_UNUSABLE:
            return f"{who}: the entry has not exactly one {answers['ldap_id']} of 64 octets at most: take another"
        case _:
            return f"{who}: {answers['ldap_user_filter']} finds nobody {where}"


async def try_password(answers: Answers, found: FoundUser) -> None:
    """Log in to the directory as the user."""
    ldap = ldap_of(answers, found.groups)
    directory = ldap_directory(ldap, ldap.servers)
    try:
        said = await directory.check_password(
            found.user, answers["try_password"].encode(), SystemClock().monotonic() + PATIENCE
        )
    finally:
        await directory.close()
    if said is not Password.RIGHT:
        raise TryError(f"{found.user.username}: password {said.name.lower().replace('_', ' ')}")


# --- mail, and this machine -----------------------------------------------------------------------


def _mail_of(answers: Answers) -> model.Mail:
    said: dict[str, object] = {
        "smtp": answers["smtp"],
        "sender": answers["smtp_sender"],
        "start_tls": answers.get("smtp_start_tls") != "false",
    }
    if answers.get("smtp_ca_file"):
        said["ca_file"] = answers["smtp_ca_file"]
    if answers.get("smtp_username"):
        said |= {"username": answers["smtp_username"], "password": answers["smtp_password"]}
    return model.Mail.model_validate(said, context={"folder": Path()})


async def try_mail(answers: Answers) -> str:
    """Go as far as to be taken for the sender, or have a mail delivered; what was done, in a line."""
    mail = _mail_of(answers)
    in_clear = answers.get("smtp_start_tls") == "false" and not values.is_loopback(mail.smtp.host)
    if in_clear and answers.get("smtp_username"):
        raise TryError("the password would cross the network in clear: let StartTLS be yes")
    if not answers.get("smtp_try"):
        await probe_mail(mail, PATIENCE, as_sender=True)
        return "the server takes mails from this sender"
    letter = Letter("init", answers["smtp_try"], "en", _MAIL_SUBJECT, _MAIL_BODY, time.time())
    await send_mail(mail, PATIENCE, letter)
    return f"the server has taken a mail to {answers['smtp_try']}: look whether it arrives"


def try_listener(answers: Answers) -> str:
    """Whether a server could listen there, and the gateway reach it; what there is to say of it, or ""."""
    endpoint = values.endpoint(answers["listen"])
    here, gateways = ip_address(endpoint.host), listed(answers["client_address"])
    for each in gateways:
        if values.network(each).version != here.version:
            family = f"IPv{here.version} only, and the gateway is at {each}"
            raise TryError(f"{endpoint} takes {family}: take 0.0.0.0 for IPv4, [::] for IPv6")
    with closing(socket.socket(_family(here.version), socket.SOCK_DGRAM)) as probe:
        try:
            if here.version == _IPV6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((endpoint.host, endpoint.port))
        except OSError as broken:
            raise TryError(f"cannot listen on {endpoint}: {broken.strerror}") from None
    elsewhere = [each for each in gateways if not values.network(each).is_loopback]
    if here.is_loopback and elsewhere:
        return f"{endpoint} is reached from this machine alone: the gateway at {', '.join(elsewhere)} cannot"
    return ""


def _family(version: int) -> socket.AddressFamily:
    return socket.AF_INET6 if version == _IPV6 else socket.AF_INET


def try_user_of_server(user: str, ours: Path) -> None:
    """Whether the server could go on as that user; the line that makes one, where there is none.

    `ours`: the folder of YAML and key, which nobody but root is to write.
    """
    if not user:
        return
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        make = f"useradd --system --no-create-home --shell /usr/sbin/nologin {user}"
        raise TryError(f"there is no user {user} on this machine; in another terminal: {make}") from None
    if found.pw_uid == 0:
        raise TryError(f"{user} is root: take somebody with no more rights than it needs")
    if os.geteuid() == 0 and not _may_run_us(found):
        raise TryError(f"{user} may not read {sys.executable} or what is below {sys.prefix}: install it in /opt")
    owner = owner_of(user)
    if owner is not None and (why := why_not(ours, Owner(0, owner.gid))):
        raise TryError(why)


def _may_run_us(user: pwd.struct_passwd) -> bool:
    program = [sys.executable, "-c", "import radius_mfa.cli.main"]
    try:
        # Our own interpreter, with words of ours alone: no shell reads them.
        done = subprocess.run(  # noqa: S603
            program,
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def try_folders(answers: Answers, config: Path) -> None:
    """Whether the server could keep there what it is to keep, and nothing is the same as something else."""
    state, audit = Path(answers["state_folder"]), Path(answers["audit_file"])
    ours = config.absolute().parent
    for folder in (state, audit.parent):
        _try_folder(folder, answers.get("user", ""), ours)
    store = state / STORE
    for file in (store, audit):
        if file.is_dir():
            raise TryError(f"{file} is a folder: name a file")
    taken = (store, Path(f"{store}-wal"), Path(f"{store}-shm"), config.absolute(), ours / KEY)
    leads_to = real(audit)
    if leads_to in [real(each) for each in taken] or real(ours / SECRETS_FOLDER) in (leads_to, *leads_to.parents):
        raise TryError(f"{audit} is to be something else already: name another audit file")


def _try_folder(folder: Path, user: str, ours: Path) -> None:
    """Whether the server could keep something there, or such a folder be made.  `ours`: the YAML's."""
    there = nearest(folder)
    if not there.is_dir():
        raise TryError(f"{there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise TryError(f"you may not write in {there}")
    owner = owner_of(user)
    if owner is None:
        return
    if real(ours / SECRETS_FOLDER).is_relative_to(real(folder)):
        example = ours / "state"
        raise TryError(
            f"{user} is to write in {folder}, and not where the YAML is: name another, such as {example}"
        )
    if why := why_not(folder, owner):
        raise TryError(why)
    if there == folder and there.stat().st_uid != owner.uid and not may_be_given(folder):
        within = f"{folder} is there and not {user}'s: name one in it, such as {folder / 'radius-mfa'}"
        change = "" if is_everybodys(folder) else f", or in another terminal: chown {user} {folder}"
        raise TryError(f"{within}{change}")


def own_address(towards: str, listen: str) -> str:
    """This machine's address as a gateway there may reach it; nothing is sent."""
    endpoint, network = values.endpoint(listen), values.network(towards)
    if not ip_address(endpoint.host).is_unspecified:
        return endpoint.host
    there = next(iter(network.hosts()), network.network_address)
    with closing(socket.socket(_family(there.version), socket.SOCK_DGRAM)) as probe, suppress(OSError):
        probe.connect((str(there), 9))
        return str(probe.getsockname()[0])
    return "this machine's address"
